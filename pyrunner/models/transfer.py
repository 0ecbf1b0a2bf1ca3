"""Pull and push: models between a registry and the store.

Layers travel in threads named ``pull_N`` and ``push_N``, large ones in several named ``range_N``;
all end with the call. Progress is told in the caller's thread, so a callback that raises cancels
cleanly.
"""

from dataclasses import dataclass
from functools import partial

from pyrunner import units
from pyrunner.errors import StoreCorruptError, UnsupportedParameterError
from pyrunner.models import hub
from pyrunner.models.arriving import bring
from pyrunner.models.artifact import MAX_CONFIG_BYTES, model_manifest, parse_config
from pyrunner.models.layer_pool import LayerPool, Report
from pyrunner.models.leases import Lease
from pyrunner.models.mounting import MountSources
from pyrunner.models.progress import Mode, OnProgress, ProgressEvent
from pyrunner.models.room import require_room
from pyrunner.models.store import Store
from pyrunner.models.stored import StoredModel
from pyrunner.registry.client import FetchedManifest, RegistryClient
from pyrunner.registry.digest import Digest
from pyrunner.registry.download import RegistryBlob
from pyrunner.registry.hugging_face import HuggingFace
from pyrunner.registry.manifest import (
    MANIFEST_TYPE,
    Descriptor,
    Manifest,
)
from pyrunner.registry.ranges import RangePlan
from pyrunner.registry.reference import HUGGING_FACE, Reference
from pyrunner.registry.upload import Upload

__all__ = ["OnProgress", "ProgressEvent", "PullOutcome", "pull", "push", "refuse_hugging_face"]


@dataclass(frozen=True, slots=True)
class PullOutcome:
    """What a pull did."""

    model: StoredModel
    is_cached: bool
    """Nothing had to be pulled."""


def pull(
    store: Store, client: RegistryClient, reference_text: str, on_progress: OnProgress
) -> PullOutcome:
    """Bring a model into the store.

    What an earlier attempt brought is used: whole blobs as they are, partial ones continued.

    Args:
        store: Where it goes.
        client: Asks the registry.
        reference_text: A tag, or a digest, which a model that is here answers without a network.
        on_progress: Told in this thread. When it raises, the pull ends with that error and
            what has arrived is kept.

    Raises:
        InvalidReferenceError: No reference.
        ModelNotFoundError: The registry does not have it.
        HubNotFoundError: Hugging Face does not have it; says what there is.
        HubAccessError: Hugging Face refuses the token, or wants one.
        UnsupportedArtifactError: It is no model.
        RegistryProtocolError: Its manifest or config cannot be read.
        DigestMismatchError: The registry sent other bytes than promised; they are gone.
        RegistryAuthError: The registry wants (other) credentials.
        RegistryUnavailableError: It cannot be reached or broke off; a new pull continues.
        StoreFullError: The model does not fit on the disk; nothing of it was asked for.
        StoreError: The disk is full all the same, or worse.
    """
    reference = store.parse(reference_text)
    if store.is_builtin(reference):
        return _cached(store.find(reference_text), on_progress)
    replaced = store.holder(reference)
    if reference.digest and _is_here(store, reference):
        return _cached(_named(store, reference), on_progress, replaced)
    if reference.registry == HUGGING_FACE:
        return _from_hub(store, client, reference, on_progress)
    fetched = client.manifest(reference)
    manifest = model_manifest(fetched.content, reference)
    with store.lease([fetched.digest, *(each.digest for each in manifest.blobs)]) as lease:
        missing = [each for each in manifest.blobs if not store.blobs.has(each)]
        if not missing and _has_model(store, fetched):
            model = store.put(fetched.content, reference, lease)
            return _cached(model, on_progress, replaced)
        require_room(store, manifest.blobs)
        _fetch_all(store, client, reference, manifest, lease, on_progress)
        model = store.put(fetched.content, reference, lease)
    _tell_update(replaced, model, on_progress)
    on_progress(_success("Model pulled successfully", "pull"))
    return PullOutcome(model, is_cached=False)


def push(
    store: Store, client: RegistryClient, reference_text: str, on_progress: OnProgress
) -> None:
    """Send a model of the store to the registry its reference names.

    Blobs that the repository has are not sent again, and those of another repository of the same
    registry are taken over from there, if a model of the store has a name in both.

    Args:
        store: Where it is.
        client: Speaks to the registry.
        reference_text: A tag of the store.
        on_progress: Told in this thread. When it raises, the push ends with that error.

    Raises:
        ModelNotFoundError: Not in the store.
        UnsupportedParameterError: The reference names no tag, or Hugging Face.
        RegistryAuthError: No right to push.
        RegistryUnavailableError: The registry cannot be reached or broke off.
        RegistryProtocolError: The registry refuses the model; says why.
    """
    reference = store.parse(reference_text)
    refuse_hugging_face(reference, "Tag the model under a name in a registry and push that.")
    if reference.digest is not None or store.is_builtin(reference):
        raise UnsupportedParameterError(
            param=reference.familiar, hint="Tag the model under a name of yours and push that."
        )
    model, lease = store.acquire(str(reference))
    with lease:
        manifest = model.manifest
        pool = LayerPool("push", client.config.n_parallel_layers, manifest.layers, on_progress)
        send = partial(_send_blob, store, client, reference, MountSources(store, reference))
        pool.run(send, manifest.layers)
        # A registry may check that the blobs of a manifest are there: the config comes last of
        # them, and then the manifest.
        pool.run(send, (manifest.config,))
        media_type = manifest.media_type or MANIFEST_TYPE
        client.put_manifest(reference, store.manifest_bytes(model), media_type)
    on_progress(_success("Model pushed successfully", "push"))


def refuse_hugging_face(reference: Reference, hint: str) -> None:
    """Say that Hugging Face is no registry to be asked for this.

    Raises:
        UnsupportedParameterError: The reference names Hugging Face.
    """
    if reference.registry == HUGGING_FACE:
        raise UnsupportedParameterError(param=str(reference), hint=hint)


def _from_hub(
    store: Store, client: RegistryClient, reference: Reference, on_progress: OnProgress
) -> PullOutcome:
    pulled = hub.pull(store, HuggingFace(client), reference, on_progress)
    if pulled.is_cached:
        return _cached(pulled.model, on_progress)
    on_progress(_success("Model pulled successfully", "pull"))
    return PullOutcome(pulled.model, is_cached=False)


def _is_here(store: Store, reference: Reference) -> bool:
    try:
        model = store.find(str(reference))
    except (LookupError, StoreCorruptError):
        return False
    return all(store.blobs.has(each) for each in model.manifest.blobs)


def _named(store: Store, reference: Reference) -> StoredModel:
    """Find a model that is here by its digest, and give it the tag that came with the digest."""
    if reference.tag is None:
        return store.find(str(reference))
    model, lease = store.acquire(str(reference))
    with lease:
        return store.put(store.manifest_bytes(model), reference, lease)


def _has_model(store: Store, fetched: FetchedManifest) -> bool:
    try:
        return store.find(fetched.digest).id == fetched.digest
    except (LookupError, StoreCorruptError):
        return False


def _fetch_all(
    store: Store,
    client: RegistryClient,
    reference: Reference,
    manifest: Manifest,
    lease: Lease,
    on_progress: OnProgress,
) -> None:
    pool = LayerPool("pull", client.config.n_parallel_layers, manifest.layers, on_progress)
    fetch = partial(_fetch_blob, store, client, reference, lease)
    # The config first: it is small, and unless it can be read nothing else is of use.
    pool.run(fetch, (manifest.config,))
    config = store.blobs.read(manifest.config.digest, max_bytes=MAX_CONFIG_BYTES)
    parse_config(config, source=reference.registry)
    pool.run(fetch, manifest.layers)


def _fetch_blob(
    store: Store,
    client: RegistryClient,
    reference: Reference,
    lease: Lease,
    descriptor: Descriptor,
    report: Report,
) -> None:
    source = RegistryBlob(client, reference, descriptor)
    bring(store, source, lease, descriptor, report, RangePlan.of(client.config))


def _send_blob(
    store: Store,
    client: RegistryClient,
    reference: Reference,
    sources: MountSources,
    descriptor: Descriptor,
    report: Report,
) -> None:
    if not client.has_blob(reference, descriptor.digest, report.cancelled):
        upload = Upload(client, reference, report.cancelled, report.on_bytes)
        path = store.blobs.path(descriptor.digest)
        upload.run(descriptor, path, sources.find(descriptor.digest))
    report.on_bytes(descriptor.size)


def _tell_update(replaced: Digest | None, model: StoredModel, on_progress: OnProgress) -> None:
    if replaced is not None and replaced != model.id:
        message = f"Updated: {replaced.short} is now {model.short_id}"
        on_progress(ProgressEvent(type="progress", message=message, mode="pull"))


def _cached(
    model: StoredModel, on_progress: OnProgress, replaced: Digest | None = None
) -> PullOutcome:
    _tell_update(replaced, model, on_progress)
    size = units.format_bytes_decimal(model.size_bytes)
    on_progress(_success(f"Using cached model: {size}", "pull"))
    return PullOutcome(model, is_cached=True)


def _success(message: str, mode: Mode) -> ProgressEvent:
    return ProgressEvent(type="success", message=message, mode=mode)
