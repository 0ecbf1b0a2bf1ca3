"""Row 7: answers that follow a JSON schema, in a vocabulary of 152k tokens.

With random weights hardly any token is one that the schema allows, so that llama-server, which
looks at the whole vocabulary only then, does so nearly always. The demo model writes the JSON that
it is asked for by itself; its vocabulary is filled up to as many tokens.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from measuring.table import Row

from engine.bench import Bench
from engine.client import Answer, Ask, ask, in_threads, token_time_s, whole
from engine.contestants import Endpoint, LlamaServer, Own, described
from engine.models import WIDE_DEMO, Model
from engine.race import Figures, Outcome, Sides, race, warm_up

_OWN = Own(n_lanes=4, n_ctx=2048)
_OTHERS = (LlamaServer(), LlamaServer(("-np", "4", "-c", "8192", "--no-kv-unified")))
_STREAMS = (1, 4)
_FREE, _BOUND = "free", "schema"


def _object(properties: Mapping[str, object]) -> dict[str, object]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


_PEOPLE = {
    "type": "array",
    "minItems": 8,  # more than fit the answer, so that it is never complete
    "items": _object(
        {
            "name": {"type": "string", "maxLength": 24},
            "age": {"type": "integer", "minimum": 0, "maximum": 120},
            "city": {"enum": ["Berlin", "Lima", "Oslo", "Nairobi"]},
            "is_member": {"type": "boolean"},
            "tags": {
                "type": "array",
                "items": {"type": "string", "maxLength": 12},
                "minItems": 1,
                "maxItems": 3,
            },
        }
    ),
}
_TOPIC = _object({"topic": {"type": "string"}, "definition": {"type": "string"}})
_PERSON = _object({"name": {"type": "string"}, "age": {"type": "integer"}})
_QUESTIONS = (
    ("Give me a JSON object that says what Docker is.", _TOPIC),
    ("Return JSON with the keys name and age for this: Anna is 31 years old.", _PERSON),
    ("Give me a JSON object that says what a container is.", _TOPIC),
    ("What is a registry? JSON, please.", _TOPIC),
    ("Please answer in JSON: Peter is 45 years old.", _PERSON),
    ("Give me a JSON object that says what an image is.", _TOPIC),
)
"""What the demo model answers in JSON by itself, and what that looks like."""
_N_DEMO_OUT = 96
"""More than its answers have."""


@dataclass(frozen=True, slots=True)
class _Question:
    free: Ask
    bound: Ask


def rows(bench: Bench) -> list[Row]:
    """Ours to our own without a schema, and llama-server's to ours, for both models."""
    return [
        *measured(bench, bench.model("135m-152k"), "random weights: most tokens break the schema"),
        *measured(bench, bench.model(WIDE_DEMO), "demo model: most tokens follow the schema"),
    ]


def measured(bench: Bench, model: Model, weights: str) -> list[Row]:
    """The rows of one model.

    Args:
        bench: Where.
        model: What is loaded; a demo model is asked for JSON.
        weights: What the table says of it.
    """

    def workload(endpoint: Endpoint, i_round: int) -> Figures:
        warm_up(endpoint, model)
        figures: Figures = {}
        for n_streams in _STREAMS:
            talks = [_questions(bench, model, i_round, i) for i in range(n_streams)]
            kinds = {_FREE: [[each.free for each in talk] for talk in talks]}
            kinds |= {_BOUND: [[each.bound for each in talk] for talk in talks]}
            for kind in [_FREE, _BOUND] if i_round % 2 == 0 else [_BOUND, _FREE]:
                figures[_key(kind, n_streams)] = _token_ms(endpoint, kinds[kind])
        return figures

    title = f"7 schema, {model.reference}"
    sides = Sides(own=_OWN, others=_OTHERS, by={_key(_BOUND, n): "low" for n in _STREAMS})
    outcome = race(bench, title, model, sides, workload)
    return [row for n in _STREAMS for row in _rows(outcome, n, weights)]


def _questions(bench: Bench, model: Model, i_round: int, i_stream: int) -> list[_Question]:
    if not model.is_trained:
        text = model.words.text(32, 7, i_round, i_stream)
        return [_both(text, _PEOPLE, bench.sized(96, 16), may_end=False)]
    asked = _QUESTIONS[: bench.sized(len(_QUESTIONS), 2)]
    turned = asked[i_stream % len(asked) :] + asked[: i_stream % len(asked)]
    return [_both(text, schema, _N_DEMO_OUT, may_end=True) for text, schema in turned]


def _both(text: str, schema: Mapping[str, object], n_out: int, *, may_end: bool) -> _Question:
    wanted = {"name": "answer", "strict": True, "schema": schema}
    form = {"response_format": {"type": "json_schema", "json_schema": wanted}}
    free = Ask(prompt=text, n_out=n_out, is_chat=True, may_end=may_end)
    return _Question(free, Ask(prompt=text, n_out=n_out, is_chat=True, may_end=may_end, more=form))


def _token_ms(endpoint: Endpoint, talks: Sequence[Sequence[Ask]]) -> float:
    """What a token takes while all talks go on at once, each asking one after another."""
    answers: list[list[Answer]] = [[] for _ in talks]

    def talk(i_talk: int) -> Callable[[], None]:
        def run() -> None:
            for each in talks[i_talk]:
                answers[i_talk].append(ask(endpoint.port, endpoint.model, each))

        return run

    in_threads([talk(i) for i in range(len(talks))])
    return token_time_s(whole([each for talk in answers for each in talk])) * 1000


def _key(kind: str, n_streams: int) -> str:
    return f"{kind}_{n_streams}_ms"


def _rows(outcome: Outcome, n_streams: int, weights: str) -> list[Row]:
    streams = "1 stream" if n_streams == 1 else f"{n_streams} streams"
    work = f"JSON schema, 152k vocabulary, {streams}, {weights}"
    bound, free = _key(_BOUND, n_streams), _key(_FREE, n_streams)
    found = outcome.compare(bound, "low")
    added = [
        statistics.median(turn[bound] - turn[free] for turn in turns)
        for turns in (outcome.own, outcome.others[found.winner])
    ]
    against = described(_OWN, outcome.others, found.winner)
    return [
        Row(
            what=f"7. token time: {work}",
            against=f"our own without a schema ({_OWN.label})",
            unit="x",
            values=tuple(turn[bound] / turn[free] for turn in outcome.own),
            target=1.1,
            raw=outcome.raw if n_streams == _STREAMS[0] else {},
        ),
        Row(
            what=f"7. tokens/s: {work}",
            against=f"{against}; a schema adds {added[0]:.1f} ms to a token of ours, "
            f"{added[1]:.1f} ms to theirs",
            unit="x",
            values=tuple(1 / ratio for ratio in found.ratios),
            target=5.0,
            at="least",
        ),
    ]
