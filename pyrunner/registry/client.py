"""The OCI distribution API, typed: manifests, blobs, uploads. Credentials and retries inside."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Never, Self

from pyrunner.config import RegistryConfig
from pyrunner.errors import (
    DigestMismatchError,
    ModelNotFoundError,
    RegistryAuthError,
    RegistryError,
    RegistryUnavailableError,
)
from pyrunner.registry.access import PULL, PUSH, Access
from pyrunner.registry.auth import DockerCredentials
from pyrunner.registry.challenge import parse_challenge
from pyrunner.registry.credential import GivenToken
from pyrunner.registry.digest import Digest
from pyrunner.registry.hosts import base_url, is_same_origin
from pyrunner.registry.manifest import (
    ACCEPTED_TYPES,
    MAX_MANIFEST_BYTES,
    decode_manifest,
    index_media_type,
)
from pyrunner.registry.mirrors import Mirror, MirrorAnswer, Mirrors, reject
from pyrunner.registry.reference import Reference
from pyrunner.registry.refusal import explanation, refused
from pyrunner.registry.tokens import Authorizer, CredentialSource
from pyrunner.registry.transport import Body, BytesBody, Request, Response, Transport

_MAX_ERROR_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class FetchedManifest:
    """A manifest or index as a registry sent it; `digest` is that of `content`."""

    content: bytes
    digest: Digest


@dataclass(frozen=True, slots=True)
class _Call:
    """What is the same whoever is asked."""

    method: str
    headers: Mapping[str, str]
    make_body: Callable[[], Body] | None
    actions: str
    mount_from: str
    cancelled: threading.Event


class RegistryClient:
    """Speaks to any number of registries. Any thread. Close it, or use `with`.

    Args:
        config: Time limits, attempts, hosts without TLS.
        credentials: Instead of Docker's own (tests).
        transport: Instead of a new one (tests).
        token: Goes to its registry in place of whatever credentials there are for it.
        cancelled: Set by another thread to end the waits of calls that bring no event of their
            own.
    """

    def __init__(
        self,
        config: RegistryConfig,
        credentials: CredentialSource | None = None,
        transport: Transport | None = None,
        *,
        token: GivenToken | None = None,
        cancelled: threading.Event | None = None,
    ) -> None:
        self.config = config
        self.cancelled = cancelled or threading.Event()
        self.transport = transport or Transport(config)
        self._mirrors = Mirrors(config.mirrors, config.insecure)
        self._token = token
        self._authorizer = Authorizer(
            config, self.transport, credentials or DockerCredentials(), token=token
        )

    def token_for(self, registry: str) -> str | None:
        """The token that this client was given for a registry, None when it was given none."""
        token = self._token
        return token.text if token is not None and token.registry == registry else None

    def manifest(
        self, reference: Reference, cancelled: threading.Event | None = None
    ) -> FetchedManifest:
        """What a tag or a digest stands for.

        Raises:
            ModelNotFoundError: The registry does not have it.
            DigestMismatchError: Other bytes than a digest, asked for or announced, promised.
            RegistryAuthError: 401 or 403 after one new token.
            RegistryUnavailableError: No answer within the attempts.
            RegistryProtocolError: More than 4 MiB, or no OCI answer.
        """
        headers = {"Accept": ", ".join(ACCEPTED_TYPES)}
        content = self.read(
            reference,
            f"manifests/{reference.target}",
            lambda response, content: _check_manifest(reference, response, content),
            max_bytes=MAX_MANIFEST_BYTES,
            headers=headers,
            cancelled=cancelled,
        )
        return FetchedManifest(content, Digest.of(content))

    def read(
        self,
        reference: Reference,
        path: str,
        check: Callable[[Response, bytes], None],
        *,
        max_bytes: int,
        headers: Mapping[str, str] | None = None,
        cancelled: threading.Event | None = None,
    ) -> bytes:
        """Read something short of a repository; a mirror that answers wrongly is left out.

        Args:
            reference: The repository.
            path: See `send`.
            check: Raises a `RegistryError` when head and body are not what they have to be.
            max_bytes: The longest body.
            headers: See `send`.
            cancelled: See `send`.

        Raises:
            ModelNotFoundError: The registry does not have it.
            RegistryAuthError: 401 or 403 after one new token.
            RegistryUnavailableError: No answer within the attempts, or it broke off.
            RegistryProtocolError: A longer body, or another status.
        """
        cancelled = cancelled or self.cancelled
        while True:  # a mirror that was left out is not asked again
            with self.send(
                reference, "GET", path, headers=headers, cancelled=cancelled
            ) as response:
                try:
                    if response.status != 200:
                        self.refuse(reference, response)
                    content = response.read(max_bytes)
                    check(response, content)
                except RegistryError as error:
                    if cancelled.is_set() or not reject(response, error):
                        raise
                else:
                    return content

    def put_manifest(
        self,
        reference: Reference,
        content: bytes,
        media_type: str,
        cancelled: threading.Event | None = None,
    ) -> None:
        """Publish a manifest whose blobs are all there, under the reference's tag.

        Raises:
            RegistryAuthError: No right to push.
            RegistryUnavailableError: No answer within the attempts.
            RegistryProtocolError: The registry refuses it; says why.
        """
        with self.send(
            reference,
            "PUT",
            f"manifests/{reference.target}",
            headers={"Content-Type": media_type},
            make_body=lambda: BytesBody(content),
            actions=PUSH,
            cancelled=cancelled,
        ) as response:
            if response.status not in {200, 201, 202, 204}:
                self.refuse(reference, response, is_push=True)

    def has_blob(
        self, reference: Reference, digest: str, cancelled: threading.Event | None = None
    ) -> bool:
        """Whether the repository has a blob, asked on the way to pushing it.

        Raises:
            RegistryAuthError: No right to push.
            RegistryUnavailableError: No answer within the attempts.
        """
        with self.send(
            reference, "HEAD", f"blobs/{digest}", actions=PUSH, cancelled=cancelled
        ) as response:
            if response.status in {401, 403}:
                self.refuse(reference, response)
            return response.status == 200

    def send(  # noqa: PLR0913 - all but the first three are named and have defaults
        self,
        reference: Reference,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        make_body: Callable[[], Body] | None = None,
        actions: str = PULL,
        mount_from: str = "",
        is_repeatable: bool = True,
        cancelled: threading.Event | None = None,
    ) -> Response:
        """Send one request of a repository, with a token or password once it is asked for.

        What is only read is asked of the mirrors first, once each. Their answers are 200 or 206
        and `MirrorAnswer`s, for the caller to believe or to `reject`.

        Args:
            reference: The repository.
            method: HTTP method.
            path: Below ``/v2/<repository>/``, or a whole URL that the registry gave us.
            headers: Besides ``Authorization``.
            make_body: See `Request`.
            actions: What a token has to allow.
            mount_from: Another repository that it has to open for reading.
            is_repeatable: See `Request`.
            cancelled: See `Transport.send`.

        Returns:
            Any answer but one that asks for credentials; the caller closes it.

        Raises:
            RegistryAuthError: 401 although the newest credentials were sent.
            RegistryUnavailableError: No answer within the attempts.
        """
        cancelled = cancelled or self.cancelled
        call = _Call(method, headers or {}, make_body, actions, mount_from, cancelled)
        if actions == PULL and "://" not in path:
            for mirror in self._mirrors.of(reference):
                response = self._ask_mirror(mirror, reference, path, call)
                if response is not None:
                    return response
        if "://" not in path:
            root = base_url(reference.registry, self.config.insecure)
            path = f"{root}/v2/{reference.repository}/{path}"
        try:
            return self._send(reference, path, call, is_repeatable=is_repeatable)
        except RegistryUnavailableError as error:
            faults = self._mirrors.faults(reference)
            if actions != PULL or not faults or cancelled.is_set():
                raise
            problem = "; ".join([error.problem, *faults])
            raise RegistryUnavailableError(registry=error.registry, problem=problem) from error

    def _ask_mirror(
        self, mirror: Mirror, reference: Reference, path: str, call: "_Call"
    ) -> Response | None:
        try:
            response = self._send(
                mirror.name_of(reference), mirror.url(reference, path), call, is_repeatable=False
            )
        except RegistryError as error:
            if call.cancelled.is_set():
                raise
            self._mirrors.give_up(mirror, error)
            return None
        if response.status in {200, 206}:
            return MirrorAnswer(response, mirror, self._mirrors)
        response.close()
        return None

    def _send(
        self, reference: Reference, url: str, call: "_Call", *, is_repeatable: bool
    ) -> Response:
        cancelled = call.cancelled
        access = Access(reference.registry, reference.repository, call.actions, call.mount_from)
        authorization = self._authorizer.header(access, cancelled)
        for is_last in (False, True):
            sent = dict(call.headers)
            if authorization is not None:
                sent["Authorization"] = authorization
            request = Request(
                method=call.method,
                url=url,
                registry=reference.registry,
                headers=sent,
                make_body=call.make_body,
                is_repeatable=is_repeatable,
            )
            response = self.transport.send(request, cancelled)
            if response.status != 401:
                return response
            challenge = parse_challenge(response.headers.get("WWW-Authenticate", ""))
            response.close()
            # A host that the registry redirects to may not choose where its credentials go.
            if is_last or challenge is None or not is_same_origin(url, response.url):
                break
            authorization = self._authorizer.answer(challenge, access, authorization, cancelled)
            if authorization is None:
                break
        raise RegistryAuthError(
            registry=reference.registry, repository=reference.repository, status=401
        )

    def refuse(self, reference: Reference, response: Response, *, is_push: bool = False) -> Never:
        """Turn an answer that is no success into the error it means."""
        if response.status in {401, 403}:
            raise RegistryAuthError(
                registry=reference.registry,
                repository=reference.repository,
                status=response.status,
            )
        if response.status == 404:
            raise ModelNotFoundError(reference=str(reference), where="registry")
        said = _explanation(response)
        raise refused(reference.registry, response.status, said, is_push=is_push)

    def close(self) -> None:
        """Close idle connections."""
        self.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _check_manifest(reference: Reference, response: Response, content: bytes) -> None:
    digest = Digest.of(content)
    for expected in (reference.digest, response.headers.get("Docker-Content-Digest", "")):
        if expected and expected.startswith("sha256:") and expected != digest:
            raise DigestMismatchError(
                expected=str(expected), actual=digest.text, size_bytes=len(content)
            )
    if isinstance(response, MirrorAnswer):
        # What is no manifest of any kind comes from something that stands in the mirror's place.
        source = response.mirror.host
        if index_media_type(content, source=source) is None:
            decode_manifest(content, source=source)


def _explanation(response: Response) -> str:
    try:
        return explanation(response.read(_MAX_ERROR_BYTES))
    except RegistryError:
        return ""
