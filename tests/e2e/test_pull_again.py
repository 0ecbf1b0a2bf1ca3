"""Pulling what was here already: lost, damaged, or under another name."""

import pytest
from support.recording import ImpatientClient, Told
from support.scripted_registry import scripted_registry

from pyrunner.models import recovery, verification
from pyrunner.models.transfer import pull

WEIGHTS = bytes(range(256)) * 1024


@pytest.fixture
def registry():
    with scripted_registry() as registry:
        yield registry


@pytest.mark.parametrize("by", ["tag", "digest"])
@pytest.mark.parametrize("part", ["manifest", "config", "weights"])
@pytest.mark.parametrize("harm", ["lost", "damaged"])
def test_blob_that_a_repair_dropped_is_pulled_again(store, registry, part, by, harm):
    with ImpatientClient() as client:
        registry.hold("a/b:1", WEIGHTS)
        model = pull(store, client, f"{registry.host}/a/b:1", Told()).model
        name = model.tags[0] if by == "tag" else f"{registry.host}/a/b@{model.id}"
        manifest = model.manifest
        digests = {"manifest": model.id, "config": manifest.config.digest}
        path = store.blobs.path(digests.get(part, manifest.layers[0].digest))
        if harm == "lost":
            path.unlink()
        else:
            path.write_bytes(bytes(path.stat().st_size))
        recovery.repair(store, verification.verify(store))
        outcome = pull(store, client, name, Told())
    assert (outcome.model.id, outcome.is_cached) == (model.id, False)
    assert model.weight_paths[0].read_bytes() == WEIGHTS
    assert verification.verify(store).damages == ()


@pytest.mark.parametrize("is_by_digest", [False, True])
def test_tag_that_moved_to_a_model_that_is_here_says_so(store, registry, is_by_digest):
    name = f"{registry.host}/a/b:1"
    registry.hold("a/b:1", WEIGHTS)
    registry.hold("a/b:2", b"another")
    with ImpatientClient() as client:
        first = pull(store, client, name, Told()).model
        second = pull(store, client, f"{registry.host}/a/b:2", Told()).model
        registry.hold("a/b:1", b"another")
        told = Told()
        asked = f"{name}@{second.id}" if is_by_digest else name
        assert pull(store, client, asked, told).is_cached
    said = [each.message for each in told.events if each.type == "progress"]
    assert said == [f"Updated: {first.short_id} is now {second.short_id}"]
    assert store.find(name).id == second.id
