"""The command line's root: which commands exist, and how a command ends.

`COMMANDS` is data, so that ``--help`` imports no command. Exit codes live here and nowhere else.
"""

import errno
import io
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import click

from pyrunner import __version__, errors

INTERRUPTED, BROKEN_PIPE, BUG, FAILED = 130, 141, 70, 1
"""Ctrl-C and a closed pipe as shells report them; a bug of ours; anything that is not listed."""

EXIT_CODES: Mapping[type[errors.PyrunnerError], int] = {
    errors.InvalidRequestError: 2,
    errors.ConfigError: 2,
    errors.ServerUnreachableError: 3,
    errors.NotFoundError: 4,
    errors.BusyError: 5,
    errors.RegistryError: 6,
    errors.StoreError: 7,
    errors.NativeError: 8,
    errors.SignatureError: 9,
    errors.MissingPackageError: FAILED,
    errors.RequestCancelledError: FAILED,
    errors.ServerAnswerError: FAILED,
}
"""What a script can tell apart: who can fix it, as the families of `pyrunner.errors` say."""

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""How a file that is written to refuses; the store has errors of its own for its files."""

_ANSWER_CODES = {400: 2, 401: 6, 404: 4, 409: 2, 422: 6, 502: 6, 503: 5}
"""For a server that gives a status but none of our codes."""

COMMANDS: Mapping[str, tuple[str, str]] = {
    "run": ("run", "Ask a model, or chat with it."),
    "pull": ("transfer", "Pull a model from its registry."),
    "push": ("transfer", "Push a model to its registry."),
    "login": ("login", "Log in to a registry."),
    "logout": ("login", "Log out of a registry."),
    "list": ("models", "List the models of the store."),
    "inspect": ("models", "Show everything about one model as JSON."),
    "rm": ("models", "Remove models, or tags of them."),
    "tag": ("models", "Give a model one more name."),
    "df": ("store", "Show how much disk the models, the engine and kept prefixes take."),
    "store": ("store", "Check, clean and fill the store of this machine."),
    "purge": (
        "store",
        "Remove all models from the store of this machine, or of MODEL_RUNNER_HOST.",
    ),
    "package": ("package", "Make a model of files, or of another model."),
    "export": ("archive", "Write a model to a tar file."),
    "load": ("archive", "Read a model from a tar file."),
    "sign": ("signing", "Sign a model and push the signature."),
    "verify": ("signing", "Check that a model is signed with a key."),
    "generate-key-pair": ("signing", "Make a key for 'sign' and one for 'verify'."),
    "serve": ("serve", "Run the server until Ctrl-C."),
    "status": ("server", "Say whether the server runs."),
    "ps": ("server", "List the loaded models."),
    "unload": ("server", "Unload models from memory."),
    "logs": ("server", "Print the server's log."),
    "version": ("server", "Print the versions of client and server."),
    "docker-plugin": ("docker_plugin", "Make pyrunner answer to 'docker model'."),
}
"""Name to module under `pyrunner.cli.commands` and its line in ``--help``; in that order."""

ALIASES = {"ls": "list", "stop": "unload"}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Names in the order of `COMMANDS`."""
        return list(COMMANDS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the words begin with.

        Raises:
            click.UsageError: There is none; names the nearest.
        """
        name = args[0]
        if name.startswith("-") or ALIASES.get(name, name) in COMMANDS:
            return super().resolve_command(ctx, args)
        from difflib import get_close_matches

        near = " or ".join(f"'{each}'" for each in get_close_matches(name, [*COMMANDS, *ALIASES]))
        return ctx.fail(f"No such command '{name}'." + (f" Did you mean {near}?" if near else ""))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import one command; None for a name that is none."""
        name = ALIASES.get(cmd_name, cmd_name)
        if name not in COMMANDS:
            return None
        module = import_module(f"pyrunner.cli.commands.{COMMANDS[name][0]}")
        command = getattr(module, f"{name.replace('-', '_')}_command")
        if not isinstance(command, click.Command):
            raise errors.InvariantError(name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the commands' lines without importing them."""
        by_name = {name: alias for alias, name in ALIASES.items()}
        rows = [
            (f"{name}, {by_name[name]}" if name in by_name else name, line)
            for name, (_, line) in COMMANDS.items()
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "--version", prog_name="pyrunner")
def cli() -> None:
    """Pull, run and serve language models as OCI artifacts."""


def main() -> NoReturn:
    """Entry point of ``pyrunner``; of ``docker-model`` when it was called by that name."""
    if Path(sys.argv[0]).name.startswith("docker-model"):
        from pyrunner.cli import plugin

        plugin.main()
    sys.exit(run(sys.argv[1:], prog_name="pyrunner"))


def run(arguments: Sequence[str], *, prog_name: str) -> int:
    """Run one command line and return its exit code. Never raises, never prints a traceback."""
    _open_what_is_closed()
    _tolerate_any_bytes()
    try:
        code = cli.main(list(arguments), prog_name=prog_name, standalone_mode=False)
        sys.stdout.flush()
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except (BrokenPipeError, SystemExit):
        # click turns a closed pipe into the second; nothing else in here raises it.
        return _close_pipe(BROKEN_PIPE)
    except Exception as error:  # noqa: BLE001 - the root of the main thread
        return _explain(prog_name, error)
    return code if isinstance(code, int) else 0


def _explain(prog_name: str, error: Exception) -> int:
    if isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    if isinstance(error, errors.PyrunnerError):
        print_error(prog_name, error)
        return exit_code(error)
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        print(f"{prog_name}: the output cannot be written: {error.strerror}", file=sys.stderr)
        return _close_pipe(FAILED)
    _report_bug(prog_name, error)
    return BUG


def exit_code(error: errors.PyrunnerError) -> int:
    """The exit code of one error, by its family."""
    kind: type = type(error)
    if isinstance(error, errors.ServerAnswerError):
        if error.error_code not in errors.LEAVES:
            return _ANSWER_CODES.get(error.status, FAILED)
        kind = errors.LEAVES[error.error_code]
    return next((EXIT_CODES[cls] for cls in kind.__mro__ if cls in EXIT_CODES), FAILED)


def _open_what_is_closed() -> None:
    # A shell starts us without a stream for `>&-`; the next file opened would take its place.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - stays open


def _tolerate_any_bytes() -> None:
    # A model may answer with a character the terminal's encoding lacks; a prompt may be anything.
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def print_error(prog_name: str, error: errors.PyrunnerError) -> None:
    """Write an error to standard error, with its notes and the place in what was typed."""
    from pyrunner.cli import render

    notes = getattr(error, "__notes__", ())
    if isinstance(error, errors.InvalidReferenceError):
        notes = (*render.pointed_at(error.text, error.at), *notes)
    text = "\n".join([f"{prog_name}: {error.sentence}", *notes])
    render.show(f"{text}\n", sys.stderr)


def _close_pipe(code: int) -> int:
    # Nobody takes the output; nothing may be flushed to it when the interpreter exits.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return code


def _report_bug(prog_name: str, error: Exception) -> None:
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile(
        "w", prefix="pyrunner-bug-", suffix=".txt", delete=False
    ) as details:
        traceback.print_exception(error, file=details)
    first = str(error).split("\n", 1)[0]
    print(
        f"{prog_name}: a bug: {type(error).__name__}: {first}. "
        f"Please report it with the details in {details.name}",
        file=sys.stderr,
    )
