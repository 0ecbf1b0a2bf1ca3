"""Refusals in the form of the OCI distribution specification 1.1, section "Error codes"."""

from enum import Enum

import falcon
import msgspec

from pyrunner.errors import BusyError, InvalidReferenceError, PyrunnerError, QueueFullError
from pyrunner.server.errors import TABLE


class Refusal(Enum):
    """Code, status and message; the specification does not have those after the empty line."""

    BLOB_UNKNOWN = (404, "blob unknown to registry")
    DIGEST_INVALID = (400, "provided digest is not valid")
    MANIFEST_UNKNOWN = (404, "manifest unknown")
    NAME_INVALID = (400, "invalid repository name")
    NAME_UNKNOWN = (404, "repository name not known to registry")
    TOOMANYREQUESTS = (429, "too many requests")
    UNSUPPORTED = (405, "the operation is unsupported: this registry is read-only")

    NOT_FOUND = (404, "no such endpoint")
    PAGINATION_NUMBER_INVALID = (400, "invalid number of results requested")
    RANGE_INVALID = (416, "the blob has no such range")

    @property
    def status(self) -> int:
        """The HTTP status that goes with it."""
        return self.value[0]


class RefusedError(Exception):
    """Ends a request with a refusal; `RegistryFace.on_get` answers it."""

    def __init__(self, refusal: Refusal, detail: str = "") -> None:
        super().__init__(refusal.name)
        self.refusal = refusal
        self.detail = detail


def refuse(resp: falcon.Response, refusal: Refusal, detail: str = "") -> None:
    """Answer with one error and no stream."""
    _respond(resp, refusal.status, refusal.name, refusal.value[1], detail)


def refuse_error(resp: falcon.Response, error: PyrunnerError) -> None:
    """Answer a known error of ours."""
    if isinstance(error, BusyError):
        resp.set_header("Retry-After", str(error.retry_after_s))
    if isinstance(error, InvalidReferenceError):
        refuse(resp, Refusal.NAME_INVALID, error.problem)
    elif isinstance(error, QueueFullError):
        refuse(resp, Refusal.TOOMANYREQUESTS, error.sentence)
    else:
        _respond(resp, TABLE[type(error)].status, error.code.upper(), error.sentence, "")


def _respond(resp: falcon.Response, status: int, code: str, message: str, detail: str) -> None:
    error = {"code": code, "message": message} | ({"detail": detail} if detail else {})
    resp.status = status
    resp.content_type = falcon.MEDIA_JSON
    resp.data = msgspec.json.encode({"errors": [error]})
    resp.stream = None
