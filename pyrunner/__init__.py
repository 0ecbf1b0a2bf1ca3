"""pyrunner: pull, run and serve language models from Python. Importing this is cheap."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyrunner.engine.engine import Engine as Engine

__all__ = ["Engine", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "Engine":
        from pyrunner.engine.engine import Engine

        return Engine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
