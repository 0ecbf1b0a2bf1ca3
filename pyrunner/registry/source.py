"""A blob at a far place, readable from any offset: what a transfer asks for bytes."""

import threading
from typing import Protocol

from pyrunner.registry.client import RegistryClient
from pyrunner.registry.manifest import Descriptor
from pyrunner.registry.reference import Reference
from pyrunner.registry.transport import Response

_ANSWERS = frozenset({200, 206, 416})


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
