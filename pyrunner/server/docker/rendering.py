"""Models and runners in Docker Model Runner's JSON."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from pyrunner import units
from pyrunner.models.artifact import ModelConfig
from pyrunner.models.remote import RemoteModel
from pyrunner.models.stored import StoredModel
from pyrunner.runtime.runner import RunnerStatus
from pyrunner.server.paths import LLAMA_CPP

_BUSY = "0001-01-01T00:00:00Z"
"""Go's zero time: what clients expect while a runner is in use or loading."""


def model(stored: StoredModel) -> dict[str, Any]:
    """One model; `tags` is left out when there are none."""
    tags = {"tags": stored.tags} if stored.tags else {}
    return {
        "id": stored.id,
        **tags,
        "created": stored.created,
        "config": config(stored.config),
    }


def remote_model(described: RemoteModel) -> dict[str, Any]:
    """One model of a registry: no tags."""
    return {
        "id": described.id,
        "created": described.created,
        "config": config(described.config),
    }


def config(given: ModelConfig) -> Any:
    """The config object, empty keys left out."""
    return msgspec.to_builtins(given)


def runner(status: RunnerStatus) -> dict[str, Any]:
    """One line of ``ps``. What comes after `keep_alive` is ours."""
    is_busy = status.is_loading or status.n_in_flight > 0
    line: dict[str, Any] = {
        "backend_name": LLAMA_CPP,
        "model_name": status.reference,
        "mode": status.mode.value,
        "last_used": _BUSY if is_busy else _rfc3339(status.last_used),
        "keep_alive": units.format_duration(status.keep_alive_s),
        "pid": status.pid,
        "size_bytes": status.size_bytes,
        "n_in_flight": status.n_in_flight,
    }
    if status.info is not None and status.info.n_lanes:
        line["n_lanes"] = status.info.n_lanes
        line["n_ctx"] = status.info.n_ctx
        line["kv_bytes"] = status.info.kv_bytes
    if not status.is_answering:
        line["answering"] = False
        del line["keep_alive"]  # nobody knows it
    if status.n_in_flight:
        line["in_use"] = True
    if status.is_loading:
        line["loading"] = True
    return line


def _rfc3339(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat().replace("+00:00", "Z")
