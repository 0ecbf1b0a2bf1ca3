"""The prefix cache under tens of thousands of random operations, each followed by every check."""

import random
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from support.scripted_lanes import Cell, SavedLane, ScriptedLanes

from pyrunner.engine.disk_tier import DiskTier
from pyrunner.engine.prefix_cache import MIN_COPIED, PrefixCache

if TYPE_CHECKING:
    from pyrunner._native import Session

N_CTX = 300
"""Below 64 times `MIN_COPIED`, so that no copy is refused for the length of its source."""
N_LANES = 5
SALTS = ("", "", "tenant")


@pytest.fixture(autouse=True)
def _short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that prompts of these short lanes have snapshots."""
    monkeypatch.setattr("pyrunner.engine.snapshots.BLOCK", MIN_COPIED)


def _n_shared(held: list[Cell], prompt: list[int], salt: str) -> int:
    """Tokens of a lane that are the beginning of a prompt and were read for its salt."""
    n_shared = 0
    for cell, token in zip(held, prompt[:-1], strict=False):
        if cell != Cell(token, salt):
            break
        n_shared += 1
    return n_shared


class _Machine:
    """Requests that start, grow, end and move over scripted lanes, as the loop does it."""

    def __init__(self, seed: int, budget_bytes: int, *, drops_tails: bool, can_fail: bool) -> None:
        self.rng = random.Random(seed)
        self.session = ScriptedLanes(n_lanes=N_LANES, drops_tails=drops_tails)
        self.budget_bytes = budget_bytes
        self.can_fail = can_fail
        self.cache = PrefixCache(cast("Session", self.session), budget_bytes)
        self.running: dict[int, list[int]] = {}  # by lane: what it must hold
        self.salt_of: dict[int, str] = {}  # by running lane
        self.seen: list[list[int]] = [[]]  # to make prompts from
        self.n_cached = 0
        self.n_prompt = 0

    @property
    def free_lanes(self) -> list[int]:
        return [lane for lane in range(N_LANES) if lane not in self.running]

    def some_prompt(self) -> list[int]:
        """Part of what somebody had, and then something else."""
        rng = self.rng
        seen = rng.choice(self.seen)
        n_seen = rng.choice((len(seen), len(seen), rng.randint(0, len(seen))))
        n_new = rng.choice((0, 1, 3, rng.randrange(80)))
        prompt = seen[:n_seen] + [rng.randrange(3) for _ in range(n_new)]
        return prompt[: N_CTX - 50] or [0]

    def start(self) -> None:
        lane, salt, prompt = self.rng.choice(self.free_lanes), self.rng.choice(SALTS), []
        prompt = self.some_prompt()
        least, promised = self.least_cached(lane, prompt, salt), self.cache.n_cached(prompt, salt)
        n_cached = self.cache.start(lane, prompt, salt)
        assert 0 <= n_cached < len(prompt)
        # Each of these cells says the token it is of, and that this salt had it read.
        assert self.session.cells[lane] == [Cell(token, salt) for token in prompt[:n_cached]]
        if not self.can_fail:
            assert n_cached >= max(least, promised)
        self.session.open_lanes.add(lane)
        self.running[lane], self.salt_of[lane] = prompt[:n_cached], salt
        self.n_cached += n_cached
        self.n_prompt += len(prompt)
        # A prompt may be read in parts, or never to its end.
        self.add(lane, prompt[n_cached : self.rng.choice((len(prompt), n_cached + 10))])
        self.cache.note_read(lane, len(prompt))
        self.seen = [*self.seen[-20:], prompt]

    def least_cached(self, lane: int, prompt: list[int], salt: str) -> int:
        """What the lanes alone give, by looking at every cell."""
        if not self.session.drops_tails:
            return 0
        shared = [_n_shared(cells, prompt, salt) for cells in self.session.cells]
        return max(shared) if max(shared) >= MIN_COPIED else shared[lane]

    def add(self, lane: int, tokens: list[int]) -> None:
        self.session.read(lane, tokens, self.salt_of[lane])
        self.cache.grow(lane, tokens)
        self.running[lane] += tokens

    def grow(self) -> None:
        lane = self.rng.choice(list(self.running))
        n_room = N_CTX - len(self.running[lane])
        n_new = min(n_room, self.rng.choice((0, 1, 1, self.rng.randrange(40))))
        self.add(lane, [self.rng.randrange(3) for _ in range(n_new)])

    def end(self) -> None:
        lane = self.rng.choice(list(self.running))
        self.session.open_lanes.discard(lane)
        self.seen.append(self.running.pop(lane))

    def vacate(self) -> None:
        lane = self.rng.choice(self.free_lanes)
        self.cache.vacate(lane)
        assert self.session.cells[lane] == []

    def move(self) -> None:
        source, target = self.rng.choice(list(self.running)), self.rng.choice(self.free_lanes)
        if not self.cache.move(source, target):
            return
        self.running[target] = self.running.pop(source)
        self.salt_of[target] = self.salt_of.pop(source)

    def ask(self) -> None:
        self.cache.n_cached(self.some_prompt(), self.rng.choice(SALTS))

    def change(self) -> None:
        if self.can_fail:
            self.session.n_saves_without_memory = self.rng.choice((0, 0, 0, 1))
        able = [self.ask]
        if self.running:
            able += [self.grow, self.grow, self.end, self.end]
        if self.free_lanes:
            able += [self.start, self.start, self.start, self.vacate]
        if self.running and self.free_lanes:
            able += [self.move]
        self.rng.choice(able)()

    def check(self) -> None:
        self.cache.check()
        for lane, tokens in self.running.items():
            salt = self.salt_of[lane]
            assert self.session.cells[lane] == [Cell(token, salt) for token in tokens]
        for lane, holder in self.cache._in_lane.items():
            assert list(self.cache._index.tokens_of(holder)) == self.session.tokens(lane)
        n_bytes = sum(state.n_bytes for state in self.cache._parked._states.values())
        assert self.cache.parked_bytes == n_bytes <= self.budget_bytes

    def check_parked(self) -> None:
        for holder, state in self.cache._parked._states.items():
            salt = self.cache._salts[holder]
            tokens = self.cache._index.tokens_of(holder)
            assert cast("SavedLane", state).cells == [Cell(token, salt) for token in tokens]


class _Reloaded(_Machine):
    """The same model, unloaded and loaded again now and then, beside somebody who breaks files."""

    def __init__(self, seed: int, folder: Path, budget_bytes: int, *, drops_tails: bool) -> None:
        # The counts that are promised hold for sound files only.
        super().__init__(seed, 10**5, drops_tails=drops_tails, can_fail=True)
        self.folder, self.disk_bytes = folder, budget_bytes
        self.n_from_disk = 0
        self.load()

    def load(self) -> None:
        self.session = ScriptedLanes(n_lanes=N_LANES, drops_tails=self.session.drops_tails)
        self.disk = DiskTier(self.folder, b"key", self.disk_bytes, SavedLane.blank)
        cache = PrefixCache(
            cast("Session", self.session), self.budget_bytes, cast("Any", self.disk)
        )
        self.cache = cache
        self.running.clear()

    def unload(self) -> None:
        self.cache.save(but=[lane for lane in self.running if self.rng.random() < 0.3])
        n_bytes = sum(path.stat().st_size for path in self.folder.iterdir())
        assert n_bytes <= self.disk_bytes
        self.load()
        n_before = self.n_cached
        for _ in range(N_LANES):
            self.start()
        self.n_from_disk += self.n_cached - n_before

    def spoil(self) -> None:
        paths = sorted(self.folder.iterdir())
        if not paths:
            return
        path = self.rng.choice(paths)
        if self.rng.random() < 0.5:
            path.unlink()
            return
        content = bytearray(path.read_bytes())
        content[self.rng.randrange(len(content))] ^= 1 << self.rng.randrange(8)
        path.write_bytes(content)

    def change(self) -> None:
        chance = self.rng.random()
        if chance < 0.01:
            self.unload()
        elif chance < 0.03:
            self.spoil()
        else:
            super().change()


@pytest.mark.slow
@pytest.mark.parametrize("drops_tails", [True, False], ids=["drops tails", "whole only"])
@pytest.mark.parametrize("n_files", [3, 100])
def test_random_operations_between_unloads(tmp_path: Path, n_files: int, drops_tails: bool) -> None:
    folder = tmp_path / "model"
    folder.mkdir(mode=0o700)
    n_bytes = n_files * ScriptedLanes.n_bytes(N_CTX)
    machine = _Reloaded(n_files, folder, n_bytes, drops_tails=drops_tails)
    for _ in range(1500):
        machine.change()
        machine.check()
    assert machine.n_from_disk > 100


@pytest.mark.slow
@pytest.mark.parametrize("can_fail", [False, True], ids=["enough memory", "saves fail"])
@pytest.mark.parametrize("drops_tails", [True, False], ids=["drops tails", "whole only"])
@pytest.mark.parametrize("n_blobs", [0, 1, 6, 20])
def test_random_operations_keep_the_books_and_every_lane(
    n_blobs: int, drops_tails: bool, can_fail: bool
) -> None:
    budget_bytes = n_blobs * ScriptedLanes.n_bytes(N_CTX // 2)
    machine = _Machine(n_blobs, budget_bytes, drops_tails=drops_tails, can_fail=can_fail)
    for i in range(2000):
        machine.change()
        machine.check()
        if i % 20 == 0:
            machine.check_parked()
    assert machine.n_cached > machine.n_prompt // 50, "hardly anything was cached: proves nothing"


@pytest.mark.parametrize("lacks", ["can_save", "can_restore", "can_drop_tails"])
def test_random_operations_over_memory_that_can_do_less_than_it_says(lacks: str) -> None:
    machine = _Machine(0, 10**6, drops_tails=True, can_fail=True)
    setattr(machine.session, lacks, False)
    for _ in range(2000):
        machine.change()
        machine.check()
    assert machine.n_cached > 0
    assert (machine.cache.parked_bytes > 0) is (lacks == "can_drop_tails")
