"""What processes hold, and the rule by which their memory is flat."""

import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from measuring.serving import kernel_bytes

GROWTH_SHARE = 0.02
GROWTH_BYTES = 5 * 1024 * 1024
"""Memory is flat when a straight line through the samples after the warm-up rises, from the first
of them to the last, by at most this and `GROWTH_SHARE` of what the process holds. In a minute,
whose warm-up is short, caches that still fill move it by half of that."""

SETTLE_S = 3.0
"""How long a connection that its other end has closed may stay."""

_POLL_S = 0.1

N_LEAST = 3
"""Samples below which no line is drawn."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One process at rest."""

    at_s: float
    n_threads: int
    n_files: int
    pss_bytes: int
    """Resident memory, shared pages divided among those who share them."""


@dataclass(slots=True)
class Watched:
    """A process from its warm-up on."""

    name: str
    pid: int
    samples: list[Sample] = field(default_factory=list)

    def look(self) -> None:
        """Take a sample, when what is about to be closed is closed.

        That is after `SETTLE_S` for the first; the others are compared with it, and get as long to
        come down to it.
        """
        tick, deadline = threading.Event(), time.monotonic() + SETTLE_S
        lowest = sample(self.pid)
        while time.monotonic() < deadline and not (self.samples and self._is_as_before(lowest)):
            tick.wait(_POLL_S)
            now = sample(self.pid)
            lowest = min(lowest, now, key=lambda each: (each.n_threads, each.n_files))
        self.samples.append(lowest)

    def _is_as_before(self, now: Sample) -> bool:
        first = self.samples[0]
        return now.n_threads <= first.n_threads and now.n_files <= first.n_files


def sample(pid: int) -> Sample:
    """Look at a process.

    Raises:
        OSError: It is gone.
    """
    folder = Path(f"/proc/{pid}")
    return Sample(
        at_s=time.monotonic(),
        n_threads=sum(1 for _ in (folder / "task").iterdir()),
        n_files=sum(1 for _ in (folder / "fd").iterdir()),
        pss_bytes=kernel_bytes(folder / "smaps_rollup", "Pss"),
    )


def growth_bytes(samples: Sequence[Sample]) -> float:
    """How much the line of least squares rises from the first to the last; 0 of too few."""
    if len(samples) < N_LEAST:
        return 0.0
    times = [each.at_s for each in samples]
    line = statistics.linear_regression(times, [each.pss_bytes for each in samples])
    return line.slope * (times[-1] - times[0])


def complaints(watched: Watched) -> list[str]:
    """What is not as it was at the first sample."""
    first, last = watched.samples[0], watched.samples[-1]
    found = [
        f"{watched.name}: {now} {what} at the end, {before} after the warm-up"
        for what, before, now in (
            ("threads", first.n_threads, last.n_threads),
            ("open files", first.n_files, last.n_files),
        )
        if now > before
    ]
    growth = growth_bytes(watched.samples)
    limit = allowed_bytes(watched.samples)
    if growth > limit:
        found.append(f"{watched.name}: memory grew by {_mib(growth)}, {_mib(limit)} are allowed")
    return found


def allowed_bytes(samples: Sequence[Sample]) -> float:
    """How much the line may rise."""
    return GROWTH_BYTES + GROWTH_SHARE * statistics.median(each.pss_bytes for each in samples)


def line(watched: Watched) -> str:
    """Of the report."""
    first, last = watched.samples[0], watched.samples[-1]
    return (
        f"{watched.name:<18} threads {first.n_threads:>3} -> {last.n_threads:<3} "
        f"files {first.n_files:>3} -> {last.n_files:<3} "
        f"memory {_mib(first.pss_bytes)} -> {_mib(last.pss_bytes)}, "
        f"line {_mib(growth_bytes(watched.samples), '+')} "
        f"of {_mib(allowed_bytes(watched.samples))} allowed"
    )


def _mib(n_bytes: float, sign: str = "") -> str:
    return f"{n_bytes / 1024**2:{sign}.1f} MiB"
