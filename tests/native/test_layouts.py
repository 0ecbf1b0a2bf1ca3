"""Lanes made anew with other lengths, and what travels between them."""

from collections.abc import Callable

import pytest
from support.model_cases import GEMMA3, LLAMA_BPE, MAMBA, QWEN2
from support.reference import Row
from support.sides import Sides, on_models
from support.step_script import SessionPlayer, Step

from pyrunner._native import LaneState, Session
from pyrunner.errors import InvariantError, UnsupportedParameterError
from pyrunner.types import SamplingParams

Draw = Callable[..., list[int]]

pytestmark = [pytest.mark.native, pytest.mark.model]


def _session(sides: Sides) -> Session:
    return Session(sides.model, n_ctx=1024, n_lanes=4, n_batch=512, n_threads=1)


def _read(player: SessionPlayer, lane: int, prompt: list[int]) -> None:
    for start in range(0, len(prompt), 512):
        part = enumerate(prompt[start : start + 512], start)
        player.play_step(Step(chunk=[Row(lane, pos, token, "-") for pos, token in part]))


def _next_logits(player: SessionPlayer, lane: int, n_read: int) -> bytes:
    player.play_step(Step(running=[Row(lane, n_read, 77, "logits")]))
    return bytes(player.session.logits(0))


@pytest.mark.parametrize("source", [0, 3])
@on_models([LLAMA_BPE, QWEN2, GEMMA3])
def test_cells_of_700_tokens_give_equal_logits_in_every_layout(
    sides: Sides, source: int, draw_tokens: Draw
) -> None:
    prompt = draw_tokens(700)
    player = SessionPlayer(_session(sides))
    session = player.session
    _read(player, source, prompt)
    state = session.save_lane(source)
    assert state.fits_layouts
    expected = _next_logits(player, source, 700)
    for n_ctx, n_lanes, lane in ((2048, 2, 1), (4096, 1, 0), (1024, 4, 2)):
        session.set_layout(n_ctx, n_lanes)
        assert (session.n_lanes, session.n_ctx) == (n_lanes, n_ctx)
        assert [session.lane_length(each) for each in range(n_lanes)] == [0] * n_lanes
        session.restore_lane(lane, state)
        state = session.save_lane(lane)
        assert _next_logits(player, lane, 700) == expected


@on_models([LLAMA_BPE])
def test_a_lane_holds_more_after_the_lanes_were_made_longer(
    sides: Sides, draw_tokens: Draw
) -> None:
    player = SessionPlayer(_session(sides))
    prompt = draw_tokens(1500)
    with pytest.raises(InvariantError):
        _read(player, 0, prompt)
    player.session.set_layout(2048, 2)
    _read(player, 0, prompt)
    assert player.session.lane_length(0) == 1500


@on_models([LLAMA_BPE])
def test_bytes_that_llama_cpp_would_not_have_written_fit_no_other_layout(
    sides: Sides, draw_tokens: Draw
) -> None:
    player = SessionPlayer(_session(sides))
    _read(player, 1, draw_tokens(40))
    state = player.session.save_lane(1)
    sound = bytes(state.view())

    def is_taken(data: bytes) -> bool:
        copy = LaneState.blank(state.n_tokens, len(data), state.n_lanes)
        copy.view(is_writable=True)[:] = data
        return copy.fits_layouts

    assert is_taken(sound)
    assert not any(is_taken(sound[:n_bytes]) for n_bytes in range(0, len(sound), 997))
    assert not is_taken(sound + b"\0")
    # Whatever a number at the beginning says instead: the magic, streams, counts, ids of cells.
    for at in (0, 8, 12, 16, 24):
        for number in (-1, 7, 2**31 - 1):
            damaged = sound[:at] + number.to_bytes(4, "little", signed=True) + sound[at + 4 :]
            assert not is_taken(damaged), f"{number} at {at}"


@on_models([MAMBA])
def test_recurrent_state_says_that_it_fits_no_other_layout(sides: Sides, draw_tokens: Draw) -> None:
    player = SessionPlayer(_session(sides))
    _read(player, 2, draw_tokens(30))
    state = player.session.save_lane(2)
    assert not state.fits_layouts
    player.session.set_layout(2048, 2)
    with pytest.raises(UnsupportedParameterError):
        player.session.restore_lane(0, state)
    assert player.session.lane_length(0) == 0


@on_models([LLAMA_BPE])
def test_a_sampler_waits_without_a_lane_and_goes_on_as_if_it_had_not(
    sides: Sides, draw_tokens: Draw
) -> None:
    prompt = draw_tokens(40)
    sampling = SamplingParams(seed=5, repeat_penalty=1.3, temperature=1.5)

    def play(*, stops: bool) -> list[tuple[int, int]]:
        player = SessionPlayer(_session(sides))
        player.open_lane(0, sampling, prompt)
        _read(player, 0, prompt[:-1])
        player.play_step(Step(chunk=[Row(0, 39, prompt[-1], "sample")]))
        for i in range(12):
            if stops:
                detached = player.session.detach_lane(0)
                player.session.attach_lane(0, detached)
            player.play_step(Step(running=[Row(0, 40 + i, None, "sample")]))
        return player.sampled

    assert play(stops=True) == play(stops=False)


@on_models([LLAMA_BPE])
def test_lanes_are_not_made_anew_while_one_is_open_or_a_row_is_lent(sides: Sides) -> None:
    player = SessionPlayer(_session(sides))
    session = player.session
    player.open_lane(1, SamplingParams())
    with pytest.raises(InvariantError):
        session.set_layout(2048, 2)
    detached = session.detach_lane(1)
    with pytest.raises(InvariantError):
        session.detach_lane(1)
    session.attach_lane(2, detached)
    with pytest.raises(InvariantError):
        session.attach_lane(3, detached)
    session.close_lane(2)
    player.play_step(Step(chunk=[Row(0, 0, 77, "logits")]))
    with session.logits(0), pytest.raises(BufferError):
        session.set_layout(2048, 2)
    with pytest.raises(InvariantError):
        session.set_layout(512, 5)
    session.set_layout(2048, 2)
    with pytest.raises(IndexError):
        session.logits(0)
