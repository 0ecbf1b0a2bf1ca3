"""The prompt thread: renders and tokenises, so that the I/O thread never waits for a long text.

A megabyte of prompt takes tenths of a second, during which streams have to go on and whoever
leaves has to be noticed.
"""

import queue
import threading
from dataclasses import dataclass

from pyrunner import log
from pyrunner.errors import PyrunnerError, WorkerCrashedError
from pyrunner.wire.frames import RequestFrame
from pyrunner.worker.messages import Mailbox, Unprepared
from pyrunner.worker.ports import IsWanted, Prompts
from pyrunner.worker.prepare import prepare

_logger = log.get("worker")


@dataclass(frozen=True, slots=True)
class _Job:
    request_id: int
    frame: RequestFrame
    prompts: Prompts
    is_wanted: IsWanted


class PromptThread:
    """`prepare` and `stop` are for any thread; the rest runs in the prompt thread.

    The queue is unbounded, because the I/O thread bounds the requests it admits.
    """

    def __init__(self, mailbox: Mailbox, reference: str) -> None:
        self._mailbox = mailbox
        self._reference = reference
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        # A daemon, because native code that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self.run, name="prompts", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def prepare(
        self, request_id: int, frame: RequestFrame, prompts: Prompts, is_wanted: IsWanted
    ) -> None:
        """Queue a request; it is prepared in turn and reported as `Prepared` or `Unprepared`.

        Nothing is done, and nothing reported, when nobody wants it any more by then.
        """
        self._jobs.put(_Job(request_id, frame, prompts, is_wanted))

    def stop(self, deadline_s: float) -> bool:
        """End the thread after the request it is at; whether it did within the deadline."""
        self._jobs.put(None)
        self._thread.join(deadline_s)
        return not self._thread.is_alive()

    def run(self) -> None:
        """Prepare until told to stop."""
        while (job := self._jobs.get()) is not None:
            self._do(job)

    def work_off(self) -> None:
        """Prepare what is queued, in the calling thread (tests)."""
        while not self._jobs.empty():
            job = self._jobs.get()
            if job is not None:
                self._do(job)

    def _do(self, job: _Job) -> None:
        if not job.is_wanted():
            return
        try:
            report = prepare(job.frame, job.request_id, job.prompts)
        except PyrunnerError as error:
            self._mailbox.post(Unprepared(job.request_id, error))
        except Exception as error:  # the thread's root: the request would never be answered
            _logger.exception("preparing a prompt failed")
            crash = WorkerCrashedError(reference=self._reference, how=repr(error))
            self._mailbox.post(Unprepared(job.request_id, crash))
        else:
            self._mailbox.post(report)
