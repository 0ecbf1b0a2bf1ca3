"""The routes below ``/v2``. Repository names hold slashes, so one resource takes them all."""

import re
from collections.abc import Callable

import falcon

from pyrunner.errors import InvalidReferenceError, PyrunnerError
from pyrunner.models.repositories import Repositories, Repository
from pyrunner.models.store import Store
from pyrunner.registry.digest import Digest
from pyrunner.registry.manifest import MANIFEST_TYPE
from pyrunner.server.admission import Admission
from pyrunner.server.errors import respond_json
from pyrunner.server.registry.blobs import open_body
from pyrunner.server.registry.errors import Refusal, RefusedError, refuse, refuse_error
from pyrunner.server.registry.paging import page
from pyrunner.server.registry.ranges import Slice, UnsatisfiableError, parse_range

_DIGEST = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+")
"""``digest`` of the OCI image specification; every one may be asked for, sha256 ones are here."""
_OCTETS = "application/octet-stream"

_App = falcon.App[falcon.Request, falcon.Response]
_Answer = Callable[[falcon.Request, falcon.Response, Repository, str], None]


def add_routes(app: _App, store: Store, admission: Admission) -> None:
    """Answer everything below ``/v2``.

    Args:
        app: Gets the routes.
        store: Whose models are served.
        admission: Counts the blobs under way.
    """
    face = RegistryFace(store, admission)
    app.add_route("/v2", face)
    app.add_route("/v2/{rest:path}", face)


class RegistryFace:
    """``GET`` and ``HEAD`` of manifests, blobs, tags and the catalog."""

    def __init__(self, store: Store, admission: Admission) -> None:
        self._store = store
        self._repositories = Repositories(store)
        self._admission = admission
        self._routes: dict[str, _Answer] = {
            "manifests": self._manifest,
            "blobs": self._blob,
            "tags": self._tags,
        }

    def on_get(self, req: falcon.Request, resp: falcon.Response, rest: str = "") -> None:
        """Answer, or refuse in the specification's form."""
        resp.set_header("Docker-Distribution-Api-Version", "registry/2.0")
        try:
            self._route(req, resp, rest)
        except RefusedError as error:
            refuse(resp, error.refusal, error.detail)
        except PyrunnerError as error:
            refuse_error(resp, error)

    on_head = on_get

    def on_post(self, _req: falcon.Request, resp: falcon.Response, **_rest: str) -> None:
        """Refuse: nothing is pushed to here."""
        resp.set_header("Allow", "GET, HEAD")
        refuse(resp, Refusal.UNSUPPORTED)

    on_put = on_patch = on_delete = on_post

    def _route(self, req: falcon.Request, resp: falcon.Response, rest: str) -> None:
        if not rest:
            respond_json(resp, 200, {})
            return
        if rest == "_catalog":
            names = page(req, resp, self._repositories.names())
            respond_json(resp, 200, {"repositories": names})
            return
        head, _, end = rest.rpartition("/")
        name, _, kind = head.rpartition("/")
        answer = self._routes.get(kind)
        if answer is None or not name:
            raise RefusedError(Refusal.NOT_FOUND)
        repository = self._repositories.find(name)
        if repository is None:
            raise RefusedError(Refusal.NAME_UNKNOWN, name)
        answer(req, resp, repository, end)

    def _tags(
        self, req: falcon.Request, resp: falcon.Response, repository: Repository, end: str
    ) -> None:
        if end != "list":
            raise RefusedError(Refusal.NOT_FOUND)
        tags = page(req, resp, sorted(repository.tags))
        respond_json(resp, 200, {"name": repository.name, "tags": tags})

    def _manifest(
        self, req: falcon.Request, resp: falcon.Response, repository: Repository, end: str
    ) -> None:
        unknown = RefusedError(Refusal.MANIFEST_UNKNOWN, end)
        digest = _digest(end, unknown) if ":" in end else repository.tags.get(end)
        if digest is None or digest not in repository.digests:
            raise unknown
        found = self._repositories.manifest(digest)
        if found is None:
            raise unknown
        if not _is_known(req, resp, digest):
            content, media_type = found
            resp.content_type = media_type or MANIFEST_TYPE
            resp.data = content

    def _blob(
        self, req: falcon.Request, resp: falcon.Response, repository: Repository, end: str
    ) -> None:
        unknown = RefusedError(Refusal.BLOB_UNKNOWN, end)
        digest = _digest(end, unknown)
        blob = self._repositories.blob(repository, digest)
        if blob is None or not self._store.blobs.has(blob):
            raise unknown
        if _is_known(req, resp, digest):
            return
        part = _asked(req, resp, digest, blob.size)
        sent = part or Slice(0, blob.size)
        resp.content_type = _OCTETS
        if req.method == "HEAD":
            resp.content_length = sent.n_bytes
            return
        body = open_body(self._store, self._admission.blobs, blob, sent)
        if body is None:
            raise unknown
        resp.set_stream(body, sent.n_bytes)
        if part is not None:
            resp.status = 206
            resp.set_header("Content-Range", part.content_range(blob.size))


def _digest(text: str, unknown: RefusedError) -> Digest:
    """Read a digest; one of another algorithm is fine, and unknown."""
    try:
        return Digest(text)
    except InvalidReferenceError as error:
        if _DIGEST.fullmatch(text) and not text.startswith("sha256:"):
            raise unknown from error
        raise RefusedError(Refusal.DIGEST_INVALID, error.problem) from error


def _is_known(req: falcon.Request, resp: falcon.Response, digest: Digest) -> bool:
    """Say which content this is, and answer 304 when the client has it."""
    resp.set_header("Docker-Content-Digest", digest.text)
    resp.set_header("Etag", f'"{digest}"')
    known = req.if_none_match or ()
    if digest not in known and "*" not in known:
        return False
    resp.status = 304
    return True


def _asked(req: falcon.Request, resp: falcon.Response, digest: Digest, size: int) -> Slice | None:
    """Which part is asked for, None for all."""
    resp.set_header("Accept-Ranges", "bytes")
    if req.method != "GET" or req.get_header("If-Range") not in (None, f'"{digest}"'):
        return None
    try:
        return parse_range(req.get_header("Range"), size)
    except UnsatisfiableError as error:
        resp.set_header("Content-Range", f"bytes */{size}")
        raise RefusedError(Refusal.RANGE_INVALID) from error
