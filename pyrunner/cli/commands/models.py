"""The commands on models that are already here: ``list inspect rm tag``."""

import json
import time
from collections.abc import Mapping
from typing import Any

import click

from pyrunner import config
from pyrunner.cli import connect, main, render
from pyrunner.errors import PyrunnerError, ServerAnswerError, ServerUnreachableError

_SHORT_ID_LENGTH = 12


@click.command("list")
@click.argument("model", required=False)
@click.option("--json", "is_json", is_flag=True, help="Print the API's list.")
@click.option("--openai", "is_openai", is_flag=True, help="Print OpenAI's list.")
@click.option("-q", "--quiet", is_flag=True, help="Print IDs only, one per model.")
@click.option("--openaiurl", default="", metavar="URL",
              help="List the models of this server of OpenAI's API.")  # fmt: skip
def list_command(
    model: str | None, *, is_json: bool, is_openai: bool, quiet: bool, openaiurl: str
) -> None:
    """List the models of the store.

    With MODEL, only those whose name or ID it is.
    """
    if is_openai and quiet:
        raise click.UsageError("--quiet and --openai cannot be used together")
    if openaiurl:
        _list_of_openai(openaiurl, model, is_json=is_json or is_openai, is_quiet=quiet)
        return
    models = connect.find_library(config.load()).list()
    if model is not None:
        models = [each for each in models if _is_id(each, model) or _tags_named(each, model)]
    if is_openai:
        _print_json({"object": "list", "data": [render.openai_model(each) for each in models]})
    elif is_json:
        _print_json(models)
    elif quiet:
        for each in models:
            click.echo(render.short_id(str(each["id"])))
    else:
        rows = [_as_asked_for(each, model or "") for each in models]
        click.echo(render.models_table(rows, time.time()), nl=False)


@click.command("inspect")
@click.argument("model")
@click.option("--openai", "is_openai", is_flag=True, help="Print it as OpenAI's API does.")
@click.option("-r", "--remote", is_flag=True, help="Ask the model's registry, not the store.")
def inspect_command(model: str, *, is_openai: bool, remote: bool) -> None:
    """Show everything about one model as JSON."""
    if is_openai and remote:
        raise click.UsageError("--remote and --openai cannot be used together")
    found = connect.find_library(config.load()).inspect(model, is_remote=remote)
    _print_json(render.openai_model(found) if is_openai else found)


@click.command("rm")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("-f", "--force", is_flag=True, help="Remove a model by ID although it has tags.")
def rm_command(models: tuple[str, ...], *, force: bool) -> None:
    """Remove models, or tags of them.

    A model goes with its last tag, and its files with the last model that uses them. What cannot
    be removed does not keep the rest from it.
    """
    library = connect.find_library(config.load())
    codes = []
    for model in models:
        try:
            for removed in library.remove(model, is_forced=force):
                for what, name in removed.items():
                    click.echo(f"{what}: {name}")
        except ServerUnreachableError:
            raise
        except PyrunnerError as error:
            main.print_error(_prog_name(), error)
            codes.append(main.exit_code(error))
    if codes:
        raise click.exceptions.Exit(codes[0])


def _prog_name() -> str:
    return click.get_current_context().find_root().info_name or "pyrunner"


@click.command("tag")
@click.argument("source")
@click.argument("target")
def tag_command(source: str, target: str) -> None:
    """Give a model one more name.

    SOURCE may be a name or an ID; a model that had the name TARGET loses it.
    """
    connect.find_library(config.load()).tag(source, target)
    click.echo(f'Model "{source}" tagged successfully with "{target}"')


def _list_of_openai(url: str, model: str | None, *, is_json: bool, is_quiet: bool) -> None:
    client = connect.openai_server(url)
    answer = client.call("GET", "/models")
    found = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        message = f"{client.address} has no list of models in OpenAI's form. Check --openaiurl."
        raise ServerAnswerError(status=200, message=message)
    found = [each for each in found if model in (None, each.get("id"))]
    if is_json:
        _print_json({**answer, "data": found})
    elif is_quiet:
        render.show("".join(f"{each.get('id')}\n" for each in found))
    else:
        click.echo(render.openai_table(found, time.time()), nl=False)


def _is_id(model: Mapping[str, Any], text: str) -> bool:
    digest = str(model.get("id")).removeprefix("sha256:")
    return len(text) >= _SHORT_ID_LENGTH and digest.startswith(text.removeprefix("sha256:"))


def _tags_named(model: Mapping[str, Any], text: str) -> list[str]:
    # As the store understands it: with or without the tag, or the last part of a name alone.
    wanted = render.short_name(text.lower())
    return [tag for tag in model.get("tags") or () if wanted in _spellings(tag)]


def _spellings(tag: str) -> tuple[str, str, str]:
    name = render.short_name(tag).lower()
    head, slash, last = name.partition("@")[0].rpartition("/")
    bare = last.partition(":")[0]
    return name, f"{head}{slash}{bare}", bare


def _as_asked_for(model: Mapping[str, Any], text: str) -> Mapping[str, Any]:
    # Of a model with several names only those that were asked for.
    named = _tags_named(model, text)
    return {**model, "tags": named} if named else model


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=4, ensure_ascii=False))
