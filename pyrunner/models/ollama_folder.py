"""The models of Ollama's folder, as its ``server/internal/manifest`` and public manifests show it.

::

    manifests/<host>/<namespace>/<name>/<tag>     an image manifest of Docker's schema 2
    blobs/sha256-<hex>                            or sha256:<hex> in old versions

Each becomes a model of Docker's form over the same weights.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from pyrunner import gguf, units
from pyrunner.errors import InvariantError, ModelFileError, RegistryProtocolError
from pyrunner.gguf import GgufHeader
from pyrunner.models import artifact
from pyrunner.models.artifact import ModelConfig
from pyrunner.models.foreign import ForeignModel, check_inside, read_small
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

MAX_MODELS = 16_384
"""Most manifests of one folder that are looked at."""
_OLLAMA = "application/vnd.ollama.image."
_ROLES = {"model": artifact.GGUF, "projector": artifact.MMPROJ, "license": artifact.LICENSE}
_FILE_NAMES = {artifact.GGUF: "model.gguf", artifact.MMPROJ: "model.mmproj"}
_DROPPED = {
    "template": "its Go template",
    "system": "its system prompt",
    "params": "its parameters",
    "messages": "its example messages",
}
_MANIFESTS = "*/*/*/*"
"""Host, namespace, name, tag."""


def models(root: Path) -> Iterator[ForeignModel]:
    """Every model of a folder with ``manifests`` and ``blobs``, in the order of their paths.

    Raises:
        ModelFileError: There are more than `MAX_MODELS`, or they cannot be listed.
    """
    manifests = root / "manifests"
    with user_file_errors(manifests):
        found = islice(manifests.glob(_MANIFESTS), MAX_MODELS + 1)
        paths = sorted(each for each in found if each.is_file() and each.name[0] != ".")
    if len(paths) > MAX_MODELS:
        raise ModelFileError(path=str(manifests), problem=f"holds more than {MAX_MODELS} models")
    return (_model(root, each) for each in paths)


def _model(root: Path, path: Path) -> ForeignModel:
    *parts, tag = path.relative_to(root / "manifests").parts
    name = f"{'/'.join(parts)}:{tag}"
    try:
        return _converted(root, path, name)
    except RegistryProtocolError as error:
        problem = error.problem
    except ModelFileError as error:
        problem = error.sentence
    return ForeignModel(names=(name,), problem=problem)


def _converted(root: Path, path: Path, name: str) -> ForeignModel:
    source = decode_manifest(read_small(root, path, MAX_MANIFEST_BYTES), source=name)
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
        blob = _blob(root, layer.digest)
        check_inside(root, blob)
        media_type = _ROLES.get(role)
        if role == "model":
            header = gguf.read_header(blob)
        elif role == "template" and _is_jinja(root, blob, layer.size):
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
    content = encode(manifest)
    artifact.check_model(content, name=name, source=name)
    return ForeignModel(
        names=(name,),
        manifest=content,
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


def _blob(root: Path, digest: Digest) -> Path:
    path = root / "blobs" / f"sha256-{digest.hex}"
    old = root / "blobs" / digest.text
    return old if old.exists() and not path.exists() else path


def _is_jinja(root: Path, path: Path, size_bytes: int) -> bool:
    """Whether a template is one we can use: Go's have no ``{%``."""
    is_short = size_bytes <= MAX_CHAT_TEMPLATE_BYTES
    return is_short and b"{%" in read_small(root, path, MAX_CHAT_TEMPLATE_BYTES)
