"""What can be set: one frozen dataclass per layer, composed in `Settings`.

Each field has its default, the range or choices that a value must be in, and a docstring that
docs/settings.md repeats. Where values come from is `pyrunner.config.sources`.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyrunner.gguf import CACHE_TYPES

DEFAULT_N_LANES = 4
"""Where nobody chose and memory suffices."""
MAX_DEFAULT_N_CTX = 8192
"""Of a lane where nobody chose: a model's full training context can fill a machine."""
MAX_DEFAULT_CACHE_SHARE = 1 / 16
"""Of all memory for models: what a prefix cache of no chosen size takes, so that it hardly costs
another model its place."""


def _between(default: Any, least: float, most: float) -> Any:
    """Make a number's field that `load` checks; both ends are allowed."""
    return field(default=default, metadata={"least": least, "most": most})


def _one_of(default: str, *choices: str) -> Any:
    return field(default=default, metadata={"choices": choices})


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryConfig:
    """Where models come from."""

    default_registry: str = "docker.io"
    """Registry of references that name none."""
    default_org: str = "ai"
    """Organisation of references that name none."""
    insecure: tuple[str, ...] = ()
    """Hosts (``host`` or ``host:port``) spoken to in plain HTTP, besides loopback."""
    mirrors: tuple[str, ...] = ()
    """Registries (``[https://]host[:port][/path]``) asked before Docker Hub, in this order."""
    ca_bundle: str = ""
    """PEM file of certificate authorities to trust besides the public ones."""
    timeout_s: float = _between(30.0, 0.001, 3600)
    """Longest silence of a registry before the attempt counts as failed."""
    max_attempts: int = _between(5, 1, 100)
    """Tries of one request before giving up, the first included."""
    n_parallel_layers: int = _between(3, 1, 64)
    """Layers of one pull or push in flight at once."""
    n_ranges: int = _between(4, 1, 32)
    """Connections over which one large blob comes at once, if one is slow; 1 is one in any case."""
    range_bytes: int = _between(32 * 1024 * 1024, 1024 * 1024, 2**40)
    """What one of these connections asks for at a time. Text: ``32MiB``."""
    ranges_above_bytes: int = _between(64 * 1024 * 1024, 0, 2**40)
    """A blob of which no more is missing comes over one connection."""
    min_rate_bytes: int = _between(1024, 0, 2**40)
    """Bytes per second, over `timeout_s`, below which a connection counts as broken; 0 is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """How a model is loaded. Part of the worker's identity: another value is another worker."""

    n_ctx: int = _between(0, 0, 2**24)
    """Tokens per sequence, of which llama.cpp makes the next multiple of 256; 0 takes what the
    model was packaged with, else at most 8192, and less where the memory budget does not hold that.
    One that needs more gets the room of several, up to what the model was trained for; a text to
    embed does not."""
    n_lanes: int = _between(0, 0, 64)
    """Sequences that run at once; 0 takes 4, fewer where the memory budget does not hold them.
    While one needs the room of several they are fewer."""
    n_batch: int = _between(512, 1, 2**16)
    """Tokens of either part of a step at most, running sequences and prompts, but as many as lanes
    and drafts need; without flash attention fewer, and fewer still in long contexts."""
    cache_bytes: int = _between(-1, -1, 2**53)
    """Host memory for the prefixes of earlier requests, beside what rests in the lanes; -1 takes as
    much as the lanes, at most a sixteenth of the memory budget, 0 none."""
    cache_disk_bytes: int = _between(0, 0, 2**53)
    """Disk for prefixes of all models together, written when one is unloaded and read when it is
    loaded again; 0 writes none. They hold what was said, readable by this user only."""
    n_threads: int = _between(0, 0, 512)
    """Threads of a step, at most one per processor this process may use; 0 takes one per physical
    core, fewer while others use them."""
    speculation: str = _one_of("auto", "auto", "off")
    """Read guesses at what comes next along with the last token, where that is faster; answers are
    the same. With ``off`` what a model has to guess with, draft heads of its own, is not loaded.
    What a grammar leaves no choice about is no guess, and may be read at once in any case."""
    n_gpu_layers: int = _between(-1, -1, 2**16)
    """Layers offloaded to a GPU when the build has one; -1 means all."""
    cache_type_k: str = _one_of("f16", *CACHE_TYPES)
    """What the K cells of the lanes are of: fewer bits hold more tokens in the same memory. Inputs
    of embeddings have f16 in any case."""
    cache_type_v: str = _one_of("f16", *CACHE_TYPES)
    """What the V cells are of; a quantised type needs flash attention."""
    flash_attention: str = _one_of("auto", "auto", "on", "off")
    """How attention is computed in the lanes; ``auto`` is off on a CPU, where answers are faster
    without, and leaves it to llama.cpp on a GPU, with quantised V cells and in contexts so long
    that its lack would cost too much memory."""
    use_mmap: bool = True
    """Map the model file instead of reading it."""
    large_pages: bool = True
    """Move the weights that the CPU reads from the mapped file into memory in pages of 2 MiB, at
    rest and a little between steps, so that single tokens come faster. Only where Linux has such
    pages and twice as much memory is available; what has moved can be neither dropped nor shared
    as a file's pages can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeConfig:
    """Which models stay loaded."""

    keep_alive_s: float = _between(300.0, 0, math.inf)
    """Idle time after which a worker exits; 0 at once, inf never. Text: ``5m``, ``-1``."""
    memory_budget_bytes: int = _between(0, 0, math.inf)
    """Bytes all loaded models may take together; 0 takes 80 % of this machine's memory."""
    load_timeout_s: float = _between(300.0, 0, 86400)
    """Longest wait of one request for its model."""
    orphan_grace_s: float = _between(10.0, 0, 3600)
    """How long a worker without a server waits for one before it exits."""
    drain_s: float = _between(10.0, 0, 3600)
    """How long a stopping server or worker lets running streams finish."""
    draft_models: tuple[str, ...] = ()
    """Which model guesses for which while that pays: ``model=draft``, both of the store, such as
    ``ai/qwen3:8B=ai/qwen3:0.6B``. They need the same tokens, and the draft model's memory counts
    with the other's. Answers are the same."""
    max_queue: int = _between(256, 1, 2**16)
    """Requests one worker holds, running and waiting; one more gets 503."""
    spare_worker: bool = True
    """``pyrunner serve`` has a process ready for the next model, which is loaded sooner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Where the server listens and whom it answers."""

    host: str = "127.0.0.1"
    """Address of the TCP listener."""
    port: int = _between(12434, 0, 65535)
    """Port of the TCP listener; 0 lets the system choose."""
    socket: str = ""
    """Path of the Unix socket; empty means ``pyrunner.sock`` in the runtime folder."""
    allowed_hosts: tuple[str, ...] = ()
    """Host names accepted besides loopback and Docker's names for this machine."""
    allowed_origins: tuple[str, ...] = ()
    """Web origins accepted besides loopback's; ``*`` accepts all. Also ``DMR_ORIGINS``."""
    registry: bool = False
    """Serve the store's models below ``/v2/``, read-only, as an OCI registry does."""
    n_streams: int = _between(64, 1, 4096)
    """Streams served at once; one more gets 503."""
    max_body_bytes: int = _between(10 * 1024 * 1024, 1024, 2**32)
    """Largest request body."""
    max_load_bytes: int = _between(2**38, 1024, 2**50)
    """Largest tar of ``POST /models/load``, which waits in the temporary folder until it is whole.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    """What is logged."""

    level: str = _one_of("info", "debug", "info", "warning", "error")
    """How much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything, and where each value came from."""

    home: Path
    """``$PYRUNNER_HOME``: the store and the configuration live below it."""
    runtime_dir: Path
    """Sockets, ledger, locks and logs."""
    registry: RegistryConfig = field(default_factory=RegistryConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)
    server: ServerConfig = field(default_factory=ServerConfig)
    log: LogConfig = field(default_factory=LogConfig)
    sources: Mapping[str, str] = field(default_factory=dict)
    """``section.key`` to ``environment PYRUNNER_...``, a file, ``command line`` or ``default``."""

    @property
    def store_path(self) -> Path:
        """The OCI image layout that holds the models."""
        return self.home / "store"

    @property
    def socket_path(self) -> Path:
        """The server's Unix socket."""
        return (
            Path(self.server.socket) if self.server.socket else self.runtime_dir / "pyrunner.sock"
        )


SECTIONS: dict[str, type[Any]] = {
    "registry": RegistryConfig,
    "engine": EngineConfig,
    "runtime": RuntimeConfig,
    "server": ServerConfig,
    "log": LogConfig,
}
"""What `Settings` is made of, in the order of the reference page."""


def known_keys() -> Iterator[tuple[str, object]]:
    """Every ``section.key`` with its default, in the order of the reference page."""
    for section, cls in SECTIONS.items():
        for each in dataclasses.fields(cls):
            yield f"{section}.{each.name}", each.default
