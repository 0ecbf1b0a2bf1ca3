"""A Hugging Face hub in this process, with a host for content beside it, good or hostile.

Answers have the shapes of the real API; each host has faults as `scripted_registry` has them.
"""

import contextlib
import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from support.scripted_registry import Handler, ScriptedRegistry

_INFO = re.compile(r"/api/models/(.+)/revision/([^/]+)")
_TREE = re.compile(r"/api/models/(.+)/tree/([^/]+)")
_RESOLVE = re.compile(r"/(.+)/resolve/([^/]+)/(.+)")
_CONTENT = re.compile(r"/cdn/([0-9a-f]{40})/(.+)")


@dataclass
class HubRepository:
    """One repository; a commit is a set of files."""

    name: str
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    revisions: dict[str, str] = field(default_factory=dict)
    plain: set[str] = field(default_factory=set)
    """Paths that are not in LFS."""
    token: str | None = None
    """Who has it not is told that there is no such repository."""
    is_gated: bool = False
    page_size: int = 1000

    def commit(self, files: dict[str, bytes], *names: str) -> str:
        """Add a state and make branches, ``main`` if none is named, point to it."""
        commit = hashlib.sha1(msgspec.msgpack.encode([len(self.commits), files])).hexdigest()
        self.commits[commit] = files
        self.revisions |= dict.fromkeys(names or ["main"], commit)
        return commit

    def entry(self, path: str, content: bytes) -> dict[str, object]:
        """One element of the tree."""
        blob = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
        entry: dict[str, object] = {"type": "file", "path": path, "size": len(content)}
        if path in self.plain:
            return entry | {"oid": blob}
        sha256 = hashlib.sha256(content).hexdigest()
        lfs = {"oid": sha256, "size": len(content), "pointerSize": 135}
        return entry | {"oid": "0" * 40, "lfs": lfs}


@dataclass
class ScriptedHub(ScriptedRegistry):
    """What it has, its script, and what it was asked; `content` is the other host's."""

    repositories: dict[str, HubRepository] = field(default_factory=dict)
    """Lower-case name to repository: the hub does not tell cases apart."""
    content: ScriptedRegistry = field(default_factory=lambda: ScriptedRegistry(""))

    def add(self, name: str) -> HubRepository:
        """A new empty repository."""
        repository = HubRepository(name)
        self.repositories[name.lower()] = repository
        return repository


class _HubHandler(Handler):
    registry: ScriptedHub

    def _serve(self) -> None:
        path = unquote(urlsplit(self.path).path)
        for pattern, serve in (
            (_INFO, self._serve_info),
            (_TREE, self._serve_tree),
            (_RESOLVE, self._serve_file),
        ):
            match = pattern.fullmatch(path)
            if match is not None:
                self._serve_found(match, serve)
                return
        self.reply(404)

    def _serve_found(self, match: "re.Match[str]", serve: Callable[..., None]) -> None:
        repository = self.registry.repositories.get(match[1].lower())
        given = self.headers.get("Authorization")
        is_hidden = repository and repository.token and given != f"Bearer {repository.token}"
        if repository is None or is_hidden:
            self._refuse(401 if given is None else 404, "RepoNotFound")
            return
        commit = repository.revisions.get(match[2], match[2])
        if commit not in repository.commits:
            self._refuse(404, "RevisionNotFound")
            return
        serve(repository, commit, *match.groups()[2:])

    def _serve_info(self, repository: HubRepository, commit: str) -> None:
        self._reply_json({"id": repository.name, "sha": commit, "gated": repository.is_gated})

    def _serve_tree(self, repository: HubRepository, commit: str) -> None:
        asked = parse_qs(urlsplit(self.path).query)
        start = int(asked.get("cursor", ["0"])[0])
        files = sorted(repository.commits[commit].items())
        end = start + repository.page_size
        link = {}
        if end < len(files):
            next_page = f"http://{self.registry.host}{urlsplit(self.path).path}?recursive=true"
            link["Link"] = f'<{next_page}&cursor={end}>; rel="next"'
        self._reply_json([repository.entry(*each) for each in files[start:end]], **link)

    def _serve_file(self, repository: HubRepository, commit: str, path: str) -> None:
        content = repository.commits[commit].get(path)
        if repository.is_gated:
            self._refuse(403 if "Authorization" in self.headers else 401, "GatedRepo")
        elif content is None:
            self._refuse(404, "EntryNotFound")
        elif path in repository.plain:
            self.reply(200, content, X_Repo_Commit=commit)
        else:
            where = f"http://{self.registry.content.host}/cdn/{commit}/{path}"
            self.registry.content.blobs[f"{commit}/{path}"] = content
            etag = f'"{hashlib.sha256(content).hexdigest()}"'
            facts = {"X_Linked_Size": str(len(content)), "X_Linked_Etag": etag}
            self.reply(302, b"moved", Location=where, X_Repo_Commit=commit, **facts)

    def _refuse(self, status: int, code: str) -> None:
        self.reply(status, b'{"error":"no"}', X_Error_Code=code)

    def _reply_json(self, document: object, **headers: str) -> None:
        self.reply(200, msgspec.json.encode(document), Content_Type="application/json", **headers)


class _ContentHandler(Handler):
    def blob(self) -> bytes:
        """The content that the path names."""
        match = _CONTENT.fullmatch(unquote(self.path))
        assert match is not None
        return self.registry.blobs[f"{match[1]}/{match[2]}"]

    def _serve(self) -> None:
        content = self.blob()
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked is None:
            self.reply(200, content, ETag='"of-the-content-host"')
            return
        start, end = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1) + 1
        part = f"bytes {start}-{end - 1}/{len(content)}"
        self.reply(206, content[start:end], Content_Range=part)


@contextlib.contextmanager
def scripted_hub() -> Iterator[ScriptedHub]:
    """Run one on loopback until the block ends."""
    with _served(_ContentHandler) as content_host, _served(_HubHandler) as (host, handler):
        content = ScriptedRegistry(content_host[0])
        content_host[1].registry = content
        handler.registry = ScriptedHub(host, content=content)
        yield handler.registry


@contextlib.contextmanager
def _served(kind: type[Handler]) -> Iterator[tuple[str, type[Handler]]]:
    handler = type("Bound", (kind,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", handler
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
