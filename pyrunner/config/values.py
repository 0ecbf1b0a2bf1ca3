"""One value of a source, checked and made the kind its setting has."""

import re
from collections.abc import Mapping
from dataclasses import Field, fields
from typing import Any

from pyrunner import units
from pyrunner.config.settings import EngineConfig, RuntimeConfig
from pyrunner.errors import ConfigError, InvalidParameterError
from pyrunner.gguf import is_quantized

_BY_PROGRAM = "EngineConfig"
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")


def read(value: object, setting: Field[Any], hint: object, origin: tuple[str, str]) -> object:
    """Read `value` as `setting` needs it.

    Args:
        value: A parsed value, or text of the environment or the command line.
        setting: Whose range or choices apply.
        hint: Its type.
        origin: ``section.key`` and the source, for the error.

    Raises:
        ConfigError: A value of the wrong kind or out of range.
    """
    key, source = origin
    try:
        result = _convert(value, hint, key)
        _check(result, setting.metadata)
    except InvalidParameterError as error:
        raise ConfigError(key=key, source=source, problem=error.problem) from error
    except ValueError as error:
        raise ConfigError(key=key, source=source, problem=f"is {value!r:.80}: {error}") from error
    return result


def check_engine(engine: EngineConfig, sources: Mapping[str, str] | None = None) -> None:
    """Check how a model is to be loaded: each value, and what goes together.

    Args:
        engine: Possibly filled in by a program, which may write anything.
        sources: As `Settings.sources`.

    Raises:
        ConfigError: Names the setting and what it may be.
    """
    origins = sources or {}
    for each in fields(engine):
        key, value = f"engine.{each.name}", getattr(engine, each.name)
        try:
            _check(value, each.metadata)
        except ValueError as error:
            source = origins.get(key, _BY_PROGRAM)
            problem = f"is {value!r:.80}: {error}"
            raise ConfigError(key=key, source=source, problem=problem) from error
    if is_quantized(engine.cache_type_v) and engine.flash_attention == "off":
        key = "engine.cache_type_v"
        raise ConfigError(
            key=key,
            source=origins.get(key, _BY_PROGRAM),
            problem=f"is {engine.cache_type_v!r}, which needs flash attention: write a type that "
            "is not quantised, or set engine.flash_attention to 'auto' or 'on'",
        )


def check_drafts(runtime: RuntimeConfig, sources: Mapping[str, str]) -> None:
    """Check that each draft model is one of a pair.

    Raises:
        ConfigError: Shows how it is written.
    """
    key = "runtime.draft_models"
    for pair in runtime.draft_models:
        model, _, draft = pair.partition("=")
        if not (model.strip() and draft.strip()):
            problem = f"has {pair!r:.80}: write model=draft, such as ai/qwen3:8B=ai/qwen3:0.6B"
            raise ConfigError(key=key, source=sources[key], problem=problem)


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
    if not is_utf8(value):
        raise ValueError("write UTF-8")
    return value


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    known = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if isinstance(value, str) and value.lower() in known:
        return known[value.lower()]
    raise ValueError("write true or false")


def is_utf8(text: str) -> bool:
    """Whether a text can travel: what the system could not decode has no UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
