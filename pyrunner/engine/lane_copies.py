"""Copies of lanes to host memory and back, and what a session's memory turns out to refuse.

llama.cpp has kinds of memory whose tails cannot be dropped, and some that cannot be copied. Of most
a session knows that beforehand; the rest shows when it is tried, and then holds for good.
"""

from enum import Enum

from pyrunner._native import LaneState, Session
from pyrunner.engine import snapshots
from pyrunner.errors import InvariantError, NativeError, UnsupportedParameterError


class Restored(Enum):
    """What came of filling a lane; it is empty unless all is well."""

    WHOLE = "whole"
    REFUSED = "refused"
    """The state does not fit this memory, and never will."""
    FAILED = "failed"
    """Not now, because memory is short."""


class LaneCopies:
    """Saves, restores, moves and shortens the lanes of a session. For the loop's thread."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.can_travel = True
        """Whether lanes can be copied, as far as that is known."""
        self.drops_tails = session.drops_tails
        """Whether a lane can be made shorter, as far as that is known."""

    @property
    def n_block(self) -> int:
        """A lane can be started from a multiple of so many tokens of another; 0: not at all."""
        if not self.can_travel:
            return 0
        return 1 if self.drops_tails else snapshots.BLOCK

    def save(self, lane: int) -> LaneState | None:
        """A copy of what a lane holds; None when there is none to be had."""
        if not self.can_travel:
            return None
        try:
            return self._session.save_lane(lane)
        except UnsupportedParameterError:
            self.can_travel = False
            return None
        except (MemoryError, NativeError):
            return None  # a shorter memory is no reason to fail anybody

    def restore(self, lane: int, state: LaneState, *, is_own: bool = True) -> Restored:
        """Fill a free lane with a copy; one that is not `is_own` came from elsewhere.

        Raises:
            InvariantError: What was restored has another length than its own state says.
        """
        try:
            self._session.restore_lane(lane, state)
        except (UnsupportedParameterError, InvariantError) as error:
            if is_own and isinstance(error, InvariantError):
                raise
            self._session.clear_lane(lane)
            return Restored.REFUSED
        except (MemoryError, NativeError):
            self._session.clear_lane(lane)
            return Restored.FAILED
        return Restored.WHOLE

    def move(self, source: int, target: int) -> bool:
        """Move a running lane to an empty one; False when it cannot, and is where it was."""
        if not self.can_travel:
            return False
        try:
            self._session.move_lane(source, target)
        except UnsupportedParameterError:
            self.can_travel = False
            return False
        except (MemoryError, NativeError):
            return False
        return True

    def truncate(self, lane: int, n_tokens: int) -> bool:
        """Drop all but the first tokens of a lane, or all of them where llama.cpp refuses."""
        try:
            self._session.truncate_lane(lane, n_tokens)
        except UnsupportedParameterError:
            # `Session.drops_tails` knows of no other, but llama.cpp may.
            self.drops_tails = False
            self._session.clear_lane(lane)
            return False
        return True
