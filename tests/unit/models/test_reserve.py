import os
import zlib

import pytest
from support.disk_limit import limited_files

from pyrunner.models import reserve
from pyrunner.registry.manifest import MAX_MANIFEST_BYTES


@pytest.fixture
def path(tmp_path):
    path = tmp_path / reserve.NAME
    reserve.set_aside(path)
    return path


def test_reserve_takes_room_on_file_systems_that_compress_or_leave_zeros_out(path):
    content = path.read_bytes()
    assert len(content) == reserve.SIZE_BYTES
    assert len(zlib.compress(content, 1)) >= len(content)
    assert path.stat().st_blocks * 512 >= len(content)


def test_leases_leave_what_the_largest_index_needs(path):
    given = [reserve.give_some(path) for _ in range(17)]
    assert given == [True] * 16 + [False]
    assert path.stat().st_size == reserve.REMOVAL_BYTES >= MAX_MANIFEST_BYTES


def test_reserve_is_made_whole_again(path):
    reserve.give_some(path)
    reserve.set_aside(path)
    assert path.stat().st_size == reserve.SIZE_BYTES


@pytest.mark.parametrize("n_bytes", [0, 1, 5000])
def test_reserve_without_room_is_left_out(tmp_path, n_bytes):
    path = tmp_path / reserve.NAME
    with limited_files(n_bytes):
        reserve.set_aside(path)
    assert not path.exists()


def test_write_that_takes_a_part_is_continued(tmp_path, monkeypatch):
    path, write = tmp_path / reserve.NAME, os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, content, at: write(fd, content[:1_000_000], at))
    reserve.set_aside(path)
    assert path.stat().st_size == reserve.SIZE_BYTES
