"""Requests for an answer in JSON."""

import json
import random
import re
import string
from collections.abc import Callable
from typing import Any

from demo_model import explain_phrases, json_phrases, phrasing, task_explain, topics, words

TOPIC_REQUESTS = (
    'Answer in JSON with the keys "topic" and "definition": {q}', "Answer in JSON: {q}",
    "{q} Answer in JSON.", 'Use the JSON keys "topic" and "definition". {q}', "As JSON: {q}",
    "{q} Reply in JSON.", "Reply with a JSON object: {q}", "JSON only, please: {q}",
    "{q} Give me the answer as JSON with topic and definition.", "Respond in JSON: {q}",
    "{q} Return a JSON object with a topic and a definition.", "Output JSON. {q}",
)  # fmt: skip

_TOPIC_COMMANDS = (
    "<reply> <how>", "<reply> <how>", "<make> <json>", "give me the answer <as>",
    'use the JSON keys "topic" and "definition"',
    "<reply> <how> with the keys topic and definition",
    '<reply> <how> with "topic" and "definition"', "<make> <json> with a topic and a definition",
    "write the answer <as>", "put the answer <into>",
    "<reply> <how> with a topic and its definition",
    'fill in {"topic": "...", "definition": "..."}', "format the answer <as>",
    "return the definition <as>",
)  # fmt: skip

Value = str | int
Fact = tuple[str, Callable[[random.Random], dict[str, Value]]]


def _age(rng: random.Random) -> int:
    return rng.randrange(2, 100)


def _price(rng: random.Random) -> int:
    return words.number(rng) + 1


def _job(rng: random.Random) -> str:
    return rng.choice(words.JOBS) if rng.random() < 0.7 else words.invented_word(rng)


def rng_color(rng: random.Random) -> str:
    """Return a colour, now and then an invented one."""
    return rng.choice(words.COLORS) if rng.random() < 0.8 else words.invented_word(rng)


def _title(rng: random.Random) -> str:
    return words.invented_word(rng).capitalize()


_MAKERS: dict[str, Callable[[random.Random], Value]] = {
    "name": words.person, "age": _age, "city": words.city, "job": _job, "item": words.noun,
    "price": _price, "color": rng_color, "quantity": _price, "title": _title,
    "fruit": lambda rng: rng.choice(words.FRUIT), "host": words.invented_word,
    "country": lambda rng: rng.choice(words.COUNTRIES), "points": words.number,
    "temperature": lambda rng: rng.randrange(-20, 45), "port": words.number,
    "year": lambda rng: rng.randrange(1500, 2030), "hour": lambda rng: rng.randrange(24),
    "platform": lambda rng: rng.randrange(1, 30),
}  # fmt: skip
# Fruit is bought in numbers, so the sentence has a plural; its key is the one of other things.
_KEYS = {"fruit": "item"}


def _fact(frame: str) -> Fact:
    slots = [slot for _, slot, _, _ in string.Formatter().parse(frame) if slot]
    keys = [_KEYS.get(slot, slot) for slot in slots]
    frame = frame.replace("{fruit}", "{item}")
    return frame, lambda rng: {k: _MAKERS[s](rng) for k, s in zip(keys, slots, strict=True)}


FACT_GROUPS = tuple(tuple(_fact(frame) for frame in group) for group in json_phrases.FACT_GROUPS)
FACTS: tuple[Fact, ...] = tuple(fact for group in FACT_GROUPS for fact in group)


def _ordinal(match: re.Match[str]) -> str:
    number = match[1]
    teens = number[-2:] in ("11", "12", "13")
    return number + ("th" if teens else {"1": "st", "2": "nd", "3": "rd"}.get(number[-1], "th"))


def _sentence(frame: str, values: dict[str, Value]) -> str:
    """Put values into a fact, with the right "a" or "an" and "1st" or "2nd"."""
    text = frame.format(**values)
    if "}th" in frame:
        text = re.sub(r"([0-9]+)th\b", _ordinal, text)
    return re.sub(r"\b([Aa]) (?=[aeio])", r"\1n ", text)


def _free_fact(rng: random.Random) -> tuple[str, dict[str, Value]]:
    """Return a fact whose sentence names its keys, which may be any words."""
    count = rng.choice((2, 2, 3, 3, 4))
    keys = rng.sample(json_phrases.FREE_KEYS, count)
    keys = [key if rng.random() < 0.7 else words.invented_word(rng, 2) for key in keys]
    keys = list(dict.fromkeys(keys))
    makers: tuple[Callable[[random.Random], Value], ...] = (
        words.number, words.number, words.noun, words.invented_word, rng_color, words.person,
    )  # fmt: skip
    values = {key: rng.choice(makers)(rng) for key in keys}
    parts = [part for pair in values.items() for part in pair]
    return json_phrases.free_frames(rng, len(keys)).format(*parts), values


def key_list(rng: random.Random, keys: list[str]) -> str:
    """Name keys in a sentence, quoted or not."""
    quote = rng.choice(('"', '"', '"', "'", "`", "", "", "", "", ""))
    shown = [f"{quote}{key}{quote}" for key in keys]
    pick = rng.random()
    if pick < 0.25:
        return ", ".join(shown)
    if pick < 0.35 and len(shown) > 2:
        return f"{', '.join(shown[:-1])}, and {shown[-1]}"
    return f"{', '.join(shown[:-1])} and {shown[-1]}"


def schema_text(values: dict[str, Value]) -> str:
    """Show the shape of the wanted object, as people do in a prompt."""
    return json.dumps({k: 0 if isinstance(v, int) else "..." for k, v in values.items()})


def fact_turn(rng: random.Random) -> tuple[str, str]:
    """Return a sentence with a request for JSON, and the object."""
    if rng.random() < 0.15:
        sentence, values = _free_fact(rng)
    else:
        frame, make = rng.choice(rng.choice(FACT_GROUPS))
        values = make(rng)
        sentence = _sentence(frame, values)
    request = json_phrases.request(rng)
    if "{k}" in request or "{s}" in request:
        keys = list(values)
        if rng.random() < 0.4:
            rng.shuffle(keys)
        if len(keys) > 2 and rng.random() < 0.4:
            keys.pop()
        values = {key: values[key] for key in keys}
        request = request.replace("{k}", key_list(rng, keys))
        request = request.replace("{s}", schema_text(values))
    return request.replace("{f}", sentence), json.dumps(values, ensure_ascii=False)


def topic_turn(rng: random.Random) -> tuple[str, str]:
    """Return a question about a topic with a request for JSON, and the object."""
    topic = rng.choice(topics.TOPICS)
    question = task_explain.fill(rng, rng.choice(explain_phrases.PLAIN_QUESTIONS), topic)
    if rng.random() < 0.5:
        return rng.choice(TOPIC_REQUESTS).replace("{q}", question), topic_json(topic)
    command = phrasing.fill_slots(rng, rng.choice(_TOPIC_COMMANDS), json_phrases.PARTS)
    return json_phrases.around(rng, command, "{q}").replace("{q}", question), topic_json(topic)


def topic_json(topic: topics.Topic) -> str:
    """Return the JSON answer for a topic."""
    return json.dumps({"topic": topic.key, "definition": topic.short})


def list_turn(rng: random.Random) -> tuple[str, str]:
    """Return a request for a JSON list, and the list."""
    count = rng.randrange(2, 7)
    make: Callable[[random.Random], Any] = rng.choice(
        (words.number, words.noun, words.person, words.city, words.invented_word)
    )
    values = [make(rng) for _ in range(count)]
    values = [v.split(",")[0] if isinstance(v, str) else v for v in values]
    frame = rng.choice(json_phrases.LIST_REQUESTS)
    if rng.random() < 0.5:
        command = rng.choice(json_phrases.LIST_COMMANDS)
        frame = phrasing.polite(rng, phrasing.fill_slots(rng, command, json_phrases.LIST_PARTS))
    frame = phrasing.varied(rng, frame)
    return frame.replace("{v}", _listed(rng, values)), json.dumps(values, ensure_ascii=False)


def _listed(rng: random.Random, values: list[Any]) -> str:
    """Name the items of a list in a sentence."""
    shown = [str(value) for value in values]
    pick = rng.random()
    if pick < 0.2:
        return ", ".join(shown)
    if pick < 0.27:
        return f"{', '.join(shown[:-1])}{',' if len(shown) > 2 else ''} and {shown[-1]}"
    if pick < 0.32:
        return " and ".join(shown)
    if pick < 0.36:
        return "; ".join(shown)
    return f"{', '.join(shown[:-1])} and {shown[-1]}"


def turn(rng: random.Random) -> tuple[str, str]:
    """Return any request for JSON and its answer."""
    pick = rng.random()
    if pick < 0.68:
        return fact_turn(rng)
    if pick < 0.85:
        return topic_turn(rng)
    return list_turn(rng)
