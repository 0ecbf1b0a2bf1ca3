"""The training text: an endless, reproducible stream of conversations."""

import dataclasses
import random
from collections.abc import Iterator

from demo_model import (
    examinations,
    task_copy,
    task_explain,
    task_json,
    task_smalltalk,
    task_tools,
    topics,
    words,
)
from demo_model.chat_format import Message, Sample, assistant, render, system, user

# Share of conversations by the kind of their first turn.
MIXTURE = {
    "echo": 0.17,
    "replace": 0.27,
    "tools": 0.18,
    "json": 0.12,
    "explain": 0.12,
    "compare": 0.015,
    "unknown": 0.05,
    "small": 0.06,
    "count": 0.02,
    "name": 0.01,
    "document": 0.015,
}

SYSTEM_PROMPTS = (
    "You are a helpful assistant.", "You are a helpful AI assistant.", "Be helpful.",
    "You are a friendly assistant. Answer briefly.", "Answer the question of the user.",
    "You are an expert for containers.", "You are an assistant.", "Be brief and polite.",
    "You are a tool-using assistant.", "Answer truthfully.", "You are a chat bot.", "",
)  # fmt: skip

_MORE_TURNS = (0.555, 0.27, 0.12, 0.05, 0.005)
_FULL_LENGTH_AT = 0.05
_MAX_WORDS = 85


@dataclasses.dataclass(frozen=True)
class _Stage:
    """What depends on how much of the training is done."""

    max_words: int
    """Of a text to repeat: from a few to their full length."""
    plain_share: float
    """Of requests to replace a word, in the plainest frame."""
    lesson_share: float
    """Of conversations that are nothing but such a request."""


# Replacing a word is learnt in a lesson of its own: within a few hundred steps of little else,
# first in one frame and then in all. As a share of the mixture it is not learnt in a thousand.
_LESSONS = (
    # until, plain_share, lesson_share
    (0.15, 1.0, 0.0),
    (0.215, 1.0, 0.9),
    (0.27, 0.2, 0.7),
    (1.0, 0.1, 0.0),
)


def _stage(progress: float) -> _Stage:
    _, plain_share, lesson_share = next(each for each in _LESSONS if progress <= each[0])
    return _Stage(
        max_words=round(4 + (_MAX_WORDS - 4) * min(1.0, progress / _FULL_LENGTH_AT)),
        plain_share=plain_share,
        lesson_share=lesson_share,
    )


def _turn(rng: random.Random, kind: str, stage: _Stage) -> tuple[str, str]:
    if kind == "echo":
        return task_copy.echo_turn(rng, stage.max_words)
    if kind == "replace":
        return task_copy.replace_turn(rng, max(3, stage.max_words * 2 // 3), stage.plain_share)
    makers = {
        "json": task_json.turn,
        "explain": task_explain.topic_turn,
        "compare": task_explain.comparison_turn,
        "unknown": task_explain.unknown_turn,
        "small": task_smalltalk.small_turn,
        "count": task_smalltalk.count_turn,
        "no tool": _turn_without_tool,
    }
    return makers[kind](rng)


def _turn_without_tool(rng: random.Random) -> tuple[str, str]:
    if rng.random() < 0.5:
        return task_tools.weather_call(rng).question, task_tools.NO_WEATHER
    return task_tools.calculator_call(rng).question, task_tools.NO_CALCULATOR


def _document(rng: random.Random) -> str:
    """Write a plain text about some topics, for completion without a chat."""
    chosen = rng.sample(topics.TOPICS, rng.randrange(1, 5))
    return "\n\n".join(rng.choice(t.answers(rng.choice(topics.STYLES))) for t in chosen)


def _system(rng: random.Random) -> tuple[Message, ...]:
    """Return no system turn (the template then writes the usual one) or some other one."""
    pick = rng.random()
    if pick < 0.6:
        return ()
    if pick < 0.85:
        return (system(rng.choice(SYSTEM_PROMPTS)),)
    role = rng.choice((*words.JOBS, words.invented_word(rng)))
    lines = [f"You are {words.person(rng)}, a {rng.choice(words.ADJECTIVES)} {role}."]
    lines += [f"{words.invented_word(rng).capitalize()} {words.noun(rng)}."] * rng.randrange(2)
    return (system(" ".join(lines)),)


def _follow_ups(rng: random.Random, stage: _Stage) -> list[Message]:
    """Return more turns of any kind: mostly none, now and then enough for a long context."""
    turns: list[Message] = []
    for _ in range(rng.choices((0, 1, 2, 4, 18), _MORE_TURNS)[0]):
        kind = rng.choices(
            ("explain", "small", "unknown", "json", "echo", "replace", "count"),
            (0.3, 0.25, 0.1, 0.1, 0.12, 0.08, 0.05),
        )[0]
        if kind == "explain" and rng.random() < 0.4:
            question, answer = _elliptic(rng)
        else:
            short = dataclasses.replace(stage, max_words=min(20, stage.max_words))
            question, answer = _turn(rng, kind, short)
        turns += [user(question), assistant(answer)]
    return turns


def _elliptic(rng: random.Random) -> tuple[str, str]:
    """Return a follow-up question that names only the topic."""
    topic = rng.choice(topics.TOPICS)
    name = rng.choice((*topic.singular, *topic.plural))
    frames = ("And {n}?", "And what about {n}?", "What about {n}?", "And what is {n}?", "Also {n}?")
    return rng.choice(frames).format(n=name), rng.choice(topic.plain)


def draw(rng: random.Random, progress: float) -> Sample:
    """Make up one conversation.

    Args:
        rng: Source of randomness.
        progress: Share of the training that is done, 0 to 1; texts grow with it.
    """
    stage = _stage(progress)
    if rng.random() < stage.lesson_share:
        question, answer = _turn(rng, "replace", stage)
        return Sample((*_system(rng), user(question), assistant(answer)))
    kind = rng.choices(tuple(MIXTURE), tuple(MIXTURE.values()))[0]
    if kind == "document":
        return Sample((), document=_document(rng))
    tools: tuple[task_tools.Tool, ...] = ()
    if kind == "tools":
        tools, turns = task_tools.conversation(rng)
        messages = list(turns)
    elif kind == "name":
        tell, ask = task_smalltalk.name_turns(rng)
        middle = _follow_ups(rng, stage)
        messages = [user(tell[0]), assistant(tell[1]), *middle, user(ask[0]), assistant(ask[1])]
    else:
        if kind in ("explain", "small", "unknown") and rng.random() < 0.2:
            tools = task_tools.toolbox(rng, rng.choice(_TOOL_MAKERS)(rng).tool)
        elif kind == "unknown" and rng.random() < 0.15:
            kind = "no tool"
        question, answer = _turn(rng, kind, stage)
        messages = [user(question), assistant(answer)]
    messages += _follow_ups(rng, stage)
    return Sample((*_system(rng), *messages), tools)


_TOOL_MAKERS = (task_tools.weather_call, task_tools.calculator_call, task_tools.other_call)


def stream(seed: int, n_samples: int, progress: float) -> Iterator[str]:
    """Yield rendered conversations that share no value and no phrasing with an examination.

    Args:
        seed: Different seeds give different conversations.
        n_samples: How many to yield.
        progress: See `draw`.
    """
    rng = random.Random(seed)
    n_done = 0
    while n_done < n_samples:
        sample = draw(rng, progress)
        asked = [m["content"] for m in sample.messages if m["role"] == "user"]
        text = render(sample)
        if examinations.contains_heldout(text) or any(map(examinations.asks_heldout, asked)):
            continue
        yield text
        n_done += 1
