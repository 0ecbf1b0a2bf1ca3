"""Why a model that is here cannot be run here, and what would help."""

from pyrunner.models.artifact import LayerKind, layer_kind
from pyrunner.models.modelpack import WEIGHT_PREFIX
from pyrunner.models.stored import StoredModel

_GET_GGUF = "pull a variant with GGUF weights, or package a GGUF file: pyrunner package --gguf FILE"
_CONVERT = (
    "pull a variant with GGUF weights, or convert these with llama.cpp's convert_hf_to_gguf.py "
    "and package the result: pyrunner package --gguf FILE"
)


def why_not(model: StoredModel) -> str:
    """One clause for a model without `StoredModel.weight_paths`."""
    kinds = [layer_kind(each, model.config) for each in model.manifest.layers]
    if LayerKind.SAFETENSORS in kinds:
        return f"has safetensors weights, and only GGUF runs here; {_CONVERT}"
    if LayerKind.DDUF in kinds:
        return f"is an image model (DDUF), and only text models in GGUF run here; {_GET_GGUF}"
    archives = [
        each.media_type
        for each in model.manifest.layers
        if each.media_type.startswith(f"{WEIGHT_PREFIX}tar")
    ]
    if archives:
        return f"has its weights in an archive ({archives[0]}), which is not unpacked; {_GET_GGUF}"
    if model.config.format and model.config.format != LayerKind.GGUF.value:
        return f"has weights of the format {model.config.format[:40]!r}; {_GET_GGUF}"
    return f"has no GGUF weights; {_GET_GGUF}"
