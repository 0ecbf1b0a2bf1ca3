"""Files on their way to becoming layers: described first, copied under a lease afterwards."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pyrunner.errors import DigestMismatchError, ModelFileError
from pyrunner.models.artifact import FILE_METADATA, FILE_PATH, FILE_UNTESTED
from pyrunner.models.files import user_file_errors
from pyrunner.models.leases import Lease
from pyrunner.models.store import Store
from pyrunner.registry.digest import Digest
from pyrunner.registry.manifest import Descriptor

MAX_TEXT_BYTES = 1024 * 1024
"""Largest chat template or licence."""
_CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class LayerFile:
    """A file and the layer it will be."""

    path: Path
    layer: Descriptor


def describe(path: Path, media_type: str) -> LayerFile:
    """Read a file once to know its digest.

    The annotations hold its name and size and, so that equal files make equal artifacts, a fixed
    owner, mode and time.

    Raises:
        ModelFileError: It cannot be read.
    """
    size_bytes = 0
    digest = hashlib.sha256()
    with user_file_errors(path), path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            size_bytes += len(chunk)
    name = path.name.encode("utf-8", "replace").decode()
    return LayerFile(
        path,
        Descriptor(
            media_type=media_type,
            size=size_bytes,
            digest=Digest.from_hex(digest.hexdigest()),
            annotations=annotations(name, size_bytes),
        ),
    )


def describe_text(path: Path, media_type: str) -> LayerFile:
    """Describe a file that has to be readable text.

    Raises:
        ModelFileError: Not UTF-8, empty, larger than 1 MiB, or it cannot be read.
    """
    with user_file_errors(path):
        if not path.is_file():
            path.stat()  # says what is missing
            raise ModelFileError(path=str(path), problem="is no regular file")
        with path.open("rb") as file:
            content = file.read(MAX_TEXT_BYTES + 1)
        if len(content) > MAX_TEXT_BYTES:
            raise ModelFileError(path=str(path), problem=f"is larger than {MAX_TEXT_BYTES} bytes")
        if b"\0" in content or not content.decode().strip():
            raise ModelFileError(path=str(path), problem="is no text")
    return describe(path, media_type)


def copy_in(store: Store, file: LayerFile, lease: Lease) -> None:
    """Bring the file's bytes into the store, unless they are there.

    Raises:
        ModelFileError: The file changed since it was described.
    """
    sink = store.incoming(file.layer, lease)
    if sink is None:
        return
    with sink, user_file_errors(file.path), file.path.open("rb", buffering=0) as source:
        source.seek(sink.n_bytes)
        try:
            while chunk := source.read(_CHUNK_BYTES):
                sink.write(chunk)
            sink.publish()
        except DigestMismatchError as error:
            raise ModelFileError(
                path=str(file.path), problem="changed while it was read; try again"
            ) from error


def annotations(name: str, size_bytes: int) -> dict[str, str]:
    """A layer's annotations (reference, section 2.2), with a fixed owner, mode and time."""
    metadata = {
        "name": name,
        "mode": 0o644,
        "uid": 0,
        "gid": 0,
        "size": size_bytes,
        "mtime": "1970-01-01T00:00:00Z",
        "typeflag": 0,
    }
    return {
        FILE_PATH: name,
        FILE_METADATA: msgspec.json.encode(metadata).decode(),
        FILE_UNTESTED: "false",
    }
