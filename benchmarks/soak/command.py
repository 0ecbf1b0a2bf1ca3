"""The command: load in rounds, a look at everything at rest between them, a report."""

import argparse
import collections
import contextlib
import random
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from measuring.pairs import report
from measuring.programs import MeasurementError

from soak import requests, watch
from soak.client import Outcome, Request, Result, perform
from soak.site import Site, running
from soak.watch import Watched

_ROUND_S = 20.0
_N_ROUNDS_LEAST = 12
"""With fewer samples the line of memory means little."""
_N_CLIENTS = 8
"""Twice as many as lanes, so that somebody always waits."""
_WARM_SHARE = 1 / 3
"""Of the rounds, in which caches fill and allocators find their size."""
_HANG_UP_SHARE = 0.3
_HANG_UP_MEAN_S = 0.5
_TORN_SHARE = 0.02
"""Clients that leave before all of their request is sent."""
_UNLOAD_MEAN_S = 6.0
_MAX_SHOWN = 10


@dataclass(slots=True)
class Findings:
    """Everything that came out of it."""

    results: "collections.Counter[tuple[str, Outcome]]" = field(default_factory=collections.Counter)
    complaints: list[str] = field(default_factory=list)

    def take(self, results: Iterable[Result]) -> None:
        """Count results; failures are complaints."""
        for each in results:
            self.results[each.kind, each.outcome] += 1
            if each.outcome is Outcome.FAILED:
                self.complaints.append(f"{each.kind}: {each.detail}")

    def table(self) -> str:
        """Kinds and outcomes."""
        kinds = sorted({kind for kind, _ in self.results})
        lines = ["".join([f"{'':<20}", *(f"{each.value:>11}" for each in Outcome)])]
        for kind in [*kinds, "all"]:
            chosen = kinds if kind == "all" else [kind]
            counts = [sum(self.results[name, each] for name in chosen) for each in Outcome]
            lines.append("".join([f"{kind:<20}", *(f"{count:>11,}" for count in counts)]))
        return "\n".join(lines)


def main() -> int:
    """Run the soak; 0 when everything is as before."""
    parser = argparse.ArgumentParser(description="Mixed load with random cancels; leaves nothing.")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--clients", type=int, default=_N_CLIENTS)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    n_rounds = max(_N_ROUNDS_LEAST, round(options.minutes * 60 / _ROUND_S))
    round_s = options.minutes * 60 / n_rounds
    findings = Findings()
    try:
        with running() as site:
            watched = _soak(site, findings, n_rounds, round_s, options)
            if findings.complaints:
                report(site.log_tails())
            findings.complaints += _leave(site)
    except (MeasurementError, OSError) as error:
        findings.complaints.append(f"the soak ended early: {error}")
        watched = []
    print(findings.table())
    print("\n".join(watch.line(each) for each in watched))
    for complaint in findings.complaints[:_MAX_SHOWN]:
        print(f"FAILED  {complaint}")
    n_more = len(findings.complaints) - _MAX_SHOWN
    if n_more > 0:
        print(f"FAILED  and {n_more} more")
    print("The soak failed." if findings.complaints else "Everything is as before.")
    return 1 if findings.complaints else 0


def _soak(
    site: Site, findings: Findings, n_rounds: int, round_s: float, options: argparse.Namespace
) -> list[Watched]:
    watched: list[Watched] = []
    findings.take(_at_once(site, requests.warm_up()))
    pids: dict[str, int] = {}
    for i_round in range(n_rounds):
        findings.take(_round(site, round_s, options.clients, f"{options.seed} {i_round}"))
        findings.complaints += site.come_to_rest()
        site.unload(only_the_other=True)
        workers = site.workers()
        if i_round == 0:
            pids = workers
        if workers != pids:
            raise MeasurementError(f"the workers were {pids} and are {workers}")
        if not watched and i_round + 1 >= n_rounds * _WARM_SHARE:
            watched = [
                Watched("server", site.server.pid),
                *(Watched(f"{mode} worker", pid) for mode, pid in sorted(pids.items())),
            ]
        for each in watched:
            each.look()
        n_done = sum(findings.results.values())
        report(
            f"round {i_round + 1} of {n_rounds}: {n_done:,} requests, "
            f"{len(findings.complaints)} complaints"
            + "".join(f", {each.name} {each.samples[-1].pss_bytes >> 20} MiB" for each in watched)
        )
    for each in watched:
        findings.complaints += watch.complaints(each)
    return watched


def _at_once(site: Site, asked: Sequence[Request]) -> list[Result]:
    results: list[Result] = []
    works = [
        lambda each=each: results.append(perform(site.server.port, each, None)) for each in asked
    ]
    threads = [threading.Thread(target=work, daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def _round(site: Site, round_s: float, n_clients: int, seed: str) -> list[Result]:
    """Everybody asks until the time is over, then reads the last answer to its end."""
    deadline = time.monotonic() + round_s
    is_over = threading.Event()
    results: list[Result] = []

    def ask(i_client: int) -> None:
        rng = random.Random(f"{seed} {i_client}")
        while time.monotonic() < deadline:
            request = requests.draw(rng)
            hang_up_s = None
            if rng.random() < _HANG_UP_SHARE:
                hang_up_s = rng.expovariate(1 / _HANG_UP_MEAN_S)
            sent = rng.random() if rng.random() < _TORN_SHARE else 1.0
            results.append(perform(site.server.port, request, hang_up_s, sent))

    def unload() -> None:
        rng = random.Random(f"{seed} unload")
        while not is_over.wait(rng.expovariate(1 / _UNLOAD_MEAN_S)):
            with contextlib.suppress(OSError):
                site.unload(only_the_other=True)

    clients = [threading.Thread(target=ask, args=(i,), daemon=True) for i in range(n_clients)]
    unloader = threading.Thread(target=unload, daemon=True)
    for thread in (*clients, unloader):
        thread.start()
    for thread in clients:
        thread.join()
    is_over.set()
    unloader.join()
    return results


def _leave(site: Site) -> list[str]:
    """Unload everything: no worker may stay."""
    site.unload(only_the_other=False)
    left = site.loaded()
    return [f"workers are left after the unload: {left}"] if left else []
