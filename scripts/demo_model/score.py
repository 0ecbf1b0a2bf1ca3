"""Results of the examinations: what was said, what counts, and the table of the model card."""

import collections
import dataclasses

from demo_model.heldout_case import Case

MAX_ANSWER_TOKENS = 400
PASS_SHARE = 0.9


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What the model said in one case.

    Attributes:
        case: The question.
        answer: The answer without the end of the turn.
        has_ended: Whether the model ended its turn by itself.
    """

    case: Case
    answer: str
    has_ended: bool

    @property
    def is_right(self) -> bool:
        """Whether the answer is one of the accepted ones, and the turn was ended."""
        return self.has_ended and self.answer in self.case.answers


def table(outcomes: list[Outcome]) -> str:
    """Return the result by category as a Markdown table."""
    n_all: collections.Counter[str] = collections.Counter()
    n_right: collections.Counter[str] = collections.Counter()
    for outcome in outcomes:
        for row in (outcome.case.category, "**all**"):
            n_all[row] += 1
            n_right[row] += outcome.is_right
    rows = sorted(n_all, key=lambda row: (row == "**all**", row))
    lines = ["| Category | Cases | Right | Share |", "|---|---:|---:|---:|"]
    lines += [
        f"| {row} | {n_all[row]} | {n_right[row]} | {n_right[row] / n_all[row]:.1%} |"
        for row in rows
    ]
    return "\n".join(lines)


def share(outcomes: list[Outcome]) -> float:
    """Return the share of right answers, 0 to 1."""
    return sum(outcome.is_right for outcome in outcomes) / len(outcomes)


def report(results: dict[str, list[Outcome]]) -> bool:
    """Print every wrong answer and the table of each examination.

    Args:
        results: Outcomes by the name of the examination.

    Returns:
        Whether the share of right answers reaches `PASS_SHARE` in each.
    """
    for name, outcomes in results.items():
        print(f"examination {name!r}")
        _print_wrong(outcomes)
        print(table(outcomes))
        print(f"exact match {share(outcomes):.1%}, needed {PASS_SHARE:.0%}")
    return all(share(outcomes) >= PASS_SHARE for outcomes in results.values())


def _print_wrong(outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        if outcome.is_right:
            continue
        question = outcome.case.sample.messages[-1]["content"]
        print(f"[{outcome.case.category}] {question!r}")
        print(f"    wanted {outcome.case.answers[0]!r}")
        print(f"    got    {outcome.answer!r}{'' if outcome.has_ended else ' (never ended)'}")
