"""Blobs that fit in memory: fetched checked, pushed from bytes."""

import tempfile
import threading
from pathlib import Path

from pyrunner.errors import DigestMismatchError
from pyrunner.registry.client import RegistryClient
from pyrunner.registry.digest import Digest
from pyrunner.registry.manifest import Descriptor
from pyrunner.registry.reference import Reference
from pyrunner.registry.upload import Upload


def fetch_small_blob(client: RegistryClient, reference: Reference, descriptor: Descriptor) -> bytes:
    """Fetch a blob whose size the caller has found small enough.

    Raises:
        ModelNotFoundError: The repository does not have it.
        DigestMismatchError: Other bytes than the descriptor promises.
        RegistryProtocolError: More bytes than it promises.
        RegistryAuthError: The registry wants (other) credentials.
        RegistryUnavailableError: It cannot be reached. Retryable.
    """
    return client.read(
        reference,
        f"blobs/{descriptor.digest}",
        lambda _response, content: _check(descriptor, content),
        max_bytes=descriptor.size,
    )


def push_small_blob(
    client: RegistryClient, reference: Reference, descriptor: Descriptor, content: bytes
) -> None:
    """Push bytes, unless the repository has them.

    Raises:
        RegistryAuthError: No right to push.
        RegistryUnavailableError: The registry cannot be reached or broke off. Retryable.
        RegistryProtocolError: The registry refuses the blob; says why.
    """
    if client.has_blob(reference, descriptor.digest):
        return
    with tempfile.NamedTemporaryFile(prefix="pyrunner-") as file:
        file.write(content)
        file.flush()
        upload = Upload(client, reference, threading.Event(), lambda _: None)
        upload.run(descriptor, Path(file.name))


def _check(descriptor: Descriptor, content: bytes) -> None:
    actual = Digest.of(content)
    if actual != descriptor.digest:
        raise DigestMismatchError(
            expected=descriptor.digest.text, actual=actual.text, size_bytes=len(content)
        )
