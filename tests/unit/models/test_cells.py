import os

import pytest
from support.disk_limit import n_open_files, refuse

from pyrunner.models.cells import CELL_BYTES, Cells, bytes_here, record_of
from pyrunner.registry.ranges import Span

SIZE = 3 * CELL_BYTES + 5
"""Four cells, the last one short."""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.cells"


@pytest.fixture
def cells(path):
    cells = Cells.begin(path, SIZE, 0)
    yield cells
    cells.close()


def test_new_record_misses_everything(cells):
    assert cells.holes() == [Span(0, SIZE)]
    assert (cells.n_bytes, cells.end) == (0, 0)


def test_prefix_is_kept_to_the_byte_while_the_process_lives(path):
    cells = Cells.begin(path, SIZE, CELL_BYTES + 7)
    assert cells.holes() == [Span(CELL_BYTES + 7, SIZE)]
    assert (cells.n_bytes, cells.end) == (CELL_BYTES + 7, CELL_BYTES)
    cells.close()


def test_end_waits_for_the_slowest_cell(cells):
    cells.add(2 * CELL_BYTES, CELL_BYTES)
    cells.add(0, CELL_BYTES)
    assert cells.end == CELL_BYTES
    assert cells.holes() == [Span(CELL_BYTES, 2 * CELL_BYTES), Span(3 * CELL_BYTES, SIZE)]
    cells.add(CELL_BYTES, CELL_BYTES)
    assert cells.end == 3 * CELL_BYTES
    cells.add(3 * CELL_BYTES, 5)
    assert (cells.end, cells.n_bytes, cells.holes()) == (SIZE, SIZE, [])


def test_bytes_may_cross_cells(cells):
    cells.add(0, CELL_BYTES - 1)
    cells.add(CELL_BYTES - 1, CELL_BYTES + 2)
    assert cells.end == 2 * CELL_BYTES
    assert cells.holes() == [Span(2 * CELL_BYTES + 1, SIZE)]


def test_what_was_whole_survives_and_what_was_not_is_forgotten(path, cells):
    cells.add(CELL_BYTES, CELL_BYTES + 100)
    again = Cells.resume(path, SIZE)
    assert again is not None
    assert again.holes() == [Span(0, CELL_BYTES), Span(2 * CELL_BYTES, SIZE)]
    assert again.n_bytes == CELL_BYTES
    again.close()


@pytest.mark.parametrize("content", [None, bytes(5)], ids=["none", "of a longer blob"])
def test_record_that_does_not_fit_is_none(tmp_path, content):
    path = tmp_path / "y.cells"
    if content is not None:
        path.write_bytes(content)
    assert Cells.resume(path, SIZE) is None


def test_discarded_record_is_gone(path, cells):
    cells.discard()
    assert not path.exists()


def test_bytes_of_a_partial_file_are_its_length_or_what_its_record_says(tmp_path):
    partial = tmp_path / "z.partial"
    assert bytes_here(partial, SIZE) == 0
    partial.write_bytes(b"123")
    record_of(partial).write_bytes(b"\1\0\1")
    assert bytes_here(partial, SIZE) == 3
    partial.write_bytes(bytes(SIZE))
    assert bytes_here(partial, SIZE) == 2 * CELL_BYTES
    record_of(partial).unlink()
    assert bytes_here(partial, SIZE) == SIZE


def test_last_bytes_are_forgotten_in_whole_cells_and_holes_stay(path, cells):
    cells.add(0, CELL_BYTES)
    cells.add(2 * CELL_BYTES, CELL_BYTES + 3)
    assert cells.forget_last(4) == 2 * CELL_BYTES
    assert (cells.n_bytes, cells.end) == (CELL_BYTES, CELL_BYTES)
    assert cells.holes() == [Span(CELL_BYTES, SIZE)]
    again = Cells.resume(path, SIZE)
    assert again is not None
    assert again.holes() == cells.holes()
    again.close()


def test_more_can_be_forgotten_than_there_is(cells):
    cells.add(CELL_BYTES, 5)
    assert cells.forget_last(CELL_BYTES) == 0
    assert (cells.n_bytes, cells.end, cells.holes()) == (0, 0, [Span(0, SIZE)])


@pytest.mark.parametrize("is_new", [True, False], ids=["new", "of an earlier process"])
def test_record_that_cannot_be_written_leaves_no_open_file(path, monkeypatch, *, is_new):
    if not is_new:
        path.write_bytes(b"\1")
    n_open = n_open_files()
    monkeypatch.setattr(os, "pwrite", refuse)
    with pytest.raises(OSError, match="No space left"):
        Cells.begin(path, SIZE, CELL_BYTES) if is_new else Cells.resume(path, SIZE)
    assert n_open_files() == n_open
    assert path.exists() == (not is_new)
