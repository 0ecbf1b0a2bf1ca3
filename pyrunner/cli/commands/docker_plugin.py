"""``docker-plugin``: put ourselves where Docker's command line looks for ``docker model``."""

import shlex
import sys
from pathlib import Path

import click

from pyrunner import config
from pyrunner.errors import StoreIOError

FILE_NAME = "docker-model"


@click.group("docker-plugin")
def docker_plugin_command() -> None:
    """Make pyrunner answer to 'docker model'."""


@docker_plugin_command.command("install")
@click.option("-f", "--force", is_flag=True, help="Replace another program's docker-model.")
def install(*, force: bool) -> None:
    """Link docker-model into Docker's plugin folder.

    That is cli-plugins below $DOCKER_CONFIG, or below ~/.docker.
    """
    link = _plugin_path()
    if link.exists() and not _is_ours(link) and not force:
        raise click.UsageError(f"{link} is another program's; replace it with --force")
    try:
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        _put(link)
    except OSError as error:
        raise StoreIOError(path=str(link), problem=str(error.strerror)) from error
    click.echo(f"Installed {link}. Try: docker model version")


@docker_plugin_command.command("uninstall")
def uninstall() -> None:
    """Take the link away again."""
    link = _plugin_path()
    if not link.is_symlink() and not link.exists():
        click.echo(f"{link} does not exist.")
        return
    if not _is_ours(link):
        raise click.UsageError(f"{link} is another program's; it stays")
    try:
        link.unlink()
    except OSError as error:
        raise StoreIOError(path=str(link), problem=str(error.strerror)) from error
    click.echo(f"Removed {link}.")


def _plugin_path() -> Path:
    given = config.environment_value("DOCKER_CONFIG")
    folder = Path(given) if given else Path.home() / ".docker"
    return folder.absolute() / "cli-plugins" / FILE_NAME


def _script() -> Path:
    return Path(sys.executable).with_name(FILE_NAME)


def _put(link: Path) -> None:
    if _script().exists():
        link.symlink_to(_script())
        return
    # A source tree that is not installed has no script to link to.
    link.write_text(
        f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -P -m pyrunner.cli.plugin "$@"\n'
    )
    link.chmod(0o755)


def _is_ours(path: Path) -> bool:
    # Both the installed script and the one above name the module they run.
    try:
        return b"pyrunner.cli.plugin" in path.read_bytes()[:4096]
    except OSError:
        return path.is_symlink()
