"""``GET /models/{name}/export`` and ``POST /models/load``: models as tar streams."""

from collections.abc import Iterator

import falcon

from pyrunner.errors import InvalidParameterError, ModelNotFoundError, PyrunnerError
from pyrunner.models.progress import ProgressEvent
from pyrunner.models.store import Store
from pyrunner.models.tar_loading import load
from pyrunner.models.tar_writing import ModelTar
from pyrunner.server.admission import Ticket
from pyrunner.server.docker.transfers import Transfers
from pyrunner.server.errors import TEXT, respond_error

MODEL_ID = "X-Model-Id"
"""Header with the id of what was loaded: Docker's answer does not say it."""
_TAR = "application/x-tar"


class Exporting:
    """``GET /models/{name}/export``; `ModelItem` routes to it."""

    def __init__(self, store: Store, transfers: Transfers) -> None:
        self._store = store
        self._transfers = transfers

    def export(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Send a model; it is leased until the last byte is sent or the client is gone."""
        ticket = self._transfers.admit()
        try:
            tar = ModelTar(self._store, name)
        except ModelNotFoundError as error:
            ticket.release()
            respond_error(req, resp, error, "model not found")
            return
        except BaseException:
            ticket.release()
            raise
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        resp.content_type = _TAR
        resp.set_header("Content-Disposition", f'attachment; filename="{quoted}.tar"')
        # With a length a client sees that an answer broke off.
        resp.content_length = tar.size_bytes
        resp.stream = _TarBody(tar, ticket)


class _TarBody:
    """A WSGI response body."""

    def __init__(self, tar: ModelTar, ticket: Ticket) -> None:
        self._tar = tar
        self._ticket = ticket

    def __iter__(self) -> Iterator[bytes]:
        return self._tar.chunks()

    def close(self) -> None:
        """End the lease. Called by the WSGI server."""
        self._tar.close()
        self._ticket.release()


class Loading:
    """``POST /models/load``."""

    def __init__(self, store: Store, transfers: Transfers, max_bytes: int) -> None:
        self._store = store
        self._transfers = transfers
        self._max_bytes = max_bytes

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Take a model, untagged, and answer one line of success."""
        if (req.content_length or 0) > self._max_bytes:
            problem = f"is too large: the limit is {self._max_bytes} bytes"
            raise InvalidParameterError(param="body", problem=problem)
        try:
            with self._transfers.admit():
                model = load(self._store, req.bounded_stream, "the tar")
        except PyrunnerError as error:
            respond_error(req, resp, error, f"error while loading model: {error.sentence}")
            return
        done = ProgressEvent(type="success", message="Model loaded successfully", mode="pull")
        resp.content_type = TEXT
        resp.set_header(MODEL_ID, model.id)
        resp.data = done.to_json().encode() + b"\n"
