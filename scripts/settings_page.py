"""Write docs/settings.md from the attribute docstrings of pyrunner/config/settings.py.

A test compares the page with what this makes, so it cannot go stale.
"""

import ast
import dataclasses
import inspect
import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyrunner import config, units

PAGE = Path(__file__).resolve().parent.parent / "docs" / "settings.md"

HEAD = """\
# Settings

<!-- Written by scripts/settings_page.py: change the docstrings in pyrunner/config/settings.py. -->

A value comes from the first of these that has it:

1. the command line, where a command has an option for it;
2. the environment: `PYRUNNER_SERVER_PORT=8080` sets `server.port`;
3. `config.toml` in the home folder;
4. the default.

```toml
# $PYRUNNER_HOME/config.toml
[server]
port = 8080

[runtime]
keep_alive_s = "10m"
memory_budget_bytes = "12GiB"
```

An unknown key is an error that names the nearest known one; so is a value of the wrong kind or out
of range. Durations are seconds, or text like `5m`, `1h30m`, `250ms`; `-1` means for ever. Sizes are
bytes, or text like `4GiB` and `2GB`. Lists are TOML lists, or text with commas.

Two folders are chosen by the environment alone:

* `PYRUNNER_HOME`: the store and `config.toml`; the platform's folder for a user's data by default.
* `PYRUNNER_RUNTIME_DIR`: sockets, ledger, locks and logs; by default `$XDG_RUNTIME_DIR/pyrunner`,
  or `run` in the home folder where `PYRUNNER_HOME` is set or there is no `XDG_RUNTIME_DIR`.
"""


def page() -> str:
    """The whole page as Markdown."""
    parts = [HEAD]
    parts += [_section(name, cls) for name, cls in config.SECTIONS.items()]
    return "\n".join(parts)


def _section(name: str, cls: type[Any]) -> str:
    docstrings = dict(_attribute_docstrings(cls))
    rows = [
        f"| `{name}.{each.name}` | {_default(each.name, each.default)} "
        f"| {_allowed(each)} | {docstrings[each.name]} |"
        for each in dataclasses.fields(cls)
    ]
    about = inspect.getdoc(cls)
    return "\n".join(
        [
            f"## {name}\n",
            f"{about}\n",
            "| key | default | allowed | meaning |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _attribute_docstrings(cls: type[Any]) -> Iterator[tuple[str, str]]:
    for node in ast.parse(inspect.getsource(cls)).body:
        if isinstance(node, ast.ClassDef):
            yield from _documented(node.body)


def _documented(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for before, after in itertools.pairwise(body):
        if not isinstance(before, ast.AnnAssign) or not isinstance(after, ast.Expr):
            continue
        text = ast.literal_eval(after.value)
        yield ast.unparse(before.target), " ".join(text.split()).replace("``", "`")


def _default(name: str, value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"`{each}`" for each in value) or "none"
    return f"`{_text(name, value)}`" if value != "" else "empty"


def _allowed(setting: "dataclasses.Field[Any]") -> str:
    allowed = setting.metadata
    if "choices" in allowed:
        return ", ".join(f"`{each}`" for each in allowed["choices"])
    if "least" in allowed:
        least, most = (_text(setting.name, allowed[end]) for end in ("least", "most"))
        return f"{least} or more" if math.isinf(allowed["most"]) else f"{least} to {most}"
    return {bool: "`true`, `false`", str: "text"}.get(type(setting.default), "list")


def _text(name: str, value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float) and value and not math.isinf(value):
        if name.endswith("_bytes") and value >= 0:
            return units.format_bytes(int(value))
        if name.endswith("_s"):
            return units.format_duration(value)
    return str(value)


if __name__ == "__main__":
    PAGE.write_text(page())
