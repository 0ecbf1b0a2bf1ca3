"""Row 11: a request for a model that is not loaded."""

import threading
import time

from measuring.table import Row

from engine.bench import Bench
from engine.client import Ask, ask, whole
from engine.contestants import Endpoint, LlamaServer, Own, described, unload
from engine.models import Model
from engine.race import OWN, Figures, Turn, in_turns

_OWN = Own(n_lanes=4, n_ctx=2048, has_spare=True)
_OTHERS = (
    LlamaServer(),
    LlamaServer(("-c", "8192", "--no-warmup", "--fit", "off")),
)
_KEY = "first_token_s"
_REST_S = 3.0


def rows(bench: Bench) -> list[Row]:
    """Our server runs, without the model; llama-server is started."""
    model = bench.model("135m")
    with _OWN.running(bench, model) as endpoint:
        runs = {OWN: _loading(endpoint, model)}
        runs |= {each.label: _starting(bench, each, model) for each in _OTHERS}
        for run in runs.values():
            run(-1)  # brings every file into the page cache
        outcome = in_turns(bench, "11 not loaded", runs)
    found = outcome.compare(_KEY, "low")
    megabytes = model.path.stat().st_size / 1e6
    return [
        Row(
            what=f"11. time to first token: a model of {megabytes:.0f} MB that is not loaded",
            against=f"starting {described(_OWN, outcome.others, found.winner)}",
            unit="x",
            values=found.ratios,
            target=1.0,
            raw=outcome.raw,
        )
    ]


def _request(model: Model, i_round: int) -> Ask:
    return Ask(prompt=model.words.text(8, 11, i_round), n_out=1)


def _loading(endpoint: Endpoint, model: Model) -> Turn:
    def run(i_round: int) -> Figures:
        [answer] = whole([ask(endpoint.port, endpoint.model, _request(model, i_round))])
        unload(endpoint.server)
        # The process for the next load starts behind this one, and not while the others run.
        threading.Event().wait(_REST_S)
        return {_KEY: answer.first_s}

    return run


def _starting(bench: Bench, other: LlamaServer, model: Model) -> Turn:
    def run(i_round: int) -> Figures:
        begin_s = time.perf_counter()
        with other.running(bench, model) as endpoint:
            [answer] = whole([ask(endpoint.port, endpoint.model, _request(model, i_round))])
        return {_KEY: answer.begin_s + answer.first_s - begin_s}

    return run
