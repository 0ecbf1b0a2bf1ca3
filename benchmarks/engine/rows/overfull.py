"""Row 6: requests whose contexts do not fit together, one of which does not fit a lane."""

from collections.abc import Sequence

from measuring.table import Row
from support.reference import Reference

from engine.bench import Bench
from engine.client import Answer, Ask, ask, ask_all
from engine.contestants import Endpoint, LlamaServer, Own
from engine.models import DEMO, Model
from engine.race import Figures, Sides, race, warm_up

_LANE = 512
_OWN = Own(n_lanes=4, n_ctx=_LANE)
_N_REQUESTS = 12
_N_OUT = 64
_N_LONG = 1084
_N_SHORT = (3 * _OWN.n_lanes * _LANE - _N_LONG) // (_N_REQUESTS - 1)
"""Tokens of a context, answer included: 12 of them are three times the KV memory."""
_MAX_GAP = 0.1
"""Logits; the architecture's sense of equal."""
_SCORED_TOGETHER = 512


def rows(bench: Bench) -> list[Row]:
    """How many do not get the text that they get alone."""
    model = bench.model(DEMO)
    total = _OWN.n_lanes * _LANE
    others = (
        LlamaServer(("-c", str(total))),
        LlamaServer(("-np", str(_OWN.n_lanes), "-c", str(total), "--no-kv-unified")),
    )
    unloaded = _unloaded(bench, model)

    def workload(endpoint: Endpoint, _: int) -> Figures:
        warm_up(endpoint, model)
        answers = ask_all(endpoint.port, endpoint.model, _requests(model))
        n_failed = sum(bool(each.error) for each in answers)
        n_other = sum(
            not each.error and not _is_equal(model, request, each, alone)
            for request, each, alone in zip(_requests(model), answers, unloaded, strict=True)
        )
        return {"failed_requests": n_failed, "other_requests": n_other}

    outcome = race(bench, "6 overfull", model, Sides(own=_OWN, named=others), workload)
    pairs = zip(
        outcome.own_values("failed_requests"), outcome.own_values("other_requests"), strict=True
    )
    theirs = [
        f"{max(turn['failed_requests'] for turn in turns):.0f} failed with {label}"
        for label, turns in outcome.others.items()
    ]
    return [
        Row(
            what=f"6. failed, or not the unloaded run's text: {_N_REQUESTS} requests with 3 x the "
            "KV memory, one longer than a lane",
            against=f"none (ours: {_OWN.label}); of llama-server's requests {', '.join(theirs)}",
            unit="requests",
            values=tuple(failed + other for failed, other in pairs),
            target=0,
            decided_by="max",
            raw=outcome.raw,
        )
    ]


def _requests(model: Model) -> list[Ask]:
    sizes = [_N_LONG, *[_N_SHORT] * (_N_REQUESTS - 1)]
    return [
        Ask(prompt=model.words.text(n_context - _N_OUT, 6, i), n_out=_N_OUT)
        for i, n_context in enumerate(sizes)
    ]


def _unloaded(bench: Bench, model: Model) -> Sequence[Answer]:
    """Each alone, in lanes that hold the longest."""
    roomy = Own(n_lanes=1, n_ctx=2048)
    with roomy.running(bench, model) as endpoint:
        return [ask(endpoint.port, endpoint.model, each) for each in _requests(model)]


def _is_equal(model: Model, request: Ask, loaded: Answer, alone: Answer) -> bool:
    """The same text, or one whose every token is as good as the best, within `_MAX_GAP`."""
    if loaded.text == alone.text:
        return True
    with Reference(model.path) as reference:
        prompt = reference.tokenize(request.prompt, add_special=True, parse_special=True)
        both = reference.tokenize(
            request.prompt + loaded.text, add_special=True, parse_special=True
        )
        scores = reference.score(prompt, both[len(prompt) :], _SCORED_TOGETHER)
    return both[: len(prompt)] == prompt and all(each.gap <= _MAX_GAP for each in scores)
