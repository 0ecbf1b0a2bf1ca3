"""Row 15: each token comes with the 20 likeliest ones, in a vocabulary of 152k tokens."""

from measuring.table import Row

from engine.bench import Bench
from engine.client import Ask, ask, token_time_s, whole
from engine.contestants import Endpoint, Own
from engine.models import Model
from engine.race import OWN, Figures, in_turns, warm_up

_OWN = Own(n_lanes=1, n_ctx=2048)
_WITH, _WITHOUT = "with_ms", "without_ms"
_MORE = {_WITH: {"logprobs": True, "top_logprobs": 20}, _WITHOUT: {}}
_ORDER = (_WITH, _WITHOUT, _WITHOUT, _WITH)
"""The next four are the other way round."""
_N_TIMES = 4
"""That it is gone through in one turn: a request is over in less than a second, and what it takes
differs more from the next one's than what is looked for here."""


def rows(bench: Bench) -> list[Row]:
    """Ours to our own without."""
    return measured(bench, bench.model("135m-152k"))


def measured(bench: Bench, model: Model) -> list[Row]:
    """The rows of one model."""
    n_out, n_times = bench.sized(96, 16), bench.sized(_N_TIMES, 1)

    def turn(i_round: int) -> Figures:
        with _OWN.running(bench, model) as endpoint:
            warm_up(endpoint, model)
            took_ms: dict[str, list[float]] = {_WITH: [], _WITHOUT: []}
            for i_time in range(i_round, i_round + n_times):
                for i, kind in enumerate(_ORDER if i_time % 2 == 0 else _ORDER[::-1]):
                    text = model.words.text(16, 15, i_time, i)
                    took_ms[kind].append(_token_ms(endpoint, text, n_out, kind))
        return {kind: sum(each) / len(each) for kind, each in took_ms.items()}

    outcome = in_turns(bench, "15 logprobs", {OWN: turn})
    return [
        Row(
            what="15. token time: logprobs with top 20, temperature 0, 152k vocabulary",
            against=f"our own without ({_OWN.label})",
            unit="x",
            values=tuple(each[_WITH] / each[_WITHOUT] for each in outcome.own),
            target=1.05,
            raw=outcome.raw,
        )
    ]


def _token_ms(endpoint: Endpoint, text: str, n_out: int, kind: str) -> float:
    request = Ask(prompt=text, n_out=n_out, is_chat=True, more=_MORE[kind])
    return token_time_s(whole([ask(endpoint.port, endpoint.model, request)])) * 1000
