"""What a generation said."""

from collections.abc import Iterable

from pyrunner.types import TextEvent


def text_of(events: Iterable[object]) -> str:
    """All of its text; what else it reported is left out."""
    return "".join(each.text for each in events if isinstance(each, TextEvent))
