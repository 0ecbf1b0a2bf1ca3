"""``serve``: the server in this process, until it is told to stop."""

import os
import signal
import sys
import threading

import click

from pyrunner import config
from pyrunner.cli import one_heap

_SETTINGS = {
    "host": "server.host",
    "port": "server.port",
    "socket": "server.socket",
    "allow_host": "server.allowed_hosts",
    "allow_origin": "server.allowed_origins",
    "registry": "server.registry",
    "keep_alive": "runtime.keep_alive_s",
    "memory_budget": "runtime.memory_budget_bytes",
    "ctx_size": "engine.n_ctx",
    "parallel": "engine.n_lanes",
    "cache_type_k": "engine.cache_type_k",
    "cache_type_v": "engine.cache_type_v",
    "flash_attn": "engine.flash_attention",
    "draft_model": "runtime.draft_models",
    "threads": "engine.n_threads",
    "log_level": "log.level",
}
"""Option to setting; the settings say what is allowed."""


@click.command("serve")
@click.option("--host", metavar="ADDRESS", help="Address of the TCP listener.")
@click.option("--port", type=click.IntRange(0, 65535), metavar="PORT",
              help="Port of the TCP listener; 0 is any.")  # fmt: skip
@click.option("--socket", metavar="PATH", help="Path of the Unix socket.")
@click.option("--no-tcp", is_flag=True, help="Listen on the Unix socket only.")
@click.option("--allow-host", metavar="NAME", multiple=True, help="Also answer to this Host.")
@click.option("--allow-origin", metavar="URL", multiple=True, help="Also answer pages from there.")
@click.option("--registry", is_flag=True, default=None, help="Let others pull models from here.")
@click.option("--keep-alive", metavar="TIME", help="Unload a model idle for so long; -1 never.")
@click.option("--memory-budget", metavar="SIZE", help="Memory that all models may take: 8GiB.")
@click.option("--ctx-size", type=click.IntRange(min=0), metavar="N", help="Tokens per sequence.")
@click.option("--parallel", type=click.IntRange(0, 64), metavar="N", help="Sequences at once.")
@click.option(
    "--cache-type-k", "-ctk", metavar="TYPE", help="Type of K cells: f16, q8_0, q4_0, ..."
)
@click.option(
    "--cache-type-v", "-ctv", metavar="TYPE", help="Type of V cells: f16, q8_0, q4_0, ..."
)
@click.option("--flash-attn", "-fa", type=click.Choice(["auto", "on", "off"]),
              help="Flash attention; quantised V cells need it.")  # fmt: skip
@click.option("--draft-model", metavar="MODEL=DRAFT", multiple=True,
              help="A small model that guesses for another.")  # fmt: skip
@click.option("--threads", type=click.IntRange(min=0), metavar="N", help="Threads per model.")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]),
              help="What is logged.")  # fmt: skip
@click.option("--set", "pairs", metavar="KEY=VALUE", multiple=True, help="Any other setting.")
@click.option("--until-eof", is_flag=True, hidden=True)
def serve_command(
    *, no_tcp: bool, pairs: tuple[str, ...], until_eof: bool, **options: object
) -> None:
    """Run the server until Ctrl-C.

    Settings come from these options, then the environment (PYRUNNER_SERVER_PORT), then
    config.toml, then the defaults.
    """
    one_heap.start_again()
    settings = config.load(_overrides(pairs, options))
    if until_eof:
        _stop_at_eof()
    from pyrunner.server import serve

    serve.run(settings, with_tcp=not no_tcp)


def _overrides(pairs: tuple[str, ...], options: dict[str, object]) -> dict[str, object]:
    overrides: dict[str, object] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise click.BadParameter(f"{pair!r} has no '='", param_hint="--set")
        overrides[key] = value
    # An option that was not given is None, or () where it may be repeated.
    given = {_SETTINGS[name]: value for name, value in options.items() if value not in (None, ())}
    return overrides | given


def _stop_at_eof() -> None:
    threading.Thread(target=_wait_for_eof, name="stdin-watch", daemon=True).start()


def _wait_for_eof() -> None:
    # Whoever started us holds the other end of this pipe for as long as it lives.
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
