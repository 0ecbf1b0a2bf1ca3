"""Every error pyrunner raises on purpose; families answer "who can fix it?".

::

    Exception
    |- PyrunnerError                    code, retryable, facts
    |  |- InvalidRequestError (ValueError)          the caller
    |  |  |- ContextLengthError  |- InvalidParameterError   |- InvalidReferenceError
    |  |  |- KeyFileError        |- ModelFileError          |- MultipleTagsError
    |  |  |- NameNeededError     |- OutputFileError
    |  |  |- TemplateError       `- UnsupportedParameterError
    |  |- ConfigError (ValueError)                  the operator
    |  |- MissingPackageError                       the operator: install it
    |  |- NotFoundError (LookupError)               what was named is not there
    |  |  |- BackendNotFoundError  |- HubNotFoundError  `- ModelNotFoundError
    |  |- BusyError                    retryable    nobody: wait
    |  |  |- MemoryBudgetError  |- ModelLoadingError  |- QueueFullError  `- ShuttingDownError
    |  |- RegistryError                             the far side
    |  |  |- DigestMismatchError  |- HubAccessError  |- PushRefusedError  |- RegistryAuthError
    |  |  |- RegistryProtocolError  |- RegistryUnavailableError  `- UnsupportedArtifactError
    |  |- SignatureError                            whoever signed, or did not
    |  |  |- SignatureMismatchError  `- SignatureNotFoundError
    |  |- ServerAnswerError                         whoever the server says
    |  |- RequestCancelledError                     nobody waits for the answer any more
    |  |- ServerUnreachableError (ConnectionError)  start the server
    |  |- StoreError (OSError)                      this disk
    |  |  |- StoreCorruptError  |- StoreFormatError  |- StoreFullError  |- StoreIOError
    |  |  |- StoreLockedError   `- StoreReadOnlyError
    |  `- NativeError (RuntimeError)                this machine or this model
    |     |- ContextRefusedError  |- DecodeError  |- ModelLoadError  |- ModelTooLargeError
    |     |- OutOfMemoryError (MemoryError)  |- WorkerCrashedError  `- WorkerProtocolError
    `- AssertionError
       `- InvariantError                            us: a bug, never caught as a PyrunnerError

Facts are keyword arguments and attributes; the sentence is built in the class. `LEAVES` maps a
code to its class, which is how an error crosses the wire: ``LEAVES[code](**facts)``. HTTP statuses
live in `pyrunner.server.errors`, exit codes in `pyrunner.cli.main`. One module a
family; everybody imports from here.
"""

from pyrunner.errors.busy import (
    BusyError,
    MemoryBudgetError,
    ModelLoadingError,
    QueueFullError,
    ShuttingDownError,
)
from pyrunner.errors.caller import (
    REFETCH,
    ContextLengthError,
    InvalidParameterError,
    InvalidReferenceError,
    InvalidRequestError,
    KeyFileError,
    ModelFileError,
    MultipleTagsError,
    NameNeededError,
    OutputFileError,
    TemplateError,
    UnsupportedParameterError,
)
from pyrunner.errors.installation import ConfigError, MissingPackageError
from pyrunner.errors.missing import (
    BackendNotFoundError,
    HubNotFoundError,
    ModelNotFoundError,
    NotFoundError,
)
from pyrunner.errors.native import (
    ContextRefusedError,
    DecodeError,
    ModelLoadError,
    ModelTooLargeError,
    NativeError,
    OutOfMemoryError,
    WorkerCrashedError,
    WorkerProtocolError,
)
from pyrunner.errors.registry import (
    DigestMismatchError,
    HubAccessError,
    PushRefusedError,
    RegistryAuthError,
    RegistryError,
    RegistryProtocolError,
    RegistryUnavailableError,
    UnsupportedArtifactError,
)
from pyrunner.errors.root import Fact, InvariantError, PyrunnerError, rebuild
from pyrunner.errors.server import RequestCancelledError, ServerAnswerError, ServerUnreachableError
from pyrunner.errors.signature import SignatureError, SignatureMismatchError, SignatureNotFoundError
from pyrunner.errors.store import (
    StoreCorruptError,
    StoreError,
    StoreFormatError,
    StoreFullError,
    StoreIOError,
    StoreLockedError,
    StoreReadOnlyError,
)
from pyrunner.errors.wording import item_name

__all__ = [
    "LEAVES",
    "REFETCH",
    "BackendNotFoundError",
    "BusyError",
    "ConfigError",
    "ContextLengthError",
    "ContextRefusedError",
    "DecodeError",
    "DigestMismatchError",
    "Fact",
    "HubAccessError",
    "HubNotFoundError",
    "InvalidParameterError",
    "InvalidReferenceError",
    "InvalidRequestError",
    "InvariantError",
    "KeyFileError",
    "MemoryBudgetError",
    "MissingPackageError",
    "ModelFileError",
    "ModelLoadError",
    "ModelLoadingError",
    "ModelNotFoundError",
    "ModelTooLargeError",
    "MultipleTagsError",
    "NameNeededError",
    "NativeError",
    "NotFoundError",
    "OutOfMemoryError",
    "OutputFileError",
    "PushRefusedError",
    "PyrunnerError",
    "QueueFullError",
    "RegistryAuthError",
    "RegistryError",
    "RegistryProtocolError",
    "RegistryUnavailableError",
    "RequestCancelledError",
    "ServerAnswerError",
    "ServerUnreachableError",
    "ShuttingDownError",
    "SignatureError",
    "SignatureMismatchError",
    "SignatureNotFoundError",
    "StoreCorruptError",
    "StoreError",
    "StoreFormatError",
    "StoreFullError",
    "StoreIOError",
    "StoreLockedError",
    "StoreReadOnlyError",
    "TemplateError",
    "UnsupportedArtifactError",
    "UnsupportedParameterError",
    "WorkerCrashedError",
    "WorkerProtocolError",
    "from_facts",
    "item_name",
]


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
        return rebuild(cls, facts)
    except TypeError as error:
        raise InvariantError(f"{code!r} does not take the facts {sorted(facts)}") from error
