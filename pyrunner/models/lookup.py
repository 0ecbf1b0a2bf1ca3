"""Which model a person means: pure functions from index entries and text to a manifest's digest."""

import re
from collections.abc import Callable

from pyrunner.models import index
from pyrunner.models.index import Entries
from pyrunner.registry.digest import Digest
from pyrunner.registry.reference import Reference

_ID = re.compile(r"(?:sha256:)?([0-9a-f]{64})")
_SHORT_ID = re.compile(r"[0-9a-f]{12}")


def is_full_id(text: str) -> bool:
    """Whether the text can only be a model's id."""
    return _ID.fullmatch(text.strip()) is not None


def is_name(text: str) -> bool:
    """Whether the text can be a reference rather than an id."""
    return not is_full_id(text) and _SHORT_ID.fullmatch(text.strip()) is None


def resolve(entries: Entries, text: str, parse: Callable[[str], Reference]) -> Digest | None:
    """By id, by 12-digit id, by digest, by name; in this order.

    Raises:
        InvalidReferenceError: The text is none of them.
    """
    found = _by_id(entries, text.strip())
    if found is not None or is_full_id(text):
        return found
    reference = parse(text)
    if reference.digest is None:
        return index.owner(entries, str(reference))
    return next((each for each in index.digests(entries) if each == reference.digest), None)


def named(entries: Entries, text: str, parse: Callable[[str], Reference]) -> str | None:
    """The one name that the text is, None when it identifies a model by id or digest."""
    if _by_id(entries, text.strip()) is not None:
        return None
    reference = parse(text)
    return None if reference.digest else str(reference)


def by_last_part(entries: Entries, text: str) -> Digest | None:
    """The first model one of whose names ends in this bare name, whatever its tag."""
    wanted = text.strip().lower()
    for digest in index.digests(entries):
        for name in index.names(entries, digest):
            if name.partition("@")[0].rsplit("/", 1)[-1].partition(":")[0] == wanted:
                return digest
    return None


def _by_id(entries: Entries, text: str) -> Digest | None:
    full = _ID.fullmatch(text)
    if full:
        wanted = f"sha256:{full[1]}"
        return next((each for each in index.digests(entries) if each == wanted), None)
    if _SHORT_ID.fullmatch(text):
        matching = [each for each in index.digests(entries) if each.short == text]
        return matching[0] if len(matching) == 1 else None
    return None
