"""Tar streams between files and the models of a server or of this machine's store.

A server on this machine shares the store, which then is used directly: no copy goes through a
socket. A server that ``MODEL_RUNNER_HOST`` names at a TCP address is asked.
"""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from pyrunner import config
from pyrunner.cli import address, progress, render
from pyrunner.cli.client import Client, quoted
from pyrunner.cli.library import ServerLibrary, check_target
from pyrunner.errors import (
    InvalidReferenceError,
    ModelNotFoundError,
    OutputFileError,
    PyrunnerError,
    ServerAnswerError,
    StoreIOError,
    UnsupportedParameterError,
)

_MODEL_ID = "X-Model-Id"
_CHUNK_BYTES = 256 * 1024


def export(settings: config.Settings, model: str, out: IO[bytes], *, is_layout: bool) -> None:
    """Write a model's tar.

    Raises:
        ModelNotFoundError: Not there.
        ServerAnswerError: The server failed, or broke off.
        UnsupportedParameterError: `is_layout`, which no server does.
    """
    server = named_server()
    if server is None:
        from pyrunner.models import catalog
        from pyrunner.models.tar_writing import ModelTar

        with ModelTar(catalog.open_store(settings), model, is_layout=is_layout) as tar:
            _copy(tar.chunks(), tar.size_bytes, out, model)
        return
    if is_layout:
        raise UnsupportedParameterError(param="--oci", hint="Only without MODEL_RUNNER_HOST.")
    if not model.strip():
        raise InvalidReferenceError(text=model, at=0, problem="it is empty")
    try:
        with server.open("GET", f"/models/{quoted(model)}/export") as answer:
            _copy(answer.chunks(), int(answer.header("Content-Length") or 0), out, model)
    except ServerAnswerError as error:
        if error.status == 404:
            raise ModelNotFoundError(reference=model) from error
        raise


def load(settings: config.Settings, source: IO[bytes], name: str, tag: str | None) -> str:
    """Read a model's tar and give it a name if there is one.

    Args:
        settings: Where the store is.
        source: The tar.
        name: Whom errors name.
        tag: The model's name.

    Returns:
        Its id; empty when the server did not say it.

    Raises:
        ModelFileError: No tar with a model in it.
        ServerAnswerError: The server refused.
    """
    server = named_server()
    with _Counted(source, name) as counted:
        if server is not None:
            return send(server, iter(partial(counted.read, _CHUNK_BYTES), b""), tag)
        from pyrunner.models import catalog
        from pyrunner.models.tar_loading import load as load_tar

        store = catalog.open_store(settings)
        if tag is not None:
            store.check_target(tag)
        model = load_tar(store, counted, name)
    if tag is not None:
        store.tag(model.id, tag)
    return model.id


def send(server: Client, tar: Iterator[bytes], tag: str | None) -> str:
    """Have a server load a model's tar, and give it a name there if there is one.

    Returns:
        Its id; empty when the server did not say it.

    Raises:
        InvalidReferenceError: The name is none; nothing is sent.
        ServerAnswerError: The server refused.
    """
    if tag is not None:
        check_target(tag)
    with server.open("POST", "/models/load", tar) as answer:
        loaded = answer.header(_MODEL_ID)
        for _ in answer.chunks():
            pass
    if tag is not None:
        if not loaded:
            problem = "was not said by the server, so it has no name yet; find it with: pyrunner ls"
            raise ServerAnswerError(status=200, message=f"The model's id {problem}")
        ServerLibrary(server).tag(loaded, tag)
    return loaded


class _Counted:
    """A tar that is read, and shown how far, for as long as the block lasts."""

    def __init__(self, source: IO[bytes], name: str) -> None:
        self._source = source
        status = os.fstat(source.fileno())
        size_bytes = status.st_size if stat.S_ISREG(status.st_mode) else 0
        self._shown = progress.bytes_shown("load", Path(name).name, size_bytes)

    def __enter__(self) -> Self:
        self._count = self._shown.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._shown.__exit__(kind, error, traceback)

    def read(self, n_bytes: int = -1, /) -> bytes:
        """The next bytes."""
        chunk = self._source.read(n_bytes)
        self._count(len(chunk))
        return chunk


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to write, which gets its name when it is whole.

    Raises:
        OutputFileError: It cannot be written.
        StoreIOError: The disk is full, or broken.
    """
    with _output_errors(path), ExitStack() as stack:
        if path.exists() and not path.is_file():  # a device, or a pipe with a name
            yield stack.enter_context(path.open("wb"))
            return
        fd, text = tempfile.mkstemp(dir=path.parent, prefix=".export-")
        beside = Path(text)
        stack.callback(beside.unlink, missing_ok=True)
        file = stack.enter_context(os.fdopen(fd, "wb"))
        yield file
        file.flush()
        os.fchmod(fd, 0o644)
        os.fsync(fd)
        beside.replace(path)


@contextmanager
def _output_errors(path: Path) -> Iterator[None]:
    from pyrunner.cli.main import DISK_FULL
    from pyrunner.user_files import printable

    try:
        yield
    except PyrunnerError:
        raise
    except (OSError, ValueError) as error:  # the second: a NUL character in the path
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            raise StoreIOError(path=printable(path), problem=reason.lower()) from error
        raise OutputFileError(path=printable(path), problem=reason.lower()) from error


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to read.

    Raises:
        ModelFileError: It cannot be opened.
    """
    from pyrunner.user_files import user_file_errors

    with ExitStack() as stack:
        with user_file_errors(path):
            file = stack.enter_context(path.open("rb"))
        yield file


def named_server() -> Client | None:
    """The server whose store may be another one: the one that is named at a TCP address."""
    named = address.named()
    return None if named is None or named.socket_path else Client(named)


def _copy(chunks: Iterator[bytes], size_bytes: int, out: IO[bytes], name: str) -> None:
    n_bytes = 0
    with progress.bytes_shown("export", render.short_name(name), size_bytes) as count:
        for chunk in chunks:
            out.write(chunk)
            n_bytes += len(chunk)
            count(len(chunk))
    if size_bytes and size_bytes != n_bytes:
        message = f"The server sent {n_bytes} of {size_bytes} bytes; its log may say why."
        raise ServerAnswerError(status=200, message=message)
    out.flush()
