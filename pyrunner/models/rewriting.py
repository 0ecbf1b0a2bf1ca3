"""Documents of a model that change in one place: the config and the manifest, as their bytes.

What is not changed keeps its bytes, also in fields that we do not know. A field goes only where the
change makes it untrue.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from pyrunner.registry.manifest import Descriptor, decode_manifest

_Object = dict[str, Any]
"""Its values are `msgspec.Raw` where they are kept as they are."""
_OF_THESE_BYTES = ("data", "urls")
"""Fields of a descriptor that hold its blob, or say where else it is."""
_LAYERS = {"docker": ("rootfs", "rootfs", "diff_ids"), "cncf": ("modelfs", "layers", "diffIds")}
"""By the form: the key of a config that lists the layers, its type, and the key of the list."""


def config(
    content: bytes,
    form: Literal["docker", "cncf"],
    before: Sequence[Descriptor],
    after: Sequence[Descriptor],
) -> bytes:
    """A config blob for other layers.

    Args:
        content: The config blob now.
        form: Which form it has.
        before: The layers it is about, in the order in which it lists them.
        after: Those it shall be about. One that was there keeps what the config calls it, which is
            not the blob's digest when the layer is compressed.
    """
    document = _parts(content)
    key, kind, list_key = _LAYERS[form]
    listed = _parts(document.get(key))
    known = _known_ids(listed.get(list_key), before)
    listed |= {"type": kind, list_key: [known.get(each.digest, each.digest.text) for each in after]}
    return msgspec.json.encode(document | {key: listed})


def with_context(content: bytes, context_size: int) -> bytes:
    """A config blob of Docker's form with a context size that somebody chose, in tokens."""
    document = _parts(content)
    said = _parts(document.get("config"))
    said |= {"context_size": context_size, "is_context_chosen": True}
    return msgspec.json.encode(document | {"config": said})


def manifest(
    content: bytes, config: Descriptor, layers: Sequence[tuple[Descriptor, Descriptor]]
) -> bytes:
    """A manifest over another config and other layers.

    Args:
        content: The manifest now.
        config: The new config.
        layers: Each new layer as it was described and as it shall be. The first is compared with
            the layers of the manifest, so as to keep what else it said of them.
    """
    document = _parts(content)
    said: dict[Any, list[_Object]] = {}
    stated = msgspec.json.decode(document["layers"], type=list[dict[str, msgspec.Raw]])
    for layer, raw in zip(decode_manifest(content, source="manifest").layers, stated, strict=True):
        said.setdefault(_identity(layer), []).append(raw)
    described = []
    for before, after in layers:
        raws = said.get(_identity(before))
        described.append(_described(raws.pop(0) if raws else {}, after))
    now = _described(_parts(document["config"]), config)
    return msgspec.json.encode(document | {"config": now, "layers": described})


def _described(said: Mapping[str, Any], descriptor: Descriptor) -> _Object:
    now: _Object = msgspec.to_builtins(descriptor, enc_hook=str.__str__)
    kept = dict(said)
    if said and msgspec.json.decode(said["digest"]) != descriptor.digest:
        for key in _OF_THESE_BYTES:
            kept.pop(key, None)
    return kept | now


def _identity(layer: Descriptor) -> tuple[object, ...]:
    return (layer.digest, layer.media_type, *sorted(layer.annotations.items()))


def _known_ids(listed: msgspec.Raw | None, layers: Sequence[Descriptor]) -> dict[str, str]:
    try:
        ids = msgspec.json.decode(listed or b"[]", type=list[str])
    except msgspec.DecodeError:
        return {}
    if len(ids) != len(layers):
        return {}  # nobody can say which is whose
    return {layer.digest: each for layer, each in zip(layers, ids, strict=True)}


def _parts(content: msgspec.Raw | bytes | None) -> _Object:
    try:
        return dict(msgspec.json.decode(content or b"{}", type=dict[str, msgspec.Raw]))
    except msgspec.DecodeError:
        return {}  # null, where an object belongs
