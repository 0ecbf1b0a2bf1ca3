"""Row 4: more conversations than lanes; each comes back for its next turn."""

import itertools
from collections.abc import Callable, Sequence

from measuring.table import Row

from engine.bench import Bench
from engine.client import Answer, Ask, ask, duration_s, in_threads, whole
from engine.contestants import PLAIN_ATTENTION, Endpoint, LlamaServer, Own, described
from engine.models import Model
from engine.race import Figures, Sides, race, warm_up

_OWN = Own(n_lanes=4, n_ctx=2048, cache_mib=1024)  # llama-server keeps up to 8,192 MiB
_LANES = ("-np", "4", "-c", "8192", "--no-kv-unified")
_OTHERS = (LlamaServer(), LlamaServer(_LANES), LlamaServer((*_LANES, *PLAIN_ATTENTION)))


def rows(bench: Bench) -> list[Row]:
    """Time, and tokens read more than once."""
    model = bench.model("135m")
    n_conversations, n_turns = bench.sized(16, 6), bench.sized(5, 3)
    n_in, n_out = bench.sized(150, 20), bench.sized(32, 8)

    def workload(endpoint: Endpoint, i_round: int) -> Figures:
        warm_up(endpoint, model)
        talks: list[list[Answer]] = [[] for _ in range(n_conversations)]

        def talk(i_talk: int) -> Callable[[], None]:
            texts = [model.words.text(n_in, 4, i_round, i_talk, i) for i in range(n_turns)]
            return lambda: _converse(endpoint, model, (texts, n_out), talks[i_talk])

        in_threads([talk(i) for i in range(n_conversations)])
        answers = whole([each for talk in talks for each in talk])
        n_read = sum(each.n_prompt - each.n_cached for each in answers)
        return {
            "time_s": duration_s(answers),
            "read_to_minimum": n_read / sum(n_new_tokens(talk) for talk in talks),
        }

    sides = Sides(own=_OWN, others=_OTHERS, by={"time_s": "low"})
    outcome = race(bench, "4 conversations", model, sides, workload)
    found = outcome.compare("time_s", "low")
    work = f"{n_conversations} conversations x {n_turns} turns, {n_in} in, {n_out} out each"
    return [
        Row(
            what=f"4. time: {work}",
            against=described(_OWN, outcome.others, found.winner),
            unit="x",
            values=found.ratios,
            target=0.95,
            raw=outcome.raw,
        ),
        Row(
            what=f"4. prompt tokens read: {work}",
            against="reading each token once",
            unit="x",
            values=outcome.own_values("read_to_minimum"),
            target=1.02,
            decided_by="max",
        ),
    ]


def n_new_tokens(talk: Sequence[Answer]) -> int:
    """Prompt tokens that nobody has read before; what was said is in the cache but for its end."""
    n_new = talk[0].n_prompt
    for before, after in itertools.pairwise(talk):
        n_new += after.n_prompt - (before.n_prompt + before.n_out - 1)
    return n_new


def _converse(
    endpoint: Endpoint, model: Model, said: tuple[Sequence[str], int], answers: list[Answer]
) -> None:
    texts, n_out = said
    so_far = ""
    for text in texts:
        request = Ask(prompt=so_far + text, n_out=n_out, bias=model.words.bias)
        answers.append(ask(endpoint.port, endpoint.model, request))
        if answers[-1].error:
            return
        so_far = request.prompt + answers[-1].text
