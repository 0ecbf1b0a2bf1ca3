"""Settings: what they are, where they come from, and nothing that reads them later.

One frozen dataclass per layer, composed in `Settings`. A value comes from the first of these that
has it: the command line, ``PYRUNNER_<SECTION>_<KEY>`` in the environment, ``config.toml`` in the
home folder (``[section]``, ``key = value``), the default. Every value remembers its source.

Only this module reads the environment.
"""

import dataclasses
import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

import platformdirs

from pyrunner import units
from pyrunner.errors import ConfigError, InvalidParameterError

_PREFIX = "PYRUNNER_"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryConfig:
    """Where models come from."""

    default_registry: str = "docker.io"
    """Registry of references that name none."""
    default_org: str = "ai"
    """Organisation of references that name none."""
    insecure: tuple[str, ...] = ()
    """Hosts (``host`` or ``host:port``) spoken to in plain HTTP, besides loopback."""
    timeout_s: float = 30.0
    """Longest silence of a registry before the attempt counts as failed."""
    max_attempts: int = 5
    """Tries of one request before giving up, the first included."""
    n_parallel_layers: int = 3
    """Layers of one pull or push in flight at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """How a model is loaded. Part of the worker's identity: another value is another worker."""

    n_ctx: int = 0
    """Tokens per sequence; 0 takes the model's packaged context size, at most 8192."""
    n_lanes: int = 4
    """Sequences that run at once, 1..64."""
    n_batch: int = 512
    """Tokens of one step at most, prompt chunk and running sequences together."""
    n_threads: int = 0
    """Threads of a step; 0 takes one per physical core this process may use."""
    n_gpu_layers: int = -1
    """Layers offloaded to a GPU when the build has one; -1 means all."""
    use_mmap: bool = True
    """Map the model file instead of reading it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeConfig:
    """Which models stay loaded."""

    keep_alive_s: float = 300.0
    """Idle time after which a worker exits; 0 at once, inf never. Text: ``5m``, ``-1``."""
    memory_budget_bytes: int = 0
    """Bytes all loaded models may take together; 0 takes 80 % of this machine's memory."""
    load_timeout_s: float = 300.0
    """Longest wait of one request for its model."""
    orphan_grace_s: float = 10.0
    """How long a worker without a server waits for one before it exits."""
    drain_s: float = 10.0
    """How long a stopping server or worker lets running streams finish."""
    max_queue: int = 256
    """Requests one worker holds, running and waiting; one more gets 503."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Where the server listens and whom it answers."""

    host: str = "127.0.0.1"
    """Address of the TCP listener."""
    port: int = 12434
    """Port of the TCP listener; 0 lets the system choose."""
    socket: str = ""
    """Path of the Unix socket; empty means ``pyrunner.sock`` in the runtime folder."""
    allowed_hosts: tuple[str, ...] = ()
    """Host names accepted besides loopback and Docker's names for this machine."""
    allowed_origins: tuple[str, ...] = ()
    """Web origins accepted besides loopback's; ``*`` accepts all."""
    n_streams: int = 64
    """Streams served at once; one more gets 503."""
    max_body_bytes: int = 10 * 1024 * 1024
    """Largest request body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    """What is logged."""

    level: str = "info"
    """debug, info, warning or error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything, and where each value came from."""

    home: Path
    """``$PYRUNNER_HOME``: the store and the configuration live below it."""
    runtime_dir: Path
    """Sockets, ledger, locks and logs."""
    registry: RegistryConfig = field(default_factory=RegistryConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)
    server: ServerConfig = field(default_factory=ServerConfig)
    log: LogConfig = field(default_factory=LogConfig)
    sources: Mapping[str, str] = field(default_factory=dict)
    """``section.key`` to ``environment PYRUNNER_...``, a file, ``command line`` or ``default``."""

    @property
    def store_path(self) -> Path:
        """The OCI image layout that holds the models."""
        return self.home / "store"

    @property
    def socket_path(self) -> Path:
        """The server's Unix socket."""
        return (
            Path(self.server.socket) if self.server.socket else self.runtime_dir / "pyrunner.sock"
        )


_SECTIONS: dict[str, type[Any]] = {
    "registry": RegistryConfig,
    "engine": EngineConfig,
    "runtime": RuntimeConfig,
    "server": ServerConfig,
    "log": LogConfig,
}


def load(
    overrides: Mapping[str, object] | None = None, environment: Mapping[str, str] | None = None
) -> Settings:
    """Read all sources once.

    Args:
        overrides: ``section.key`` to value, from the command line; strings are parsed.
        environment: Instead of the process's own (tests).

    Raises:
        ConfigError: An unknown key, with the nearest known one, or a value of the wrong kind.
    """
    env = os.environ if environment is None else environment
    home = _home(env)
    found: dict[str, tuple[object, str]] = {}
    for source in (_file(home / "config.toml"), _environment(env), _command_line(overrides or {})):
        for key, value, label in source:
            found[key] = (value, label)
    sections: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for section, cls in _SECTIONS.items():
        hints = get_type_hints(cls)
        given: dict[str, object] = {}
        for each in dataclasses.fields(cls):
            key = f"{section}.{each.name}"
            sources[key] = "default"
            if key in found:
                value, label = found.pop(key)
                given[each.name] = _coerce(value, hints[each.name], key, label)
                sources[key] = label
        sections[section] = cls(**given)
    for key, (_, label) in found.items():
        raise ConfigError(key=key, source=label, problem=_near_miss(key))
    return Settings(home=home, runtime_dir=_runtime_dir(env, home), sources=sources, **sections)


def environment_value(name: str) -> str | None:
    """One variable that belongs to another product (``DOCKER_CONFIG``, ``MODEL_RUNNER_HOST``)."""
    return os.environ.get(name) or None


def child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The little of our environment that a worker process needs, plus `extra`.

    Left out on purpose: credentials, proxies, and ``GGML_BACKEND_PATH``, which would make ggml
    run a library of somebody's choosing.
    """
    kept = (
        "PATH",
        "HOME",
        "LANG",
        "LC_ALL",
        "TMPDIR",
        "PYTHONPATH",
        "VIRTUAL_ENV",
        "LD_LIBRARY_PATH",
    )
    gpu = ("CUDA_", "NVIDIA_", "HIP_", "ROCR_", "GGML_VK_")
    environment = {
        name: value for name, value in os.environ.items() if name in kept or name.startswith(gpu)
    }
    return environment | dict(extra)


def known_keys() -> Iterator[tuple[str, object]]:
    """Every ``section.key`` with its default, in the order of the reference page."""
    for section, cls in _SECTIONS.items():
        for each in dataclasses.fields(cls):
            yield f"{section}.{each.name}", each.default


def _home(env: Mapping[str, str]) -> Path:
    given = env.get("PYRUNNER_HOME")
    return Path(given).expanduser().absolute() if given else platformdirs.user_data_path("pyrunner")


def _runtime_dir(env: Mapping[str, str], home: Path) -> Path:
    given = env.get("PYRUNNER_RUNTIME_DIR")
    if given:
        return Path(given).expanduser().absolute()
    # A home of one's own keeps everything below it, so two of them never meet in one ledger.
    session = env.get("XDG_RUNTIME_DIR")
    if session and "PYRUNNER_HOME" not in env:
        return Path(session) / "pyrunner"
    return home / "run"


def _file(path: Path) -> Iterator[tuple[str, object, str]]:
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise ConfigError(key="config.toml", source=str(path), problem=str(error)) from error
    try:
        tables = tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(key="config.toml", source=str(path), problem=str(error)) from error
    for section, table in tables.items():
        if not isinstance(table, dict):
            raise ConfigError(key=section, source=str(path), problem=_near_miss(section))
        for key, value in table.items():
            yield f"{section}.{key}", value, str(path)


def _environment(env: Mapping[str, str]) -> Iterator[tuple[str, object, str]]:
    apart = {"PYRUNNER_HOME", "PYRUNNER_RUNTIME_DIR"}
    for name, value in env.items():
        if not name.startswith(_PREFIX) or name in apart:
            continue
        section, _, key = name.removeprefix(_PREFIX).lower().partition("_")
        yield f"{section}.{key}", value, f"environment {name}"


def _command_line(overrides: Mapping[str, object]) -> Iterator[tuple[str, object, str]]:
    for key, value in overrides.items():
        yield key, value, "command line"


def _near_miss(key: str) -> str:
    near = difflib.get_close_matches(key, [known for known, _ in known_keys()], n=2)
    return f"unknown setting; did you mean {' or '.join(near)}?" if near else "unknown setting"


def _coerce(value: object, hint: object, key: str, source: str) -> object:
    try:
        return _convert(value, hint, key)
    except InvalidParameterError as error:
        raise ConfigError(key=key, source=source, problem=error.problem) from error
    except ValueError as error:
        raise ConfigError(key=key, source=source, problem=f"is {value!r}: {error}") from error


def _convert(value: object, hint: object, key: str) -> object:
    if hint is bool:
        return _boolean(value)
    if hint is int:
        if key.endswith("_bytes") and isinstance(value, str):
            return units.parse_bytes(value, param=key)
        if isinstance(value, bool | float):
            raise ValueError("write a whole number")
        return int(value)  # type: ignore[call-overload]  # a ValueError here is the answer
    if hint is float:
        return units.parse_duration(value, param=key)  # type: ignore[arg-type]  # it checks
    if hint is str:
        return _string(value)
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list | tuple):
        raise ValueError("write a list")
    return tuple(_string(item).strip() for item in items if item)


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("write a string")
    return value


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    known = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if isinstance(value, str) and value.lower() in known:
        return known[value.lower()]
    raise ValueError("write true or false")
