"""``login`` and ``logout``."""

import sys

import click

from pyrunner import config
from pyrunner.errors import InvalidParameterError

_MAX_PASSWORD_BYTES = 32 * 1024
"""Tokens of cloud registries have some kilobytes."""


@click.command("login")
@click.argument("registry", required=False)
@click.option("-u", "--username", help="User name; asked for on a terminal without it.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def login_command(registry: str | None, username: str | None, *, password_stdin: bool) -> None:
    """Log in to a registry.

    Without REGISTRY it is the default one, which is Docker Hub unless a setting says otherwise.

    The registry is shown the password first. Then it is kept as 'docker login' keeps it: by the
    credential helper that Docker's config.json names, or in that file.
    """
    from pyrunner.registry.auth import DockerCredentials
    from pyrunner.registry.credential import Credential
    from pyrunner.registry.login import log_in
    from pyrunner.registry.reference import parse_registry

    settings = config.load()
    host = parse_registry(registry or settings.registry.default_registry)
    if password_stdin and username is None:
        raise click.UsageError("--password-stdin needs --username.")
    if not password_stdin and not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to ask for a password; use --password-stdin.")
    user = click.prompt("Username", err=True) if username is None else username
    if password_stdin:
        secret = _password_from_stdin()
    else:
        secret = click.prompt("Password", hide_input=True, err=True)
    login = log_in(settings.registry, host, Credential(_checked_name(user), secret))
    docker = DockerCredentials()
    program = docker.save(host, login.credential)
    if not login.is_verified:
        click.echo(f"{host} lets everybody in, so the password is not verified.", err=True)
    if program is None:
        click.echo(
            f"The credentials are kept unencrypted in {docker.path}; "
            "a credential helper (credsStore in that file) would keep them safe.",
            err=True,
        )
    click.echo("Login Succeeded")


@click.command("logout")
@click.argument("registry", required=False)
def logout_command(registry: str | None) -> None:
    """Log out of a registry.

    Without REGISTRY it is the default one.
    """
    from pyrunner.registry.auth import DockerCredentials
    from pyrunner.registry.reference import parse_registry

    host = parse_registry(registry or config.load().registry.default_registry)
    if DockerCredentials().forget(host):
        click.echo(f"Removed the login credentials for {host}")
    else:
        click.echo(f"Not logged in to {host}")


def _password_from_stdin() -> str:
    content = sys.stdin.buffer.read(_MAX_PASSWORD_BYTES + 1)
    if len(content) > _MAX_PASSWORD_BYTES:
        raise InvalidParameterError(
            param="password", problem=f"has more than {_MAX_PASSWORD_BYTES} bytes"
        )
    try:
        password = content.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InvalidParameterError(param="password", problem="is no UTF-8 text") from error
    if not password:
        raise InvalidParameterError(param="password", problem="is empty")
    return password


def _checked_name(username: str) -> str:
    # HTTP's basic authentication (RFC 7617) cannot send such a name.
    if not username or ":" in username or not username.isprintable():
        raise InvalidParameterError(param="username", problem="is empty, or has a ':' in it")
    return username
