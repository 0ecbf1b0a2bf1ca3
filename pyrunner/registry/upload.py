"""One blob from a file into a registry: mounted, in one piece, or in chunks when it is large.

The requests are those of the OCI distribution specification, "Pushing blobs".
"""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlencode, urlsplit

from pyrunner.errors import (
    RegistryAuthError,
    RegistryProtocolError,
    RegistryUnavailableError,
)
from pyrunner.registry.access import PUSH
from pyrunner.registry.client import RegistryClient
from pyrunner.registry.file_part import FilePart
from pyrunner.registry.hosts import is_same_origin, redirect_target
from pyrunner.registry.manifest import Descriptor
from pyrunner.registry.reference import Reference
from pyrunner.registry.transport import Response

CHUNK_BYTES = 64 * 1024 * 1024
"""Blobs above this go in pieces of it: proxies in front of registries limit a body's size."""
PROGRESS_BYTES = 16 * 1024 * 1024
"""An attempt that brought this much does not count as a failed one."""
_RANGE = re.compile(r"(?:bytes=)?0-(\d{1,19})")
_MIN_LENGTH = "OCI-Chunk-Min-Length"


@dataclass(slots=True)
class _Session:
    """An upload that the registry has begun."""

    location: str
    """Where the next request goes."""
    n_sent: int = 0
    """Bytes that the registry has."""
    min_chunk_bytes: int = 0
    """The smallest chunk it takes, the last one excepted."""
    is_resumed: bool = False
    is_spoilt: bool = False
    """The registry kept other bytes than were sent; nothing of it is of use."""


class Upload:
    """The upload of one blob. One thread.

    Args:
        client: To ask.
        reference: The repository.
        cancelled: Set by another thread to stop.
        on_bytes: Told how much of the blob was sent; less than before when something is sent again.
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

    def run(self, descriptor: Descriptor, path: Path, mount_from: str = "") -> None:
        """Send the blob, or have the registry take it over from another repository.

        An upload that broke off continues with what the registry says it has; where it cannot say
        so, the blob starts again.

        Args:
            descriptor: The blob.
            path: Its bytes.
            mount_from: A repository of the same registry that may have it, empty for none.

        Raises:
            RegistryAuthError: No right to push.
            RegistryUnavailableError: Broken off too often, or cancelled.
            RegistryProtocolError: The registry refuses the blob; says why.
        """
        session = self._mount(descriptor, mount_from) if mount_from else self._begin()
        if session is None:
            return
        n_failed = n_best = 0
        with path.open("rb", buffering=0) as file:
            while (problem := self._try(session, descriptor, file)) is not None:
                n_failed += 1
                if n_failed >= self._client.config.max_attempts or self._cancelled.is_set():
                    raise problem
                self._client.transport.pause(
                    n_failed, self._cancelled, registry=self._reference.registry
                )
                kept = None if session.is_spoilt else self._resumed(session, descriptor)
                # An upload that is over may have succeeded: its answer can be late or lost.
                if kept is None and self._has(descriptor):
                    return
                session = kept or self._begin()
                if session.n_sent >= n_best + PROGRESS_BYTES:
                    n_failed, n_best = 0, session.n_sent

    def _has(self, descriptor: Descriptor) -> bool:
        return self._client.has_blob(self._reference, descriptor.digest, self._cancelled)

    def _mount(self, descriptor: Descriptor, source: str) -> _Session | None:
        """Ask for the blob of another repository; None when that was all."""
        query = urlencode({"mount": descriptor.digest, "from": source})
        try:
            with self._client.send(
                self._reference,
                "POST",
                f"blobs/uploads/?{query}",
                actions=PUSH,
                mount_from=source,
                cancelled=self._cancelled,
            ) as response:
                if response.status == 201:
                    return None
                if response.status == 202:
                    return self._session(response)
        except RegistryAuthError:
            pass  # the other repository is not for us; this one may be
        return self._begin()

    def _begin(self) -> _Session:
        with self._client.send(
            self._reference,
            "POST",
            "blobs/uploads/",
            actions=PUSH,
            cancelled=self._cancelled,
        ) as response:
            return self._session(response)

    def _session(self, response: Response) -> _Session:
        location = self._location(response, {202})
        least = response.headers.get(_MIN_LENGTH, "")
        return _Session(location, min_chunk_bytes=int(least[:19]) if least.isdecimal() else 0)

    def _resumed(self, session: _Session, descriptor: Descriptor) -> _Session | None:
        """What the registry has of an upload that broke off, None when it cannot go on with it."""
        with self._client.send(
            self._reference, "GET", session.location, actions=PUSH, cancelled=self._cancelled
        ) as response:
            n_kept = _n_kept(response)
            # A host that the question was redirected to is none to send our token to.
            if response.status != 204 or not is_same_origin(session.location, response.url):
                return None
            # "0-0" is what some registries say for nothing at all, others for one byte.
            if n_kept is None or not 1 < n_kept <= descriptor.size:
                return None
            location = self._location(response, {204})
        return _Session(location, n_kept, session.min_chunk_bytes, is_resumed=True)

    def _try(
        self, session: _Session, descriptor: Descriptor, file: BinaryIO
    ) -> RegistryUnavailableError | None:
        """Send what the registry does not have; None when it has the blob now."""
        size = max(self._chunk_bytes, session.min_chunk_bytes)
        try:
            while descriptor.size - session.n_sent > size:
                if not self._chunk(session, file, session.n_sent + size):
                    return self._lost()
            return None if self._finish(session, file, descriptor) else self._lost()
        except RegistryUnavailableError as error:
            return error

    def _lost(self) -> RegistryUnavailableError:
        return RegistryUnavailableError(
            registry=self._reference.registry, problem="it lost track of an upload"
        )

    def _chunk(self, session: _Session, file: BinaryIO, end: int) -> bool:
        """Send bytes up to `end`; False when the registry has other bytes than we think."""
        start = session.n_sent
        with self._client.send(
            self._reference,
            "PATCH",
            session.location,
            headers=_headers(start, end),
            make_body=lambda: self._part(file, start, end),
            actions=PUSH,
            is_repeatable=False,
            cancelled=self._cancelled,
        ) as response:
            if response.status in {404, 416}:
                return False
            session.location = self._location(response, {202})
            if _n_kept(response) not in {None, end}:
                return False
        session.n_sent = end
        return True

    def _finish(self, session: _Session, file: BinaryIO, descriptor: Descriptor) -> bool:
        """Send the rest; False when the registry does not put the whole together."""
        start, end = session.n_sent, descriptor.size
        separator = "&" if urlsplit(session.location).query else "?"
        url = f"{session.location}{separator}{urlencode({'digest': descriptor.digest})}"
        with self._client.send(
            self._reference,
            "PUT",
            url,
            headers=_headers(start, end) if 0 < start < end else _headers(0, 0),
            make_body=lambda: self._part(file, start, end),
            actions=PUSH,
            is_repeatable=False,
            cancelled=self._cancelled,
        ) as response:
            session.is_spoilt = response.status == 400 and session.is_resumed
            if response.status not in {201, 204, 404, 416} and not session.is_spoilt:
                self._client.refuse(self._reference, response, is_push=True)
            return response.status in {201, 204}

    def _part(self, file: BinaryIO, start: int, end: int) -> FilePart:
        return FilePart(file, start, end, self._cancelled, self._on_bytes)

    def _location(self, response: Response, expected: set[int]) -> str:
        """Where the upload goes on; to the same host only, because our token goes there too."""
        if response.status not in expected:
            self._client.refuse(self._reference, response, is_push=True)
        registry = self._reference.registry
        location = redirect_target(
            response.url, response.headers.get("Location", ""), registry=registry
        )
        if not is_same_origin(response.url, location):
            raise RegistryProtocolError(
                registry=registry, problem="an upload that continues on another host"
            )
        return location


def _headers(start: int, end: int) -> dict[str, str]:
    headers = {"Content-Type": "application/octet-stream"}
    return headers | ({"Content-Range": f"{start}-{end - 1}"} if start < end else {})


def _n_kept(response: Response) -> int | None:
    """How much of an upload the registry says it has, None when it does not say."""
    match = _RANGE.fullmatch(response.headers.get("Range", ""))
    return int(match[1]) + 1 if match else None
