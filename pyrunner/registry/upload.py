"""One blob from a file into a registry: in one piece, or in chunks when it is large."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlencode, urlsplit

from pyrunner.errors import RegistryProtocolError, RegistryUnavailableError
from pyrunner.registry.access import PUSH
from pyrunner.registry.client import RegistryClient
from pyrunner.registry.hosts import is_same_origin, redirect_target
from pyrunner.registry.manifest import Descriptor
from pyrunner.registry.reference import Reference
from pyrunner.registry.transport import BytesBody, Response

CHUNK_BYTES = 64 * 1024 * 1024
"""Blobs above this go in pieces of it: proxies in front of registries limit a body's size."""


class Upload:
    """The upload of one blob. One thread.

    Args:
        client: To ask.
        reference: The repository.
        cancelled: Set by another thread to stop.
        on_bytes: Told how much of the blob was sent.
        chunk_bytes: Largest body of one request.
    """

    def __init__(
        self,
        client: RegistryClient,
        reference: Reference,
        cancelled: threading.Event,
        on_bytes: Callable[[int], None],
        *,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> None:
        self._client = client
        self._reference = reference
        self._cancelled = cancelled
        self._on_bytes = on_bytes
        self._chunk_bytes = chunk_bytes

    def run(self, descriptor: Descriptor, path: Path) -> None:
        """Send the blob; an upload that broke off starts again from the beginning.

        Raises:
            RegistryAuthError: No right to push.
            RegistryUnavailableError: Broken off too often, or cancelled.
            RegistryProtocolError: The registry refuses the blob; says why.
        """
        for attempt in range(1, self._client.config.max_attempts + 1):
            location = self._begin()
            try:
                with path.open("rb") as file:
                    self._send(location, descriptor, file)
            except RegistryUnavailableError:
                if attempt == self._client.config.max_attempts or self._cancelled.is_set():
                    raise
                self._client.transport.pause(
                    attempt, self._cancelled, registry=self._reference.registry
                )
            else:
                return

    def _begin(self) -> str:
        with self._client.send(
            self._reference,
            "POST",
            "blobs/uploads/",
            actions=PUSH,
            cancelled=self._cancelled,
        ) as response:
            return self._location(response, {202})

    def _send(self, location: str, descriptor: Descriptor, file: BinaryIO) -> None:
        n_sent = 0
        while descriptor.size - n_sent > self._chunk_bytes:
            location = self._chunk(location, file, n_sent)
            n_sent += self._chunk_bytes
        self._finish(location, file, n_sent, descriptor)

    def _chunk(self, location: str, file: BinaryIO, n_sent: int) -> str:
        end = n_sent + self._chunk_bytes
        with self._client.send(
            self._reference,
            "PATCH",
            location,
            headers={
                "Content-Type": "application/octet-stream",
                "Content-Range": f"{n_sent}-{end - 1}",
            },
            make_body=lambda: self._part(file, n_sent, end),
            actions=PUSH,
            is_repeatable=False,
            cancelled=self._cancelled,
        ) as response:
            return self._location(response, {202})

    def _finish(self, location: str, file: BinaryIO, n_sent: int, descriptor: Descriptor) -> None:
        separator = "&" if urlsplit(location).query else "?"
        url = f"{location}{separator}{urlencode({'digest': descriptor.digest})}"
        with self._client.send(
            self._reference,
            "PUT",
            url,
            headers={"Content-Type": "application/octet-stream"},
            make_body=lambda: self._part(file, n_sent, descriptor.size),
            actions=PUSH,
            is_repeatable=False,
            cancelled=self._cancelled,
        ) as response:
            if response.status not in {201, 204}:
                self._client.refuse(self._reference, response)

    def _part(self, file: BinaryIO, start: int, end: int) -> "_Part | BytesBody":
        if start == end:
            return BytesBody(b"")
        file.seek(start)
        return _Part(file, start, end, self._cancelled, self._on_bytes)

    def _location(self, response: Response, expected: set[int]) -> str:
        """Where the upload goes on; to the same host only, because our token goes there too."""
        if response.status not in expected:
            self._client.refuse(self._reference, response)
        registry = self._reference.registry
        location = redirect_target(
            response.url, response.headers.get("Location", ""), registry=registry
        )
        if not is_same_origin(response.url, location):
            raise RegistryProtocolError(
                registry=registry, problem="an upload that continues on another host"
            )
        return location


class _Part:
    """A stretch of a file as a request body."""

    def __init__(
        self,
        file: BinaryIO,
        start: int,
        end: int,
        cancelled: threading.Event,
        on_bytes: Callable[[int], None],
    ) -> None:
        self._file = file
        self._start = start
        self._at = start
        self._end = end
        self._cancelled = cancelled
        self._on_bytes = on_bytes

    def __len__(self) -> int:
        return self._end - self._start

    def read(self, n_bytes: int = -1) -> bytes:
        if self._cancelled.is_set():
            raise ConnectionAbortedError("cancelled")  # `requests` makes its own error of it
        left = self._end - self._at
        chunk = self._file.read(left if n_bytes < 0 else min(left, n_bytes))
        self._at += len(chunk)
        self._on_bytes(self._at)
        return chunk
