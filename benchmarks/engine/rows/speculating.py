"""Row 8: drafts, from a prediction of the client or from what the text has had before."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

from measuring.programs import MeasurementError
from measuring.table import AnyRow, Row

from engine.bench import Bench
from engine.client import Ask, ask, whole
from engine.contestants import Endpoint, Own
from engine.models import DEMO, Model
from engine.race import OWN, Figures, Outcome, in_turns, warm_up

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
_N_ROUNDS = 9
"""More than other rows: the turns of the demo model differ more than what drafts may cost."""
_N_TIMES = 16
"""That each of its requests is made: they are over in hundredths of a second."""
_N_TRIED = 40
"""Requests among which some are looked for that random weights answer alike in any pass."""

_DRAFTS, _PLAIN = "drafts", "plain"


def rows(bench: Bench) -> list[AnyRow]:
    """Ours with drafts to our own without."""
    return [*demo_rows(bench, bench.model(DEMO)), *random_rows(bench, bench.model("135m"))]


def demo_rows(bench: Bench, model: Model) -> list[Row]:
    """A prediction, an edit and free text of the demo model."""
    edits = [_chat(_EDIT.format(old=w, new=_NEW_WORD, text=text)) for w, text in _TEXTS.items()]
    free = [_chat(each) for each in _FREE]
    n_asked = bench.sized(len(_FREE), 2)
    edits, free = edits[:n_asked], free[:n_asked]
    n_times = bench.sized(_N_TIMES, 1)
    outcome = _turns(bench, model, {"edit": edits, "free": free}, free, n_times)
    return [
        _row(outcome, "prediction", "a `prediction` of which 9 in 10 words are right", "demo", 1.8),
        _row(outcome, "edit", "a copy-heavy edit, n-grams", "demo", 1.8),
        _row(outcome, "free", "free text", "demo", 0.97),
    ]


def random_rows(bench: Bench, model: Model) -> list[Row]:
    """A prediction, with a model whose steps are long; it says words of one token each."""
    n_out, n_tried = bench.sized(64, 16), bench.sized(_N_TRIED, 10)
    tried = [
        Ask(prompt=model.words.text(32, 8, i), n_out=n_out, is_chat=True, bias=model.words.bias)
        for i in range(n_tried)
    ]
    outcome = _turns(bench, model, {}, _agreed(bench, model, tried, bench.sized(3, 1)), 1)
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


def _chat(text: str) -> Ask:
    return Ask(prompt=text, n_out=_N_DEMO_OUT, is_chat=True, may_end=True)


def _turns(
    bench: Bench,
    model: Model,
    requests: Mapping[str, Sequence[Ask]],
    predicted: Sequence[Ask],
    n_times: int,
) -> Outcome:
    """Both sides' tokens per second, by kind; those `predicted` are the kind ``prediction``."""
    answers = _answers(bench, model, predicted)
    told: list[Sequence[Ask]] = [_predicted(predicted, answers, i) for i in range(n_times)]
    kinds = {kind: {_DRAFTS: [asked], _PLAIN: [asked]} for kind, asked in requests.items()}
    kinds["prediction"] = {_DRAFTS: told, _PLAIN: [predicted]}

    def turn(i_round: int) -> Figures:
        with _WITH.running(bench, model) as drafting, _WITHOUT.running(bench, model) as plain:
            warm_up(drafting, model)
            warm_up(plain, model)
            tallies = {_DRAFTS: _Tally(drafting), _PLAIN: _Tally(plain)}
            figures: Figures = {}
            for kind, asked in kinds.items():
                # In turn, because a shared machine is slower for seconds, and these are over soon.
                for i in range(i_round, i_round + n_times):
                    for side in (_DRAFTS, _PLAIN) if i % 2 == 0 else (_PLAIN, _DRAFTS):
                        tallies[side].add(asked[side][i % len(asked[side])])
                figures |= {_key(kind, side): each.take_rate() for side, each in tallies.items()}
            return figures

    return in_turns(bench, f"8 drafts, {model.reference}", {OWN: turn}, usual_rounds=_N_ROUNDS)


class _Tally:
    """Tokens per second after the first, over all answers of one side.

    As the engine times them. When their pieces come to a client tells less: drafts bring many at
    once, and who reads late finds all of them.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._n_tokens = 0
        self._took_s = 0.0

    def add(self, requests: Sequence[Ask]) -> None:
        """Ask for all of them.

        Raises:
            MeasurementError: A request failed, or its answer does not say how long it took.
        """
        port, model = self._endpoint.port, self._endpoint.model
        wakes_up = replace(requests[0], n_out=1)
        _, *answers = whole([ask(port, model, each) for each in (wakes_up, *requests)])
        if not all(each.predicted_s > 0 for each in answers):
            raise MeasurementError("An answer does not say how long it took.")
        self._n_tokens += sum(each.n_out - 1 for each in answers)
        self._took_s += sum(each.predicted_s for each in answers)

    def take_rate(self) -> float:
        """Since the last time."""
        rate = self._n_tokens / self._took_s
        self._n_tokens, self._took_s = 0, 0.0
        return rate


def _key(kind: str, side: str) -> str:
    return f"{kind}_{side}_per_s"


def _answers(bench: Bench, model: Model, requests: Sequence[Ask]) -> list[str]:
    """What the model says without drafts."""
    with _WITHOUT.running(bench, model) as endpoint:
        return [
            each.text
            for each in whole([ask(endpoint.port, endpoint.model, each) for each in requests])
        ]


def _predicted(requests: Sequence[Ask], answers: Sequence[str], seed: int) -> list[Ask]:
    """With other wrong words for each seed: where they stand decides what is left of a draft."""
    return [
        predicting(request, corrupted(text, (request.prompt, seed)))
        for request, text in zip(requests, answers, strict=True)
    ]


def _agreed(bench: Bench, model: Model, tried: Sequence[Ask], n_asked: int) -> list[Ask]:
    """Some of those that are answered alike with drafts and without.

    Where two words are nearly as likely, a pass of other rows may say the other one, and random
    weights go on from there with a text of its own, of which next to nothing was predicted.

    Raises:
        MeasurementError: There are fewer.
    """
    answers = _answers(bench, model, tried)
    told = _predicted(tried, answers, 0)
    with _WITH.running(bench, model) as endpoint:
        heard = whole([ask(endpoint.port, endpoint.model, each) for each in told])
    agreed = [
        request
        for request, text, again in zip(tried, answers, heard, strict=True)
        if again.text == text
    ]
    if len(agreed) < n_asked:
        raise MeasurementError("Too few answers are the same with and without drafts.")
    return agreed[:n_asked]


def _row(outcome: Outcome, kind: str, what: str, weights: str, target: float) -> Row:
    sides = zip(
        outcome.own_values(_key(kind, _DRAFTS)),
        outcome.own_values(_key(kind, _PLAIN)),
        strict=True,
    )
    return Row(
        what=f"8. tokens/s: {what}, {weights}",
        against=f"our own without drafts ({_WITH.label}; against {_WITHOUT.label})",
        unit="x",
        values=tuple(with_drafts / without for with_drafts, without in sides),
        target=target,
        at="least",
        raw=outcome.raw if kind == "prediction" else {},
    )
