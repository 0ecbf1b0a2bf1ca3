"""Names of references as names of repositories, and back."""

import pytest
from support.artifacts import add, new_store

from pyrunner.errors import InvalidReferenceError, StoreCorruptError
from pyrunner.models.repositories import Repositories

SPELLINGS = [
    ("docker.io/ai/smollm2:latest", "ai/smollm2", ["docker.io/ai/smollm2", "smollm2"]),
    ("docker.io/team/deep/er/model:v1", "team/deep/er/model", ["docker.io/team/deep/er/model"]),
    ("huggingface.co/org/model:Q8_0", "huggingface.co/org/model", ["hf.co/org/model"]),
    ("localhost:5000/test/tiny:v1", "localhost_5000/test/tiny", []),
    ("localhost/test/tiny:v1", "localhost/test/tiny", []),
    ("reg.example:5000/y:2", "reg.example_5000/y", []),
    ("docker.io/a__b/c:1", "a__b/c", ["docker.io/a__b/c"]),
]
"""Reference, the repository's name, and other names of the same repository."""

ONLY_IN_FULL = [
    ("docker.io/foo_5000/x:1", "docker.io/foo_5000/x"),
    ("docker.io/a.b/x:1", "docker.io/a.b/x"),
    ("docker.io/localhost/x:1", "docker.io/localhost/x"),
    ("docker.io/a_99999/x:1", "docker.io/a_99999/x"),
]
"""Names of the default registry that without it would mean another registry."""


@pytest.fixture
def store(tmp_path):
    return new_store(tmp_path)


@pytest.fixture
def repositories(store):
    return Repositories(store)


@pytest.mark.parametrize(("reference", "name", "others"), SPELLINGS, ids=str)
def test_reference_has_one_listed_name_and_all_spellings_find_it(
    store, repositories, reference, name, others
):
    model = add(store, reference, b"weights")
    assert repositories.names() == [name]
    tags = [repositories.find(each).tags for each in (name, *others)]
    assert tags == [{model.references[0].tag: model.id}] * (1 + len(others))


@pytest.mark.parametrize(("reference", "name"), ONLY_IN_FULL)
def test_name_that_would_mean_another_registry_is_served_in_full(
    store, repositories, reference, name
):
    model = add(store, reference, b"weights")
    assert repositories.names() == [name]
    assert repositories.find(name).tags == {"1": model.id}


def test_port_and_underscore_never_meet_in_one_repository(store, repositories):
    first = add(store, "docker.io/foo_5000/x:1", b"first")
    second = add(store, "foo:5000/x:1", b"second")
    assert repositories.names() == ["docker.io/foo_5000/x", "foo_5000/x"]
    assert repositories.find("docker.io/foo_5000/x").tags == {"1": first.id}
    assert repositories.find("foo_5000/x").tags == {"1": second.id}


def test_repository_has_all_its_tags_and_the_model_without_one(store, repositories):
    digest = add(store, "docker.io/ai/other:1", b"pulled by digest").id
    first = add(store, "ai/x:1", b"first")
    second = add(store, "ai/x:2", b"second")
    third = add(store, f"ai/x@{digest}", b"third")
    found = repositories.find("ai/x")
    assert found.tags == {"1": first.id, "2": second.id}
    assert found.digests == {first.id, second.id, third.id}


def test_untagged_model_and_ipv6_registry_are_in_no_repository(store, repositories):
    add(store, None, b"untagged")
    add(store, "[::1]:5000/ai/a:v1", b"unspeakable")
    assert repositories.names() == []


def test_empty_store_has_no_repository(repositories):
    assert repositories.names() == []
    assert repositories.find("ai/x") is None


@pytest.mark.parametrize(
    "name",
    ["", "..", "a/../b", "A/b", "a//b", "a/", "/a", "a_/b", "a:5000/b", "a%00", "a\nb", "x" * 300],
)
def test_name_that_no_repository_can_have_is_refused(repositories, name):
    with pytest.raises(InvalidReferenceError):
        repositories.find(name)


def test_blob_belongs_to_the_repositories_whose_manifests_name_it(store, repositories):
    mine = add(store, "ai/x:1", b"mine")
    shared = mine.manifest.layers[0]
    add(store, "ai/same:1", b"mine")
    add(store, "ai/other:1", b"other")
    assert repositories.blob(repositories.find("ai/x"), shared.digest) == shared
    assert repositories.blob(repositories.find("ai/same"), shared.digest) == shared
    assert repositories.blob(repositories.find("ai/other"), shared.digest) is None


def test_damaged_manifest_is_an_error_and_leaves_the_others_alone(store, repositories):
    bad = add(store, "ai/x:1", b"bad")
    good = add(store, "ai/x:2", b"good")
    store.blobs.path(bad.id).write_bytes(b"{}")
    with pytest.raises(StoreCorruptError):
        repositories.manifest(bad.id)
    repository = repositories.find("ai/x")
    layer = good.manifest.layers[0]
    assert repositories.blob(repository, layer.digest) == layer
    assert repositories.blob(repository, bad.manifest.layers[0].digest) is None


def test_manifest_removed_since_the_index_was_read_is_none(store, repositories):
    model = add(store, "ai/x:1", b"weights")
    store.remove("ai/x:1")
    assert repositories.manifest(model.id) is None
