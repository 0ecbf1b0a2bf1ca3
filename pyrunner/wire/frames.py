"""The frames between a server and a worker.

One connection carries one request. The server speaks first: `Hello`, then one of `Chat`,
`Complete`, `Embed`, `Rerank`, `Control`; on a keeper connection nothing more. The worker answers
`Welcome` (or `Mismatch`, and closes), then any number of `Progress` and `Delta` frames and exactly
one of `Done`, `Vectors`, `Scores`, `Status`, `Failed`. Closing the connection before that cancels
the request.

On the wire a frame is a little-endian uint32 length and that many bytes of msgpack; the struct's
tag is the key ``t``. `MAX_FRAME_BYTES` bounds both directions.
"""

import msgspec

from pyrunner.errors import Fact
from pyrunner.types import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    EmbeddingResult,
    FinishEvent,
    ModelInfo,
    ReasoningEvent,
    RerankRequest,
    RerankResult,
    TextEvent,
    ToolCallEvent,
)

PROTOCOL_VERSION = 6
"""Raised with every change of a frame or of a type inside one."""

MAX_FRAME_BYTES = 64 * 1024 * 1024
"""Longest frame either side accepts; a chat body is 10 MiB at most, an embedding batch more."""


class _Frame(msgspec.Struct, frozen=True, kw_only=True, tag_field="t"):
    pass


class Hello(_Frame, frozen=True, kw_only=True, tag="hello"):
    """Who speaks, and to what it believes it speaks."""

    version: int
    config_hash: str
    """Of the model digest and `EngineConfig` the worker was started with."""
    is_keeper: bool = False
    """Held open by a server as long as it lives; counts towards no limit."""


class Welcome(_Frame, frozen=True, kw_only=True, tag="welcome"):
    """The worker is the one that was meant. It may still be loading."""

    pid: int


class Mismatch(_Frame, frozen=True, kw_only=True, tag="mismatch"):
    """Another version or configuration: the worker drains, start a new one."""

    version: int
    config_hash: str


class Chat(_Frame, frozen=True, kw_only=True, tag="chat"):
    """Render, generate, parse."""

    request: ChatRequest
    keep_alive_s: float | None = None
    """New idle time of the worker; None leaves it as it is."""


class Complete(_Frame, frozen=True, kw_only=True, tag="complete"):
    """Generate from a raw prompt."""

    request: CompletionRequest
    keep_alive_s: float | None = None


class Embed(_Frame, frozen=True, kw_only=True, tag="embed"):
    """One vector per input."""

    request: EmbeddingRequest
    keep_alive_s: float | None = None


class Rerank(_Frame, frozen=True, kw_only=True, tag="rerank"):
    """One score per document."""

    request: RerankRequest
    keep_alive_s: float | None = None


class Control(_Frame, frozen=True, kw_only=True, tag="control"):
    """Neither text nor vectors: answered with `Status`."""

    keep_alive_s: float | None = None
    wait_ready: bool = False
    """Answer only when the model is loaded (or has failed), after `Progress` frames."""
    is_unload: bool = False
    """Take no more requests and exit; with `if_idle`, only when none is in flight."""
    if_idle: bool = False


class Progress(_Frame, frozen=True, kw_only=True, tag="progress"):
    """The model is loading."""

    fraction: float


class Delta(_Frame, frozen=True, kw_only=True, tag="delta"):
    """Events of one step, in order."""

    events: tuple[TextEvent | ReasoningEvent | ToolCallEvent, ...]


class Done(_Frame, frozen=True, kw_only=True, tag="done"):
    """The request ended well."""

    finish: FinishEvent


class Vectors(_Frame, frozen=True, kw_only=True, tag="vectors"):
    """The answer to `Embed`."""

    result: EmbeddingResult


class Scores(_Frame, frozen=True, kw_only=True, tag="scores"):
    """The answer to `Rerank`."""

    result: RerankResult


class Status(_Frame, frozen=True, kw_only=True, tag="status"):
    """The answer to `Control`."""

    pid: int
    is_loaded: bool
    is_unloading: bool
    n_running: int
    n_waiting: int
    idle_s: float
    """Since the last request ended; 0 while one is in flight."""
    keep_alive_s: float
    info: ModelInfo | None = None


class Failed(_Frame, frozen=True, kw_only=True, tag="failed"):
    """The request ended badly: an error of `pyrunner.errors`, by its code and facts."""

    code: str
    facts: dict[str, Fact]


RequestFrame = Chat | Complete | Embed | Rerank
FromServer = Hello | RequestFrame | Control
FromWorker = Welcome | Mismatch | Progress | Delta | Done | Vectors | Scores | Status | Failed
