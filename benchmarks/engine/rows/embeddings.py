"""Row 12: many short texts are embedded."""

import http
import json
import time

from measuring.programs import MeasurementError
from measuring.table import Row

from engine.bench import Bench
from engine.contestants import Endpoint, LlamaServer, Own, described
from engine.race import Figures, Sides, race

_OWN = Own(n_lanes=4, n_ctx=2048)
_MEAN = ("--embeddings", "--pooling", "mean")
_OTHERS = (
    LlamaServer(_MEAN),
    LlamaServer((*_MEAN, "-np", "32", "-c", "16384", "-b", "2048", "-ub", "2048")),
)
_N_TOKENS = 10


def rows(bench: Bench) -> list[Row]:
    """One request with all texts."""
    model, n_texts = bench.model("135m"), bench.sized(1000, 50)

    def workload(endpoint: Endpoint, i_round: int) -> Figures:
        _embed(endpoint, [model.words.text(_N_TOKENS, 12, "warm-up")])
        texts = [model.words.text(_N_TOKENS, 12, i_round, i) for i in range(n_texts)]
        return {"texts_per_s": n_texts / _embed(endpoint, texts)}

    sides = Sides(own=_OWN, others=_OTHERS, by={"texts_per_s": "high"})
    outcome = race(bench, "12 embeddings", model, sides, workload)
    found = outcome.compare("texts_per_s", "high")
    return [
        Row(
            what=f"12. texts/s: {n_texts:,} embeddings of {_N_TOKENS} tokens in one request",
            against=described(_OWN, outcome.others, found.winner),
            unit="x",
            values=found.ratios,
            target=1.2,
            at="least",
            raw=outcome.raw,
        )
    ]


def _embed(endpoint: Endpoint, texts: list[str]) -> float:
    """Seconds it takes."""
    body = {"model": endpoint.model, "input": texts}
    begin = time.perf_counter()
    status, text = endpoint.server.post("/v1/embeddings", body)
    elapsed_s = time.perf_counter() - begin
    if status != http.HTTPStatus.OK:
        raise MeasurementError(f"No embeddings came: {status} {text[:500]}")
    n_vectors = len(json.loads(text)["data"])
    if n_vectors != len(texts):
        raise MeasurementError(f"{n_vectors} embeddings came for {len(texts)} texts.")
    return elapsed_s
