"""Pull from Hugging Face: files of a repository become a model artifact in Docker's form.

The commit is pinned before the first file is chosen, so everything is of one state, and the
artifact says which: the same commit gives the same model id. A commit that leaves the model's
files as they are makes no new model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pyrunner import gguf, units
from pyrunner.errors import DigestMismatchError, HubNotFoundError, ModelFileError, StoreCorruptError
from pyrunner.models import artifact
from pyrunner.models.arriving import bring
from pyrunner.models.hub_choice import Choice, choose, tags
from pyrunner.models.layer_files import MAX_TEXT_BYTES, annotations
from pyrunner.models.layer_pool import LayerPool, Report
from pyrunner.models.leases import Lease
from pyrunner.models.package_sources import check_shards, gguf_config
from pyrunner.models.progress import OnProgress, ProgressEvent
from pyrunner.models.room import require_room
from pyrunner.models.store import Store
from pyrunner.models.stored import StoredModel
from pyrunner.registry.digest import Digest
from pyrunner.registry.hugging_face import HubBlob, HubFile, HubRevision, HuggingFace
from pyrunner.registry.manifest import MANIFEST_TYPE, Descriptor, Manifest, encode
from pyrunner.registry.ranges import RangePlan
from pyrunner.registry.reference import DEFAULT_TAG, Reference

SOURCE = "org.opencontainers.image.source"
COMMIT = "org.opencontainers.image.revision"
"""Annotations of the OCI image specification: where a model came from, and in which state."""
REVISION_END = "--"
"""Separates a revision from what is wanted of it, in a tag: ``v2--Q8_0``."""
MAX_PLAIN_BYTES = 16 * 1024 * 1024
"""Largest file that is taken although it is not in LFS; the hub wants those above 10 MB there."""
_MAX_TOLD = 40


@dataclass(frozen=True, slots=True)
class HubPull:
    """What a pull did."""

    model: StoredModel
    is_cached: bool
    """The model's files are as they were."""


@dataclass(frozen=True, slots=True)
class _Layer:
    file: HubFile
    descriptor: Descriptor
    content: bytes | None
    """Of a file that is not in LFS, which is read to know its digest."""


def pull(store: Store, hub: HuggingFace, reference: Reference, on_progress: OnProgress) -> HubPull:
    """Bring a model of Hugging Face into the store, under its reference.

    The tag is a quantisation, a file's name, a revision, or ``REVISION--`` and one of the first
    two; files of the main branch are looked at first.

    Args:
        store: Where it goes.
        hub: Where it is.
        reference: Names the repository.
        on_progress: Told in this thread. When it raises, the pull ends with that error.

    Raises:
        HubNotFoundError: No such repository, or nothing in it that the tag could mean.
        HubAccessError: The token is refused, or the repository is gated.
        ModelFileError: A file is no GGUF, or shards do not belong together.
        DigestMismatchError: Other bytes than the hub promised, or than the reference names.
        RegistryProtocolError: An answer that cannot be right.
        RegistryUnavailableError: It cannot be reached or broke off; a new pull continues.
        StoreError: The disk is full, or worse.
    """
    main = hub.revision(reference.repository)
    present = _present(store, reference, main)
    if present is not None and _commit(present) == main.commit:
        return HubPull(present, is_cached=True)
    revision, choice = _find(hub, main, reference.tag or DEFAULT_TAG)
    if present is not None and _commit(present) == revision.commit:
        return HubPull(present, is_cached=True)
    layers = _describe(hub, revision, choice)
    # The sha256 of a file is its etag on the hub; a README that changed is no update of a model.
    if present is not None and present.manifest.layers == tuple(each.descriptor for each in layers):
        return HubPull(present, is_cached=True)
    _tell(on_progress, _selected(choice))
    size = units.format_bytes_decimal(sum(each.descriptor.size for each in layers))
    _tell(on_progress, f"Found {len(layers)} files ({size} total)")
    with store.lease(each.descriptor.digest for each in layers) as lease:
        _fetch(store, hub, revision, (layers, lease), on_progress)
        _tell(on_progress, "Building model artifact...")
        model = _build(store, revision, layers, reference, on_progress)
    return HubPull(model, is_cached=False)


def _present(store: Store, reference: Reference, main: HubRevision) -> StoredModel | None:
    """The whole model that an earlier pull from this repository left under the reference."""
    try:
        model = store.find(str(reference))
    except (LookupError, StoreCorruptError):
        return None
    is_ours = model.manifest.annotations.get(SOURCE) == main.page
    is_whole = all(store.blobs.has(each) for each in model.manifest.blobs)
    return model if is_ours and is_whole else None


def _commit(model: StoredModel) -> str | None:
    return model.manifest.annotations.get(COMMIT)


def _find(hub: HuggingFace, main: HubRevision, tag: str) -> tuple[HubRevision, Choice]:
    files = hub.files(main)
    choice = choose(files, None if tag == DEFAULT_TAG else tag)
    if choice is not None:
        return main, choice
    name, _, wanted = tag.partition(REVISION_END)
    try:
        other = hub.revision(main.repository, name) if tag != DEFAULT_TAG else main
    except HubNotFoundError:
        raise _nothing(main, files, tag) from None
    if other != main:
        files = hub.files(other)
    choice = choose(files, wanted or None)
    if choice is None:
        raise _nothing(other, files, wanted)
    return other, choice


def _nothing(revision: HubRevision, files: Sequence[HubFile], wanted: str) -> HubNotFoundError:
    known = tags(files)
    more = f" and {len(known) - _MAX_TOLD} more" if len(known) > _MAX_TOLD else ""
    if known:
        problem = f"has no model, or several, for {wanted!r}. Write one of these after the colon: "
        problem += ", ".join(known[:_MAX_TOLD]) + more
    else:
        problem = "has no GGUF file. Look for a repository with GGUF files of that model."
    return HubNotFoundError(page=revision.page, problem=problem)


def _describe(hub: HuggingFace, revision: HubRevision, choice: Choice) -> list[_Layer]:
    variant = choice.variant
    if not variant.is_whole:
        raise HubNotFoundError(
            page=revision.page, problem=f"has only {len(variant.files)} shards of {variant.stem}."
        )
    typed = [(each, artifact.GGUF) for each in variant.files]
    if choice.mmproj is not None:
        typed.append((choice.mmproj, artifact.MMPROJ))
    if choice.chat_template is not None:
        typed.append((choice.chat_template, artifact.CHAT_TEMPLATE))
    return [_layer(hub, revision, file, media_type) for file, media_type in typed]


def _layer(hub: HuggingFace, revision: HubRevision, file: HubFile, media_type: str) -> _Layer:
    name = file.path.rpartition("/")[2]
    content, digest = None, file.sha256
    if digest is None:
        is_text = media_type == artifact.CHAT_TEMPLATE
        content = hub.read(revision, file, MAX_TEXT_BYTES if is_text else MAX_PLAIN_BYTES)
        digest = Digest.of(content)
    descriptor = Descriptor(
        media_type=media_type,
        size=file.size_bytes,
        digest=digest,
        annotations=annotations(name, file.size_bytes),
    )
    return _Layer(file, descriptor, content)


def _fetch(
    store: Store,
    hub: HuggingFace,
    revision: HubRevision,
    leased: tuple[Sequence[_Layer], Lease],
    on_progress: OnProgress,
) -> None:
    layers, lease = leased
    by_digest = {each.descriptor.digest: each for each in layers}
    descriptors = [each.descriptor for each in layers]
    pool = LayerPool("pull", hub.config.n_parallel_layers, descriptors, on_progress)
    plan = RangePlan.of(hub.config)
    require_room(store, descriptors)

    def move(descriptor: Descriptor, report: Report) -> None:
        layer = by_digest[descriptor.digest]
        if layer.content is None:
            bring(store, HubBlob(hub, revision, layer.file), lease, descriptor, report, plan)
        else:
            store.put_blob(descriptor, layer.content, lease)
            report.on_bytes(descriptor.size)

    pool.run(move, descriptors)


def _build(
    store: Store,
    revision: HubRevision,
    layers: Sequence[_Layer],
    reference: Reference,
    on_progress: OnProgress,
) -> StoredModel:
    descriptors = tuple(each.descriptor for each in layers)
    content = artifact.encode_config(
        _config(store, revision, layers), [each.digest.text for each in descriptors]
    )
    config = Descriptor(
        media_type=artifact.CONFIG_V01, size=len(content), digest=Digest.of(content)
    )
    manifest = encode(
        Manifest(
            schema_version=2,
            media_type=MANIFEST_TYPE,
            config=config,
            layers=descriptors,
            annotations={SOURCE: revision.page, COMMIT: revision.commit},
        )
    )
    digest = Digest.of(manifest)
    if reference.digest not in {None, digest}:
        raise DigestMismatchError(
            expected=str(reference.digest), actual=digest.text, size_bytes=len(manifest)
        )
    replaced = store.holder(reference)
    with store.lease([digest, config.digest, *(each.digest for each in descriptors)]) as lease:
        store.put_blob(config, content, lease)
        model = store.put(manifest, reference, lease)
    if replaced is not None and replaced != model.id:
        _tell(on_progress, f"Updated: {replaced.short} is now {digest.short}")
    return model


def _config(store: Store, revision: HubRevision, layers: Sequence[_Layer]) -> artifact.ModelConfig:
    """Read the headers, which is also the check that the files are what their names say."""
    weights = [each for each in layers if each.descriptor.media_type == artifact.GGUF]
    headers = [_header(store, revision, each) for each in weights]
    check_shards([Path(_shown(revision, each)) for each in weights], headers)
    for each in layers:
        if each.descriptor.media_type == artifact.MMPROJ:
            _header(store, revision, each)
    return gguf_config(headers)


def _header(store: Store, revision: HubRevision, layer: _Layer) -> gguf.GgufHeader:
    try:
        return gguf.read_header(store.blobs.path(layer.descriptor.digest))
    except ModelFileError as error:
        raise ModelFileError(path=_shown(revision, layer), problem=error.problem) from error


def _shown(revision: HubRevision, layer: _Layer) -> str:
    return f"{revision.repository}/{layer.file.path}"


def _selected(choice: Choice) -> str:
    default = " (default)" if choice.is_default else ""
    return f"Selected {choice.variant.label} quantization{default}"


def _tell(on_progress: OnProgress, message: str) -> None:
    on_progress(ProgressEvent(type="progress", message=message, mode="pull"))
