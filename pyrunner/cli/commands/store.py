"""Looking after the store: ``store verify``, ``store gc``, ``df``, ``purge``."""

import sys

import click

from pyrunner import config, units
from pyrunner.cli import connect, progress, render
from pyrunner.cli.library import ProgressLine
from pyrunner.errors import StoreCorruptError


@click.group("store")
def store_command() -> None:
    """Look after the store of this machine.

    These work on its disk directly, whether a server runs or not.
    """


@store_command.command("verify")
@click.option("--repair", is_flag=True, help="Remove what is damaged, to be pulled again.")
def verify_command(*, repair: bool) -> None:
    """Read all blobs and compare them with their digests.

    With --repair an index that cannot be read is made anew; the models in it have lost their
    names then, and get them back with: pyrunner tag ID NAME.
    """
    from pyrunner.models.upkeep import Upkeep

    settings = config.load()
    upkeep = Upkeep(settings.store_path)
    if repair and (n_found := upkeep.rebuild_index()):
        click.echo(f"The index was damaged; the new one has {n_found} models without names.")
    with progress.shown(sys.stderr) as tell:
        seen = upkeep.verify(lambda n_done, n_all: tell(_line(n_done, n_all)))
    size = units.format_bytes_decimal(seen.n_bytes)
    click.echo(f"{seen.n_models} models, {seen.n_blobs} blobs, {size}")
    for each in seen.damages:
        who = ", ".join(map(render.short_name, each.models)) or "no model"
        click.echo(f"{each.digest} {each.problem}; needed by {who}")
    if repair:
        upkeep.drop(seen.damages)
    lost = sorted({render.short_name(name) for each in seen.damages for name in each.models})
    if lost or (seen.damages and not repair):
        who = f" that {', '.join(lost)} need" if lost else ""
        problem = f"{len(seen.damages)} blobs{who} are missing or have changed"
        raise StoreCorruptError(path=str(settings.store_path), problem=problem)


@store_command.command("gc")
def gc_command() -> None:
    """Remove blobs that no model needs any more.

    Removing a model does so by itself; this is for what a broken-off pull left.
    """
    from pyrunner.models.upkeep import Upkeep

    freed = Upkeep(config.load().store_path).collect()
    click.echo(f"Total reclaimed space: {units.format_bytes_decimal(freed)}")


@click.command("df")
def df_command() -> None:
    """Show how much disk the models take."""
    settings = config.load()
    server = connect.find_server(settings)
    if server is not None:
        answer = server.call("GET", "/engines/df")
        models, engine = answer["models_disk_usage"], answer["default_backend_disk_usage"]
    else:
        from pyrunner.models import catalog

        models, engine = catalog.open_store(settings).size_bytes(), 0
    rows = [("Models", units.format_bytes_decimal(models))]
    if engine:
        rows.append(("Inference engine", units.format_bytes_decimal(engine)))
    click.echo(render.table(("TYPE", "SIZE"), rows), nl=False)


@click.command("purge")
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
def purge_command(*, force: bool) -> None:
    """Remove all models of this machine.

    Loaded models are unloaded first, unless they are in use; what a busy one needs stays until a
    later removal.
    """
    from pyrunner.models.upkeep import Upkeep

    settings = config.load()
    if not force:
        click.echo("WARNING! This will remove the entire models directory.")
        if not click.confirm("Are you sure you want to continue?"):
            click.echo("Operation cancelled.")
            return
    server = connect.find_server(settings)
    if server is not None:
        server.call("POST", "/engines/unload", {"all": True})
    freed = Upkeep(settings.store_path).purge()
    click.echo(f"Total reclaimed space: {units.format_bytes_decimal(freed)}")


def _line(n_done: int, n_all: int) -> ProgressLine:
    layer = {"id": "store", "size": n_all, "current": n_done}
    return {"type": "progress", "mode": "verify", "total": n_all, "layer": layer}
