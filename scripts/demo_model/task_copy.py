"""Repeating a text, and repeating it with one word replaced."""

import random
import re
import uuid
from collections.abc import Iterable

from demo_model import topics, words

ECHO_BEFORE = (
    "Repeat: {t}", "Repeat this: {t}", "Repeat after me: {t}", "Repeat the following text: {t}",
    "Repeat the following text exactly:\n{t}", "Repeat this text:\n{t}", "Say: {t}", "Say {t}",
    'Say "{t}"', 'Repeat "{t}"', "Echo: {t}", "Echo this text: {t}", "Copy this: {t}",
    "Copy the following text.\n\n{t}", "Write exactly this: {t}", "Please repeat: {t}",
    "Please repeat this text word for word:\n\n{t}", "Return this text unchanged: {t}",
    "Can you repeat this? {t}", "Type the following: {t}", "Print this: {t}", "Output: {t}",
    "Repeat this sentence: {t}", "I want you to repeat the following text: {t}",
    "Your task is to repeat this text exactly.\n{t}", "Answer with exactly this text: {t}",
    "Read this and write it again: {t}", "Reply with {t}", "Reply only with: {t}",
    "Write this text again:\n\n{t}", "Copy exactly: {t}", "repeat {t}", "echo {t}",
)  # fmt: skip

ECHO_AFTER = (
    "{t}\n\nRepeat the text above.", "{t}\n\nRepeat this text exactly.", "{t}\nCopy this.",
    '"{t}" Repeat what is in quotes.', "{t}\n\nPlease repeat that word for word.",
    "{t}\n---\nWrite the text above again.",
)  # fmt: skip

# {x} is in the text and becomes {y}.
REPLACE = (
    'Repeat this text but replace "{x}" with "{y}": {t}', "Replace {x} with {y}: {t}",
    "Replace {x} by {y} in this text: {t}", 'Replace the word "{x}" with "{y}":\n{t}',
    "Repeat the text with {y} instead of {x}: {t}", "Change the word {x} to {y}: {t}",
    "Change {x} into {y} in the following text:\n{t}", 'Write "{y}" instead of "{x}": {t}',
    "In the following text, swap {x} for {y}: {t}", "Use {y} in place of {x}: {t}",
    "Copy this text, but write {y} where it says {x}:\n\n{t}",
    "Repeat the following, replacing {x} with {y}: {t}",
    'Please replace "{x}" by "{y}" in this sentence: {t}',
    "Repeat this sentence, but instead of {x} say {y}: {t}",
    "{t}\n\nRepeat the text above, but replace {x} with {y}.",
    "{t}\n\nReplace {x} by {y}.", "{t}\nNow the same with {y} instead of {x}.",
)  # fmt: skip

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


def text(rng: random.Random, max_words: int) -> str:
    """Make up a text to repeat.

    Args:
        rng: Source of randomness.
        max_words: Longest text, in words; short ones are more common than long ones.
    """
    n_words = 1 + int(max_words * rng.random() ** 2.2)
    if _pieces and rng.random() < _PIECED_SHARE:
        return _pieced(rng, max(1, n_words // 2))
    return _worded(rng, n_words)


def _worded(rng: random.Random, n_words: int) -> str:
    pick = rng.random()
    if pick < 0.48:
        return _sentences(rng, n_words)
    if pick < 0.66:
        return _word_list(rng, n_words)
    if pick < 0.74:
        return " ".join(words.invented_word(rng) for _ in range(max(1, n_words // 2)))
    if pick < 0.86:
        return _mixed(rng, n_words)
    if pick < 0.92:
        n_lines = rng.randrange(2, 5)
        return "\n".join(_sentences(rng, max(1, n_words // n_lines)) for _ in range(n_lines))
    return _known(rng)


def echo_turn(rng: random.Random, max_words: int) -> tuple[str, str]:
    """Return a request to repeat a text, and the text."""
    wanted = text(rng, max_words)
    phrase = rng.choice(ECHO_BEFORE if rng.random() < 0.85 else ECHO_AFTER)
    return phrase.replace("{t}", wanted), wanted


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


def replace_turn(rng: random.Random, max_words: int) -> tuple[str, str]:
    """Return a request to repeat a text with one word replaced, and the result."""
    while True:
        source = _replaceable(rng, max_words)
        found = [w for w in re.findall(r"[^\W\d_]{2,}", source) if source.count(w) == 1]
        if found:
            break
    old = rng.choice(found)
    new = _any_word(rng)
    if old[0].isupper() and rng.random() < 0.7:
        new = new.capitalize()
    phrase = rng.choice(REPLACE)
    question = phrase.replace("{x}", old).replace("{y}", new).replace("{t}", source)
    return question, source.replace(old, new)
