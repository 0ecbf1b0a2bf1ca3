"""Row 5: a long prompt arrives while others stream."""

import threading
from collections.abc import Sequence

from measuring.programs import MeasurementError
from measuring.table import Row

from engine.bench import Bench
from engine.client import Answer, Ask, Stream, answer_of, ask, whole
from engine.contestants import Endpoint, LlamaServer, Own, described
from engine.models import Model
from engine.race import Figures, Outcome, Sides, race, warm_up

_N_STREAMS = 3
_N_BEFORE = 16
"""Tokens that each stream has given before the prompt arrives."""
_N_STREAMED = 1200
"""More than come until the prompt is read; the rest is cancelled."""
_PATIENCE_S = 120.0

_OWN = Own(n_lanes=4, n_ctx=4096)
_DEFAULTS = LlamaServer()
_SMALL_BATCHES = LlamaServer(("-b", "128", "-ub", "128"))


def rows(bench: Bench) -> list[Row]:
    """Longest gap of a stream, and the prompt's own time, against both configurations."""
    model, n_in = bench.model("135m"), bench.sized(3500, 700)

    def workload(endpoint: Endpoint, i_round: int) -> Figures:
        warm_up(endpoint, model)
        texts = [model.words.text(64, 5, i_round, i) for i in range(_N_STREAMS)]
        streams = [_Streaming(endpoint, model, text) for text in texts]
        try:
            for each in streams:
                each.wait_for_text()
            request = Ask(prompt=model.words.text(n_in, 5, i_round), n_out=1)
            [arrived] = whole([ask(endpoint.port, endpoint.model, request)])
        finally:
            ended = [each.finish() for each in streams]
        return _figures(arrived, ended)

    sides = Sides(own=_OWN, named=(_DEFAULTS, _SMALL_BATCHES))
    outcome = race(bench, "5 long prompt", model, sides, workload)
    work = f"a prompt of {n_in:,} tokens arrives while {_N_STREAMS} streams run"
    return [
        _row(outcome, f"5. longest gap: {work}", "gap_s", _DEFAULTS, 1 / 8),
        _row(outcome, f"5. its own time: {work}", "prompt_s", _DEFAULTS, 1.15),
        _row(outcome, f"5. longest gap, small batches: {work}", "gap_s", _SMALL_BATCHES, 1.0),
        _row(outcome, f"5. its own time, small batches: {work}", "prompt_s", _SMALL_BATCHES, 1.0),
    ]


def _row(outcome: Outcome, what: str, key: str, other: LlamaServer, target: float) -> Row:
    found = outcome.compare(key, "low", (other.label,))
    return Row(
        what=what,
        against=described(_OWN, (other.label,), other.label),
        unit="x",
        values=found.ratios,
        target=target,
        raw=outcome.raw if other is _DEFAULTS and key == "gap_s" else {},
    )


def _figures(arrived: Answer, streams: Sequence[Answer]) -> Figures:
    short = [each for each in streams if each.end_s < arrived.end_s]
    if short:
        raise MeasurementError(f"A stream ended before the long prompt was read: {short[0].error}")
    gap_s = max(each.longest_gap_s(arrived.begin_s, arrived.end_s) for each in streams)
    return {"gap_s": gap_s, "prompt_s": arrived.first_s}


class _Streaming:
    """A stream that another thread reads until it is told to stop."""

    def __init__(self, endpoint: Endpoint, model: Model, prompt: str) -> None:
        request = Ask(prompt=prompt, n_out=_N_STREAMED, bias=model.words.bias)
        self._stream = Stream(endpoint.port, endpoint.model, request)
        self._events: list[tuple[float, bytes]] = []
        self._runs = threading.Event()
        self._is_wanted = True
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def wait_for_text(self) -> None:
        """Until it has said something."""
        if not self._runs.wait(_PATIENCE_S):
            raise MeasurementError("A stream did not begin.")

    def finish(self) -> Answer:
        """Hang up; what came until one event after this call, so that the last gap is whole."""
        self._is_wanted = False
        self._thread.join(_PATIENCE_S)
        events = list(self._events)
        end_s = events[-1][0] if events else self._stream.begin_s
        return answer_of(self._stream.begin_s, end_s, events)

    def _read(self) -> None:
        with self._stream:
            for event in self._stream.events():
                self._events.append(event)
                if len(self._events) == _N_BEFORE:
                    self._runs.set()
                if not self._is_wanted:
                    return
