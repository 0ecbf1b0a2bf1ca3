"""What is asked: every kind of request that the server knows, drawn at random."""

import json
import random
from collections.abc import Callable, Mapping
from typing import Any

from soak.client import Document, Request

MODEL = "pyrunner/demo"
"""Stays loaded from the beginning to the end, for chats and for embeddings."""
OTHER = "soak/other"
"""Comes and goes."""

_OK, _BAD_REQUEST = 200, 400
_WORDS = (
    *("a", "docker", "image", "holds", "layers", "and", "container", "runs", "it", "what", "is"),
    *("the", "time", "can", "you", "say", "why", "cat", "sat", "on", "two", "mats", "list"),
    *("three", "colours", "write", "short", "poem", "about", "rain", "tell", "me", "how", "to"),
)
_N_TOPICS = 6
_SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 12}, "n": {"type": "integer"}},
    "required": ["name", "n"],
    "additionalProperties": False,
}


def draw(rng: random.Random) -> Request:
    """The next request of one client."""
    [make] = rng.choices(list(_KINDS), weights=list(_KINDS.values()))
    return make(rng)


def warm_up() -> list[Request]:
    """Sent at once, they give every lane, thread, cache and context the memory it will have."""
    rng = random.Random("warm-up")
    makers = (*_KINDS, *[_long] * 10, *[_short] * 30, *[_embedding] * 8)
    return [make(rng) for make in makers]


def nudges() -> list[Request]:
    """One small request for each worker that stays."""
    rng = random.Random("nudge")
    chat = _chat(rng, "nudges", "say yes", stream=False, max_tokens=1)
    text = {"model": MODEL, "input": "yes"}
    embedding = Request(kind="nudges", path="/v1/embeddings", body=text, complaint=_of_vectors(1))
    return [chat, embedding]


def words(rng: random.Random, n_words: int) -> str:
    """A text of so many words, about a token or two each."""
    return " ".join(rng.choices(_WORDS, k=n_words))


def _chat(rng: random.Random, kind: str, text: str, **more: Any) -> Request:
    """One with everything about it drawn that `more` does not say."""
    body: dict[str, Any] = {
        "model": MODEL,
        "messages": [{"role": "user", "content": text}],
        "max_tokens": rng.choice((1, 8, 40, 120)),
        "temperature": rng.choice((0, 0.7, 1.5)),
        "stream": rng.random() < 0.6,
    }
    if rng.random() < 0.2:
        body |= {"seed": rng.randrange(1000), "top_k": rng.choice((0, 1, 40)), "min_p": 0.1}
    if rng.random() < 0.15:
        body |= {"repeat_penalty": 1.2, "presence_penalty": 0.5, "repeat_last_n": 256}
    if rng.random() < 0.1:
        body |= rng.choice(({"cache_prompt": False}, {"cache_salt": f"s{rng.randrange(3)}"}))
    return Request(
        kind=kind, path="/v1/chat/completions", body=body | more, complaint=_of_generation
    )


def _short(rng: random.Random) -> Request:
    return _chat(rng, "chat", words(rng, rng.randrange(1, 30)))


def _of_a_topic(rng: random.Random) -> Request:
    """Shares several hundred tokens with every sixth of its kind."""
    topic = random.Random(rng.randrange(_N_TOPICS))
    messages = [
        {"role": "system", "content": words(topic, topic.randrange(150, 500))},
        {"role": "user", "content": words(rng, 8)},
    ]
    return _chat(rng, "shared prefix", "", messages=messages)


def _long(rng: random.Random) -> Request:
    body = {
        "model": MODEL,
        "prompt": words(rng, rng.randrange(300, 900)),
        "max_tokens": rng.choice((1, 16)),
        "ignore_eos": True,
        "stream": rng.random() < 0.5,
    }
    return Request(kind="long prompt", path="/v1/completions", body=body, complaint=_of_generation)


def _with_logprobs(rng: random.Random) -> Request:
    n_top = rng.choice((0, 5, 20))
    request = _chat(rng, "logprobs", words(rng, 6), logprobs=True, top_logprobs=n_top)
    return _replaced(request, _of_logprobs(n_top))


def _of_logprobs(n_top: int) -> Callable[[Document], str]:
    def complaint(document: Document) -> str:
        choices = [choice for event in document.events for choice in event["choices"]]
        parts = [choice["logprobs"]["content"] for choice in choices if choice.get("logprobs")]
        tokens = [token for part in parts for token in part or ()]
        if any(len(token["top_logprobs"]) != n_top for token in tokens):
            return f"not {n_top} likeliest tokens"
        return _of_generation(document)

    return complaint


def _structured(rng: random.Random) -> Request:
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": _SCHEMA}}
    request = _chat(rng, "JSON schema", words(rng, 6), response_format=form, max_tokens=100)
    return _replaced(request, _of_schema)


def _of_schema(document: Document) -> str:
    complaint = _of_generation(document)
    if complaint or document.finish_reason != "stop":
        return complaint
    value = json.loads(document.text)
    is_right = set(value) == {"name", "n"} and isinstance(value["n"], int)
    return "" if is_right else "not what the schema says"


def _of_an_expression(rng: random.Random) -> Request:
    return _chat(rng, "regular expression", words(rng, 6), regex="(yes|no)( [a-z]{1,8}){0,5}")


def _with_stops(rng: random.Random) -> Request:
    stop = rng.sample(["e", "a", " the", "Docker", "\n", "is a", "!", ". "], k=rng.randrange(1, 6))
    return _chat(rng, "stop strings", words(rng, 10), stop=stop, max_tokens=120)


def _embedding(rng: random.Random) -> Request:
    texts = [words(rng, rng.randrange(1, 40)) for _ in range(rng.randrange(1, 20))]
    inputs = rng.choices(texts, k=rng.randrange(1, 40))

    body = {"model": MODEL, "input": inputs}
    complaint = _of_vectors(len(inputs))
    return Request(kind="embeddings", path="/v1/embeddings", body=body, complaint=complaint)


def _of_vectors(n_texts: int) -> Callable[[Document], str]:
    def complaint(document: Document) -> str:
        if document.status != _OK:
            return "an embedding was refused"
        n_vectors = len(document.events[0]["data"])
        return "" if n_vectors == n_texts else f"{n_vectors} vectors for {n_texts} texts"

    return complaint


def _of_the_other(rng: random.Random) -> Request:
    request = _chat(rng, "other model", words(rng, 5), model=OTHER)
    return _replaced(request, _of_generation, may_be_refused=True)


def _wrong(rng: random.Random) -> Request:
    mistake: dict[str, Any] = rng.choice(
        (
            {"temperature": 11},
            {"max_tokens": 0},
            {"grammar": "root ::= ("},
            {"messages": [{"role": "user", "content": words(rng, 3000)}]},
        )
    )

    def complaint(document: Document) -> str:
        return "" if document.status == _BAD_REQUEST else "a mistake was not refused"

    request = _chat(rng, "mistakes", "x", **mistake | {"stream": False})
    return _replaced(request, complaint)


def _of_generation(document: Document) -> str:
    if document.status != _OK or document.error:
        return "a request was refused"
    return "" if document.finish_reason else "an answer without an end"


def _replaced(
    request: Request, complaint: Callable[[Document], str], *, may_be_refused: bool = False
) -> Request:
    return Request(
        kind=request.kind,
        path=request.path,
        body=request.body,
        complaint=complaint,
        may_be_refused=may_be_refused,
    )


_KINDS: Mapping[Callable[[random.Random], Request], int] = {
    _short: 30,
    _of_a_topic: 20,
    _long: 10,
    _with_logprobs: 8,
    _structured: 8,
    _of_an_expression: 4,
    _with_stops: 8,
    _embedding: 6,
    _of_the_other: 4,
    _wrong: 2,
}
"""How often each is drawn, out of 100."""
