"""Signatures of models, in cosign's format, beside the model in its registry.

A signature is kept where the model comes from, not in the store: whoever pulls the model under
the same name finds it there, with cosign too. What is signed is the model of the store; what is
verified is the model of the store too, if it is there, because that is what would run.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyrunner.errors import (
    DigestMismatchError,
    InvalidParameterError,
    ModelNotFoundError,
    NameNeededError,
    RegistryProtocolError,
    SignatureMismatchError,
    SignatureNotFoundError,
)
from pyrunner.models.lookup import is_name
from pyrunner.models.store import Store
from pyrunner.registry import cosign
from pyrunner.registry.client import RegistryClient
from pyrunner.registry.digest import Digest
from pyrunner.registry.manifest import MANIFEST_TYPE, Descriptor, Manifest, decode_manifest
from pyrunner.registry.reference import HUGGING_FACE, Reference
from pyrunner.registry.small_blobs import fetch_small_blob, push_small_blob

if TYPE_CHECKING:
    from pyrunner.registry.keys import PrivateKey, PublicKey

_WRONG_KEY = "none was made with this key"


@dataclass(frozen=True, slots=True)
class Signed:
    """What `sign` or `verify` was about."""

    reference: Reference
    digest: Digest
    """The model's id."""
    signature: Reference
    """Where its signatures are."""
    is_new: bool = False
    """`sign` pushed one; else there was one of this key."""


def sign(store: Store, client: RegistryClient, text: str, key: "PrivateKey") -> Signed:
    """Sign a model of the store and push the signature to the registry of its reference.

    Signatures of others stay. The model need not be there yet; whoever signs at the same moment
    may take a signature away, as with cosign.

    Args:
        store: Where the model is.
        client: Speaks to the registry.
        text: A reference with a tag or a digest.
        key: Signs.

    Raises:
        ModelNotFoundError: Not in the store.
        NameNeededError: It is the id of a model.
        InvalidParameterError: The reference's registry takes no signatures.
        RegistryAuthError: No right to push.
        RegistryUnavailableError: The registry cannot be reached or broke off. Retryable.
        RegistryProtocolError: What is there is no artifact, or the registry refuses ours.
    """
    reference = _checked(store, text)
    digest = Digest(store.find(str(reference)).id)
    place = cosign.signature_reference(reference, digest)
    present = _artifact(client, place)
    layers = present.layers if present else ()
    if present and not _problems(client, place, present, digest, key.public):
        return Signed(reference, digest, place)
    payload = cosign.encode_payload(reference, digest)
    layer = cosign.layer(payload, key.sign(payload))
    manifest, config, config_content = cosign.artifact((*layers, layer))
    push_small_blob(client, place, layer, payload)
    push_small_blob(client, place, config, config_content)
    client.put_manifest(place, manifest, MANIFEST_TYPE)
    return Signed(reference, digest, place, is_new=True)


def verify(store: Store, client: RegistryClient, text: str, key: "PublicKey") -> Signed:
    """Check that a model is signed with a key; one signature that fits is enough.

    Args:
        store: Says which model the reference means, if it has it; else the registry does.
        client: Asks the registry.
        text: A reference with a tag or a digest.
        key: Whose signature is wanted.

    Raises:
        NameNeededError: It is the id of a model of the store.
        InvalidParameterError: The reference's registry takes no signatures.
        SignatureNotFoundError: The registry has no signature of this model.
        SignatureMismatchError: It has some, and none fits; says why.
        ModelNotFoundError: Neither the store nor the registry knows the reference.
        RegistryAuthError: The registry wants (other) credentials.
        RegistryUnavailableError: It cannot be reached. Retryable.
    """
    reference = _checked(store, text)
    digest = _meant(store, client, reference)
    place = cosign.signature_reference(reference, digest)
    present = _artifact(client, place)
    if present is None or not cosign.signatures(present):
        raise SignatureNotFoundError(reference=str(reference), digest=digest.text)
    problems = _problems(client, place, present, digest, key)
    if problems:
        raise SignatureMismatchError(
            reference=str(reference), digest=digest.text, problem="; ".join(problems)
        )
    return Signed(reference, digest, place)


def _checked(store: Store, text: str) -> Reference:
    if not is_name(text):
        _refuse_id(store, text.strip())
    reference = store.parse(text)
    if store.is_builtin(reference) or reference.registry == HUGGING_FACE:
        problem = (
            "is in a registry that takes no signatures; tag the model under a name of yours, "
            "push that and sign it"
        )
        raise InvalidParameterError(param=reference.familiar, problem=problem)
    return reference


def _refuse_id(store: Store, text: str) -> None:
    try:
        model = store.find(text)
    except ModelNotFoundError:
        return  # twelve hex digits may be a name after all; of an id the next look will say it
    if model.id.startswith(f"sha256:{text.removeprefix('sha256:')}"):
        raise NameNeededError(text=text, names=", ".join(model.tags))


def _meant(store: Store, client: RegistryClient, reference: Reference) -> Digest:
    if reference.digest is not None:
        return Digest(reference.digest)
    return store.holder(reference) or client.manifest(reference).digest


def _artifact(client: RegistryClient, place: Reference) -> Manifest | None:
    try:
        content = client.manifest(place).content
    except ModelNotFoundError:
        return None
    return decode_manifest(content, source=place.registry)


def _problems(
    client: RegistryClient, place: Reference, present: Manifest, digest: Digest, key: "PublicKey"
) -> list[str]:
    """Why no signature fits; empty when one does. The most telling reason comes first."""
    reasons: set[str] = set()
    for layer, signature in cosign.signatures(present):
        reason = _problem(client, place, layer, signature, digest, key)
        if reason is None:
            return []
        reasons.add(reason)
    return sorted(reasons - {_WRONG_KEY}) or [_WRONG_KEY]


def _problem(
    client: RegistryClient,
    place: Reference,
    layer: Descriptor,
    signature: bytes,
    digest: Digest,
    key: "PublicKey",
) -> str | None:
    try:
        payload = fetch_small_blob(client, place, layer)
        if not key.verifies(payload, signature):
            return _WRONG_KEY
        claimed = cosign.signed_digest(payload, source=place.registry)
    except ModelNotFoundError:
        return "what was signed is not there"
    except DigestMismatchError:
        return "what was signed has been changed"
    except RegistryProtocolError as error:
        return error.problem
    return None if claimed == digest else f"this key signed another model, {claimed[:100]}"
