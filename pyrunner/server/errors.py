"""Errors to HTTP: the only place that knows a status.

OpenAI routes answer OpenAI's JSON envelope, all others one line of text as Docker Model Runner
does. A test asserts that every leaf of `pyrunner.errors` has a row here.
"""

from dataclasses import dataclass

import falcon
import msgspec

from pyrunner import errors, log
from pyrunner.errors import PyrunnerError
from pyrunner.server.paths import clean_path, is_docker, is_openai

_logger = log.get("server")

TEXT = "text/plain; charset=utf-8"
CODE_HEADER = "X-Error-Code"

CODES = {404: "not_found", 413: "body_too_large", 431: "headers_too_large", 501: "not_implemented"}
"""Codes of what is refused before a resource sees it; other statuses have the two below."""


@dataclass(frozen=True, slots=True)
class Row:
    """How one error class looks from outside."""

    status: int
    type: str
    """OpenAI's `error.type`."""


_INVALID = "invalid_request_error"
_SERVER = "server_error"
_UPSTREAM = "upstream_error"

TABLE: dict[type[PyrunnerError], Row] = {
    errors.ContextLengthError: Row(400, _INVALID),
    errors.InvalidParameterError: Row(400, _INVALID),
    errors.UnsupportedParameterError: Row(400, _INVALID),
    errors.InvalidReferenceError: Row(400, _INVALID),
    errors.TemplateError: Row(400, _INVALID),
    errors.KeyFileError: Row(422, _INVALID),
    errors.MultipleTagsError: Row(409, _INVALID),
    errors.ModelFileError: Row(422, _INVALID),
    errors.NameNeededError: Row(400, _INVALID),
    errors.OutputFileError: Row(400, _INVALID),
    errors.ModelNotFoundError: Row(404, _INVALID),
    errors.BackendNotFoundError: Row(404, _INVALID),
    errors.HubNotFoundError: Row(404, _INVALID),
    errors.ConfigError: Row(500, _SERVER),
    errors.MissingPackageError: Row(500, _SERVER),
    errors.MemoryBudgetError: Row(503, _SERVER),
    errors.ModelLoadingError: Row(503, _SERVER),
    errors.QueueFullError: Row(503, _SERVER),
    errors.ShuttingDownError: Row(503, _SERVER),
    errors.RegistryAuthError: Row(401, "authentication_error"),
    errors.HubAccessError: Row(401, "authentication_error"),
    errors.RegistryUnavailableError: Row(502, _UPSTREAM),
    errors.PushRefusedError: Row(502, _UPSTREAM),
    errors.RegistryProtocolError: Row(502, _UPSTREAM),
    errors.DigestMismatchError: Row(502, _UPSTREAM),
    errors.UnsupportedArtifactError: Row(422, _INVALID),
    errors.SignatureMismatchError: Row(422, _INVALID),
    errors.SignatureNotFoundError: Row(422, _INVALID),
    errors.RequestCancelledError: Row(499, _INVALID),
    errors.ServerUnreachableError: Row(502, _UPSTREAM),
    errors.ServerAnswerError: Row(502, _UPSTREAM),
    errors.StoreLockedError: Row(503, _SERVER),
    errors.StoreCorruptError: Row(500, _SERVER),
    errors.StoreFormatError: Row(500, _SERVER),
    errors.StoreFullError: Row(507, _SERVER),
    errors.StoreIOError: Row(500, _SERVER),
    errors.StoreReadOnlyError: Row(500, _SERVER),
    errors.DecodeError: Row(500, _SERVER),
    errors.ModelLoadError: Row(500, _SERVER),
    errors.ContextRefusedError: Row(500, _SERVER),
    errors.ModelTooLargeError: Row(500, _SERVER),
    errors.OutOfMemoryError: Row(500, _SERVER),
    errors.WorkerCrashedError: Row(500, _SERVER),
    errors.WorkerProtocolError: Row(500, _SERVER),
}


def envelope(error: PyrunnerError) -> dict[str, dict[str, object]]:
    """OpenAI's form of an error; `param` is there when one parameter is to blame.

    A bad reference adds ``at``, the offset of its first wrong character.
    """
    row = TABLE[type(error)]
    param = error.facts.get("param")
    if isinstance(error, errors.ModelNotFoundError | errors.InvalidReferenceError):
        param = "model"
    document = _document(error.sentence, row.type, param, error.code)
    if isinstance(error, errors.InvalidReferenceError):
        document["error"]["at"] = error.at
    return document


def internal_envelope() -> dict[str, dict[str, object]]:
    """What a client learns of a bug: that it is ours."""
    return _document(
        "An internal error happened; the server's log has the details.", _SERVER, None, "internal"
    )


def respond_text(resp: falcon.Response, status: int, message: str) -> None:
    """Answer as Go's ``http.Error`` does."""
    resp.status = status
    resp.content_type = TEXT
    resp.set_header("X-Content-Type-Options", "nosniff")
    resp.text = message + "\n"
    resp.stream = None


def respond_json(resp: falcon.Response, status: int, document: object) -> None:
    """Answer with a JSON document and, like Go's encoder, a line break after it."""
    resp.status = status
    resp.content_type = falcon.MEDIA_JSON
    resp.data = msgspec.json.encode(document) + b"\n"
    resp.stream = None


def deny(req: falcon.Request, resp: falcon.Response, message: str, code: str) -> None:
    """Answer 403 in the route's dialect and stop there."""
    _refuse(req, resp, 403, _document(message, "permission_error", None, code))
    resp.complete = True


def refuse_text(resp: falcon.Response, status: int, message: str, code: str) -> None:
    """Refuse in one line of text what no error class stands for."""
    resp.set_header(CODE_HEADER, code)
    respond_text(resp, status, message)


def refused_before_routing(path: str, status: int, message: str) -> tuple[str, str, bytes]:
    """The answer to a request that no application saw, in the dialect of its path.

    Returns:
        Its code, its content type and its body.
    """
    code = _code(status)
    if is_openai(clean_path(path)):
        document = _document(message, _INVALID, None, code)
        return code, falcon.MEDIA_JSON, msgspec.json.encode(document) + b"\n"
    return code, TEXT, f"{message}\n".encode()


def respond_error(
    req: falcon.Request, resp: falcon.Response, error: PyrunnerError, text: str | None = None
) -> None:
    """Answer a known error in the route's dialect.

    Args:
        req: Its path chooses the dialect.
        resp: Whatever was set on it before is replaced.
        error: A leaf of `pyrunner.errors`.
        text: Instead of the error's sentence, on a text route.
    """
    row = TABLE[type(error)]
    # Text routes have no other place for it, and our command line turns it into an exit code.
    resp.set_header(CODE_HEADER, error.code)
    if row.status >= 500:
        _logger.warning("%s %s: %s", req.method, req.path, error)
        # The official OpenAI clients repeat every 5xx unless told not to.
        resp.set_header("X-Should-Retry", "true" if error.retryable else "false")
    if isinstance(error, errors.BusyError):
        resp.set_header("Retry-After", str(error.retry_after_s))
    elif error.retryable and row.status == 503:
        resp.set_header("Retry-After", "1")
    if is_openai(req.path):
        respond_json(resp, row.status, envelope(error))
    else:
        respond_text(resp, row.status, error.sentence if text is None else text)


def install(app: "falcon.App[falcon.Request, falcon.Response]") -> None:
    """Register the handlers: our tree, Falcon's own errors, and everything else."""
    # The most general first: Falcon asks them in the reverse order.
    app.add_error_handler(Exception, _on_bug)
    app.add_error_handler(falcon.HTTPError, _on_http_error)
    app.add_error_handler(PyrunnerError, _on_error)


def _document(message: str, kind: str, param: object, code: str) -> dict[str, dict[str, object]]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _code(status: int) -> str:
    return CODES.get(status, "bad_request" if status < 500 else "internal")


def _refuse(
    req: falcon.Request,
    resp: falcon.Response,
    status: int,
    document: dict[str, dict[str, object]],
) -> None:
    error = document["error"]
    resp.set_header(CODE_HEADER, str(error["code"]))
    if is_openai(req.path):
        respond_json(resp, status, document)
    else:
        respond_text(resp, status, str(error["message"]))


def _on_error(
    req: falcon.Request, resp: falcon.Response, error: PyrunnerError, _params: dict[str, object]
) -> None:
    respond_error(req, resp, error)


def _on_http_error(
    req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, _params: dict[str, object]
) -> None:
    status = error.status_code
    message = error.description or error.title or "bad request"
    if isinstance(error, falcon.HTTPRouteNotFound | falcon.HTTPMethodNotAllowed):
        status = 404
        message = "not found" if is_docker(req.path) else "404 page not found"
        if is_openai(req.path):
            message = f"not found: {req.method} {req.path[:200]}"
    _refuse(req, resp, status, _document(message, _INVALID, None, _code(status)))


def _on_bug(
    req: falcon.Request, resp: falcon.Response, error: Exception, _params: dict[str, object]
) -> None:
    _logger.error("%s %s failed", req.method, req.path, exc_info=error)
    resp.set_header("X-Should-Retry", "false")
    if is_openai(req.path):
        _refuse(req, resp, 500, internal_envelope())
    else:
        refuse_text(resp, 500, "internal server error", "internal")
