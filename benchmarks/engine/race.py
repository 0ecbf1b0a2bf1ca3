"""One workload, run by ours and by llama-server's configurations in turn."""

import statistics
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
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

Turn = Callable[[int], Figures]
"""The same with its contestant, start and stop included."""

Better = Literal["low", "high"]

OWN = "ours"

_CLEARLY_WORSE = 1.15
"""A configuration whose first turn took so much more than the best one's is not the better one:
turns of one configuration differ by less on a machine where nothing else runs."""
_N_CHOOSING = 2
"""Turns after which only the better configuration goes on."""


_REST_S = 1.5
"""Of both sides, between loading a model and the first request that counts."""


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
    """Those that were given up have fewer turns than ours."""

    def compare(self, key: str, better: Better, among: Sequence[str] | None = None) -> Comparison:
        """Compare one figure with that of the configuration that does best.

        Args:
            key: Its name.
            better: Which of two values is better.
            among: Labels of the configurations that count; None is all.
        """
        labels = [
            label
            for label in (self.others if among is None else among)
            if len(self.others[label]) == len(self.own)
        ]
        [winner] = _best({label: self.others[label] for label in labels}, key, better, within=1.0)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """Ours, and llama-server's configurations."""

    own: Contestant
    others: Sequence[Contestant] = ()
    """Of which the better one counts; the rest is given up after a turn or two."""
    by: Mapping[str, Better] = field(default_factory=dict)
    """The figures that decide which of them is better; with two figures, two may stay."""
    named: Sequence[Contestant] = ()
    """Run every turn whatever they take, because a promise is about them."""


def race(
    bench: Bench,
    title: str,
    model: Model,
    sides: Sides,
    workload: Workload,
    *,
    usual_rounds: int = 5,
) -> Outcome:
    """Let everybody run the workload in turn, each time freshly started.

    Args:
        bench: Where.
        title: What the lines of progress call it.
        model: What is loaded.
        sides: Who.
        workload: What to run; begins with a warm-up.
        usual_rounds: How often, unless the plan says.
    """

    def turn(contestant: Contestant) -> Turn:
        def run(i_round: int) -> Figures:
            with contestant.running(bench, model) as endpoint:
                return workload(endpoint, i_round)

        return run

    def going_on(turns: Mapping[str, list[Figures]]) -> Collection[str]:
        rest = {each.label: turns[each.label] for each in sides.others}
        return {OWN, *(each.label for each in sides.named), *may_be_best(rest, sides.by)}

    runs = {OWN: turn(sides.own)}
    runs |= {each.label: turn(each) for each in (*sides.others, *sides.named)}
    return in_turns(bench, title, runs, usual_rounds=usual_rounds, going_on=going_on)


def in_turns(
    bench: Bench,
    title: str,
    runs: Mapping[str, Turn],
    *,
    usual_rounds: int = 5,
    going_on: Callable[[Mapping[str, list[Figures]]], Collection[str]] | None = None,
) -> Outcome:
    """Run them in turn; the one called `OWN` is compared with the others."""
    n_rounds = bench.n_rounds(usual_rounds)
    turns = take_turns(runs, n_rounds, lambda last: _show(title, last), going_on)
    return Outcome(turns.pop(OWN), turns)


def may_be_best(turns: Mapping[str, list[Figures]], by: Mapping[str, Better]) -> set[str]:
    """The configurations that may turn out to be the better one in some figure.

    Args:
        turns: What each took, for those that are still in the race and those that are not.
        by: The figures, and which of two values is better.
    """
    n_turns = max((len(each) for each in turns.values()), default=0)
    racing = {label: each for label, each in turns.items() if len(each) == n_turns}
    within = _CLEARLY_WORSE if n_turns < _N_CHOOSING else 1.0
    found = (_best(racing, key, better, within=within) for key, better in by.items())
    return {label for labels in found for label in labels}


def _best(
    turns: Mapping[str, list[Figures]], key: str, better: Better, *, within: float
) -> list[str]:
    """Labels whose median is at most so many times worse than the best; at 1 the first best."""
    medians = {
        label: statistics.median(turn[key] for turn in each) for label, each in turns.items()
    }
    best = (min if better == "low" else max)(medians, key=medians.__getitem__, default=None)
    if best is None or within <= 1.0:
        return [] if best is None else [best]
    if better == "low":
        return [label for label in medians if medians[label] <= medians[best] * within]
    return [label for label in medians if medians[label] >= medians[best] / within]


def warm_up(endpoint: Endpoint, model: Model) -> None:
    """What a workload of texts begins with: a request, which also loads our model, and a rest.

    Ours moves weights to large pages when it has nothing to do.
    """
    text = model.words.text(4, "warm-up")
    whole(ask_all(endpoint.port, endpoint.model, [Ask(prompt=text, n_out=4)]))
    time.sleep(_REST_S)


def _show(title: str, last: Mapping[str, Figures]) -> None:
    for label, figures in last.items():
        shown = ", ".join(f"{key} {value:.4g}" for key, value in figures.items())
        report(f"{title}, {label}: {shown}")
