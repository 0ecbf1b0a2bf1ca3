"""``POST /models/create`` (pull) and ``POST /models/{name}/push``."""

import threading

import falcon
import msgspec

from pyrunner.errors import (
    InvalidParameterError,
    InvalidReferenceError,
    ModelNotFoundError,
    PyrunnerError,
    RegistryAuthError,
)
from pyrunner.models import transfer
from pyrunner.models.progress import Mode
from pyrunner.registry.credential import MAX_TOKEN, GivenToken, is_token
from pyrunner.registry.reference import Reference
from pyrunner.server.body import convert, decode_json, read_bytes
from pyrunner.server.dependencies import Dependencies
from pyrunner.server.docker import progress
from pyrunner.server.docker.transfers import Transfers
from pyrunner.server.errors import respond_error
from pyrunner.server.waiting import ClientWatch


class _Push(msgspec.Struct, forbid_unknown_fields=True):
    bearer_token: str | None = msgspec.field(name="bearer-token", default=None)
    """For the registry of the model, in place of this machine's credentials; empty is none."""


class _Pull(_Push, forbid_unknown_fields=True):
    source: str = msgspec.field(name="from", default="")
    ignores_memory_check: bool = msgspec.field(name="ignore-runtime-memory-check", default=False)
    """Older Docker clients send it; a pull has never looked at memory here."""


class Pulling:
    """``POST /models/create``."""

    def __init__(self, dependencies: Dependencies, transfers: Transfers) -> None:
        self._dependencies = dependencies
        self._transfers = transfers

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Pull a model and tell its progress."""
        dependencies = self._dependencies
        try:
            asked = convert(_read(dependencies, req), _Pull)
            token = _token(asked, dependencies.store.parse(asked.source))
            watch = ClientWatch(req.env, dependencies.admission)

            def pull(on_progress: transfer.OnProgress, cancelled: threading.Event) -> None:
                with dependencies.open_client(token, cancelled) as client:
                    transfer.pull(dependencies.store, client, asked.source, on_progress)

            running = self._transfers.start("pull", pull)
            progress.respond(req, resp, running, watch, "pull")
        except PyrunnerError as error:
            respond_error(req, resp, error, _text(error, "pull"))


class Pushing:
    """``POST /models/{name}/push``; `ModelItem` routes to it."""

    def __init__(self, dependencies: Dependencies, transfers: Transfers) -> None:
        self._dependencies = dependencies
        self._transfers = transfers

    def push(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Push a model and tell its progress."""
        dependencies = self._dependencies
        try:
            asked = convert(_read(dependencies, req), _Push)
            token = _token(asked, dependencies.store.parse(name))
            watch = ClientWatch(req.env, dependencies.admission)

            def push(on_progress: transfer.OnProgress, cancelled: threading.Event) -> None:
                with dependencies.open_client(token, cancelled) as client:
                    transfer.push(dependencies.store, client, name, on_progress)

            running = self._transfers.start("push", push)
            progress.respond(req, resp, running, watch, "push")
        except PyrunnerError as error:
            respond_error(req, resp, error, _text(error, "push"))


def _read(dependencies: Dependencies, req: falcon.Request) -> dict[str, object]:
    data = read_bytes(req, dependencies.settings.server.max_body_bytes)
    document = decode_json(data) if data.strip() else {}
    if not isinstance(document, dict):
        raise InvalidParameterError(param="body", problem="has to be a JSON object")
    return document


def _token(asked: _Push, reference: Reference) -> GivenToken | None:
    if not asked.bearer_token:
        return None
    if not is_token(asked.bearer_token):
        problem = f"has to be 1 to {MAX_TOKEN} characters of printable ASCII, without spaces"
        raise InvalidParameterError(param="bearer-token", problem=problem)
    return GivenToken(reference.registry, asked.bearer_token)


def _text(error: PyrunnerError, mode: Mode) -> str:
    match error:
        case ModelNotFoundError():
            return "Model not found"
        case InvalidReferenceError():
            return error.sentence  # "Invalid model reference ...", as Docker Model Runner says
        case RegistryAuthError():
            return f"Unauthorized: {error.sentence}"
        case InvalidParameterError():
            return f"invalid request body: {error.sentence}"
        case _:
            return f"error while {mode}ing model: {error.sentence}"
