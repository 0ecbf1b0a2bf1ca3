"""Row 1: one stream decodes; and the worker alone, without server and HTTP."""

import contextlib
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from measuring import programs
from measuring.pairs import report, take_turns
from measuring.table import Row

from engine.bench import Bench
from engine.client import Ask, ask, whole
from engine.contestants import PLAIN_ATTENTION, Endpoint, LlamaServer, Own, described
from engine.models import Model
from engine.race import OWN, Figures, Sides, race, warm_up

_N_PAIRS = 15
_N_TURNS = 2
"""Of each side in a pair. Moments of a shared machine differ by more than the sides do, so those of
a pair are next to each other."""
_N_CHOOSING = 2
"""Pairs after which one of llama-server's configurations goes on."""
_N_PROMPT = 8
_MODELS = ("135m", "360m", "135m-152k")
_OWN = Own(n_lanes=1, n_ctx=2048)
_SINGLE = ("-np", "1", "-c", "2048")
_OTHERS = (LlamaServer(), LlamaServer(_SINGLE), LlamaServer((*_SINGLE, *PLAIN_ATTENTION)))
_WORKER = Path(__file__).with_name("worker_alone.py")

_Rate = Callable[[str], float]
"""Decodes behind a prompt; tokens per second."""


def rows(bench: Bench) -> list[Row]:
    """Per model: against llama-server, and the worker against llama-bench."""
    return [row for name in _MODELS for row in (_served(bench, name), _alone(bench, name))]


def _served(bench: Bench, name: str) -> Row:
    model, n_out = bench.model(name), bench.sized(128, 32)

    def rate(endpoint: Endpoint, prompt: str) -> float:
        [answer] = whole([ask(endpoint.port, endpoint.model, Ask(prompt=prompt, n_out=n_out))])
        return answer.decode_rate

    def workload(endpoint: Endpoint, i_round: int) -> Figures:
        warm_up(endpoint, model)
        return {"tokens_per_s": rate(endpoint, _prompt(model, i_round, 0))}

    def pair(i_pair: int) -> dict[str, float]:
        with _OWN.running(bench, model) as own, other.running(bench, model) as theirs:
            warm_up(own, model)
            warm_up(theirs, model)
            sides: dict[str, _Rate] = {
                OWN: lambda prompt: rate(own, prompt),
                other.label: lambda prompt: rate(theirs, prompt),
            }
            return _alternated(sides, model, i_pair)

    title, sides = f"1 decode {name}", Sides(own=_OWN, others=_OTHERS, by={"tokens_per_s": "high"})
    outcome = race(bench, title, model, sides, workload, usual_rounds=_N_CHOOSING)
    winner = outcome.compare("tokens_per_s", "high").winner
    other = next(each for each in _OTHERS if each.label == winner)
    rates = _paired(bench, title, pair)
    return Row(
        what=f"1. one stream, decode, tokens/s, {name}",
        against=described(_OWN, outcome.others, winner),
        unit="x",
        values=_ratios(rates, OWN, winner),
        target=0.97,
        at="least",
        decided_by="low95",
        raw=_raw(rates),
    )


def _alone(bench: Bench, name: str) -> Row:
    model, n_out = bench.model(name), bench.sized(128, 32)

    def pair(i_pair: int) -> dict[str, float]:
        with _worker(bench, model, n_out) as worker:
            sides = {"worker": worker, "llama-bench": lambda _: _bench_rate(bench, model, n_out)}
            return _alternated(sides, model, i_pair)

    rates = _paired(bench, f"1 worker alone {name}", pair)
    return Row(
        what=f"1. the worker alone, decode, tokens/s, {name}",
        against="`llama-bench`",
        unit="x",
        values=_ratios(rates, "worker", "llama-bench"),
        target=0.99,
        at="least",
        decided_by="low95",
        raw=_raw(rates),
    )


def _paired(
    bench: Bench, title: str, pair: Callable[[int], dict[str, float]]
) -> list[dict[str, float]]:
    """Both sides' rates of every pair."""
    runs = {"pair": pair}
    pairs = take_turns(
        runs, bench.n_rounds(_N_PAIRS), lambda last: report(f"{title}, tokens/s: {last['pair']}")
    )
    return pairs["pair"]


def _alternated(sides: Mapping[str, _Rate], model: Model, i_pair: int) -> dict[str, float]:
    """The rates of one pair, over all tokens of its turns; every second turn, the last begins."""

    def asked(rate: _Rate) -> Callable[[int], float]:
        return lambda i_turn: rate(_prompt(model, i_pair, i_turn))

    runs = {label: asked(rate) for label, rate in sides.items()}
    turns = take_turns(runs, _N_TURNS, lambda _: None)
    return {label: statistics.harmonic_mean(rates) for label, rates in turns.items()}


def _prompt(model: Model, i_pair: int, i_turn: int) -> str:
    return model.words.text(_N_PROMPT, i_turn, i_pair)


def _ratios(rates: list[dict[str, float]], own: str, other: str) -> tuple[float, ...]:
    return tuple(pair[own] / pair[other] for pair in rates)


def _raw(rates: list[dict[str, float]]) -> dict[str, list[float]]:
    return {f"{side}: tokens_per_s": [pair[side] for pair in rates] for side in rates[0]}


@contextlib.contextmanager
def _worker(bench: Bench, model: Model, n_out: int) -> Iterator[_Rate]:
    """A worker that decodes behind one prompt after the other."""
    with subprocess.Popen(
        (sys.executable, str(_WORKER), model.reference, str(n_out)),
        env=bench.variables | _OWN.settings(bench),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        asked, said = process.stdin, process.stdout
        assert asked is not None
        assert said is not None

        def rate(prompt: str) -> float:
            asked.write(f"{prompt}\n")
            asked.flush()
            line = said.readline()
            if not line:
                raise programs.MeasurementError("the worker alone ended early")
            return float(line)

        yield rate  # leaving closes its input, which ends it


def _bench_rate(bench: Bench, model: Model, n_out: int) -> float:
    command = [bench.peers.bench, "-m", str(model.path), "-t", str(bench.plan.n_threads)]
    command += ["-p", "0", "-n", str(n_out), "-r", "1", "-o", "json"]
    return float(json.loads(programs.run(command))[0]["avg_ts"])
