"""``package``: a model of files on this disk. Works on the store directly, server or not."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from pyrunner import config
from pyrunner.cli import archives, names, progress, quantizing
from pyrunner.cli.client import Client
from pyrunner.cli.library import OnProgress, ServerLibrary
from pyrunner.errors import (
    ConfigError,
    InvalidParameterError,
    ModelNotFoundError,
    ServerUnreachableError,
)

if TYPE_CHECKING:
    from pyrunner.models.packaging import PackageOptions

_LAST_SECOND = 253_402_300_799
"""The end of the year 9999: RFC 3339 has no name for a later one."""
_FILE = click.Path(path_type=Path)
_TYPED = {"target": "TAG", "context_size": "--context-size"}
"""What the layers below call by their own names."""


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
@click.option("--json", "is_json", is_flag=True, help="Print the progress as JSON lines.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def package_command(
    model: str, *, push: bool, is_json: bool, quiet: bool, **sources: object
) -> None:
    """Make a model of files, or of another model.

    It is named TAG and goes into the store of this machine, which a running server shares; a
    server that MODEL_RUNNER_HOST names elsewhere gets a copy. The same input gives the same ID:
    no times are recorded unless SOURCE_DATE_EPOCH is set.
    """
    given = _Sources(**sources)  # type: ignore[arg-type]  # click's values, by the options' types
    weights = (given.gguf, given.safetensors_dir, given.dduf, given.source)
    if sum(each is not None for each in weights) != 1:
        raise click.UsageError(
            "give exactly one of --gguf FILE, --safetensors-dir DIR, --dduf FILE and --from MODEL"
        )
    if given.quantize is not None and given.gguf is None and given.source is None:
        raise click.UsageError("--quantize needs GGUF weights: give --gguf FILE or --from MODEL")
    progress.check_style(is_json=is_json, is_quiet=quiet)
    out = sys.stdout if is_json else sys.stderr
    show = partial(progress.shown, out, is_json=is_json, is_quiet=quiet)
    with progress.failing("package", is_json=is_json), _as_typed():
        _run(_Job(config.load(), model, given, show), is_pushed=push)


@dataclass(frozen=True, slots=True)
class _Job:
    settings: config.Settings
    model: str
    given: _Sources
    show: progress.Show


def _run(job: _Job, *, is_pushed: bool) -> None:
    server = None if is_pushed else archives.named_server()
    _check(job, is_pushed=is_pushed)  # before minutes go into its weights
    if server is not None and not server.is_answering():
        raise ServerUnreachableError(address=str(server.address))
    with _weights(job) as gguf:
        model_id = _package(job, gguf)
    if is_pushed:
        _push(job)
    elif server is not None:
        _hand_over(job, server, model_id)


@contextmanager
def _as_typed() -> Iterator[None]:
    """Name options as they are written on a command line."""
    try:
        yield
    except InvalidParameterError as error:
        if error.param not in _TYPED:
            raise
        raise InvalidParameterError(param=_TYPED[error.param], problem=error.problem) from error


def _check(job: _Job, *, is_pushed: bool) -> None:
    from pyrunner.models import catalog, packaging

    packaging.check_options(_options(job.given, job.given.gguf))
    catalog.open_store(job.settings).check_target(job.model)
    if is_pushed:
        names.check_push_target(job.settings, job.model)


@contextmanager
def _weights(job: _Job) -> Iterator[Path | None]:
    """The GGUF file to package: what was given, or a smaller copy for as long as it takes."""
    given, settings = job.given, job.settings
    if given.quantize is None:
        yield given.gguf
    elif given.gguf is not None:
        with quantizing.quantized(settings, given.gguf, given.quantize, job.show) as smaller:
            yield smaller
    else:
        with (
            quantizing.weights_of(settings, given.source or "") as weights,
            quantizing.quantized(settings, weights, given.quantize, job.show) as smaller,
        ):
            yield smaller


def _package(job: _Job, gguf: Path | None) -> str:
    """Returns the model's id."""
    from pyrunner.cli.store_library import lines_to
    from pyrunner.models import catalog, packaging

    store = catalog.open_store(job.settings)
    with job.show() as tell:

        def say(message: str) -> None:
            kind = "success" if message == packaging.LOADED else "progress"
            tell(progress.said(kind, message, "package"))

        options = _options(job.given, gguf)
        return packaging.package(store, options, job.model, say, lines_to(tell)).id


def _options(given: _Sources, gguf: Path | None) -> "PackageOptions":
    from pyrunner.models.packaging import PackageOptions

    return PackageOptions(
        gguf=gguf,
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


def _hand_over(job: _Job, server: Client, model_id: str) -> None:
    """Give the model to a server that does not have this machine's store."""
    from pyrunner.models import catalog
    from pyrunner.models.tar_writing import ModelTar

    with suppress(ModelNotFoundError):
        if ServerLibrary(server).inspect(job.model)["id"] == model_id:
            return
    with job.show() as tell, ModelTar(catalog.open_store(job.settings), model_id) as tar:
        tell(progress.said("progress", f"Loading model to {server.address}...", "push"))
        archives.send(server, _told(tar.chunks(), tar.size_bytes, model_id, tell), job.model)
        tell(progress.said("success", f"Model loaded to {server.address} successfully", "push"))


def _told(chunks: Iterator[bytes], size_bytes: int, name: str, tell: OnProgress) -> Iterator[bytes]:
    from pyrunner.models.progress import LayerProgress

    due = LayerProgress(size_bytes=size_bytes)
    n_bytes = 0
    for chunk in chunks:
        yield chunk
        n_bytes += len(chunk)
        if due.is_due(n_bytes):
            tell(progress.line("push", name, n_bytes, size_bytes))


def _push(job: _Job) -> None:
    from pyrunner.cli.store_library import StoreLibrary

    with job.show() as tell:
        tell(progress.said("progress", "Pushing model to registry...", "push"))
        StoreLibrary(job.settings).push(job.model, tell)


def _source_date_epoch() -> int | None:
    # The time that reproducible builds record (reproducible-builds.org), in Unix seconds.
    text = config.environment_value("SOURCE_DATE_EPOCH")
    if text is None:
        return None
    if not text.isdecimal() or len(text) > len(str(_LAST_SECOND)) or int(text) > _LAST_SECOND:
        problem = "has to be a whole number of Unix seconds"
        raise ConfigError(key="SOURCE_DATE_EPOCH", source="environment", problem=problem)
    return int(text)
