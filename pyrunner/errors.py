"""Every error pyrunner raises on purpose; families answer "who can fix it?".

::

    Exception
    |- PyrunnerError                    code, retryable, facts
    |  |- InvalidRequestError (ValueError)          the caller
    |  |  |- ContextLengthError  |- InvalidParameterError   |- InvalidReferenceError
    |  |  |- KeyFileError        |- ModelFileError          |- MultipleTagsError
    |  |  |- TemplateError       `- UnsupportedParameterError
    |  |- ConfigError (ValueError)                  the operator
    |  |- MissingPackageError                       the operator: install it
    |  |- NotFoundError (LookupError)               what was named is not there
    |  |  |- BackendNotFoundError  |- HubNotFoundError  `- ModelNotFoundError
    |  |- BusyError                    retryable    nobody: wait
    |  |  |- MemoryBudgetError  |- ModelLoadingError  |- QueueFullError  `- ShuttingDownError
    |  |- RegistryError                             the far side
    |  |  |- DigestMismatchError  |- HubAccessError  |- RegistryAuthError
    |  |  |- RegistryProtocolError  |- RegistryUnavailableError  `- UnsupportedArtifactError
    |  |- SignatureError                            whoever signed, or did not
    |  |  |- SignatureMismatchError  `- SignatureNotFoundError
    |  |- ServerAnswerError                         whoever the server says
    |  |- RequestCancelledError                     nobody waits for the answer any more
    |  |- ServerUnreachableError (ConnectionError)  start the server
    |  |- StoreError (OSError)                      this disk
    |  |  |- StoreCorruptError  |- StoreFullError  |- StoreIOError  |- StoreLockedError
    |  |  `- StoreReadOnlyError
    |  `- NativeError (RuntimeError)                this machine or this model
    |     |- DecodeError  |- ModelLoadError  |- ModelTooLargeError
    |     |- OutOfMemoryError (MemoryError)  |- WorkerCrashedError  `- WorkerProtocolError
    `- AssertionError
       `- InvariantError                            us: a bug, never caught as a PyrunnerError

Facts are keyword arguments and attributes; the sentence is built in the class. `LEAVES` maps a
code to its class, which is how an error crosses the wire: ``LEAVES[code](**facts)``. HTTP statuses
live in `pyrunner.server.errors`, exit codes in `pyrunner.cli.main`.
"""

from typing import Any, ClassVar

Fact = str | int | float | bool | None


class PyrunnerError(Exception):
    """Root of the tree: a sentence for the person, facts for the program.

    Attributes:
        code: Stable snake_case identifier, part of the wire contract.
        retryable: Whether the same call can succeed later without a change.
        facts: The constructor's keyword arguments, enough to build the error again.
    """

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False

    def __init__(self, sentence: str, **facts: Fact) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.facts = facts

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.facts))


def _rebuild(cls: type[PyrunnerError], facts: dict[str, Fact]) -> PyrunnerError:
    return cls(**facts)  # type: ignore[arg-type]  # leaves take their facts by keyword


class InvalidRequestError(PyrunnerError, ValueError):
    """What the caller asked for cannot be done; asking differently can."""


class ContextLengthError(InvalidRequestError):
    """A prompt does not fit the context."""

    code = "context_length_exceeded"

    def __init__(self, *, n_tokens: int, n_ctx: int, is_least: bool = False) -> None:
        super().__init__(
            f"The prompt has {'at least ' if is_least else ''}{n_tokens} tokens, "
            f"but the context holds {n_ctx}. "
            "Shorten it, or load the model with a larger context size.",
            n_tokens=n_tokens,
            n_ctx=n_ctx,
            is_least=is_least,
        )
        self.n_tokens = n_tokens
        self.n_ctx = n_ctx


class InvalidParameterError(InvalidRequestError):
    """One named parameter has a value that is not allowed."""

    code = "invalid_parameter"

    def __init__(self, *, param: str, problem: str) -> None:
        super().__init__(f"'{param}' {problem}", param=param, problem=problem)
        self.param = param
        self.problem = problem


class UnsupportedParameterError(InvalidRequestError):
    """A parameter of a known API that this version does not implement."""

    code = "unsupported_parameter"

    def __init__(self, *, param: str, hint: str = "Remove it from the request.") -> None:
        super().__init__(f"'{param}' is not supported yet. {hint}", param=param, hint=hint)
        self.param = param
        self.hint = hint


class InvalidReferenceError(InvalidRequestError):
    """A model reference or digest that cannot be parsed."""

    code = "invalid_reference"

    def __init__(self, *, text: str, at: int, problem: str) -> None:
        super().__init__(
            f"Invalid model reference {text[:200]!r} at character {at + 1}: {problem}",
            text=text[:1024],
            at=at,
            problem=problem,
        )
        self.text = text
        self.at = at
        self.problem = problem


class ModelFileError(InvalidRequestError):
    """A file that was given as a model, template or licence is not one."""

    code = "invalid_model_file"

    def __init__(self, *, path: str, problem: str) -> None:
        way_out = "Give another file, or fetch this one again."
        super().__init__(f"{path}: {_ended(problem)} {way_out}", path=path, problem=problem)
        self.path = path
        self.problem = problem


class KeyFileError(InvalidRequestError):
    """A file that was given as a key is none that can be used."""

    code = "invalid_key_file"

    def __init__(self, *, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}", path=path, problem=problem)
        self.path = path
        self.problem = problem


class MultipleTagsError(InvalidRequestError):
    """Removing by identity what several tags name needs force."""

    code = "multiple_tags"

    def __init__(self, *, reference: str) -> None:
        super().__init__(
            f'unable to delete "{reference}" (must be forced) due to multiple tag references',
            reference=reference,
        )
        self.reference = reference


class TemplateError(InvalidRequestError):
    """The model's chat template refuses these messages, or is broken."""

    code = "template_error"

    def __init__(self, *, problem: str) -> None:
        super().__init__(
            f"The model's chat template could not render these messages: {_ended(problem)} "
            "Change the messages, or package the model with another --chat-template.",
            problem=problem,
        )
        self.problem = problem


class ConfigError(PyrunnerError, ValueError):
    """A setting is unknown or has a wrong value."""

    code = "config_error"

    def __init__(self, *, key: str, source: str, problem: str) -> None:
        super().__init__(
            f"Setting '{key}' ({source}): {problem}", key=key, source=source, problem=problem
        )
        self.key = key
        self.source = source
        self.problem = problem


class MissingPackageError(PyrunnerError):
    """A package that only some commands need is not installed."""

    code = "missing_package"

    def __init__(self, *, package: str, extra: str) -> None:
        super().__init__(
            f"{package} is not installed, which this needs. "
            f"Install it with: pip install 'pyrunner[{extra}]'",
            package=package,
            extra=extra,
        )
        self.package = package
        self.extra = extra


class NotFoundError(PyrunnerError, LookupError):
    """Something named does not exist."""


class ModelNotFoundError(NotFoundError):
    """No such model here, or there."""

    code = "model_not_found"

    def __init__(self, *, reference: str, where: str = "store") -> None:
        way_out = (
            f"Pull it with: pyrunner pull {reference}"
            if where == "store"
            else "Check the name and the tag, and log in if it is private."
        )
        super().__init__(
            f"Model {reference!r} was not found in the {where}. {way_out}",
            reference=reference,
            where=where,
        )
        self.reference = reference
        self.where = where


class BackendNotFoundError(NotFoundError):
    """A route named an inference backend other than llama.cpp."""

    code = "backend_not_found"

    def __init__(self, *, backend: str) -> None:
        super().__init__(
            f"Backend {backend!r} does not exist here; use 'llama.cpp'.", backend=backend
        )
        self.backend = backend


class HubNotFoundError(NotFoundError):
    """A repository of Hugging Face, or what was asked for in it, is not there."""

    code = "hub_not_found"

    def __init__(self, *, page: str, problem: str) -> None:
        super().__init__(f"{page} {problem}", page=page, problem=problem)
        self.page = page
        self.problem = problem


class BusyError(PyrunnerError):
    """Nothing is wrong, but not now; `retry_after_s` says when to ask again."""

    retryable = True

    def __init__(self, sentence: str, *, retry_after_s: int, **facts: Fact) -> None:
        super().__init__(sentence, retry_after_s=retry_after_s, **facts)
        self.retry_after_s = retry_after_s


class MemoryBudgetError(BusyError):
    """Every loaded model is in use and the next one does not fit beside them."""

    code = "memory_budget_exceeded"

    def __init__(
        self, *, needed_bytes: int, free_bytes: int, budget_bytes: int, retry_after_s: int = 5
    ) -> None:
        super().__init__(
            f"The model needs {_mib(needed_bytes)}, {_mib(free_bytes)} of {_mib(budget_bytes)} "
            "are free, "
            "and every loaded model is in use. Try again, or unload one.",
            retry_after_s=retry_after_s,
            needed_bytes=needed_bytes,
            free_bytes=free_bytes,
            budget_bytes=budget_bytes,
        )
        self.needed_bytes = needed_bytes


class ModelLoadingError(BusyError):
    """The model is still loading and the caller's patience ran out."""

    code = "model_loading"

    def __init__(self, *, reference: str, retry_after_s: int = 5) -> None:
        super().__init__(
            f"Model {reference!r} is still loading. Try again in {retry_after_s} s.",
            retry_after_s=retry_after_s,
            reference=reference,
        )
        self.reference = reference


class QueueFullError(BusyError):
    """More requests or streams than the named limit allows."""

    code = "queue_full"

    def __init__(self, *, limit: int, what: str, retry_after_s: int = 1) -> None:
        super().__init__(
            f"All {limit} {what} are taken. Try again in {retry_after_s} s.",
            retry_after_s=retry_after_s,
            limit=limit,
            what=what,
        )
        self.limit = limit


class ShuttingDownError(BusyError):
    """The server or the worker is draining."""

    code = "shutting_down"

    def __init__(self, *, what: str = "server", retry_after_s: int = 5) -> None:
        super().__init__(
            f"The {what} is shutting down. Try again in {retry_after_s} s, when it may be back.",
            retry_after_s=retry_after_s,
            what=what,
        )
        self.what = what


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

    def __init__(self, *, registry: str, problem: str) -> None:
        super().__init__(
            f"{registry} could not be reached or broke off: {problem}. "
            "Run the same command again; finished parts are kept.",
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
            f"{registry} gave an answer that its protocol does not allow: {_ended(problem)} "
            "Check the registry's name, and whether a proxy answers in its place.",
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
            f'{reference}: config type "{media_type}" is not supported. {hint}',
            reference=reference,
            media_type=media_type,
            hint=hint,
        )
        self.reference = reference
        self.media_type = media_type
        self.hint = hint


class SignatureError(PyrunnerError):
    """A model is not signed as it should be: do not trust it."""


class SignatureNotFoundError(SignatureError):
    """The registry has no signature of this model."""

    code = "signature_not_found"

    def __init__(self, *, reference: str, digest: str) -> None:
        super().__init__(
            f"{reference} ({digest}) has no signature in its registry.",
            reference=reference,
            digest=digest,
        )
        self.reference = reference
        self.digest = digest


class SignatureMismatchError(SignatureError):
    """There are signatures of this model, and none of them fits the key and the model."""

    code = "signature_mismatch"

    def __init__(self, *, reference: str, digest: str, problem: str) -> None:
        super().__init__(
            f"{reference} ({digest}) has no signature that fits: {problem}. Do not trust it.",
            reference=reference,
            digest=digest,
            problem=problem,
        )
        self.reference = reference
        self.digest = digest
        self.problem = problem


class RequestCancelledError(PyrunnerError):
    """Whoever asked went away, so waiting for the answer was given up."""

    code = "request_cancelled"

    def __init__(self, *, during: str) -> None:
        super().__init__(f"The request was cancelled during {during}.", during=during)
        self.during = during


class ServerUnreachableError(PyrunnerError, ConnectionError):
    """The command needs a server and none answers."""

    code = "server_unreachable"
    retryable = True

    def __init__(self, *, address: str) -> None:
        super().__init__(
            f"No pyrunner server answers at {address}. Start one with: pyrunner serve",
            address=address,
        )
        self.address = address


class ServerAnswerError(PyrunnerError):
    """The server refused, in its own words, or its answer broke off; only clients raise this."""

    code = "server_answer"

    def __init__(self, *, status: int, message: str, error_code: str = "") -> None:
        super().__init__(message, status=status, message=message, error_code=error_code)
        self.status = status
        self.message = message
        self.error_code = error_code


class StoreError(PyrunnerError, OSError):
    """This disk."""


class StoreLockedError(StoreError):
    """Another process holds the store's lock for longer than the caller would wait."""

    code = "store_locked"
    retryable = True

    def __init__(self, *, path: str, timeout_s: float) -> None:
        super().__init__(
            f"{path} is locked by another process (waited {timeout_s:g} s). Try again.",
            path=path,
            timeout_s=timeout_s,
        )
        self.path = path


class StoreCorruptError(StoreError):
    """The store's files contradict each other."""

    code = "store_corrupt"

    def __init__(self, *, path: str, problem: str) -> None:
        super().__init__(
            f"{path} is damaged: {problem}. Remove the model and pull it again.",
            path=path,
            problem=problem,
        )
        self.path = path
        self.problem = problem


class StoreFullError(StoreError):
    """What shall come in does not fit on the disk."""

    code = "store_full"

    def __init__(self, *, path: str, needed_bytes: int, free_bytes: int) -> None:
        super().__init__(
            f"{path} has no room: {needed_bytes} bytes are needed and {free_bytes} are free. "
            "Remove models with: pyrunner rm",
            path=path,
            needed_bytes=needed_bytes,
            free_bytes=free_bytes,
        )
        self.path = path
        self.needed_bytes = needed_bytes
        self.free_bytes = free_bytes


class StoreReadOnlyError(StoreError):
    """The store may be read and not written: a read-only mount, or another user's folder."""

    code = "store_read_only"

    def __init__(self, *, path: str, problem: str) -> None:
        super().__init__(
            f"{path}: the model store cannot be written ({problem}). Its models can be listed and "
            "run; to change it, get write permission, or set PYRUNNER_HOME to another folder.",
            path=path,
            problem=problem,
        )
        self.path = path
        self.problem = problem


class StoreIOError(StoreError):
    """The operating system refused: disk full, no permission, no such folder."""

    code = "store_io"

    def __init__(self, *, path: str, problem: str) -> None:
        way_out = "Check the free space and the permissions there."
        super().__init__(f"{path}: {_ended(problem)} {way_out}", path=path, problem=problem)
        self.path = path
        self.problem = problem


class NativeError(PyrunnerError, RuntimeError):
    """This machine or this model."""


class ModelLoadError(NativeError):
    """llama.cpp refused the file."""

    code = "model_load_failed"

    def __init__(self, *, path: str, problem: str) -> None:
        super().__init__(
            f"The model {path} could not be loaded: {_ended(problem)} "
            "Pull it again, or use another version of it.",
            path=path,
            problem=problem,
        )
        self.path = path
        self.problem = problem


class ModelTooLargeError(NativeError):
    """The model does not fit even an empty machine."""

    code = "model_too_large"

    def __init__(self, *, needed_bytes: int, budget_bytes: int) -> None:
        super().__init__(
            f"The model needs {_mib(needed_bytes)} of memory and the budget is "
            f"{_mib(budget_bytes)}. "
            "Use a smaller quantisation or context size, or raise the memory budget.",
            needed_bytes=needed_bytes,
            budget_bytes=budget_bytes,
        )
        self.needed_bytes = needed_bytes
        self.budget_bytes = budget_bytes


class OutOfMemoryError(NativeError, MemoryError):
    """An allocation in native code failed."""

    code = "out_of_memory"

    def __init__(self, *, during: str) -> None:
        super().__init__(
            f"Memory ran out during {during}. Use a smaller context size or model.", during=during
        )
        self.during = during


class DecodeError(NativeError):
    """llama.cpp failed in the middle of a forward pass; the session is not usable any more."""

    code = "decode_failed"

    def __init__(self, *, status: int, during: str) -> None:
        super().__init__(
            f"The engine failed during {during} (status {status}). "
            "Try again; 'pyrunner logs' has its last lines.",
            status=status,
            during=during,
        )
        self.status = status
        self.during = during


class WorkerCrashedError(NativeError):
    """A worker process ended while it owed an answer."""

    code = "worker_crashed"
    retryable = True

    def __init__(self, *, reference: str, how: str) -> None:
        super().__init__(
            f"The worker of model {reference!r} ended unexpectedly ({how}). "
            "The next request loads it again; 'pyrunner logs' has its last lines.",
            reference=reference,
            how=how,
        )
        self.reference = reference
        self.how = how


class WorkerProtocolError(NativeError):
    """One side of a worker connection sent bytes that are no frame; the connection is closed."""

    code = "worker_protocol"

    def __init__(self, *, problem: str) -> None:
        super().__init__(
            f"The worker connection carried no valid frame: {_ended(problem)} "
            "Try again; if it repeats, unload the model first.",
            problem=problem,
        )
        self.problem = problem


class InvariantError(AssertionError):
    """A bug of ours. Deliberately outside PyrunnerError."""


def _ended(problem: str) -> str:
    """`problem` as the end of a sentence."""
    return problem if problem.endswith((".", "!", "?")) else f"{problem}."


def _mib(size_bytes: int) -> str:
    # The module that prints sizes raises errors of this one.
    return f"{-(-size_bytes // 2**20):,} MiB"


def _leaves(cls: type[PyrunnerError]) -> dict[str, type[PyrunnerError]]:
    children = cls.__subclasses__()
    if not children:
        return {cls.code: cls}
    found: dict[str, type[PyrunnerError]] = {}
    for child in children:
        found |= _leaves(child)
    return found


LEAVES: dict[str, type[PyrunnerError]] = _leaves(PyrunnerError)
"""Code to class, for every error that can be raised."""


def from_facts(code: str, facts: dict[str, Fact]) -> PyrunnerError:
    """Build the error that another process described.

    Raises:
        InvariantError: No leaf has this code, or its facts do not fit: the two sides run
            different versions, which the first frame of a connection should have noticed.
    """
    cls = LEAVES.get(code)
    if cls is None:
        raise InvariantError(f"unknown error code {code!r}")
    try:
        return _rebuild(cls, facts)
    except TypeError as error:
        raise InvariantError(f"{code!r} does not take the facts {sorted(facts)}") from error
