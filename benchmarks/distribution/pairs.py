"""Two ways to do the same, run in turn so that whatever else the machine does hits both alike."""

import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass

Run = Callable[[], float]
"""Does it once, from nothing, and says how many seconds that took."""


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


def alternate(title: str, own: Run, other: Run, n_pairs: int) -> Pairs:
    """Run both `n_pairs` times; every second pair begins with the other one."""
    pairs = Pairs([], [])
    for i_pair in range(n_pairs):
        order = [(own, pairs.own_s), (other, pairs.other_s)]
        for run, times_s in order if i_pair % 2 == 0 else reversed(order):
            times_s.append(run())
        report(f"{title}: {pairs.own_s[-1]:.2f} s, the other {pairs.other_s[-1]:.2f} s")
    return pairs


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
