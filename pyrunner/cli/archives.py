"""Tar streams between files and the models of a server or of this machine's store.

A server on this machine shares the store, which then is used directly: no copy goes through a
socket. A server that ``MODEL_RUNNER_HOST`` names at a TCP address is asked.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from pyrunner import config
from pyrunner.cli import address
from pyrunner.cli.client import Client, quoted
from pyrunner.cli.library import ServerLibrary
from pyrunner.errors import (
    InvalidReferenceError,
    ModelNotFoundError,
    ServerAnswerError,
    UnsupportedParameterError,
)

_MODEL_ID = "X-Model-Id"


def export(settings: config.Settings, model: str, out: IO[bytes], *, is_layout: bool) -> None:
    """Write a model's tar.

    Raises:
        ModelNotFoundError: Not there.
        ServerAnswerError: The server failed, or broke off.
        UnsupportedParameterError: `is_layout`, which no server does.
    """
    server = _named_server()
    if server is None:
        from pyrunner.models import catalog
        from pyrunner.models.tar_writing import ModelTar

        with ModelTar(catalog.open_store(settings), model, is_layout=is_layout) as tar:
            out.writelines(tar.chunks())
            out.flush()
        return
    if is_layout:
        raise UnsupportedParameterError(param="--oci", hint="Only without MODEL_RUNNER_HOST.")
    if not model.strip():
        raise InvalidReferenceError(text=model, at=0, problem="it is empty")
    try:
        with server.open("GET", f"/models/{quoted(model)}/export") as answer:
            _copy(answer.chunks(), int(answer.header("Content-Length") or -1), out)
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
    server = _named_server()
    if server is None:
        from pyrunner.models import catalog
        from pyrunner.models.tar_loading import load as load_tar

        store = catalog.open_store(settings)
        if tag is not None:
            store.check_target(tag)
        model = load_tar(store, source, name)
        if tag is not None:
            store.tag(model.id, tag)
        return model.id
    with server.open("POST", "/models/load", source) as answer:
        loaded = answer.header(_MODEL_ID)
        for _ in answer.chunks():
            pass
    if tag is not None:
        if not loaded:
            problem = "was not said by the server, so it has no name yet; find it with: pyrunner ls"
            raise ServerAnswerError(status=200, message=f"The model's id {problem}")
        ServerLibrary(server).tag(loaded, tag)
    return loaded


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to write, which gets its name when it is whole.

    Raises:
        ModelFileError: It cannot be written.
    """
    from pyrunner.user_files import user_file_errors

    with user_file_errors(path), ExitStack() as stack:
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


def _named_server() -> Client | None:
    named = address.named()
    return None if named is None or named.socket_path else Client(named)


def _copy(chunks: Iterator[bytes], size_bytes: int, out: IO[bytes]) -> None:
    n_bytes = 0
    for chunk in chunks:
        out.write(chunk)
        n_bytes += len(chunk)
    if size_bytes not in {-1, n_bytes}:
        message = f"The server sent {n_bytes} of {size_bytes} bytes; its log may say why."
        raise ServerAnswerError(status=200, message=message)
    out.flush()
