"""Settings: what they are, where they come from, and nothing that reads them later.

Only this package reads the environment.
"""

from pyrunner.config.environment import child_environment, environment_value
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
from pyrunner.config.sources import load
from pyrunner.config.values import check_engine

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
]
