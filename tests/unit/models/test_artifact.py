import json
from typing import Any

import pytest
from support.artifacts import add, described, new_store

from pyrunner.errors import RegistryProtocolError, UnsupportedArtifactError
from pyrunner.models import artifact
from pyrunner.models.artifact import (
    CONFIG_CNCF,
    CONFIG_V01,
    CONFIG_V02,
    FILE_PATH,
    MAX_CONFIG_BYTES,
    LayerKind,
    ModelConfig,
    layer_kind,
    model_manifest,
    parse_config,
)
from pyrunner.registry.manifest import Descriptor, Manifest, encode
from pyrunner.registry.reference import Reference

DOCKER: dict[str, Any] = {
    "config": {
        "format": "gguf",
        "quantization": "IQ2_XXS/Q4_K_M",
        "parameters": "361.82 M",
        "architecture": "llama",
        "size": "256.35 MiB",
        "gguf": {"general.name": "x"},
        "context_size": 8192,
        "new_field": [1],
    },
    "descriptor": {"created": "2025-03-24T12:36:21.123456789Z"},
    "rootfs": {"type": "rootfs", "diff_ids": []},
}
CNCF = {
    "descriptor": {"createdAt": "2025-01-01T00:00:00Z", "name": "x"},
    "modelfs": {"type": "layers", "diffIds": []},
    "config": {"architecture": "llama", "format": "gguf", "paramSize": "8b", "precision": "fp16"},
}


def test_docker_config_is_read_with_its_time():
    parsed = parse_config(json.dumps(DOCKER).encode(), source="x")
    assert parsed.created == 1742819781
    assert parsed.config.parameters == "361.82 M"
    assert parsed.config.context_size == 8192
    assert parsed.config.gguf == {"general.name": "x"}


@pytest.mark.parametrize(
    "document",
    [
        CNCF,
        {"modelfs": {}, "config": CNCF["config"]},
        {"config": CNCF["config"]},
        {"descriptor": CNCF["descriptor"], "config": CNCF["config"]},
    ],
)
def test_modelpack_config_is_flattened(document):
    parsed = parse_config(json.dumps(document).encode(), source="x")
    assert parsed.config == ModelConfig(
        format="gguf", quantization="fp16", parameters="8b", architecture="llama"
    )


@pytest.mark.parametrize(
    ("said", "shown"),
    [(None, ""), (7, "7"), (7.5, "7.5"), (True, ""), (["7b"], ""), ({"n": 7}, ""), ("7b", "7b")],
)
@pytest.mark.parametrize("key", ["architecture", "paramSize", "precision", "quantization"])
def test_modelpack_value_that_is_only_shown_may_be_anything(key, said, shown):
    document = {"modelfs": {}, "config": {"format": "gguf", key: said}}
    config = parse_config(json.dumps(document).encode(), source="x").config
    assert config.format == "gguf"
    names = {"paramSize": "parameters", "precision": "quantization"}
    assert getattr(config, names.get(key, key)) == shown


@pytest.mark.parametrize("said", [None, 7, [], {"a": 1}])
@pytest.mark.parametrize("key", ["quantization", "parameters", "size", "gguf", "safetensors"])
def test_docker_value_that_is_only_shown_may_be_anything(key, said):
    document = {"config": DOCKER["config"] | {key: said}}
    config = parse_config(json.dumps(document).encode(), source="x").config
    is_text = key in {"quantization", "parameters", "size"}
    expected = ("7" if said == 7 else "") if is_text else (said if said == {"a": 1} else {})
    assert getattr(config, key) == expected
    assert (config.architecture, config.context_size) == ("llama", 8192)


def test_number_that_no_machine_holds_is_left_out():
    content = b'{"modelfs":{},"config":{"paramSize":1e999,"capabilities":{"n":1e999}}}'
    assert parse_config(content, source="x").config == ModelConfig()


@pytest.mark.parametrize("content", [b'{"config":null}', b'{"descriptor":null}', b"{}"])
def test_config_that_says_nothing_is_one(content):
    assert parse_config(content, source="x").config == ModelConfig()


@pytest.mark.parametrize(
    "created", [None, "", 7, {}, "yesterday", "0001-01-01T00:00:00Z", "9999-99-99T00:00:00Z"]
)
def test_time_that_is_none_is_unknown(created):
    document = {"config": {}, "descriptor": {"created": created}}
    assert parse_config(json.dumps(document).encode(), source="x").created == 0


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"[]", b'{"config": 1}', b"\xff", b"[" * 10_000, b'{"x":' * 10_000),
        *(b'{"config": {"format": 1}}', b'{"modelfs": {}, "config": {"format": 1}}'),
        *(b'{"config": {"context_size": "64"}}', b'{"config": {"is_context_chosen": 1}}'),
    ],
)
def test_config_that_cannot_be_read_names_its_source(content):
    with pytest.raises(RegistryProtocolError, match="blob-path"):
        parse_config(content, source="blob-path")


@pytest.mark.parametrize(
    ("media_type", "name", "kind"),
    [
        ("application/vnd.docker.ai.gguf.v3", "", LayerKind.GGUF),
        ("application/vnd.docker.ai.mmproj", "", LayerKind.MMPROJ),
        ("application/vnd.docker.ai.chat.template.jinja", "", LayerKind.CHAT_TEMPLATE),
        ("application/vnd.docker.ai.license", "", LayerKind.LICENSE),
        ("application/vnd.docker.ai.safetensors", "m.safetensors", LayerKind.SAFETENSORS),
        ("application/vnd.docker.ai.dduf", "m.dduf", LayerKind.DDUF),
        ("application/vnd.docker.ai.vllm.config.tar", "c.tar", LayerKind.OTHER),
        ("application/vnd.docker.ai.dir.tar", "d.tar", LayerKind.OTHER),
        ("application/vnd.docker.ai.model.file", "tokenizer.json", LayerKind.OTHER),
        ("application/vnd.docker.ai.model.file", "a/chat.jinja", LayerKind.CHAT_TEMPLATE),
        ("application/vnd.cncf.model.weight.v1.raw", "a/b.GGUF", LayerKind.GGUF),
        ("application/vnd.cncf.model.weight.v1.raw", "", LayerKind.GGUF),
        ("application/vnd.cncf.model.weight.v1.raw", "mmproj-f16.gguf", LayerKind.MMPROJ),
        ("application/vnd.cncf.model.weight.v1.raw", "m.safetensors", LayerKind.SAFETENSORS),
        ("application/vnd.cncf.model.weight.v1.raw", "m.dduf", LayerKind.DDUF),
        ("application/vnd.cncf.model.weight.v1.raw", "m.bin", LayerKind.OTHER),
        ("application/vnd.cncf.model.weight.v1.safetensors", "", LayerKind.SAFETENSORS),
        ("application/vnd.cncf.model.weight.v1.gguf", "", LayerKind.GGUF),
        ("application/vnd.cncf.model.weight.v1.gguf", "a/mmproj.gguf", LayerKind.MMPROJ),
        ("application/vnd.cncf.model.weight.v1.tar", "x.gguf", LayerKind.OTHER),
        ("application/vnd.cncf.model.weight.v1.tar+gzip", "x.gguf", LayerKind.OTHER),
        ("application/vnd.cncf.model.weight.config.v1.raw", "t.jinja", LayerKind.CHAT_TEMPLATE),
        ("application/vnd.cncf.model.doc.v1.raw", "LICENSE", LayerKind.LICENSE),
        ("application/octet-stream", "x.gguf", LayerKind.OTHER),
    ],
)
def test_layer_is_known_by_its_type_and_name(media_type, name, kind):
    layer = described(b"x", media_type).with_annotations({FILE_PATH: name} if name else {})
    assert layer_kind(layer, ModelConfig(format="gguf")) is kind


def _read(config: Descriptor) -> Manifest:
    content = encode(Manifest(schema_version=2, config=config, layers=()))
    return model_manifest(content, Reference.parse("x"))


def test_manifest_with_a_config_too_large_to_read_is_refused():
    config = Descriptor(
        media_type=CONFIG_V01, size=MAX_CONFIG_BYTES + 1, digest=described(b"").digest
    )
    with pytest.raises(RegistryProtocolError, match=str(MAX_CONFIG_BYTES)):
        _read(config)


@pytest.mark.parametrize("media_type", [CONFIG_V01, CONFIG_V02, CONFIG_CNCF])
def test_manifest_of_a_known_config_type_is_a_model(media_type):
    assert _read(described(b"{}", media_type)).layers == ()


def test_manifest_of_a_container_image_is_refused_with_the_products_text():
    config = described(b"{}", "application/vnd.oci.image.config.v1+json")
    with pytest.raises(UnsupportedArtifactError) as caught:
        _read(config)
    text = str(caught.value)
    assert 'config type "application/vnd.oci.image.config.v1+json" is not supported' in text
    assert f'(supported: "{CONFIG_V01}", "{CONFIG_V02}", "{CONFIG_CNCF}")' in text
    assert text.endswith("try upgrading: unsupported model config media type")


def test_model_that_cannot_run_here_is_stored_without_weights(tmp_path):
    store = new_store(tmp_path)
    model = add(store, "x", b"w", config_type=artifact.CONFIG_V02, layer_type=artifact.SAFETENSORS)
    assert model.weight_paths == ()
    assert model.size_bytes == 1
