"""Results of the examination: what was said, what counts, and the table of the model card."""

import collections
import dataclasses

from demo_model import heldout

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

    case: heldout.Case
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


def report(outcomes: list[Outcome]) -> bool:
    """Print every wrong answer and the table.

    Returns:
        Whether the share of right answers reaches `PASS_SHARE`.
    """
    for outcome in outcomes:
        if outcome.is_right:
            continue
        question = outcome.case.sample.messages[-1]["content"]
        print(f"[{outcome.case.category}] {question!r}")
        print(f"    wanted {outcome.case.answers[0]!r}")
        print(f"    got    {outcome.answer!r}{'' if outcome.has_ended else ' (never ended)'}")
    print(table(outcomes))
    share = sum(outcome.is_right for outcome in outcomes) / len(outcomes)
    print(f"exact match {share:.1%}, needed {PASS_SHARE:.0%}")
    return share >= PASS_SHARE
