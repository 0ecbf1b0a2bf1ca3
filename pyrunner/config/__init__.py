"""Settings: what they are, where they come from, and nothing that reads them later.

Only this package reads the environment.
"""

from typing import TYPE_CHECKING, Any

from pyrunner.config.environment import (
    child_environment,
    environment_value,
    own_environment,
)
from pyrunner.config.settings import (
    DEFAULT_N_LANES,
    MAX_DEFAULT_CACHE_SHARE,
    MAX_DEFAULT_N_CTX,
    SECTIONS,
    EngineConfig,
    LogConfig,
    RegistryConfig,
    RuntimeConfig,
    ServerConfig,
    Settings,
    known_keys,
)
from pyrunner.config.values import check_engine

if TYPE_CHECKING:
    from pyrunner.config.sources import load as load

__all__ = [
    "DEFAULT_N_LANES",
    "MAX_DEFAULT_CACHE_SHARE",
    "MAX_DEFAULT_N_CTX",
    "SECTIONS",
    "EngineConfig",
    "LogConfig",
    "RegistryConfig",
    "RuntimeConfig",
    "ServerConfig",
    "Settings",
    "check_engine",
    "child_environment",
    "environment_value",
    "known_keys",
    "load",
    "own_environment",
]


def __getattr__(name: str) -> Any:
    # Workers are told their settings, and start sooner without what reads them.
    if name == "load":
        from pyrunner.config.sources import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
