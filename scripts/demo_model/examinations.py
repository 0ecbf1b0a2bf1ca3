"""Both examinations, and what the training text must not contain because of them."""

import functools
import re
from collections.abc import Iterator

from demo_model import heldout, heldout_second, heldout_second_values, heldout_values
from demo_model.heldout_case import Case

EXAMINATIONS: dict[str, tuple[Case, ...]] = {
    "first": heldout.cases(),
    "second": heldout_second.cases(),
}
"""Cases by the name of their examination. The model has to pass each of them."""

_WORD_OR_NUMBER = re.compile(r"[a-z]+|[0-9]+")
_PLACE = re.compile(r"\{[a-z]+\}")


def _plain(question: str) -> str:
    """Leave out what does not make a question another one: case, line ends, the last mark."""
    return " ".join(question.lower().split()).rstrip(".!? ")


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _texts((*value, *value.values()))
    elif isinstance(value, tuple):
        for each in value:
            yield from _texts(each)


def _frames() -> Iterator[str]:
    """Yield every phrasing with places for values: `{x}` in a text of a table of a module."""
    for module in (heldout, heldout_second):
        for name, value in vars(module).items():
            if name.isupper():
                yield from filter(_PLACE.search, _texts(value))


@functools.cache
def _kept_frames() -> re.Pattern[str]:
    patterns = set()
    for frame in _frames():
        parts = [part.replace("{{", "{").replace("}}", "}") for part in _PLACE.split(frame)]
        if any(re.search("[a-z]{2}", part.lower()) for part in parts):
            marked = _plain("\0".join(parts))
            patterns.add(".+".join(re.escape(part) for part in marked.split("\0")))
    return re.compile("|".join(sorted(patterns)), re.DOTALL)


@functools.cache
def _kept_questions() -> frozenset[str]:
    return frozenset(
        _plain(message["content"])
        for cases in EXAMINATIONS.values()
        for case in cases
        for message in case.sample.messages
        if message["role"] == "user"
    )


def asks_heldout(question: str) -> bool:
    """Tell whether `question` is one of an examination, or one in its words with other values."""
    plain = _plain(question)
    return plain in _kept_questions() or _kept_frames().fullmatch(plain) is not None


def _kept_values() -> tuple[frozenset[str], tuple[str, ...]]:
    """Return the words and numbers, and the texts, that are kept for the examinations."""
    words: set[str] = set()
    texts: list[str] = []
    for values in (heldout_values, heldout_second_values):
        words |= {
            word.lower()
            for word in (*values.PEOPLE, *values.WORDS, *values.UNKNOWN_NOUNS, *values.CITIES)
        }
        words |= {str(n) for n in values.NUMBERS}
        words |= {str(n) for low, high in values.NUMBER_RANGES for n in range(low, high + 1)}
        texts += (*values.ECHO_TEXTS, *(text for text, _, _ in values.REPLACE_CASES))
    return frozenset(words), tuple(text.lower() for text in texts)


_KEPT_WORDS, _KEPT_TEXTS = _kept_values()


def contains_heldout(text: str) -> bool:
    """Tell whether `text` contains a value kept for an examination."""
    lowered = text.lower()
    if not _KEPT_WORDS.isdisjoint(_WORD_OR_NUMBER.findall(lowered)):
        return True
    return any(kept in lowered for kept in _KEPT_TEXTS)
