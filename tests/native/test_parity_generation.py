"""Equal step shapes and threads: our session and llama.cpp choose the same tokens, exactly."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from support.model_cases import GENERATIVE, LLAMA_BPE, LLAMA_SPM, QWEN2
from support.reference import ContextShape, Row
from support.sides import Sides, on_models
from support.step_script import Sampled, SessionPlayer, Step, generation_steps, play_on_reference

from pyrunner._native import Model, Session
from pyrunner.engine.sampling import native_params
from pyrunner.types import SamplingParams

pytestmark = [pytest.mark.native, pytest.mark.model]

Prompts = Sequence[Sequence[int]]
Draw = Callable[..., list[int]]

GREEDY = SamplingParams(temperature=0)
EIGHT_LENGTHS = (3, 611, 64, 17, 129, 1, 300, 48)
CONTEXT = {"n_ctx": 1024, "n_batch": 512, "n_threads": 1}


def _run_both(
    sides: Sides, prompts: Prompts, samplings: Sequence[SamplingParams], steps: Sequence[Step]
) -> tuple[Sampled, Sampled]:
    """Play the same steps on both sides: what we sampled, what llama.cpp sampled."""
    player = SessionPlayer(Session(sides.model, n_lanes=len(prompts), **CONTEXT))
    sides.reference.open_context(ContextShape(n_lanes=len(prompts), **CONTEXT))
    for lane, (prompt, sampling) in enumerate(zip(prompts, samplings, strict=True)):
        player.open_lane(lane, sampling, prompt)
        sides.reference.set_sampler(lane, sampling, prompt)
    return player.play(steps), play_on_reference(sides.reference, steps)


@pytest.mark.parametrize("sampling", [GREEDY, SamplingParams(seed=11)], ids=["greedy", "seeded"])
@pytest.mark.parametrize("n_prompt", [1, 40, 700])
@on_models(GENERATIVE)
def test_generation_alone_equals_reference(
    sides: Sides, n_prompt: int, sampling: SamplingParams, draw_tokens: Draw
) -> None:
    prompts = [draw_tokens(n_prompt)]
    steps = generation_steps(prompts, n_predict=24, n_chunk=512)
    ours, theirs = _run_both(sides, prompts, [sampling], steps)
    assert len(ours) == 24
    assert ours == theirs


@pytest.mark.parametrize("n_chunk", [512, 100])
@on_models(GENERATIVE)
def test_generation_in_a_batch_of_eight_equals_reference(
    sides: Sides, n_chunk: int, draw_tokens: Draw
) -> None:
    prompts = [draw_tokens(length) for length in EIGHT_LENGTHS]
    samplings = [GREEDY if lane % 2 else SamplingParams(seed=lane) for lane in range(8)]
    steps = generation_steps(prompts, n_predict=16, n_chunk=n_chunk)
    ours, theirs = _run_both(sides, prompts, samplings, steps)
    assert len(ours) == 8 * 16
    assert ours == theirs


SAMPLERS = {
    "temperature": {"temperature": 1.7},
    "temperature-low": {"temperature": 0.1},
    "top-k": {"top_k": 3},
    "top-k-off": {"top_k": 0, "temperature": 1.2},
    "top-p": {"top_p": 0.3},
    "top-p-off": {"top_p": 1.0, "top_k": 200},
    "min-p": {"min_p": 0.5},
    "min-p-off": {"min_p": 0.0, "top_k": 0, "top_p": 0.999},
    "typical-p": {"typical_p": 0.3},
    "seed": {"seed": 2**32 - 2},
    "repeat-penalty": {"repeat_penalty": 1.8, "repeat_last_n": 512},
    "repeat-last-n-off": {"repeat_penalty": 1.8, "repeat_last_n": 0, "seed": 5},
    "presence-penalty": {"presence_penalty": 2.0, "top_k": 4},
    "frequency-penalty": {"frequency_penalty": 2.0, "top_k": 4},
    "logit-bias": {"logit_bias": ((5, 100.0), (6, 100.0), (7, -100.0), (8, 99.5))},
    "top-n-sigma": {"top_n_sigma": 0.8, "temperature": 2.0},
    "top-n-sigma-of-all": {"top_n_sigma": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0},
    "xtc": {"xtc_probability": 1.0, "xtc_threshold": 0.02},
    "xtc-sometimes": {"xtc_probability": 0.4, "xtc_threshold": 0.02, "top_k": 0},
    "dynatemp": {"dynatemp_range": 0.7, "dynatemp_exponent": 0.6},
    "dynatemp-from-zero": {"dynatemp_range": 2.0, "dynatemp_exponent": 2.0},
    "mirostat-1": {"mirostat": 1, "mirostat_tau": 2.0},
    "mirostat-2": {"mirostat": 2, "mirostat_tau": 3.0, "mirostat_eta": 0.3},
    "adaptive-p": {"adaptive_target": 0.2, "top_k": 0, "top_p": 1.0},
    "adaptive-p-of-rare-tokens": {"adaptive_target": 0.0, "adaptive_decay": 0.5, "top_k": 0},
    "mirostat-replaces-the-rest": {
        "mirostat": 2,
        "temperature": 1.3,
        "top_k": 1,
        "repeat_penalty": 1.8,
        "dry_multiplier": 5.0,
        "dynatemp_range": 1.0,
        "adaptive_target": 0.1,
        "logit_bias": ((11, 5.0), (12, 5.5)),
    },
    "everything": {
        "temperature": 0.7,
        "top_k": 90,
        "top_p": 0.9,
        "min_p": 0.1,
        "typical_p": 0.9,
        "repeat_penalty": 1.1,
        "repeat_last_n": 32,
        "presence_penalty": 0.5,
        "frequency_penalty": 0.3,
        "dry_multiplier": 0.8,
        "top_n_sigma": 3.0,
        "xtc_probability": 0.5,
        "xtc_threshold": 0.05,
        "dynatemp_range": 0.4,
        "logit_bias": ((11, 5.0), (12, 5.5)),
        "seed": 77,
    },
    "greedy-with-penalties": {"temperature": 0, "repeat_penalty": 1.5},
    "greedy-with-xtc": {"temperature": 0, "xtc_probability": 0.7, "xtc_threshold": 0.02},
    "greedy-with-typical": {"temperature": 0, "typical_p": 0.3},
    "greedy-with-dynatemp": {"temperature": 0, "dynatemp_range": 1.5},
    "greedy-with-mirostat": {"temperature": 0, "mirostat": 1, "repeat_penalty": 1.5},
    "greedy-with-bias": {"temperature": 0, "logit_bias": ((5, 100.0), (6, 100.0))},
}


@pytest.mark.parametrize("changes", SAMPLERS.values(), ids=SAMPLERS)
@on_models([LLAMA_SPM, QWEN2])
def test_sampler_parameter_chooses_as_reference_does(
    sides: Sides, changes: dict[str, Any], draw_tokens: Draw
) -> None:
    prompts = [draw_tokens(90)]
    steps = generation_steps(prompts, n_predict=32, n_chunk=512)
    sampling = SamplingParams(**{"seed": 1} | changes)
    ours, theirs = _run_both(sides, prompts, [sampling], steps)
    assert ours == theirs
    unchanged, _ = _run_both(sides, prompts, [SamplingParams(seed=1)], steps)
    assert ours != unchanged, "the parameter did nothing: this case proves nothing"


# Nothing else is ever chosen, so that the text repeats itself and DRY has something to do.
FOUR_TOKENS = tuple((token, 100.0) for token in range(300, 304))
DRY = {
    "default": {"dry_multiplier": 0.8},
    "base": {"dry_multiplier": 0.5, "dry_base": 4.0},
    "allowed-length": {"dry_multiplier": 2.0, "dry_allowed_length": 0},
    "last-n": {"dry_multiplier": 3.0, "dry_penalty_last_n": 6},
    "greedy": {"temperature": 0, "dry_multiplier": 2.0},
}


@pytest.mark.parametrize("changes", DRY.values(), ids=DRY)
@on_models([LLAMA_SPM, QWEN2])
def test_dry_chooses_as_reference_does(
    sides: Sides, changes: dict[str, Any], draw_tokens: Draw
) -> None:
    prompts = [[*draw_tokens(20), *[300, 301, 302, 301, 303] * 5]]
    steps = generation_steps(prompts, n_predict=48, n_chunk=512)
    sampling = replace(SamplingParams(seed=1, logit_bias=FOUR_TOKENS), **changes)
    ours, theirs = _run_both(sides, prompts, [sampling], steps)
    assert ours == theirs
    unchanged, _ = _run_both(sides, prompts, [replace(sampling, dry_multiplier=0)], steps)
    assert ours != unchanged, "DRY did nothing: this case proves nothing"


@on_models([LLAMA_SPM, QWEN2])
def test_dry_that_was_prepared_has_seen_nothing_of_other_requests(
    sides: Sides, draw_tokens: Draw
) -> None:
    prompts = [[*draw_tokens(20), *[300, 301, 302, 301, 303] * 5]] * 2
    steps = generation_steps(prompts, n_predict=24, n_chunk=512)
    sampling = SamplingParams(seed=1, logit_bias=FOUR_TOKENS, dry_multiplier=2.5)
    sides.model.prepare_dry(native_params(sampling, ignore_eos=False))
    for _ in range(2):
        ours, theirs = _run_both(sides, prompts, [sampling, sampling], steps)
        assert ours == theirs


@on_models([LLAMA_SPM, QWEN2])
def test_dry_sequence_breakers_break_where_the_references_do(
    sides: Sides, draw_tokens: Draw
) -> None:
    prompts = [[*draw_tokens(20), *[300, 301, 302, 301, 303] * 5]]
    steps = generation_steps(prompts, n_predict=48, n_chunk=512)
    breakers = ("\u00e9\n", sides.model.detokenize([302]).decode().strip())
    unbroken = SamplingParams(
        seed=1, logit_bias=FOUR_TOKENS, dry_multiplier=2.0, dry_sequence_breakers=()
    )
    broken = replace(unbroken, dry_sequence_breakers=breakers)
    ours, theirs = _run_both(sides, prompts, [broken], steps)
    assert ours == theirs
    whole, whole_theirs = _run_both(sides, prompts, [unbroken], steps)
    assert whole == whole_theirs
    assert ours != whole, "the breakers did nothing: this case proves nothing"


@on_models([LLAMA_SPM])
def test_dynamic_temperature_near_zero_chooses_the_most_likely_token(
    sides: Sides, draw_tokens: Draw
) -> None:
    """llama.cpp's own arithmetic ends in infinite logits here, and in the least likely token."""
    steps = generation_steps([draw_tokens(20)], n_predict=8, n_chunk=512)
    player = SessionPlayer(Session(sides.model, n_lanes=1, **CONTEXT))
    likely = ((300, 100.0), (301, 89.5))
    sampling = SamplingParams(
        temperature=1.0,
        dynatemp_range=1.0,
        dynatemp_exponent=10.0,
        min_p=0.0,
        top_p=1.0,
        logit_bias=likely,
    )
    player.open_lane(0, sampling)
    assert [token for _, token in player.play(steps)] == [300] * 8


@on_models([LLAMA_BPE])
def test_end_of_generation_tokens_are_never_chosen_when_ignored(
    sides: Sides, draw_tokens: Draw
) -> None:
    ends = sides.model.end_of_generation_tokens
    likely = tuple((token, 100.0) for token in ends)
    steps = generation_steps([draw_tokens(20)], n_predict=8, n_chunk=512)
    player = SessionPlayer(Session(sides.model, n_lanes=1, **CONTEXT))
    player.open_lane(0, SamplingParams(seed=1, logit_bias=likely))
    assert all(token in ends for _, token in player.play(steps))
    assert player.ends == [1] * 8

    never = tuple((token, float("-inf")) for token in ends)
    ignoring = SessionPlayer(Session(sides.model, n_lanes=1, **CONTEXT))
    ignoring.open_lane(0, SamplingParams(seed=1, logit_bias=likely), ignore_eos=True)
    sides.reference.open_context(ContextShape(n_lanes=1, **CONTEXT))
    sides.reference.set_sampler(0, SamplingParams(seed=1, logit_bias=likely + never))
    assert ignoring.play(steps) == play_on_reference(sides.reference, steps)
    assert ignoring.ends == [0] * 8


@on_models([LLAMA_SPM])
def test_tokens_that_the_model_file_suppresses_are_never_chosen(
    sides: Sides, draw_tokens: Draw, tmp_path: Path
) -> None:
    prompt = draw_tokens(20)
    steps = generation_steps([prompt], n_predict=12, n_chunk=512)
    _, likely = _run_both(sides, [prompt], [GREEDY], steps)
    suppressed = tuple({token for _, token in likely})
    case = dataclasses.replace(LLAMA_SPM, shape={**LLAMA_SPM.shape, "suppressed": suppressed})
    model = Model()
    assert model.load([os.fsencode(case.file(tmp_path))]) == 0

    player = SessionPlayer(Session(model, n_lanes=1, **CONTEXT))
    player.open_lane(0, GREEDY)
    never = tuple((token, float("-inf")) for token in suppressed)
    sides.reference.open_context(ContextShape(n_lanes=1, **CONTEXT))
    sides.reference.set_sampler(0, replace(GREEDY, logit_bias=never))
    assert player.play(steps) == play_on_reference(sides.reference, steps)
    assert not {token for _, token in player.sampled} & set(suppressed)


@on_models([QWEN2])
def test_requests_that_join_leave_and_move_equal_reference(sides: Sides, draw_tokens: Draw) -> None:
    """A lane is freed in the middle of a run, the last lane moves into the hole, another joins."""
    reference = sides.reference
    first, second, third, late = (draw_tokens(n) for n in (30, 650, 12, 200))
    session = Session(sides.model, n_lanes=3, **CONTEXT)
    player = SessionPlayer(session)
    reference.open_context(ContextShape(n_lanes=3, **CONTEXT))
    sampling = SamplingParams(seed=3)
    for lane, prompt in enumerate((first, second, third)):
        player.open_lane(lane, sampling, prompt)
        reference.set_sampler(lane, sampling, prompt)
    opening = generation_steps((first, second, third), n_predict=10, n_chunk=256)
    player.play(opening)
    theirs = play_on_reference(reference, opening)

    session.close_lane(0)
    session.clear_lane(0)
    reference.forget(0)
    player.move(2, 0)
    reference.move(2, 0)
    player.open_lane(2, sampling, late)
    reference.set_sampler(2, sampling, late)
    n_third, n_second = session.lane_length(0), session.lane_length(1)
    reading = [Row(2, pos, token) for pos, token in enumerate(late)]
    reading[-1] = Row(2, len(late) - 1, late[-1], "sample")
    joined = [
        Step(
            running=[Row(0, n_third + i, None, "sample"), Row(1, n_second + i, None, "sample")],
            chunk=reading[i * 40 : (i + 1) * 40],
        )
        for i in range(5)
    ]
    ours = player.play(joined)
    theirs += play_on_reference(reference, joined)
    assert len(ours) == 3 * 10 + 2 * 5 + 1
    assert ours == theirs


@on_models([LLAMA_BPE])
def test_truncated_lane_continues_as_if_the_tail_was_never_read(
    sides: Sides, draw_tokens: Draw
) -> None:
    reference = sides.reference
    kept, tail, other = (draw_tokens(n) for n in (300, 80, 60))
    session = Session(sides.model, n_lanes=1, **CONTEXT)
    player = SessionPlayer(session)
    player.open_lane(0, GREEDY)
    player.play(
        [
            Step(chunk=[Row(0, pos, token) for pos, token in enumerate(kept)]),
            Step(chunk=[Row(0, 300 + pos, token) for pos, token in enumerate(tail)]),
        ]
    )
    session.truncate_lane(0, 300)
    assert session.lane_length(0) == 300

    rest = [Row(0, 300 + pos, token) for pos, token in enumerate(other)]
    rest[-1] = Row(0, 359, other[-1], "sample")
    steps = [Step(chunk=rest)]
    steps += [Step(running=[Row(0, 360 + i, None, "sample")]) for i in range(12)]
    reference.open_context(ContextShape(n_lanes=1, **CONTEXT))
    reference.set_sampler(0, GREEDY)
    reference.decode([Row(0, pos, token) for pos, token in enumerate(kept)])
    assert player.play(steps) == play_on_reference(reference, steps)
