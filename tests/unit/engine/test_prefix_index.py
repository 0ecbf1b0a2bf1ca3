"""The prefix index: who shares most of a prompt, and a tree that is never larger than needed."""

from collections.abc import Callable, Collection, Sequence

import pytest

from pyrunner.engine.prefix_index import Match, PrefixIndex
from pyrunner.errors import InvariantError


def _index(*held: Sequence[int]) -> PrefixIndex:
    """Holders 0, 1, ... of these tokens, the last used last."""
    index = PrefixIndex()
    for holder_id, tokens in enumerate(held):
        index.insert(holder_id, tokens)
        index.check()
    return index


def _labels(index: PrefixIndex, salt: str = "") -> list[list[int]]:
    """Every edge of a salt's tree, parents before children."""
    found, nodes = [], [index._roots[salt]]
    for node in nodes:
        nodes.extend(node.children.values())
        found.append(list(node.label))
    return found[1:]


def test_an_empty_index_matches_nothing() -> None:
    index = PrefixIndex()
    index.check()
    assert index.longest([1, 2]) is None


def test_an_empty_prompt_matches_nothing() -> None:
    assert _index([1, 2]).longest([]) is None


def test_a_holder_of_no_tokens_is_known_but_matches_nothing() -> None:
    index = _index([])
    assert index.n_tokens(0) == 0
    assert list(index.tokens_of(0)) == []
    assert index.longest([1]) is None
    index.truncate(0, 0)
    index.remove(0)
    index.check()


def test_another_first_token_matches_nothing() -> None:
    assert _index([1, 2]).longest([2, 1]) is None


@pytest.mark.parametrize(
    ("prompt", "n_tokens"),
    [
        pytest.param([1, 2, 3, 4], 4, id="exact"),
        pytest.param([1, 2, 3, 4, 5], 4, id="prompt goes on"),
        pytest.param([1, 2], 2, id="prompt ends inside the edge"),
        pytest.param([1, 2, 3, 9, 9], 3, id="prompt parts inside the edge"),
        pytest.param((1, 9), 1, id="one token of a tuple"),
    ],
)
def test_a_match_counts_the_tokens_in_common(prompt: Sequence[int], n_tokens: int) -> None:
    assert _index([1, 2, 3, 4]).longest(prompt) == Match(0, n_tokens)


@pytest.mark.parametrize("n_shared", range(1, 68))
def test_a_match_may_end_anywhere_inside_an_edge(n_shared: int) -> None:
    edge = list(range(67))
    other = [token if i < n_shared else 1000 for i, token in enumerate(edge)]
    assert _index(edge).longest([*other, 1000]) == Match(0, n_shared)


def test_the_longest_of_several_wins() -> None:
    index = _index([1, 2], [1, 2, 3, 4, 5], [1, 2, 3], [7])
    assert index.longest([1, 2, 3, 4, 9]) == Match(1, 4)
    assert index.longest([7, 7]) == Match(3, 1)


def test_tokens_that_many_hold_are_stored_once() -> None:
    index = _index([1, 2, 3, 4], [1, 2, 5], [1, 2], [1, 2, 3, 4])
    assert _labels(index) == [[1, 2], [3, 4], [5]]


def test_an_edge_is_split_where_a_holder_parts_and_merged_when_it_goes() -> None:
    index = _index([1, 2, 3, 4], [1, 2, 5])
    assert _labels(index) == [[1, 2], [3, 4], [5]]
    index.remove(1)
    index.check()
    assert _labels(index) == [[1, 2, 3, 4]]


def test_an_edge_is_split_where_a_holder_ends_and_merged_when_it_goes() -> None:
    index = _index([1, 2, 3, 4], [1, 2])
    assert _labels(index) == [[1, 2], [3, 4]]
    index.remove(1)
    index.check()
    assert _labels(index) == [[1, 2, 3, 4]]


def test_removal_of_the_longer_one_keeps_the_shorter() -> None:
    index = _index([1, 2, 3, 4], [1, 2])
    index.remove(0)
    index.check()
    assert _labels(index) == [[1, 2]]
    assert index.longest([1, 2, 3]) == Match(1, 2)


def test_removal_of_the_last_holder_leaves_nothing() -> None:
    index = PrefixIndex()
    index.insert(5, [1, 2], "tenant")
    index.remove(5)
    index.check()
    assert index._roots == {}
    assert index.longest([1, 2], "tenant") is None


def test_removal_inside_a_branch_merges_only_there() -> None:
    index = _index([1, 2, 3], [1, 2, 4], [1, 5])
    index.remove(0)
    index.check()
    assert _labels(index) == [[1], [2, 4], [5]]
    assert list(index.tokens_of(1)) == [1, 2, 4]


def test_insert_replaces_tokens_and_salt() -> None:
    index = _index([1, 2, 3], [1, 2, 4])
    index.insert(0, [8], "tenant")
    index.check()
    assert list(index.tokens_of(0)) == [8]
    assert index.longest([8]) is None
    assert index.longest([8], "tenant") == Match(0, 1)
    assert index.longest([1, 2, 3]) == Match(1, 2)


def test_insert_of_a_token_that_does_not_fit_changes_nothing() -> None:
    index = _index([1, 2])
    with pytest.raises(OverflowError):
        index.insert(0, [1, 2**31])
    with pytest.raises(OverflowError):
        index.extend(0, [3, 2**31])
    index.check()
    assert list(index.tokens_of(0)) == [1, 2]


def test_salts_never_match_each_other() -> None:
    index = PrefixIndex()
    index.insert(0, [1, 2, 3], "one")
    index.insert(1, [1, 2], "two")
    index.insert(2, [1])
    index.check()
    prompt = [1, 2, 3, 4]
    found = [index.longest(prompt, salt) for salt in ("one", "two", "", "three")]
    assert found == [Match(0, 3), Match(1, 2), Match(2, 1), None]


def test_a_holder_of_another_salt_does_not_make_tokens_worthless() -> None:
    index = PrefixIndex()
    index.insert(0, [1, 2], "one")
    index.insert(1, [3, 4], "two")
    index.insert(2, [3, 4], "one")
    index.touch(0)
    assert index.least_valuable([0, 1]) == 1
    index.touch(1)
    assert index.least_valuable([0, 1]) == 0


def test_among_equal_matches_the_fewest_tokens_beyond_win() -> None:
    index = _index([1, 2, 3], [1, 2, 3, 4], [1, 2, 3, 4, 5])
    assert index.longest([1, 2, 9]) == Match(0, 2)
    assert index.longest([1, 2, 3, 4, 9]) == Match(1, 4)


def test_among_equal_matches_of_equal_length_the_last_used_wins() -> None:
    index = _index([1, 2, 3], [1, 2, 4], [1, 2, 5])
    assert index.longest([1, 2, 9]) == Match(2, 2)
    index.touch(0)
    assert index.longest([1, 2, 9]) == Match(0, 2)
    index.truncate(1, 2)
    index.extend(1, [6])
    assert index.longest([1, 2, 9]) == Match(1, 2)


def test_the_callers_preference_comes_before_the_other_two() -> None:
    index = _index([1, 2, 3, 4], [1, 2, 3], [1, 2])
    prefer = {0: 0, 1: 1, 2: 1}.__getitem__
    assert index.longest([1, 2, 9], prefer=prefer) == Match(0, 2)
    index.insert(3, [1, 2, 9])
    assert index.longest([1, 2, 9], among=[0, 1, 2], prefer=prefer) == Match(0, 2)


def test_a_longer_match_comes_before_the_callers_preference() -> None:
    index = _index([1, 2, 3], [1, 2])
    assert index.longest([1, 2, 3], prefer=lambda holder_id: -holder_id) == Match(0, 3)


@pytest.mark.parametrize(
    ("among", "match"),
    [
        pytest.param([1], Match(1, 2), id="a shorter match of one that counts"),
        pytest.param([2], Match(2, 1), id="one that parts early"),
        pytest.param([1, 2], Match(1, 2), id="the longest of those that count"),
        pytest.param([99, 2], Match(2, 1), id="an id that nobody knows"),
        pytest.param([], None, id="nobody counts"),
        pytest.param([3], None, id="one that shares nothing"),
    ],
)
def test_only_holders_among_the_given_are_found(
    among: Collection[int], match: Match | None
) -> None:
    index = _index([1, 2, 3, 4], [1, 2, 5], [1, 6], [7])
    assert index.longest([1, 2, 3, 4], among=among) == match


def test_a_lone_holder_grows_at_the_end_of_its_edge() -> None:
    index = _index([1, 2], [1, 5])
    for token in (3, 4):
        index.extend(0, [token])
        index.check()
    index.extend(0, [])
    assert _labels(index) == [[1], [2, 3, 4], [5]]
    assert index.n_tokens(0) == 4
    assert index.longest([1, 2, 3, 4, 5]) == Match(0, 4)


def test_a_holder_of_nothing_grows() -> None:
    index = _index([])
    index.extend(0, [1, 2])
    index.check()
    assert list(index.tokens_of(0)) == [1, 2]


def test_a_holder_that_follows_another_token_by_token_shares_its_edge() -> None:
    index = _index([1, 2, 3, 4], [1])
    for n_tokens, token in enumerate((2, 3, 4), 2):
        index.extend(1, [token])
        index.check()
        assert index.n_tokens(1) == n_tokens
        assert sum(map(len, _labels(index))) == 4
    assert _labels(index) == [[1, 2, 3, 4]]
    index.extend(1, [5])
    index.check()
    assert _labels(index) == [[1, 2, 3, 4], [5]]


def test_growth_past_a_branch_leaves_no_node_behind() -> None:
    index = _index([1, 2, 3, 4], [1, 2])
    index.extend(1, [3, 9])
    index.check()
    assert _labels(index) == [[1, 2, 3], [4], [9]]


def test_growth_of_one_of_two_equal_holders_leaves_the_other() -> None:
    index = _index([1, 2], [1, 2])
    index.extend(0, [3])
    index.check()
    assert [list(index.tokens_of(each)) for each in (0, 1)] == [[1, 2, 3], [1, 2]]


def test_truncate_in_the_middle_of_its_own_edge() -> None:
    index = _index([1, 2, 3, 4])
    index.truncate(0, 2)
    index.check()
    assert _labels(index) == [[1, 2]]
    assert index.longest([1, 2, 3]) == Match(0, 2)


def test_truncate_in_the_middle_of_a_shared_edge_leaves_the_other() -> None:
    index = _index([1, 2, 3, 4], [1, 2, 3, 4, 5])
    index.truncate(0, 2)
    index.check()
    assert _labels(index) == [[1, 2], [3, 4, 5]]
    assert [list(index.tokens_of(each)) for each in (0, 1)] == [[1, 2], [1, 2, 3, 4, 5]]


def test_truncate_through_a_branch_merges_what_is_left() -> None:
    index = _index([1, 2, 3, 4], [1, 2, 3, 5])
    index.truncate(0, 1)
    index.check()
    assert _labels(index) == [[1], [2, 3, 5]]


@pytest.mark.parametrize("n_keep", range(5))
def test_truncate_keeps_the_first_tokens(n_keep: int) -> None:
    index = _index([1, 2, 3, 4], [1, 2, 9])
    index.truncate(0, n_keep)
    index.check()
    assert list(index.tokens_of(0)) == [1, 2, 3, 4][:n_keep]
    assert list(index.tokens_of(1)) == [1, 2, 9]


@pytest.mark.parametrize("n_keep", [-1, 3])
def test_truncate_to_more_than_there_is_is_a_bug(n_keep: int) -> None:
    with pytest.raises(InvariantError, match="has 2 tokens"):
        _index([1, 2]).truncate(0, n_keep)


def test_the_least_recently_used_of_unique_holders_is_least_valuable() -> None:
    index = _index([1, 2], [1, 3], [1, 4])
    assert index.least_valuable([0, 1, 2]) == 0
    index.touch(0)
    assert index.least_valuable([0, 1, 2]) == 1
    assert index.least_valuable([0, 2]) == 2
    index.truncate(0, 1)
    index.insert(0, [9])
    index.extend(1, [5])
    assert index.least_valuable([0, 1]) == 0


def test_a_holder_whose_tokens_another_holds_is_less_valuable_than_an_older_one() -> None:
    index = _index([7, 8, 9], [1, 2, 3, 4], [1, 2], [1, 2, 3, 4, 5])
    assert index.least_valuable([0, 1, 2]) == 1
    assert index.least_valuable([0, 2]) == 2
    index.remove(3)
    assert index.least_valuable([0, 1]) == 0


def test_a_holder_of_no_tokens_is_less_valuable_than_an_older_one() -> None:
    index = _index([1, 2])
    index.insert(1, [], "tenant")
    assert index.least_valuable([0, 1]) == 1


def test_the_least_valuable_of_nobody_is_a_bug() -> None:
    with pytest.raises(InvariantError, match="no holder to choose from"):
        _index([1]).least_valuable([])


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda index: index.extend(9, [1]), id="extend"),
        pytest.param(lambda index: index.truncate(9, 0), id="truncate"),
        pytest.param(lambda index: index.remove(9), id="remove"),
        pytest.param(lambda index: index.touch(9), id="touch"),
        pytest.param(lambda index: index.least_valuable([0, 9]), id="least_valuable"),
        pytest.param(lambda index: index.tokens_of(9), id="tokens_of"),
        pytest.param(lambda index: index.n_tokens(9), id="n_tokens"),
    ],
)
def test_an_unknown_holder_is_a_bug(use: Callable[[PrefixIndex], object]) -> None:
    with pytest.raises(InvariantError, match="holder 9 is not in the prefix index"):
        use(_index([1]))


def test_what_is_handed_out_is_a_copy() -> None:
    index = _index([1, 2])
    index.tokens_of(0).append(3)
    index.check()
    assert index.n_tokens(0) == 2


def test_the_latest_first_are_those_that_add_something() -> None:
    index = _index([1, 2], [1, 2, 3], [1, 2, 3], [5], [])
    index.insert(5, [5], "tenant")
    index.touch(0)
    assert index.latest_first(range(6), drops_beginnings=True) == [5, 3, 2]
    assert index.latest_first(range(6), drops_beginnings=False) == [5, 3, 2, 0]
    index.touch(1)
    assert index.latest_first([0, 1, 2], drops_beginnings=True) == [1]
    assert index.latest_first([0, 3], drops_beginnings=True) == [0, 3]
    assert index.latest_first([], drops_beginnings=True) == []
