"""What is saved when a model is unloaded, and what a prompt starts from when it is loaded again."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support.clock import FakeClock
from support.scripted_lanes import CachedLanes, SavedLane, ScriptedLanes

from pyrunner.engine import disk_tier
from pyrunner.engine.disk_tier import MAX_HELD_PER_SHARED
from pyrunner.wire.launch import MAX_SAVE_S

A = list(range(1000, 1200))
B = list(range(2000, 2200))
C = list(range(3000, 3200))
N_PLENTY = 10**6
FILE_BYTES = ScriptedLanes.n_bytes(len(A)) + 1100
"""About; a head is less than the difference to two states."""

Load = Callable[..., CachedLanes]


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_conversations_continue_after_an_unload(load: Load) -> None:
    lanes = load(n_lanes=1)
    for prompt in (A, B, C):
        lanes.serve(0, prompt)
    lanes.cache.save()
    again = load(n_lanes=1)
    assert again.take_log() == []
    for prompt in (A, B, C):
        assert again.cache.n_cached([*prompt, 1], "") == len(prompt)
        assert again.serve(0, [*prompt, 1, 2]) == len(prompt)


def test_what_came_from_disk_is_in_memory_afterwards(load: Load, folder: Path) -> None:
    lanes = load()
    lanes.serve(0, A)
    lanes.cache.save()
    again = load()
    again.serve(0, [*A, 1])
    for path in folder.iterdir():
        path.unlink()
    assert again.serve(1, [*A, 2]) == len(A)


def test_a_beginning_is_read_and_the_whole_is_parked(load: Load, folder: Path) -> None:
    lanes = load()
    lanes.serve(0, [*A, *B])
    lanes.cache.save()
    again = load()
    assert again.serve(0, [*A, *C]) == len(A)
    for path in folder.iterdir():
        path.unlink()
    assert again.serve(0, [*A, *B, 1]) == len(A) + len(B)


def test_a_file_of_which_little_is_shared_is_left_alone(load: Load) -> None:
    lanes = load()
    lanes.serve(0, list(range(40 * MAX_HELD_PER_SHARED)))
    lanes.cache.save()
    assert load().serve(0, [*range(39), *B]) == 0
    assert load().serve(0, [*range(41), *B]) == 41


def test_memory_comes_before_a_disk_that_has_hardly_more(load: Load) -> None:
    lanes = load()
    lanes.serve(0, [*A, 1, 2, 3])
    lanes.cache.save()
    again = load(budget_bytes=0)
    again.serve(0, A[:-1])
    assert again.take_log() == ["restore 0"]
    assert again.serve(0, [*A, 1, 2, 3, 4]) == len(A) - 1  # the disk has four more
    assert again.take_log() == []


@pytest.mark.parametrize("drops_tails", [True, False])
def test_other_salts_find_nothing(load: Load, drops_tails: bool) -> None:
    lanes = load(drops_tails=drops_tails)
    lanes.serve(0, A, "one")
    lanes.cache.save()
    again = load(drops_tails=drops_tails)
    assert again.cache.n_cached([*A, 1], "two") == 0
    assert again.serve(0, [*A, 1], "two") == 0
    assert again.serve(1, [*A, 1]) == 0
    assert again.serve(0, [*A, 1], "one") == len(A)


def test_memory_that_drops_no_tails_starts_from_whole_files_only(load: Load) -> None:
    lanes = load(drops_tails=False, n_lanes=3)
    lanes.serve(0, A)
    lanes.serve(1, [*A, *B])
    lanes.cache.save()
    again = load(drops_tails=False)
    assert again.serve(0, [*A, *C]) == len(A)
    assert again.serve(0, [*A, *B, *C]) == len(A) + len(B)
    assert again.serve(1, [*A[:-1], 1]) == 0


def test_another_key_finds_nothing_and_spoils_nothing(load: Load, folder: Path) -> None:
    lanes = load()
    lanes.serve(0, A)
    lanes.cache.save()
    other = load(key=b"other")
    assert other.serve(0, [*A, 1]) == 0
    other.cache.save()
    assert len(_names(folder)) == 2
    assert load().serve(0, [*A, 1]) == len(A)


def test_a_damaged_state_is_read_again_and_its_file_deleted(
    load: Load, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lanes = load()
    lanes.serve(0, A)
    lanes.cache.save()
    again = load()
    (path,) = folder.iterdir()
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    assert again.serve(0, [*A, 1]) == 0
    assert again.session.tokens(0) == [*A, 1]
    assert _names(folder) == set()
    assert "is damaged; it is deleted" in caplog.text


@pytest.mark.parametrize("n_bytes", [0, 20, 100, -1])
def test_a_truncated_file_is_deleted_when_the_model_is_loaded(
    load: Load, folder: Path, n_bytes: int
) -> None:
    lanes = load()
    lanes.serve(0, A)
    lanes.cache.save()
    (path,) = folder.iterdir()
    path.write_bytes(path.read_bytes()[:n_bytes])
    assert load().serve(0, [*A, 1]) == 0
    assert _names(folder) == set()


def test_a_file_that_does_not_fit_is_deleted_and_others_still_travel(
    load: Load, folder: Path
) -> None:
    lanes = load()
    lanes.serve(0, A)
    lanes.cache.save()
    again = load()
    again.session.can_restore = False
    assert again.serve(0, [*A, 1]) == 0
    assert _names(folder) == set()
    again.session.can_restore = True
    assert again.serve(1, [*A, 1, 2]) == len(A) + 1


def test_a_file_that_memory_does_not_suffice_for_stays(load: Load, folder: Path) -> None:
    lanes = load()
    lanes.serve(0, A)
    lanes.cache.save()
    again = load()
    again.session.n_restores_without_memory = 1
    assert again.serve(0, [*A, 1]) == 0
    assert len(_names(folder)) == 1
    assert load().serve(0, [*A, 1]) == len(A)


def test_files_that_come_within_one_tick_of_the_folders_date_are_found(
    load: Load, folder: Path
) -> None:
    one_date_ns = 10**18
    os.utime(folder, ns=(one_date_ns, one_date_ns))
    again, lanes = load(unix_ns=lambda: one_date_ns), load()
    lanes.serve(0, A)
    lanes.cache.save()
    os.utime(folder, ns=(one_date_ns, one_date_ns))
    assert again.serve(0, [*A, 1]) == len(A)


def test_files_have_the_date_of_their_saving_and_the_most_valuable_the_latest(
    load: Load, folder: Path
) -> None:
    lanes = load(n_lanes=2, unix_ns=lambda: 10**18)
    lanes.serve(0, A)
    lanes.serve(1, B)
    lanes.cache.save()
    dates = sorted(path.stat().st_mtime_ns for path in folder.iterdir())
    assert dates == [10**18 - 10**6, 10**18]


def test_a_file_that_is_gone_costs_nothing(load: Load, folder: Path) -> None:
    lanes = load()
    lanes.serve(0, A)
    lanes.cache.save()
    again = load()
    (path,) = folder.iterdir()
    path.unlink()
    assert again.serve(0, [*A, 1]) == 0


def test_what_another_worker_saves_is_found_without_a_load(load: Load, folder: Path) -> None:
    old, new = load(), load()
    old.serve(0, A)
    old.cache.save()
    assert new.serve(0, [*A, 1]) == len(A)
    for path in folder.iterdir():
        path.unlink()
    disk = new.cache._disk
    assert disk is not None
    assert disk.n_files == 1
    disk.refresh()
    assert disk.n_files == 0


def test_what_is_on_disk_already_is_not_written_again(load: Load, folder: Path) -> None:
    lanes = load()
    lanes.serve(0, A)
    lanes.cache.save()
    (path,) = folder.iterdir()
    before = path.stat()
    again = load()
    again.serve(0, [*A, 1])
    again.cache._session.truncate_lane(0, len(A))
    again.cache._index.truncate(again.cache._in_lane[0], len(A))
    again.take_log()
    again.cache.save()
    assert again.take_log() == []
    assert (path.stat().st_ino, path.stat().st_size) == (before.st_ino, before.st_size)


def test_the_beginning_of_what_is_saved_goes(load: Load, folder: Path) -> None:
    lanes = load()
    lanes.serve(0, A)
    lanes.serve(1, [*B, 5], "tenant")
    lanes.cache.save()
    before = _names(folder)
    again = load()
    again.serve(0, [*A, *C])
    again.cache.save()
    assert len(_names(folder)) == 2
    assert len(_names(folder) & before) == 1


def test_of_what_is_held_twice_one_is_saved(load: Load, folder: Path) -> None:
    lanes = load(n_lanes=3)
    lanes.serve(0, A)
    lanes.serve(1, [*A, 1])
    lanes.serve(2, [*A, 1])
    lanes.cache.save()
    assert len(_names(folder)) == 1


def test_what_is_short_or_not_to_be_kept_is_not_saved(load: Load, folder: Path) -> None:
    lanes = load()
    lanes.serve(0, A[:20])
    lanes.serve(1, B)
    lanes.cache.save(but=[1])
    assert _names(folder) == set()


def test_the_budget_keeps_what_was_used_last(load: Load, folder: Path) -> None:
    lanes = load(n_lanes=4, disk_bytes=2 * FILE_BYTES)
    for lane, prompt in enumerate((A, B, C)):
        lanes.serve(lane, prompt)
    lanes.cache.save()
    assert len(_names(folder)) == 2
    again = load(disk_bytes=2 * FILE_BYTES)
    assert [again.cache.n_cached([*each, 1], "") for each in (A, B, C)] == [0, 200, 200]
    again.serve(0, [*B, 1])
    again.serve(1, A)
    again.cache.save()
    third = load()
    assert [third.cache.n_cached([*each, 1, 2], "") for each in (A, B, C)] == [200, 201, 0]


def test_saving_ends_when_its_time_is_up(
    load: Load, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    lanes = load(n_lanes=3, clock=clock)
    for lane, prompt in enumerate((A, B, C)):
        lanes.serve(lane, prompt)
    save_lane = ScriptedLanes.save_lane

    def slow_save(self: ScriptedLanes, lane: int) -> SavedLane:
        clock.advance(MAX_SAVE_S * 0.6)
        return save_lane(self, lane)

    monkeypatch.setattr(ScriptedLanes, "save_lane", slow_save)
    lanes.cache.save()
    assert len(_names(folder)) == 1
    assert load().serve(0, [*C, 1]) == len(C)


def test_a_state_that_cannot_be_made_is_left_out(load: Load, folder: Path) -> None:
    lanes = load()
    lanes.serve(0, A)
    lanes.serve(1, B)
    lanes.session.n_saves_without_memory = 1
    lanes.cache.save()
    assert len(_names(folder)) == 1
    assert load().serve(0, [*A, 1]) == len(A)


def test_memory_that_cannot_travel_saves_and_reads_nothing(load: Load, folder: Path) -> None:
    lanes = load()
    lanes.serve(0, A)
    lanes.cache.save()
    stuck = load(n_lanes=1, can_save=False)
    stuck.serve(0, B)
    stuck.serve(0, C)
    assert stuck.serve(0, [*A, 1]) == 0
    stuck.cache.save()
    assert len(_names(folder)) == 1


def test_a_removed_model_leaves_nothing_behind(
    load: Load, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lanes = load()
    lanes.serve(0, A)
    folder.rmdir()
    assert lanes.serve(1, B) == 0
    with caplog.at_level(logging.INFO):
        lanes.cache.save()
    assert not folder.exists()
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []


def test_a_folder_that_others_can_use_is_not_used(
    load: Load, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lanes = load()
    lanes.serve(0, A)
    lanes.cache.save()
    before = _names(folder)
    folder.chmod(0o755)
    again = load()
    assert again.serve(0, [*A, 1]) == 0
    again.cache.save()
    assert "prefixes are not saved" in caplog.text
    assert _names(folder) == before


def test_only_the_latest_files_are_looked_at(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    lanes = load(n_lanes=3)
    for lane, prompt in enumerate((A, B, C)):
        lanes.serve(lane, prompt)
    lanes.cache.save()
    monkeypatch.setattr(disk_tier, "MAX_FILES", 1)
    again = load()
    assert [again.cache.n_cached([*each, 1], "") for each in (A, B, C)] == [0, 0, 200]
