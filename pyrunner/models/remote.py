"""What a registry says about a model, without pulling it."""

from dataclasses import dataclass

from pyrunner.errors import RegistryProtocolError
from pyrunner.models.artifact import (
    MAX_CONFIG_BYTES,
    ModelConfig,
    completed,
    model_manifest,
    parse_config,
)
from pyrunner.models.store import Store
from pyrunner.models.transfer import refuse_hugging_face
from pyrunner.registry.client import RegistryClient
from pyrunner.registry.manifest import Descriptor
from pyrunner.registry.reference import Reference
from pyrunner.registry.small_blobs import fetch_small_blob


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteModel:
    """One model of a registry; its names there are not known."""

    id: str
    """sha256 of the manifest's bytes, as in the store."""
    config: ModelConfig
    created: int
    """Unix seconds, 0 when unknown."""
    size_bytes: int
    """All layers together."""


def describe(store: Store, client: RegistryClient, reference_text: str) -> RemoteModel:
    """Fetch manifest and config of a model; the store is not changed.

    Args:
        store: Completes the reference, and answers for the model that ships with the program,
            which no registry is asked for.
        client: Asks the registry.
        reference_text: A tag or a digest.

    Raises:
        InvalidReferenceError: No reference.
        ModelNotFoundError: The registry does not have it.
        UnsupportedArtifactError: It is no model.
        UnsupportedParameterError: The reference names Hugging Face.
        DigestMismatchError: The config is another than the manifest promised.
        RegistryProtocolError: The manifest or the config cannot be read.
        RegistryAuthError: The registry wants (other) credentials.
        RegistryUnavailableError: It cannot be reached. Retryable.
    """
    reference = store.parse(reference_text)
    if store.is_builtin(reference):
        model = store.find(reference_text)
        return RemoteModel(
            id=model.id, config=model.config, created=model.created, size_bytes=model.size_bytes
        )
    refuse_hugging_face(reference, "Pull it, then inspect it here.")
    fetched = client.manifest(reference)
    manifest = model_manifest(fetched.content, reference)
    content = _config(client, reference, manifest.config)
    artifact = parse_config(content, source=reference.registry)
    return RemoteModel(
        id=fetched.digest.text,
        config=completed(artifact.config, manifest),
        created=artifact.created,
        size_bytes=manifest.size_bytes,
    )


def _config(client: RegistryClient, reference: Reference, config: Descriptor) -> bytes:
    if config.size > MAX_CONFIG_BYTES:
        problem = f"a config of {config.size} bytes where a short one belongs"
        raise RegistryProtocolError(registry=reference.registry, problem=problem)
    return fetch_small_blob(client, reference, config)
