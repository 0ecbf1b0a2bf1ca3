"""The Hugging Face hub's HTTP API: repositories, revisions and files; nothing of models.

The shapes are those of the hub's OpenAPI page and of what `huggingface_hub` sends and reads:
``/api/models/REPO/revision/REV``, ``/api/models/REPO/tree/REV`` in pages that a ``Link`` header
connects, ``/REPO/resolve/REV/PATH``, and ``X-Error-Code`` on refusals.
"""

import hashlib
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Never, TypeVar
from urllib.parse import quote, urljoin, urlsplit

import msgspec

from pyrunner.config import environment_value
from pyrunner.errors import (
    ConfigError,
    DigestMismatchError,
    HubAccessError,
    HubNotFoundError,
    InvalidReferenceError,
    RegistryProtocolError,
)
from pyrunner.registry.client import RegistryClient
from pyrunner.registry.credential import bearer
from pyrunner.registry.digest import Digest
from pyrunner.registry.hosts import is_plain_http, is_same_origin
from pyrunner.registry.hub_token import hub_token
from pyrunner.registry.reference import HUGGING_FACE
from pyrunner.registry.transport import Request, Response

MAIN = "main"
"""The revision that is meant when none is named."""
MAX_ANSWER_BYTES = 8 * 1024 * 1024
"""Longest answer about a repository, and longest page of a listing."""
MAX_FILES = 20_000
"""Longest listing of one repository."""
MAX_PATH = 1024

_ANSWERS = frozenset({200, 206, 416})
_COMMIT = re.compile(r"[0-9a-f]{40}")
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)?")
_NEXT = re.compile(r'<([^<>]{1,4096})>\s*;[^,]*\brel="?next"?')
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class HubRevision:
    """One state of a repository, which never changes."""

    repository: str
    """As its owner writes it: ``Org/Repo``."""
    commit: str
    """40 hex digits."""

    @property
    def page(self) -> str:
        """Where a person reads about it, wherever the files come from."""
        return _page(self.repository)


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFile:
    """One file of a revision."""

    path: str
    """Checked: no way out of a folder, no control characters."""
    size_bytes: int
    git_oid: str
    """sha1 of git's blob; of an LFS file it is the pointer's."""
    sha256: Digest | None
    """None for a file that is not in LFS."""


class _Lfs(msgspec.Struct):
    oid: str
    size: int


class _Entry(msgspec.Struct):
    path: str
    type: str = "file"
    size: int = 0
    oid: str = ""
    lfs: _Lfs | None = None


class _Info(msgspec.Struct):
    sha: str
    id: str = ""


class HuggingFace:
    """Asks the hub. Any thread.

    Args:
        client: Lends its transport, its limits and its event to cancel, and the token that it was
            given for the hub.
        environment: Gives one environment variable, None when unset or empty: ``HF_ENDPOINT``, and
            what `hub_token` reads.

    Raises:
        ConfigError: ``HF_ENDPOINT`` is no address to send a token to.
    """

    def __init__(
        self,
        client: RegistryClient,
        environment: Callable[[str], str | None] = environment_value,
    ) -> None:
        self.config = client.config
        self.transport = client.transport
        self._cancelled = client.cancelled
        self._endpoint = _endpoint(environment("HF_ENDPOINT"), client.config.insecure)
        self._token = client.token_for(HUGGING_FACE) or hub_token(environment)
        self.name = urlsplit(self._endpoint).netloc

    def revision(
        self, repository: str, name: str = MAIN, cancelled: threading.Event | None = None
    ) -> HubRevision:
        """What a branch, a tag or a commit of a repository stands for now.

        Raises:
            HubNotFoundError: No such repository or revision, or it is hidden from us.
            HubAccessError: The token is refused or may not read it.
            RegistryProtocolError: An answer that cannot be read.
            RegistryUnavailableError: No answer within the attempts.
        """
        path = f"/api/models/{quote(repository)}/revision/{quote(name, safe='')}"
        with self._get(self._endpoint + path, {}, cancelled) as response:
            if response.status != 200:
                self.refuse(response, repository, name)
            info = self._decode(response, _Info)
        repository = info.id or repository
        if not _COMMIT.fullmatch(info.sha) or not _REPOSITORY.fullmatch(repository):
            raise self._wrong("a revision without a commit")
        return HubRevision(repository, info.sha)

    def files(
        self, revision: HubRevision, cancelled: threading.Event | None = None
    ) -> tuple[HubFile, ...]:
        """All files of a revision, in the hub's order.

        Raises:
            HubNotFoundError: It is gone meanwhile.
            HubAccessError: The token may not read it.
            RegistryProtocolError: Dangerous paths, more than `MAX_FILES`, or no listing.
            RegistryUnavailableError: No answer within the attempts.
        """
        url = f"{self._endpoint}/api/models/{quote(revision.repository)}/tree/{revision.commit}"
        page: str | None = f"{url}?recursive=true"
        entries: list[_Entry] = []
        seen: set[str] = set()
        while page is not None:
            if page in seen:
                raise self._wrong("a listing that goes in circles")
            seen.add(page)
            with self._get(page, {}, cancelled) as response:
                if response.status != 200:
                    self.refuse(response, revision.repository, revision.commit)
                found = self._decode(response, list[_Entry])
                page = self._next(page, response)
            entries += found
            if len(entries) > MAX_FILES or (page is not None and not found):
                raise self._wrong(f"a listing without end, or of more than {MAX_FILES} files")
        return tuple(self._file(each) for each in entries if each.type == "file")

    def read(
        self,
        revision: HubRevision,
        file: HubFile,
        max_bytes: int,
        cancelled: threading.Event | None = None,
    ) -> bytes:
        """A small file that is not in LFS, compared with its size and git's hash.

        Raises:
            DigestMismatchError: Other bytes than the listing promised.
            HubNotFoundError: It is gone meanwhile.
            HubAccessError: The token may not read it.
            RegistryProtocolError: It is longer than `max_bytes`.
            RegistryUnavailableError: No answer within the attempts.
        """
        if file.size_bytes > max_bytes:
            raise self._wrong(f"{file.path!r}, which is not in LFS, of more than {max_bytes} bytes")
        with self.open(revision, file, {}, cancelled) as response:
            content = response.read(max_bytes)
        # git's object id: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects
        header = f"blob {len(content)}\0".encode()
        actual = hashlib.sha1(header + content, usedforsecurity=False).hexdigest()
        if actual != file.git_oid or len(content) != file.size_bytes:
            raise DigestMismatchError(
                expected=f"git:{file.git_oid}", actual=f"git:{actual}", size_bytes=len(content)
            )
        return content

    def open(
        self,
        revision: HubRevision,
        file: HubFile,
        headers: Mapping[str, str],
        cancelled: threading.Event | None = None,
    ) -> Response:
        """Ask for a file's bytes; the caller closes the answer, which is 200, 206 or 416.

        The hub redirects to a host for content, which gets no token.

        Raises:
            HubNotFoundError: It is gone meanwhile.
            HubAccessError: The repository is gated, or the token may not read it.
            RegistryProtocolError: Any other answer.
            RegistryUnavailableError: No answer within the attempts.
        """
        path = f"/{quote(revision.repository)}/resolve/{revision.commit}/{quote(file.path)}"
        response = self._get(self._endpoint + path, headers, cancelled)
        if response.status not in _ANSWERS:
            with response:
                self.refuse(response, revision.repository, file.path)
        return response

    def refuse(self, response: Response, repository: str, what: str) -> Never:
        """Turn an answer that is no success into the error it means."""
        page = _page(repository)
        code = response.headers.get("X-Error-Code", "")
        if not is_same_origin(response.url, self._endpoint):
            raise self._wrong(f"HTTP {response.status} of the host that it redirects to")
        if code == "GatedRepo":
            raise HubAccessError(page=page, status=response.status, is_gated=True)
        if code in {"RevisionNotFound", "EntryNotFound"}:
            raise HubNotFoundError(page=page, problem=f"has no {what[:200]!r}.")
        is_anonymous = response.status == 401 and self._token is None
        if response.status == 404 or code == "RepoNotFound" or is_anonymous:
            # The hub tells strangers 401 for what does not exist, too.
            problem = "does not exist, or is private. Check the name, or set HF_TOKEN."
            raise HubNotFoundError(page=page, problem=problem)
        if response.status in {401, 403}:
            raise HubAccessError(page=page, status=response.status, is_gated=False)
        raise self._wrong(f"HTTP {response.status}")

    def _get(
        self, url: str, headers: Mapping[str, str], cancelled: threading.Event | None
    ) -> Response:
        sent = dict(headers)
        if self._token is not None:
            sent["Authorization"] = bearer(self._token)
        request = Request(method="GET", url=url, registry=self.name, headers=sent)
        return self.transport.send(request, cancelled or self._cancelled)

    def _decode(self, response: Response, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(response.read(MAX_ANSWER_BYTES), type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._wrong(f"an answer that cannot be read ({error})") from error

    def _next(self, page: str, response: Response) -> str | None:
        match = _NEXT.search(response.headers.get("Link", ""))
        if match is None:
            return None
        try:
            target = urljoin(page, str(match[1]))
            if is_same_origin(target, self._endpoint):
                return target
            parts = urlsplit(target)
        except ValueError as error:
            raise self._wrong("a listing that continues at no address") from error
        # A mirror may pass the hub's own links on; the token stays where it was sent.
        return f"{self._endpoint}{parts.path}?{parts.query}"

    def _file(self, entry: _Entry) -> HubFile:
        size_bytes = entry.lfs.size if entry.lfs else entry.size
        if not _is_safe(entry.path) or size_bytes < 0:
            raise self._wrong(f"a listing with the file {entry.path[:200]!r}")
        try:
            sha256 = Digest.from_hex(entry.lfs.oid.removeprefix("sha256:")) if entry.lfs else None
        except InvalidReferenceError as error:
            raise self._wrong(f"a listing with no sha256 of {entry.path[:200]!r}") from error
        return HubFile(path=entry.path, size_bytes=size_bytes, git_oid=entry.oid, sha256=sha256)

    def _wrong(self, problem: str) -> RegistryProtocolError:
        return RegistryProtocolError(registry=self.name, problem=problem)


class HubBlob:
    """A file of a revision, as a `BlobSource`: every answer is of the same commit."""

    def __init__(self, hub: HuggingFace, revision: HubRevision, file: HubFile) -> None:
        self.name = hub.name
        self.max_attempts = hub.config.max_attempts
        self._hub = hub
        self._revision = revision
        self._file = file

    def open(self, first: int, last: int | None, cancelled: threading.Event) -> Response:
        """Ask for bytes; see `BlobSource`. The content host's address is asked for each time."""
        headers = {}
        if first > 0 or last is not None:
            headers["Range"] = f"bytes={first}-{'' if last is None else last}"
        return self._hub.open(self._revision, self._file, headers, cancelled)

    def pause(self, n_failed: int, cancelled: threading.Event) -> None:
        """Wait; see `BlobSource`."""
        self._hub.transport.pause(n_failed, cancelled, registry=self.name)


def _page(repository: str) -> str:
    return f"https://{HUGGING_FACE}/{repository}"


def _is_safe(path: str) -> bool:
    parts = path.split("/")
    is_plain = path.isprintable() and "\\" not in path and len(path) <= MAX_PATH
    return is_plain and not any(part in {"", ".", ".."} for part in parts)


def _endpoint(given: str | None, insecure: tuple[str, ...]) -> str:
    if given is None:
        return f"https://{HUGGING_FACE}"
    try:
        parts = urlsplit(given)
        is_http = parts.scheme == "http" and is_plain_http(parts.netloc, insecure)
        is_fine = parts.scheme == "https" or is_http
        is_fine = is_fine and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_fine = False
    if not is_fine or parts.username is not None or parts.query or parts.fragment:
        raise ConfigError(
            key="HF_ENDPOINT",
            source="environment",
            problem="write an address such as https://huggingface.co; http only for this machine "
            "and the hosts in registry.insecure",
        )
    return given.rstrip("/")
