"""``run``: one question from the command line, or a chat."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import click

from pyrunner import config
from pyrunner.cli import connect, private_server, progress
from pyrunner.cli.answer import Speaker, Told
from pyrunner.cli.client import Client
from pyrunner.cli.library import ServerLibrary
from pyrunner.errors import ModelNotFoundError


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wishes:
    model: str
    prompt: str
    is_detached: bool
    is_verbose: bool
    system: str


@click.command("run")
@click.argument("model")
@click.argument("prompt", nargs=-1, metavar="[PROMPT...]")
@click.option("-d", "--detach", is_flag=True, help="Load the model and come back.")
@click.option("-s", "--system", default="", metavar="TEXT", help="Begin with this system message.")
@click.option("-v", "--verbose", is_flag=True, help="Also print token counts and speed.")
@click.option("--color", type=click.Choice(["auto", "yes", "no"]), default="no",
              help="Accepted for docker's sake; answers are printed as they are.")  # fmt: skip
def run_command(
    model: str, prompt: tuple[str, ...], *, detach: bool, system: str, verbose: bool, color: str
) -> None:
    """Ask a model, or chat with it.

    What is piped in is added to PROMPT. Without both, and on a terminal, it is a chat: /help says
    what it knows. A model that is not here is pulled first. Without a server one is started for
    as long as the command runs.
    """
    del color
    wishes = _Wishes(
        model=model,
        prompt="" if detach else _prompt(prompt),
        is_detached=detach,
        is_verbose=verbose,
        system=system,
    )
    settings = config.load()
    with _server(settings, wishes) as client:
        _pull_if_missing(client, model)
        _talk(settings, client, wishes)


def _prompt(words: tuple[str, ...]) -> str:
    # An argument that is no UTF-8 arrives with surrogates, which no JSON may hold.
    prompt = " ".join(words).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if sys.stdin.isatty():
        return prompt
    piped = sys.stdin.read().strip("\n")
    prompt = "\n\n".join(part for part in (prompt, piped) if part)
    if not prompt.strip():
        raise click.UsageError("the prompt is empty; write one, or pipe one in")
    return prompt


@contextmanager
def _server(settings: config.Settings, wishes: _Wishes) -> Iterator[Client]:
    client = connect.find_server(settings)
    if client is not None:
        yield client
    elif wishes.is_detached:
        # Nothing would keep the model loaded once this command has ended.
        connect.need_server(settings)
    else:
        click.echo("No server is running; starting one for this command.", err=True)
        with private_server.running(settings, wishes.model) as client:
            yield client


def _pull_if_missing(client: Client, model: str) -> None:
    library = ServerLibrary(client)
    try:
        library.inspect(model)
    except ModelNotFoundError:
        click.echo(f"Unable to find model '{model}' locally. Pulling from the server.", err=True)
        with progress.shown(sys.stderr) as on_progress:
            library.pull(model, on_progress)


def _talk(settings: config.Settings, client: Client, wishes: _Wishes) -> None:
    speaker = Speaker(client, wishes.model, sys.stdout, is_verbose=wishes.is_verbose)
    if wishes.is_detached:
        speaker.preload()
    elif wishes.prompt:
        system = [{"role": "system", "content": wishes.system}] if wishes.system else []
        speaker.answer([*system, {"role": "user", "content": wishes.prompt}], Told())
    else:
        from pyrunner.cli.chat import Chat

        Chat(speaker, settings.home / "history", system=wishes.system).run()
