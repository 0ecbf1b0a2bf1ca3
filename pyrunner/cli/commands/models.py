"""The commands on models that are already here: ``list inspect rm tag``."""

import json
import time
from collections.abc import Mapping
from typing import Any

import click

from pyrunner import config
from pyrunner.cli import connect, render


@click.command("list")
@click.argument("model", required=False)
@click.option("--json", "is_json", is_flag=True, help="Print the API's list.")
@click.option("--openai", "is_openai", is_flag=True, help="Print OpenAI's list.")
@click.option("-q", "--quiet", is_flag=True, help="Print IDs only, one per model.")
def list_command(model: str | None, *, is_json: bool, is_openai: bool, quiet: bool) -> None:
    """List the models of the store.

    With MODEL, only those whose name or ID it is.
    """
    if is_openai and quiet:
        raise click.UsageError("--quiet and --openai cannot be used together")
    models = connect.find_library(config.load()).list()
    if model is not None:
        models = [each for each in models if _is_named(each, model)]
    if is_openai:
        _print_json({"object": "list", "data": [render.openai_model(each) for each in models]})
    elif is_json:
        _print_json(models)
    elif quiet:
        for each in models:
            click.echo(render.short_id(str(each["id"])))
    else:
        click.echo(render.models_table(models, time.time()), nl=False)


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

    A model goes with its last tag, and its files with the last model that uses them.
    """
    library = connect.find_library(config.load())
    for model in models:
        for removed in library.remove(model, is_forced=force):
            for what, name in removed.items():
                click.echo(f"{what}: {name}")


@click.command("tag")
@click.argument("source")
@click.argument("target")
def tag_command(source: str, target: str) -> None:
    """Give a model one more name.

    SOURCE may be a name or an ID; a model that had the name TARGET loses it.
    """
    connect.find_library(config.load()).tag(source, target)
    click.echo(f'Model "{source}" tagged successfully with "{target}"')


def _is_named(model: Mapping[str, Any], text: str) -> bool:
    wanted = render.short_name(text)
    tags = [render.short_name(tag) for tag in model.get("tags") or ()]
    digest = str(model.get("id")).removeprefix("sha256:")
    is_id = len(text) >= 12 and digest.startswith(text.removeprefix("sha256:"))
    return is_id or any(wanted in (tag, tag.rpartition(":")[0]) for tag in tags)


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=4, ensure_ascii=False))
