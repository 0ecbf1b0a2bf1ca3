"""Export and load: what goes out comes back, and of what is broken nothing stays."""

import io
import tarfile

import pytest
from support import tars
from support.artifacts import add, blob_names, described, made, new_store
from support.disk_limit import limited_files

from pyrunner.errors import (
    ModelFileError,
    ModelNotFoundError,
    StoreFullError,
    StoreIOError,
    UnsupportedArtifactError,
)
from pyrunner.models import artifact, leases
from pyrunner.models.tar_loading import load
from pyrunner.models.tar_reading import MAX_EXTENDED_BYTES
from pyrunner.models.tar_writing import ModelTar
from pyrunner.registry.digest import Digest
from pyrunner.registry.manifest import INDEX_TYPE, MANIFEST_TYPE, Descriptor, Index, encode

WEIGHTS = b"weights" * 1000


@pytest.fixture
def source(tmp_path):
    (tmp_path / "source").mkdir()
    return new_store(tmp_path / "source")


@pytest.fixture
def store(tmp_path):
    return new_store(tmp_path)


@pytest.fixture
def model(source):
    return add(source, "org/x:v1", WEIGHTS)


def _exported(source, text="org/x:v1", *, is_layout=False) -> bytes:
    with ModelTar(source, text, is_layout=is_layout) as tar:
        content = b"".join(tar.chunks())
        assert len(content) == tar.size_bytes
    return content


def _blob(content: bytes) -> bytes:
    return tars.entry(f"blobs/sha256/{Digest.of(content).hex}", content)


def _parts() -> tuple[list[bytes], bytes]:
    manifest, blobs = made(WEIGHTS)
    return [_blob(content) for _, content in blobs], manifest


@pytest.mark.usefixtures("model")
def test_export_has_the_order_of_the_reference(source):
    manifest, [(config, _), (layer, _)] = made(WEIGHTS)
    with tarfile.open(fileobj=io.BytesIO(_exported(source))) as tar:
        assert tar.getnames() == [
            "blobs",
            "blobs/sha256",
            f"blobs/sha256/{layer.digest.hex}",
            f"blobs/sha256/{config.digest.hex}",
            "manifest.json",
        ]
        file = tar.extractfile("manifest.json")
        assert file is not None
        assert file.read() == manifest


@pytest.mark.parametrize("is_layout", [False, True])
def test_exported_model_loads_with_the_same_id_and_without_a_name(
    source, store, model, *, is_layout
):
    loaded = load(store, io.BytesIO(_exported(source, is_layout=is_layout)), "t")
    assert (loaded.id, loaded.tags) == (model.id, [])
    assert loaded.weight_paths[0].read_bytes() == WEIGHTS
    assert blob_names(store) == blob_names(source)
    assert store.list() == [loaded]


@pytest.mark.usefixtures("model")
def test_export_twice_gives_the_same_bytes(source):
    assert _exported(source) == _exported(source)


def test_export_of_an_unknown_model_leaves_no_lease(source, model):
    with pytest.raises(ModelNotFoundError):
        ModelTar(source, "none")
    source.remove(model.id, force=True)
    assert blob_names(source) == set()


@pytest.mark.usefixtures("model")
def test_export_keeps_its_blobs_until_it_is_closed(source):
    with ModelTar(source, "org/x:v1") as tar:
        source.remove("org/x:v1")
        assert len(b"".join(tar.chunks())) == tar.size_bytes


def test_load_from_a_source_that_trickles(source, store, model):
    assert load(store, tars.Trickle(_exported(source)), "t").id == model.id


def test_load_of_what_is_here_keeps_its_names(source, store, model):
    add(store, "org/mine", WEIGHTS)
    assert load(store, io.BytesIO(_exported(source)), "t").id == model.id
    assert store.find("org/mine").id == model.id


def test_load_takes_a_blob_that_only_the_store_has(store):
    add(store, "org/other", WEIGHTS)
    (config, _), manifest = _parts()
    assert load(store, tars.stream([config, tars.entry("manifest.json", manifest)]), "t").size_bytes


def test_load_of_an_index_before_its_blobs_and_with_dots(store):
    blobs, manifest = _parts()
    entry = Descriptor(
        media_type=MANIFEST_TYPE, size=len(manifest), digest=described(manifest).digest
    )
    index = encode(Index(schema_version=2, media_type=INDEX_TYPE, manifests=(entry, entry)))
    first = [tars.entry("./index.json", index), tars.entry("./blobs/", kind=tarfile.DIRTYPE)]
    loaded = load(store, tars.stream([*first, *blobs, _blob(manifest)]), "t")
    assert loaded.id == entry.digest


def test_load_reads_pax_names_and_sizes(store):
    blobs, manifest = _parts()
    records = tars.record("path", "manifest.json") + tars.record("size", str(len(manifest)))
    named = tars.pax(records) + tars.entry("other", manifest)
    assert load(store, tars.stream([*blobs, named]), "t").size_bytes == len(WEIGHTS)


def test_load_passes_over_files_that_are_no_part_of_a_model(store):
    blobs, manifest = _parts()
    parts = [tars.entry("README", b"hello"), *blobs, tars.entry("manifest.json", manifest)]
    load(store, tars.stream([*parts, _blob(b"of no use")]), "t")
    assert len(blob_names(store)) == 3


@pytest.mark.parametrize("n_bytes", [0, 1, 511, 512, 1500, 8000, 9000, 10_000])
def test_truncated_tar_leaves_nothing(source, store, model, n_bytes):
    content = _exported(source)
    assert n_bytes < len(content), model
    with pytest.raises(ModelFileError, match="truncated"):
        load(store, io.BytesIO(content[:n_bytes]), "t")
    _assert_empty(store)


BLOBS, MANIFEST = _parts()
CONFIG, LAYER = BLOBS
GOOD = [CONFIG, LAYER, tars.entry("manifest.json", MANIFEST)]
LAYER_NAME = f"blobs/sha256/{Digest.of(WEIGHTS).hex}"
OTHER = made(b"other")[0]


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([b"no tar at all".ljust(512, b"!")], "is no tar file"),
        ([], "holds no manifest.json and no index.json"),
        ([tars.entry("../manifest.json", MANIFEST), *GOOD], "would leave the folder"),
        ([tars.entry("/etc/passwd", b"x"), *GOOD], "would leave the folder"),
        ([tars.entry("blobs/../../x", b"x"), *GOOD], "would leave the folder"),
        ([tars.entry("C:\\x", b"x"), *GOOD], "would leave the folder"),
        ([tars.pax(tars.record("path", "../x")), tars.entry("a", b"x"), *GOOD], "leave the folder"),
        ([tars.pax(tars.record("path", "a\0b")), tars.entry("a", b"x"), *GOOD], "leave the folder"),
        ([tars.entry("l", kind=tarfile.SYMTYPE, link="/etc"), *GOOD], "neither a file nor a fold"),
        ([tars.entry("l", kind=tarfile.LNKTYPE, link="x"), *GOOD], "neither a file nor a folder"),
        ([tars.entry("d", kind=tarfile.CHRTYPE), *GOOD], "neither a file nor a folder"),
        ([tars.entry("s", kind=tarfile.GNUTYPE_SPARSE), *GOOD], "neither a file nor a folder"),
        ([tars.entry("n", kind=tarfile.XHDTYPE, size=2**40)], f"than {MAX_EXTENDED_BYTES} bytes"),
        ([tars.entry("n", kind=tarfile.GNUTYPE_LONGNAME, size=2**40)], "extended header of more"),
        ([tars.pax(b"99999 size=1\n"), *GOOD], "extended header cannot be read"),
        ([tars.pax(b"x"), *GOOD], "extended header cannot be read"),
        ([tars.pax(b"0 size=1\n"), *GOOD], "extended header cannot be read"),
        ([tars.pax(tars.record("size", "-1")), *GOOD], "impossible size"),
        ([tars.pax(tars.record("size", "9" * 30)), *GOOD], "impossible size"),
        ([tars.entry("x", size=-512), *GOOD], "negative size"),
        ([tars.entry("blobs/sha256/abc", b"x"), *GOOD], "holds the blob 'abc'"),
        ([CONFIG, tars.entry(LAYER_NAME, b"x" * 7000), GOOD[2]], "bytes whose digest is"),
        ([CONFIG, tars.entry(LAYER_NAME, WEIGHTS[:-1]), GOOD[2]], "bytes whose digest is"),
        ([*GOOD, tars.entry(LAYER_NAME, b"x" * 7000)], "bytes whose digest is"),
        ([CONFIG, LAYER, tars.entry("manifest.json", OTHER)], "missing blob"),
        ([LAYER, GOOD[2]], "missing blob"),
        ([*GOOD, GOOD[2]], "holds manifest.json twice"),
        ([CONFIG, LAYER, tars.entry("manifest.json", b"[]")], "manifest that cannot be read"),
        ([tars.entry("manifest.json", b"x" * (4 * 2**20 + 1))], "of more than 4194304 bytes"),
        ([tars.entry("index.json", b"{}")], "index.json that cannot be read"),
        ([tars.entry("index.json", b'{"schemaVersion":2,"manifests":[]}')], "holds 0 models"),
    ],
)
def test_hostile_tar_is_refused_and_leaves_nothing(store, parts, said):
    with pytest.raises(ModelFileError, match=said):
        load(store, tars.stream(parts), "the tar")
    _assert_empty(store)


def test_tar_with_a_container_image_is_refused_and_leaves_nothing(store):
    manifest, blobs = made(WEIGHTS, config_type="application/vnd.oci.image.config.v1+json")
    parts = [*(_blob(content) for _, content in blobs), tars.entry("manifest.json", manifest)]
    with pytest.raises(UnsupportedArtifactError, match="try upgrading"):
        load(store, tars.stream(parts), "the tar")
    _assert_empty(store)


def test_tar_with_a_config_that_is_none_is_refused_and_leaves_nothing(store):
    layer = described(WEIGHTS)
    config = described(b"[]", artifact.CONFIG_V01)
    manifest = made(WEIGHTS)[0].replace(
        made(WEIGHTS)[1][0][0].digest.text.encode(), config.digest.text.encode()
    )
    size = f'"size":{made(WEIGHTS)[1][0][0].size}'.encode()
    manifest = manifest.replace(size, b'"size":2')
    parts = [_blob(b"[]"), _blob(WEIGHTS), tars.entry("manifest.json", manifest)]
    assert layer.digest.text.encode() in manifest
    with pytest.raises(ModelFileError, match="model config that cannot be read"):
        load(store, tars.stream(parts), "the tar")
    _assert_empty(store)


def test_refused_tar_takes_nothing_away_that_was_here(store):
    add(store, "org/x", WEIGHTS)
    before = blob_names(store)
    with pytest.raises(ModelFileError, match="truncated"):
        load(store, io.BytesIO(CONFIG + LAYER + _blob(b"new")), "t")
    assert blob_names(store) == before


def test_disk_that_refuses_a_blob_leaves_nothing(store):
    with limited_files(8192), pytest.raises(StoreIOError):
        load(store, tars.stream([CONFIG, _blob(b"x" * 9000)]), "t")
    _assert_empty(store)


def test_blob_larger_than_the_disk_is_refused_before_it_is_read(store):
    huge = tars.entry(LAYER_NAME, size=2**55)
    with pytest.raises(StoreFullError) as caught:
        load(store, tars.stream([CONFIG, huge]), "t")
    assert caught.value.needed_bytes == 2**55
    _assert_empty(store)


def test_leases_of_a_tar_with_many_blobs_cost_little(store, monkeypatch):
    n_blobs = 256
    taken = []
    take = leases.take

    def counting(folder, lock, digests):
        taken.append(take(folder, lock, digests))
        n_held.append(len(list(folder.iterdir())))
        return taken[-1]

    n_held: list[int] = []
    monkeypatch.setattr(leases, "take", counting)
    parts = [_blob(b"%d" % i) for i in range(n_blobs)]
    load(store, tars.stream([*parts, *GOOD]), "t")
    assert max(n_held) <= 12
    assert sum(len(each.digests) for each in taken) <= n_blobs * 10


def _assert_empty(store) -> None:
    assert store.list() == []
    assert blob_names(store) == set()
    assert list((store.path / ".pyrunner" / "incoming").iterdir()) == []
    assert list((store.path / ".pyrunner" / "leases").iterdir()) == []
