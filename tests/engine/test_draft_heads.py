"""Drafts of a model's own heads: answers are those without them, whatever became of their cells."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.headed_model import (
    GLM_HEAD,
    NO_HEAD,
    RANDOM_HEAD,
    RANDOM_HEADS,
    RIGHT_HEAD,
    RIGHT_HEADS,
    HeadedCase,
)
from support.model_cases import LLAMA_SPM
from support.sides import Sides, on_models
from support.talks import CONFIG, GREEDY, Answer, Talks, draw
from unit.worker.rig import launch

from pyrunner import Engine
from pyrunner._native import Session
from pyrunner.config import EngineConfig
from pyrunner.engine import drafting
from pyrunner.engine.draft_lanes import DraftLanes
from pyrunner.engine.draft_length import PassCosts
from pyrunner.engine.drafting import load_models
from pyrunner.engine.head_lanes import HeadLanes, Native
from pyrunner.engine.loop import EngineLoop
from pyrunner.engine.speculation import Speculation
from pyrunner.errors import ContextRefusedError, DecodeError
from pyrunner.gguf import FileStamp, kv_bytes, read_header
from pyrunner.types import FinishReason, Limits, SamplingParams
from pyrunner.worker.native import NativeBackend

pytestmark = [pytest.mark.native, pytest.mark.model]

SPECULATING = replace(CONFIG, speculation="auto")
N_SAID = 48
EITHER = [RIGHT_HEAD, RIGHT_HEADS, RANDOM_HEAD, RANDOM_HEADS]


class _Costs(PassCosts):
    """A pass takes a second, beside which those of heads are nothing, and rows a little."""

    def expected_s(self, n_rows: int) -> float:
        return 0.9 + n_rows / 10


class _Counted:
    """Native heads, and how often they were fed and asked for guesses."""

    def __init__(self, native: Native) -> None:
        self._native = native
        self.n_fed = 0
        self.n_guessed = 0
        self.is_broken = False

    @property
    def n_ctx(self) -> int:
        return self._native.n_ctx

    @property
    def n_most(self) -> int:
        return self._native.n_most

    @property
    def lanes_bytes(self) -> int:
        return self._native.lanes_bytes

    def feed(self) -> int:
        if self.is_broken:
            raise DecodeError(status=-4, during="feeding")
        n_rows = self._native.feed()
        self.n_fed += n_rows
        return n_rows

    def is_ready(self, lane: int, n_tokens: int) -> bool:
        return self._native.is_ready(lane, n_tokens)

    def guess(self, parts: list[dict[str, int]]) -> tuple[list[int], list[int]]:
        self.n_guessed += 1
        return self._native.guess(parts)


def _talks(sides: Sides, config: EngineConfig = SPECULATING) -> tuple[Talks, _Counted]:
    talks = Talks(sides.model, config)
    speculation = _speculation(talks)
    speculation._costs = _Costs()
    lanes = _lanes(talks)
    lanes._clock = lambda: 0.0
    counted = lanes._native = _Counted(lanes._native)
    return talks, counted


def _speculation(talks: Talks) -> Speculation:
    assert talks.loop._speculation is not None
    return talks.loop._speculation


def _lanes(talks: Talks) -> HeadLanes:
    lanes = _speculation(talks)._guesser
    assert isinstance(lanes, HeadLanes)
    return lanes


def _plain(sides: Sides, answer: Answer) -> list[int]:
    """What is said without drafts."""
    return Talks(sides.model).ask(answer.prompt, max_tokens=len(answer.tokens)).tokens


@on_models([RIGHT_HEAD, RIGHT_HEADS, GLM_HEAD])
@pytest.mark.parametrize("n_prompt", [20, 650])
def test_heads_that_are_right_save_steps(sides: Sides, n_prompt: int) -> None:
    talks, counted = _talks(sides)
    answer = talks.ask(draw(n_prompt, seed=1), max_tokens=N_SAID)
    assert answer.tokens == _plain(sides, answer)
    assert talks.n_steps < -(-n_prompt // CONFIG.n_batch) + N_SAID / 2
    assert _speculation(talks).trust > 0.9
    # What the session keeps is fed once; of the last draft more may be right than was asked for.
    assert n_prompt + N_SAID - 1 <= counted.n_fed < n_prompt + N_SAID + 16


@on_models([RIGHT_HEAD, RIGHT_HEADS, GLM_HEAD])
def test_sampling_with_a_seed_draws_the_same_numbers(sides: Sides) -> None:
    # What these models say follows from the last token alone, so that shapes hardly matter.
    sampling = SamplingParams(temperature=0.3, top_k=3, top_p=1, min_p=0, seed=7)
    prompt = draw(650, seed=5)
    plain = Talks(sides.model)
    expected = plain.submit(prompt, max_tokens=N_SAID, sampling=sampling)
    plain.run()
    talks, counted = _talks(sides)
    answer = talks.submit(prompt, max_tokens=N_SAID, sampling=sampling)
    talks.run()
    assert answer.tokens == expected.tokens
    assert answer.tokens != _plain(sides, answer)
    assert counted.n_guessed > 0
    assert talks.n_steps < plain.n_steps


@on_models([RANDOM_HEAD, RANDOM_HEADS])
def test_heads_that_are_wrong_are_soon_neither_asked_nor_fed(sides: Sides) -> None:
    talks, counted = _talks(sides)
    talks.submit(draw(650, seed=2), max_tokens=200)
    while not _lanes(talks)._is_resting:
        assert talks.loop.has_work
        talks.step()
    assert 0 < counted.n_guessed < 20
    n_fed, n_guessed = counted.n_fed, counted.n_guessed
    talks.submit(draw(300, seed=3), max_tokens=20)
    talks.step(3)  # which read the prompt
    assert (counted.n_fed, counted.n_guessed) == (n_fed, n_guessed)
    talks.run()
    talks.judge(sides.reference)
    # Now and then they get another chance.
    assert n_guessed < counted.n_guessed < n_guessed + 30
    assert counted.n_fed < n_fed + 100
    assert _speculation(talks).trust < 0.3


@on_models([RIGHT_HEAD])
def test_heads_that_rested_go_on_from_what_they_are_fed_then(sides: Sides) -> None:
    talks, counted = _talks(sides)
    lanes = _lanes(talks)
    answer = talks.submit(draw(650, seed=4), max_tokens=80)
    while len(answer.tokens) < 20:
        talks.step()
        lanes._is_resting = True
    n_guessed = counted.n_guessed
    talks.run()
    assert answer.tokens == _plain(sides, answer)
    assert counted.n_guessed > n_guessed


@on_models([RIGHT_HEAD, RIGHT_HEADS])
def test_heads_that_rested_while_lanes_became_longer_go_on_there(sides: Sides) -> None:
    talks, counted = _talks(sides)
    _lanes(talks)._is_resting = True
    answer = talks.ask(draw(1500, seed=12), max_tokens=N_SAID)
    assert talks.loop.info.n_lanes < CONFIG.n_lanes
    assert answer.tokens == _plain(sides, answer)
    assert counted.n_guessed > 0


@on_models(EITHER)
def test_lanes_that_read_and_answer_at_once_all_say_what_they_would(sides: Sides) -> None:
    talks, counted = _talks(sides)
    for i in range(6):  # more than there are lanes
        talks.submit(draw(40 + 120 * i, seed=10 + i), max_tokens=30 + i)
    talks.run()
    talks.judge(sides.reference)
    assert [len(each.tokens) for each in talks.answers] == [30 + i for i in range(6)]
    assert counted.n_guessed > 0


@on_models(EITHER)
def test_a_preempted_sequence_and_longer_lanes_change_nothing(sides: Sides) -> None:
    talks, counted = _talks(sides, replace(SPECULATING, n_lanes=2))
    for i, n_prompt in enumerate((700, 620)):
        talks.submit(draw(n_prompt, seed=20 + i), max_tokens=200)
    while min(len(each.tokens) for each in talks.answers) < 5:
        talks.step()
    urgent = talks.submit(draw(650, seed=30), max_tokens=40, priority=1)
    talks.step(2)
    assert talks.loop.n_waiting == 1
    while len(urgent.tokens) < 20:
        talks.step()
    talks.submit(draw(1500, seed=31), max_tokens=30)  # needs the room of both lanes
    talks.run()
    talks.judge(sides.reference)
    assert [len(each.tokens) for each in talks.answers] == [200, 200, 40, 30]
    assert counted.n_guessed > 0


@on_models(EITHER)
def test_a_cancelled_sequence_leaves_a_lane_that_goes_on_right(sides: Sides) -> None:
    talks, _ = _talks(sides)
    answers = [talks.submit(draw(60 + i, seed=40 + i), max_tokens=40) for i in range(4)]
    while min(len(each.tokens) for each in answers) < 5:
        talks.step()
    talks.cancel(answers[0])
    talks.step()
    assert answers[0].reason is FinishReason.CANCELLED
    talks.submit([*answers[0].prompt[:50], *draw(200, seed=50)], max_tokens=40)
    talks.run()
    talks.judge(sides.reference)
    assert [len(each.tokens) for each in talks.answers[1:]] == [40] * 4


@on_models(EITHER)
def test_the_next_turn_begins_with_cells_that_nobody_reads_again(sides: Sides) -> None:
    talks, _ = _talks(sides)
    first = talks.ask(draw(650, seed=6), max_tokens=N_SAID)
    whole = talks.ask([*first.text, *draw(30, seed=7)], max_tokens=N_SAID)
    part = talks.ask([*first.text[:600], *draw(30, seed=8)], max_tokens=N_SAID)
    talks.judge(sides.reference)
    assert whole.n_cached >= 690
    assert part.n_cached == 600


@on_models(EITHER)
def test_a_lane_that_is_full_ends_in_its_last_cell(sides: Sides) -> None:
    talks, _ = _talks(sides)
    talks.ask(draw(CONFIG.n_ctx - 24, seed=9), max_tokens=24)
    talks.judge(sides.reference)


@on_models([RIGHT_HEAD])
def test_heads_that_break_are_done_without(sides: Sides, caplog: pytest.LogCaptureFixture) -> None:
    talks, counted = _talks(sides)
    answer = talks.submit(draw(650, seed=8), max_tokens=N_SAID)
    while len(answer.tokens) < 10:
        talks.step()
    counted.is_broken = True
    talks.run()
    assert answer.tokens == _plain(sides, answer)
    assert _speculation(talks)._guesser is None
    assert "without the model's own draft heads" in caplog.text


@on_models([RIGHT_HEAD, RIGHT_HEADS])
def test_the_cells_of_heads_are_counted_here_and_planned_for(sides: Sides) -> None:
    plain = Talks(sides.model).loop.info.kv_bytes
    headed = Talks(sides.model, SPECULATING).loop.info.kv_bytes
    assert headed > plain
    assert headed == kv_bytes(read_header(sides.path), CONFIG.n_ctx, CONFIG.n_lanes)


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> Path:
    assert request.config.cache is not None
    return request.config.cache.mkdir("pyrunner-models")


@pytest.mark.parametrize(
    ("case", "speculation", "n_heads"),
    [
        (RIGHT_HEAD, "auto", 1),
        (RIGHT_HEADS, "auto", 3),
        (GLM_HEAD, "auto", 1),
        (RIGHT_HEAD, "off", 0),
        (NO_HEAD, "auto", 0),
    ],
    ids=["one", "three", "glm", "no speculation", "in another file"],
)
def test_heads_are_loaded_where_they_are_and_may_guess(
    folder: Path, case: HeadedCase, speculation: str, n_heads: int
) -> None:
    config = replace(CONFIG, speculation=speculation)
    loaded = load_models([case.file(folder)], [], config)
    assert loaded is not None
    assert loaded.model.n_draft_heads == n_heads
    talks = Talks(loaded.model, config)
    talks.ask(draw(20, seed=1))
    lanes = None if speculation == "off" else _speculation(talks)._guesser
    assert isinstance(lanes, HeadLanes) is (n_heads > 0)


@pytest.mark.parametrize(
    ("case", "speculation", "is_said"),
    [(NO_HEAD, "auto", True), (NO_HEAD, "off", False), (RIGHT_HEAD, "auto", False)],
    ids=["in another file", "no speculation", "used"],
)
def test_heads_that_cannot_be_used_are_in_the_log(
    folder: Path,
    caplog: pytest.LogCaptureFixture,
    case: HeadedCase,
    speculation: str,
    is_said: bool,
) -> None:
    caplog.set_level("INFO")
    config = replace(CONFIG, speculation=speculation)
    loaded = load_models([case.file(folder)], [], config)
    assert loaded is not None
    Talks(loaded.model, config)
    assert ("draft heads that this model has (1) are not used" in caplog.text) is is_said


def test_a_draft_model_guesses_rather_than_heads(folder: Path) -> None:
    path = RIGHT_HEAD.file(folder)
    loaded = load_models([path], [path], SPECULATING)
    assert loaded is not None
    assert loaded.model.n_draft_heads == 0
    talks = Talks(loaded.model, SPECULATING, draft=loaded.draft)
    assert isinstance(_speculation(talks)._guesser, DraftLanes)


@on_models([LLAMA_SPM])
def test_a_model_without_heads_is_as_it_was(sides: Sides) -> None:
    talks = Talks(sides.model, SPECULATING)
    assert _speculation(talks)._guesser is None
    assert not talks.loop.session.keeps_hidden
    assert talks.loop.info.kv_bytes == Talks(sides.model).loop.info.kv_bytes


@on_models([RIGHT_HEAD])
def test_a_model_whose_heads_get_no_lanes_is_served_without(
    sides: Sides, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(session: Session) -> None:
        assert session.keeps_hidden
        raise ContextRefusedError(problem="it has no room")

    # llama.cpp refuses no head whose model it has given lanes, unless memory ends between the two.
    monkeypatch.setattr(drafting, "DraftHeads", refuse)
    talks = Talks(sides.model, SPECULATING)
    answer = talks.ask(draw(20, seed=1))
    assert answer.tokens == _plain(sides, answer)
    assert _speculation(talks)._guesser is None
    assert "own draft heads are not used" in caplog.text


def test_a_worker_loads_the_heads_that_it_is_told_of(folder: Path) -> None:
    def keeps_hidden(*, has_draft_heads: bool) -> bool:
        path = RIGHT_HEAD.file(folder)
        given = launch(
            weight_paths=(str(path),),
            stamps=(FileStamp.of(path),),
            engine=SPECULATING,
            has_draft_heads=has_draft_heads,
        )
        loaded = NativeBackend().load(given, lambda _: True)
        for thread in threading.enumerate():
            if thread.name == "imports":
                thread.join()
        assert loaded is not None
        loop, _ = loaded
        assert isinstance(loop, EngineLoop)
        return loop.session.keeps_hidden

    assert keeps_hidden(has_draft_heads=True)
    assert not keeps_hidden(has_draft_heads=False)


def test_the_library_uses_heads_by_itself(folder: Path) -> None:
    def said(config: EngineConfig) -> Iterator[str]:
        with Engine(RIGHT_HEAD.file(folder), config=config) as engine:
            limits = Limits(max_tokens=24, ignore_eos=True)
            for event in engine.generate(draw(20, seed=14), sampling=GREEDY, limits=limits):
                yield getattr(event, "text", "")

    assert "".join(said(SPECULATING)) == "".join(said(CONFIG))
