"""What a draft model refuses, and that its guesses are what it would say itself."""

import os
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

import pytest
from support.headed_model import ENDING_HEAD
from support.model_cases import LLAMA_BPE, LLAMA_SPM, QWEN2, SMALL_BPE, ModelCase
from support.sides import Sides, on_models

from pyrunner._native import DraftModel, Model, Session
from pyrunner.errors import InvariantError

pytestmark = [pytest.mark.native, pytest.mark.model]

Draw = Callable[..., list[int]]
N_CTX = 1024
LARGEST_GAP = 0.1
"""Logits between a guess and the favourite of llama.cpp where pass shapes differ."""


@pytest.fixture
def session(sides: Sides) -> Session:
    return Session(sides.model, n_ctx=N_CTX, n_lanes=3, n_batch=512, n_threads=1)


@pytest.fixture
def draft(sides: Sides, session: Session) -> DraftModel:
    return DraftModel(sides.model, session, n_ctx=N_CTX, n_lanes=3, n_batch=700)


def _part(lane: int, n_new: int, n_most: int, n_keep: int = 0) -> dict[str, int]:
    return {"lane": lane, "n_keep": n_keep, "n_new": n_new, "n_most": n_most}


def _judge(sides: Sides, prompt: Sequence[int], guesses: Sequence[int]) -> None:
    scores = sides.reference.score(list(prompt), list(guesses), n_batch=1024)
    assert max(score.gap for score in scores) <= LARGEST_GAP


@on_models([LLAMA_BPE, LLAMA_SPM])
def test_guesses_for_texts_of_all_lengths_are_the_likeliest_tokens(
    sides: Sides, draft: DraftModel, draw_tokens: Draw
) -> None:
    prompts = [draw_tokens(n, seed=n) for n in (3, 640, 40)]
    parts = [_part(0, 3, 8), _part(1, 640, 1), _part(2, 40, 5)]
    counts, guesses = draft.draft(parts, list(chain(*prompts)))
    assert counts == [8, 1, 5]
    for prompt, said in zip(prompts, (guesses[:8], guesses[8:9], guesses[9:]), strict=True):
        _judge(sides, prompt, said)


@on_models([LLAMA_BPE])
def test_what_a_lane_keeps_of_a_draft_is_read_no_more(
    sides: Sides, draft: DraftModel, draw_tokens: Draw
) -> None:
    prompt = draw_tokens(640)
    _, first = draft.draft([_part(1, 640, 8)], prompt)
    # Three of them were right, the fourth was another token.
    text = [*prompt, *first[:3], 300]
    _, second = draft.draft([_part(1, 1, 8, n_keep=643)], [300])
    _judge(sides, text, second)


@on_models([LLAMA_BPE])
def test_a_text_can_be_read_without_a_guess(
    sides: Sides, draft: DraftModel, draw_tokens: Draw
) -> None:
    prompt = draw_tokens(650)
    assert draft.draft([_part(0, 640, 0)], prompt[:640]) == ([0], [])
    counts, guesses = draft.draft([_part(0, 10, 4, n_keep=640)], prompt[640:])
    assert counts == [4]
    _judge(sides, prompt, guesses)


@on_models([ENDING_HEAD])
def test_a_draft_ends_before_the_end_of_an_answer(draft: DraftModel) -> None:
    counts, guesses = draft.draft([_part(0, 2, 4), _part(1, 1, 4)], [5, ENDING_HEAD.last, 6])
    assert counts == [0, 4]
    # What the lane holds behind the end is nobody's guess, and is dropped like any other.
    assert draft.draft([_part(0, 1, 4, n_keep=1), _part(1, 1, 4)], [6, 6])[1] == 2 * guesses


@on_models([LLAMA_BPE])
def test_lanes_made_anew_are_empty_and_as_many_as_asked(
    sides: Sides, draft: DraftModel, draw_tokens: Draw
) -> None:
    prompt = draw_tokens(640)
    draft.draft([_part(2, 640, 1)], prompt)
    draft.set_layout(2048, 1)
    assert (draft.n_ctx, draft.n_lanes) == (2048, 1)
    with pytest.raises(InvariantError):
        draft.draft([_part(0, 1, 1, n_keep=1)], [5])
    _, guesses = draft.draft([_part(0, 640, 4)], prompt)
    _judge(sides, prompt, guesses)


@on_models([LLAMA_BPE])
@pytest.mark.parametrize(
    ("parts", "n_tokens"),
    [
        ([_part(3, 1, 1)], 1),
        ([_part(-1, 1, 1)], 1),
        ([_part(0, 1, 1), _part(0, 1, 1)], 2),
        ([_part(0, 1, 1, n_keep=1)], 1),
        ([_part(0, 1, 1, n_keep=-1)], 1),
        ([_part(0, 0, 1)], 0),
        ([_part(0, -1, 0)], 0),
        ([_part(0, 1, -1)], 1),
        ([_part(0, 2, 1)], 1),
        ([_part(0, 1, 1)], 2),
        ([_part(0, 2, N_CTX)], 2),
        ([_part(0, 701, 1)], 701),
    ],
    ids=[
        "no such lane",
        "a lane below 0",
        "a lane twice",
        "more kept than held",
        "fewer than none kept",
        "a guess behind nothing new",
        "fewer than none new",
        "fewer than no guesses",
        "too few tokens",
        "too many tokens",
        "guesses behind the last cell",
        "more than a batch",
    ],
)
def test_parts_that_cannot_be_are_refused_and_nothing_happens(
    draft: DraftModel, parts: list[dict[str, int]], n_tokens: int
) -> None:
    before = draft.draft([_part(1, 3, 4)], [5, 6, 7])
    with pytest.raises(InvariantError):
        draft.draft(parts, [5] * n_tokens)
    assert draft.draft([_part(1, 1, 4, n_keep=2)], [7]) == before


@on_models([LLAMA_BPE])
def test_the_last_cell_can_be_guessed_behind(draft: DraftModel, draw_tokens: Draw) -> None:
    prompt = draw_tokens(N_CTX - 1)
    draft.draft([_part(0, 600, 0)], prompt[:600])
    counts, _ = draft.draft([_part(0, N_CTX - 601, 2, n_keep=600)], prompt[600:])
    assert counts == [2]


@on_models([LLAMA_BPE])
def test_a_token_that_the_draft_model_does_not_have_stands_for_nothing(draft: DraftModel) -> None:
    assert draft.draft([_part(0, 3, 2)], [5, 10**6, 7])[0] == [2]


@on_models([LLAMA_BPE])
def test_a_draft_model_outlives_the_names_of_what_it_uses(
    sides: Sides, session: Session, draft: DraftModel
) -> None:
    other = DraftModel(sides.model, session, n_ctx=64, n_lanes=1, n_batch=8)
    del session
    assert other.draft([_part(0, 3, 2)], [5, 6, 7])[0] == [2]
    assert draft.lanes_bytes > other.lanes_bytes > 0


@pytest.mark.parametrize(
    ("draft_case", "words"),
    [(LLAMA_BPE, ""), (SMALL_BPE, ""), (QWEN2, "begin with another"), (LLAMA_SPM, "another kind")],
    ids=["itself", "a smaller one", "other control tokens", "another tokenizer"],
)
@on_models([LLAMA_BPE])
def test_only_a_model_of_the_same_tokens_can_draft(
    sides: Sides, draft_case: ModelCase, words: str, model_folder: Path
) -> None:
    model = Model()
    path = draft_case.file(model_folder)
    assert model.load([os.fsencode(path)], vocab_only=True) == 0
    said = DraftModel.obstacle(model, sides.model)
    assert words in said
    assert bool(said) == bool(words)
