"""KV cells take memory when they are used, and are zero until then."""

import ctypes
import sys
from pathlib import Path

import pytest
from support.model_cases import LLAMA_BPE
from support.own_memory import anonymous_bytes
from support.sides import Sides, on_models

from pyrunner._native import Session, _core

LIBRARIES = Path(_core.__file__).parent.parent / "lib"
pytestmark = [
    pytest.mark.native,
    pytest.mark.model,
    pytest.mark.skipif(sys.platform != "linux", reason="csrc/llama is built on Linux only"),
]


@pytest.fixture
def libraries() -> tuple[ctypes.CDLL, ctypes.CDLL]:
    """ggml's base, which owns buffers, and llama.cpp, which clears them."""
    base, llama = (
        ctypes.CDLL(str(LIBRARIES / name)) for name in ("libggml-base.so", "libllama.so")
    )
    for name in ("cpu_buffer_type", "buft_alloc_buffer", "buffer_get_base"):
        getattr(base, f"ggml_backend_{name}").restype = ctypes.c_void_p
    return base, llama


@on_models([LLAMA_BPE])
def test_lanes_that_nobody_uses_take_no_memory(sides: Sides) -> None:
    before = anonymous_bytes()
    session = Session(sides.model, n_ctx=4096, n_lanes=16, n_batch=64, n_threads=1)
    assert session.lanes_bytes >= 64 * 2**20
    assert anonymous_bytes() - before < session.lanes_bytes // 2


@pytest.mark.parametrize("n_bytes", [100, 4096, 3 * 2**20 + 100, 64 * 2**20])
def test_memory_that_was_used_before_is_zero_again(
    libraries: tuple[ctypes.CDLL, ctypes.CDLL], n_bytes: int
) -> None:
    base, llama = libraries
    kind = ctypes.c_void_p(base.ggml_backend_cpu_buffer_type())
    buffer = ctypes.c_void_p(base.ggml_backend_buft_alloc_buffer(kind, ctypes.c_size_t(n_bytes)))
    start = base.ggml_backend_buffer_get_base(buffer)
    ctypes.memset(start, 0xFF, n_bytes)
    llama.pyrunner_clear_cells(buffer, 0)
    assert ctypes.string_at(start, n_bytes) == bytes(n_bytes)
    llama.pyrunner_clear_cells(buffer, 7)
    assert ctypes.string_at(start, n_bytes) == b"\x07" * n_bytes
    base.ggml_backend_buffer_free(buffer)
