"""Requests for an answer in JSON."""

import json
import random
from collections.abc import Callable
from typing import Any

from demo_model import task_explain, topics, words

REQUESTS = (
    "Answer in JSON: {f}", "Answer in JSON. {f}", "Answer in JSON with the keys {k}: {f}",
    "Reply in JSON with the keys {k}. {f}", "Give me JSON with {k}. {f}", "As JSON: {f}",
    "{f} Answer in JSON.", "{f} Give me that as JSON.", "{f} Reply with JSON with the keys {k}.",
    "Turn this into JSON: {f}", "Extract {k} as JSON: {f}", "{f} Return a JSON object.",
    "Return a JSON object with {k}. {f}", "Convert to JSON: {f}", "JSON only, please: {f}",
    "Read the sentence and answer in JSON with the keys {k}. {f}", "Make JSON from this: {f}",
    "Use JSON with the keys {k}: {f}", "{f} Extract the keys {k} as JSON.",
    "Answer in JSON like {s}: {f}", "Answer with JSON of the form {s}. {f}",
    "{f} Use this JSON schema: {s}", "Fill in this JSON: {s}\n{f}", "Output JSON. {f}",
    "Answer only with JSON. {f}", "Write the facts as JSON: {f}", "Respond in JSON: {f}",
)  # fmt: skip

TOPIC_REQUESTS = (
    'Answer in JSON with the keys "topic" and "definition": {q}', "Answer in JSON: {q}",
    "{q} Answer in JSON.", 'Use the JSON keys "topic" and "definition". {q}', "As JSON: {q}",
    "{q} Reply in JSON.", "Reply with a JSON object: {q}", "JSON only, please: {q}",
    "{q} Give me the answer as JSON with topic and definition.", "Respond in JSON: {q}",
    "{q} Return a JSON object with a topic and a definition.", "Output JSON. {q}",
)  # fmt: skip

LIST_REQUESTS = (
    "Make a JSON list of {v}.", "Give me a JSON list with {v}.", "Write {v} as a JSON array.",
    "Answer with a JSON array: {v}", "Turn {v} into a JSON list.", "JSON array of {v}, please.",
    "Put {v} into a JSON list.", "As a JSON list: {v}", "Return a JSON array with {v}.",
)  # fmt: skip

Value = str | int
Fact = tuple[str, Callable[[random.Random], dict[str, Value]]]


def _age(rng: random.Random) -> int:
    return rng.randrange(2, 100)


def _price(rng: random.Random) -> int:
    return words.number(rng) + 1


FACTS: tuple[Fact, ...] = (
    ("{name} is {age} years old.", lambda r: {"name": words.person(r), "age": _age(r)}),
    ("My friend {name} is {age}.", lambda r: {"name": words.person(r), "age": _age(r)}),
    ("I am {name} and I am {age} years old.", lambda r: {"name": words.person(r), "age": _age(r)}),
    (
        "{name} is {age} years old and lives in {city}.",
        lambda r: {"name": words.person(r), "age": _age(r), "city": words.city(r)},
    ),
    ("{name} lives in {city}.", lambda r: {"name": words.person(r), "city": words.city(r)}),
    ("{name} comes from {city}.", lambda r: {"name": words.person(r), "city": words.city(r)}),
    (
        "{name} works as a {job} in {city}.",
        lambda r: {"name": words.person(r), "job": _job(r), "city": words.city(r)},
    ),
    ("{name} is a {job}.", lambda r: {"name": words.person(r), "job": _job(r)}),
    ("The {item} costs {price} euros.", lambda r: {"item": words.noun(r), "price": _price(r)}),
    ("A {item} for {price} dollars.", lambda r: {"item": words.noun(r), "price": _price(r)}),
    (
        "The {color} {item} costs {price} euros.",
        lambda r: {"color": rng_color(r), "item": words.noun(r), "price": _price(r)},
    ),
    (
        "I bought {quantity} {item}.",
        lambda r: {"quantity": _price(r), "item": r.choice(words.FRUIT)},
    ),
    ("The {item} is {color}.", lambda r: {"item": words.noun(r), "color": rng_color(r)}),
    (
        "The capital of {country} is {city}.",
        lambda r: {"country": r.choice(words.COUNTRIES), "city": words.city(r)},
    ),
    (
        "It is {temperature} degrees in {city}.",
        lambda r: {"temperature": r.randrange(-20, 45), "city": words.city(r)},
    ),
    (
        "{name} wrote the book {title} in {year}.",
        lambda r: {"name": words.person(r), "title": _title(r), "year": r.randrange(1500, 2030)},
    ),
    (
        "The train to {city} leaves at {hour} from platform {platform}.",
        lambda r: {"city": words.city(r), "hour": r.randrange(24), "platform": r.randrange(1, 30)},
    ),
    (
        "The dog is called {name} and is {age} years old.",
        lambda r: {"name": words.person(r), "age": _age(r)},
    ),
    (
        "{name} scored {points} points.",
        lambda r: {"name": words.person(r), "points": words.number(r)},
    ),
    (
        "The server {host} listens on port {port}.",
        lambda r: {"host": words.invented_word(r), "port": words.number(r)},
    ),
)


def _job(rng: random.Random) -> str:
    return rng.choice(words.JOBS) if rng.random() < 0.7 else words.invented_word(rng)


def rng_color(rng: random.Random) -> str:
    """Return a colour, now and then an invented one."""
    return rng.choice(words.COLORS) if rng.random() < 0.8 else words.invented_word(rng)


def _title(rng: random.Random) -> str:
    return words.invented_word(rng).capitalize()


def key_list(rng: random.Random, keys: list[str]) -> str:
    """Name keys in a sentence, quoted or not."""
    shown = [f'"{key}"' for key in keys] if rng.random() < 0.4 else keys
    return f"{', '.join(shown[:-1])} and {shown[-1]}"


def schema_text(values: dict[str, Value]) -> str:
    """Show the shape of the wanted object, as people do in a prompt."""
    return json.dumps({k: 0 if isinstance(v, int) else "..." for k, v in values.items()})


def fact_turn(rng: random.Random) -> tuple[str, str]:
    """Return a sentence with a request for JSON, and the object."""
    sentence, make = rng.choice(FACTS)
    values = make(rng)
    sentence = sentence.format(**values)
    request = rng.choice(REQUESTS)
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
    question = task_explain.fill(rng, rng.choice(task_explain.PLAIN_QUESTIONS), topic)
    return rng.choice(TOPIC_REQUESTS).replace("{q}", question), topic_json(topic)


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
    shown = f"{', '.join(str(v) for v in values[:-1])} and {values[-1]}"
    return rng.choice(LIST_REQUESTS).replace("{v}", shown), json.dumps(values, ensure_ascii=False)


def turn(rng: random.Random) -> tuple[str, str]:
    """Return any request for JSON and its answer."""
    pick = rng.random()
    if pick < 0.68:
        return fact_turn(rng)
    if pick < 0.85:
        return topic_turn(rng)
    return list_turn(rng)
