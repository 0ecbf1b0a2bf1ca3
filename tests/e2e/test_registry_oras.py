"""oras's Python client and us through one registry: each reads what the other pushed."""

import json

import pytest
from oras.provider import Registry as Oras
from support.artifacts import add
from support.debian_registry import running_registry
from support.gguf_files import write_tiny_gguf
from support.recording import ImpatientClient, Told

from pyrunner.models.artifact import CONFIG_V01, GGUF
from pyrunner.models.store import Store
from pyrunner.models.transfer import pull, push

WEIGHTS = bytes(range(256)) * 4096
"""1 MiB."""


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    with running_registry(tmp_path_factory.mktemp("oras")) as registry:
        yield registry


def _push(store: Store, name: str) -> None:
    with ImpatientClient() as client:
        push(store, client, name, Told())


def test_oras_pulls_what_we_push(registry, here, tmp_path):
    name = f"{registry.host}/ai/ours:v1"
    model = add(here, name, WEIGHTS)
    _push(here, name)
    oras = Oras(insecure=True)
    container = oras.get_container(name)
    manifest = oras.get_manifest(container, allowed_media_type=[model.manifest.media_type])
    assert manifest == json.loads(here.manifest_bytes(model))
    target = oras.download_blob(container, manifest["layers"][0]["digest"], str(tmp_path / "w"))
    assert (tmp_path / "w").read_bytes() == WEIGHTS, target


@pytest.mark.parametrize("is_chunked", [False, True])
def test_we_pull_list_and_push_what_oras_pushes(registry, here, tmp_path, monkeypatch, is_chunked):
    name = f"{registry.host}/ai/theirs:chunked-{is_chunked}".lower()
    weights = write_tiny_gguf(tmp_path / "weights.gguf", n_vocab=4096)
    (tmp_path / "config.json").write_text(json.dumps({"config": {"format": "gguf"}}))
    monkeypatch.chdir(tmp_path)
    Oras(insecure=True).push(
        target=name,
        files=[f"weights.gguf:{GGUF}"],
        manifest_config=f"config.json:{CONFIG_V01}",
        manifest_annotations={"made-by": "oras"},
        do_chunked=is_chunked,
        chunk_size=64 * 1024,
    )
    with ImpatientClient() as client:
        model = pull(here, client, name, Told()).model
    assert [each.read_bytes() for each in model.weight_paths] == [weights.read_bytes()]
    assert model.manifest.annotations["made-by"] == "oras"
    assert [each.id for each in here.list()] == [model.id]
    copy = f"{registry.host}/ai/copy:{is_chunked}".lower()
    here.tag(name, copy)
    _push(here, copy)
    with ImpatientClient() as client:
        assert pull(here, client, copy, Told()).is_cached
