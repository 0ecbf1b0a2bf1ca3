"""A model as a tar stream: what ``export`` sends (reference, section 2.9).

The folders ``blobs`` and ``blobs/sha256``, every layer, the config and last ``manifest.json``.
Equal models give equal bytes, whose number is known before the first.
"""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from pyrunner.errors import StoreCorruptError
from pyrunner.models.files import os_errors
from pyrunner.models.layout import LAYOUT_CONTENT, LAYOUT_FILE
from pyrunner.models.store import Store
from pyrunner.registry.digest import Digest
from pyrunner.registry.manifest import (
    INDEX_TYPE,
    MANIFEST_TYPE,
    REF_NAME,
    Descriptor,
    Index,
    encode,
)

BLOBS = "blobs/sha256"
MANIFEST = "manifest.json"
INDEX = "index.json"
_CHUNK_BYTES = 256 * 1024
_BLOCK_BYTES = tarfile.BLOCKSIZE
_END_BYTES = 2 * _BLOCK_BYTES


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    content: bytes | Path
    size_bytes: int


class ModelTar:
    """One model on its way out. Leases its blobs until it is closed; one thread.

    Args:
        store: Where the model is.
        text: Which model.
        is_layout: Also write the manifest as a blob, ``index.json`` and ``oci-layout``, so that
            the tar is an OCI image layout, which skopeo calls ``oci-archive``.

    Raises:
        ModelNotFoundError: Not in the store.
        StoreCorruptError: A blob is missing.
    """

    def __init__(self, store: Store, text: str, *, is_layout: bool = False) -> None:
        self.model, self._lease = store.acquire(text)
        try:
            self._parts = self._list(store, is_layout=is_layout)
        except BaseException:
            self._lease.close()
            raise

    @property
    def size_bytes(self) -> int:
        """Length of the whole stream."""
        folders = 2 * _BLOCK_BYTES
        files = (len(_header(each)) + _padded(each.size_bytes) for each in self._parts)
        return folders + sum(files) + _END_BYTES

    def chunks(self) -> Iterator[bytes]:
        """The stream, piece by piece.

        Raises:
            StoreCorruptError: A blob is shorter or longer than the manifest says.
            StoreIOError: It cannot be read.
        """
        for folder in ("blobs", BLOBS):
            yield _folder_header(folder)
        for part in self._parts:
            yield _header(part)
            yield from _content(part)
            yield bytes(_padded(part.size_bytes) - part.size_bytes)
        yield bytes(_END_BYTES)

    def close(self) -> None:
        """End the lease. May be called twice."""
        self._lease.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _list(self, store: Store, *, is_layout: bool) -> list[_Part]:
        manifest = self.model.manifest
        content = store.manifest_bytes(self.model)
        layers = {each.digest: each for each in manifest.layers if each != manifest.config}
        parts = [
            _Part(f"{BLOBS}/{each.digest.hex}", store.blobs.path(each.digest), each.size)
            for each in (*layers.values(), manifest.config)
        ]
        if is_layout:
            digest = Digest(self.model.id)
            entry = Descriptor(
                media_type=manifest.media_type or MANIFEST_TYPE,
                size=len(content),
                digest=digest,
                annotations={REF_NAME: self.model.tags[0]} if self.model.tags else {},
            )
            index = encode(Index(schema_version=2, media_type=INDEX_TYPE, manifests=(entry,)))
            parts += [
                _small(f"{BLOBS}/{digest.hex}", content),
                _small(LAYOUT_FILE, LAYOUT_CONTENT),
                _small(INDEX, index),
            ]
        return [*parts, _small(MANIFEST, content)]


def _small(name: str, content: bytes) -> _Part:
    return _Part(name, content, len(content))


def _folder_header(name: str) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.mode = tarfile.DIRTYPE, 0o755
    return info.tobuf(tarfile.PAX_FORMAT)


def _header(part: _Part) -> bytes:
    info = tarfile.TarInfo(part.name)
    info.size, info.mode = part.size_bytes, 0o644
    return info.tobuf(tarfile.PAX_FORMAT)


def _content(part: _Part) -> Iterator[bytes]:
    if isinstance(part.content, bytes):
        yield part.content
        return
    left = part.size_bytes
    with os_errors(part.content), part.content.open("rb") as file:
        while chunk := file.read(min(_CHUNK_BYTES, left + 1)):
            left -= len(chunk)
            if left < 0:
                break
            yield chunk
    if left != 0:
        raise StoreCorruptError(path=str(part.content), problem="the blob has another size")


def _padded(size_bytes: int) -> int:
    return -(-size_bytes // _BLOCK_BYTES) * _BLOCK_BYTES
