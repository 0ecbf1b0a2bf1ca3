"""``pull`` and ``push``."""

import sys

import click

from pyrunner import config
from pyrunner.cli import connect, progress

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
    library = connect.find_library(config.load())
    if quiet:
        library.pull(model, lambda _: None)
        return
    with progress.shown(sys.stdout, is_json=is_json) as on_progress:
        library.pull(model, on_progress)


@click.command("push")
@click.argument("model")
@_json
@_quiet
def push_command(model: str, *, is_json: bool, quiet: bool) -> None:
    """Push a model to its registry.

    Credentials are those of 'pyrunner login' or 'docker login'.
    """
    library = connect.find_library(config.load())
    if quiet:
        library.push(model, lambda _: None)
        return
    with progress.shown(sys.stdout, is_json=is_json) as on_progress:
        library.push(model, on_progress)
