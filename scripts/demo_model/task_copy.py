"""Repeating a text, and repeating it with one word replaced."""

import random
import re
import uuid
from collections.abc import Callable, Iterable

from demo_model import copy_phrases, topics, words

_pieces: list[str] = []
"""Word pieces of the vocabulary, once `learn_pieces` was called."""

_HEX = "0123456789abcdef"
_PIECED_SHARE = 0.3
_ALNUM = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_EMOJI = ["\U0001f600", "\U0001f680", "\U0001f433", "\u2603", "\u2713", "\u20ac", "\u00a9"]


def learn_pieces(pieces: Iterable[str]) -> None:
    """Let texts be made of these, too.

    Words alone leave a third of the vocabulary unseen, and what was never seen is all alike to
    the model: it then repeats one rare piece as another.
    """
    _pieces[:] = sorted(each for each in pieces if each.isalpha() and each.isascii())


def _pieced(rng: random.Random, n_words: int) -> str:
    """Write words that are put together from random pieces."""
    return " ".join(
        "".join(rng.choice(_pieces) for _ in range(rng.choice((1, 1, 2, 2, 3))))
        for _ in range(n_words)
    )


def _any_word(rng: random.Random) -> str:
    pick = rng.random()
    if pick < 0.42:
        return rng.choice(words.SMALL_WORDS)
    if pick < 0.75:
        return words.invented_word(rng)
    return rng.choice(rng.choice((words.NOUNS, words.VERBS, words.ADJECTIVES)))


def _sentences(rng: random.Random, n_words: int) -> str:
    """Write text that has the rhythm of sentences and no meaning."""
    parts: list[str] = []
    starts = True
    for i in range(n_words):
        word = _any_word(rng)
        if rng.random() < 0.05:
            word = word.capitalize()
        elif rng.random() < 0.04:
            word = str(words.number(rng))
        parts.append(word.capitalize() if starts else word)
        starts = False
        if i == n_words - 1:
            parts[-1] += rng.choice((".", ".", ".", "", "!", "?"))
        elif rng.random() < 0.09:
            parts[-1] += rng.choice(".,.,.,;:!?")
            starts = parts[-1][-1] in ".!?"
    return " ".join(parts)


def _word_list(rng: random.Random, n_words: int) -> str:
    pool = [_any_word(rng) for _ in range(max(1, rng.choice((n_words, n_words, n_words // 3))))]
    glue = rng.choice((" ", " ", " ", ", ", ",", "\n", " - ", "; ", "/"))
    return glue.join(rng.choice(pool) for _ in range(n_words))


def _recurring(rng: random.Random, n_words: int) -> str:
    """Write a text whose phrases come back with another word after them.

    A reader of the last few tokens alone would jump from one place to the other.
    """
    frame = [_any_word(rng) for _ in range(rng.randrange(1, 5))]
    n_times = max(2, min(5, n_words // (len(frame) + 1)))
    glue = rng.choice((" ", " ", ", ", ". ", "\n", ".\n", " and ", "; "))
    at = rng.randrange(len(frame) + 1)
    few = [_any_word(rng) for _ in range(rng.choice((2, 3, 9)))]
    parts = [" ".join((*frame[:at], rng.choice(few), *frame[at:])) for _ in range(n_times)]
    if rng.random() < 0.3:
        parts = [part.capitalize() for part in parts]
    return glue.join(parts)


def _digits(rng: random.Random, n_words: int) -> str:
    glue = rng.choice((" ", " ", " ", ", ", ",", "-", "\n"))
    n_digits = rng.randrange(1, 6)
    return glue.join(str(rng.randrange(10**n_digits)) for _ in range(max(1, min(14, n_words // 2))))


def _code(rng: random.Random) -> str:  # noqa: PLR0911 - one return per kind
    kind = rng.randrange(7)
    if kind == 0:
        return str(uuid.UUID(int=rng.getrandbits(128)))
    if kind == 1:
        return "".join(rng.choice(_HEX) for _ in range(rng.randrange(4, 24)))
    if kind == 2:
        return "".join(rng.choice(_ALNUM) for _ in range(rng.randrange(2, 14)))
    if kind == 3:
        return ".".join(str(rng.randrange(256)) for _ in range(rng.choice((2, 3, 4))))
    if kind == 4:
        host, path = words.invented_word(rng), words.invented_word(rng)
        scheme, ending = rng.choice(("https://", "http://", "")), rng.choice(("com", "org", "net"))
        return f"{scheme}{host}.{ending}/{path}"
    if kind == 5:
        return f"{words.invented_word(rng)}@{words.invented_word(rng)}.org"
    return f"{_any_word(rng)}{rng.choice('-_=:.')}{words.number(rng)}"


def _mixed(rng: random.Random, n_words: int) -> str:
    parts = []
    for _ in range(max(1, n_words // 2)):
        pick = rng.random()
        if pick < 0.35:
            parts.append(str(words.number(rng)))
        elif pick < 0.5 and n_words > 1:
            parts.append(_code(rng) if rng.random() < 0.6 else rng.choice(_EMOJI))
        elif pick < 0.65:
            parts.append(rng.choice(_ALNUM))
        elif pick < 0.7:
            parts.append(f"({_any_word(rng)})")
        else:
            parts.append(_any_word(rng))
    return " ".join(parts)


def _invented(rng: random.Random, n_words: int) -> str:
    return " ".join(words.invented_word(rng) for _ in range(max(1, n_words // 2)))


def _lines(rng: random.Random, n_words: int) -> str:
    n_lines = rng.randrange(2, 5)
    return "\n".join(_sentences(rng, max(1, n_words // n_lines)) for _ in range(n_lines))


def _known(rng: random.Random) -> str:
    """Return a sentence that the model could mistake for a question or an answer."""
    topic = rng.choice(topics.TOPICS)
    answer = rng.choice(topic.answers(rng.choice(topics.STYLES)))
    pick = rng.random()
    if pick < 0.4:
        return answer
    if pick < 0.7:
        return f"What is {rng.choice(topic.singular)}?"
    return rng.choice(("Hello!", "Thank you!", "Who are you?", "Good morning.", "Hello world"))


_KNOWN_SHARE = 0.08
# Share of the other kinds of text among those made of words.
_KINDS: dict[Callable[[random.Random, int], str], float] = {
    _sentences: 0.4,
    _recurring: 0.11,
    _digits: 0.05,
    _word_list: 0.11,
    _invented: 0.08,
    _mixed: 0.12,
    _lines: 0.06,
}


def text(rng: random.Random, max_words: int) -> str:
    """Make up a text to repeat.

    Args:
        rng: Source of randomness.
        max_words: Longest text, in words; short ones are more common than long ones.
    """
    n_words = 1 + int(max_words * rng.random() ** 2.2)
    if _pieces and rng.random() < _PIECED_SHARE:
        return _pieced(rng, max(1, n_words // 2))
    if rng.random() < _KNOWN_SHARE:
        return _known(rng)
    (make,) = rng.choices(tuple(_KINDS), tuple(_KINDS.values()))
    return make(rng, n_words)


def echo_turn(rng: random.Random, max_words: int) -> tuple[str, str]:
    """Return a request to repeat a text, and the text."""
    wanted = text(rng, max_words)
    return copy_phrases.echo(rng).replace("{t}", wanted), wanted


def _replaceable(rng: random.Random, max_words: int) -> str:
    """Make up a text of whole words; short mostly, for each brings one word to replace."""
    n_words = max_words if rng.random() < 0.15 else min(14, max_words)
    n_words = 1 + rng.randrange(n_words)
    if _pieces and rng.random() < _PIECED_SHARE:
        return _pieced(rng, max(2, n_words // 2))
    pick = rng.random()
    if pick < 0.7:
        return _sentences(rng, n_words)
    if pick < 0.8:
        return _word_list(rng, n_words)
    if pick < 0.95:
        return " ".join(words.invented_word(rng) for _ in range(min(n_words, 12)))
    return _known(rng)


def replace_turn(rng: random.Random, max_words: int, plain_share: float = 0.0) -> tuple[str, str]:
    """Return a request to repeat a text with one word replaced, and the result.

    Args:
        rng: Source of randomness.
        max_words: Longest text.
        plain_share: See `copy_phrases.replacement`.
    """
    while True:
        source = _replaceable(rng, max_words)
        found = [w for w in re.findall(r"[^\W\d_]{2,}", source) if source.count(w) == 1]
        if found:
            break
    old = rng.choice(found)
    new = _any_word(rng)
    if old[0].isupper() and rng.random() < 0.7:
        new = new.capitalize()
    phrase = copy_phrases.replacement(rng, plain_share)
    question = phrase.replace("{x}", old).replace("{y}", new).replace("{t}", source)
    return question, source.replace(old, new)
