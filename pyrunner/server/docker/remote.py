"""``GET /models/{name}?remote=true``: what a registry has, without pulling it."""

from typing import Any

from pyrunner.errors import UnsupportedParameterError
from pyrunner.server.dependencies import Dependencies


def inspect_remote(_dependencies: Dependencies, _name: str) -> dict[str, Any]:
    """Describe a model of a registry; without tags, as Docker Model Runner does."""
    raise UnsupportedParameterError(param="remote")
