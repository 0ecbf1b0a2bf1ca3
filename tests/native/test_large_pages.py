"""Weights that move from the mapped file into large pages stay what they are."""

import gc
import os
import resource
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.headed_model import NO_HEAD
from support.model_cases import LLAMA_BPE
from support.own_memory import anonymous_bytes, mapped_bytes
from support.random_model import write_random_model
from support.reference import Row
from support.step_script import SessionPlayer, Step

from pyrunner._native import LargePages, Model, Session
from pyrunner.engine.large_pages import has_large_pages

pytestmark = [
    pytest.mark.native,
    pytest.mark.model,
    pytest.mark.skipif(not has_large_pages(), reason="needs large pages for programs that ask"),
]

PAGE_BYTES = 2 * 1024 * 1024
PROMPT = [300 + 7 * i for i in range(40)]


@pytest.fixture
def path(model_folder: Path, tmp_path: Path) -> Path:
    """A file that no other test has mapped."""
    own = tmp_path / "model.gguf"
    shutil.copy(LLAMA_BPE.file(model_folder), own)
    return own


def _loaded(path: Path, *, use_mmap: bool = True) -> Model:
    model = Model()
    status = model.load([os.fsencode(path)], n_gpu_layers=0, use_mmap=use_mmap)
    assert status == 0, model.error
    return model


def _session(model: Model) -> Session:
    return Session(model, n_ctx=1024, n_lanes=1, n_batch=64, n_threads=2)


def _logits(session: Session) -> bytes:
    """Of the last token of a prompt."""
    session.clear_lane(0)
    rows = [Row(0, pos, token) for pos, token in enumerate(PROMPT)]
    rows[-1] = Row(0, len(PROMPT) - 1, PROMPT[-1], "logits")
    SessionPlayer(session).play_step(Step(chunk=rows))
    with session.logits(0) as lent:
        return bytes(lent)


def test_weights_are_the_same_in_large_pages(path: Path) -> None:
    model = _loaded(path)
    session = _session(model)
    expected = _logits(session)
    before = mapped_bytes(path)
    pages = LargePages(model)
    n_bytes = pages.n_left_bytes
    assert n_bytes > 8 * PAGE_BYTES
    assert n_bytes % PAGE_BYTES == 0
    assert pages.move(0)  # one at least
    assert pages.n_left_bytes == n_bytes - PAGE_BYTES
    assert pages.move(3 * PAGE_BYTES)
    assert pages.n_left_bytes == n_bytes - 4 * PAGE_BYTES
    assert _logits(session) == expected  # some here, some there
    assert pages.move(2**64 - 1)
    assert pages.n_left_bytes == 0
    assert pages.move(PAGE_BYTES)  # nothing is left, which is no error
    assert mapped_bytes(path) == before - n_bytes
    assert _logits(session) == expected


def test_moved_weights_may_be_in_large_pages_and_are_in_no_core_dump(path: Path) -> None:
    model = _loaded(path)
    pages = LargePages(model)
    n_bytes, others = pages.n_left_bytes, set(_advised())
    assert pages.move(n_bytes)
    moved = [span for span in _advised() if span not in others]
    assert sum(end - begin for begin, end in moved) == n_bytes
    assert all(begin % PAGE_BYTES == end % PAGE_BYTES == 0 for begin, end in moved)


def _advised() -> Iterator[tuple[int, int]]:
    """Memory that may be in large pages (hg) and is not dumped (dd), as proc(5) calls them."""
    begin = end = 0
    for line in Path("/proc/self/smaps").read_text().splitlines():
        words = line.split()
        if not words[0].endswith(":"):
            begin, end = (int(number, 16) for number in words[0].split("-"))
        elif words[0] == "VmFlags:" and {"hg", "dd"} <= set(words):
            yield begin, end


def test_weights_move_while_others_compute(path: Path) -> None:
    model = _loaded(path)
    session = _session(model)
    expected = _logits(session)
    pages = LargePages(model)
    n_left: list[int] = []
    are_equal: list[bool] = []

    def compute() -> None:
        while not n_left or n_left[-1]:
            n_left.append(pages.n_left_bytes)
            are_equal.append(_logits(session) == expected)

    thread = threading.Thread(target=compute)
    thread.start()
    while pages.n_left_bytes and thread.is_alive():
        n_before = len(n_left)
        while len(n_left) == n_before and thread.is_alive():
            pass  # no more than one portion for each pass
        assert pages.move(PAGE_BYTES)
    thread.join()
    assert all(are_equal)
    assert len(set(n_left)) > 8
    assert n_left[-1] == 0


def test_a_model_that_goes_takes_its_large_pages_along(path: Path) -> None:
    gc.collect()  # what other tests left
    model = _loaded(path)
    n_loaded = anonymous_bytes()
    pages = LargePages(model)
    n_bytes = pages.n_left_bytes
    assert pages.move(n_bytes)
    assert anonymous_bytes() - n_loaded >= n_bytes
    del model, pages
    assert mapped_bytes(path) == 0
    # A sanitizer keeps what else the model had for a while after it was freed.
    assert anonymous_bytes() - n_loaded < n_bytes // 2


def test_weights_that_were_read_have_no_file_to_leave(path: Path) -> None:
    assert LargePages(_loaded(path, use_mmap=False)).n_left_bytes == 0


def test_a_table_that_gives_a_row_to_each_token_stays_in_the_file(model_folder: Path) -> None:
    model = _loaded(NO_HEAD.file(model_folder))
    table_bytes = 4 * model.n_vocab * model.n_embd
    n_bytes = LargePages(model).n_left_bytes
    assert table_bytes - 2 * PAGE_BYTES < n_bytes <= model.size_bytes - table_bytes


def test_both_files_of_a_split_model_move(tmp_path: Path) -> None:
    shape = LLAMA_BPE.shape | {"n_embd": 128, "n_ff": 8192}
    write_random_model(tmp_path / "m", vocab=LLAMA_BPE.vocab, n_shard_tensors=20, **shape)
    shards = sorted(tmp_path.iterdir())
    model = Model()
    assert model.load([os.fsencode(each) for each in shards], n_gpu_layers=0) == 0, model.error
    session = _session(model)
    expected = _logits(session)
    before = [mapped_bytes(each) for each in shards]
    pages = LargePages(model)
    assert pages.n_left_bytes > 0
    while pages.n_left_bytes:
        assert pages.move(2**40)
    assert len(shards) == 2
    assert all(mapped_bytes(each) < n_bytes for each, n_bytes in zip(shards, before, strict=True))
    assert _logits(session) == expected


def test_without_memory_weights_stay_in_the_file(path: Path) -> None:
    model = _loaded(path)
    session = _session(model)
    expected = _logits(session)
    before = mapped_bytes(path)
    pages = LargePages(model)
    with _no_more_memory_than(8 * PAGE_BYTES):
        assert not pages.move(pages.n_left_bytes)
    assert pages.n_left_bytes == 0
    assert mapped_bytes(path) == before
    assert _logits(session) == expected


@contextmanager
def _no_more_memory_than(n_bytes: int) -> Iterator[None]:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
