"""Logprobs of whole generations: every token of the text, in order, with llama.cpp's numbers."""

import numpy as np
import pytest
from support.answers import text_of
from support.model_cases import LLAMA_BPE
from support.reference import ContextShape, Row
from support.sides import Sides, on_models

from pyrunner import Engine
from pyrunner.config import EngineConfig
from pyrunner.errors import InvalidParameterError
from pyrunner.types import Event, Limits, SamplingParams, TextEvent, TokenLogprobs

CLOSE = 1e-4
DRAWN = SamplingParams(temperature=1.5, top_k=0, top_p=1.0, min_p=0.0, seed=3)
"""Random bytes of random tokens: many of them are no whole character."""
LIMITS = Limits(max_tokens=60, ignore_eos=True)


def _tokens_of(events: list[Event]) -> list[TokenLogprobs]:
    return [each for event in events if isinstance(event, TextEvent) for each in event.logprobs]


def _bytes_of(tokens: list[TokenLogprobs]) -> bytes:
    return b"".join(each.chosen.piece for each in tokens)


@pytest.mark.parametrize("n_prompt", [7, 640])
@on_models([LLAMA_BPE])
def test_numbers_are_those_of_the_reference(sides: Sides, n_prompt: int) -> None:
    prompt = [300 + i % 977 for i in range(n_prompt)]
    config = EngineConfig(n_ctx=1024, n_lanes=1, n_batch=512, n_threads=1, speculation="off")
    with Engine(sides.path, config=config) as engine:
        events = list(engine.generate(prompt, sampling=DRAWN, limits=LIMITS, n_logprobs=20))
    found = _tokens_of(events)
    assert len(found) > 20
    whole = [*prompt, *(each.chosen.token for each in found)]
    rows = [
        Row(0, pos, token, "logits" if pos >= n_prompt - 1 else "-")
        for pos, token in enumerate(whole[:-1])
    ]
    chunks = [rows[start : min(start + 192, n_prompt)] for start in range(0, n_prompt, 192)]
    steps = [*chunks, *([row] for row in rows[n_prompt:])]
    shape = ContextShape(n_ctx=1024, n_lanes=1, n_batch=192, n_threads=1, flash_attention=0)
    sides.reference.open_context(shape)
    theirs = sides.reference.logits(steps).astype(np.float64)
    theirs -= theirs.max(axis=1, keepdims=True)
    theirs -= np.log(np.exp(theirs).sum(axis=1, keepdims=True))
    for token, row in zip(found, theirs, strict=True):
        assert abs(token.chosen.logprob - row[token.chosen.token]) < CLOSE
        best = np.sort(row)[::-1][:20]
        ours = [each.logprob for each in token.likeliest]
        assert np.allclose(ours, best, atol=CLOSE, rtol=0)
        assert all(abs(row[each.token] - each.logprob) < CLOSE for each in token.likeliest)


def test_every_token_of_the_text_is_reported_through_incomplete_characters(
    engine: Engine,
) -> None:
    events = list(engine.generate("Hello", sampling=DRAWN, limits=LIMITS, n_logprobs=0))
    tokens = _tokens_of(events)
    assert any(_is_part_of_a_character(each.chosen.piece) for each in tokens)
    assert len(tokens) == 60
    assert _bytes_of(tokens).decode("utf-8", "replace") == text_of(events)
    assert all(each.likeliest == () for each in tokens)


def test_tokens_up_to_a_stop_string_are_reported(engine: Engine) -> None:
    whole = list(engine.generate("Hello", sampling=DRAWN, limits=LIMITS, n_logprobs=0))
    text = text_of(whole)
    stop = text[len(text) // 2 :][:3]
    near_miss = stop + "\0"
    limits = Limits(max_tokens=60, ignore_eos=True, stop=(stop, near_miss))
    events = list(engine.generate("Hello", sampling=DRAWN, limits=limits, n_logprobs=0))
    tokens = _tokens_of(events)
    assert text_of(events) == text[: text.index(stop)]
    assert tokens == _tokens_of(whole)[: len(tokens)]
    said = _bytes_of(tokens).decode("utf-8", "replace")
    assert said.startswith(text_of(events))
    assert not _bytes_of(tokens[:-1]).decode("utf-8", "replace").startswith(text_of(events))


def test_text_that_only_began_a_stop_string_keeps_its_tokens(engine: Engine) -> None:
    whole = list(engine.generate("Hello", sampling=DRAWN, limits=LIMITS, n_logprobs=0))
    text = text_of(whole)
    stops = tuple(text[at : at + 5] + "\0" for at in range(3, 40, 4))
    limits = Limits(max_tokens=60, ignore_eos=True, stop=stops)
    events = list(engine.generate("Hello", sampling=DRAWN, limits=limits, n_logprobs=0))
    assert text_of(events) == text
    assert _tokens_of(events) == _tokens_of(whole)


def test_the_end_token_is_not_reported_and_nobody_gets_what_others_asked_for(
    engine: Engine,
) -> None:
    end = 128001
    plain = engine.generate("Hello", sampling=DRAWN, limits=Limits(max_tokens=5, ignore_eos=True))
    ending = SamplingParams(temperature=0, logit_bias=((end, 100.0),))
    ended = list(engine.generate("Hello", sampling=ending, n_logprobs=3))
    assert ended[-1].usage.completion_tokens == 1  # type: ignore[union-attr]  # a finish
    assert _tokens_of(ended) == []
    assert _tokens_of(list(plain)) == []


@pytest.mark.parametrize("n_logprobs", [-1, 21])
def test_a_number_outside_the_range_is_refused(engine: Engine, n_logprobs: int) -> None:
    with pytest.raises(InvalidParameterError, match="n_logprobs"):
        engine.generate("Hello", n_logprobs=n_logprobs)


def _is_part_of_a_character(piece: bytes) -> bool:
    try:
        piece.decode()
    except UnicodeDecodeError:
        return True
    return False
