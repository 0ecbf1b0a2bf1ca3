"""One blob from a far place into a sink, continued after interruptions."""

import re
import threading
from collections.abc import Callable
from typing import Protocol

from pyrunner.errors import (
    DigestMismatchError,
    RegistryProtocolError,
    RegistryUnavailableError,
)
from pyrunner.registry.client import RegistryClient
from pyrunner.registry.manifest import Descriptor
from pyrunner.registry.reference import Reference
from pyrunner.registry.transport import Response

PROGRESS_BYTES = 16 * 1024 * 1024
"""An attempt that brought this much does not count as a failed one."""
_ANSWERS = frozenset({200, 206, 416})
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-\d{1,19}/(?:\d{1,19}|\*)")


class BlobSource(Protocol):
    """One blob at a far place, readable from any offset. Any thread, several at once."""

    @property
    def name(self) -> str:
        """Whom errors name: the registry's host."""

    @property
    def max_attempts(self) -> int:
        """How often a body may break off before it is given up."""

    def open(self, first: int, last: int | None, cancelled: threading.Event) -> Response:
        """Ask for the bytes `first`..`last`, both included, or up to the end.

        Retries of the request are inside. The whole blob is asked for without a range.

        Returns:
            An answer of 200, 206 or 416, not read and not believed; the caller closes it.

        Raises:
            ModelNotFoundError: It is not there.
            RegistryAuthError: 401 or 403 after one new token.
            RegistryUnavailableError: No answer within the attempts, or cancelled. Retryable.
            RegistryProtocolError: Any other answer.
        """

    def pause(self, n_failed: int, cancelled: threading.Event) -> None:
        """Wait before the body is asked for again after it broke off `n_failed` times.

        Raises:
            RegistryUnavailableError: Cancelled meanwhile.
        """


class RegistryBlob:
    """A blob of an OCI repository, as a `BlobSource`."""

    def __init__(
        self, client: RegistryClient, reference: Reference, descriptor: Descriptor
    ) -> None:
        self.name = reference.registry
        self.max_attempts = client.config.max_attempts
        self._client = client
        self._reference = reference
        self._path = f"blobs/{descriptor.digest}"

    def open(self, first: int, last: int | None, cancelled: threading.Event) -> Response:
        """Ask for bytes; see `BlobSource`."""
        headers = {}
        if first > 0 or last is not None:
            headers["Range"] = f"bytes={first}-{'' if last is None else last}"
        response = self._client.send(
            self._reference, "GET", self._path, headers=headers, cancelled=cancelled
        )
        if response.status not in _ANSWERS:
            with response:
                self._client.refuse(self._reference, response)
        return response

    def pause(self, n_failed: int, cancelled: threading.Event) -> None:
        """Wait; see `BlobSource`."""
        self._client.transport.pause(n_failed, cancelled, registry=self.name)


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
    source: BlobSource,
    descriptor: Descriptor,
    sink: BlobSink,
    cancelled: threading.Event,
    on_bytes: Callable[[int], None],
) -> None:
    """Fill a sink up to the descriptor's size, starting with what it has.

    A source that ignores the range and answers 200 restarts the transfer at zero. The sink
    refuses more bytes than promised, so an endless body ends there.

    Args:
        source: Where the blob is.
        descriptor: What it has to be.
        sink: Keeps its bytes whatever happens here; its owner verifies and publishes.
        cancelled: Set by another thread to stop.
        on_bytes: Told how much the sink has after each piece.

    Raises:
        DigestMismatchError: The source has a blob of another length.
        ModelNotFoundError: It has none.
        RegistryAuthError: 401 or 403 after one new token.
        RegistryUnavailableError: Broken off too often, or cancelled. The sink can be continued.
    """
    n_failed = 0
    while sink.n_bytes < descriptor.size:
        before = sink.n_bytes
        problem = "it broke off"
        # Asking has had its attempts; only a body that breaks off is asked for again.
        with _open(source, descriptor, sink, cancelled) as response:
            try:
                _copy(response, sink, cancelled, on_bytes)
            except RegistryUnavailableError as error:
                problem = error.problem
        if cancelled.is_set():
            raise RegistryUnavailableError(registry=source.name, problem="cancelled")
        if sink.n_bytes >= descriptor.size:
            return
        n_failed = 1 if sink.n_bytes - before >= PROGRESS_BYTES else n_failed + 1
        if n_failed >= source.max_attempts:
            raise RegistryUnavailableError(registry=source.name, problem=problem)
        source.pause(n_failed, cancelled)


def _open(
    source: BlobSource, descriptor: Descriptor, sink: BlobSink, cancelled: threading.Event
) -> Response:
    response = source.open(sink.n_bytes, None, cancelled)
    if response.status == 206 and _range_start(response) == sink.n_bytes:
        return response
    if response.status != 200:
        response.close()
        response = source.open(0, None, cancelled)
    if response.status != 200:
        response.close()
        raise RegistryProtocolError(
            registry=source.name, problem=f"HTTP {response.status} for a whole blob"
        )
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
