import json
from typing import Any

import pytest
from support.artifacts import NAMES, add, blob_names, described, new_store

from pyrunner.errors import (
    InvalidParameterError,
    InvalidReferenceError,
    ModelNotFoundError,
    MultipleTagsError,
    StoreCorruptError,
    StoreFormatError,
    StoreIOError,
)
from pyrunner.models import collection
from pyrunner.models.artifact import CONFIG_V01
from pyrunner.models.files import locked
from pyrunner.models.store import Store
from pyrunner.registry.digest import Digest
from pyrunner.registry.manifest import MAX_MANIFEST_BYTES, REF_NAME, Manifest, encode


@pytest.fixture
def store(tmp_path):
    return new_store(tmp_path)


def _entries(store: Store) -> Any:
    return json.loads((store.path / "index.json").read_bytes())["manifests"]


def test_store_touches_nothing_before_the_first_model(store):
    assert store.list() == []
    with pytest.raises(ModelNotFoundError):
        store.find("smollm2")
    with pytest.raises(ModelNotFoundError):
        store.remove("smollm2")
    assert store.collect() == 0
    assert not store.path.exists()


def test_store_is_a_standard_image_layout(store):
    model = add(store, "smollm2", b"weights")
    assert json.loads((store.path / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    [entry] = _entries(store)
    assert entry["digest"] == model.id
    assert entry["annotations"] == {REF_NAME: "docker.io/ai/smollm2:latest"}
    assert blob_names(store) == {each.removeprefix("sha256:") for each in model.digests}


@pytest.mark.parametrize(
    "text",
    ["smollm2", "SmolLM2", "ai/smollm2:latest", "docker.io/ai/smollm2", "{id}", "{hex}", "{short}"],
)
def test_model_is_found_by_each_of_its_names(store, text):
    model = add(store, "smollm2", b"weights")
    text = text.format(id=model.id, hex=model.id[7:], short=model.short_id)
    assert store.find(text) == model


def test_model_is_found_by_digest_reference(store):
    model = add(store, "smollm2", b"weights")
    assert store.find(f"ai/smollm2@{model.id}") == model


def test_model_is_found_by_bare_name_whatever_its_registry_and_tag(store):
    model = add(store, "reg.example:5000/team/smollm2:v1", b"weights")
    assert store.find("SmolLM2") == model
    with pytest.raises(ModelNotFoundError):
        store.find("team/smollm2")


def test_bare_name_does_not_remove_what_it_would_find(store):
    add(store, "reg.example:5000/team/smollm2:v1", b"weights")
    with pytest.raises(ModelNotFoundError):
        store.remove("smollm2")


def test_list_has_each_model_once_in_the_order_of_coming(store):
    first, second = add(store, "b", b"1"), add(store, "a", b"2")
    store.tag("b", "c")
    assert [each.id for each in store.list()] == [first.id, second.id]
    assert store.list()[0].tags == ["docker.io/ai/b:latest", "docker.io/ai/c:latest"]


def test_tag_that_moves_leaves_its_former_model_untagged(store):
    former = add(store, "x", b"1")
    newer = add(store, "x", b"2")
    assert store.find("x").id == newer.id
    assert store.find(former.id).references == ()
    assert [each.id for each in store.list()] == [former.id, newer.id]


def test_untagged_model_takes_a_tag_without_a_second_entry(store):
    model = add(store, None, b"1")
    store.tag(model.short_id, "x")
    assert len(_entries(store)) == 1
    assert store.find("x").id == model.id


@pytest.mark.parametrize("target", ["x@sha256:" + "0" * 64])
def test_tag_with_a_digest_is_refused(store, target):
    add(store, "x", b"1")
    with pytest.raises(InvalidParameterError):
        store.tag("x", target)


def test_remove_of_the_last_tag_removes_the_model_and_its_blobs(store):
    model = add(store, "x", b"1")
    removed = store.remove("x")
    assert [(each.kind, each.what) for each in removed] == [
        ("Untagged", "docker.io/ai/x:latest"),
        ("Deleted", model.id),
    ]
    assert blob_names(store) == set()
    assert store.list() == []


def test_remove_of_one_of_two_tags_keeps_the_model(store):
    model = add(store, "x", b"1")
    store.tag("x", "y")
    removed = store.remove("x", force=True)
    assert [each.kind for each in removed] == ["Untagged"]
    assert store.find("y").id == model.id


def test_remove_by_id_of_two_tags_needs_force(store):
    model = add(store, "x", b"1")
    store.tag("x", "y")
    with pytest.raises(MultipleTagsError):
        store.remove(model.short_id)
    assert [each.kind for each in store.remove(model.short_id, force=True)] == [
        "Untagged",
        "Untagged",
        "Deleted",
    ]


def test_remove_keeps_blobs_that_another_model_shares(store):
    add(store, "x", b"1")
    other = add(store, "y", b"2")
    store.remove("x")
    assert blob_names(store) == {each.removeprefix("sha256:") for each in other.digests}


def test_remove_keeps_blobs_under_a_lease_until_it_ends(store):
    model = add(store, "x", b"1")
    found, lease = store.acquire("x")
    with lease:
        store.remove("x")
        assert found.weight_paths[0].read_bytes() == b"1"
    assert store.collect() > 0
    assert blob_names(store) == set()
    assert model.id == found.id


def test_remove_keeps_the_blobs_of_what_was_acquired_beside(store):
    add(store, "x", b"1")
    beside = add(store, "y", b"2")
    _, lease = store.acquire("x", [beside])
    with lease:
        store.remove("y")
        assert beside.weight_paths[0].read_bytes() == b"2"
    store.collect()
    assert not beside.weight_paths[0].exists()


def test_acquire_says_which_of_two_models_is_gone_or_misses_a_blob(store):
    add(store, "x", b"1")
    gone, damaged = add(store, "y", b"2"), add(store, "z", b"3")
    store.remove("y")
    damaged.weight_paths[0].unlink()
    with pytest.raises(ModelNotFoundError, match=gone.id):
        store.acquire("x", [gone])
    with pytest.raises(StoreCorruptError, match=damaged.id):
        store.acquire("x", [damaged])


def test_acquire_of_a_model_that_misses_a_blob_says_so(store):
    model = add(store, "x", b"1")
    model.weight_paths[0].unlink()
    with pytest.raises(StoreCorruptError):
        store.acquire("x")


def test_damaged_model_is_left_out_of_the_list_and_can_be_removed(store, caplog):
    damaged, sound = add(store, "x", b"1"), add(store, "y", b"2")
    store.blobs.path(damaged.id).write_bytes(b"{}")
    assert [each.id for each in store.list()] == [sound.id]
    assert damaged.id in caplog.text
    with pytest.raises(StoreCorruptError):
        store.find("x")
    store.remove("x")
    assert [each.id for each in store.list()] == [sound.id]


def test_collection_keeps_everything_while_a_model_cannot_be_read(store):
    damaged = add(store, "x", b"1")
    add(store, "y", b"2")
    store.blobs.path(damaged.id).unlink()
    before = blob_names(store)
    assert store.collect() == 0
    assert blob_names(store) == before


def test_put_without_its_blobs_is_refused(store):
    model = add(store, "x", b"1")
    content = store.manifest_bytes(model)
    model.weight_paths[0].unlink()
    with store.lease(model.digests) as lease, pytest.raises(StoreCorruptError):
        store.put(content, store.parse("y"), lease)


def test_put_with_a_config_that_cannot_be_read_says_so_and_changes_nothing(store):
    config, layer = described(b"[]", CONFIG_V01), described(b"weights")
    content = encode(Manifest(schema_version=2, config=config, layers=(layer,)))
    with store.lease([Digest.of(content), config.digest, layer.digest]) as lease:
        store.put_blob(config, b"[]", lease)
        store.put_blob(layer, b"weights", lease)
        with pytest.raises(StoreCorruptError, match="config that cannot be read"):
            store.put(content, store.parse("x"), lease)
    assert _entries(store) == []


@pytest.mark.parametrize(
    ("name", "content"), [("a.txt", "x"), ("oci-layout", "{}")], ids=["files", "another layout"]
)
def test_foreign_folder_is_refused_in_one_sentence_and_left_alone(store, name, content):
    store.path.mkdir()
    (store.path / name).write_text(content)
    with pytest.raises(StoreFormatError, match="choose another folder"):
        store.list()
    with pytest.raises(StoreFormatError, match="choose another folder"):
        add(store, "x", b"1")
    assert [each.name for each in store.path.iterdir()] == [name]


def test_file_in_place_of_the_store_is_refused(store):
    store.path.write_text("x")
    with pytest.raises(StoreFormatError, match="is a file"):
        store.list()


def test_store_of_a_newer_version_is_refused(store):
    add(store, "x", b"1")
    (store.path / ".pyrunner" / "version").write_text("2\n")
    with pytest.raises(StoreFormatError, match="a newer version"):
        store.list()


@pytest.mark.parametrize("lost", [(), ("index.json",)], ids=["version", "version and index"])
def test_store_that_lost_its_version_is_refused_and_loses_nothing_else(store, lost):
    model = add(store, "x", b"1")
    content = (store.path / "index.json").read_bytes()
    version = store.path / ".pyrunner" / "version"
    for path in (version, *(store.path / name for name in lost)):
        path.unlink()
    for act in (store.list, store.collect, lambda: add(store, "y", b"2")):
        with pytest.raises(StoreFormatError, match=r"version is missing; write 1 into it"):
            act()
    version.write_text("1\n")
    if lost:
        (store.path / "index.json").write_bytes(content)
    assert [each.id for each in store.list()] == [model.id]


@pytest.mark.parametrize("name", ["27627012062a", "sha256:" + "0" * 64, "0" * 64])
def test_name_that_reads_like_an_id_is_refused(store, name):
    add(store, "x", b"1")
    with pytest.raises((InvalidParameterError, InvalidReferenceError), match="id"):
        store.tag("x", name)


def test_store_that_was_not_made_to_its_end_is_made_to_its_end(store):
    add(store, "x", b"1")
    store.remove("x")
    (store.path / ".pyrunner" / "version").unlink()
    assert store.list() == []
    assert add(store, "x", b"1") in store.list()


def test_name_that_is_none_hides_nothing_else(store):
    model = add(store, "x", b"1")
    add(store, "y", b"2")
    path = store.path / "index.json"
    path.write_bytes(path.read_bytes().replace(b"docker.io/ai/x:latest", b"UPPER CASE"))
    assert [each.tags for each in store.list()] == [[], ["docker.io/ai/y:latest"]]
    assert [str(each) for each in store.names()] == ["docker.io/ai/y:latest"]
    store.remove(model.id)
    assert len(store.list()) == 1


def test_what_is_no_blob_does_not_stop_a_removal(store):
    add(store, "x", b"1")
    blobs = store.path / "blobs" / "sha256"
    (blobs / "folder").mkdir()
    (blobs / "dangling").symlink_to("nowhere")
    assert [each.kind for each in store.remove("x")] == ["Untagged", "Deleted"]
    assert [each.name for each in blobs.iterdir()] == ["folder"]


def test_removal_is_done_although_its_collection_has_to_wait_too_long(store, monkeypatch, caplog):
    add(store, "x", b"1")
    monkeypatch.setattr(collection, "LOCK_TIMEOUT_S", 0.0)
    with locked(store.path / ".pyrunner" / "collection.lock", timeout_s=0):
        assert [each.kind for each in store.remove("x")] == ["Untagged", "Deleted"]
    assert "nothing is collected" in caplog.text
    assert store.collect() > 0


def test_name_that_would_make_the_index_unreadable_is_refused(store):
    model = add(store, "x", b"1")
    path = store.path / "index.json"
    document = json.loads(path.read_bytes())
    n_free = MAX_MANIFEST_BYTES - len(path.read_bytes())
    document["manifests"][0]["annotations"]["filler"] = "f" * (n_free - 100)
    path.write_text(json.dumps(document))
    with pytest.raises(StoreIOError, match="remove some"):
        store.tag("x", "y")
    assert model.id in [each.id for each in store.list()]


def test_index_that_is_no_json_is_named(store):
    add(store, "x", b"1")
    (store.path / "index.json").write_text("{")
    with pytest.raises(StoreCorruptError, match=r"index\.json"):
        store.list()


def test_folder_that_cannot_be_made_is_an_error_of_the_store(tmp_path):
    (tmp_path / "file").write_text("x")
    store = Store(tmp_path / "file" / "store", NAMES)
    with pytest.raises(StoreFormatError, match="is a file"):
        add(store, "x", b"1")


def test_interrupted_creation_is_completed(store):
    (store.path / ".pyrunner").mkdir(parents=True)
    assert store.list() == []
    assert add(store, "x", b"1") == store.find("x")
