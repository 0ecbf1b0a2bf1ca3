"""Settings: what they are, where they come from, and nothing that reads them later.

One frozen dataclass per layer, composed in `Settings`. A value comes from the first of these that
has it: the command line, ``PYRUNNER_<SECTION>_<KEY>`` in the environment, ``config.toml`` in the
home folder (``[section]``, ``key = value``), the default. Every value remembers its source.

Only this module reads the environment.
"""

import dataclasses
import difflib
import math
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

import platformdirs

from pyrunner import units
from pyrunner.errors import ConfigError, InvalidParameterError

_PREFIX = "PYRUNNER_"
_DOCKER_ORIGINS = "DMR_ORIGINS"
"""Docker Model Runner's name of `ServerConfig.allowed_origins`."""
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")


def _between(default: Any, least: float, most: float) -> Any:
    """Make a number's field that `load` checks; both ends are allowed."""
    return field(default=default, metadata={"least": least, "most": most})


def _one_of(default: str, *choices: str) -> Any:
    return field(default=default, metadata={"choices": choices})


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryConfig:
    """Where models come from."""

    default_registry: str = "docker.io"
    """Registry of references that name none."""
    default_org: str = "ai"
    """Organisation of references that name none."""
    insecure: tuple[str, ...] = ()
    """Hosts (``host`` or ``host:port``) spoken to in plain HTTP, besides loopback."""
    mirrors: tuple[str, ...] = ()
    """Registries (``[https://]host[:port][/path]``) asked before Docker Hub, in this order."""
    ca_bundle: str = ""
    """PEM file of certificate authorities to trust besides the public ones."""
    timeout_s: float = _between(30.0, 0.001, 3600)
    """Longest silence of a registry before the attempt counts as failed."""
    max_attempts: int = _between(5, 1, 100)
    """Tries of one request before giving up, the first included."""
    n_parallel_layers: int = _between(3, 1, 64)
    """Layers of one pull or push in flight at once."""
    n_ranges: int = _between(4, 1, 32)
    """Connections over which one large blob comes at once, if one is slow; 1 is one in any case."""
    range_bytes: int = _between(32 * 1024 * 1024, 1024 * 1024, 2**40)
    """What one of these connections asks for at a time. Text: ``32MiB``."""
    ranges_above_bytes: int = _between(64 * 1024 * 1024, 0, 2**40)
    """A blob of which no more is missing comes over one connection."""
    min_rate_bytes: int = _between(1024, 0, 2**40)
    """Bytes per second, over `timeout_s`, below which a connection counts as broken; 0 is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """How a model is loaded. Part of the worker's identity: another value is another worker."""

    n_ctx: int = _between(0, 0, 2**24)
    """Tokens per sequence; 0 takes what the model was packaged with, else at most 8192."""
    n_lanes: int = _between(4, 1, 64)
    """Sequences that run at once."""
    n_batch: int = _between(512, 1, 2**16)
    """Tokens of one step at most, prompt chunk and running sequences together."""
    cache_bytes: int = _between(-1, -1, 2**53)
    """Host memory for the prefixes of earlier requests, beside what rests in the lanes; -1 takes as
    much as the lanes, at most a sixteenth of the memory budget, 0 none."""
    n_threads: int = _between(0, 0, 512)
    """Threads of a step; 0 takes one per physical core this process may use, fewer while others use
    them."""
    n_gpu_layers: int = _between(-1, -1, 2**16)
    """Layers offloaded to a GPU when the build has one; -1 means all."""
    use_mmap: bool = True
    """Map the model file instead of reading it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeConfig:
    """Which models stay loaded."""

    keep_alive_s: float = _between(300.0, 0, math.inf)
    """Idle time after which a worker exits; 0 at once, inf never. Text: ``5m``, ``-1``."""
    memory_budget_bytes: int = _between(0, 0, math.inf)
    """Bytes all loaded models may take together; 0 takes 80 % of this machine's memory."""
    load_timeout_s: float = _between(300.0, 0, 86400)
    """Longest wait of one request for its model."""
    orphan_grace_s: float = _between(10.0, 0, 3600)
    """How long a worker without a server waits for one before it exits."""
    drain_s: float = _between(10.0, 0, 3600)
    """How long a stopping server or worker lets running streams finish."""
    max_queue: int = _between(256, 1, 2**16)
    """Requests one worker holds, running and waiting; one more gets 503."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Where the server listens and whom it answers."""

    host: str = "127.0.0.1"
    """Address of the TCP listener."""
    port: int = _between(12434, 0, 65535)
    """Port of the TCP listener; 0 lets the system choose."""
    socket: str = ""
    """Path of the Unix socket; empty means ``pyrunner.sock`` in the runtime folder."""
    allowed_hosts: tuple[str, ...] = ()
    """Host names accepted besides loopback and Docker's names for this machine."""
    allowed_origins: tuple[str, ...] = ()
    """Web origins accepted besides loopback's; ``*`` accepts all. Also ``DMR_ORIGINS``."""
    registry: bool = False
    """Serve the store's models below ``/v2/``, read-only, as an OCI registry does."""
    n_streams: int = _between(64, 1, 4096)
    """Streams served at once; one more gets 503."""
    max_body_bytes: int = _between(10 * 1024 * 1024, 1024, 2**32)
    """Largest request body."""
    max_load_bytes: int = _between(2**38, 1024, 2**50)
    """Largest tar of ``POST /models/load``, which waits in the temporary folder until it is whole.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    """What is logged."""

    level: str = _one_of("info", "debug", "info", "warning", "error")
    """How much."""


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


SECTIONS: dict[str, type[Any]] = {
    "registry": RegistryConfig,
    "engine": EngineConfig,
    "runtime": RuntimeConfig,
    "server": ServerConfig,
    "log": LogConfig,
}
"""What `Settings` is made of, in the order of the reference page."""


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
    home = _utf8(_home(env), "PYRUNNER_HOME")
    found: dict[str, tuple[object, str]] = {}
    for source in (_file(home / "config.toml"), _environment(env), _command_line(overrides or {})):
        for key, value, label in source:
            found[key] = (value, label)
    sections: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for section, cls in SECTIONS.items():
        hints = get_type_hints(cls)
        given: dict[str, object] = {}
        for each in dataclasses.fields(cls):
            key = f"{section}.{each.name}"
            sources[key] = "default"
            if key in found:
                value, sources[key] = found.pop(key)
                given[each.name] = _read(value, each, hints[each.name], (key, sources[key]))
        sections[section] = cls(**given)
    for key, (_, label) in found.items():
        raise ConfigError(key=key, source=label, problem=_near_miss(key))
    runtime_dir = _utf8(_runtime_dir(env, home), "PYRUNNER_RUNTIME_DIR")
    return Settings(home=home, runtime_dir=runtime_dir, sources=sources, **sections)


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
    for section, cls in SECTIONS.items():
        for each in dataclasses.fields(cls):
            yield f"{section}.{each.name}", each.default


def _home(env: Mapping[str, str]) -> Path:
    return _folder(env, "PYRUNNER_HOME") or platformdirs.user_data_path("pyrunner")


def _runtime_dir(env: Mapping[str, str], home: Path) -> Path:
    given = _folder(env, "PYRUNNER_RUNTIME_DIR")
    if given:
        return given
    # A home of one's own keeps everything below it, so two of them never meet in one ledger.
    session = env.get("XDG_RUNTIME_DIR")
    if session and not env.get("PYRUNNER_HOME"):
        return Path(session) / "pyrunner"
    return home / "run"


def _folder(env: Mapping[str, str], name: str) -> Path | None:
    given = env.get(name)
    if not given:
        return None
    try:
        return Path(given).expanduser().absolute()
    except RuntimeError as error:  # ~somebody who does not exist
        raise ConfigError(key=name, source="environment", problem=str(error)) from error


def _utf8(path: Path, key: str) -> Path:
    # Paths travel to workers and into the ledger as text.
    if not _is_utf8(str(path)):
        raise ConfigError(key=key, source="environment", problem=f"{str(path)!r} is not UTF-8")
    return path


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


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
    # First, so that our own variable of the same setting replaces it.
    if origins := env.get(_DOCKER_ORIGINS, "").strip().strip("\"'"):
        yield "server.allowed_origins", origins, f"environment {_DOCKER_ORIGINS}"
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
    known = [each for each, _ in known_keys()]
    # PYRUNNER_PORT names no section: then what comes closest is the key without one.
    tails = {each.partition(".")[2]: each for each in known}
    near = difflib.get_close_matches(key, known, n=2) or [
        tails[each]
        for each in difflib.get_close_matches(key.strip(".").replace(".", "_"), tails, n=2)
    ]
    return f"unknown setting; did you mean {' or '.join(near)}?" if near else "unknown setting"


def _read(
    value: object, setting: "dataclasses.Field[Any]", hint: object, origin: tuple[str, str]
) -> object:
    key, source = origin
    try:
        result = _convert(value, hint, key)
        _check(result, setting.metadata)
    except InvalidParameterError as error:
        raise ConfigError(key=key, source=source, problem=error.problem) from error
    except ValueError as error:
        raise ConfigError(key=key, source=source, problem=f"is {value!r:.80}: {error}") from error
    return result


def _convert(value: object, hint: object, key: str) -> object:
    if hint is bool:
        return _boolean(value)
    if hint is int:
        if key.endswith("_bytes") and isinstance(value, str) and value.strip() != "-1":
            return units.parse_bytes(value, param=key)
        return _whole_number(value)
    if hint is float:
        return units.parse_duration(value, param=key)  # type: ignore[arg-type]  # it checks
    if hint is str:
        return _string(value)
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list | tuple):
        raise ValueError("write a list")
    return tuple(item for each in items if (item := _string(each).strip()))


def _check(value: object, allowed: Mapping[str, Any]) -> None:
    if "choices" in allowed and value not in allowed["choices"]:
        raise ValueError(f"write one of {', '.join(allowed['choices'])}")
    if "least" in allowed and not allowed["least"] <= value <= allowed["most"]:
        raise ValueError(f"write a value in {allowed['least']}..{allowed['most']}")


def _whole_number(value: object) -> int:
    if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value.strip()):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError("write a whole number")


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("write a string")
    if not _is_utf8(value):
        raise ValueError("write UTF-8")
    return value


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    known = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if isinstance(value, str) and value.lower() in known:
        return known[value.lower()]
    raise ValueError("write true or false")
