"""What a registry has to do for pull and push: held against the scripted and the real one."""

from pathlib import Path

import pytest
from support.artifacts import add, new_store
from support.debian_registry import ANONYMOUS
from support.recording import Told

from pyrunner.config import RegistryConfig
from pyrunner.errors import ModelNotFoundError
from pyrunner.models.transfer import pull, push
from pyrunner.registry.client import RegistryClient
from pyrunner.registry.digest import Digest
from pyrunner.registry.reference import Reference

WEIGHTS = bytes(range(256)) * 8192
"""2 MiB."""


def new_client() -> RegistryClient:
    return RegistryClient(RegistryConfig(), ANONYMOUS)


class RegistryContract:
    """Subclasses give the `host` fixture."""

    @pytest.fixture
    def reference(self, host: str) -> Reference:
        return Reference.parse(f"{host}/team/model:v1")

    def test_model_that_was_pushed_can_be_pulled(self, reference: Reference, tmp_path: Path):
        there, here = new_store(tmp_path / "there"), new_store(tmp_path / "here")
        model = add(there, str(reference), WEIGHTS)
        told = Told()
        with new_client() as client:
            push(there, client, str(reference), told)
            outcome = pull(here, client, str(reference), told)
        assert outcome.model.id == model.id
        assert outcome.model.weight_paths[0].read_bytes() == WEIGHTS
        assert not outcome.is_cached
        assert told.messages == [
            "Model pushed successfully",
            "Model pulled successfully",
        ]

    def test_blob_is_continued_by_range(self, reference: Reference, tmp_path: Path):
        store = new_store(tmp_path)
        add(store, str(reference), WEIGHTS)
        digest = Digest.of(WEIGHTS)
        with new_client() as client:
            push(store, client, str(reference), lambda _: None)
            headers = {"Range": f"bytes={len(WEIGHTS) - 10}-"}
            with client.send(reference, "GET", f"blobs/{digest}", headers=headers) as response:
                assert response.status == 206
                assert response.headers["Content-Range"] == (
                    f"bytes {len(WEIGHTS) - 10}-{len(WEIGHTS) - 1}/{len(WEIGHTS)}"
                )
                assert response.read(100) == WEIGHTS[-10:]

    def test_manifest_is_found_by_tag_and_by_digest(self, reference: Reference, tmp_path: Path):
        store = new_store(tmp_path)
        model = add(store, str(reference), WEIGHTS)
        with new_client() as client:
            push(store, client, str(reference), lambda _: None)
            by_tag = client.manifest(reference)
            by_digest = client.manifest(Reference.parse(f"{reference.name}@{model.id}"))
        assert by_tag == by_digest
        assert by_tag.digest == model.id

    @pytest.mark.parametrize("name", ["team/model:nope", "team/nope:v1"])
    def test_model_that_is_not_there_is_not_found(self, host: str, name: str):
        with new_client() as client, pytest.raises(ModelNotFoundError) as caught:
            client.manifest(Reference.parse(f"{host}/{name}"))
        assert caught.value.where == "registry"

    def test_blob_that_is_not_there_is_not_there(self, reference: Reference):
        with new_client() as client:
            assert not client.has_blob(reference, Digest.of(b"nothing"))
