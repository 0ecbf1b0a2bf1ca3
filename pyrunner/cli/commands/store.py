"""The commands on the store of this machine, server or not: ``store``, ``df`` and ``purge``."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pyrunner import config, units
from pyrunner.cli import address, connect, render
from pyrunner.models import catalog

if TYPE_CHECKING:
    from pyrunner.models.importing import Outcome
    from pyrunner.models.store import Store
    from pyrunner.models.verification import OnBytes, Report

_DAMAGED = 1


@click.group("store")
def store_command() -> None:
    """Check, clean and fill the store of this machine.

    All of it works while a server runs on the same store.
    """


@store_command.command("verify", short_help="Check every blob and every reference.")
@click.option("--repair", "is_repairing", is_flag=True,
              help="Drop damaged blobs, for a pull to fetch; rebuild a damaged index.")  # fmt: skip
def verify_command(*, is_repairing: bool) -> None:
    """Compare every blob with its digest and every reference with what is there.

    The exit code is 1 when something is damaged and needs you.
    """
    from pyrunner.models import recovery, verification

    store = catalog.open_store(config.load())
    with _progress() as on_bytes:
        report = verification.verify(store, on_bytes)
    _show(report)
    if is_repairing and report.damages:
        for sentence in recovery.repair(store, report):
            render.show(f"{sentence}\n")
        with _progress() as on_bytes:
            report = verification.verify(store, on_bytes)
        click.echo("After the repair:")
        _show(report)
    if report.damages:
        raise click.exceptions.Exit(_DAMAGED)


@store_command.command("gc")
@click.option("--partial", "drops_partials", is_flag=True,
              help="Also the parts of models that a pull would continue.")  # fmt: skip
def gc_command(*, drops_partials: bool) -> None:
    """Remove blobs that no model needs, and what killed processes left.

    What a running model or a transfer uses stays.
    """
    from pyrunner.models import housekeeping

    store = catalog.open_store(config.load())
    freed = housekeeping.clean(store, drops_partials=drops_partials)
    click.echo(f"Freed {units.format_bytes_decimal(freed)}.")
    left = store.blobs.partial_bytes() if store.exists() else 0
    if left and not drops_partials:
        click.echo(
            f"{units.format_bytes_decimal(left)} of unfinished transfers stay, for pulls to "
            "continue. Drop what nobody is bringing in now with: pyrunner store gc --partial",
            err=True,
        )


@store_command.command("import")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--dry-run", "is_dry", is_flag=True, help="Say what would be imported, and stop.")
def import_command(path: Path, *, is_dry: bool) -> None:
    """Bring in the models of Docker Model Runner or Ollama.

    PATH is the folder of either; nothing in it is changed. Files are hard-linked where both
    stores are on one file system, and copied otherwise.
    """
    from pyrunner.models import importing

    store = catalog.open_store(config.load())
    outcomes = importing.run(store, path, is_dry=is_dry, on_outcome=_say_outcome)
    if any(each.problem for each in outcomes):
        raise click.exceptions.Exit(_DAMAGED)


@click.command("df")
def df_command() -> None:
    """Show how much disk the models, the engine and kept prefixes take."""
    settings = config.load()
    client = connect.find_server(settings)
    if client is not None:
        sizes = client.call("GET", "/engines/df")
        models, engine = sizes["models_disk_usage"], sizes["default_backend_disk_usage"]
        kept = sizes.get("prefix_cache_disk_usage", 0)  # Docker's own server says nothing of it
    else:
        from pyrunner.models import housekeeping

        store = catalog.open_store(settings)
        models, kept = housekeeping.models_bytes(store), housekeeping.prefixes_bytes(store)
        engine = housekeeping.engine_bytes()
    click.echo(render.disk_table(models, engine, kept), nl=False)


@click.command("purge")
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
def purge_command(*, force: bool) -> None:
    """Remove all models from the store of this machine, or of MODEL_RUNNER_HOST.

    A running server unloads what is idle first. A folder that is no store is refused.
    """
    settings = config.load()
    named = address.named()
    store = catalog.open_store(settings)
    if named is None:
        store.exists()  # refuses what is no store before anything is asked
    if not force and not _is_sure(named, store.path):
        click.echo("Operation cancelled.")
        return
    client = connect.find_server(settings)
    if client is not None:
        client.call("POST", "/engines/unload", {"all": True})
    if named is not None and client is not None:
        client.call("DELETE", "/models/purge")
        click.echo(f"Removed all models of {named}.")
    else:
        _purge_here(store)


def _is_sure(named: address.Address | None, path: Path) -> bool:
    click.echo("WARNING! This will remove the entire models directory.")
    click.echo(f"That is: {f'the one of {named}' if named else path}")
    click.echo("Are you sure you want to continue? [y/N] ", nl=False)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _purge_here(store: "Store") -> None:
    from pyrunner.models import housekeeping

    purged = housekeeping.purge(store)
    click.echo(f"Freed {units.format_bytes_decimal(purged.freed_bytes)}.")
    if purged.n_kept_blobs:
        click.echo(
            f"{units.counted(purged.n_kept_blobs, 'file')} in use by running models or transfers "
            "will stay until those end. Then run: pyrunner store gc",
            err=True,
        )


@contextlib.contextmanager
def _progress() -> Iterator["OnBytes"]:
    """Show a line that is rewritten, on a terminal only."""
    is_shown = sys.stderr.isatty()
    shown = [-1]

    def on_bytes(done: int, total: int) -> None:
        percent = 100 * done // max(1, total)
        if is_shown and percent != shown[0]:
            shown[0] = percent
            size = units.format_bytes_decimal
            click.echo(
                f"\rVerifying: {size(done)} of {size(total)} ({percent}%)  ", err=True, nl=False
            )

    try:
        yield on_bytes
    finally:
        if shown[0] >= 0:
            click.echo("", err=True)


def _show(report: "Report") -> None:
    for damage in report.damages:
        needed = f"\n  needed by: {', '.join(damage.models)}" if damage.models else ""
        remedy = f"\n  {damage.remedy}" if damage.remedy else ""
        render.show(f"{damage.path}: {damage.problem}{needed}{remedy}\n")
    size = units.format_bytes_decimal(report.size_bytes)
    models, blobs = (
        units.counted(n, noun) for n, noun in ((report.n_models, "model"), (report.n_blobs, "blob"))
    )
    click.echo(f"{models}, {blobs}, {size}: ", nl=False)
    click.echo(f"{len(report.damages)} damaged." if report.damages else "all is well.")
    if report.unneeded_bytes:
        unneeded = units.format_bytes_decimal(report.unneeded_bytes)
        click.echo(f"{unneeded} are needed by no model; remove them with: pyrunner store gc")


def _say_outcome(outcome: "Outcome") -> None:
    render.show(f"{outcome.sentence}\n")
