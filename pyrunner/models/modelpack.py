"""CNCF ModelPack: its media types and its config blob.

Names as in the specification (``config.md`` and ``spec.md`` of modelpack/model-spec) and in the
reference, sections 2.1 and 2.4. Archived layers (``.tar`` and its compressions) are known by their
type and never unpacked.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

ARTIFACT_TYPE = "application/vnd.cncf.model.manifest.v1+json"
CONFIG_TYPE = "application/vnd.cncf.model.config.v1+json"
WEIGHT = "application/vnd.cncf.model.weight.v1.raw"
WEIGHT_PREFIX = "application/vnd.cncf.model.weight.v1."
"""Also of the legacy types, which end in ``gguf`` and ``safetensors``, and of archives."""
CONFIG_FILE = "application/vnd.cncf.model.weight.config.v1.raw"
DOC = "application/vnd.cncf.model.doc.v1.raw"


class Config(msgspec.Struct):
    """The ``config`` object of a ModelPack config blob, as far as we show it."""

    architecture: str = ""
    format: str = ""
    param_size: str = msgspec.field(name="paramSize", default="")
    precision: str = ""
    quantization: str = ""


def is_config(config: bytes, *, has_modelfs: bool, has_created_at: bool) -> bool:
    """Whether a config blob is ModelPack's rather than Docker's.

    Args:
        config: The JSON of its ``config`` key.
        has_modelfs: It has that key.
        has_created_at: Its descriptor has ``createdAt``.

    Raises:
        msgspec.DecodeError: `config` is no JSON object.
    """
    if has_modelfs or has_created_at:
        return True
    return "paramSize" in msgspec.json.decode(config, type=dict[str, msgspec.Raw])


def encode_config(
    config: Mapping[str, str], diff_ids: Sequence[str], created_at: str | None
) -> bytes:
    """A ModelPack config blob; equal arguments give equal bytes.

    Args:
        config: Values of its ``config`` object by their JSON names; empty ones are left out.
        diff_ids: Digests of the layers, which are all uncompressed.
        created_at: A time in RFC 3339; None leaves it out.
    """
    document = {
        "descriptor": {} if created_at is None else {"createdAt": created_at},
        "modelfs": {"type": "layers", "diffIds": list(diff_ids)},
        "config": {key: value for key, value in config.items() if value},
    }
    return msgspec.json.encode(document)


def with_layers(document: dict[str, Any], diff_ids: Sequence[str]) -> bytes:
    """An existing config for other layers; whatever else it says is kept."""
    return msgspec.json.encode(
        document | {"modelfs": {"type": "layers", "diffIds": list(diff_ids)}}
    )
