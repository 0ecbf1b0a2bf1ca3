"""``package``: a model of files on this disk. Works on the store directly, server or not."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import click

from pyrunner import config
from pyrunner.cli import address, progress, quantizing
from pyrunner.errors import ConfigError

_LAST_SECOND = 253_402_300_799
"""The end of the year 9999: RFC 3339 has no name for a later one."""
_FILE = click.Path(path_type=Path)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sources:
    gguf: Path | None
    safetensors_dir: Path | None
    dduf: Path | None
    source: str | None
    chat_template: Path | None
    licenses: tuple[Path, ...]
    mmproj: Path | None
    context_size: int | None
    form: Literal["docker", "cncf"]
    quantize: str | None


@click.command("package")
@click.argument("model", metavar="TAG")
@click.option("--gguf", type=_FILE, metavar="FILE", help="The weights; shards: name the first.")
@click.option("--safetensors-dir", type=_FILE, metavar="DIR",
              help="Weights and all other files of a folder.")  # fmt: skip
@click.option("--dduf", type=_FILE, metavar="FILE", help="A diffusers model in one file.")
@click.option("--from", "source", metavar="MODEL", help="Take the weights of this model.")
@click.option("--chat-template", type=_FILE, metavar="FILE", help="Jinja template to use instead.")
@click.option("-l", "--license", "licenses", type=_FILE, metavar="FILE", multiple=True,
              help="A licence text; may be given again.")  # fmt: skip
@click.option("--mmproj", type=_FILE, metavar="FILE", help="Multimodal projector.")
@click.option("--context-size", type=int, metavar="N",
              help="Tokens of context the model is loaded with; -1: no limit.")  # fmt: skip
@click.option("--format", "form", type=click.Choice(["docker", "cncf"]), default="docker",
              help="Docker's artifact (the default) or CNCF ModelPack's.")  # fmt: skip
@click.option("--quantize", metavar="TYPE",
              help="Make the weights of --gguf or --from smaller first: Q4_K_M, ...")  # fmt: skip
@click.option("--push", is_flag=True, help="Push it to its registry at once.")
def package_command(model: str, *, push: bool, **sources: object) -> None:
    """Make a model of files, or of another model.

    It is named TAG and goes into the store of this machine, which a running server shares. The
    same input gives the same ID: no times are recorded unless SOURCE_DATE_EPOCH is set.
    """
    given = _Sources(**sources)  # type: ignore[arg-type]  # click's values, by the options' types
    weights = (given.gguf, given.safetensors_dir, given.dduf, given.source)
    if sum(each is not None for each in weights) != 1:
        raise click.UsageError(
            "give exactly one of --gguf FILE, --safetensors-dir DIR, --dduf FILE and --from MODEL"
        )
    if given.quantize is not None and given.gguf is None and given.source is None:
        raise click.UsageError("--quantize needs GGUF weights: give --gguf FILE or --from MODEL")
    settings = config.load()
    _check_name(settings, model)  # before minutes go into its weights
    with _weights(settings, given) as gguf:
        _package(settings, replace(given, gguf=gguf), model)
    if push:
        _push(settings, model)


@contextmanager
def _weights(settings: config.Settings, given: _Sources) -> Iterator[Path | None]:
    """The GGUF file to package: what was given, or a smaller copy for as long as it takes."""
    if given.quantize is None:
        yield given.gguf
    elif given.gguf is not None:
        with quantizing.quantized(settings, given.gguf, given.quantize) as smaller:
            yield smaller
    else:
        with (
            quantizing.weights_of(settings, given.source or "") as weights,
            quantizing.quantized(settings, weights, given.quantize) as smaller,
        ):
            yield smaller


def _check_name(settings: config.Settings, model: str) -> None:
    from pyrunner.models import catalog

    catalog.open_store(settings).check_target(model)


def _say(message: str) -> None:
    click.echo(message, err=True)


def _package(settings: config.Settings, given: _Sources, model: str) -> None:
    from pyrunner.cli.store_library import lines_to
    from pyrunner.models import catalog, packaging

    options = packaging.PackageOptions(
        gguf=given.gguf,
        safetensors_dir=given.safetensors_dir,
        dduf=given.dduf,
        source=given.source,
        chat_template=given.chat_template,
        licenses=given.licenses,
        mmproj=given.mmproj,
        context_size=given.context_size,
        format=given.form,
        created_s=_source_date_epoch(),
    )
    store = catalog.open_store(settings)
    with progress.shown(sys.stderr) as on_progress:
        packaging.package(store, options, model, _say, lines_to(on_progress))
    named = address.named()
    if named is not None and not named.socket_path:
        _say(f"It is in this machine's store, which {named} may not share.")


def _source_date_epoch() -> int | None:
    # The time that reproducible builds record (reproducible-builds.org), in Unix seconds.
    text = config.environment_value("SOURCE_DATE_EPOCH")
    if text is None:
        return None
    if not text.isdecimal() or len(text) > len(str(_LAST_SECOND)) or int(text) > _LAST_SECOND:
        problem = "has to be a whole number of Unix seconds"
        raise ConfigError(key="SOURCE_DATE_EPOCH", source="environment", problem=problem)
    return int(text)


def _push(settings: config.Settings, model: str) -> None:
    from pyrunner.cli.store_library import StoreLibrary

    _say("Pushing model to registry...")
    with progress.shown(sys.stderr) as on_progress:
        StoreLibrary(settings).push(model, on_progress)
