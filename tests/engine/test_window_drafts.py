"""Drafts for a model with a sliding window, of 256 tokens here: guesses are taken back from it."""

from dataclasses import replace

import pytest
from support.model_cases import GEMMA3
from support.sides import Sides, on_models
from support.talks import CONFIG, GREEDY, Talks, draw

from pyrunner._native import Model
from pyrunner.engine.loop import EngineLoop
from pyrunner.engine.sampling import native_params
from pyrunner.errors import InvariantError

pytestmark = [pytest.mark.native, pytest.mark.model]

DRAFTING = replace(CONFIG, speculation="auto")


def _answers(model: Model, prompts: list[list[int]], n_tokens: int) -> list[list[int]]:
    """Without any drafts."""
    talks = Talks(model)
    return [talks.ask(prompt, max_tokens=n_tokens).tokens for prompt in prompts]


def _wrong(tokens: list[int], every: int) -> list[int]:
    return [token if i % every else 5 for i, token in enumerate(tokens)]


@on_models([GEMMA3])
@pytest.mark.parametrize("n_prompt", [20, 250, 700])
def test_guesses_are_taken_back(sides: Sides, n_prompt: int) -> None:
    """Before the window is full, while it fills up, and when its cells are used again."""
    prompts = [draw(n_prompt + 30 * i, seed=20 + i) for i in range(3)]
    right, often, seldom = _answers(sides.model, prompts, 180)
    talks = Talks(sides.model, DRAFTING)
    talks.draft_all()
    predictions = (right, _wrong(often, every=7), _wrong(seldom, every=20))
    for prompt, prediction in zip(prompts, predictions, strict=True):
        talks.submit(prompt, max_tokens=180, prediction=prediction)
    talks.run()
    talks.judge(sides.reference)
    use = [answer.usage for answer in talks.answers if answer.usage is not None]
    assert use[0].accepted_prediction_tokens > 90
    assert all(each.rejected_prediction_tokens > 0 for each in use[1:])


@on_models([GEMMA3])
def test_guesses_are_taken_back_after_a_lane_was_saved_and_restored(sides: Sides) -> None:
    """Its cells are no longer in the order in which they were read."""
    prompt = draw(700, seed=31)
    [expected] = _answers(sides.model, [prompt], 120)
    talks = Talks(sides.model, replace(DRAFTING, n_lanes=1))
    talks.draft_all()
    answer = talks.submit(prompt, max_tokens=120, prediction=_wrong(expected, every=5))
    for i in range(8):
        talks.step(6)
        talks.submit(draw(90, seed=40 + i), priority=1)
    talks.run()
    talks.judge(sides.reference)
    assert len(answer.tokens) == 120
    assert answer.usage is not None
    assert answer.usage.rejected_prediction_tokens > 0


@on_models([GEMMA3])
def test_drafts_of_unequal_length_would_be_a_bug(sides: Sides) -> None:
    session = EngineLoop(sides.model, DRAFTING).session
    row = 0
    for lane, n_rows in enumerate((3, 1, 2)):
        session.open_lane(lane, native_params(GREEDY, ignore_eos=True))
        tokens, positions, lanes, outputs = session.plan
        for i in range(n_rows):
            tokens[row], positions[row], lanes[row], outputs[row] = 300, i, lane, 1
            row += 1
    with pytest.raises(InvariantError):
        session.begin(6, 0)
    session.begin(4, 0)  # without the last lane
    session.finish()
