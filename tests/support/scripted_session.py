"""A session without a model: tokens follow from the cells they are read from, and from the sampler.

A token says which cells its lane had and how often its sampler was asked, so that an answer is
right only when the cells, the sampler and the text of its sequence stayed together on all ways.
"""

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from pyrunner._native.status import Status
from pyrunner.config import EngineConfig
from pyrunner.engine.admission import Admission
from pyrunner.engine.loop import EngineLoop
from pyrunner.engine.prefix_cache import PrefixCache
from pyrunner.engine.speculation import N_DRAFTS
from pyrunner.errors import InvariantError, OutOfMemoryError
from support.scripted_lanes import Cell, ScriptedLanes

if TYPE_CHECKING:
    from pyrunner._native import LaneState, Model, Session
    from pyrunner.engine.disk_tier import DiskTier
    from support.scripted_lanes import SavedLane

N_VOCAB = 1009
END_EVERY = 61
"""Tokens that are a multiple of it end an answer."""


def scripted_token(cells: Sequence[int], seed: int, n_asked: int) -> int:
    return hash((*cells, seed, n_asked)) % N_VOCAB


@dataclass(slots=True)
class ScriptedVoice:
    """Stands in for `OpenLane`; an answer's text comes one token late."""

    seed: int
    n_asked: int = 0
    held: bytes = b""

    def close(self) -> bytes:
        held, self.held = self.held, b""
        return held


class _Plan(NamedTuple):
    tokens: memoryview
    positions: memoryview
    lanes: memoryview
    outputs: memoryview


@dataclass(slots=True, kw_only=True)
class ScriptedSession(ScriptedLanes):
    """What the loop uses of a session."""

    n_batch: int = 64
    has_ends: bool = True
    """False: no token ends an answer."""
    n_layouts_without_memory: int = 0
    """So many of the next layouts, but for the last one there was, find no memory."""
    n_interrupted_after: int | None = None
    """Rows of the next chunk that are read before it is interrupted."""
    is_lent: bool = False
    adapter: str = ""
    """What it computes with; cells say in their salt what has computed them."""
    n_lanes_max: int = field(init=False)
    plan: _Plan = field(init=False)
    voices: dict[int, ScriptedVoice] = field(default_factory=dict)
    result: tuple[list[int], list[int], list[int], list[int]] = field(init=False)
    text: bytes = b""
    layouts: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super(ScriptedSession, self).__post_init__()  # slots make another class of this one
        self.n_lanes_max = self.n_lanes
        n_rows = self.n_batch + self.n_lanes + N_DRAFTS
        views = [memoryview(array(kind, bytes(n_rows * size))) for kind, size in _KINDS]
        self.plan = _Plan(*views)

    def open_lane(self, lane: int, params: dict[str, Any], **_: object) -> None:
        assert lane not in self.open_lanes
        self.attach_lane(lane, ScriptedVoice(params["seed"]))

    def close_lane(self, lane: int) -> bytes:
        return self.detach_lane(lane).close()

    def detach_lane(self, lane: int) -> ScriptedVoice:
        self.open_lanes.remove(lane)
        return self.voices.pop(lane)

    def attach_lane(self, lane: int, detached: ScriptedVoice) -> None:
        assert lane not in self.open_lanes
        assert lane < self.n_lanes
        self.open_lanes.add(lane)
        self.voices[lane] = detached

    def move_lane(self, source: int, to: int) -> None:
        super(ScriptedSession, self).move_lane(source, to)
        self.voices[to] = self.voices.pop(source)

    def set_layout(self, n_ctx: int, n_lanes: int) -> None:
        if self.open_lanes or not 1 <= n_lanes <= self.n_lanes_max:
            raise InvariantError("making the lanes anew")
        before = self.layouts[-1] if self.layouts else (self.n_lanes, self.n_ctx)
        self.cells = []
        if self.n_layouts_without_memory and (n_lanes, n_ctx) != before:
            self.n_layouts_without_memory -= 1
            raise OutOfMemoryError(during="making the lanes anew")
        self.n_ctx, self.n_lanes = n_ctx, n_lanes
        self.layouts.append((n_lanes, n_ctx))
        self.cells = [[] for _ in range(n_lanes)]

    def truncate_lane(self, lane: int, n_keep: int) -> None:
        is_open = lane in self.open_lanes
        if is_open:
            assert n_keep == len(self.cells[lane]) - 1, "more than one token is read again"
            self.open_lanes.discard(lane)
        try:
            super(ScriptedSession, self).truncate_lane(lane, n_keep)
        finally:
            if is_open:
                self.open_lanes.add(lane)

    def clear_lane(self, lane: int) -> None:
        if lane in self.open_lanes:
            assert not self.can_drop_tails, "a running request was cleared"
            self.cells[lane] = []
        else:
            super(ScriptedSession, self).clear_lane(lane)

    def set_adapter(self, adapter: str | None) -> None:
        self.adapter = adapter or ""

    def set_threads(self, n_threads: int) -> None:
        """Nothing depends on it."""

    def interrupt(self) -> None:
        self.n_interrupted_after = 0

    def step(self, n_decode: int, n_chunk: int) -> Status:
        lanes, tokens, ends, offsets, text = [], [], [], [0], b""
        order = list(self.plan.lanes[:n_decode]), list(self.plan.lanes[n_decode:][:n_chunk])
        assert all(part == sorted(part) for part in order), "a part is not sorted by lane"
        assert n_chunk <= self.n_batch
        stop = n_chunk
        if n_chunk and self.n_interrupted_after is not None:
            stop = min(self.n_interrupted_after, n_chunk - 1)
            self.n_interrupted_after = None
        chosen, is_wrong = -1, False
        for row in range(n_decode + stop):
            lane = self.plan.lanes[row]
            assert lane in self.open_lanes
            is_guess = 0 < row < n_decode and lane == self.plan.lanes[row - 1]
            is_wrong = is_guess and (is_wrong or chosen != self.plan.tokens[row])
            if is_wrong:
                continue
            assert self.plan.positions[row] == len(self.cells[lane]) < self.n_ctx
            self.cells[lane].append(Cell(self.plan.tokens[row], self.adapter))
            assert self.cells[lane][0].salt == self.adapter, "cells of another adapter"
            is_sampled = self.plan.outputs[row] == 1
            if not is_sampled or (row >= n_decode and stop < n_chunk):
                continue
            voice = self.voices[lane]
            token = scripted_token(self.tokens(lane), voice.seed, voice.n_asked)
            voice.n_asked += 1
            lanes.append(lane)
            tokens.append(token)
            ends.append(int(self.has_ends and token % END_EVERY == 0))
            chosen = -1 if ends[-1] else token
            if not ends[-1]:
                text += voice.held
                voice.held = b"%d " % token
            offsets.append(len(text))
        self.result, self.text = (lanes, tokens, ends, offsets), text
        return Status.OK if stop == n_chunk else Status.ABORTED


def scripted_loop(
    session: ScriptedSession,
    budget_bytes: int = 10**6,
    *,
    n_ctx_train: int = 0,
    disk: "DiskTier[SavedLane] | None" = None,
    clock: Callable[[], float] = lambda: 0.0,
) -> EngineLoop:
    """The real loop over a scripted session."""
    model = SimpleNamespace(
        is_causal=True,
        n_ctx_train=n_ctx_train,
        n_vocab=N_VOCAB,
        n_embd=8,
        n_params=1,
        size_bytes=1,
        description="",
        meta=lambda _: "",
    )
    config = EngineConfig(
        n_ctx=session.n_ctx, n_lanes=session.n_lanes, n_batch=session.n_batch, n_threads=1
    )
    loop = EngineLoop(cast("Model", model), config, can_generate=False, clock=clock)
    native = loop._session = cast("Session", session)
    held = PrefixCache(native, budget_bytes, cast("DiskTier[LaneState] | None", disk))
    loop._admission = Admission(native, held, clock, n_ctx_model=n_ctx_train)
    return loop


_KINDS = (("i", 4), ("i", 4), ("i", 4), ("b", 1))
