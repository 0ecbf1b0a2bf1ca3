"""Load: a model comes out of a tar stream, untagged, or nothing does.

Two kinds of tar are read: what `export` writes (reference, section 2.9), and an OCI image layout
with one manifest, as ``skopeo copy ... oci-archive:FILE`` writes it. In both the blobs come before
what names them, so they are published on the way and taken back if the end is not reached.
"""

import hashlib

from pyrunner.errors import (
    DigestMismatchError,
    InvalidReferenceError,
    RegistryProtocolError,
)
from pyrunner.models import artifact
from pyrunner.models.artifact import MAX_CONFIG_BYTES
from pyrunner.models.leases import Lease
from pyrunner.models.room import require_room
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
        StoreFullError: A blob does not fit on the disk; nothing of the tar stays.
        StoreError: The disk is full all the same, or worse. Nothing of it stays.
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
        self._leases = _Leases(store)
        self._published: set[Digest] = set()

    def run(self) -> StoredModel:
        for file in self._reader.files():
            folder, _, last = file.path.rpartition("/")
            if folder == BLOBS:
                self._take_blob(file, self._digest(last))
            elif file.path in {MANIFEST, INDEX}:
                self._take_small(file)
        content = self._manifest_content()
        manifest = self._manifest(content)
        digests = {Digest.of(content), *(each.digest for each in manifest.blobs)}
        with self._store.lease(digests) as lease:
            self._check_blobs(manifest)
            model = self._store.put(content, None, lease)
        self._published -= digests
        return model

    def close(self) -> None:
        """End the leases, and take back what no model needs."""
        self._leases.close()
        if self._published:
            self._store.collect(among=self._published)

    def _digest(self, text: str) -> Digest:
        try:
            return Digest.from_hex(text)
        except InvalidReferenceError as error:
            self._reader.refuse(f"holds the blob {text[:100]!r}: {error.sentence}")

    def _take_blob(self, file: TarFile, digest: Digest) -> None:
        lease = self._leases.cover(digest)
        descriptor = Descriptor(media_type=_BLOB_TYPE, size=file.size_bytes, digest=digest)
        require_room(self._store, [descriptor])
        sink = self._store.incoming(descriptor, lease)
        if sink is None:
            self._compare(digest)
            return
        self._published.add(digest)
        with sink:
            # A stream cannot continue in the middle, and a broken one leaves nothing.
            sink.restart()
            try:
                for chunk in self._reader.chunks():
                    sink.write(chunk)
                sink.publish()
            except DigestMismatchError as error:
                self._wrong(digest, error.actual)
            except BaseException:
                sink.give_up()
                raise

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

    def _manifest(self, content: bytes) -> Manifest:
        name = self._reader.name
        try:
            return artifact.check_model(content, name=name, source=name)
        except RegistryProtocolError as error:
            self._reader.refuse(f"holds {error.problem}")

    def _check_blobs(self, manifest: Manifest) -> None:
        for each in manifest.blobs:
            if not self._store.blobs.has(each):
                self._missing(each)
        config = self._store.blobs.read(manifest.config.digest, max_bytes=MAX_CONFIG_BYTES)
        try:
            artifact.parse_config(config, source=self._reader.name)
        except RegistryProtocolError as error:
            self._reader.refuse(f"holds {error.problem}")

    def _missing(self, blob: Descriptor) -> None:
        self._reader.refuse(
            f'missing blob "{blob.digest}" for manifest - refusing to write unless all blobs exist'
        )


class _Leases:
    """Leases on digests that become known one by one. One thread.

    A lease cannot grow. Two of equal size are replaced by one on both, so that there are never
    more than log2(n) + 2, and each digest is written as often.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        # The first on nothing: a store that cannot be written says so before anything is read.
        self._leases = [store.lease(())]

    def cover(self, digest: Digest) -> Lease:
        """A lease that names this digest; it lasts until the next call."""
        for each in self._leases:
            if digest in each.digests:
                return each
        self._leases.append(self._store.lease([digest]))
        while len(self._leases) > 1 and self._are_last_two_equal():
            both = self._store.lease(self._leases[-2].digests | self._leases[-1].digests)
            self._leases.append(both)
            for _ in range(2):
                self._leases.pop(-2).close()
        return self._leases[-1]

    def close(self) -> None:
        """End them all."""
        while self._leases:
            self._leases.pop().close()

    def _are_last_two_equal(self) -> bool:
        return len(self._leases[-2].digests) == len(self._leases[-1].digests)
