"""``run``: one question from the command line, or a chat."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click

from pyrunner import config
from pyrunner.cli import connect, private_server, progress, render
from pyrunner.cli.answer import API, Speaker, Told
from pyrunner.cli.client import Client
from pyrunner.cli.library import ServerLibrary
from pyrunner.errors import ModelNotFoundError, UnsupportedParameterError


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wishes:
    model: str
    prompt: str
    is_detached: bool
    is_verbose: bool
    is_debugging: bool
    system: str
    openai_url: str


@click.command("run")
@click.argument("model")
@click.argument("prompt", nargs=-1, metavar="[PROMPT...]")
@click.option("-d", "--detach", is_flag=True, help="Load the model and come back.")
@click.option("-s", "--system", default="", metavar="TEXT", help="Begin with this system message.")
@click.option("-v", "--verbose", is_flag=True, help="Also print token counts and speed.")
@click.option("--debug", is_flag=True, help="Also print what is sent to the server.")
@click.option("--openaiurl", default="", metavar="URL",
              help="Ask this server of OpenAI's API: http://HOST/v1.")  # fmt: skip
@click.option("--color", type=click.Choice(["auto", "yes", "no"]), default="no",
              help="Only 'no' is supported: answers are printed as they are.")  # fmt: skip
def run_command(model: str, prompt: tuple[str, ...], *, color: str, **options: Any) -> None:
    """Ask a model, or chat with it.

    What is piped in is added to PROMPT. Without both, and on a terminal, it is a chat: /help says
    what it knows. A model that is not here is pulled first. Without a server one is started for
    as long as the command runs.
    """
    if color != "no":
        raise UnsupportedParameterError(param=f"--color {color}", hint="Leave it out.")
    is_detached, url = options["detach"], options["openaiurl"]
    if is_detached and url:
        raise click.UsageError("--detach and --openaiurl cannot be used together")
    wishes = _Wishes(
        model=model,
        prompt="" if is_detached else _prompt(prompt),
        is_detached=is_detached,
        is_verbose=options["verbose"],
        is_debugging=options["debug"],
        system=options["system"],
        openai_url=url,
    )
    settings = config.load()
    with _server(settings, wishes) as client:
        if wishes.is_debugging:
            client.tell_requests(_say)
        if not url:
            _pull_if_missing(client, model)
        _talk(settings, client, wishes)


def _say(text: str) -> None:
    render.show(f"{text}\n", sys.stderr)


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
    if wishes.openai_url:
        yield connect.openai_server(wishes.openai_url)
        return
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
    api = "" if wishes.openai_url else API
    speaker = Speaker(client, wishes.model, sys.stdout, is_verbose=wishes.is_verbose, api=api)
    if wishes.is_detached:
        speaker.preload()
    elif wishes.prompt:
        system = [{"role": "system", "content": wishes.system}] if wishes.system else []
        speaker.answer([*system, {"role": "user", "content": wishes.prompt}], Told())
    else:
        from pyrunner.cli.chat import Chat

        Chat(speaker, settings.home / "history", system=wishes.system).run()
