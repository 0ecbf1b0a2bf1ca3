"""What the race of the engines computes from what its client saw."""

import argparse
import json
from pathlib import Path

import pytest
from engine import plot, record
from engine.bench import Bench, Plan
from engine.client import Answer, Ask, answer_of, events_of, token_time_s
from engine.command import _rows
from engine.contestants import LlamaServer, Own, described
from engine.race import Outcome, may_be_best
from engine.rows import ROWS
from engine.rows.conversations import n_new_tokens
from engine.rows.speculating import corrupted
from engine.words import Words
from measuring.llama_cpp import miscompiles_amx
from measuring.programs import MeasurementError
from measuring.table import AnyRow, NotMeasured, Row

STREAM = (
    b'data: {"choices": [{"text": " one"}]}\r\n\r\n'
    b'data: {"choices": [{"text": ""}]}\n\n: a comment\n'
    b'data: {"choices": [{"text": " two"}], "timings": {"cache_n": 3}}\n\n'
    b'data: {"choices": [], "usage": {"prompt_tokens": 8, "completion_tokens": 3}}\n\n'
    b"data: [DONE]\n\n"
)


def _events(*pieces: bytes) -> list[tuple[float, bytes]]:
    times_s = iter(range(1, 1000))
    return list(events_of(iter(pieces), lambda: float(next(times_s))))


@pytest.mark.parametrize("size", [1, 7, 64, len(STREAM)])
def test_events_are_the_same_however_the_bytes_are_cut(size):
    pieces = [STREAM[at : at + size] for at in range(0, len(STREAM), size)]
    assert [data for _, data in _events(*pieces)] == [data for _, data in _events(STREAM)]
    assert len(_events(*pieces)) == 5


def test_event_has_the_time_of_the_piece_that_ends_its_line():
    assert _events(b"data: a\n", b"dat", b"a: b", b"\n") == [(1.0, b"a"), (4.0, b"b")]


def test_answer_has_text_times_and_usage():
    answer = answer_of(
        10.0, 20.0, [(11.0 + i, data) for i, (_, data) in enumerate(_events(STREAM))]
    )
    assert answer.text == " one two"
    assert answer.text_times_s == (11.0, 13.0)
    assert (answer.n_prompt, answer.n_cached, answer.n_out) == (8, 3, 3)
    assert answer.first_s == 1.0
    assert answer.decode_rate == pytest.approx(2 / 9)
    assert answer.error == ""


def test_usage_is_believed_before_timings():
    usage = {"prompt_tokens": 8, "prompt_tokens_details": {"cached_tokens": 5}}
    document = {"choices": [], "usage": usage, "timings": {"cache_n": 3}}
    assert answer_of(0.0, 1.0, [(1.0, json.dumps(document).encode())]).n_cached == 5


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b'{"error": {"message": "no room"}}', "no room"),
        (b'{"choices": [{"text": "half"}]}', "ended before its usage"),
    ],
)
def test_stream_that_breaks_off_is_an_error_of_its_answer(data, complaint):
    assert complaint in answer_of(0.0, 1.0, [(1.0, data)]).error


@pytest.mark.parametrize(
    ("begin_s", "end_s", "gap_s"),
    [(0.0, 9.0, 4.0), (3.0, 3.5, 4.0), (0.0, 1.5, 1.0), (6.0, 7.0, 0.5), (8.0, 9.0, 0.0)],
)
def test_longest_gap_counts_silence_that_begins_before_or_ends_after(begin_s, end_s, gap_s):
    answer = Answer(begin_s=0.0, end_s=9.0, text_times_s=(1.0, 2.0, 6.0, 6.5))
    assert answer.longest_gap_s(begin_s, end_s) == gap_s


def test_conversation_has_to_read_the_last_token_of_what_was_said():
    turns = [(100, 30), (180, 30), (260, 30)]
    talk = [Answer(begin_s=0, end_s=1, n_prompt=n, n_out=m) for n, m in turns]
    assert n_new_tokens(talk) == 100 + 51 + 51


def _outcome() -> Outcome:
    return Outcome(
        [{"time_s": 1.0, "rate": 8.0}, {"time_s": 2.0, "rate": 9.0}],
        {
            "a": [{"time_s": 4.0, "rate": 4.0}, {"time_s": 4.0, "rate": 6.0}],
            "b": [{"time_s": 2.0, "rate": 2.0}, {"time_s": 5.0, "rate": 3.0}],
        },
    )


def test_rows_compare_with_the_configuration_whose_median_is_better():
    fastest = _outcome().compare("time_s", "low")
    assert (fastest.winner, fastest.ratios) == ("b", (0.5, 0.4))
    highest = _outcome().compare("rate", "high")
    assert (highest.winner, highest.ratios) == ("a", (2.0, 1.5))


def test_rows_can_be_compared_with_one_configuration_only():
    assert _outcome().compare("time_s", "low", ("a",)).ratios == (0.25, 0.5)


def test_raw_figures_name_their_side():
    assert _outcome().raw["ours: time_s"] == [1.0, 2.0]
    assert _outcome().raw["b: rate"] == [2.0, 3.0]


def test_both_sides_settings_are_in_the_table():
    own, best = Own(n_lanes=32, n_ctx=2048), LlamaServer(("-np", "1"))
    text = described(own, (LlamaServer().label, best.label), best.label)
    assert text == (
        "llama-server, best of defaults, `-np 1`: `-np 1` (ours: 32 lanes of 2,048 tokens)"
    )


def test_texts_are_the_same_for_every_contestant_and_differ_between_requests():
    words = Words({f"word{i}": i for i in range(100)})
    assert words.text(50, 3, 0) == words.text(50, 3, 0)
    assert words.text(50, 3, 0) != words.text(50, 3, 1)
    assert words.text(50, 3, 0).count(" ") == 50


@pytest.mark.parametrize(
    ("gcc", "is_broken"),
    [
        ((12, 2, 0), True),
        ((12, 4, 0), False),
        ((13, 2, 0), True),
        ((13, 3, 0), False),
        ((11, 5, 0), False),
        ((10, 2, 1), True),
        ((14, 1, 0), False),
        ((), False),
    ],
)
def test_gcc_with_bug_114098_builds_without_amx(gcc, is_broken):
    assert miscompiles_amx(gcc) is is_broken


def test_every_row_of_the_issue_is_there():
    assert list(ROWS) == list(range(1, 16))


CHAT = (
    b'{"choices": [{"delta": {"role": "assistant", "content": null}}]}',
    b'{"choices": [{"delta": {"content": "one"}}]}',
    b'{"choices": [{"delta": {}, "finish_reason": "stop"}]}',
    b'{"choices": [], "usage": {"prompt_tokens": 8, "completion_tokens": 3}}',
)


def test_pieces_of_a_chat_are_text_too():
    answer = answer_of(0.0, 9.0, [(float(i), data) for i, data in enumerate(CHAT)])
    assert (answer.text, answer.text_times_s, answer.error) == ("one", (1.0,), "")


def test_chat_sends_a_message_and_a_completion_its_prompt():
    chat = Ask(prompt="say", n_out=2, is_chat=True, may_end=True, more={"top_logprobs": 20})
    assert chat.path.endswith("/chat/completions")
    body = chat.body("any")
    assert body["messages"] == [{"role": "user", "content": "say"}]
    assert (body["ignore_eos"], body["top_logprobs"]) == (False, 20)
    assert "prompt" not in body
    plain = Ask(prompt="say", n_out=2)
    assert plain.path == "/v1/completions"
    assert (plain.body("any")["prompt"], plain.body("any")["ignore_eos"]) == ("say", True)


def test_time_of_a_token_is_that_of_all_answers_without_their_first():
    long = Answer(begin_s=0, end_s=9, text_times_s=(1.0,), n_out=9)
    short = Answer(begin_s=0, end_s=5, text_times_s=(3.0,), n_out=3)
    assert token_time_s([long, short]) == pytest.approx((8 + 2) / (8 + 2))
    with pytest.raises(MeasurementError, match="No token came after the first"):
        token_time_s([Answer(begin_s=0, end_s=5, text_times_s=(3.0,), n_out=1)])


def _turns(**seconds: tuple[float, ...]) -> dict[str, list[dict[str, float]]]:
    return {label: [{"s": each} for each in values] for label, values in seconds.items()}


@pytest.mark.parametrize(
    ("turns", "goes_on"),
    [
        (_turns(a=(1.0,), b=(1.1,), c=(1.2,)), {"a", "b"}),
        (_turns(a=(1.0, 1.4), b=(1.1, 1.1), c=(1.2,)), {"b"}),
        (_turns(a=(1.0, 1.4, 1.0), b=(1.1, 1.1), c=(1.2,)), {"a"}),
        (_turns(), set()),
    ],
)
def test_configuration_that_cannot_win_is_given_up_after_a_turn_or_two(turns, goes_on):
    assert may_be_best(turns, {"s": "low"}) == goes_on


def test_two_figures_may_keep_two_configurations():
    turns = {"a": [{"s": 1.0, "rate": 1.0}] * 2, "b": [{"s": 2.0, "rate": 9.0}] * 2}
    assert may_be_best(turns, {"s": "low", "rate": "high"}) == {"a", "b"}


def test_comparison_leaves_out_what_was_given_up():
    given_up = {"a": [{"time_s": 0.1}], "b": [{"time_s": 2.0}, {"time_s": 4.0}]}
    found = Outcome([{"time_s": 1.0}, {"time_s": 2.0}], given_up).compare("time_s", "low")
    assert (found.winner, found.ratios) == ("b", (0.5, 0.5))


@pytest.mark.parametrize("n_words", [1, 9, 10, 95, 200])
def test_prediction_is_wrong_in_one_word_of_ten(n_words):
    words = [f"word{i}" for i in range(n_words)]
    guess = corrupted(" ".join(words), 0).split(" ")
    n_wrong = sum(one != other for one, other in zip(words, guess, strict=True))
    assert n_words // 10 <= n_wrong <= (n_words + 9) // 10
    assert set(guess) <= set(words)


def test_ours_makes_no_drafts_unless_a_row_is_about_them():
    bench = Bench(Plan(n_pairs=1, is_quick=True, n_threads=1), Path(), Path(), {})
    plain = Own(n_lanes=1, n_ctx=8)
    drafting = Own(n_lanes=1, n_ctx=8, more=("engine.speculation=auto",))
    assert plain.settings(bench)["PYRUNNER_ENGINE_SPECULATION"] == "off"
    assert drafting.settings(bench)["PYRUNNER_ENGINE_SPECULATION"] == "auto"


def test_row_that_is_measured_again_leaves_the_others_and_says_when():
    old: list[AnyRow] = [_row(), _row(what="2. chats"), NotMeasured(what="10. x", why="no")]
    new: list[AnyRow] = [_row(what="2. other chats")]
    rows, facts = record.merged(
        (old, {"commit": "a", "machine": "m"}), new, {"commit": "b", "measured": "today"}
    )
    assert [row.what for row in rows] == ["1. decode", "2. other chats", "10. x"]
    assert facts == {"commit": "a", "machine": "m", "row 2": "measured today, commit b"}


def test_facts_of_a_race_go_with_the_last_of_its_rows():
    before: list[AnyRow] = [_row(), _row(what="2. chats")]
    told: dict[str, object] = {"commit": "a", "pairs": 5, "row 1": "commit b"}
    _, facts = record.merged((before, told), [_row(what="2. chats")], {"commit": "c"})
    assert facts == {"pairs": 5, "row 1": "commit b", "row 2": "commit c"}


def test_whole_race_keeps_nothing_of_an_earlier_one(tmp_path):
    path = tmp_path / "engine.json"
    path.write_text("not read")
    assert record.earlier(path, list(ROWS)) == ([], {})
    assert record.earlier(tmp_path / "none.json", [1]) == ([], {})


def test_rows_are_chosen_by_number_in_the_tables_order():
    assert _rows("14, 2,2") == [2, 14]


def test_row_that_is_not_there_is_named():
    with pytest.raises(argparse.ArgumentTypeError, match="there is no row 16, x"):
        _rows("1,x,16")


def _row(**changed: object) -> Row:
    plain = {"what": "1. decode", "against": "llama-server", "unit": "x", "values": (1.0,)}
    return Row(**(plain | {"target": 1.0} | changed))  # type: ignore[arg-type]  # any keyword of Row


@pytest.mark.parametrize(
    ("changed", "shares"),
    [
        ({"values": (0.25, 1.0), "target": 0.5}, (0.5, 2.0)),
        ({"values": (0.5, 2.0), "target": 1.0, "at": "least"}, (2.0, 0.5)),
        ({"values": (0.0, 3.0), "target": 0.0}, (0.02, 50.0)),
        ({"values": (-8.0,), "target": 60.0}, (0.02,)),
    ],
)
def test_picture_has_what_meets_its_target_left_of_one(changed, shares):
    assert plot.shares(_row(**changed)) == shares


@pytest.mark.keeps_open("matplotlib's fonts")
def test_picture_is_drawn_of_rows_with_and_without_values(tmp_path: Path):
    missing = NotMeasured(what="7. JSON", why="needs grammars")
    rows: list[AnyRow] = [_row(), _row(values=(0.5, 1.5)), missing]
    plot.write(tmp_path / "new" / "engine.png", rows)
    assert (tmp_path / "new" / "engine.png").read_bytes().startswith(b"\x89PNG")
