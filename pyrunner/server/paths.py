"""Paths before routing: what a client may write, and which dialect answers."""

import re

DESKTOP_PREFIX = "/exp/vDD4.40"
"""What Docker Desktop's proxy would strip; clients in Desktop mode send it."""

LLAMA_CPP = "llama.cpp"
"""The one backend."""

OPENAI_PREFIXES = ("/v1", "/engines/v1", "/engines/{backend}/v1")
"""Route templates below which OpenAI's API lives."""

RERANK_PREFIXES = ("", "/engines", "/engines/{backend}", *OPENAI_PREFIXES)
"""The same of ``rerank``: Docker Model Runner has it beside ``v1``, other servers below it."""

_SLASHES = re.compile(r"/{2,}")
_OPENAI = re.compile(r"/(?:engines/(?:[^/]+/)?)?(?:v1(?:/.*)?|rerank)")


def clean_path(path: str) -> str:
    """Join doubled slashes, drop Desktop's prefix and a slash at the end."""
    path = _SLASHES.sub("/", path)
    if path == DESKTOP_PREFIX or path.startswith(DESKTOP_PREFIX + "/"):
        path = path[len(DESKTOP_PREFIX) :]
    return path.rstrip("/") or "/"


def is_openai(path: str) -> bool:
    """Whether errors of this cleaned path are OpenAI's JSON envelope."""
    return _OPENAI.fullmatch(path) is not None


def is_docker(path: str) -> bool:
    """Whether the path belongs to Docker Model Runner's catch-all."""
    return path in ("/models", "/engines") or path.startswith(("/models/", "/engines/"))
