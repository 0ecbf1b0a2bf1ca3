"""engine.embedding_groups: groups, equal inputs, results in the order of the inputs."""

from collections.abc import Sequence

import pytest

from pyrunner.engine.embedding_groups import EmbeddingGroups
from pyrunner.types import EmbeddingResult


def _embedded(group: Sequence[Sequence[int]]) -> EmbeddingResult:
    vectors = tuple(bytes(each) for each in group)
    return EmbeddingResult(vectors=vectors, n_embd=1, n_tokens=sum(map(len, group)))


@pytest.mark.parametrize(
    ("n_most", "expected"),
    [
        (100, [[(1, 2), (3,), (4, 5, 6)]]),
        (3, [[(1, 2), (3,)], [(4, 5, 6)]]),
        (1, [[(1, 2)], [(3,)], [(4, 5, 6)]]),
    ],
)
def test_groups_hold_so_many_tokens_or_one_input(
    n_most: int, expected: list[list[tuple[int, ...]]]
) -> None:
    groups = EmbeddingGroups([[1, 2], [3], [1, 2], [4, 5, 6], [3]])
    seen = []
    while not groups.is_complete:
        seen.append(groups.next_group(n_most))
        groups.add(_embedded(seen[-1]))
    assert seen == expected
    result = groups.result()
    assert result.vectors == tuple(bytes(each) for each in ((1, 2), (3,), (1, 2), (4, 5, 6), (3,)))
    assert result.n_tokens == 9


def test_a_group_that_was_interrupted_comes_again() -> None:
    groups = EmbeddingGroups([[1], [2]])
    assert groups.next_group(1) == groups.next_group(1) == [(1,)]
