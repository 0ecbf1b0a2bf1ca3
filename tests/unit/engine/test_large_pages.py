"""Weights move to large pages a little at a time, and only into memory that nobody misses."""

from itertools import pairwise
from pathlib import Path

import pytest

from pyrunner.engine.large_pages import LargePageMover, has_large_pages

PAGE_BYTES = 2 * 1024 * 1024
SYSTEM = Path("sys/kernel/mm/transparent_hugepage")


class _Weights:
    """As many large pages as a test says; those that were asked for are noted."""

    def __init__(self, n_pages: int, *, n_allowed: int = 10**6) -> None:
        self.n_left_bytes = n_pages * PAGE_BYTES
        self._n_allowed = n_allowed
        self.moved: list[int] = []

    def move(self, n_bytes: int) -> bool:
        self.moved.append(n_bytes)
        if len(self.moved) > self._n_allowed:
            self.n_left_bytes = 0
            return False
        self.n_left_bytes -= min(n_bytes, self.n_left_bytes)
        return True


def _plenty() -> int:
    return 10**15


def test_small_models_move_by_the_page_and_one_after_the_other() -> None:
    first, second = _Weights(3), _Weights(2)
    mover = LargePageMover([first, second], _plenty)
    assert [mover.move() for _ in range(6)] == [True] * 4 + [False] * 2
    assert (first.moved, second.moved) == ([PAGE_BYTES] * 3, [PAGE_BYTES] * 2)


def test_huge_models_move_in_few_enough_portions() -> None:
    weights = _Weights(2_000_000)
    mover = LargePageMover([weights], _plenty)
    while mover.move():
        pass
    assert weights.n_left_bytes == 0
    assert len(weights.moved) <= 32_769


@pytest.mark.parametrize(("room_pages", "n_moved"), [(8, 1), (7, 0)])
def test_nothing_moves_unless_twice_as_much_is_free(room_pages: int, n_moved: int) -> None:
    weights = _Weights(4)
    LargePageMover([weights], lambda: room_pages * PAGE_BYTES).move()
    assert len(weights.moved) == n_moved


def test_what_others_take_meanwhile_ends_it_for_good() -> None:
    weights, room = _Weights(4), [8, 5, 100]
    mover = LargePageMover([weights], lambda: room.pop(0) * PAGE_BYTES)
    assert [mover.move() for _ in range(3)] == [True, False, False]
    assert len(weights.moved) == 1


def test_a_model_that_is_refused_is_not_asked_again() -> None:
    refused, other = _Weights(9, n_allowed=1), _Weights(1)
    mover = LargePageMover([refused, other], _plenty)
    assert [mover.move() for _ in range(4)] == [True, True, False, False]
    assert len(refused.moved) == 2
    assert other.n_left_bytes == 0


def test_between_steps_moving_takes_a_small_share_of_the_time() -> None:
    now_s = 0.0
    moved_at_s: list[float] = []

    class _Slow(_Weights):
        def move(self, n_bytes: int) -> bool:
            nonlocal now_s
            moved_at_s.append(now_s)
            now_s += 0.25  # a step takes as long
            return super().move(n_bytes)

    mover = LargePageMover([_Slow(100)], _plenty, lambda: now_s)
    for _ in range(100):
        mover.move_between_steps()
        now_s += 0.25
    assert [later - earlier for earlier, later in pairwise(moved_at_s)] == [8.25] * 3


def test_between_steps_nothing_is_done_once_all_have_moved() -> None:
    weights = _Weights(1)
    mover = LargePageMover([weights], _plenty)
    for _ in range(3):
        mover.move_between_steps()
    assert len(weights.moved) == 1


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A system that has large pages for programs that ask for them."""
    (tmp_path / SYSTEM / "hugepages-2048kB").mkdir(parents=True)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / SYSTEM / "enabled").write_text("always [madvise] never\n")
    (tmp_path / SYSTEM / "hpage_pmd_size").write_text("2097152\n")
    return tmp_path


def test_large_pages_are_there_when_linux_says_so(root: Path) -> None:
    assert has_large_pages(root)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("enabled", "always madvise [never]\n"),
        ("hugepages-2048kB/enabled", "always inherit madvise [never]\n"),
        ("hpage_pmd_size", "536870912\n"),
        ("hpage_pmd_size", "?\n"),
        ("../../../../proc/self/status", "Name:\tx\nTHP_enabled:\t0\n"),
    ],
)
def test_large_pages_are_not_there_when_linux_says_so(root: Path, file: str, text: str) -> None:
    (root / SYSTEM / file).write_text(text)
    assert not has_large_pages(root)


def test_large_pages_of_their_own_setting_do_not_depend_on_the_general_one(root: Path) -> None:
    (root / SYSTEM / "enabled").write_text("always madvise [never]\n")
    own = root / SYSTEM / "hugepages-2048kB" / "enabled"
    own.write_text("always inherit [madvise] never\n")
    assert has_large_pages(root)
    own.write_text("always [inherit] madvise never\n")
    assert not has_large_pages(root)


def test_elsewhere_there_are_none(tmp_path: Path) -> None:
    assert not has_large_pages(tmp_path)
