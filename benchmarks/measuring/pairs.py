"""Several ways to do the same, run in turn so that what else the machine does hits all alike."""

import statistics
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

Run = Callable[[], float]
"""Does it once, from nothing, and says how many seconds that took."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Pairs:
    """What the runs took, pair by pair."""

    own_s: list[float]
    other_s: list[float]

    @property
    def ratios(self) -> tuple[float, ...]:
        """Ours to the other's, of each pair."""
        return tuple(own / other for own, other in zip(self.own_s, self.other_s, strict=True))

    @property
    def speedups(self) -> tuple[float, ...]:
        """How many times as fast ours is."""
        return tuple(1 / ratio for ratio in self.ratios)

    @property
    def raw(self) -> dict[str, list[float]]:
        """For the JSON."""
        return {"own_s": self.own_s, "other_s": self.other_s}


def take_turns(
    runs: Mapping[str, Callable[[int], Result]],
    n_rounds: int,
    on_round: Callable[[dict[str, Result]], None],
    going_on: Callable[[Mapping[str, list[Result]]], Collection[str]] | None = None,
) -> dict[str, list[Result]]:
    """Run all of them once per round; every second round begins with the last one.

    Args:
        runs: By name; each is told which round it is, from 0.
        n_rounds: At least 1.
        on_round: Gets the results of a round when it is over.
        going_on: Who runs in the next round, by all results so far; None is everybody.
    """
    results: dict[str, list[Result]] = {name: [] for name in runs}
    names = list(runs)
    for i_round in range(n_rounds):
        order = names if i_round % 2 == 0 else names[::-1]
        for name in order:
            results[name].append(runs[name](i_round))
        on_round({name: results[name][-1] for name in names})
        if going_on is not None:
            wanted = going_on(results)
            names = [name for name in names if name in wanted]
    return results


def alternate(title: str, own: Run, other: Run, n_pairs: int) -> Pairs:
    """Run both `n_pairs` times; every second pair begins with the other one."""
    times_s = take_turns(
        {"own": lambda _: own(), "other": lambda _: other()},
        n_pairs,
        lambda last: report(f"{title}: {last['own']:.2f} s, the other {last['other']:.2f} s"),
    )
    return Pairs(times_s["own"], times_s["other"])


def repeat(title: str, measure: Callable[[], float], n_runs: int, unit: str) -> list[float]:
    """Measure `n_runs` times."""
    values: list[float] = []
    for _ in range(n_runs):
        values.append(measure())
        report(f"{title}: {values[-1]:.1f} {unit}")
    report(f"{title}: {statistics.median(values):.1f} {unit} in the middle")
    return values


def report(line: str) -> None:
    """Say what has been done, beside the results."""
    print(line, file=sys.stderr, flush=True)
