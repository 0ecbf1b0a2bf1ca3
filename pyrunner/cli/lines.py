"""Bytes of an answer as they arrive to lines, and lines to server-sent events.

No line is too long: an answer may hold an image or a whole document in one event.
"""

from collections.abc import Iterable, Iterator

DONE = "[DONE]"
"""What OpenAI sends as the data of its last event."""


def lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Join and split `chunks` at line ends; a last line without one counts too.

    Bytes that are no UTF-8 become the replacement character, as a terminal would show them.
    """
    pending = bytearray()
    for chunk in chunks:
        start = len(pending)
        pending += chunk
        # Only the new bytes are searched, so a long line costs linear time.
        while (end := pending.find(b"\n", start)) >= 0:
            yield pending[:end].removesuffix(b"\r").decode("utf-8", "replace")
            del pending[: end + 1]
            start = 0
    if pending:
        yield pending.decode("utf-8", "replace")


def event_data(chunks: Iterable[bytes]) -> Iterator[str]:
    """The data of each server-sent event, `DONE` excluded; ends there or with the answer."""
    data: list[str] = []
    for line in lines(chunks):
        if line.startswith("data:"):
            data.append(line.removeprefix("data:").removeprefix(" "))
        elif not line and data:
            text = "\n".join(data)
            data.clear()
            if text == DONE:
                return
            yield text
    if data and data != [DONE]:
        yield "\n".join(data)
