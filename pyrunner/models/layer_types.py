"""The same layers in Docker's and in ModelPack's types (reference, section 2.1).

ModelPack knows a projector and a chat template by their file names only, so a layer whose name
does not say what it is gets one that does.
"""

from collections.abc import Sequence

import msgspec

from pyrunner.errors import UnsupportedParameterError
from pyrunner.models import artifact, modelpack
from pyrunner.models.artifact import FILE_METADATA, FILE_PATH, LayerKind, ModelConfig, layer_kind
from pyrunner.models.inner_paths import leaves_folder
from pyrunner.models.layer_files import annotations
from pyrunner.registry.manifest import Descriptor

_ARCHIVES = {
    "application/vnd.docker.ai.vllm.config.tar": "application/vnd.cncf.model.weight.config.v1.tar",
    "application/vnd.docker.ai.dir.tar": "application/vnd.cncf.model.weight.config.v1.tar",
}
_DOCKER = {
    LayerKind.GGUF: artifact.GGUF,
    LayerKind.SAFETENSORS: artifact.SAFETENSORS,
    LayerKind.DDUF: artifact.DDUF,
    LayerKind.MMPROJ: artifact.MMPROJ,
    LayerKind.CHAT_TEMPLATE: artifact.CHAT_TEMPLATE,
    LayerKind.LICENSE: artifact.LICENSE,
}
_CNCF = {
    LayerKind.GGUF: modelpack.WEIGHT,
    LayerKind.SAFETENSORS: modelpack.WEIGHT,
    LayerKind.DDUF: modelpack.WEIGHT,
    LayerKind.MMPROJ: modelpack.WEIGHT,
    LayerKind.CHAT_TEMPLATE: modelpack.CONFIG_FILE,
    LayerKind.LICENSE: modelpack.DOC,
}
_SUFFIXES = {
    LayerKind.GGUF: ".gguf",
    LayerKind.SAFETENSORS: ".safetensors",
    LayerKind.DDUF: ".dduf",
    LayerKind.MMPROJ: ".gguf",
    LayerKind.CHAT_TEMPLATE: ".jinja",
}
_UNNAMED = {
    LayerKind.MMPROJ: "mmproj",
    LayerKind.CHAT_TEMPLATE: "template",
    LayerKind.LICENSE: "LICENSE",
}


def to_docker(layers: Sequence[Descriptor], config: ModelConfig) -> tuple[Descriptor, ...]:
    """ModelPack's layers in Docker's types; what has such a type is left as it is.

    Raises:
        UnsupportedParameterError: A layer is an archive, which Docker's types cannot say.
    """
    return tuple(_to_docker(each, layer_kind(each, config)) for each in layers)


def _to_docker(layer: Descriptor, kind: LayerKind) -> Descriptor:
    if not layer.media_type.startswith("application/vnd.cncf."):
        return layer
    if ".tar" in layer.media_type:
        hint = f"The source holds an archive ({layer.media_type}); use '--format cncf'."
        raise UnsupportedParameterError(param="--format docker", hint=hint)
    return _typed(_renamed(layer, _path(layer)), _DOCKER.get(kind, artifact.MODEL_FILE))


def to_cncf(layers: Sequence[Descriptor], config: ModelConfig) -> tuple[Descriptor, ...]:
    """Docker's layers in ModelPack's types, each with a path of its own that says what it is."""
    taken: set[str] = set()
    changed = []
    for layer in layers:
        kind = layer_kind(layer, config)
        if layer.media_type.startswith("application/vnd.cncf."):
            changed.append(layer)
        elif layer.media_type in _ARCHIVES:
            changed.append(_typed(layer, _ARCHIVES[layer.media_type]))
        else:
            media_type = _CNCF.get(kind, modelpack.CONFIG_FILE)
            changed.append(_typed(_named(layer, kind, taken), media_type))
        taken.add(changed[-1].annotations.get(FILE_PATH, ""))
    return tuple(changed)


def _typed(layer: Descriptor, media_type: str) -> Descriptor:
    return msgspec.structs.replace(layer, media_type=media_type)


def _named(layer: Descriptor, kind: LayerKind, taken: set[str]) -> Descriptor:
    name = _path(layer) or _UNNAMED.get(kind, "model")
    suffix = _SUFFIXES.get(kind, "")
    if not name.lower().endswith(suffix):
        name += suffix
    folder, slash, last = name.rpartition("/")
    if kind is LayerKind.MMPROJ and "mmproj" not in last.lower():
        last = f"mmproj-{last}"
    return _renamed(layer, _free(folder + slash, last, taken))


def _path(layer: Descriptor) -> str:
    # One that would lead elsewhere is worth only its last part.
    path = layer.annotations.get(FILE_PATH, "")
    if not leaves_folder(path):
        return path
    last = artifact.file_name(layer)
    return "unnamed" if leaves_folder(last) else last


def _renamed(layer: Descriptor, name: str) -> Descriptor:
    if name == layer.annotations.get(FILE_PATH, ""):
        return layer
    kept = {
        key: value
        for key, value in layer.annotations.items()
        if key not in {FILE_PATH, FILE_METADATA}
    }
    return layer.with_annotations(annotations(name, layer.size) | kept)


def _free(folder: str, last: str, taken: set[str]) -> str:
    # Two licences may have the same name in Docker's form; a path of ModelPack is one file's.
    stem, point, suffix = last.rpartition(".")
    number = 2
    name = folder + last
    while name in taken:
        name = f"{folder}{stem}-{number}.{suffix}" if point else f"{folder}{last}-{number}"
        number += 1
    return name
