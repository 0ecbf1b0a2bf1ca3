"""A runtime folder, a store with small models, and runtimes that are put away at the end."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

from pyrunner import config
from pyrunner.config import Settings
from pyrunner.models.store import Store
from pyrunner.runtime.api import Runtime
from pyrunner.runtime.processes import children, started_at
from pyrunner.runtime.runner import EventStream
from pyrunner.types import ChatMessage, ChatRequest, Limits, ModelMode
from support import artifacts
from support.gguf_files import write_tiny_gguf

SCRIPTED_WORKER = Path(__file__).with_name("scripted_worker.py")

BUDGET_OF_TWO = 1_400_000
"""Bytes: each model of `Workshop.add` takes about 540,000 with its KV cache."""


def scripted_command(*options: str) -> tuple[str, ...]:
    """The worker program around the scripted engine."""
    return (sys.executable, str(SCRIPTED_WORKER), *options)


def conversation(text: str, max_tokens: int | None = None) -> ChatRequest:
    messages = (ChatMessage(role="user", content=text),)
    return ChatRequest(messages=messages, limits=Limits(max_tokens=max_tokens))


def read_some(stream: EventStream) -> None:
    """Read until one event has come: the request runs now."""
    while stream.poll(5.0) is None:
        assert not stream.is_finished


class Workshop:
    """Everything below one short folder.

    Args:
        home: Becomes ``PYRUNNER_HOME``.
        command: The worker program of its runtimes.
        **overrides: Settings; a double underscore stands for the point.
    """

    def __init__(
        self, home: Path, command: tuple[str, ...] | None = None, **overrides: object
    ) -> None:
        self.home = home
        self.command = scripted_command() if command is None else command
        self.overrides: dict[str, object] = {
            "engine.n_threads": 1,
            "runtime.drain_s": 1.0,
            "runtime.orphan_grace_s": 2.0,
        }
        self.overrides |= {key.replace("__", "."): value for key, value in overrides.items()}
        self._runtimes: list[Runtime] = []

    def settings(self, **overrides: object) -> Settings:
        more = {key.replace("__", "."): value for key, value in overrides.items()}
        return config.load(self.overrides | more, {"PYRUNNER_HOME": str(self.home)})

    @property
    def store(self) -> Store:
        settings = self.settings()
        return Store(settings.store_path, settings.registry)

    @property
    def run(self) -> Path:
        return self.settings().runtime_dir

    def add(self, *names: str) -> None:
        """Put models into the store that the scripted engine can run."""
        for name in names:
            path = self.home / "tiny.gguf"
            # Another size, so that they are not one and the same model.
            write_tiny_gguf(path, n_vocab=8 + len(self.store.list()))
            artifacts.add(self.store, name, path.read_bytes())

    def runtime(self, command: tuple[str, ...] | None = None, **overrides: object) -> Runtime:
        made = Runtime(self.settings(**overrides), self.store, command or self.command)
        self._runtimes.append(made)
        return made

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for each in self._runtimes:
            each.close(0.0)
        Runtime(self.settings(runtime__drain_s=0.1), self.store, self.command).unload(
            only_idle=False
        )
        children.reap()


def pid_of(runtime: Runtime, reference: str, mode: ModelMode = ModelMode.COMPLETION) -> int:
    """The process of a model that is loaded or loading."""
    wanted = (reference, mode)
    (found,) = [each.pid for each in runtime.running() if (each.reference, each.mode) == wanted]
    return found


def pids(runtime: Runtime) -> list[int]:
    return [each.pid for each in runtime.running()]


def kill(pid: int) -> None:
    """As the out-of-memory killer does."""
    os.kill(pid, signal.SIGKILL)


def is_gone(pid: int) -> bool:
    """Whether a process has ended, reaped or not."""
    return started_at(pid) is None


def in_threads(n_threads: int, call: Callable[[int], object]) -> list[object]:
    """Call something in several threads at once; exceptions come back as results."""
    results: list[object] = [None] * n_threads

    def work(i: int) -> None:
        try:
            results[i] = call(i)
        except Exception as error:  # noqa: BLE001 - the thread's root; the test looks at it
            results[i] = error

    threads = [threading.Thread(target=work, args=(i,)) for i in range(n_threads)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30.0)
    return results
