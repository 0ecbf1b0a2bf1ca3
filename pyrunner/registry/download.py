"""One blob from a registry into a sink, continued after interruptions."""

import re
import threading
from collections.abc import Callable
from typing import Protocol

from pyrunner.errors import DigestMismatchError, RegistryUnavailableError
from pyrunner.registry.client import RegistryClient
from pyrunner.registry.manifest import Descriptor
from pyrunner.registry.reference import Reference
from pyrunner.registry.transport import Response

PROGRESS_BYTES = 16 * 1024 * 1024
"""An attempt that brought this much does not count as a failed one."""
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-\d{1,19}/(?:\d{1,19}|\*)")


class BlobSink(Protocol):
    """Where a blob's bytes go; it checks them."""

    @property
    def n_bytes(self) -> int:
        """How much is there."""

    def write(self, chunk: bytes) -> None:
        """Append bytes."""

    def restart(self) -> None:
        """Forget what is there."""


def fetch_blob(
    client: RegistryClient,
    reference: Reference,
    descriptor: Descriptor,
    sink: BlobSink,
    cancelled: threading.Event,
    on_bytes: Callable[[int], None],
) -> None:
    """Fill a sink up to the descriptor's size, starting with what it has.

    A registry that ignores the range and answers 200 restarts the transfer at zero. The sink
    refuses more bytes than promised, so an endless body ends there.

    Args:
        client: To ask.
        reference: The repository.
        descriptor: The blob.
        sink: Keeps its bytes whatever happens here; its owner verifies and publishes.
        cancelled: Set by another thread to stop.
        on_bytes: Told how much the sink has after each piece.

    Raises:
        DigestMismatchError: The registry has a blob of another length.
        ModelNotFoundError: It has none.
        RegistryAuthError: 401 or 403 after one new token.
        RegistryUnavailableError: Broken off too often, or cancelled. The sink can be continued.
    """
    n_failed = 0
    while sink.n_bytes < descriptor.size:
        before = sink.n_bytes
        problem = "it broke off"
        # Asking has had its attempts; only a body that breaks off is asked for again.
        with _open(client, reference, descriptor, sink, cancelled) as response:
            try:
                _copy(response, sink, cancelled, on_bytes)
            except RegistryUnavailableError as error:
                problem = error.problem
        if cancelled.is_set():
            raise RegistryUnavailableError(registry=reference.registry, problem="cancelled")
        if sink.n_bytes >= descriptor.size:
            return
        n_failed = 1 if sink.n_bytes - before >= PROGRESS_BYTES else n_failed + 1
        if n_failed >= client.config.max_attempts:
            raise RegistryUnavailableError(registry=reference.registry, problem=problem)
        client.transport.pause(n_failed, cancelled, registry=reference.registry)


def _open(
    client: RegistryClient,
    reference: Reference,
    descriptor: Descriptor,
    sink: BlobSink,
    cancelled: threading.Event,
) -> Response:
    path = f"blobs/{descriptor.digest}"
    if sink.n_bytes > 0:
        headers = {"Range": f"bytes={sink.n_bytes}-"}
        response = client.send(reference, "GET", path, headers=headers, cancelled=cancelled)
        if response.status == 206 and _range_start(response) == sink.n_bytes:
            return response
        if response.status in {206, 416}:
            response.close()
            response = client.send(reference, "GET", path, cancelled=cancelled)
    else:
        response = client.send(reference, "GET", path, cancelled=cancelled)
    if response.status != 200:
        with response:
            client.refuse(reference, response)
    length = response.headers.get("Content-Length", "")
    if length.isdecimal() and int(length) != descriptor.size:
        response.close()
        raise DigestMismatchError(
            expected=descriptor.digest.text, actual="of another length", size_bytes=int(length)
        )
    sink.restart()  # only now: what is here outlives an answer that is no blob
    return response


def _copy(
    response: Response,
    sink: BlobSink,
    cancelled: threading.Event,
    on_bytes: Callable[[int], None],
) -> None:
    for chunk in response.chunks():
        if cancelled.is_set():
            return
        sink.write(chunk)
        on_bytes(sink.n_bytes)


def _range_start(response: Response) -> int | None:
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return int(match[1]) if match else None
