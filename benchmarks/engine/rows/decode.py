"""Row 1: one stream decodes; and the worker alone, without server and HTTP."""

import json
import sys
from pathlib import Path

from measuring import programs
from measuring.pairs import report, take_turns
from measuring.table import Row

from engine.bench import Bench
from engine.client import Ask, ask, whole
from engine.contestants import PLAIN_ATTENTION, Endpoint, LlamaServer, Own, described
from engine.models import Model
from engine.race import Figures, Sides, race, warm_up

_N_PAIRS = 15
_N_PROMPT = 8
_MODELS = ("135m", "360m", "135m-152k")
_OWN = Own(n_lanes=1, n_ctx=2048)
_SINGLE = ("-np", "1", "-c", "2048")
_OTHERS = (LlamaServer(), LlamaServer(_SINGLE), LlamaServer((*_SINGLE, *PLAIN_ATTENTION)))
_WORKER = Path(__file__).with_name("worker_alone.py")


def rows(bench: Bench) -> list[Row]:
    """Per model: against llama-server, and the worker against llama-bench."""
    return [row for name in _MODELS for row in (_served(bench, name), _alone(bench, name))]


def _served(bench: Bench, name: str) -> Row:
    model, n_out = bench.model(name), bench.sized(128, 32)

    def workload(endpoint: Endpoint, i_round: int) -> Figures:
        warm_up(endpoint, model)
        request = Ask(prompt=model.words.text(_N_PROMPT, 1, i_round), n_out=n_out)
        [answer] = whole([ask(endpoint.port, endpoint.model, request)])
        return {"tokens_per_s": answer.decode_rate}

    title, sides = f"1 decode {name}", Sides(own=_OWN, others=_OTHERS, by={"tokens_per_s": "high"})
    outcome = race(bench, title, model, sides, workload, usual_rounds=_N_PAIRS)
    found = outcome.compare("tokens_per_s", "high")
    return Row(
        what=f"1. one stream, decode, tokens/s, {name}",
        against=described(_OWN, outcome.others, found.winner),
        unit="x",
        values=found.ratios,
        target=0.97,
        at="least",
        decided_by="low95",
        raw=outcome.raw,
    )


def _alone(bench: Bench, name: str) -> Row:
    model, n_out = bench.model(name), bench.sized(128, 32)
    runs = {
        "worker": lambda i_round: _worker_rate(bench, model, n_out, i_round),
        "llama-bench": lambda _: _bench_rate(bench, model, n_out),
    }
    rates = take_turns(
        runs,
        bench.n_rounds(_N_PAIRS),
        lambda last: report(f"1 worker alone {name}, tokens/s: {last}"),
    )
    pairs = zip(rates["worker"], rates["llama-bench"], strict=True)
    return Row(
        what=f"1. the worker alone, decode, tokens/s, {name}",
        against="`llama-bench`",
        unit="x",
        values=tuple(own / other for own, other in pairs),
        target=0.99,
        at="least",
        decided_by="low95",
        raw={f"{side}: tokens_per_s": values for side, values in rates.items()},
    )


def _worker_rate(bench: Bench, model: Model, n_out: int, i_round: int) -> float:
    prompt = model.words.text(_N_PROMPT, 1, i_round)
    command = (sys.executable, str(_WORKER), model.reference, prompt, str(n_out))
    return float(programs.run(command, bench.variables | _OWN.settings(bench)))


def _bench_rate(bench: Bench, model: Model, n_out: int) -> float:
    command = [bench.peers.bench, "-m", str(model.path), "-t", str(bench.plan.n_threads)]
    command += ["-p", "0", "-n", str(n_out), "-r", "1", "-o", "json"]
    return float(json.loads(programs.run(command))[0]["avg_ts"])
