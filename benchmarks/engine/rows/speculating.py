"""Row 8: drafts, from a prediction of the client or from what the text has had before."""

import random
from collections.abc import Sequence
from dataclasses import replace

from measuring.table import AnyRow, Row

from engine.bench import Bench
from engine.client import Ask, ask, whole
from engine.contestants import Endpoint, Own
from engine.models import DEMO, Model
from engine.race import OWN, Figures, Outcome, Turn, in_turns, warm_up

_WITH = Own(n_lanes=1, n_ctx=2048, more=("engine.speculation=auto",))
_WITHOUT = Own(n_lanes=1, n_ctx=2048, more=("engine.speculation=off",))

_TEXTS = {
    "teacher": """In the morning the baker opens the door, sweeps the floor, lights the oven and \
puts twelve loaves of bread on the long table. The children come first, then the teacher, and the \
postman always buys two rolls before he rides up the hill.""",
    "captain": """The small blue boat left the harbour before the sun was up, and the old captain \
at the window counted nine gulls above the quiet water while his coffee grew cold.""",
    "farmer": """Nobody in the village remembered who had built the stone bridge, yet every farmer \
crossed it twice a day, once with full baskets and once with empty ones.""",
    "dog": """She poured the tea, closed the window and listened to the thunder rolling over the \
meadow, while the dog slept under the table and the rain filled the buckets by the gate.""",
}
"""By the word that is to be replaced."""
_NEW_WORD = "doctor"
_EDIT = "Repeat this text and replace {old} with {new}:\n{text}"
_FREE = (
    "Explain Docker in simple terms.",
    "What is an OCI artifact?",
    "Explain containers in detail.",
    "What is a Dockerfile?",
    "What is a registry?",
    "What is a GGUF file?",
)
_N_DEMO_OUT = 160
"""More than its answers have."""
_N_TIMES = 8
"""That each of its requests is made: they are over in hundredths of a second."""

_Requests = dict[str, list[Ask]]


def rows(bench: Bench) -> list[AnyRow]:
    """Ours with drafts to our own without."""
    return [*demo_rows(bench, bench.model(DEMO)), *random_rows(bench, bench.model("135m"))]


def demo_rows(bench: Bench, model: Model) -> list[Row]:
    """A prediction, an edit and free text of the demo model."""
    edits = [_chat(_EDIT.format(old=w, new=_NEW_WORD, text=text)) for w, text in _TEXTS.items()]
    free = [_chat(each) for each in _FREE]
    n_asked, n_times = bench.sized(len(_FREE), 2), bench.sized(_N_TIMES, 1)
    edits, free = edits[:n_asked] * n_times, free[:n_asked] * n_times
    outcome = _in_turns(bench, model, {"edit": edits, "free": free}, predicted=free)
    return [
        _row(outcome, "prediction", "a `prediction` of which 9 in 10 words are right", "demo", 1.8),
        _row(outcome, "edit", "a copy-heavy edit, n-grams", "demo", 1.8),
        _row(outcome, "free", "free text", "demo", 0.97),
    ]


def random_rows(bench: Bench, model: Model) -> list[Row]:
    """A prediction, with a model whose steps are long; it says words of one token each."""
    n_out, n_asked = bench.sized(192, 24), bench.sized(3, 1)
    asked = [
        Ask(prompt=model.words.text(32, 8, i), n_out=n_out, is_chat=True, bias=model.words.bias)
        for i in range(n_asked)
    ]
    outcome = _in_turns(bench, model, {}, predicted=asked)
    what = "a `prediction` of which 9 in 10 words are right"
    return [_row(outcome, "prediction", what, "135m", 1.8)]


def corrupted(text: str, seed: object) -> str:
    """The text with one in ten of its words replaced by another one of it."""
    words = text.split(" ")
    drawn = random.Random(repr(seed))
    others = sorted(set(words))
    for begin in range(0, len(words), 10):
        wrong = begin + drawn.randrange(10)
        if wrong < len(words) and len(others) > 1:
            words[wrong] = drawn.choice([each for each in others if each != words[wrong]])
    return " ".join(words)


def predicting(request: Ask, guess: str) -> Ask:
    """The request with what its client thinks the answer is."""
    return replace(request, more={"prediction": {"type": "content", "content": guess}})


def rate(endpoint: Endpoint, requests: Sequence[Ask]) -> float:
    """Tokens per second of all the time that the answers took.

    From the request and not from the first piece of text: an answer of the demo model is over in
    hundredths of a second, so that one that is read late seems to have come all at once.

    Raises:
        MeasurementError: A request failed.
    """
    answers = whole([ask(endpoint.port, endpoint.model, each) for each in requests])
    return sum(each.n_out for each in answers) / sum(each.end_s - each.begin_s for each in answers)


def _chat(text: str) -> Ask:
    return Ask(prompt=text, n_out=_N_DEMO_OUT, is_chat=True, may_end=True)


def _in_turns(
    bench: Bench, model: Model, requests: _Requests, *, predicted: Sequence[Ask]
) -> Outcome:
    """Both sides, as tokens per second by kind; those `predicted` are the kind ``prediction``."""
    texts = _answers(bench, model, predicted)
    guesses = [corrupted(text, i) for i, text in enumerate(texts)]
    told = [predicting(request, guess) for request, guess in zip(predicted, guesses, strict=True)]
    runs = {
        OWN: _turn(bench, model, _WITH, requests | {"prediction": told}),
        "without": _turn(bench, model, _WITHOUT, requests | {"prediction": [*predicted]}),
    }
    return in_turns(bench, f"8 drafts, {model.reference}", runs)


def _answers(bench: Bench, model: Model, requests: Sequence[Ask]) -> list[str]:
    """What the model says without drafts."""
    with _WITHOUT.running(bench, model) as endpoint:
        return [
            each.text
            for each in whole([ask(endpoint.port, endpoint.model, each) for each in requests])
        ]


def _turn(bench: Bench, model: Model, own: Own, requests: _Requests) -> Turn:
    def run(_: int) -> Figures:
        with own.running(bench, model) as endpoint:
            warm_up(endpoint, model)
            return {f"{kind}_per_s": rate(endpoint, asked) for kind, asked in requests.items()}

    return run


def _row(outcome: Outcome, kind: str, what: str, weights: str, target: float) -> Row:
    found = outcome.compare(f"{kind}_per_s", "high")
    return Row(
        what=f"8. tokens/s: {what}, {weights}",
        against=f"our own without drafts ({_WITH.label}; against {_WITHOUT.label})",
        unit="x",
        values=found.ratios,
        target=target,
        at="least",
        raw=outcome.raw if kind == "prediction" else {},
    )
