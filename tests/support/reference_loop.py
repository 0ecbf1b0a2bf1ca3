"""Continuous batching as the architecture describes it, over the reference program.

Written from the description and not from the engine's code: requests take the lowest free lane;
a hole left by one that ended is filled by the next request or by the last lane; running sequences
are decoded first, one token each; then a prompt is read, in equal chunks that are smaller when
something runs, and the next ones with it where that would be fewer than 64 tokens. First comes the
prompt that would be done first if all took turns, token by token.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from msgspec.structs import replace

from pyrunner.types import SamplingParams
from support.reference import ContextShape, Reference, Row, Want


@dataclass(slots=True, kw_only=True)
class Planned:
    """A request that arrives before step `arrives_at` and wants exactly `n_predict` tokens."""

    request_id: int
    prompt: Sequence[int]
    sampling: SamplingParams
    n_predict: int
    arrives_at: int = 0


@dataclass(slots=True)
class _Running:
    request: Planned
    i_admitted: int
    n_read: int = 0
    tokens: list[int] = field(default_factory=list)

    @property
    def is_reading(self) -> bool:
        return self.n_read < len(self.request.prompt)


class ReferenceLoop:
    """Plays requests to their end; end-of-generation tokens are never chosen."""

    def __init__(
        self,
        reference: Reference,
        shape: ContextShape,
        *,
        n_chunk_shared: int,
        n_twice: int,
        n_block: int = 0,
    ) -> None:
        self._reference = reference
        self._shape = shape
        self._n_chunk_shared = n_chunk_shared
        self._n_twice = n_twice
        self._n_block = n_block  # no chunk goes over a multiple of it
        self._lanes: dict[int, _Running] = {}
        self._n_admitted = 0
        self._turns: dict[int, Fraction] = {}  # by i_admitted: left to read, if all took turns
        self._over: list[int] = []  # whose turns are over, in that order

    def run(self, requests: Sequence[Planned]) -> dict[int, list[int]]:
        """The tokens of each request."""
        self._reference.open_context(self._shape)
        to_come = sorted(requests, key=lambda each: each.arrives_at)
        waiting: list[Planned] = []
        done: dict[int, list[int]] = {}
        i_step = 0
        while to_come or waiting or self._lanes:
            while to_come and to_come[0].arrives_at <= i_step:
                waiting.append(to_come.pop(0))
            self._admit(waiting)
            self._close_holes()
            self._step()
            for lane, each in list(self._lanes.items()):
                if len(each.tokens) == each.request.n_predict:
                    done[each.request.request_id] = each.tokens
                    self._reference.forget(lane)
                    del self._lanes[lane]
            i_step += 1
        return done

    def _admit(self, waiting: list[Planned]) -> None:
        free = [lane for lane in range(self._shape.n_lanes) if lane not in self._lanes]
        for lane in free[: len(waiting)]:
            request = waiting.pop(0)
            ends = self._reference.facts.end_of_generation
            never = tuple((token, float("-inf")) for token in ends)
            sampling = replace(request.sampling, logit_bias=request.sampling.logit_bias + never)
            self._reference.set_sampler(lane, sampling, request.prompt)
            self._lanes[lane] = _Running(request, self._n_admitted)
            self._turns[self._n_admitted] = Fraction(len(request.prompt))
            self._n_admitted += 1

    def _close_holes(self) -> None:
        while self._lanes and max(self._lanes) >= len(self._lanes):
            last = max(self._lanes)
            hole = next(lane for lane in range(last) if lane not in self._lanes)
            self._reference.move(last, hole)
            self._lanes[hole] = self._lanes.pop(last)

    def _step(self) -> None:
        running = sorted(lane for lane, each in self._lanes.items() if not each.is_reading)
        chunk = self._chunk(is_shared=bool(running))
        if running:
            rows = [self._running_row(lane) for lane in running]
            self._take(running, self._reference.decode(rows))
        if chunk:
            sampled = [row.lane for row in chunk if row.want == "sample"]
            self._take(sampled, self._reference.decode(chunk))

    def _running_row(self, lane: int) -> Row:
        each = self._lanes[lane]
        return Row(lane, len(each.request.prompt) + len(each.tokens) - 1, None, "sample")

    def _chunk(self, *, is_shared: bool) -> list[Row]:
        n_batch = self._shape.n_batch
        rows: list[Row] = []
        n_worked = 0
        for lane, each in sorted(self._lanes.items(), key=lambda item: self._place(item[1])):
            prompt, begin = each.request.prompt, each.n_read
            n_left = len(prompt) - begin
            if self._n_block:
                n_left = min(n_left, self._n_block - begin % self._n_block)
            if n_left == 0 or len(rows) >= min(64, n_batch):
                continue
            n_more = min(math.ceil(n_left / math.ceil(n_left / n_batch)), n_batch - len(rows))
            work = [self._n_twice + min(i, 3584) for i in range(begin, begin + n_left)]
            if is_shared:
                n_more = min(n_more, self._n_shared(work, n_worked))
            if n_more == 0:
                break
            n_worked += sum(work[:n_more])
            for pos in range(begin, begin + n_more):
                want: Want = "sample" if pos == len(prompt) - 1 else "-"
                rows.append(Row(lane, pos, prompt[pos], want))
            each.n_read += n_more
        self._take_turns(Fraction(len(rows)))
        return sorted(rows, key=lambda row: (row.lane, row.pos))

    def _n_shared(self, work: Sequence[int], n_worked: int) -> int:
        """Of tokens with so much work each, how many are read beside running sequences."""
        usual = self._n_chunk_shared * (self._n_twice + 3584)
        n_chunks = max(1, math.floor(Fraction(sum(work), usual) + Fraction(1, 2)))
        n = next(n for n in range(1, len(work) + 1) if sum(work[:n]) * n_chunks >= sum(work))
        while n_worked + sum(work[:n]) > usual * 3 // 2:
            n -= 1
        return n

    def _place(self, running: _Running) -> tuple[bool, Fraction, int]:
        i_admitted = running.i_admitted
        if i_admitted in self._turns:
            return True, self._turns[i_admitted], i_admitted
        return False, Fraction(self._over.index(i_admitted)), i_admitted

    def _take_turns(self, n_tokens: Fraction) -> None:
        while n_tokens and self._turns:
            each_gets = min(*self._turns.values(), n_tokens / len(self._turns))
            n_tokens -= each_gets * len(self._turns)
            self._turns = {i: left - each_gets for i, left in self._turns.items()}
            self._over += [i for i, left in self._turns.items() if not left]
            self._turns = {i: left for i, left in self._turns.items() if left}

    def _take(self, lanes: Sequence[int], numbers: Sequence[float]) -> None:
        for lane, number in zip(lanes, numbers, strict=True):
            self._lanes[lane].tokens.append(int(number))
