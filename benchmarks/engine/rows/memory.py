"""Row 14: memory at the same lanes and context."""

from measuring.table import Row

from engine.bench import Bench
from engine.client import Ask, ask_all, whole
from engine.contestants import (
    Endpoint,
    LlamaServer,
    Own,
    child_pids,
    described,
    pss_bytes,
    worker_pids,
)
from engine.race import Figures, Sides, race, warm_up

_OWN = Own(n_lanes=4, n_ctx=2048, has_spare=True)
_OTHERS = (
    LlamaServer(("-np", "4", "-c", "8192", "--no-kv-unified")),
    LlamaServer(("-np", "4", "-c", "8192", "--kv-unified")),
)
_MB = 1e6


def rows(bench: Bench) -> list[Row]:
    """The worker's against llama-server's, and the server's own."""
    model = bench.model("135m")
    n_in, n_out = bench.sized(256, 32), bench.sized(64, 8)

    def workload(endpoint: Endpoint, i_round: int) -> Figures:
        warm_up(endpoint, model)
        texts = [model.words.text(n_in, 14, i_round, i) for i in range(_OWN.n_lanes)]
        requests = [Ask(prompt=text, n_out=n_out) for text in texts]
        whole(ask_all(endpoint.port, endpoint.model, requests))
        if endpoint.is_own:
            [worker] = worker_pids(endpoint.server)
            [spare] = set(child_pids(endpoint.server)) - {worker}
            server_bytes = pss_bytes(endpoint.server.pid) + pss_bytes(spare)
            return {"pss_mb": pss_bytes(worker) / _MB, "server_pss_mb": server_bytes / _MB}
        return {"pss_mb": pss_bytes(endpoint.server.pid) / _MB}

    sides = Sides(own=_OWN, others=_OTHERS, by={"pss_mb": "low"})
    outcome = race(bench, "14 memory", model, sides, workload)
    found = outcome.compare("pss_mb", "low")
    pairs = zip(outcome.own, outcome.others[found.winner], strict=True)
    return [
        Row(
            what="14. PSS of a worker, less llama-server's",
            against=described(_OWN, outcome.others, found.winner),
            unit="MB",
            values=tuple(own["pss_mb"] - other["pss_mb"] for own, other in pairs),
            target=60,
            decided_by="max",
            raw=outcome.raw,
        ),
        Row(
            what="14. PSS of the server process and the worker that waits for the next model",
            against="a limit",
            unit="MB",
            values=outcome.own_values("server_pss_mb"),
            target=80,
            decided_by="max",
        ),
    ]
