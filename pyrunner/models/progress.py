"""Progress events of pull, push and package, and when one is worth sending."""

import time
from collections.abc import Callable
from typing import Literal

import msgspec

MIN_INTERVAL_S = 0.1
"""A layer that moved is reported after this time..."""
MIN_STEP_BYTES = 1024 * 1024
"""...or after this many bytes, whichever comes first."""

Mode = Literal["pull", "push", "package"]
"""The last one is never on the wire: packages are made where the files are."""


class _Layer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: str = ""
    size: int
    current: int


class _Line(msgspec.Struct, frozen=True, omit_defaults=True):
    type: Literal["progress", "success", "warning", "error"]
    message: str
    total: int
    layer: _Layer
    mode: Mode
    # Not in Docker's protocol; its clients skip what they do not know.
    current: int = 0
    bytes_per_s: int = 0
    left_s: int = 0


class ProgressEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the progress stream (reference, section 1.6)."""

    type: Literal["progress", "success", "warning", "error"]
    message: str
    mode: Mode
    total: int = 0
    """Bytes of all layers together."""
    layer_id: str = ""
    """The layer's digest; empty when the line is about no layer."""
    layer_size: int = 0
    layer_current: int = 0
    current: int = 0
    """Bytes of all layers that are there."""
    bytes_per_s: int = 0
    """How fast they come, over the last seconds; 0 when unknown."""
    left_s: int = 0
    """How long the rest takes at that rate, rounded up; 0 when unknown or done."""

    def to_json(self) -> str:
        """The wire form: one JSON object without a line end."""
        layer = _Layer(size=self.layer_size, current=self.layer_current, id=self.layer_id)
        line = _Line(
            self.type,
            self.message,
            self.total,
            layer,
            self.mode,
            self.current,
            self.bytes_per_s,
            self.left_s,
        )
        return msgspec.json.encode(line).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> "ProgressEvent":
        """Read one line of the wire form.

        Raises:
            msgspec.ValidationError: A JSON document of another shape.
            msgspec.DecodeError: No JSON document.
        """
        line = msgspec.json.decode(text, type=_Line)
        return cls(
            type=line.type,
            message=line.message,
            mode=line.mode,
            total=line.total,
            layer_id=line.layer.id,
            layer_size=line.layer.size,
            layer_current=line.layer.current,
            current=line.current,
            bytes_per_s=line.bytes_per_s,
            left_s=line.left_s,
        )


OnProgress = Callable[[ProgressEvent], None]
"""Called in the thread that called pull or push, never in another. May raise to cancel."""


class LayerProgress:
    """Decides when one layer's movement is reported. One thread."""

    def __init__(self, *, size_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._size_bytes = size_bytes
        self._clock = clock
        self._sent_at = -MIN_INTERVAL_S
        self._sent_bytes = 0

    def is_due(self, current_bytes: int) -> bool:
        """Whether to send a line now; True means the caller sends it."""
        now = self._clock()
        is_due = (
            current_bytes >= self._size_bytes
            or now - self._sent_at >= MIN_INTERVAL_S
            or current_bytes - self._sent_bytes >= MIN_STEP_BYTES
        )
        if is_due:
            self._sent_at, self._sent_bytes = now, current_bytes
        return is_due
