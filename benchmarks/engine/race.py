"""One workload, run by ours and by llama-server's configurations in turn."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from measuring.pairs import report, take_turns

from engine.bench import Bench
from engine.client import Ask, ask_all, whole
from engine.contestants import Contestant, Endpoint
from engine.models import Model

Figures = dict[str, float]
"""What one turn took, by name; names end in their unit."""

Workload = Callable[[Endpoint, int], Figures]
"""Runs in turn number so and so; the same requests for all contestants of a turn."""

OWN = "ours"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Ours to the other's, pair by pair."""

    ratios: tuple[float, ...]
    winner: str
    """The configuration it is compared with: the one with the better median."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """All turns."""

    own: list[Figures]
    others: Mapping[str, list[Figures]]

    def compare(
        self, key: str, better: Literal["low", "high"], among: Sequence[str] | None = None
    ) -> Comparison:
        """Compare one figure with that of the configuration that does best.

        Args:
            key: Its name.
            better: Which of two values is better.
            among: Labels of the configurations that count; None is all.
        """
        labels = list(self.others) if among is None else list(among)
        best = min if better == "low" else max
        medians = {
            label: statistics.median(turn[key] for turn in self.others[label]) for label in labels
        }
        winner = best(labels, key=medians.__getitem__)
        pairs = zip(self.own, self.others[winner], strict=True)
        return Comparison(tuple(own[key] / other[key] for own, other in pairs), winner)

    def own_values(self, key: str) -> tuple[float, ...]:
        """Of all turns."""
        return tuple(turn[key] for turn in self.own)

    @property
    def raw(self) -> dict[str, list[float]]:
        """Every figure of every turn, for the JSON."""
        sides = {OWN: self.own, **self.others}
        return {
            f"{label}: {key}": [turn[key] for turn in turns]
            for label, turns in sides.items()
            for key in turns[0]
        }


def race(
    bench: Bench,
    title: str,
    model: Model,
    sides: tuple[Contestant, Sequence[Contestant]],
    workload: Workload,
    *,
    usual_rounds: int = 5,
) -> Outcome:
    """Let everybody run the workload in turn, each time freshly started.

    Args:
        bench: Where.
        title: What the lines of progress call it.
        model: What is loaded.
        sides: Ours, and llama-server's configurations.
        workload: What to run; begins with a warm-up.
        usual_rounds: How often, unless the plan says.
    """
    own, others = sides

    def turn(contestant: Contestant) -> Callable[[int], Figures]:
        def run(i_round: int) -> Figures:
            with contestant.running(bench, model) as endpoint:
                return workload(endpoint, i_round)

        return run

    runs = {OWN: turn(own)} | {each.label: turn(each) for each in others}
    turns = take_turns(runs, bench.n_rounds(usual_rounds), lambda last: _show(title, last))
    return Outcome(turns.pop(OWN), turns)


def warm_up(endpoint: Endpoint, model: Model) -> None:
    """One short request, which also loads our model: what a workload of texts begins with."""
    text = model.words.text(4, "warm-up")
    whole(ask_all(endpoint.port, endpoint.model, [Ask(prompt=text, n_out=4)]))


def _show(title: str, last: Mapping[str, Figures]) -> None:
    for label, figures in last.items():
        shown = ", ".join(f"{key} {value:.4g}" for key, value in figures.items())
        report(f"{title}, {label}: {shown}")
