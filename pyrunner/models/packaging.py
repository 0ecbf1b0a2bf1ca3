"""Package: files, or a model of the store, become a model artifact under a new name.

The same files and options give the same bytes and so the same model id: nothing of the artifact
depends on the time (unless one is asked for), the folder or the user.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pyrunner import gguf
from pyrunner.errors import InvalidParameterError
from pyrunner.models import artifact, package_sources
from pyrunner.models.artifact import LayerKind, ModelConfig, layer_kind
from pyrunner.models.layer_files import LayerFile, LayerReader
from pyrunner.models.package_forms import (
    Draft,
    Form,
    Written,
    docker_config,
    form_of,
    rewrite,
    write,
)
from pyrunner.models.package_sources import Weights
from pyrunner.models.progress import OnProgress
from pyrunner.models.room import require_room
from pyrunner.models.store import Store
from pyrunner.models.stored import StoredModel
from pyrunner.registry.digest import Digest
from pyrunner.registry.manifest import Descriptor
from pyrunner.registry.reference import Reference

OnMessage = Callable[[str], None]
LOADED = "Model loaded successfully"
"""The last message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageOptions:
    """What goes into the artifact; exactly one of the first four is given.

    The exception is `source` with `gguf`: that model with these weights instead of its own.
    """

    gguf: Path | None = None
    """A GGUF file, or any shard of a model; relative paths are fine."""
    safetensors_dir: Path | None = None
    """A folder: every file in it becomes a layer."""
    dduf: Path | None = None
    """A DDUF file."""
    source: str | None = None
    """A model of the store to package again (``--from``)."""
    chat_template: Path | None = None
    """A Jinja template instead of the one in the GGUF."""
    licenses: tuple[Path, ...] = ()
    mmproj: Path | None = None
    """A GGUF file with a multimodal projector."""
    context_size: int | None = None
    """Tokens, 1..2**31-1, or -1 for unlimited; None takes what the model was trained for."""
    format: Form = "docker"
    created_s: int | None = None
    """Unix seconds that config and annotations name; None: no time at all, and the same id again.
    """


def package(
    store: Store,
    options: PackageOptions,
    reference_text: str,
    on_message: OnMessage,
    on_progress: OnProgress = lambda _: None,
) -> StoredModel:
    """Build a model artifact and give it a name.

    Args:
        store: Where it goes.
        options: What goes into it.
        reference_text: Its name; one that another model has moves.
        on_message: Told what is being added, one sentence each.
        on_progress: Told how much of the files is hashed and copied.

    Raises:
        InvalidParameterError: Contradicting options, or a context size out of range.
        UnsupportedParameterError: The source cannot be written in that format.
        ModelFileError: A file is missing, or is not what it should be.
        ModelNotFoundError: `source` is not in the store.
        StoreFullError: The model does not fit on the disk.
    """
    check_options(options)
    target = store.check_target(reference_text)
    store.holder(target)  # a damaged index is found before the work, not after it
    reader = LayerReader(options.created_s or 0, on_progress)
    make = _from_files if options.source is None else _from_model
    model = make(store, options, target, _Intake(reader, on_message))
    on_message(LOADED)
    return model


@dataclass(frozen=True, slots=True)
class _Intake:
    reader: LayerReader
    say: OnMessage


def check_options(options: PackageOptions) -> None:
    """Refuse options that contradict each other, before any file is read.

    Raises:
        InvalidParameterError: They do, or a context size is out of range.
    """
    given = (options.gguf, options.safetensors_dir, options.dduf, options.source)
    n_given = sum(each is not None for each in given)
    has_other_weights = options.source is not None and options.gguf is not None
    if n_given != (2 if has_other_weights else 1):
        raise InvalidParameterError(
            param="gguf",
            problem="or 'safetensors_dir' or 'dduf' or 'source' is needed, and only one",
        )
    size = options.context_size
    if size is not None and size != -1 and not 1 <= size <= artifact.MAX_CONTEXT_SIZE:
        raise InvalidParameterError(
            param="context_size",
            problem=f"is {size}; write 1 to {artifact.MAX_CONTEXT_SIZE}, or -1",
        )
    if size is not None and options.format == "cncf":
        raise InvalidParameterError(
            param="context_size",
            problem="is not supported with --format cncf: the CNCF ModelPack specification does "
            "not define a context size field",
        )


def _from_files(
    store: Store, options: PackageOptions, target: Reference, intake: _Intake
) -> StoredModel:
    weights = _weights(options, intake)
    files = [*weights.files, *_extra_files(options, intake)]
    draft = Draft(
        config=_with_context(weights.config, options.context_size),
        config_type=weights.config_type,
        layers=tuple(each.layer for each in files),
        created_s=options.created_s,
    )
    return _store(store, write(draft, options.format), files, target, intake)


def _weights(options: PackageOptions, intake: _Intake) -> Weights:
    if options.safetensors_dir is not None:
        intake.say(f'Adding safetensors files from "{options.safetensors_dir}"')
        return package_sources.from_safetensors(options.safetensors_dir, intake.reader)
    if options.dduf is not None:
        intake.say(f'Adding DDUF file from "{options.dduf}"')
        return package_sources.from_dduf(options.dduf, intake.reader)
    path = Path(options.gguf or "")
    intake.say(f'Adding GGUF file from "{path}"')
    return package_sources.from_gguf(path, intake.reader)


def _from_model(
    store: Store, options: PackageOptions, target: Reference, intake: _Intake
) -> StoredModel:
    source, lease = store.acquire(options.source or "")
    with lease:
        weights = None if options.gguf is None else _weights(options, intake)
        files = [*(weights.files if weights else ()), *_extra_files(options, intake)]
        added = tuple(each.layer for each in files)
        replaced = {layer_kind(each, source.config) for each in added} - {LayerKind.LICENSE}
        kept = (
            each
            for each in source.manifest.layers
            if layer_kind(each, source.config) not in replaced
        )
        layers = (*kept, *added)
        form = form_of(source.manifest.config.media_type)
        if weights is None and form == options.format:
            written = rewrite(store, source, layers, options.context_size)
        else:
            written = write(_converted(source, weights, layers, options), options.format)
        return _store(store, written, files, target, intake)


def _converted(
    source: StoredModel,
    weights: Weights | None,
    layers: tuple[Descriptor, ...],
    options: PackageOptions,
) -> Draft:
    config, config_type = source.config, source.manifest.config.media_type
    context_size = options.context_size
    if weights is not None:
        if context_size is None and config.is_context_chosen:
            context_size = config.context_size
        config, config_type = weights.config, weights.config_type
    elif options.format == "docker":
        config, config_type = docker_config(source)
    return Draft(
        config=_with_context(config, context_size),
        config_type=config_type,
        layers=layers,
        created_s=options.created_s,
    )


def _with_context(config: ModelConfig, context_size: int | None) -> ModelConfig:
    if context_size is None:
        return config
    return msgspec.structs.replace(config, context_size=context_size, is_context_chosen=True)


def _extra_files(options: PackageOptions, intake: _Intake) -> list[LayerFile]:
    files: list[LayerFile] = []
    if options.context_size is not None:
        intake.say(f"Setting context size {options.context_size}")
    if options.mmproj is not None:
        intake.say(f'Adding multimodal projector file from "{options.mmproj}"')
        gguf.read_header(options.mmproj)
        files.append(intake.reader.describe(options.mmproj, artifact.MMPROJ))
    if options.chat_template is not None:
        intake.say(f'Adding chat template file from "{options.chat_template}"')
        files.append(intake.reader.describe_text(options.chat_template, artifact.CHAT_TEMPLATE))
    for path in options.licenses:
        intake.say(f'Adding license file from "{path}"')
        files.append(intake.reader.describe_text(path, artifact.LICENSE))
    return files


def _store(
    store: Store, written: Written, files: Sequence[LayerFile], target: Reference, intake: _Intake
) -> StoredModel:
    intake.say("Loading model to Model Runner...")
    content = written.manifest_content
    digests = [Digest.of(content), *(each.digest for each in written.manifest.blobs)]
    with store.lease(digests) as lease:
        require_room(store, written.manifest.blobs)
        for file in files:
            intake.reader.copy_in(store, file, lease)
        store.put_blob(written.config, written.config_content, lease)
        return store.put(content, target, lease)
