"""Drafts of a second model: answers are those without them, and they are made while they pay."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from support.model_cases import DEMO, LLAMA_BPE, LLAMA_SPM, MAMBA, SMALL_BPE, ModelCase
from support.sides import Sides, on_models
from support.talks import CONFIG, GREEDY, Talks, draw

from pyrunner import Engine
from pyrunner._native import Model
from pyrunner.engine.draft_lanes import DraftLanes, Native
from pyrunner.engine.draft_length import PassCosts
from pyrunner.engine.drafting import load_models
from pyrunner.engine.speculation import Speculation
from pyrunner.errors import DecodeError, ModelFileError
from pyrunner.types import Limits

pytestmark = [pytest.mark.native, pytest.mark.model]

SPECULATING = replace(CONFIG, speculation="auto")
N_SAID = 48


class _Costs(PassCosts):
    """A pass takes a second, beside which those of a draft model are nothing, and rows a little."""

    def expected_s(self, n_rows: int) -> float:
        return 0.9 + n_rows / 10


class _Counted:
    """A native draft model, and how often it was asked for guesses or to read on."""

    def __init__(self, native: Native) -> None:
        self._native = native
        self.n_guessed = 0
        self.n_read = 0
        self.layouts: list[tuple[int, int]] = []
        self.is_broken = False

    @property
    def n_batch(self) -> int:
        return self._native.n_batch

    @property
    def lanes_bytes(self) -> int:
        return self._native.lanes_bytes

    def set_layout(self, n_ctx: int, n_lanes: int) -> None:
        self.layouts.append((n_ctx, n_lanes))
        self._native.set_layout(n_ctx, n_lanes)

    def draft(self, parts: list[dict[str, int]], tokens: list[int]) -> tuple[list[int], list[int]]:
        if self.is_broken:
            raise DecodeError(status=-4, during="drafting")
        self.n_guessed += any(part["n_most"] for part in parts)
        self.n_read += len(tokens)
        return self._native.draft(parts, tokens)


def _talks(sides: Sides, draft: Model | None, **changes: object) -> tuple[Talks, _Counted]:
    config = replace(SPECULATING, **changes)  # type: ignore[arg-type]  # fields of it
    talks = Talks(sides.model, config, draft=draft)
    _speculation(talks)._costs = _Costs()
    lanes = _lanes(talks)
    counted = lanes._native = _Counted(lanes._native)
    return talks, counted


def _speculation(talks: Talks) -> Speculation:
    assert talks.loop._speculation is not None
    return talks.loop._speculation


def _lanes(talks: Talks) -> DraftLanes:
    lanes = _speculation(talks)._guesser
    assert isinstance(lanes, DraftLanes)
    return lanes


def _loaded(case: ModelCase, request: pytest.FixtureRequest) -> Model:
    model = Model()
    assert model.load([os.fsencode(_file(case, request))]) == 0
    return model


def _file(case: ModelCase, request: pytest.FixtureRequest) -> Path:
    assert request.config.cache is not None
    return case.file(request.config.cache.mkdir("pyrunner-models"))


@pytest.fixture(scope="module")
def other(request: pytest.FixtureRequest) -> Model:
    """A model that is hardly ever right."""
    return _loaded(SMALL_BPE, request)


@on_models([LLAMA_BPE, LLAMA_SPM])
@pytest.mark.parametrize("n_prompt", [20, 650])
def test_a_draft_model_that_is_right_saves_steps(sides: Sides, n_prompt: int) -> None:
    talks, counted = _talks(sides, sides.model)
    answer = talks.ask(draw(n_prompt, seed=1), max_tokens=N_SAID)
    talks.judge(sides.reference)
    assert len(answer.tokens) == N_SAID
    assert talks.n_steps < -(-n_prompt // CONFIG.n_batch) + N_SAID / 2
    assert _speculation(talks).trust > 0.9
    # Each token of the text was read once, and those of the drafts were there already.
    assert counted.n_read <= n_prompt + N_SAID


@on_models([LLAMA_BPE])
def test_a_draft_model_that_is_wrong_is_soon_not_asked_any_more(sides: Sides, other: Model) -> None:
    talks, counted = _talks(sides, other)
    talks.ask(draw(650, seed=2), max_tokens=200)
    talks.judge(sides.reference)
    assert 0 < counted.n_guessed < 20
    assert _speculation(talks).trust < 0.3
    before = counted.n_guessed
    talks.ask(draw(60, seed=3), max_tokens=20)
    assert counted.n_guessed <= before + 2


@on_models([LLAMA_BPE])
def test_a_draft_model_that_costs_more_than_it_saves_is_not_asked(sides: Sides) -> None:
    talks, counted = _talks(sides, sides.model)
    _lanes(talks)._guessing = _Costs()  # a guess takes as long as what it would save
    talks.ask(draw(20, seed=4), max_tokens=N_SAID)
    assert counted.n_guessed == 0


@on_models([LLAMA_BPE])
def test_a_text_that_takes_longer_to_read_than_drafts_save_is_not_read(sides: Sides) -> None:
    talks, counted = _talks(sides, sides.model)
    _lanes(talks)._reading = _Slow()
    talks.ask(draw(650, seed=5), max_tokens=8)
    assert (counted.n_read, counted.n_guessed) == (0, 0)


class _Slow(PassCosts):
    def expected_s(self, n_rows: int) -> float:
        del n_rows
        return 1000.0


@on_models([LLAMA_BPE])
@pytest.mark.parametrize("is_right", [True, False])
def test_lanes_that_read_and_answer_at_once_all_say_what_they_would(
    sides: Sides, other: Model, is_right: bool
) -> None:
    talks, counted = _talks(sides, sides.model if is_right else other)
    for i in range(6):  # more than there are lanes
        talks.submit(draw(40 + 120 * i, seed=10 + i), max_tokens=30 + i)
    talks.run()
    talks.judge(sides.reference)
    assert [len(each.tokens) for each in talks.answers] == [30 + i for i in range(6)]
    assert counted.n_guessed > 0


@on_models([LLAMA_BPE])
@pytest.mark.parametrize("is_right", [True, False])
def test_a_preempted_sequence_and_longer_lanes_change_nothing(
    sides: Sides, other: Model, is_right: bool
) -> None:
    talks, counted = _talks(sides, sides.model if is_right else other, n_lanes=2)
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
    assert (2048, 1) in counted.layouts or (1024, 1) in counted.layouts


@on_models([LLAMA_BPE])
def test_the_next_turn_is_read_from_where_the_last_one_ended(sides: Sides) -> None:
    talks, counted = _talks(sides, sides.model)
    first = talks.ask(draw(650, seed=6), max_tokens=N_SAID)
    n_read = counted.n_read
    talks.ask([*first.text, *draw(30, seed=7)], max_tokens=N_SAID)
    talks.judge(sides.reference)
    assert counted.n_read - n_read <= 30 + N_SAID + 2


@on_models([LLAMA_BPE])
def test_a_draft_model_that_breaks_is_done_without(
    sides: Sides, caplog: pytest.LogCaptureFixture
) -> None:
    talks, counted = _talks(sides, sides.model)
    answer = talks.submit(draw(650, seed=8), max_tokens=N_SAID)
    while len(answer.tokens) < 10:
        talks.step()
    counted.is_broken = True
    talks.run()
    talks.judge(sides.reference)
    assert len(answer.tokens) == N_SAID
    assert _speculation(talks)._guesser is None
    assert "without the draft model" in caplog.text


@on_models([LLAMA_BPE])
def test_a_text_longer_than_the_draft_model_was_trained_for_gets_none(
    sides: Sides, other: Model
) -> None:
    talks, counted = _talks(sides, other, n_ctx=2048, n_lanes=1)
    assert other.n_ctx_train == 1024
    talks.ask(draw(1030, seed=9), max_tokens=8)
    talks.judge(sides.reference)
    assert counted.n_read == 0


@on_models([LLAMA_BPE])
def test_the_cells_of_the_draft_model_are_counted(sides: Sides, other: Model) -> None:
    plain = Talks(sides.model, SPECULATING).loop.info.kv_bytes
    draft = Talks(other, SPECULATING).loop.info.kv_bytes
    assert Talks(sides.model, SPECULATING, draft=other).loop.info.kv_bytes == plain + draft


@on_models([MAMBA])
def test_memory_that_cannot_go_back_gets_no_draft_model(sides: Sides) -> None:
    talks = Talks(sides.model, SPECULATING, draft=sides.model)
    talks.ask(draw(20, seed=1))
    assert talks.loop._speculation is None


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (MAMBA, "cannot take a guess back"),
        (DEMO, "vocabulary"),
    ],
    ids=["recurrent", "other tokens"],
)
@on_models([LLAMA_SPM])
def test_a_model_that_cannot_draft_is_refused_in_one_sentence(
    sides: Sides, case: ModelCase, words: str, request: pytest.FixtureRequest
) -> None:
    path = _file(case, request)
    with pytest.raises(ModelFileError, match=words) as caught:
        load_models([sides.path], [path], SPECULATING)
    assert str(path) in str(caught.value)
    assert "Name another draft model" in str(caught.value)


@on_models([LLAMA_SPM])
def test_a_draft_model_that_is_not_there_is_refused(sides: Sides, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"nothing\.gguf"):
        load_models([sides.path], [tmp_path / "nothing.gguf"], SPECULATING)


def test_the_library_takes_a_draft_model(model_path: Path) -> None:
    def said(draft: Sequence[Path]) -> list[str]:
        with Engine(model_path, config=SPECULATING, draft=draft or None) as engine:
            events = list(
                engine.generate(draw(20, seed=14), sampling=GREEDY, limits=Limits(max_tokens=24))
            )
            return [getattr(each, "text", "") for each in events]

    assert "".join(said([model_path])) == "".join(said([]))
