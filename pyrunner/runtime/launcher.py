"""Starting a worker: its socket, its log, its process, its parameters."""

import os
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pyrunner import log
from pyrunner.config import Settings
from pyrunner.errors import StoreIOError
from pyrunner.models import prefixes
from pyrunner.models.store import Lease, StoredModel
from pyrunner.runtime.config_hash import config_hash
from pyrunner.runtime.folder import RuntimeFolder
from pyrunner.runtime.footprint import Footprint
from pyrunner.runtime.ledger import Entry
from pyrunner.runtime.newborn import Newborn
from pyrunner.runtime.spare import Spare
from pyrunner.types import ModelMode
from pyrunner.wire.launch import Descriptors, Launch, encode_launch

_logger = log.get("runtime")

_BACKLOG = 512
"""Connections that may wait while the worker's interpreter starts."""


def unix_time_s() -> float:
    """Now, in seconds since 1970."""
    return datetime.now(UTC).timestamp()


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything about a worker but its process."""

    model: StoredModel
    mode: ModelMode
    footprint: Footprint
    draft: StoredModel | None = None
    """It guesses for the other one."""

    @property
    def reference(self) -> str:
        """What the worker is called."""
        return self.model.tags[0] if self.model.tags else self.model.id

    @property
    def config_hash(self) -> str:
        """Its identity."""
        draft_id = "" if self.draft is None else self.draft.id
        return config_hash(self.model.id, self.mode, self.footprint.engine, draft_id)


class Launcher:
    """Starts workers. Any thread; the ledger's lock is held while one starts.

    Args:
        settings: Of the runtime.
        folder: Prepared.
        command: As for `Newborn`.
        spare: Keeps a process of the same command, or none.
    """

    def __init__(
        self, settings: Settings, folder: RuntimeFolder, command: Sequence[str], spare: Spare
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._command = tuple(command)
        self._spare = spare

    def start(self, plan: Plan, keep_alive_s: float | None, lease: Lease) -> Entry:
        """Start a process that listens from the first moment; costs some milliseconds.

        The process holds the lease from now on, as long as it lives.

        Raises:
            StoreIOError: The system refused a socket, a file or a process.
        """
        path = self._folder.new_socket()
        launch = encode_launch(self._launch(plan, keep_alive_s, path, lease.path))
        try:
            with ExitStack() as stack:
                listener = stack.enter_context(socket.socket(socket.AF_UNIX))
                listener.bind(str(path))
                listener.listen(_BACKLOG)
                log_fd = _open_log(self._folder.log_path(plan.model.id, plan.mode))
                stack.callback(os.close, log_fd)
                descriptors = Descriptors(listener.fileno(), lease.fileno(), log_fd)
                newborn = self._tell_spare(launch, descriptors)
                if newborn is None:
                    newborn = Newborn(self._command, log_fd)
                    _tell(newborn, launch, descriptors)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise StoreIOError(path=str(path), problem=error.strerror or str(error)) from error
        lease.hand_over()
        _logger.info("worker %d loads %s (%s)", newborn.pid, plan.reference, plan.mode)
        return Entry(
            socket=str(path),
            reference=plan.reference,
            model_id=plan.model.id,
            mode=plan.mode,
            pid=newborn.pid,
            started=newborn.started,
            size_bytes=plan.footprint.size_bytes,
            last_used=unix_time_s(),
            config_hash=plan.config_hash,
        )

    def _tell_spare(self, launch: bytes, descriptors: Descriptors) -> Newborn | None:
        """Tell the process that waits, if one does and still lives."""
        spare = self._spare.take()
        if spare is None:
            return None
        try:
            spare.tell(launch, descriptors)
        except OSError as error:
            _logger.warning("spare worker %d: %s", spare.pid, error)
            spare.close()
            return None
        return spare

    def _launch(
        self,
        plan: Plan,
        keep_alive_s: float | None,
        path: Path,
        lease_path: Path | None,
    ) -> Launch:
        runtime = self._settings.runtime
        model = plan.model
        return Launch(
            reference=plan.reference,
            model_id=model.id,
            mode=plan.mode,
            weight_paths=_all_absolute(model.weight_paths),
            draft_paths=() if plan.draft is None else _all_absolute(plan.draft.weight_paths),
            has_draft_heads=plan.footprint.has_draft_heads,
            stamps=plan.footprint.stamps,
            mmproj_path=_absolute(model.mmproj_path),
            chat_template_path=_absolute(model.chat_template_path),
            engine=plan.footprint.engine,
            prefix_folder=_absolute(self._prefix_folder(plan)),
            keep_alive_s=runtime.keep_alive_s if keep_alive_s is None else keep_alive_s,
            orphan_grace_s=runtime.orphan_grace_s,
            drain_s=runtime.drain_s,
            max_queue=runtime.max_queue,
            config_hash=plan.config_hash,
            socket_path=str(path),
            server_socket=str(self._settings.socket_path.absolute()),
            lock_path=str(self._folder.lock),
            lease_path=_absolute(lease_path),
            log_level=self._settings.log.level,
        )

    def _prefix_folder(self, plan: Plan) -> Path | None:
        is_on = plan.footprint.engine.cache_disk_bytes > 0 and plan.mode is ModelMode.COMPLETION
        return prefixes.folder_for(self._settings.store_path, plan.model.id) if is_on else None


def _all_absolute(paths: Sequence[Path]) -> tuple[str, ...]:
    return tuple(str(each.absolute()) for each in paths)


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(path.absolute())


def _open_log(path: Path) -> int:
    # Readable too, because the worker cuts it; appending, because an older worker of the same
    # model may still write its last lines.
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _tell(newborn: Newborn, launch: bytes, descriptors: Descriptors) -> None:
    try:
        newborn.tell(launch, descriptors)
    except (BrokenPipeError, ConnectionResetError):
        # Whoever waits for it to load will find out how it ended.
        _logger.warning("worker %d ended before it started", newborn.pid)
