"""Row 10: a client hangs up; how soon is the lane free?

Seen from outside: there is one lane, a second request waits for it, and its first token comes so
much later than it does alone.
"""

import random
import statistics
import threading
import time

from measuring.pairs import report
from measuring.programs import MeasurementError
from measuring.table import Row

from engine.bench import Bench
from engine.client import Answer, Ask, Stream, ask, whole
from engine.contestants import Endpoint, Own
from engine.models import Model
from engine.race import warm_up

_OWN = Own(n_lanes=1, n_ctx=4096)
_N_TRIES = 20
"""Per pair: 100 in five, so that there is a 99th percentile."""
_N_BEFORE = 8
"""Pieces of text before a decode is cancelled."""
_QUEUEING_S = 0.1
"""What the waiting request gets to reach the queue."""
_PATIENCE_S = 120.0
_TARGET_MS = 150
_SOONEST, _LATEST = 0.05, 0.5
"""When a prompt is cancelled: shares of the time that reading all of it takes."""


def rows(bench: Bench) -> list[Row]:
    """During decode and during a long prompt."""
    model, n_in = bench.model("135m"), bench.sized(3500, 1500)
    n_tries = bench.n_rounds() * bench.sized(_N_TRIES, 3)
    with _OWN.running(bench, model) as endpoint:
        warm_up(endpoint, model)
        lane = _Lane(endpoint, model)
        decode_ms = [lane.free_after_decode_ms(i) for i in range(n_tries)]
        report(f"10 cancel during decode: {max(decode_ms):.0f} ms at most")
        prompt_s = lane.prompt_s(n_in)
        prefill_ms = [lane.free_after_prefill_ms(i, n_in, prompt_s) for i in range(n_tries)]
        report(f"10 cancel during a prompt: {max(prefill_ms):.0f} ms at most")
    return [
        _row("10. cancel during decode", decode_ms),
        _row(f"10. cancel during a prompt of {n_in:,} tokens", prefill_ms),
    ]


def _row(what: str, values_ms: list[float]) -> Row:
    return Row(
        what=what,
        against=f"from the client's close to the lane being free (ours: {_OWN.label})",
        unit="ms",
        values=tuple(values_ms),
        target=_TARGET_MS,
        decided_by="p99",
    )


class _Lane:
    """The only one there is."""

    def __init__(self, endpoint: Endpoint, model: Model) -> None:
        self._endpoint = endpoint
        self._model = model
        self._tick = threading.Event()
        self._alone_s = statistics.median(self._wait_for_it().first_s for _ in range(9))

    def free_after_decode_ms(self, i_try: int) -> float:
        """Cancel an answer in its middle."""
        words = self._model.words
        request = Ask(prompt=words.text(16, 10, i_try), n_out=2000, bias=words.bias)
        with self._opened(request) as stream:
            events = stream.events()
            for _ in range(_N_BEFORE):
                next(events)
            return self._free_ms(stream)

    def free_after_prefill_ms(self, i_try: int, n_in: int, prompt_s: float) -> float:
        """Cancel a prompt while it is read."""
        share = random.Random(i_try).uniform(_SOONEST, _LATEST)
        request = Ask(prompt=self._model.words.text(n_in, 10, i_try), n_out=1)
        with self._opened(request) as stream:
            self._tick.wait(share * prompt_s)
            return self._free_ms(stream)

    def prompt_s(self, n_in: int) -> float:
        """What reading a whole prompt takes."""
        request = Ask(prompt=self._model.words.text(n_in, 10, "whole"), n_out=1)
        [answer] = whole([ask(self._endpoint.port, self._endpoint.model, request)])
        return answer.first_s

    def _opened(self, request: Ask) -> Stream:
        return Stream(self._endpoint.port, self._endpoint.model, request)

    def _free_ms(self, stream: Stream) -> float:
        got: list[Answer] = []
        waiter = threading.Thread(target=lambda: got.append(self._wait_for_it()), daemon=True)
        waiter.start()
        self._tick.wait(_QUEUEING_S)
        if got:
            raise MeasurementError("The lane was free before its request was cancelled.")
        closed_s = time.perf_counter()
        stream.close()
        waiter.join(_PATIENCE_S)
        if not got:
            raise MeasurementError(f"A cancelled request kept its lane for {_PATIENCE_S:.0f} s.")
        [answer] = whole(got)
        return max(0.0, answer.begin_s + answer.first_s - closed_s - self._alone_s) * 1000

    def _wait_for_it(self) -> Answer:
        request = Ask(prompt=self._model.words.text(4, 10, "waiting"), n_out=1)
        return ask(self._endpoint.port, self._endpoint.model, request)
