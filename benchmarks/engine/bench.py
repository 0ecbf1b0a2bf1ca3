"""The bench: programs, models and settings that every row uses."""

import contextlib
import functools
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from measuring import programs

from engine import models, peers
from engine.models import Model
from engine.peers import Peers

Size = TypeVar("Size", int, float)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured."""

    n_pairs: int | None
    """None leaves the number to each row."""
    is_quick: bool
    """Small workloads, once each: shows whether all works, and nothing else."""
    n_threads: int
    """Of every contestant's steps, unless a row is about their number."""


@dataclass(frozen=True, eq=False)
class Bench:
    """Where the races happen."""

    plan: Plan
    folder: Path
    """Kept between runs: models, our store, logs."""
    root: Path
    """The checkout."""
    variables: dict[str, str]
    """The environment of our commands and server."""

    def n_rounds(self, usual: int = 5) -> int:
        """How many pairs a row runs."""
        return self.plan.n_pairs or (1 if self.plan.is_quick else usual)

    def sized(self, full: Size, quick: Size) -> Size:
        """A size of the workload."""
        return quick if self.plan.is_quick else full

    @functools.cached_property
    def peers(self) -> Peers:
        """llama.cpp's programs, built on first use."""
        return peers.built(self.root)

    @functools.cache  # noqa: B019  # there is one bench per process
    def model(self, name: str) -> Model:
        """One of `models.NAMES`, made on first use."""
        return models.prepared(name, self.folder / "models", self.variables)


@contextlib.contextmanager
def prepared(plan: Plan, root: Path, work: Path) -> Iterator[Bench]:
    """Find places for files and sockets.

    Args:
        plan: How much is measured.
        root: The checkout.
        work: A folder that is kept.
    """
    home = work / "home"
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pyr-") as runtime_dir:
        variables = programs.environment(home, Path(runtime_dir))
        yield Bench(plan, work, root, variables)
