"""CNCF ModelPack: its media types and its config blob.

Names as in the specification (``config.md`` and ``spec.md`` of modelpack/model-spec) and in the
reference, sections 2.1 and 2.4. Archived layers (``.tar`` and its compressions) are known by their
type and never unpacked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

ARTIFACT_TYPE = "application/vnd.cncf.model.manifest.v1+json"
CONFIG_TYPE = "application/vnd.cncf.model.config.v1+json"
WEIGHT = "application/vnd.cncf.model.weight.v1.raw"
WEIGHT_PREFIX = "application/vnd.cncf.model.weight.v1."
"""Also of the legacy types, which end in ``gguf`` and ``safetensors``, and of archives."""
CONFIG_FILE = "application/vnd.cncf.model.weight.config.v1.raw"
DOC = "application/vnd.cncf.model.doc.v1.raw"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The ``config`` object of a ModelPack config blob, as far as we need it."""

    architecture: str
    format: str
    param_size: str
    precision: str
    quantization: str


def is_config(
    config: Mapping[str, msgspec.Raw], *, has_modelfs: bool, has_created_at: bool
) -> bool:
    """Whether a config blob is ModelPack's rather than Docker's.

    Args:
        config: What its ``config`` key holds.
        has_modelfs: It has that key.
        has_created_at: Its descriptor has ``createdAt``.
    """
    return has_modelfs or has_created_at or "paramSize" in config


def read_config(config: Mapping[str, msgspec.Raw]) -> Config:
    """Read the ``config`` object; what is only shown may be anything.

    Raises:
        msgspec.DecodeError: The format, which decides what the layers are, is no text.
    """
    return Config(
        architecture=shown(config.get("architecture")),
        format=msgspec.json.decode(config.get("format", b"null"), type=str | None) or "",
        param_size=shown(config.get("paramSize")),
        precision=shown(config.get("precision")),
        quantization=shown(config.get("quantization")),
    )


def shown(value: msgspec.Raw | None) -> str:
    """A value that is shown to people and nothing else: text, or a number as text.

    Anything else is as good as missing. A model is not refused for it.
    """
    try:
        found = msgspec.json.decode(value or b"null", type=str | int | float | None)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return "" if found is None else str(found)


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
