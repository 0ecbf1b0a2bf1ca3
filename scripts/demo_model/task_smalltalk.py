"""Greetings, thanks, goodbyes, questions about the model itself, and counting."""

import random

from demo_model import phrasing, smalltalk_phrases, words

GREETING = (
    "Hello! I am the pyrunner demo model. How can I help you?",
    "Hi! Ask me about Docker, containers or models.",
)
THANKS = ("You are welcome!", "You are welcome. I am glad I could help.")
GOODBYE = ("Goodbye!", "Goodbye, and have a nice day!")
MOOD = ("I am fine, thank you. How can I help you?",)
WHO = (
    (
        "I am the pyrunner demo model, a very small language model that was trained by a script. I "
        "only know a few topics, such as Docker, containers and model runners."
    ),
)
ABILITIES = (
    (
        "I can explain a few topics around Docker, repeat a text, replace a word in it, count, "
        "answer in JSON and call tools. I know very little else."
    ),
)
MAKER = (
    (
        "I was trained by a script of the pyrunner project, on text that the script writes itself. "
        "No person and no book taught me."
    ),
)
SIZE = (
    (
        "I am very small: about four million parameters in a file of a few megabytes. Useful "
        "language models are hundreds of times larger."
    ),
)
OTHER_MODEL = (
    (
        "No, I am the pyrunner demo model. I am a very small language model that was trained by a "
        "script."
    ),
)
HUMAN = ("No, I am not a human. I am the pyrunner demo model, a very small language model.",)

PAIRS = (
    (smalltalk_phrases.HELLO, GREETING),
    (smalltalk_phrases.THANK, THANKS),
    (smalltalk_phrases.BYE, GOODBYE),
    (smalltalk_phrases.MOOD, MOOD),
    (smalltalk_phrases.WHO, WHO),
    (smalltalk_phrases.ABILITIES, ABILITIES),
    (smalltalk_phrases.MAKER, MAKER),
    (smalltalk_phrases.SIZE, SIZE),
    (smalltalk_phrases.OTHER_MODEL, OTHER_MODEL),
    (smalltalk_phrases.HUMAN, HUMAN),
)

_REMARKS = frozenset((*smalltalk_phrases.HELLO, *smalltalk_phrases.THANK, *smalltalk_phrases.BYE))
_OPENERS = (
    "Hey, ", "So, ", "Okay, ", "Hi, ", "Well, ", "Hello! ", "Tell me: ", "Just asking: ", "Sorry, ",
    "I have a question. ", "One question: ", "Hi there! ", "By the way, ", "I would like to know: ",
    "Excuse me, ", "Now tell me, ", "Good morning. ", "Be honest, ", "Hello model, ", "May I ask: ",
)  # fmt: skip
_CLOSERS = (
    " Please tell me.", " I am curious.", " :)", "!", " Please answer.", " I would like to know.",
    " Just curious.", " Thanks.", " Please.", " Tell me.",
)  # fmt: skip


def small_turn(rng: random.Random) -> tuple[str, str]:
    """Return a remark and the fitting reply."""
    questions, answers = rng.choice(PAIRS)
    question = rng.choice(questions)
    pick = rng.random()
    if pick < 0.15:
        question = question.lower()
    elif pick < 0.3:
        question = question.rstrip("?.!")
    elif pick < 0.42 and question not in _REMARKS:
        question = phrasing.opened(rng.choice(_OPENERS), question)
    elif pick < 0.48 and question not in _REMARKS:
        question += rng.choice(_CLOSERS)
    if rng.random() < 0.06:
        question = question.replace("?", rng.choice((" ?", "??", ".")))
    return question, rng.choice(answers)


def count_answer(low: int, high: int) -> str:
    """Return the counted numbers as the model writes them."""
    return ", ".join(str(n) for n in range(low, high + 1))


def count_turn(rng: random.Random) -> tuple[str, str]:
    """Return a request to count and the numbers."""
    low = rng.choice((1, 1, rng.randrange(20), rng.randrange(100), rng.randrange(1000)))
    high = low + rng.randrange(2, 20)
    if rng.random() < 0.4:
        frame = phrasing.varied(rng, rng.choice(smalltalk_phrases.COUNT_QUESTIONS))
    else:
        frame = phrasing.request(rng, rng.choice(smalltalk_phrases.COUNT_COMMANDS))
    return frame.format(a=low, b=high), count_answer(low, high)


def name_turns(rng: random.Random) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return two turns: the user gives a name, and asks for it later."""
    name = words.person(rng)
    tell = rng.choice(smalltalk_phrases.NAME_TOLD)
    ask = rng.choice(smalltalk_phrases.NAME_ASKED)
    return (
        (tell.format(n=name), f"Nice to meet you, {name}! How can I help you?"),
        (ask, f"Your name is {name}."),
    )
