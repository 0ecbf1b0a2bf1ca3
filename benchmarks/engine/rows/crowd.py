"""Row 2: distinct chats at once."""

from measuring.table import Row

from engine.bench import Bench
from engine.client import Ask, ask_all, duration_s, whole
from engine.contestants import PLAIN_ATTENTION, Endpoint, LlamaServer, Own, described
from engine.models import Model
from engine.race import Figures, Sides, race, warm_up

OWN = Own(n_lanes=32, n_ctx=2048)
"""The same for row 3."""

_TARGETS = {2: 0.97, 4: 0.97, 8: 1.05, 16: 0.97, 32: 1.05}
"""By the number of chats; where 0.97, the promise is only not to lose."""


def rows(bench: Bench) -> list[Row]:
    """One per number of chats."""
    numbers = [bench.sized(n, min(n, 4)) for n in _TARGETS]
    return [_row(bench, bench.model("135m"), n) for n in dict.fromkeys(numbers)]


def _row(bench: Bench, model: Model, n_chats: int) -> Row:
    n_in, n_out = bench.sized(256, 32), bench.sized(64, 8)

    def workload(endpoint: Endpoint, i_round: int) -> Figures:
        warm_up(endpoint, model)
        texts = [model.words.text(n_in, 2, i_round, i) for i in range(n_chats)]
        requests = [Ask(prompt=text, n_out=n_out) for text in texts]
        answers = whole(ask_all(endpoint.port, endpoint.model, requests))
        n_tokens = sum(each.n_prompt + each.n_out for each in answers)
        return {"tokens_per_s": n_tokens / duration_s(answers)}

    separate = ("-np", str(n_chats), "-c", str(OWN.n_ctx * n_chats), "--no-kv-unified")
    plain = (*separate, *PLAIN_ATTENTION)
    small_batches = (*plain, "-b", "128", "-ub", "128")
    flags = ((), separate, plain, small_batches)
    others = [LlamaServer(each) for each in flags]
    sides = Sides(own=OWN, others=others, by={"tokens_per_s": "high"})
    outcome = race(bench, f"2 {n_chats} chats", model, sides, workload)
    found = outcome.compare("tokens_per_s", "high")
    return Row(
        what=f"2. total tokens/s: {n_chats} distinct chats at once, {n_in} in, {n_out} out",
        against=described(OWN, outcome.others, found.winner),
        unit="x",
        values=found.ratios,
        target=_TARGETS[n_chats],
        at="least",
        raw=outcome.raw,
    )
