"""``/models``: list, inspect, delete, tag; pull and push are in `transferring`."""

import threading

import falcon

from pyrunner.errors import ModelNotFoundError, MultipleTagsError, PyrunnerError
from pyrunner.models import housekeeping, remote
from pyrunner.models.store import Store
from pyrunner.server.dependencies import Dependencies
from pyrunner.server.docker import rendering
from pyrunner.server.docker.archives import Exporting
from pyrunner.server.docker.queries import flag
from pyrunner.server.docker.repackaging import Repackaging
from pyrunner.server.docker.transferring import Pushing
from pyrunner.server.docker.transfers import Transfers
from pyrunner.server.errors import refuse_text, respond_error, respond_json


class ModelCollection:
    """``GET /models``."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Every model, in the order they came."""
        respond_json(resp, 200, [rendering.model(each) for each in self._store.list()])


class ModelItem:
    """``/models/{name}`` and, because names hold slashes, ``/models/{name}/{action}``."""

    def __init__(self, dependencies: Dependencies, transfers: Transfers) -> None:
        self._dependencies = dependencies
        self._store = dependencies.store
        self._transfers = transfers
        self._exporting = Exporting(self._store, transfers)
        self._pushing = Pushing(dependencies, transfers)
        self._repackaging = Repackaging(dependencies)

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """One model of the store or, with ``remote``, of its registry; or its tar."""
        exported, _, action = name.rpartition("/")
        if exported and action == "export":
            self._exporting.export(req, resp, exported)
            return
        try:
            if flag(req, "remote"):
                open_client = self._dependencies.open_client
                with self._transfers.admit(), open_client(None, threading.Event()) as client:
                    document = rendering.remote_model(remote.describe(self._store, client, name))
            else:
                document = rendering.model(self._store.find(name))
        except ModelNotFoundError as error:
            respond_error(req, resp, error, _not_found(error))
        else:
            respond_json(resp, 200, document)

    def on_delete(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Drop a tag, or a model with its last one; ``DELETE /models/purge`` drops all."""
        if name == "purge":
            self._purge(req, resp)
            return
        try:
            removed = self._store.remove(name, force=flag(req, "force"))
        except PyrunnerError as error:
            text = error.sentence
            if isinstance(error, ModelNotFoundError):
                text = "model not found"
            elif isinstance(error, MultipleTagsError):
                text += ": resource conflict"
            respond_error(req, resp, error, f"error while deleting model: {text}")
        else:
            respond_json(resp, 200, [{each.kind: each.what} for each in removed])

    def _purge(self, req: falcon.Request, resp: falcon.Response) -> None:
        try:
            housekeeping.purge(self._store)
        except PyrunnerError as error:
            respond_error(req, resp, error, f"error while purging models: {error.sentence}")
        else:
            resp.status = 200

    def on_post(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Tag, push or repackage."""
        name, _, action = name.rpartition("/")
        if not name:
            raise falcon.HTTPRouteNotFound
        if action == "tag":
            self._tag(req, resp, name)
        elif action == "push":
            self._pushing.push(req, resp, name)
        elif action == "repackage":
            self._repackaging.repackage(req, resp, name)
        else:
            refuse_text(resp, 404, f'unknown action "{action[:100]}"', "not_found")

    def _tag(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        repository, tag = req.get_param("repo"), req.get_param("tag")
        if not repository or not tag:
            message = "missing repo or tag query parameter"
            refuse_text(resp, 400, message, "invalid_parameter")
            return
        target = f"{repository}:{tag}"
        try:
            self._store.tag(name, target)
        except ModelNotFoundError as error:
            respond_error(req, resp, error, "model not found")
        except PyrunnerError as error:
            respond_error(req, resp, error, f"error while tagging model: {error.sentence}")
        else:
            message = f'Model tagged successfully with "{target}"'
            respond_json(resp, 201, {"message": message, "target": target})


def _not_found(error: ModelNotFoundError) -> str:
    if error.where == "store":
        return "model not found"
    return (
        f'error while getting remote model: failed to pull model "{error.reference}": '
        "MANIFEST_UNKNOWN - Model not found"
    )
