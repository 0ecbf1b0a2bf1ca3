"""Row 9: other processes keep half of the cores busy."""

import os

from measuring.machine import busy_processes
from measuring.table import Row

from engine.bench import Bench
from engine.client import Ask, ask, whole
from engine.contestants import PLAIN_ATTENTION, Endpoint, LlamaServer, Own, described
from engine.race import Figures, Sides, race, warm_up

_OWN = Own(n_lanes=1, n_ctx=2048, is_thread_count_its_own=True)
_DEFAULTS = LlamaServer(is_thread_count_its_own=True)


def rows(bench: Bench) -> list[Row]:
    """Against its defaults, and against the best number of threads."""
    model, n_out = bench.model("135m"), bench.sized(64, 16)
    n_cores = len(os.sched_getaffinity(0))
    n_busy = max(1, n_cores // 2)
    chosen = [
        LlamaServer(("-t", str(n), *more), is_thread_count_its_own=True)
        for n in sorted({1, max(1, n_cores // 2), n_cores})
        for more in ((), PLAIN_ATTENTION)
    ]

    def workload(endpoint: Endpoint, i_round: int) -> Figures:
        warm_up(endpoint, model)
        request = Ask(prompt=model.words.text(8, 9, i_round), n_out=n_out)
        with busy_processes(n_busy):
            [answer] = whole([ask(endpoint.port, endpoint.model, request)])
        return {"tokens_per_s": answer.decode_rate}

    sides = Sides(own=_OWN, others=chosen, by={"tokens_per_s": "high"}, named=(_DEFAULTS,))
    outcome = race(bench, "9 busy core", model, sides, workload)
    defaults = outcome.compare("tokens_per_s", "high", (_DEFAULTS.label,))
    labels = [each.label for each in chosen]
    best = outcome.compare("tokens_per_s", "high", labels)
    work = f"one stream beside {n_busy} busy of {n_cores} cores"
    return [
        Row(
            what=f"9. tokens/s: {work}",
            against=described(_OWN, (_DEFAULTS.label,), defaults.winner),
            unit="x",
            values=defaults.ratios,
            target=1.5,
            at="least",
            raw=outcome.raw,
        ),
        Row(
            what=f"9. tokens/s, best -t: {work}",
            against=described(_OWN, labels, best.winner),
            unit="x",
            values=best.ratios,
            target=1.0,
            at="least",
        ),
    ]
