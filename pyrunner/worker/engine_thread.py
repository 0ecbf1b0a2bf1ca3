"""The engine thread: loads the model, then steps it for as long as there is work.

It owns the loop. Everybody else sends orders; what it has to say goes to the mailbox.
"""

import queue
import threading
from collections import deque

from pyrunner import log
from pyrunner.engine.embedding_groups import EmbeddingGroups
from pyrunner.engine.request import Errored
from pyrunner.errors import PyrunnerError, WorkerCrashedError
from pyrunner.wire.launch import Launch
from pyrunner.worker.messages import (
    Broken,
    Cancel,
    Embedded,
    EmbedInputs,
    Loaded,
    LoadFailed,
    Loading,
    Mailbox,
    Order,
    Stepped,
    Stop,
    Submit,
)
from pyrunner.worker.ports import Backend, Loop

_logger = log.get("worker")

_PROGRESS_STEP = 0.01
"""llama.cpp reports every tensor; more often than this nobody can see."""

REST_S = 0.25
"""Without anything to do for so long the engine looks whether all lanes are free, once, and does
what is only done at rest."""


class EngineThread:
    """`order`, `cancel` and `stop` are for any thread; the rest runs in the engine thread."""

    def __init__(
        self, backend: Backend, launch: Launch, mailbox: Mailbox, rest_s: float = REST_S
    ) -> None:
        self._backend = backend
        self._launch = launch
        self._mailbox = mailbox
        self._rest_s = rest_s
        self._is_checked = True
        self._orders: queue.SimpleQueue[Order] = queue.SimpleQueue()
        self._embeddings: deque[_Embedding] = deque()
        self._loop: Loop | None = None
        self._is_stopping = False
        self._reported = 0.0
        # A daemon, because native code that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self.run, name="engine", daemon=True)

    def start(self) -> None:
        """Begin to load."""
        self._thread.start()

    def order(self, order: Order) -> None:
        """Queue an order; they are carried out between steps, in this sequence."""
        self._orders.put(order)

    def cancel(self, request_id: int) -> None:
        """End a request; what is computed for it alone ends at once."""
        loop = self._loop
        if loop is not None:
            loop.hurry(request_id)  # first, because carrying the order out takes it back
        self._orders.put(Cancel(request_id))

    def stop(self, deadline_s: float) -> bool:
        """End the thread, also while it loads.

        Returns:
            Whether it ended within `deadline_s` seconds.
        """
        self._is_stopping = True
        self._orders.put(Stop())
        loop = self._loop
        if loop is not None:
            loop.interrupt()
        self._thread.join(deadline_s)
        return not self._thread.is_alive()

    def run(self) -> None:
        """Load, then work until told to stop. The model's memory goes with the process."""
        if self.load():
            self.work()

    def work(self) -> None:
        """Turn until told to stop, then save. What goes wrong is reported and ends it."""
        try:
            while not self._is_stopping:
                self.turn()
            if self._loop is not None:
                self._loop.leave()
        except PyrunnerError as error:
            _logger.exception("the engine failed")
            self._mailbox.post(Broken(error))
        except Exception as error:  # the thread's root: nobody above could answer the requests
            _logger.exception("the engine thread failed")
            self._mailbox.post(Broken(self._crash(error)))

    def load(self) -> bool:
        """Load the model; False when it failed or was given up."""
        try:
            try:
                loaded = self._backend.load(self._launch, self._on_progress)
            finally:
                self._backend.pass_on_log()
        except PyrunnerError as error:
            _logger.exception("loading failed")
            self._mailbox.post(LoadFailed(error))
            return False
        except Exception as error:
            _logger.exception("loading failed")
            self._mailbox.post(LoadFailed(self._crash(error)))
            return False
        if loaded is None:
            return False
        self._loop, prompts = loaded
        self._mailbox.post(Loaded(self._loop, prompts))
        return True

    def turn(self) -> None:
        """Carry out all orders, embed one group of inputs, take one step.

        Waits for an order when there is nothing to do.
        """
        loop = self._loop
        if loop is None:
            raise AssertionError("turn before load")
        self._take_orders(loop, is_idle=not (loop.has_work or self._embeddings))
        self._is_checked = False
        if self._embeddings and not self._is_stopping:
            self._embed_group(loop)
        if loop.has_work and not self._is_stopping:
            events = loop.step()
            if events:
                self._mailbox.post(Stepped(events))

    def _on_progress(self, fraction: float) -> bool:
        if fraction >= self._reported + _PROGRESS_STEP:
            self._reported = fraction
            self._mailbox.post(Loading(fraction))
        self._backend.pass_on_log()
        return not self._is_stopping

    def _crash(self, error: Exception) -> WorkerCrashedError:
        return WorkerCrashedError(reference=self._launch.reference, how=repr(error))

    def _take_orders(self, loop: Loop, *, is_idle: bool) -> None:
        if is_idle:
            self._carry_out(loop, self._next_order(loop))
        while True:
            try:
                order = self._orders.get_nowait()
            except queue.Empty:
                return
            self._carry_out(loop, order)

    def _next_order(self, loop: Loop) -> Order:
        if not self._is_checked:
            try:
                return self._orders.get(timeout=self._rest_s)
            except queue.Empty:
                loop.check()
                _logger.debug("at rest: every lane is free, and everything adds up")
                self._is_checked = True
                while self._orders.empty() and loop.tidy():
                    pass
        return self._orders.get()

    def _carry_out(self, loop: Loop, order: Order) -> None:
        match order:
            case Submit(request):
                try:
                    loop.submit(request)
                except PyrunnerError as error:
                    event = Errored(request_id=request.request_id, error=error)
                    self._mailbox.post(Stepped((event,)))
            case EmbedInputs():
                self._embeddings.append(_Embedding(order))
            case Cancel(request_id):
                loop.cancel(request_id)
                for each in self._embeddings:
                    each.is_cancelled |= each.order.request_id == request_id
            case Stop():
                self._is_stopping = True

    def _embed_group(self, loop: Loop) -> None:
        """Embed a step's worth of one request, so that streams and other requests go on in between.

        Requests take turns: a short one does not wait for all that came before it.
        """
        embedding = self._embeddings.popleft()
        if embedding.is_cancelled:
            return
        order, groups = embedding.order, embedding.groups
        try:
            group = groups.next_group(self._launch.engine.n_batch)
            part = loop.embed(group, normalize=order.normalize, request_id=order.request_id)
        except PyrunnerError as error:
            self._mailbox.post(Embedded(order.request_id, error))
            return
        if part is None:  # for the orders that wait; then this group again
            self._embeddings.appendleft(embedding)
            return
        groups.add(part)
        if groups.is_complete:
            self._mailbox.post(Embedded(order.request_id, groups.result()))
        else:
            self._embeddings.append(embedding)


class _Embedding:
    """One order on its way through several groups."""

    def __init__(self, order: EmbedInputs) -> None:
        self.order = order
        self.groups = EmbeddingGroups(order.inputs)
        self.is_cancelled = False
