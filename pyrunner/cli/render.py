"""Text for people: tables, names, ages and sizes as Docker prints them. Pure, without rich."""

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import IO, Any

from pyrunner import units

DEFAULT_KEEP_ALIVE = "5m"
"""Docker Model Runner's idle time, for a server that does not say its own."""

_CONTROL = {code: "" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
_POINTED_COLUMNS, _BEFORE_CARET = 76, 60
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_AGES: tuple[tuple[float, int, str], ...] = (
    (_MINUTE, 1, "seconds"),
    (_HOUR, _MINUTE, "minutes"),
    (2 * _DAY, _HOUR, "hours"),
    (14 * _DAY, _DAY, "days"),
    (60 * _DAY, 7 * _DAY, "weeks"),
    (730 * _DAY, 30 * _DAY, "months"),
    (float("inf"), 365 * _DAY, "years"),
)
"""Up to this many seconds, count in units of so many seconds."""


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns two spaces apart, left-aligned, no lines; ends with a newline."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        + "\n"
        for row in (header, *rows)
    )


def short_name(reference: str) -> str:
    """A canonical reference as a person would type it: ``docker.io/ai/x:latest`` is ``x``."""
    name = reference.removeprefix("index.").removeprefix("docker.io/")
    return name.removeprefix("ai/").removesuffix(":latest")


def pointed_at(text: str, at: int) -> tuple[str, str]:
    """What a person wrote, and a line with a caret below its character number `at`.

    Characters that are not printable ASCII are shown as ``?``, so that each has one column; of a
    long text the part around the place is shown.
    """
    start = max(0, min(at, len(text)) - _BEFORE_CARET)
    shown = text[start : start + _POINTED_COLUMNS]
    plain = "".join(each if " " <= each <= "~" else "?" for each in shown)
    return f"  {plain}", f"  {' ' * (at - start)}^"


def short_id(digest: str) -> str:
    """The first 12 hex digits of a digest."""
    return digest.removeprefix("sha256:")[:12]


def age(seconds: float) -> str:
    """How long something takes or took, in Docker's words: ``About an hour``, ``3 weeks``."""
    if seconds < 1:
        return "Less than a second"
    if int(seconds) == 1:
        return "1 second"
    if _MINUTE <= seconds < 2 * _MINUTE:
        return "About a minute"
    if _HOUR <= seconds < 1.5 * _HOUR:
        return "About an hour"
    # Docker rounds to the nearest hour first, and everything else down.
    rounded = seconds + _HOUR / 2 if seconds >= _HOUR else seconds
    size_s, unit = next((size, name) for limit, size, name in _AGES if rounded < limit)
    return f"{int(rounded // size_s)} {unit}"


def printable(text: str) -> str:
    """`text` without control characters, which could rewrite the terminal it is shown on."""
    return text.translate(_CONTROL)


def show(text: str, stream: IO[str] | None = None) -> None:
    """Write text from outside at once; on a terminal without control characters."""
    target = sys.stdout if stream is None else stream
    target.write(printable(text) if target.isatty() else text)
    target.flush()


def models_table(models: Sequence[Mapping[str, Any]], now: float) -> str:
    """The table of ``ls``: one row per tag, sorted by name and then by variant."""
    header = (
        *("MODEL NAME", "PARAMETERS", "QUANTIZATION", "ARCHITECTURE"),
        *("MODEL ID", "CREATED", "CONTEXT", "SIZE"),
    )
    rows = [
        (short_name(tag) if tag else "<none>", *_facts(model, now))
        for model in models
        for tag in model.get("tags") or [""]
    ]
    return table(header, [tuple(map(printable, row)) for row in sorted(rows, key=_variant)])


def _variant(row: Sequence[str]) -> tuple[str, str]:
    head, _, last = row[0].rpartition("/")
    name, _, variant = last.partition(":")
    return f"{head}/{name}".lower(), variant


def _facts(model: Mapping[str, Any], now: float) -> tuple[str, ...]:
    about = model.get("config") or {}
    created = model.get("created") or 0
    context = about.get("context_size") or (about.get("gguf") or {}).get("llama.context_length")
    return (
        str(about.get("parameters") or ""),
        str(about.get("quantization") or ""),
        str(about.get("architecture") or ""),
        short_id(str(model.get("id") or "")),
        _created(created, now),
        str(context or ""),
        str(about.get("size") or ""),
    )


def openai_table(models: Sequence[Mapping[str, Any]], now: float) -> str:
    """The table of ``ls --openaiurl``, in the server's order."""
    rows = [(str(each.get("id")), _created(each.get("created"), now)) for each in models]
    return table(("MODEL NAME", "CREATED"), [tuple(map(printable, row)) for row in rows])


def _created(unix_s: object, now: float) -> str:
    if not isinstance(unix_s, int | float) or not unix_s:
        return "N/A"
    return f"{age(max(0.0, now - unix_s))} ago"


def openai_model(model: Mapping[str, Any]) -> dict[str, Any]:
    """A model of the API's list as OpenAI's ``/v1/models`` shows it."""
    about = model.get("config") or {}
    facts = {
        "context_window": about.get("context_size"),
        **{key: about.get(key) for key in ("architecture", "parameters", "quantization", "size")},
    }
    return {
        "id": (model.get("tags") or [model["id"]])[0],
        "object": "model",
        "created": model.get("created") or 0,
        "owned_by": "docker",
        "dmr": {key: value for key, value in facts.items() if value},
    }


def running_table(runners: Sequence[Mapping[str, Any]], now: float) -> str:
    """The table of ``ps``; `now` is Unix seconds."""
    rows = [
        (
            short_name(str(each.get("model_name"))),
            str(each.get("backend_name")),
            str(each.get("mode")),
            _until(each, now),
            *_lanes(each),
        )
        for each in runners
    ]
    header = ("MODEL NAME", "BACKEND", "MODE", "UNTIL", "LANES", "KV CACHE")
    # Docker Model Runner does not tell them, and its table has no such columns.
    n_columns = len(header) if any(row[-1] for row in rows) else len(header) - 2
    return table(header[:n_columns], [tuple(map(printable, row[:n_columns])) for row in rows])


def _lanes(runner: Mapping[str, Any]) -> tuple[str, str]:
    n_lanes, n_ctx, kv_bytes = (runner.get(key) for key in ("n_lanes", "n_ctx", "kv_bytes"))
    if not all(isinstance(each, int) for each in (n_lanes, n_ctx, kv_bytes)):
        return "", ""
    return f"{n_lanes} x {n_ctx}", units.format_bytes(int(kv_bytes or 0))


def disk_table(models_bytes: int, engine_bytes: int, prefixes_bytes: int) -> str:
    """The table of ``df``: powers of 1000 and always two decimals."""
    rows = [("Models", _disk_size(models_bytes))]
    if engine_bytes:
        rows.append(("Inference engine", _disk_size(engine_bytes)))
    if prefixes_bytes:
        rows.append(("Kept prefixes", _disk_size(prefixes_bytes)))
    return table(("TYPE", "SIZE"), rows)


def _disk_size(size_bytes: int) -> str:
    value = float(size_bytes)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.2f}{unit}"
        value /= 1000
    return f"{value:.2f}GB"


def _until(runner: Mapping[str, Any], now: float) -> str:
    keep_alive = runner.get("keep_alive")
    if runner.get("answering") is False:
        return "Not answering"
    if runner.get("loading"):
        return "Loading..."
    if keep_alive == "-1":
        return "Forever"
    keep_alive_s = units.parse_duration(keep_alive or DEFAULT_KEEP_ALIVE, param="keep_alive")
    left_s = keep_alive_s
    if not runner.get("in_use"):
        left_s += datetime.fromisoformat(str(runner["last_used"])).timestamp() - now
    return "Expiring" if left_s <= 0 else f"{age(left_s)} from now"
