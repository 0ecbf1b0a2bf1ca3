"""``export`` and ``load``: models as tar files, or through a pipe."""

import sys
from pathlib import Path

import click

from pyrunner import config
from pyrunner.cli import archives

_STREAM = Path("-")


@click.command("export")
@click.argument("model")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=_STREAM, metavar="FILE",
              help="Where to; '-', the default, is stdout.")  # fmt: skip
@click.option("--oci", "is_layout", is_flag=True,
              help="Make the tar an OCI image layout as well: skopeo's oci-archive.")  # fmt: skip
def export_command(model: str, output: Path, *, is_layout: bool) -> None:
    """Write a model to a tar file.

    'pyrunner load' and 'docker model' read it; an equal model gives an equal file.
    """
    settings = config.load()
    if output != _STREAM:
        with archives.replacing(output) as file:
            archives.export(settings, model, file, is_layout=is_layout)
        return
    if sys.stdout.isatty():
        raise click.UsageError("a tar is nothing for a terminal: give -o FILE, or use a pipe")
    archives.export(settings, model, sys.stdout.buffer, is_layout=is_layout)


@click.command("load")
@click.argument("tag", required=False)
@click.option("-i", "--input", "source", type=click.Path(path_type=Path), default=_STREAM,
              metavar="FILE", help="Where from; '-', the default, is stdin.")  # fmt: skip
def load_command(tag: str | None, source: Path) -> None:
    """Read a model from a tar file.

    Its names are not in it: it gets the name TAG, or none, and its ID is printed. The tar is one
    of 'pyrunner export', of Docker Model Runner, or an OCI image layout with one model.
    """
    settings = config.load()
    if source == _STREAM:
        if sys.stdin.isatty():
            raise click.UsageError("give -i FILE, or use a pipe")
        loaded = archives.load(settings, sys.stdin.buffer, "standard input", tag)
    else:
        with archives.opened(source) as file:
            loaded = archives.load(settings, file, str(source), tag)
    click.echo(f"Loaded model: {loaded}")
