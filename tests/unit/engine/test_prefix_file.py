"""A kept prefix as a file: whole it comes back, and damaged anywhere it does not."""

import os
import random
from array import array
from pathlib import Path

import pytest
from support.scripted_lanes import Cell, SavedLane

from pyrunner.engine import prefix_file
from pyrunner.engine.prefix_file import WrongFileError

TOKENS = array("i", range(1000, 1100))
STATE = SavedLane.of([Cell(token, "a") for token in TOKENS], 1, fits_layouts=True)
SALT = prefix_file.hidden("a")


def _never() -> None:
    """Time is not up."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return _written(tmp_path)


def _written(folder: Path, key: bytes = b"key", salt: bytes = SALT) -> Path:
    path = folder / prefix_file.file_name(key, salt, TOKENS.tobytes(), 0)
    head = prefix_file.describe(key, salt, TOKENS.tobytes(), STATE, _never)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    prefix_file.write(fd, head, STATE, _never)
    os.close(fd)
    assert path.stat().st_size == prefix_file.size_bytes(head, STATE)
    return path


def _read(path: Path) -> SavedLane:
    return prefix_file.read(path, prefix_file.read_head(path), SavedLane.blank)


def test_what_was_written_comes_back(path: Path) -> None:
    head = prefix_file.read_head(path)
    assert (head.key, head.salt, head.unpacked(), head.n_tokens) == (b"key", SALT, TOKENS, 100)
    state = _read(path)
    assert state.n_tokens == len(TOKENS)
    assert state.view() == STATE.view()


def test_the_salt_is_not_in_the_file(tmp_path: Path) -> None:
    path = _written(tmp_path, salt=prefix_file.hidden("a secret of the tenant"))
    assert b"a secret" not in path.read_bytes()
    assert prefix_file.hidden("a") != prefix_file.hidden("") != prefix_file.hidden("\udcff")


def test_key_and_salt_and_tokens_and_a_number_of_lanes_make_the_name() -> None:
    names = {
        prefix_file.file_name(key, salt, tokens, n_lanes)
        for key in (b"k", b"ks")
        for salt in (b"", b"s")
        for tokens in (b"", b"t", b"st")
        for n_lanes in (0, 1)
    }
    assert len(names) == 24


def test_a_bit_that_flipped_anywhere_is_found(path: Path) -> None:
    content = path.read_bytes()
    rng = random.Random(1)
    places = [*range(60), *(rng.randrange(len(content)) for _ in range(300)), len(content) - 1]
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(WrongFileError):
            _read(path)


@pytest.mark.parametrize("n_bytes", [0, 1, 43, 44, 45, 500, -1])
def test_a_file_that_ends_too_early_is_found_without_its_state(path: Path, n_bytes: int) -> None:
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(WrongFileError):
        prefix_file.read_head(path)


def test_a_file_that_shrinks_while_it_is_used_is_found(path: Path) -> None:
    head = prefix_file.read_head(path)

    def shrinks(n_tokens: int, n_bytes: int, n_lanes: int) -> SavedLane:
        os.truncate(path, path.stat().st_size - 10)
        return SavedLane.blank(n_tokens, n_bytes, n_lanes)

    with pytest.raises(WrongFileError, match="ends too early"):
        prefix_file.read(path, head, shrinks)


def test_a_file_with_more_behind_it_is_found(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(WrongFileError, match="another length"):
        prefix_file.read_head(path)


def test_a_file_under_the_name_of_another_is_found(tmp_path: Path) -> None:
    one, two = _written(tmp_path, b"one"), _written(tmp_path, b"two")
    head = prefix_file.read_head(one)
    two.replace(one)
    with pytest.raises(WrongFileError, match="not what its name says"):
        prefix_file.read(one, head, SavedLane.blank)


def test_a_head_that_claims_gigabytes_is_refused_before_it_is_read(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:8] + b"\xff\xff\xff\xff" + content[12:])
    with pytest.raises(WrongFileError, match="another format"):
        prefix_file.read_head(path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_file_that_others_can_use_is_refused(path: Path, mode: int) -> None:
    path.chmod(mode)
    with pytest.raises(WrongFileError, match="this user alone"):
        prefix_file.read_head(path)


def test_what_is_no_file_is_refused(tmp_path: Path, path: Path) -> None:
    (tmp_path / "folder").mkdir(mode=0o700)
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "link").symlink_to(path)
    for name in ("folder", "pipe"):
        with pytest.raises(WrongFileError):
            prefix_file.read_head(tmp_path / name)
    with pytest.raises(OSError, match="symbolic links"):
        prefix_file.read_head(tmp_path / "link")


def test_writing_stops_when_time_is_up(tmp_path: Path) -> None:
    def is_up() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        prefix_file.describe(b"", b"", b"", STATE, is_up)
    with (tmp_path / "x").open("wb") as file, pytest.raises(TimeoutError):
        prefix_file.write(file.fileno(), b"", STATE, is_up)
