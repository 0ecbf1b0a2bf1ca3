"""Several layers in flight at once, their progress told in one thread."""

import math
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

import msgspec

from pyrunner.models.progress import LayerProgress, Mode, OnProgress, ProgressEvent
from pyrunner.models.rate import Rate
from pyrunner.registry.manifest import Descriptor

_POLL_S = 0.05
_MIB = 1024 * 1024
_VERBS: dict[Mode, str] = {"pull": "Downloaded", "push": "Uploaded"}


@dataclass(frozen=True, slots=True)
class Report:
    """What a thread that moves one layer is given."""

    cancelled: threading.Event
    """Set when the others failed or the caller gave up: stop soon."""
    on_bytes: Callable[[int], None]
    """To be told how much of the layer is there."""


Move = Callable[[Descriptor, Report], None]


class LayerPool:
    """Moves the layers of one pull or push. Belongs to the thread that makes it.

    Args:
        mode: ``pull`` or ``push``; names the threads too.
        n_parallel: Layers in flight at once.
        layers: All layers of the model, which make the total.
        on_progress: Called in the owner's thread only.
    """

    def __init__(
        self,
        mode: Mode,
        n_parallel: int,
        layers: Sequence[Descriptor],
        on_progress: OnProgress,
    ) -> None:
        self._mode: Mode = mode
        self._n_parallel = max(1, n_parallel)
        self._sizes = {each.digest: each.size for each in layers}
        self._on_progress = on_progress
        self._due: queue.SimpleQueue[ProgressEvent] = queue.SimpleQueue()
        self._cancelled = threading.Event()
        self._currents: dict[str, int] = {}
        self._firsts: dict[str, int] = {}
        self._rate = Rate()

    def run(self, move: Move, descriptors: Sequence[Descriptor]) -> None:
        """Move blobs, each digest once; returns when all are there.

        Raises:
            Exception: The first that `move` or the progress callback raised, after the other
                threads have stopped.
        """
        unique = {each.digest: each for each in descriptors}
        executor = ThreadPoolExecutor(self._n_parallel, thread_name_prefix=self._mode)
        futures = [executor.submit(move, each, self._report(each)) for each in unique.values()]
        try:
            self._relay(futures)
        finally:
            # Whatever ended this: no thread outlives it, and nobody waits for what nobody wants.
            self._cancelled.set()
            executor.shutdown(wait=True, cancel_futures=True)
        self._cancelled.clear()

    def _relay(self, futures: Sequence["Future[None]"]) -> None:
        pending = set(futures)
        while pending:
            done, pending = wait(pending, timeout=_POLL_S, return_when=FIRST_EXCEPTION)
            self._tell()
            for each in done:
                each.result()
        self._tell()

    def _tell(self) -> None:
        while not self._due.empty():
            self._on_progress(self._whole_picture(self._due.get_nowait()))

    def _whole_picture(self, event: ProgressEvent) -> ProgressEvent:
        """The event of one layer, with what it means for all."""
        self._currents[event.layer_id] = event.layer_current
        self._firsts.setdefault(event.layer_id, event.layer_current)
        current = sum(self._currents.values())
        # What an earlier attempt brought is there, but says nothing about speed.
        rate = self._rate.at(current - sum(self._firsts.values()))
        left_s = math.ceil((event.total - current) / rate) if rate > 0 else 0
        return msgspec.structs.replace(
            event, current=current, bytes_per_s=int(rate), left_s=max(0, left_s)
        )

    def _report(self, descriptor: Descriptor) -> Report:
        progress = LayerProgress(size_bytes=descriptor.size)
        is_layer = descriptor.digest in self._sizes
        is_told_whole = False

        def on_bytes(n_bytes: int) -> None:
            nonlocal is_told_whole
            if not is_layer or is_told_whole or not progress.is_due(n_bytes):
                return
            is_told_whole = n_bytes >= descriptor.size
            self._due.put(self._event(descriptor, n_bytes))

        return Report(self._cancelled, on_bytes)

    def _event(self, descriptor: Descriptor, n_bytes: int) -> ProgressEvent:
        return ProgressEvent(
            type="progress",
            message=f"{_VERBS[self._mode]}: {n_bytes / _MIB:.2f} MB",
            mode=self._mode,
            total=sum(self._sizes.values()),
            layer_id=descriptor.digest.text,
            layer_size=descriptor.size,
            layer_current=n_bytes,
        )
