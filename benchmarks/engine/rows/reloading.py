"""Row 13: conversations go on after their model was unloaded and loaded again."""

import statistics

from measuring.table import AnyRow, Row

from engine.bench import Bench
from engine.client import Ask, ask, whole
from engine.contestants import Endpoint, Own, unload
from engine.models import Model
from engine.race import OWN, Figures, in_turns, warm_up

_KEEPING = Own(n_lanes=4, n_ctx=2048, cache_mib=1024, more=("engine.cache_disk_bytes=4GiB",))
_RECOMPUTING = Own(n_lanes=4, n_ctx=2048, cache_mib=1024, more=("engine.cache_disk_bytes=0",))
_N_TALKS = 20
_OF_WHICH_RECOMPUTED = 5
"""Reading again takes as long whichever conversation it is, so a sample of them says it."""
_KEY = "first_token_s"


def rows(bench: Bench) -> list[AnyRow]:
    """Time to first token, with the disk tier to without."""
    return [*measured(bench, bench.model("135m"))]


def measured(bench: Bench, model: Model) -> list[Row]:
    """The rows of one model."""
    n_in, n_talks = bench.sized(1000, 100), bench.sized(_N_TALKS, 4)
    n_out, n_more = bench.sized(16, 4), 24

    def first(i_round: int, i_talk: int) -> Ask:
        text = model.words.text(n_in, 13, i_round, i_talk)
        return Ask(prompt=text, n_out=n_out, bias=model.words.bias)

    def second(said: str, i_round: int, i_talk: int) -> Ask:
        text = model.words.text(n_more, 13, i_round, i_talk, "more")
        return Ask(prompt=said + text, n_out=1)

    def keeping(i_round: int) -> Figures:
        with _KEEPING.running(bench, model) as endpoint:
            said = []
            for i_talk in range(n_talks):
                request = first(i_round, i_talk)
                [answer] = whole([ask(endpoint.port, endpoint.model, request)])
                said.append(request.prompt + answer.text)
            unload(endpoint.server)
            warm_up(endpoint, model)  # loads it
            return _continued(endpoint, [second(each, i_round, i) for i, each in enumerate(said)])

    def recomputing(i_round: int) -> Figures:
        with _RECOMPUTING.running(bench, model) as endpoint:
            warm_up(endpoint, model)
            asked = []
            for i_talk in range(min(_OF_WHICH_RECOMPUTED, n_talks)):
                # The answer is not known here; words of the same number take its place.
                answer = model.words.text(n_out, 13, i_round, i_talk, "answer")
                asked.append(second(first(i_round, i_talk).prompt + answer, i_round, i_talk))
            return _continued(endpoint, asked)

    runs = {OWN: keeping, "recomputing": recomputing}
    outcome = in_turns(bench, "13 unload, load, continue", runs)
    found = outcome.compare(_KEY, "low")
    return [
        Row(
            what=f"13. median time to first token: {n_talks} warm conversations of {n_in:,} "
            "tokens, unload, load, continue",
            against=f"reading them again ({_KEEPING.label}; against {_RECOMPUTING.label})",
            unit="x",
            values=found.ratios,
            target=1 / 5,
            raw=outcome.raw,
        )
    ]


def _continued(endpoint: Endpoint, requests: list[Ask]) -> Figures:
    answers = whole([ask(endpoint.port, endpoint.model, each) for each in requests])
    return {
        _KEY: statistics.median(each.first_s for each in answers),
        "slowest_first_token_s": max(each.first_s for each in answers),
        "tokens_read_again": float(sum(each.n_prompt - each.n_cached for each in answers)),
    }
