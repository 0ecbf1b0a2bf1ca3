"""Cells of every type that llama.cpp has for them: its bits, our estimate, its refusals."""

from collections.abc import Callable

import pytest
from support.model_cases import DEMO, GEMMA3, LLAMA_BPE, LLAMA_SPM, NARROW_HEADS
from support.reference import ContextShape, Row
from support.sides import Sides, on_models
from support.step_script import SessionPlayer, Step

from pyrunner._native import Session
from pyrunner.errors import ContextRefusedError, InvariantError, UnsupportedParameterError
from pyrunner.gguf import CACHE_TYPES, kv_bytes, read_header

pytestmark = [pytest.mark.native, pytest.mark.model]

Draw = Callable[..., list[int]]

CONTEXT = {"n_ctx": 1024, "n_lanes": 2, "n_batch": 512, "n_threads": 1}
AUTO, OFF, ON = -1, 0, 1
Q8_0, Q4_0, F16 = CACHE_TYPES["q8_0"], CACHE_TYPES["q4_0"], CACHE_TYPES["f16"]

in_every_type = pytest.mark.parametrize("cache_type", CACHE_TYPES)


def _cells(type_k: int, type_v: int, flash_attention: int = AUTO) -> dict[str, int]:
    return {"type_k": type_k, "type_v": type_v, "flash_attention": flash_attention}


def _alike(cache_type: str) -> dict[str, int]:
    number = CACHE_TYPES[cache_type]
    return _cells(number, number)


def _read(player: SessionPlayer, lane: int, prompt: list[int]) -> None:
    player.play_step(Step(chunk=[Row(lane, pos, token) for pos, token in enumerate(prompt)]))


def _assert_equal_bits(sides: Sides, cells: dict[str, int], prompts: list[list[int]]) -> None:
    steps = [
        Step(chunk=[Row(lane, pos, token) for pos, token in enumerate(prompt)][first : first + 400])
        for lane, prompt in enumerate(prompts)
        for first in range(0, len(prompt), 400)
    ]
    steps.append(
        Step(running=[Row(lane, len(each), 77, "logits") for lane, each in enumerate(prompts)])
    )
    session = Session(sides.model, **CONTEXT, **cells)
    SessionPlayer(session).play(steps)
    sides.reference.open_context(ContextShape(**CONTEXT, **cells))
    theirs = sides.reference.logits([step.chunk or step.running for step in steps])
    ours = [bytes(session.logits(i_output)) for i_output in range(len(prompts))]
    assert ours == [row.tobytes() for row in theirs]


@in_every_type
@on_models([LLAMA_SPM, DEMO])
def test_logits_over_cells_of_a_type_equal_reference_bit_for_bit(
    sides: Sides, cache_type: str, draw_tokens: Draw
) -> None:
    _assert_equal_bits(sides, _alike(cache_type), [draw_tokens(650), draw_tokens(40, seed=1)])


@pytest.mark.parametrize(
    "cells",
    [
        _cells(F16, F16, OFF),
        _cells(F16, F16, ON),
        _cells(Q8_0, F16, OFF),
        _cells(Q8_0, Q4_0, ON),
        _cells(F16, Q8_0, AUTO),
    ],
    ids=["f16 off", "f16 on", "q8_0 and f16 off", "q8_0 and q4_0 on", "f16 and q8_0 auto"],
)
@on_models([LLAMA_SPM, GEMMA3])
def test_logits_with_flash_attention_as_set_equal_reference_bit_for_bit(
    sides: Sides, cells: dict[str, int], draw_tokens: Draw
) -> None:
    _assert_equal_bits(sides, cells, [draw_tokens(650), draw_tokens(40, seed=1)])


@on_models([LLAMA_SPM])
def test_settings_of_the_cells_change_the_bits(sides: Sides, draw_tokens: Draw) -> None:
    prompt = draw_tokens(650)
    seen = set()
    for cells in (_cells(F16, F16, OFF), _cells(F16, F16, ON), _cells(Q8_0, F16), _alike("q4_0")):
        session = Session(sides.model, **{**CONTEXT, "n_batch": 1024}, **cells)
        player = SessionPlayer(session)
        _read(player, 0, prompt)
        player.play_step(Step(running=[Row(0, len(prompt), 77, "logits")]))
        seen.add(bytes(session.logits(0)))
    assert len(seen) == 4


@in_every_type
@on_models([LLAMA_BPE, LLAMA_SPM, DEMO])
def test_lanes_take_the_bytes_that_the_header_lets_expect(sides: Sides, cache_type: str) -> None:
    header = read_header(sides.path)
    session = Session(sides.model, **CONTEXT, **_alike(cache_type))
    assert session.lanes_bytes == kv_bytes(header, 1024, 2, cache_type, cache_type)
    mixed = Session(sides.model, **CONTEXT, **_cells(CACHE_TYPES[cache_type], F16))
    assert mixed.lanes_bytes == kv_bytes(header, 1024, 2, cache_type, "f16")


@in_every_type
@on_models([GEMMA3])
def test_sliding_windows_take_no_more_than_expected(sides: Sides, cache_type: str) -> None:
    session = Session(sides.model, **CONTEXT, **_alike(cache_type))
    expected = kv_bytes(read_header(sides.path), 1024, 2, cache_type, cache_type)
    assert 0 < session.lanes_bytes <= expected


@in_every_type
@on_models([LLAMA_SPM])
def test_saved_cells_of_a_type_go_on_in_another_lane(
    sides: Sides, cache_type: str, draw_tokens: Draw
) -> None:
    prompt = draw_tokens(500)
    next_row = Row(1, len(prompt), 77, "logits")
    home = Session(sides.model, **CONTEXT, **_alike(cache_type))
    player = SessionPlayer(home)
    _read(player, 1, prompt)
    state = home.save_lane(1)
    player.play_step(Step(running=[next_row]))
    expected = bytes(home.logits(0))

    home.clear_lane(1)
    home.restore_lane(1, state)
    assert home.lane_length(1) == len(prompt)
    player.play_step(Step(running=[next_row]))
    assert bytes(home.logits(0)) == expected

    other = Session(sides.model, **CONTEXT, **_alike(cache_type))
    other.restore_lane(1, state)
    player = SessionPlayer(other)
    player.play_step(Step(running=[next_row]))
    assert bytes(other.logits(0)) == expected


@on_models([LLAMA_SPM])
def test_saved_cells_shrink_with_their_type(sides: Sides, draw_tokens: Draw) -> None:
    sizes = []
    for cache_type in ("f32", "f16", "q8_0", "q4_0"):
        session = Session(sides.model, **CONTEXT, **_alike(cache_type))
        _read(SessionPlayer(session), 0, draw_tokens(500))
        sizes.append(session.save_lane(0).n_bytes)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 1.9 * sizes[1] > 3.4 * sizes[2] > 5.9 * sizes[3]


@pytest.mark.parametrize("cells", [_cells(Q8_0, F16), _cells(F16, Q8_0)], ids=["K", "V"])
@on_models([LLAMA_SPM])
def test_saved_cells_are_refused_by_cells_of_another_type(
    sides: Sides, cells: dict[str, int], draw_tokens: Draw
) -> None:
    session = Session(sides.model, **CONTEXT, **_alike("f16"))
    _read(SessionPlayer(session), 0, draw_tokens(100))
    state = session.save_lane(0)
    other = Session(sides.model, **CONTEXT, **cells)
    with pytest.raises(UnsupportedParameterError):
        other.restore_lane(0, state)
    assert other.lane_length(0) == 0


@pytest.mark.parametrize("flash_attention", [AUTO, OFF, ON], ids=["auto", "off", "on"])
@on_models([NARROW_HEADS])
def test_heads_of_k_narrower_than_a_block_are_refused_in_a_sentence(
    sides: Sides, flash_attention: int
) -> None:
    with pytest.raises(ContextRefusedError, match=r"K cache type q8_0 .* 32 does not divide .*=16"):
        Session(sides.model, **CONTEXT, **_cells(Q8_0, F16, flash_attention))


@pytest.mark.parametrize(
    ("flash_attention", "words"),
    [
        (OFF, "quantized V cache requires flash_attn"),
        (AUTO, r"V cache type q8_0 .* does not divide n_embd_head_v=16"),
    ],
    ids=["off", "auto"],
)
@on_models([NARROW_HEADS])
def test_refusal_of_v_has_the_words_of_llama_cpp(
    sides: Sides, flash_attention: int, words: str
) -> None:
    with pytest.raises(ContextRefusedError, match=words):
        Session(sides.model, **CONTEXT, **_cells(F16, Q8_0, flash_attention))


@pytest.mark.parametrize(
    "cells",
    [_cells(10, F16), _cells(F16, 10), _cells(-1, F16), _cells(999, F16), _cells(F16, F16, 2)],
    ids=["q2_k", "q2_k as V", "negative", "no type", "no choice"],
)
@on_models([LLAMA_SPM])
def test_what_is_no_type_of_cells_is_a_bug_of_ours(sides: Sides, cells: dict[str, int]) -> None:
    with pytest.raises(InvariantError):
        Session(sides.model, **CONTEXT, **cells)
