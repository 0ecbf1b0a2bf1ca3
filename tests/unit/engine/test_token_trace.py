"""Which tokens a piece of an answer came from."""

import pytest

from pyrunner.engine.request import Traced
from pyrunner.engine.token_trace import Piece, TokenTrace
from pyrunner.types import ReasoningEvent, TextEvent, TokenChance, TokenLogprobs, ToolCallEvent


@pytest.fixture
def trace() -> TokenTrace:
    return TokenTrace()


def _feed(trace: TokenTrace, *texts: str | tuple[bytes, str]) -> None:
    """Sample tokens: their texts, or their bytes and what they complete."""
    for text in texts:
        piece, completed = (text.encode(), text) if isinstance(text, str) else text
        trace.add(Traced(TokenLogprobs(TokenChance(1, piece, -0.5), ()), completed))


def _tokens(trace: TokenTrace, *pieces: Piece) -> list[list[bytes]]:
    attached = trace.attach(pieces)
    return [
        [each.chosen.piece for each in piece.logprobs]
        for piece in attached
        if isinstance(piece, TextEvent)
    ]


def test_each_text_has_the_tokens_it_came_from(trace):
    _feed(trace, "a", " b")
    assert _tokens(trace, TextEvent(text="a b")) == [[b"a", b" b"]]
    _feed(trace, " c")
    assert _tokens(trace, TextEvent(text=" c")) == [[b" c"]]


def test_text_without_tokens_is_passed_as_it_is(trace):
    trace.add(None)
    piece = TextEvent(text="a")
    assert trace.attach([piece]) == [piece]


def test_a_token_that_is_shown_in_two_parts_is_reported_with_the_first(trace):
    _feed(trace, "a<")
    assert _tokens(trace, TextEvent(text="a")) == [[b"a<"]]
    _feed(trace, "b")
    assert _tokens(trace, TextEvent(text="<b")) == [[b"b"]]


def test_tokens_of_one_character_come_with_it(trace):
    _feed(trace, (b"\xc3", ""))
    _feed(trace, (b"\xa9", "\u00e9"), (b"\xf0", ""))
    assert _tokens(trace, TextEvent(text="\u00e9")) == [[b"\xc3", b"\xa9"]]
    _feed(trace, (b"\x9f\x98\x80!", "\U0001f600!"))
    assert _tokens(trace, TextEvent(text="\U0001f600!")) == [[b"\xf0", b"\x9f\x98\x80!"]]


def test_a_character_that_stays_incomplete_takes_what_is_left(trace):
    _feed(trace, "a", (b"\xf0", ""), (b"\x9f", ""))
    assert _tokens(trace, TextEvent(text="a\ufffd")) == [[b"a", b"\xf0", b"\x9f"]]
    assert _tokens(trace, TextEvent(text="\ufffd")) == [[]]


def test_what_a_stop_string_swallowed_is_not_reported(trace):
    _feed(trace, "a", "b END", " more")
    assert _tokens(trace, TextEvent(text="ab ")) == [[b"a", b"b END"]]


def test_tokens_of_reasoning_and_delimiters_are_dropped(trace):
    _feed(trace, "<think>", "Hm", "m.")
    assert _tokens(trace, ReasoningEvent(text="Hmm.")) == []
    _feed(trace, "</think>", "\n\n", "Y", "es")
    assert _tokens(trace, TextEvent(text="Yes")) == [[b"Y", b"es"]]


def test_a_token_in_which_content_begins_is_reported(trace):
    _feed(trace, "Hm")
    assert _tokens(trace, ReasoningEvent(text="Hm")) == []
    _feed(trace, "</think>Y", "es")
    assert _tokens(trace, TextEvent(text="Yes")) == [[b"</think>Y", b"es"]]
    _feed(trace, ".<thi", "nk>.", "!")
    parsed = (TextEvent(text="."), ReasoningEvent(text="."), TextEvent(text="!"))
    assert _tokens(trace, *parsed) == [[b".<thi"], [b"!"]]


def test_tokens_of_a_tool_call_are_dropped(trace):
    _feed(trace, "Let me", " see", "<tool>", '{"a"')
    call = ToolCallEvent(index=0, id="c1", name="f", arguments='{"a"')
    assert _tokens(trace, TextEvent(text="Let me see"), call) == [[b"Let me", b" see"]]
    _feed(trace, ": 1}")
    assert _tokens(trace, ToolCallEvent(index=0, arguments=":1}")) == []
    _feed(trace, "</tool>", "Done")
    assert _tokens(trace, TextEvent(text="Done")) == [[b"Done"]]


@pytest.mark.parametrize(
    "piece",
    [ReasoningEvent(text="Yes, but"), ToolCallEvent(index=0, id="c1", name="f", arguments="1")],
    ids=["reasoning", "tool call"],
)
def test_what_was_dropped_is_not_mistaken_for_content_that_reads_alike(trace, piece):
    _feed(trace, "Yes, but")
    assert _tokens(trace, piece) == []
    _feed(trace, "Yes")
    assert _tokens(trace, TextEvent(text="Yes")) == [[b"Yes"]]
