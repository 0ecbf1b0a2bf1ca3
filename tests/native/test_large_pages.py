"""Weights that move from the mapped file into large pages stay what they are."""

import os
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.headed_model import NO_HEAD
from support.mapped_files import mapped_bytes
from support.model_cases import LLAMA_BPE
from support.reference import Row
from support.step_script import SessionPlayer, Step

from pyrunner._native import LargePages, Model, Session

pytestmark = [
    pytest.mark.native,
    pytest.mark.model,
    pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="Linux moves weights"),
]

PAGE_BYTES = 2 * 1024 * 1024
PROMPT = [300 + 7 * i for i in range(40)]


@pytest.fixture
def path(model_folder: Path) -> Path:
    return LLAMA_BPE.file(model_folder)


def _loaded(path: Path, *, use_mmap: bool = True) -> Model:
    model = Model()
    assert model.load([os.fsencode(path)], use_mmap=use_mmap) == 0, model.error
    return model


def _logits(model: Model) -> bytes:
    """Of the last token of a prompt, in a session that nothing else has used."""
    session = Session(model, n_ctx=1024, n_lanes=1, n_batch=64, n_threads=2)
    rows = [Row(0, pos, token) for pos, token in enumerate(PROMPT)]
    rows[-1] = Row(0, len(PROMPT) - 1, PROMPT[-1], "logits")
    SessionPlayer(session).play_step(Step(chunk=rows))
    return bytes(session.logits(0))


def test_weights_are_the_same_in_large_pages(path: Path) -> None:
    model = _loaded(path)
    expected = _logits(model)
    before = mapped_bytes(path)
    pages = LargePages(model)
    n_bytes = pages.n_left_bytes
    assert n_bytes > 8 * PAGE_BYTES
    assert n_bytes % PAGE_BYTES == 0
    assert pages.move(1)
    assert pages.n_left_bytes == n_bytes - PAGE_BYTES
    assert pages.move(3 * PAGE_BYTES)
    assert _logits(model) == expected  # some here, some there
    while pages.n_left_bytes:
        assert pages.move(3 * PAGE_BYTES)
    assert pages.move(PAGE_BYTES)  # nothing is left, which is no error
    assert mapped_bytes(path) == before - n_bytes
    assert _logits(model) == expected


def test_weights_move_while_others_compute(path: Path) -> None:
    model = _loaded(path)
    expected = _logits(model)
    pages = LargePages(model)
    seen: list[bool] = []
    is_over = threading.Event()

    def compute() -> None:
        while not is_over.is_set():
            seen.append(_logits(model) == expected)

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        while pages.n_left_bytes or len(seen) < 3:
            assert pages.move(PAGE_BYTES)
    finally:
        is_over.set()
        thread.join()
    assert all(seen)


def test_a_model_that_goes_takes_its_large_pages_along(path: Path) -> None:
    n_before = _anonymous_bytes()
    model = _loaded(path)
    pages = LargePages(model)
    n_bytes = pages.n_left_bytes
    while pages.n_left_bytes:
        assert pages.move(n_bytes)
    del model, pages
    assert mapped_bytes(path) == 0
    assert _anonymous_bytes() - n_before < n_bytes // 2


def test_weights_that_were_read_have_no_file_to_leave(path: Path) -> None:
    assert LargePages(_loaded(path, use_mmap=False)).n_left_bytes == 0


def test_a_table_that_gives_a_row_to_each_token_stays_in_the_file(model_folder: Path) -> None:
    model = _loaded(NO_HEAD.file(model_folder))
    table_bytes = 4 * model.n_vocab * model.n_embd
    n_bytes = LargePages(model).n_left_bytes
    assert table_bytes - 2 * PAGE_BYTES < n_bytes <= model.size_bytes - table_bytes


def test_without_memory_weights_stay_in_the_file(path: Path) -> None:
    model = _loaded(path)
    expected = _logits(model)
    before = mapped_bytes(path)
    pages = LargePages(model)
    with _no_more_memory_than(8 * PAGE_BYTES):
        assert not pages.move(pages.n_left_bytes)
    assert pages.n_left_bytes == 0
    assert mapped_bytes(path) == before
    assert _logits(model) == expected


def _anonymous_bytes() -> int:
    """What this process has of memory that is no file's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))


@contextmanager
def _no_more_memory_than(n_bytes: int) -> Iterator[None]:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
