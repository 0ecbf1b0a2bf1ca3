"""How people dress up a request: politeness, greetings, case, and missing marks.

Everything works on frames, before values are put in, so that no value changes.
"""

import random
import re
from collections.abc import Mapping

_ASKING = (
    "Can you ", "Could you ", "Would you ", "Will you ", "Can you please ", "Could you please ",
    "Would you please ", "Would you kindly ", "Would you be so kind as to ", "Could you quickly ",
    "Are you able to ", "Is it possible for you to ", "Would you mind trying to ",
    "May I ask you to ", "Can I ask you to ", "Could I get you to ", "Can u ", "Could you maybe ",
    "Can you just ",
)  # fmt: skip
_TELLING = (
    "Please ", "Please ", "Please ", "Kindly ", "I want you to ", "I need you to ", "Just ",
    "I would like you to ", "I'd like you to ", "You should ", "Now ", "Your task is to ",
    "Your job is to ", "Next, ", "Please just ", "It would be nice if you could ", "Go and ",
    "I would be glad if you could ", "I'd love you to ", "Try to ", "Help me: ", "Task: ",
    "Be so kind and ", "Do me a favour and ", "pls ", "Let's see, ", "Go ahead and ",
)  # fmt: skip
_GREETINGS = (
    "Hi, ", "Hey, ", "Hello, ", "Hi there, ", "Hello! ", "Hi! ", "Hey! ", "OK, ", "Okay, ", "So, ",
    "Good morning, ", "Good evening. ", "Excuse me, ", "Sorry, ", "Well, ", "Alright, ",
    "Hey there, ", "Quickly, ", "Hm, ", "One more: ", "And ", "Also, ", "Good day, ",
    "Hello there. ", "By the way, ",
)  # fmt: skip
_TAILS = (
    ", please", " please", ", thanks", ", thank you", " for me", " for me please", ", if you can",
    ", if possible", " pls", " thanks", ", if you don't mind",
)  # fmt: skip
_THANKS = (
    " Thanks.",
    " Thank you!",
    " Thanks!",
    " Please.",
    " Thank you.",
    " Cheers.",
    " Many thanks.",
)
_SLOT = re.compile(r"<([a-z_]+)>")
_MARKS = "?.!"


def fill_slots(rng: random.Random, frame: str, parts: Mapping[str, tuple[str, ...]]) -> str:
    """Replace every `<name>` by one of the parts of that name, parts within parts too."""
    while _SLOT.search(frame):
        frame = _SLOT.sub(lambda match: rng.choice(parts[match[1]]), frame)
    return frame


def lower_start(frame: str) -> str:
    """Write the first letter small, unless it belongs to the word I or to a name like JSON."""
    first = re.match(r"[A-Za-z']+", frame)
    if not first or first[0].split("'")[0] == "I" or first[0][1:] != first[0][1:].lower():
        return frame
    return frame[0].lower() + frame[1:]


def upper_start(frame: str) -> str:
    """Write the first letter large."""
    return frame[0].upper() + frame[1:] if frame else frame


def opened(opener: str, frame: str, sentence_ends: str = ".!") -> str:
    """Put words before a frame, which then starts small unless they end a sentence."""
    starts_sentence = opener.rstrip()[-1] in sentence_ends
    return opener + (frame if starts_sentence else lower_start(frame))


def polite(rng: random.Random, command: str) -> str:
    """Turn a command such as "tell me the time" into a request, with its final mark."""
    pick = rng.random()
    if pick < 0.4:
        return upper_start(command) + rng.choice((".", ".", ".", "!", ""))
    if pick < 0.7:
        return rng.choice(_TELLING) + command + rng.choice((".", ".", ""))
    return rng.choice(_ASKING) + command + rng.choice(("?", "?", "?", ""))


def varied(rng: random.Random, frame: str) -> str:
    """Greet first, add a tail, write the start small or leave the mark out, now and then."""
    ends_in_mark = frame[-1] in _MARKS and frame[-2] != " "
    if rng.random() < 0.12:
        frame = opened(rng.choice(_GREETINGS), frame)
    elif rng.random() < 0.14:
        frame = lower_start(frame)
    if not ends_in_mark:
        return frame
    pick = rng.random()
    if pick < 0.12:
        frame = frame[:-1] + rng.choice(_TAILS) + frame[-1]
    elif pick < 0.16:
        return frame + rng.choice(_THANKS)
    if rng.random() < 0.14:
        return frame[:-1] + rng.choice(("", "", "", "", ".", "!", "??"))
    return frame


def request(rng: random.Random, command: str) -> str:
    """Dress up a command."""
    return varied(rng, polite(rng, command))
