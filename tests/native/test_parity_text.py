"""Streamed text: whole characters at every moment, and together the bytes of the tokens."""

import pytest
from support.model_cases import GENERATIVE, LLAMA_SPM
from support.reference import Row
from support.sides import Sides, on_models
from support.step_script import SessionPlayer, Step, generation_steps

from pyrunner._native import Session
from pyrunner.types import SamplingParams

pytestmark = [pytest.mark.native, pytest.mark.model]

CONTEXT = {"n_ctx": 512, "n_batch": 512, "n_threads": 1}

# In this vocabulary token 3 + b is the byte b, so a bias makes the model stammer bytes.
BYTES = tuple((3 + byte, 100.0) for byte in range(256))
HIGH_BYTES = tuple((3 + byte, 100.0) for byte in range(0x80, 0x100))
EMOJI_BYTES = tuple((3 + byte, 100.0) for byte in b"\xf0\x9f\x98\x80\x81\x82A")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "bias", [BYTES, HIGH_BYTES, EMOJI_BYTES], ids=["all-bytes", "high-bytes", "emoji-bytes"]
)
@on_models([LLAMA_SPM])
def test_junk_bytes_become_valid_text_that_equals_their_lossy_decoding(
    bias: tuple[tuple[int, float], ...], seed: int, sides: Sides
) -> None:
    model, reference = sides.model, sides.reference
    session = Session(model, n_lanes=1, **CONTEXT)
    player = SessionPlayer(session)
    sampling = SamplingParams(temperature=2, top_k=0, top_p=1, min_p=0, seed=seed, logit_bias=bias)
    player.open_lane(0, sampling)
    tokens = [
        token
        for _, token in player.play(generation_steps([[1, 9]], n_predict=300, n_chunk=512))
        if token not in model.end_of_generation_tokens
    ]
    player.pieces[0].append(session.close_lane(0))
    for piece in player.pieces[0]:
        piece.decode()
    said = b"".join(reference.pieces(tokens, render_special=False))
    assert b"".join(player.pieces[0]).decode() == said.decode(errors="replace")
    assert any(piece == b"" for piece in player.pieces[0]), "nothing was ever held back"


@on_models(GENERATIVE)
def test_text_of_random_tokens_equals_the_bytes_of_reference(sides: Sides) -> None:
    """Eight sequences at once: one lane's held-back bytes never reach another's text."""
    model, reference = sides.model, sides.reference
    session = Session(model, n_lanes=8, **CONTEXT)
    player = SessionPlayer(session)
    for lane in range(8):
        wild = SamplingParams(temperature=5, top_k=0, top_p=1, min_p=0, seed=lane)
        player.open_lane(lane, wild, ())
    prompts = [[5 + lane] for lane in range(8)]
    player.play(generation_steps(prompts, n_predict=60, n_chunk=512))
    for lane in range(8):
        player.pieces[lane].append(session.close_lane(lane))
        for piece in player.pieces[lane]:
            piece.decode()
        ends = model.end_of_generation_tokens
        tokens = [token for at, token in player.sampled if at == lane and token not in ends]
        said = b"".join(reference.pieces(tokens, render_special=False))
        assert b"".join(player.pieces[lane]).decode() == said.decode(errors="replace")


@on_models([LLAMA_SPM])
def test_held_back_bytes_move_with_their_sequence(sides: Sides) -> None:
    model = sides.model
    session = Session(model, n_lanes=2, **CONTEXT)
    player = SessionPlayer(session)
    euro = [3 + byte for byte in "\u20ac".encode()]
    player.open_lane(1, SamplingParams(temperature=0, logit_bias=((euro[0], 100.0),)))
    player.play([Step(chunk=[Row(1, 0, 9, "sample")])])
    player.move(1, 0)
    assert player.sampled == [(1, euro[0])]
    assert session.close_lane(0).decode() == "\ufffd"


@on_models([LLAMA_SPM])
def test_new_sequence_does_not_inherit_held_back_bytes(sides: Sides) -> None:
    model = sides.model
    session = Session(model, n_lanes=1, **CONTEXT)
    player = SessionPlayer(session)
    player.open_lane(0, SamplingParams(temperature=0, logit_bias=((3 + 0xE2, 100.0),)))
    player.play([Step(chunk=[Row(0, 0, 9, "sample")])])
    player.open_lane(0, SamplingParams(temperature=0, logit_bias=((3 + 0x82, 100.0),)))
    player.play([Step(running=[Row(0, 1, None, "sample")])])
    assert session.close_lane(0) == b""
    assert b"".join(player.pieces[0]).decode() == "\ufffd"
