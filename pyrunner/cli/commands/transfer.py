"""``pull`` and ``push``."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from pyrunner import config
from pyrunner.cli import connect, names, progress
from pyrunner.cli.library import OnProgress

_json = click.option("--json", "is_json", is_flag=True, help="Print the progress as JSON lines.")
_quiet = click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")


@click.command("pull")
@click.argument("model")
@_json
@_quiet
def pull_command(model: str, *, is_json: bool, quiet: bool) -> None:
    """Pull a model from its registry.

    What an interrupted pull has finished is kept: run the same command again to go on.
    """
    with _shown("pull", is_json=is_json, is_quiet=quiet) as on_progress:
        connect.find_library(config.load()).pull(model, on_progress)


@click.command("push")
@click.argument("model")
@_json
@_quiet
def push_command(model: str, *, is_json: bool, quiet: bool) -> None:
    """Push a model to its registry.

    Credentials are those of 'pyrunner login' or 'docker login'.
    """
    with _shown("push", is_json=is_json, is_quiet=quiet) as on_progress:
        settings = config.load()
        library = connect.find_library(settings)
        names.check_pushable(settings, library, model)
        library.push(model, on_progress)


@contextmanager
def _shown(mode: str, *, is_json: bool, is_quiet: bool) -> Iterator[OnProgress]:
    progress.check_style(is_json=is_json, is_quiet=is_quiet)
    with (
        progress.failing(mode, is_json=is_json),
        progress.shown(sys.stdout, is_json=is_json, is_quiet=is_quiet) as on_progress,
    ):
        yield on_progress
