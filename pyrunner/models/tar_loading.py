"""Load: a model comes out of a tar stream, untagged, or nothing does.

Two kinds of tar are read: what `export` writes (reference, section 2.9), and an OCI image layout
with one manifest, as ``skopeo copy ... oci-archive:FILE`` writes it. In both the blobs come before
what names them, so they are published on the way and taken back if the end is not reached.
"""

import hashlib
from collections.abc import Iterable

from pyrunner.errors import (
    DigestMismatchError,
    InvalidReferenceError,
    ModelFileError,
    RegistryProtocolError,
)
from pyrunner.models import artifact
from pyrunner.models.artifact import MAX_CONFIG_BYTES
from pyrunner.models.store import Store
from pyrunner.models.stored import StoredModel
from pyrunner.models.tar_reading import Source, TarFile, TarReader
from pyrunner.models.tar_writing import BLOBS, INDEX, MANIFEST
from pyrunner.registry.digest import Digest
from pyrunner.registry.manifest import (
    MAX_MANIFEST_BYTES,
    Descriptor,
    Manifest,
    decode_index,
)

_BLOB_TYPE = "application/octet-stream"


def load(store: Store, source: Source, name: str) -> StoredModel:
    """Read a model from a tar, every blob verified.

    Args:
        store: Where it goes.
        source: The tar; read to its end.
        name: Whom errors name: a file, or what the stream is.

    Raises:
        ModelFileError: No tar, damaged, truncated, hostile, or no model in it. Nothing of it stays.
        UnsupportedArtifactError: A model of a kind that we do not know. Nothing of it stays.
        StoreError: The disk is full, or worse. A partial blob may stay, as after a pull.
    """
    loading = _Loading(store, TarReader(source, name))
    try:
        return loading.run()
    finally:
        loading.close()


class _Loading:
    def __init__(self, store: Store, reader: TarReader) -> None:
        self._store = store
        self._reader = reader
        self._small: dict[str, bytes] = {}
        self._lease = store.lease(())
        self._published: set[Digest] = set()

    def run(self) -> StoredModel:
        for file in self._reader.files():
            folder, _, last = file.path.rpartition("/")
            if folder == BLOBS:
                self._take_blob(file, self._digest(last))
            elif file.path in {MANIFEST, INDEX}:
                self._take_small(file)
        content = self._manifest_content()
        manifest = self._check(content)
        self._protect([Digest.of(content)])
        model = self._store.put(content, None, self._lease)
        self._published -= {Digest.of(content), *(each.digest for each in manifest.blobs)}
        return model

    def close(self) -> None:
        """End the lease, and take back what no model needs."""
        self._lease.close()
        if self._published:
            self._store.collect(among=self._published)

    def _digest(self, text: str) -> Digest:
        try:
            return Digest.from_hex(text)
        except InvalidReferenceError as error:
            self._reader.refuse(f"holds the blob {text[:100]!r}: {error.sentence}")

    def _take_blob(self, file: TarFile, digest: Digest) -> None:
        self._protect([digest])
        descriptor = Descriptor(media_type=_BLOB_TYPE, size=file.size_bytes, digest=digest)
        sink = self._store.incoming(descriptor, self._lease)
        if sink is None:
            self._compare(digest)
            return
        with sink:
            # A stream cannot continue in the middle, and a broken one leaves nothing.
            sink.restart()
            try:
                for chunk in self._reader.chunks():
                    sink.write(chunk)
                sink.publish()
            except DigestMismatchError as error:
                self._wrong(digest, error.actual)
            except (ModelFileError, KeyboardInterrupt):
                sink.restart()
                raise
        self._published.add(digest)

    def _compare(self, digest: Digest) -> None:
        actual = hashlib.sha256()
        for chunk in self._reader.chunks():
            actual.update(chunk)
        if actual.hexdigest() != digest.hex:
            self._wrong(digest, f"sha256:{actual.hexdigest()}")

    def _wrong(self, digest: Digest, actual: str) -> None:
        self._reader.refuse(f"holds {digest} with bytes whose digest is {actual}")

    def _take_small(self, file: TarFile) -> None:
        if file.path in self._small:
            self._reader.refuse(f"holds {file.path} twice")
        if file.size_bytes > MAX_MANIFEST_BYTES:
            self._reader.refuse(f"holds {file.path} of more than {MAX_MANIFEST_BYTES} bytes")
        self._small[file.path] = b"".join(self._reader.chunks())

    def _manifest_content(self) -> bytes:
        if MANIFEST in self._small:
            return self._small[MANIFEST]
        if INDEX not in self._small:
            self._reader.refuse(f"holds no {MANIFEST} and no {INDEX}, so it is no model")
        try:
            entries = decode_index(self._small[INDEX], source=self._reader.name).manifests
        except RegistryProtocolError as error:
            self._reader.refuse(f"holds an {INDEX} that cannot be read: {error.problem}")
        digests = {each.digest for each in entries}
        if len(digests) != 1:
            self._reader.refuse(f"holds {len(digests)} models; one is expected")
        (entry, *_) = entries
        if entry.digest not in self._published and not self._store.blobs.has(entry):
            self._missing(entry)
        return self._store.blobs.read(entry.digest, max_bytes=MAX_MANIFEST_BYTES)

    def _check(self, content: bytes) -> Manifest:
        name = self._reader.name
        try:
            manifest = artifact.check_model(content, name=name, source=name)
            self._protect(each.digest for each in manifest.blobs)
            for each in manifest.blobs:
                if not self._store.blobs.has(each):
                    self._missing(each)
            config = self._store.blobs.read(manifest.config.digest, max_bytes=MAX_CONFIG_BYTES)
            artifact.parse_config(config, source=name)
        except RegistryProtocolError as error:
            self._reader.refuse(f"holds {error.problem}")
        return manifest

    def _missing(self, blob: Descriptor) -> None:
        self._reader.refuse(
            f'missing blob "{blob.digest}" for manifest - refusing to write unless all blobs exist'
        )

    def _protect(self, digests: Iterable[Digest]) -> None:
        # A lease cannot grow: a larger one takes its place before it ends.
        wanted = self._lease.digests | set(digests)
        if wanted != self._lease.digests:
            former, self._lease = self._lease, self._store.lease(wanted)
            former.close()
