"""A pull brings back what a damaged store lost."""

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
