"""Which sequences get a draft, and what came of it, without a model."""

from collections.abc import Sequence

import pytest
from support.scripted_draft import ScriptedDraft, ScriptedLayout, ScriptedText

from pyrunner.engine.draft_lanes import DraftLanes
from pyrunner.engine.guesser import MAX_DRAFTED
from pyrunner.engine.speculation import Draft, Drafter, Source, Speculation


class _Wall:
    """A constraint that ends behind the tokens it knows."""

    mask = memoryview(b"")
    is_complete = False

    def __init__(self, allowed: Sequence[int], forced: Sequence[int] = ()) -> None:
        self._allowed = list(allowed)
        self._forced = forced

    def forced(self) -> Sequence[int]:
        return self._forced

    def masks_behind(self, draft: Sequence[int]) -> Sequence[memoryview]:
        n_fit = next(
            (i for i, token in enumerate(draft) if self._allowed[i : i + 1] != [token]), len(draft)
        )
        return [memoryview(b"mask")] * n_fit

    def accept(self, token: int) -> None:
        raise AssertionError(token)


def _fast(*, guesses: bool = True, is_even: bool = False) -> Speculation:
    """Every pass took the same."""
    speculation = Speculation(guesses=guesses, is_even=is_even)
    for n_rows in (1, 2, 40):
        speculation.note_pass(1, {}, 1.0)
        speculation._costs.note(n_rows, 1.0)
    return speculation


def test_a_draft_ends_where_its_constraint_does() -> None:
    drafter = Drafter([1], [5, 6, 7, 8], _Wall([5, 6]))
    drafts = _fast().drafts({0: (drafter, 32)}, 1)
    assert drafts[0].tokens == [5, 6]
    assert len(drafts[0].masks) == 2


@pytest.mark.parametrize(
    ("n_forced", "n_drafted"),
    [
        ((1, 8, 9), {1: 8, 2: 8}),
        ((4, 5, 16), {0: 4, 1: 4, 2: 4}),
        ((2, 3, 2), {0: 2, 1: 2, 2: 2}),
        ((8, 0), {0: 8}),
        ((0, 0), {}),
    ],
)
def test_drafts_that_have_to_be_equally_long_keep_most_tokens(
    n_forced: tuple[int, ...], n_drafted: dict[int, int]
) -> None:
    texts = [list(range(5, 5 + n)) for n in n_forced]
    drafters = {
        lane: (Drafter([1], [], _Wall(text, forced=text)), 32) for lane, text in enumerate(texts)
    }
    drafts = _fast(is_even=True).drafts(drafters, len(drafters))
    assert {lane: len(draft.tokens) for lane, draft in drafts.items()} == n_drafted
    for lane, draft in drafts.items():
        assert list(draft.tokens) == texts[lane][: len(draft.tokens)]
        assert len(draft.masks) == len(draft.tokens)


def test_a_draft_of_which_nothing_fits_is_none() -> None:
    assert _fast().drafts({0: (Drafter([1], [5, 6], _Wall([])), 32)}, 1) == {}


@pytest.mark.parametrize(
    ("constraint", "drafted"), [(_Wall([8, 9], forced=[8, 9]), [8, 9]), (_Wall([5, 6]), None)]
)
def test_without_guesses_only_what_is_forced_is_drafted(
    constraint: _Wall, drafted: list[int] | None
) -> None:
    drafter = Drafter([5, 5, 5, 5], [5, 6], constraint, guesses=False)
    drafts = _fast(guesses=False).drafts({0: (drafter, 32)}, 1)
    assert [draft.tokens for draft in drafts.values()] == ([] if drafted is None else [drafted])


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


class _Asked:
    """A speculation with a draft model that costs nothing, and what it drafts for one sequence."""

    def __init__(self, text: ScriptedText, drafter: Drafter) -> None:
        self.native = ScriptedDraft()
        lanes = DraftLanes(self.native, ScriptedLayout(), 10_000, lambda: 0.0)
        self.speculation = Speculation(lanes)
        self.speculation._costs = _fast()._costs
        self.text, self.drafter = text, drafter

    def drafts(self) -> Draft | None:
        return self.speculation.drafts({0: (self.drafter, 32)}, 1, {0: self.text}).get(0)


def test_a_draft_model_is_asked_where_nothing_else_is_known() -> None:
    asked = _Asked(ScriptedText([1, 2, 3]), Drafter([1, 2, 3], [], None))
    draft = asked.drafts()
    assert draft is not None
    assert draft.source is Source.DRAFTED
    assert draft.tokens == list(range(4, 4 + MAX_DRAFTED))


def test_a_draft_model_is_not_asked_where_the_client_knows_more() -> None:
    asked = _Asked(ScriptedText([1, 2, 3]), Drafter([1, 2, 3], [7, 8], None))
    draft = asked.drafts()
    assert draft is not None
    assert (draft.source, draft.tokens) == (Source.PREDICTED, [7, 8])
    assert asked.native.n_read == 0


@pytest.mark.parametrize("is_wrong", [True, False])
def test_what_stood_there_before_is_taken_while_it_is_right_more_often(is_wrong: bool) -> None:
    tokens = [1, 2, 3, 50, 51, 1, 2, 3]
    asked = _Asked(ScriptedText(tokens), Drafter(tokens, [], None))
    for _ in range(9):
        found = Draft([50], Source.LOOKED_UP)
        asked.speculation.note(asked.drafter, found, n_accepted=0 if is_wrong else 1)
    draft = asked.drafts()
    assert draft is not None
    assert draft.source is (Source.DRAFTED if is_wrong else Source.LOOKED_UP)
    assert (asked.native.n_read == 0) is not is_wrong


def test_a_draft_model_that_only_says_what_a_format_forbids_is_asked_no_more() -> None:
    asked = _Asked(ScriptedText([1, 2, 3]), Drafter([1, 2, 3], [], _Wall([])))
    before = asked.speculation.trust
    for _ in range(60):
        assert asked.drafts() is None
    assert asked.speculation.trust < before / 4


def test_a_draft_model_that_was_wrong_is_not_trusted_by_the_next_sequence() -> None:
    asked = _Asked(ScriptedText([1, 2, 3]), Drafter([1, 2, 3], [], None))
    for _ in range(60):
        asked.speculation.note(asked.drafter, Draft([9, 9], Source.DRAFTED), 0)
    trust = asked.speculation.trust
    assert Drafter([1], [], None, trust).rate(Source.DRAFTED) == trust < 0.1


def test_who_has_no_room_for_a_guess_is_not_asked_about() -> None:
    asked = _Asked(ScriptedText(list(range(1001))), Drafter([1], [], None))
    assert asked.drafts() is None
    assert asked.native.n_read == 0
