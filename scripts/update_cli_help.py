"""Write what ``--help`` prints into docs/cli.md, or with ``--check`` say whether it is there.

Every fenced block of the page that begins with ``$ pyrunner ... --help`` is replaced.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from pyrunner.cli.main import cli

PAGE = Path(__file__).parent.parent / "docs" / "cli.md"
WIDTH = 90
_BLOCK = re.compile(
    r"(?<=```text\n)\$ (pyrunner[a-z -]*) --help\n.*?(?=^```$)", re.DOTALL | re.MULTILINE
)


def commands(group: click.Group, parent: click.Context) -> Iterator[tuple[str, click.Context]]:
    """Every command below `group`, groups themselves included, with its context."""
    yield parent.command_path, parent
    for name in group.list_commands(parent):
        command = group.get_command(parent, name)
        assert command is not None  # noqa: S101 - the group listed it
        context = click.Context(command, info_name=name, parent=parent)
        if isinstance(command, click.Group):
            yield from commands(command, context)
        else:
            yield context.command_path, context


def main() -> int:
    """Return 1 when ``--check`` finds a difference."""
    root = click.Context(cli, info_name="pyrunner", terminal_width=WIDTH, **cli.context_settings)
    texts = {path: context.get_help() for path, context in commands(cli, root)}
    page = PAGE.read_text()
    shown = [match[1] for match in _BLOCK.finditer(page)]
    if sorted(shown) != sorted(texts):
        print(f"{PAGE} shows {sorted(shown)}, but there are {sorted(texts)}")
        return 1
    fresh = _BLOCK.sub(lambda match: f"$ {match[1]} --help\n{texts[match[1]]}\n", page)
    if "--check" not in sys.argv:
        PAGE.write_text(fresh)
        return 0
    if fresh != page:
        print(f"{PAGE} is out of date; run scripts/update_cli_help.py")
    return int(fresh != page)


if __name__ == "__main__":
    sys.exit(main())
