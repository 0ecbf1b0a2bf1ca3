"""Room for files of kept prefixes, among several models and processes."""

import fcntl
import os
from pathlib import Path

import pytest

from pyrunner.engine.prefix_folder import PrefixFolder


def _never() -> None:
    """Time is not up."""


@pytest.fixture
def folder(tmp_path: Path) -> PrefixFolder:
    return _made(tmp_path, "model")


def _made(parent: Path, name: str) -> PrefixFolder:
    path = parent / name
    path.mkdir(mode=0o700)
    return PrefixFolder(path)


def _add(
    folder: PrefixFolder, name: str, size: int, used: int, budget: int = 100, spared: str = ""
) -> bool:
    with folder.adding(f"{name}.prefix", size, budget, {f"{spared}.prefix"}, _never) as fd:
        if fd is None:
            return False
        os.write(fd, b"x" * size)
        os.utime(fd, (used, used))
    return True


def _names(folder: PrefixFolder) -> list[str]:
    return [path.stem for path in folder.files()]


def test_files_are_private_and_listed_by_their_last_use(folder: PrefixFolder) -> None:
    for name, used in (("a", 2), ("b", 3), ("c", 1)):
        assert _add(folder, name, 10, used)
    assert _names(folder) == ["b", "a", "c"]
    assert {path.stat().st_mode & 0o777 for path in folder.files()} == {0o600}


def test_the_least_recently_used_of_all_models_make_room(
    tmp_path: Path, folder: PrefixFolder
) -> None:
    other = _made(tmp_path, "other")
    _add(folder, "a", 40, used=3)
    _add(other, "b", 40, used=1)
    _add(other, "c", 20, used=2)
    assert _add(folder, "d", 30, used=4)
    assert (_names(folder), _names(other)) == (["d", "a"], ["c"])


def test_what_is_spared_stays_and_nothing_goes_in_vain(folder: PrefixFolder) -> None:
    _add(folder, "a", 60, used=1)
    _add(folder, "b", 30, used=2)
    assert not _add(folder, "c", 50, used=3, spared="a")
    assert not _add(folder, "c", 101, used=3)
    assert _names(folder) == ["b", "a"]
    assert _add(folder, "c", 40, used=3, spared="a")
    assert _names(folder) == ["c", "a"]


def test_what_others_are_writing_counts(tmp_path: Path, folder: PrefixFolder) -> None:
    other = _made(tmp_path, "other")
    with other.adding("slow.prefix", 70, 100, (), _never):
        assert not _add(folder, "a", 40, used=1)
        assert _add(folder, "a", 30, used=1)
    assert _add(folder, "b", 40, used=2**40)
    assert (_names(folder), _names(other)) == (["b"], [])


def test_a_file_that_was_not_finished_leaves_nothing(folder: PrefixFolder) -> None:
    with (
        pytest.raises(OSError, match="broken"),
        folder.adding("a.prefix", 10, 100, (), _never),
    ):
        raise OSError("broken")
    assert list(folder.path.iterdir()) == []


def test_leavings_of_the_dead_go_and_those_of_the_living_stay(folder: PrefixFolder) -> None:
    (folder.path / "dead.prefix.1234.new").write_bytes(b"half")
    with folder.adding("a.prefix", 10, 100, (), _never):
        folder.remove_leavings()
        (living,) = folder.path.iterdir()
        assert living.name.startswith("a.prefix.")
    assert _names(folder) == ["a"]


def test_two_processes_make_room_one_after_the_other(folder: PrefixFolder) -> None:
    fd = os.open(folder.path.parent / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    seen: list[list[Path]] = []

    def pause(_seconds: float) -> None:
        seen.append(list(folder.path.iterdir()))
        os.close(fd)

    assert _add(PrefixFolder(folder.path, pause), "a", 1, used=1)
    assert seen == [[]]
    assert _names(folder) == ["a"]


def test_who_waits_for_the_lock_can_give_up(folder: PrefixFolder) -> None:
    def is_up() -> None:
        raise TimeoutError

    with (folder.path.parent / "lock").open("wb") as held:
        fcntl.flock(held.fileno(), fcntl.LOCK_EX)
        with pytest.raises(TimeoutError), folder.adding("a.prefix", 1, 9, (), is_up):
            pass


def test_only_a_folder_of_this_user_alone_is_private(tmp_path: Path, folder: PrefixFolder) -> None:
    assert folder.is_private()
    folder.path.chmod(0o750)
    assert not folder.is_private()
    (tmp_path / "link").symlink_to(folder.path)
    assert not PrefixFolder(tmp_path / "link").is_private()
    with pytest.raises(FileNotFoundError):
        PrefixFolder(tmp_path / "none").is_private()
