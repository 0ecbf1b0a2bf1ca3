"""Where settings come from, and which source wins.

A value comes from the first of these that has it: the command line, ``PYRUNNER_<SECTION>_<KEY>`` in
the environment, ``config.toml`` in the home folder (``[section]``, ``key = value``), the default.
Every value remembers its source.
"""

import dataclasses
import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_type_hints

import platformdirs

from pyrunner.config.settings import SECTIONS, Settings, known_keys
from pyrunner.config.values import check_drafts, check_engine, is_utf8, read
from pyrunner.errors import ConfigError

_PREFIX = "PYRUNNER_"
_DOCKER_ORIGINS = "DMR_ORIGINS"
"""Docker Model Runner's name of `ServerConfig.allowed_origins`."""


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
                given[each.name] = read(value, each, hints[each.name], (key, sources[key]))
        sections[section] = cls(**given)
    for key, (_, label) in found.items():
        raise ConfigError(key=key, source=label, problem=_near_miss(key))
    check_engine(sections["engine"], sources)
    check_drafts(sections["runtime"], sources)
    runtime_dir = _utf8(_runtime_dir(env, home), "PYRUNNER_RUNTIME_DIR")
    return Settings(home=home, runtime_dir=runtime_dir, sources=sources, **sections)


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
    if not is_utf8(str(path)):
        raise ConfigError(key=key, source="environment", problem=f"{str(path)!r} is not UTF-8")
    return path


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
