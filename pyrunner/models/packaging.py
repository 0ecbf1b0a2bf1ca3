"""Package: files, or a model of the store, become a model artifact under a new name.

The same files and options give the same bytes and so the same model id: nothing of the artifact
depends on the time, the folder or the user.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from pyrunner import units
from pyrunner.errors import InvalidParameterError, ModelFileError, UnsupportedParameterError
from pyrunner.models import artifact, gguf
from pyrunner.models.artifact import ModelConfig
from pyrunner.models.gguf import GgufHeader
from pyrunner.models.layer_files import LayerFile, copy_in, describe, describe_text
from pyrunner.models.shards import siblings
from pyrunner.models.store import Store
from pyrunner.models.stored import StoredModel
from pyrunner.registry.digest import Digest
from pyrunner.registry.manifest import MANIFEST_TYPE, Descriptor, Manifest, encode
from pyrunner.registry.reference import Reference

OnMessage = Callable[[str], None]
_MAX_CONTEXT = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageOptions:
    """What goes into the artifact; exactly one of the first four is given."""

    gguf: Path | None = None
    """A GGUF file, or any shard of a model; relative paths are fine."""
    safetensors_dir: Path | None = None
    """Not supported yet."""
    dduf: Path | None = None
    """Not supported yet."""
    source: str | None = None
    """A model of the store to package again (``--from``)."""
    chat_template: Path | None = None
    """A Jinja template instead of the one in the GGUF."""
    licenses: tuple[Path, ...] = ()
    mmproj: Path | None = None
    """A GGUF file with a multimodal projector."""
    context_size: int | None = None
    """Tokens, 1..2**31-1, or -1 for unlimited; None takes what the model was trained for."""
    format: Literal["docker", "cncf"] = "docker"


@dataclass(frozen=True, slots=True)
class _Blob:
    media_type: str
    content: bytes

    @property
    def descriptor(self) -> Descriptor:
        return Descriptor(
            media_type=self.media_type, size=len(self.content), digest=Digest.of(self.content)
        )


def package(
    store: Store, options: PackageOptions, reference_text: str, on_message: OnMessage
) -> StoredModel:
    """Build a model artifact and give it a name.

    Args:
        store: Where it goes.
        options: What goes into it.
        reference_text: Its name; one that another model has moves.
        on_message: Told what is being added, one sentence each.

    Raises:
        InvalidParameterError: Contradicting options, or a context size out of range.
        UnsupportedParameterError: An option that this version does not implement.
        ModelFileError: A file is missing, or is not what it should be.
        ModelNotFoundError: `source` is not in the store.
    """
    _check(options)
    target = store.check_target(reference_text)
    make = _from_files if options.source is None else _from_model
    model = make(store, options, target, on_message)
    on_message("Model loaded successfully")
    return model


def _check(options: PackageOptions) -> None:
    if options.safetensors_dir is not None:
        raise UnsupportedParameterError(param="--safetensors-dir", hint="Package a GGUF file.")
    if options.dduf is not None:
        raise UnsupportedParameterError(param="--dduf", hint="Package a GGUF file.")
    if options.format != "docker":
        raise UnsupportedParameterError(param=f"--format {options.format}", hint="Leave it out.")
    if (options.gguf is None) == (options.source is None):
        raise InvalidParameterError(param="--gguf", problem="or '--from' is needed, and only one")
    size = options.context_size
    if size is not None and size != -1 and not 1 <= size <= _MAX_CONTEXT:
        raise InvalidParameterError(
            param="--context-size", problem=f"is {size}; write 1 to {_MAX_CONTEXT}, or -1"
        )


def _from_files(
    store: Store, options: PackageOptions, target: Reference, on_message: OnMessage
) -> StoredModel:
    path = Path(options.gguf or "")
    on_message(f'Adding GGUF file from "{path}"')
    shards = siblings(path)
    headers = [gguf.read_header(each) for each in shards]
    check_shards(shards, headers)
    files = [describe(each, artifact.GGUF) for each in shards]
    files += _extra_files(options, on_message)
    config = gguf_config(headers, options.context_size)
    content = artifact.encode_config(config, [each.layer.digest.text for each in files])
    blob = _Blob(artifact.CONFIG_V01, content)
    on_message("Loading model to Model Runner...")
    return _store(store, blob, [each.layer for each in files], files, target)


def _from_model(
    store: Store, options: PackageOptions, target: Reference, on_message: OnMessage
) -> StoredModel:
    source, lease = store.acquire(options.source or "")
    with lease:
        config_type = source.manifest.config.media_type
        if config_type == artifact.CONFIG_CNCF:
            raise UnsupportedParameterError(
                param="--from", hint="ModelPack artifacts cannot be packaged again."
            )
        files = _extra_files(options, on_message)
        replaced = {each.layer.media_type for each in files} - {artifact.LICENSE}
        layers = [each for each in source.manifest.layers if each.media_type not in replaced]
        layers += [each.layer for each in files]
        raw = store.blobs.read(source.manifest.config.digest, max_bytes=artifact.MAX_CONFIG_BYTES)
        document: dict[str, Any] = msgspec.json.decode(raw)
        if options.context_size is not None:
            document.setdefault("config", {})["context_size"] = options.context_size
        diff_ids = [each.digest.text for each in layers]
        document["rootfs"] = {"type": "rootfs", "diff_ids": diff_ids}
        content = msgspec.json.encode(document)
        config = _Blob(config_type, content)
        on_message("Loading model to Model Runner...")
        return _store(store, config, layers, files, target)


def _extra_files(options: PackageOptions, on_message: OnMessage) -> list[LayerFile]:
    files: list[LayerFile] = []
    if options.context_size is not None:
        on_message(f"Setting context size {options.context_size}")
    if options.mmproj is not None:
        on_message(f'Adding multimodal projector file from "{options.mmproj}"')
        gguf.read_header(options.mmproj)
        files.append(describe(options.mmproj, artifact.MMPROJ))
    if options.chat_template is not None:
        on_message(f'Adding chat template file from "{options.chat_template}"')
        files.append(describe_text(options.chat_template, artifact.CHAT_TEMPLATE))
    for path in options.licenses:
        on_message(f'Adding license file from "{path}"')
        files.append(describe_text(path, artifact.LICENSE))
    return files


def check_shards(paths: Sequence[Path], headers: Sequence[GgufHeader]) -> None:
    """Refuse files that are not the whole of one model.

    Raises:
        ModelFileError: A shard of another model or place, or no weights at all.
    """
    for i, (path, header) in enumerate(zip(paths, headers, strict=True)):
        if header.n_shards != len(paths) or header.i_shard != i:
            raise ModelFileError(
                path=str(path),
                problem=f"is shard {header.i_shard + 1} of {header.n_shards} by its header and "
                f"{i + 1} of {len(paths)} by its name",
            )
    if not headers[0].architecture:
        raise ModelFileError(path=str(paths[0]), problem="names no architecture")
    if not any(each.tensors for each in headers):
        raise ModelFileError(path=str(paths[0]), problem="has no weights, only a vocabulary")


def gguf_config(headers: Sequence[GgufHeader], context_size: int | None = None) -> ModelConfig:
    """What the headers of all shards say, in Docker's words."""
    first = headers[0]
    main = max(headers, key=lambda each: each.tensor_bytes)
    return ModelConfig(
        format="gguf",
        quantization=first.quantization or main.quantization,
        parameters=gguf.parameters_text(sum(each.n_params for each in headers)),
        architecture=first.architecture,
        size=units.format_bytes(sum(each.tensor_bytes for each in headers)),
        gguf=gguf.config_metadata(first),
        context_size=context_size or _trained_context(first),
    )


def _trained_context(header: GgufHeader) -> int | None:
    return header.n_ctx_train if 0 < header.n_ctx_train <= _MAX_CONTEXT else None


def _store(
    store: Store,
    config_blob: _Blob,
    layers: Sequence[Descriptor],
    files: Sequence[LayerFile],
    target: Reference,
) -> StoredModel:
    config = config_blob.descriptor
    manifest = Manifest(
        schema_version=2, media_type=MANIFEST_TYPE, config=config, layers=tuple(layers)
    )
    content = encode(manifest)
    digests = [Digest.of(content), *(each.digest for each in manifest.blobs)]
    with store.lease(digests) as lease:
        for file in files:
            copy_in(store, file, lease)
        store.put_blob(config, config_blob.content, lease)
        return store.put(content, target, lease)
