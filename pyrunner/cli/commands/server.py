"""The commands about a running server: ``status ps unload logs version``."""

import json
import platform
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import click

from pyrunner import __version__, config
from pyrunner.cli import address, connect, render
from pyrunner.cli.client import Client
from pyrunner.errors import ServerAnswerError, ServerUnreachableError

_ORDER = ("Running", "Error", "Not Installed", "Installing")
_ARCHITECTURES = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64"}


@click.command("status")
@click.option("--json", "is_json", is_flag=True, help="Print JSON, and exit with 0 in any case.")
def status_command(*, is_json: bool) -> None:
    """Say whether the server runs.

    The exit code is 1 when it does not.
    """
    settings = config.load()
    client = connect.find_server(settings)
    backends = None if client is None else _backends(client)
    if is_json:
        base = f"{_endpoint(settings, client)}/v1/"
        state = {"running": backends is not None, "backends": backends or {}, "kind": "pyrunner"}
        click.echo(json.dumps(state | {"endpoint": base, "endpointHost": base}))
    elif backends is None:
        click.echo("Docker Model Runner is not running\n\nStart it with: pyrunner serve")
        raise click.exceptions.Exit(1)
    else:
        click.echo("Docker Model Runner is running\n")
        click.echo(_backends_table(backends), nl=False)


@click.command("ps")
@click.option("--json", "is_json", is_flag=True, help="Print the API's list.")
def ps_command(*, is_json: bool) -> None:
    """List the loaded models."""
    runners = connect.need_server(config.load()).call("GET", "/engines/ps") or []
    if is_json:
        click.echo(json.dumps(runners, indent=4))
    else:
        click.echo(render.running_table(runners, time.time()), nl=False)


@click.command("unload")
@click.argument("models", nargs=-1, metavar="[MODEL...]")
@click.option("--all", "is_all", is_flag=True, help="Unload every model.")
@click.option("--backend", default="", help="Only models of this backend.")
@click.option("-f", "--force", is_flag=True, help="Also those that are loading, busy or hung.")
def unload_command(models: tuple[str, ...], *, is_all: bool, backend: str, force: bool) -> None:
    """Unload models from memory.

    A model that is loading or answering a request stays, unless --force is given: then its
    requests get some seconds to finish.
    """
    if bool(models) == is_all:
        raise click.UsageError("name models, or give --all")
    body = {"all": is_all, "backend": backend, "models": list(models)}
    if force:  # Docker Model Runner does not know this key
        body["force"] = True
    client = connect.need_server(config.load())
    n_unloaded = client.call("POST", "/engines/unload", body)["unloaded_runners"]
    named = {render.short_name(model.lower()) for model in models}
    busy = [name for name in _busy(client) if is_all or name in named]
    if n_unloaded:
        click.echo(f"Unloaded {n_unloaded} model(s).")
    if busy and force:
        click.echo(f"Loaded again by a request that came meanwhile: {', '.join(busy)}.")
    elif busy:
        click.echo(f"Busy, so not unloaded: {', '.join(busy)}. Wait, or use --force.")
    elif not n_unloaded:
        click.echo("No models are running." if is_all else "No such model(s) running.")


def _busy(client: Client) -> list[str]:
    runners: Sequence[Mapping[str, Any]] = ()
    with suppress(ServerUnreachableError, ServerAnswerError):  # what was asked for is done
        runners = client.call("GET", "/engines/ps") or ()
    return [
        render.printable(render.short_name(str(each.get("model_name"))))
        for each in runners
        if each.get("in_use") or each.get("loading") or each.get("answering") is False
    ]


@click.command("logs")
@click.option("-f", "--follow", is_flag=True, help="Go on printing what comes, until Ctrl-C.")
@click.option("--no-engines", is_flag=True, help="Leave out the lines of the workers.")
def logs_command(*, follow: bool, no_engines: bool) -> None:
    """Print the server's log."""
    client = connect.need_server(config.load())
    query = f"follow={str(follow).lower()}&no-engines={str(no_engines).lower()}"
    with client.open("GET", f"/logs?{query}") as answer:
        for line in answer.lines():
            render.show(f"{line}\n")


@click.command("version")
def version_command() -> None:
    """Print the versions of client and server."""
    client = connect.find_server(config.load())
    click.echo("\n".join(_version_lines(client)))


def _version_lines(client: Client | None) -> Iterator[str]:
    machine = platform.machine()
    system = f"{sys.platform}/{_ARCHITECTURES.get(machine, machine)}"
    yield from ("Client:", f" Version:    {__version__}", f" OS/Arch:    {system}", "")
    yield from ("Server:", f" Version:    {_server_version(client)}")
    yield f" Engine:     {'pyrunner' if client is None else client.address}"


def _server_version(client: Client | None) -> str:
    unreachable = "(not reachable)"
    if client is None:
        return unreachable
    try:
        return render.printable(str(client.call("GET", "/version")["version"]))
    except (ServerUnreachableError, ServerAnswerError):
        return unreachable


def _backends(client: Client) -> dict[str, str] | None:
    try:
        client.call("GET", "/models")
        return dict(client.call("GET", "/engines/status"))
    except ServerUnreachableError:
        return None


def _endpoint(settings: config.Settings, client: Client | None) -> str:
    # Compose hands this URL to containers, so a Unix socket is no answer.
    if client is None or client.address.socket_path:
        return address.tcp(settings).url
    return client.address.url


def _backends_table(backends: Mapping[str, str]) -> str:
    rows = []
    for name, text in backends.items():
        status, _, details = str(text).partition(": ")
        rows.append((name, status, details))
    rows.sort(key=lambda row: (_ORDER.index(row[1]) if row[1] in _ORDER else len(_ORDER), row[0]))
    printable: list[tuple[Any, ...]] = [tuple(map(render.printable, row)) for row in rows]
    return render.table(("BACKEND", "STATUS", "DETAILS"), printable)
