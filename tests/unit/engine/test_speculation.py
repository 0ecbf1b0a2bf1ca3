"""Which sequences get a draft, and what came of it, without a model."""

from collections.abc import Sequence

import pytest

from pyrunner.engine.speculation import Draft, Drafter, Source, Speculation


class _Wall:
    """A constraint that ends behind the tokens it knows."""

    mask = memoryview(b"")
    is_complete = False

    def __init__(self, allowed: Sequence[int]) -> None:
        self._allowed = list(allowed)

    def forced(self) -> Sequence[int]:
        return ()

    def masks_behind(self, draft: Sequence[int]) -> Sequence[memoryview]:
        n_fit = next(
            (i for i, token in enumerate(draft) if self._allowed[i : i + 1] != [token]), len(draft)
        )
        return [memoryview(b"mask")] * n_fit

    def accept(self, token: int) -> None:
        raise AssertionError(token)


def _fast() -> Speculation:
    """Every pass took the same."""
    speculation = Speculation()
    for n_rows in (1, 2, 40):
        speculation.note_pass(1, {}, 1.0)
        speculation._costs.note(n_rows, 1.0)
    return speculation


def test_a_draft_ends_where_its_constraint_does() -> None:
    drafter = Drafter([1], [5, 6, 7, 8], _Wall([5, 6]))
    drafts = _fast().drafts({0: (drafter, 32)}, 1)
    assert drafts[0].tokens == [5, 6]
    assert len(drafts[0].masks) == 2


def test_a_draft_of_which_nothing_fits_is_none() -> None:
    assert _fast().drafts({0: (Drafter([1], [5, 6], _Wall([])), 32)}, 1) == {}


@pytest.mark.parametrize("n_said", [0, 1, 3])
def test_of_what_was_right_only_what_was_said_is_accepted(n_said: int) -> None:
    drafter = Drafter([1], [5, 6, 7, 8], None)
    drafter.note(Draft([5, 6, 7, 8], Source.PREDICTED), 3)
    for token in (5, 6, 7)[:n_said]:
        drafter.feed(token)
    use = drafter.prediction_use
    assert (use.n_accepted, use.n_rejected) == (n_said, 4 - n_said)


def test_a_second_pass_that_took_no_time_is_not_believed() -> None:
    speculation = Speculation()
    speculation.note_pass(2, {}, 1.0)
    speculation.note_pass(2, {0: Draft([5], Source.LOOKED_UP)}, 0.5)
    assert speculation._costs.expected_s(1) > 0.5
