"""Models that another program keeps on this disk, in the form in which they can come in.

Docker Model Runner's store (reference, section 2.10)::

    layout.json  models.json  blobs/sha256/<hex>  manifests/sha256/<hex>

Ollama's folder, as its ``server/internal/manifest`` and public manifests show it::

    manifests/<host>/<namespace>/<name>/<tag>     an image manifest of Docker's schema 2
    blobs/sha256-<hex>                            or sha256:<hex> in old versions

Nothing here writes. Every file is untrusted: names and digests are parsed before they make a path.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from pyrunner import gguf, units
from pyrunner.errors import (
    InvalidReferenceError,
    InvariantError,
    ModelFileError,
    RegistryProtocolError,
)
from pyrunner.gguf import GgufHeader
from pyrunner.models import artifact
from pyrunner.models.artifact import ModelConfig
from pyrunner.registry.digest import Digest
from pyrunner.registry.manifest import (
    MANIFEST_TYPE,
    MAX_MANIFEST_BYTES,
    Descriptor,
    Manifest,
    decode_manifest,
    encode,
)
from pyrunner.types import MAX_CHAT_TEMPLATE_BYTES
from pyrunner.user_files import user_file_errors

_OLLAMA = "application/vnd.ollama.image."
_ROLES = {"model": artifact.GGUF, "projector": artifact.MMPROJ, "license": artifact.LICENSE}
_FILE_NAMES = {artifact.GGUF: "model.gguf", artifact.MMPROJ: "model.mmproj"}
_DROPPED = {
    "template": "its Go template",
    "system": "its system prompt",
    "params": "its parameters",
    "messages": "its example messages",
}
_PATH_PARTS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignModel:
    """One model and where its bytes are; or why it cannot come in."""

    names: tuple[str, ...]
    """What its program calls it, as references that still have to be parsed."""
    manifest: bytes = b""
    files: Mapping[Digest, Path] = field(default_factory=dict)
    """Blobs that are files there, not yet compared with their digests."""
    made: Mapping[Digest, bytes] = field(default_factory=dict)
    """Blobs that exist only here."""
    dropped: tuple[str, ...] = ()
    """What does not come along."""
    problem: str = ""
    """Why it cannot be imported; empty when it can."""


def find(folder: Path) -> Iterator[ForeignModel]:
    """Every model of a folder, in the order of its files.

    Raises:
        ModelFileError: It is neither kind of folder, or its list cannot be read.
    """
    with user_file_errors(folder):
        is_folder = folder.is_dir()
        if is_folder and (folder / "models.json").is_file():
            return _docker_models(folder)
        for root in (folder, folder / "models"):
            if (root / "manifests").is_dir() and (root / "blobs").is_dir():
                return _ollama_models(root)
    problem = (
        "holds neither Docker Model Runner's models.json nor Ollama's folders manifests and blobs"
        if is_folder
        else "is no folder"
    )
    raise ModelFileError(path=str(folder), problem=problem)


class _DockerEntry(msgspec.Struct):
    id: str
    tags: list[str] | None = None


class _DockerModels(msgspec.Struct):
    models: list[_DockerEntry] | None = None


def _docker_models(folder: Path) -> Iterator[ForeignModel]:
    path = folder / "models.json"
    try:
        entries = msgspec.json.decode(path.read_bytes(), type=_DockerModels).models or []
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        problem = f"is no list of models ({error})"
        raise ModelFileError(path=str(path), problem=problem) from error
    return (_docker_model(folder, each) for each in entries)


def _docker_model(folder: Path, entry: _DockerEntry) -> ForeignModel:
    names = tuple(entry.tags or ())
    try:
        digest = Digest(entry.id)
        content = _small(folder / "manifests" / "sha256" / digest.hex)
        if Digest.of(content) != digest:
            return ForeignModel(names=names, problem=f"the manifest {digest} is damaged")
        manifest = decode_manifest(content, source=digest)
    except (InvalidReferenceError, RegistryProtocolError, ModelFileError) as error:
        return ForeignModel(names=names or (entry.id[:80],), problem=error.sentence)
    if manifest.config.media_type not in artifact.CONFIG_TYPES:
        return ForeignModel(names=names, problem=f"{manifest.config.media_type[:100]} is no model")
    blobs = folder / "blobs" / "sha256"
    files = {each.digest: blobs / each.digest.hex for each in manifest.blobs}
    return ForeignModel(names=names, manifest=content, files=files)


def _ollama_models(root: Path) -> Iterator[ForeignModel]:
    manifests = root / "manifests"
    for path in sorted(manifests.rglob("*")):
        parts = path.relative_to(manifests).parts
        if len(parts) == _PATH_PARTS and path.is_file() and not path.name.startswith("."):
            name = f"{'/'.join(parts[:-1])}:{parts[-1]}"
            try:
                yield _ollama_model(root, path, name)
            except (RegistryProtocolError, ModelFileError) as error:
                yield ForeignModel(names=(name,), problem=error.sentence)


def _ollama_model(root: Path, path: Path, name: str) -> ForeignModel:
    source = decode_manifest(_small(path), source=str(path))
    roles = [each.media_type.partition(";")[0].removeprefix(_OLLAMA) for each in source.layers]
    if roles.count("model") != 1:
        return ForeignModel(names=(name,), problem=f"it has {roles.count('model')} GGUF files")
    if "adapter" in roles:
        return ForeignModel(names=(name,), problem="it needs an adapter, which cannot be loaded")
    files: dict[Digest, Path] = {}
    layers: list[Descriptor] = []
    dropped: list[str] = []
    header: GgufHeader | None = None
    for role, layer in zip(roles, source.layers, strict=True):
        blob = _ollama_blob(root, layer.digest)
        media_type = _ROLES.get(role)
        if role == "model":
            header = gguf.read_header(blob)
        elif role == "template" and _is_jinja(blob, layer.size):
            media_type = artifact.CHAT_TEMPLATE
        if media_type is None:
            dropped.append(_DROPPED.get(role, f"a layer of type {layer.media_type[:80]}"))
        elif layer.digest not in files:
            files[layer.digest] = blob
            layers.append(_layer(layer, media_type))
    if header is None:
        raise InvariantError("exactly one role is 'model'")
    config = artifact.encode_config(_config(header), [each.digest.text for each in layers])
    described = Descriptor(
        media_type=artifact.CONFIG_V01, size=len(config), digest=Digest.of(config)
    )
    manifest = Manifest(
        schema_version=2, media_type=MANIFEST_TYPE, config=described, layers=tuple(layers)
    )
    return ForeignModel(
        names=(name,),
        manifest=encode(manifest),
        files=files,
        made={described.digest: config},
        dropped=tuple(dropped),
    )


def _layer(source: Descriptor, media_type: str) -> Descriptor:
    name = _FILE_NAMES.get(media_type)
    annotations = {artifact.FILE_PATH: name} if name else {}
    return Descriptor(
        media_type=media_type, size=source.size, digest=source.digest, annotations=annotations
    )


def _config(header: GgufHeader) -> ModelConfig:
    # No context size: Ollama's is its own choice, and the one of training is in the metadata.
    return ModelConfig(
        format="gguf",
        quantization=header.quantization,
        parameters=gguf.parameters_text(header.n_params),
        architecture=header.architecture,
        size=units.format_bytes(header.tensor_bytes),
        gguf=gguf.config_metadata(header),
    )


def _ollama_blob(root: Path, digest: Digest) -> Path:
    path = root / "blobs" / f"sha256-{digest.hex}"
    old = root / "blobs" / digest.text
    return old if old.exists() and not path.exists() else path


def _is_jinja(path: Path, size_bytes: int) -> bool:
    """Whether a template is one we can use: Go's have no ``{%``."""
    return size_bytes <= MAX_CHAT_TEMPLATE_BYTES and b"{%" in _small(path)


def _small(path: Path) -> bytes:
    with user_file_errors(path), path.open("rb") as file:
        return file.read(MAX_MANIFEST_BYTES + 1)
