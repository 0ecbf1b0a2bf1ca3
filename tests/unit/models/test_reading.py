"""Artifacts of others: manifests and configs as the reference shows them, byte by byte."""

import pytest
from support.artifacts import described, new_store

from pyrunner.config import EngineConfig
from pyrunner.errors import ModelFileError
from pyrunner.models.packaging import PackageOptions, package
from pyrunner.models.store import Store, StoredModel
from pyrunner.registry.digest import Digest
from pyrunner.registry.manifest import decode_manifest
from pyrunner.runtime.footprint import footprint
from pyrunner.types import ModelMode

WEIGHTS = b"weights"

DOCKER_CONFIG = (
    b'{"config":{"format":"gguf","quantization":"Q4_K_M","parameters":"361.82M",'
    b'"architecture":"llama","size":"256.35MiB","gguf":{"general.architecture":"llama"},'
    b'"safetensors":{},"diffusers":{},"context_size":8192},'
    b'"descriptor":{"created":"2026-01-02T03:04:05Z"},'
    b'"rootfs":{"type":"rootfs","diff_ids":["sha256:%s"]}}'
)
CNCF_CONFIG = (
    b'{"descriptor":{"createdAt":"2026-01-02T03:04:05Z","authors":["a"],"family":"llama",'
    b'"name":"x","docURL":"https://example.com","sourceURL":"s","datasetsURL":["d"],'
    b'"version":"1","revision":"r","vendor":"v","licenses":["MIT"],"title":"t",'
    b'"description":"d"},"modelfs":{"type":"layers","diffIds":["sha256:%s"]},'
    b'"config":{"architecture":"transformer","format":"%s","paramSize":"8b",'
    b'"precision":"float16","quantization":"Q4_K_M","capabilities":{"inputTypes":["text"],'
    b'"outputTypes":["text"],"knowledgeCutoff":"2025-01-01T00:00:00Z","reasoning":true,'
    b'"toolUsage":true,"reward":false,"languages":["en"]}}}'
)
MANIFEST = (
    b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",%s'
    b'"config":{"mediaType":"%s","size":%d,"digest":"%s"},'
    b'"layers":[{"mediaType":"%s","size":%d,"digest":"%s",'
    b'"annotations":{"org.cncf.model.filepath":"%s",'
    b'"org.cncf.model.file.metadata+json":"{\\"name\\":\\"%s\\",\\"mode\\":420,\\"uid\\":0,'
    b'\\"gid\\":0,\\"size\\":%d,\\"mtime\\":\\"2026-01-02T03:04:05Z\\",\\"typeflag\\":0}",'
    b'"org.cncf.model.file.mediatype.untested":"false"}}]}'
)
ARTIFACT_TYPE = b'"artifactType":"application/vnd.cncf.model.manifest.v1+json",'
DOCKER_V01 = b"application/vnd.docker.ai.model.config.v0.1+json"
DOCKER_V02 = b"application/vnd.docker.ai.model.config.v0.2+json"
CNCF_V1 = b"application/vnd.cncf.model.config.v1+json"
CREATED = 1_767_323_045


@pytest.fixture
def store(tmp_path):
    return new_store(tmp_path)


def _hex(content: bytes) -> bytes:
    return Digest.of(content).hex.encode()


def _manifest(config_type: bytes, config: bytes, layer_type: bytes, name: bytes) -> bytes:
    return MANIFEST % (
        ARTIFACT_TYPE if config_type == CNCF_V1 else b"",
        *(config_type, len(config), Digest.of(config).encode()),
        *(layer_type, len(WEIGHTS), Digest.of(WEIGHTS).encode()),
        *(name, name, len(WEIGHTS)),
    )


def _put(store: Store, manifest: bytes, config: bytes) -> StoredModel:
    blobs = decode_manifest(manifest, source="test").blobs
    with store.lease([Digest.of(manifest), *(each.digest for each in blobs)]) as lease:
        store.put_blob(described(config), config, lease)
        store.put_blob(described(WEIGHTS), WEIGHTS, lease)
        return store.put(manifest, store.parse("org/x"), lease)


def test_dockers_example_is_read_and_keeps_its_bytes(store):
    config = DOCKER_CONFIG % _hex(WEIGHTS)
    manifest = _manifest(DOCKER_V01, config, b"application/vnd.docker.ai.gguf.v3", b"model.gguf")
    model = _put(store, manifest, config)
    assert model.id == Digest.of(manifest)
    assert store.manifest_bytes(model) == manifest
    assert (model.created, model.config.context_size) == (CREATED, 8192)
    assert (model.config.parameters, model.config.size) == ("361.82M", "256.35MiB")
    assert len(model.weight_paths) == 1


@pytest.mark.parametrize(
    ("layer_type", "name", "said"),
    [
        (b"application/vnd.cncf.model.weight.v1.raw", b"model.gguf", b"gguf"),
        (b"application/vnd.cncf.model.weight.v1.raw", b"sub/model.gguf", b""),
        (b"application/vnd.cncf.model.weight.v1.raw", b"model", b"gguf"),
        (b"application/vnd.cncf.model.weight.v1.gguf", b"model", b""),
    ],
)
def test_modelpacks_example_is_read_and_keeps_its_bytes(store, layer_type, name, said):
    config = CNCF_CONFIG % (_hex(WEIGHTS), said)
    manifest = _manifest(CNCF_V1, config, layer_type, name)
    model = _put(store, manifest, config)
    assert store.manifest_bytes(model) == manifest
    assert model.manifest.artifact_type == "application/vnd.cncf.model.manifest.v1+json"
    assert (model.created, model.config.context_size) == (CREATED, None)
    assert (model.config.format, model.config.quantization) == ("gguf", "Q4_K_M")
    assert (model.config.parameters, model.config.size) == ("8b", "7B")
    assert model.config.architecture == "transformer"
    assert len(model.weight_paths) == 1


NOT_RUN = [
    (DOCKER_V02, b"application/vnd.docker.ai.safetensors", b"m.safetensors", "convert_hf_to_gguf"),
    (DOCKER_V01, b"application/vnd.docker.ai.dduf", b"m.dduf", "is an image model"),
    (DOCKER_V01, b"application/octet-stream", b"m.onnx", "has no GGUF weights"),
    (CNCF_V1, b"application/vnd.cncf.model.weight.v1.raw", b"m.safetensors", "has safetensors"),
    (CNCF_V1, b"application/vnd.cncf.model.weight.v1.safetensors", b"m", "has safetensors"),
    (CNCF_V1, b"application/vnd.cncf.model.weight.v1.tar+zstd", b"m.gguf", "tar+zstd"),
    (CNCF_V1, b"application/vnd.cncf.model.weight.v1.raw", b"m.onnx", "format 'onnx'"),
]


@pytest.mark.parametrize(("config_type", "layer_type", "name", "said"), NOT_RUN)
def test_artifact_that_cannot_run_is_stored_listed_and_says_why(
    store, config_type, layer_type, name, said
):
    config = DOCKER_CONFIG % _hex(WEIGHTS)
    if config_type == CNCF_V1:
        config = CNCF_CONFIG % (_hex(WEIGHTS), b"onnx" if name == b"m.onnx" else b"")
    manifest = _manifest(config_type, config, layer_type, name)
    model = _put(store, manifest, config)
    assert store.list() == [model]
    assert store.find("org/x").weight_paths == ()
    with pytest.raises(ModelFileError, match="pyrunner package --gguf FILE") as caught:
        footprint(model, EngineConfig(), ModelMode.COMPLETION, 10**12)
    assert said in str(caught.value)
    assert str(caught.value).startswith("docker.io/org/x:latest: ")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'"architecture":"transformer"', b'"architecture":null'),
        (b'"paramSize":"8b"', b'"paramSize":8000000000'),
        (b'"createdAt":"2026-01-02T03:04:05Z"', b'"createdAt":1767323045'),
    ],
)
def test_modelpack_with_a_value_of_another_type_is_stored_and_listed(store, before, after):
    config = (CNCF_CONFIG % (_hex(WEIGHTS), b"gguf")).replace(before, after)
    assert after in config
    manifest = _manifest(CNCF_V1, config, b"application/vnd.cncf.model.weight.v1.raw", b"m.gguf")
    model = _put(store, manifest, config)
    assert store.list() == [model]
    assert store.manifest_bytes(model) == manifest
    assert len(model.weight_paths) == 1


def test_gguf_metadata_that_speaks_of_paramsize_makes_no_modelpack(store):
    config = (DOCKER_CONFIG % _hex(WEIGHTS)).replace(b"general.architecture", b"paramSize")
    manifest = _manifest(DOCKER_V01, config, b"application/vnd.docker.ai.gguf.v3", b"m.gguf")
    assert _put(store, manifest, config).config.gguf == {"paramSize": "llama"}


@pytest.mark.parametrize("path", [b"../../etc/m.gguf", b"/m.gguf", b"C:\\\\m.gguf"])
def test_path_of_a_layer_is_a_name_and_never_opened(store, tmp_path, path):
    config = DOCKER_CONFIG % _hex(WEIGHTS)
    manifest = _manifest(DOCKER_V01, config, b"application/vnd.docker.ai.gguf.v3", path)
    model = _put(store, manifest, config)
    assert [each.parent for each in model.weight_paths] == [tmp_path / "store" / "blobs" / "sha256"]
    made = package(store, PackageOptions(source="org/x", format="cncf"), "org/y", lambda _: None)
    assert made.manifest.layers[0].annotations["org.cncf.model.filepath"] == "m.gguf"
