"""How people ask to repeat a text, and to repeat it with one word replaced.

Frames hold `{t}` for the text, `{x}` for the word in it and `{y}` for the word instead. They are
put together from parts, so that what is learnt is not a list of sentences: the word to replace
is the one of the two that the text contains.
"""

import random

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


_OPENINGS = (
    "", "", "", "", "Please ", "Please ", "Can you ", "Could you ", "Would you ", "Now ", "Kindly ",
    "I want you to ", "I need you to ", "I would like you to ", "You should ", "Hey, ", "Hi, ",
    "Could you please ", "Can you please ", "Your task is to ", "Next, ", "OK, ", "Just ",
)  # fmt: skip
_VERBS = (
    "repeat", "repeat", "repeat", "copy", "copy", "write", "echo", "say", "print", "return",
    "output", "type", "give me", "show me", "reproduce", "write down", "read out", "send back",
)  # fmt: skip
_OBJECTS = (
    "this", "this", "this text", "the text", "the following", "the following text", "the sentence",
    "this sentence", "the following sentence", "these words", "the line", "what follows", "it",
    "the words", "that", "the text below", "the next line", "this line", "the following words",
)  # fmt: skip
_MANNERS = (
    "", "", "", "", " exactly", " word for word", " unchanged", " as it is", " once", " once more",
    " again", " for me", " without changes", " verbatim", " letter by letter", " back to me",
)  # fmt: skip
_JOINTS = (": ", ": ", ": ", ":\n", ":\n\n", ".\n", ". ", "\n", " - ")

# What to do with the two words, as an order, as an addition to another order, and as a state.
_CHANGES = (
    "replace {x} with {y}", "replace {x} with {y}", "replace {x} by {y}", "change {x} to {y}",
    "change {x} into {y}", "swap {x} for {y}", "swap {x} with {y}", "exchange {x} for {y}",
    "substitute {y} for {x}", "substitute {x} with {y}", "use {y} instead of {x}",
    "use {y} in place of {x}", "use {y} for {x}", "write {y} instead of {x}",
    "write {y} in place of {x}", "put {y} instead of {x}", "put {y} in place of {x}",
    "put {y} where {x} is", "say {y} instead of {x}", "say {y} and not {x}", "turn {x} into {y}",
    "use {y} rather than {x}", "write {y} where it says {x}", "switch {x} to {y}",
    "let {x} become {y}", "take {y} instead of {x}", "exchange the word {x} with {y}",
    "replace the word {x} with {y}", "replace the word {x} with the word {y}",
    "change the word {x} to {y}", "use the word {y} instead of the word {x}",
    "replace every {x} with {y}", "rename {x} to {y}",
)  # fmt: skip
_ADDITIONS = (
    "replacing {x} with {y}", "replacing {x} by {y}", "changing {x} to {y}",
    "changing {x} into {y}", "swapping {x} for {y}", "using {y} instead of {x}",
    "using {y} in place of {x}", "writing {y} instead of {x}", "putting {y} for {x}",
    "substituting {y} for {x}", "turning {x} into {y}", "saying {y} instead of {x}",
    "with {y} instead of {x}", "with {y} in place of {x}", "with {x} replaced by {y}",
    "with {x} replaced with {y}", "with {x} turned into {y}", "with {x} swapped for {y}",
    "with {y} where {x} is", "with {x} as {y}", "with the word {x} replaced by {y}",
    "with {y} rather than {x}", "where {x} becomes {y}", "where {x} is replaced by {y}",
    "so that {x} becomes {y}", "but instead of {x} say {y}", "but instead of {x} write {y}",
    "but {x} becomes {y}", "only that {x} becomes {y}", "but with {y} instead of {x}",
    "but with {y} for {x}", "but with {x} replaced by {y}", "but let {x} be {y}",
    "except that {x} is now {y}", "except that {x} should be {y}", "and {x} should become {y}",
)  # fmt: skip
_AND = (" and ", ", but ", ", but ", ", and ", " but ", " and then ", ", only ")
_PLACES = (
    "",
    "",
    "",
    "",
    " in this text",
    " in the following",
    " in the text",
    " in this",
    " here",
)
_QUOTES = ('"{}"', '"{}"', "'{}'", "`{}`", "*{}*")


def _maybe_plain(rng: random.Random, frame: str) -> str:
    """Drop the capital of the first word now and then, as people who type fast do."""
    starts_lower = rng.random() < 0.2
    first = frame[0].lower() if starts_lower else frame[0].upper()
    return first + frame[1:]


def _order(rng: random.Random) -> str:
    thing = f"{rng.choice(_OBJECTS)}{rng.choice(_MANNERS)}"
    return f"{rng.choice(_OPENINGS)}{rng.choice(_VERBS)} {thing}"


def _before_or_after(rng: random.Random, order: str) -> str:
    """Put the text behind the order, or before it."""
    pick = rng.random()
    if pick < 0.85:
        quoted = '"{t}"' if rng.random() < 0.12 else "{t}"
        return _maybe_plain(rng, f"{order}{rng.choice(_JOINTS)}{quoted}")
    glue, end = rng.choice(("\n\n", "\n", " - ", "\n---\n")), rng.choice((".", ".", "", "!"))
    return "{t}" + glue + _maybe_plain(rng, order) + end


def echo(rng: random.Random) -> str:
    """Return a frame that asks to repeat `{t}`."""
    pick = rng.random()
    if pick < 0.45:
        return rng.choice(ECHO_BEFORE)
    if pick < 0.52:
        return rng.choice(ECHO_AFTER)
    return _before_or_after(rng, _order(rng))


def replacement(rng: random.Random, plain_share: float) -> str:
    """Return a frame that asks to repeat `{t}` with `{y}` instead of `{x}`.

    Args:
        rng: Source of randomness.
        plain_share: How often it is the plainest one, 0 to 1.
    """
    if rng.random() < plain_share:
        return "Replace {x} with {y}: {t}"
    pick = rng.random()
    if pick < 0.4:
        order = f"{rng.choice(_OPENINGS)}{rng.choice(_CHANGES)}{rng.choice(_PLACES)}"
    elif pick < 0.7:
        order = f"{_order(rng)}{rng.choice((', ', ' ', ' '))}{rng.choice(_ADDITIONS)}"
    else:
        order = f"{_order(rng)}{rng.choice(_AND)}{rng.choice(_CHANGES)}"
    if rng.random() < 0.4:
        quotes = rng.choice(_QUOTES)
        order = order.replace("{x}", quotes.format("{x}")).replace("{y}", quotes.format("{y}"))
    return _before_or_after(rng, order)
