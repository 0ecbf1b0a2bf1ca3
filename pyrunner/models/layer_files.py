"""Files on their way to becoming layers: described first, copied under a lease afterwards.

Both read a file chunk by chunk. It is copied and never hard-linked: the store's bytes must not
change when somebody edits the file that they came from.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pyrunner.errors import DigestMismatchError, ModelFileError
from pyrunner.models.artifact import FILE_METADATA, FILE_PATH, FILE_UNTESTED, rfc3339
from pyrunner.models.leases import Lease
from pyrunner.models.progress import LayerProgress, OnProgress, ProgressEvent
from pyrunner.models.store import Store
from pyrunner.registry.digest import Digest
from pyrunner.registry.manifest import Descriptor
from pyrunner.types import MAX_CHAT_TEMPLATE_BYTES
from pyrunner.user_files import user_file_errors

MAX_TEXT_BYTES = MAX_CHAT_TEMPLATE_BYTES
"""Largest chat template or licence."""
_CHUNK_BYTES = 1024 * 1024
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class LayerFile:
    """A file and the layer it will be."""

    path: Path
    layer: Descriptor


class LayerReader:
    """Reads the files of one package and tells how far it is. One thread.

    Every file is read twice, to know its digest and to copy it; progress counts both as one.

    Args:
        mtime_s: The time that the annotations of every file say, Unix seconds. Fixed unless
            somebody asks for one: equal files make equal artifacts.
        on_progress: Told how much is done.
    """

    def __init__(self, mtime_s: int, on_progress: OnProgress) -> None:
        self._mtime_s = mtime_s
        self._on_progress = on_progress
        self._sizes: dict[Path, int] = {}

    def expect(self, paths: Iterable[Path]) -> None:
        """Count files that will be described into the total.

        Raises:
            ModelFileError: One is missing, or is no regular file.
        """
        for path in paths:
            with user_file_errors(path):
                size_bytes = path.stat().st_size
                if not path.is_file():
                    raise ModelFileError(path=str(path), problem="is no regular file")
            self._sizes[path] = size_bytes

    def describe(self, path: Path, media_type: str, name: str | None = None) -> LayerFile:
        """Read a file to know its digest.

        Args:
            path: The file.
            media_type: What the layer is.
            name: Its path inside the model; None takes the file's name.

        Raises:
            ModelFileError: It cannot be read.
        """
        if path not in self._sizes:
            self.expect([path])
        on_bytes = self._part_of(path, n_done=0)
        n_bytes = 0
        digest = hashlib.sha256()
        with user_file_errors(path), path.open("rb", buffering=0) as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
                n_bytes += len(chunk)
                on_bytes(n_bytes)
        called = (name or path.name).encode("utf-8", "replace").decode()
        layer = Descriptor(
            media_type=media_type,
            size=n_bytes,
            digest=Digest.from_hex(digest.hexdigest()),
            annotations=annotations(called, n_bytes, self._mtime_s),
        )
        return LayerFile(path, layer)

    def describe_text(self, path: Path, media_type: str) -> LayerFile:
        """Describe a file that has to be readable text.

        Raises:
            ModelFileError: Not UTF-8, empty, larger than 1 MiB, or it cannot be read.
        """
        self.expect([path])
        with user_file_errors(path):
            with path.open("rb") as file:
                content = file.read(MAX_TEXT_BYTES + 1)
            if len(content) > MAX_TEXT_BYTES:
                problem = f"is larger than {MAX_TEXT_BYTES} bytes"
                raise ModelFileError(path=str(path), problem=problem)
            if b"\0" in content or not content.decode().strip():
                raise ModelFileError(path=str(path), problem="is no text")
        return self.describe(path, media_type)

    def copy_in(self, store: Store, file: LayerFile, lease: Lease) -> None:
        """Bring the file's bytes into the store, unless they are there.

        Raises:
            ModelFileError: The file changed since it was described.
        """
        on_bytes = self._part_of(file.path, n_done=file.layer.size)
        sink = store.incoming(file.layer, lease)
        if sink is None:
            on_bytes(file.layer.size)
            return
        with sink, user_file_errors(file.path), file.path.open("rb", buffering=0) as source:
            source.seek(sink.append_from())
            try:
                while chunk := source.read(_CHUNK_BYTES):
                    sink.write(chunk)
                    on_bytes(sink.n_bytes)
                sink.publish()
            except DigestMismatchError as error:
                raise ModelFileError(
                    path=str(file.path), problem="changed while it was read; try again"
                ) from error
            except BaseException:
                sink.give_up()  # copying again costs less than half a file that nobody asks for
                raise

    def _part_of(self, path: Path, *, n_done: int) -> Callable[[int], None]:
        size_bytes = self._sizes[path]
        due = LayerProgress(size_bytes=size_bytes)

        def on_bytes(n_bytes: int) -> None:
            current = min(size_bytes, (n_done + n_bytes) // 2)
            if due.is_due(current):
                self._on_progress(self._event(path, current))

        return on_bytes

    def _event(self, path: Path, current: int) -> ProgressEvent:
        return ProgressEvent(
            type="progress",
            message=f"Packaged: {current / _MIB:.2f} MB",
            mode="package",
            total=sum(self._sizes.values()),
            layer_id=path.name,
            layer_size=self._sizes[path],
            layer_current=current,
        )


def annotations(name: str, size_bytes: int, mtime_s: int = 0) -> dict[str, str]:
    """A layer's annotations (reference, section 2.2), with a fixed owner and mode."""
    metadata = {
        "name": name,
        "mode": 0o644,
        "uid": 0,
        "gid": 0,
        "size": size_bytes,
        "mtime": rfc3339(mtime_s),
        "typeflag": 0,
    }
    return {
        FILE_PATH: name,
        FILE_METADATA: msgspec.json.encode(metadata).decode(),
        FILE_UNTESTED: "false",
    }
