"""Row 3: many requests at once that share most of their prompt, with nothing cached before."""

import statistics

from measuring.table import Row

from engine.bench import Bench
from engine.client import Ask, ask_all, duration_s, whole
from engine.contestants import PLAIN_ATTENTION, Endpoint, LlamaServer, described
from engine.race import Figures, Outcome, Sides, race, warm_up
from engine.rows.crowd import OWN


def rows(bench: Bench) -> list[Row]:
    """Time, time to first token, and tokens read."""
    model, n_requests = bench.model("135m"), bench.sized(32, 4)
    n_shared, n_own, n_out = bench.sized(1400, 140), bench.sized(30, 10), bench.sized(32, 4)

    def workload(endpoint: Endpoint, i_round: int) -> Figures:
        warm_up(endpoint, model)
        shared = model.words.text(n_shared, 3, i_round)
        texts = [shared + model.words.text(n_own, 3, i_round, i) for i in range(n_requests)]
        requests = [Ask(prompt=text, n_out=n_out) for text in texts]
        answers = whole(ask_all(endpoint.port, endpoint.model, requests))
        n_least = answers[0].n_prompt + (n_requests - 1) * n_own
        return {
            "time_s": duration_s(answers),
            "first_token_s": statistics.median(each.first_s for each in answers),
            "prefilled_to_minimum": sum(each.n_prompt - each.n_cached for each in answers)
            / n_least,
        }

    as_many = LlamaServer(
        ("-np", str(n_requests), "-c", str(OWN.n_ctx * n_requests), "--no-kv-unified")
    )
    single = ("-np", "1", "-c", str(OWN.n_ctx))
    flags = ((), single, (*single, *PLAIN_ATTENTION))
    sides = Sides(
        own=OWN,
        others=[LlamaServer(each) for each in flags],
        by={"time_s": "low", "first_token_s": "low"},
        named=(as_many,),
    )
    outcome = race(bench, "3 shared prefix", model, sides, workload)
    work = f"{n_requests} at once, {n_shared:,} shared + {n_own} own tokens in, {n_out} out, cold"
    return _rows(outcome, work, as_many.label)


def _rows(outcome: Outcome, work: str, as_many: str) -> list[Row]:
    best = outcome.compare("time_s", "low")
    with_as_many = outcome.compare("time_s", "low", (as_many,))
    first = outcome.compare("first_token_s", "low")
    return [
        Row(
            what=f"3. time: {work}",
            against=described(OWN, outcome.others, best.winner),
            unit="x",
            values=best.ratios,
            target=0.5,
            raw=outcome.raw,
        ),
        Row(
            what=f"3. time, as many lanes: {work}",
            against=described(OWN, (as_many,), as_many),
            unit="x",
            values=with_as_many.ratios,
            target=0.15,
        ),
        Row(
            what=f"3. median time to first token: {work}",
            against=described(OWN, outcome.others, first.winner),
            unit="x",
            values=first.ratios,
            target=1 / 3,
        ),
        Row(
            what=f"3. tokens read: {work}",
            against="reading each token of the texts once",
            unit="x",
            values=outcome.own_values("prefilled_to_minimum"),
            target=1.1,
        ),
    ]
