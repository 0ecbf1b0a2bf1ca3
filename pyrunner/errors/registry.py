"""What registries and Hugging Face answer, or do not."""

from pyrunner.errors.root import PyrunnerError
from pyrunner.errors.wording import ended


class RegistryError(PyrunnerError):
    """The registry, or the way to it."""


class RegistryAuthError(RegistryError, PermissionError):
    """401 or 403 after one token refresh; without a repository it was about logging in."""

    code = "registry_auth"

    def __init__(self, *, registry: str, repository: str, status: int) -> None:
        super().__init__(
            f"{registry} refused access to {repository} (HTTP {status}): it does not exist there, "
            f"or is private. Check the name, or log in with: pyrunner login {registry}"
            if repository
            else f"{registry} refused the user name or the password (HTTP {status}).",
            registry=registry,
            repository=repository,
            status=status,
        )
        self.registry = registry
        self.repository = repository
        self.status = status


class HubAccessError(RegistryError, PermissionError):
    """Hugging Face refuses a token, or a repository wants its licence accepted first."""

    code = "hub_access"

    def __init__(self, *, page: str, status: int, is_gated: bool) -> None:
        super().__init__(
            f"{page} is gated (HTTP {status}): accept its licence on that page, and set HF_TOKEN "
            "to a token of the account that did."
            if is_gated
            else f"{page} refused access (HTTP {status}): set HF_TOKEN to a valid token that may "
            "read it.",
            page=page,
            status=status,
            is_gated=is_gated,
        )
        self.page = page
        self.status = status
        self.is_gated = is_gated


class RegistryUnavailableError(RegistryError, ConnectionError):
    """No connection, a broken one, or 5xx after the retry budget."""

    code = "registry_unavailable"
    retryable = True
    WHAT = "could not be reached or broke off"
    """In every sentence of this error, for who has only the sentence."""

    def __init__(self, *, registry: str, problem: str) -> None:
        super().__init__(
            f"{registry} {self.WHAT}: {ended(problem)}",
            registry=registry,
            problem=problem,
        )
        self.registry = registry
        self.problem = problem


class RegistryProtocolError(RegistryError):
    """An answer that OCI's distribution specification, or the hub's API, does not allow."""

    code = "registry_protocol"

    def __init__(self, *, registry: str, problem: str) -> None:
        super().__init__(
            f"{registry} gave an answer that its protocol does not allow: {ended(problem)} "
            "Check the registry's name, and whether a proxy answers in its place.",
            registry=registry,
            problem=problem,
        )
        self.registry = registry
        self.problem = problem


class PushRefusedError(RegistryError):
    """A registry that can be read only: another pyrunner, a mirror, a cache."""

    code = "push_refused"

    def __init__(self, *, registry: str, problem: str) -> None:
        super().__init__(
            f"{registry} does not accept pushes: {ended(problem)}",
            registry=registry,
            problem=problem,
        )
        self.registry = registry
        self.problem = problem


class DigestMismatchError(RegistryError):
    """Bytes that are not what their digest or size promised; they were thrown away."""

    code = "digest_mismatch"

    def __init__(self, *, expected: str, actual: str, size_bytes: int) -> None:
        super().__init__(
            f"Received {size_bytes} bytes with digest {actual} where {expected} was promised; "
            "they were thrown away. Pull again, and suspect the registry if it repeats.",
            expected=expected,
            actual=actual,
            size_bytes=size_bytes,
        )
        self.expected = expected
        self.actual = actual
        self.size_bytes = size_bytes


class UnsupportedArtifactError(RegistryError):
    """A manifest that is fine OCI but no model we know."""

    code = "unsupported_artifact"

    def __init__(self, *, reference: str, media_type: str, hint: str) -> None:
        super().__init__(
            f'{reference}: config type "{media_type}" is not supported {hint}',
            reference=reference,
            media_type=media_type,
            hint=hint,
        )
        self.reference = reference
        self.media_type = media_type
        self.hint = hint
