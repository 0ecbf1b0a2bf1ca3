"""Where prompts are copied: few places, and the last of them found from both sides."""

import pytest

from pyrunner.engine.snapshots import BLOCK, is_place, last_place


@pytest.mark.parametrize(
    ("n_prompt", "blocks"),
    [
        (BLOCK, []),
        (BLOCK + 1, [1]),
        (3 * BLOCK + 50, [1, 2, 3]),
        (13 * BLOCK + 1, [1, 2, 4, 8, 12, 13]),
        (16 * BLOCK, [1, 2, 4, 8, 14, 15]),
    ],
)
def test_places_are_powers_of_two_and_the_last_two(n_prompt: int, blocks: list[int]) -> None:
    places = [n for n in range(n_prompt) if is_place(n, n_prompt)]
    assert places == [n * BLOCK for n in blocks]
    for n_tokens in range(0, n_prompt, 100):
        before = [n for n in places if n <= n_tokens]
        assert last_place(n_tokens, n_prompt) == max(before, default=0)
