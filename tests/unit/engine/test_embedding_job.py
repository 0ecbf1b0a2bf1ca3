"""engine.embedding_job: groups, equal inputs, results in the order of the inputs."""

from collections.abc import Sequence

import pytest

from pyrunner.engine.embedding_job import EmbeddingJob
from pyrunner.types import EmbeddingResult


def _embedded(group: Sequence[Sequence[int]]) -> EmbeddingResult:
    vectors = tuple(bytes(each) for each in group)
    return EmbeddingResult(vectors=vectors, n_embd=1, n_tokens=sum(map(len, group)))


@pytest.mark.parametrize(
    ("n_most", "groups"),
    [
        (100, [[(1, 2), (3,), (4, 5, 6)]]),
        (3, [[(1, 2), (3,)], [(4, 5, 6)]]),
        (1, [[(1, 2)], [(3,)], [(4, 5, 6)]]),
    ],
)
def test_groups_hold_so_many_tokens_or_one_input(
    n_most: int, groups: list[list[tuple[int, ...]]]
) -> None:
    job = EmbeddingJob([[1, 2], [3], [1, 2], [4, 5, 6], [3]])
    seen = []
    while not job.is_complete:
        seen.append(job.next_group(n_most))
        job.add(_embedded(seen[-1]))
    assert seen == groups
    result = job.result()
    assert result.vectors == tuple(bytes(each) for each in ((1, 2), (3,), (1, 2), (4, 5, 6), (3,)))
    assert result.n_tokens == 9


def test_a_group_that_was_interrupted_comes_again() -> None:
    job = EmbeddingJob([[1], [2]])
    assert job.next_group(1) == job.next_group(1) == [(1,)]
