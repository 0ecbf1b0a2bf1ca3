"""The command: races drafts of ours and of llama-server, prints a Markdown table."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from engine.bench import Bench, Plan, prepared
from engine.client import Ask, ask_all, whole
from engine.contestants import Endpoint, LlamaServer, Own
from engine.models import Model, package
from engine.race import Figures, Sides, race, warm_up
from engine.words import words_of
from measuring import machine, programs
from measuring.pairs import report
from measuring.spread import shown

from drafting.models import DRAFT, HEADED, TARGET, Follower

_N_OUT = 192
_N_WARM = 64
_N_CTX = 512
_N_STREAMS = (1, 4)
_LENGTHS = (1, 3, 8)
"""Most tokens of llama-server's drafts, of which it has to be told; its default is 3."""
_RATE = "tokens_per_s"


def main(root: Path) -> None:
    """Print how fast answers with drafts are.

    Args:
        root: The checkout, below which models are kept.
    """
    parser = argparse.ArgumentParser(
        description="Drafts of a second model and of a model's own head, against llama-server's."
    )
    parser.add_argument("--pairs", type=machine.at_least(1), default=5, help="runs of each side")
    parser.add_argument("--threads", type=machine.at_least(1), default=len(os.sched_getaffinity(0)))
    parser.add_argument("--work", type=Path, default=root / "build" / "engine-race")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    plan = Plan(n_pairs=options.pairs, is_quick=False, n_threads=options.threads)
    load = machine.load()
    try:
        with prepared(plan, root, options.work) as bench:
            machine.warn_unless_quiet(load)
            lines = [line for n in _N_STREAMS for line in (_by_model(bench, n), _by_head(bench, n))]
    except programs.MeasurementError as error:
        sys.exit(str(error))
    print("| drafts, streams | ours | without | gain | llama-server | without | gain |")
    print("|---|---|---|---|---|---|---|")
    print("\n".join(lines))


def _by_model(bench: Bench, n_streams: int) -> str:
    target, draft = _made(bench, TARGET), _made(bench, DRAFT)
    own = (f"runtime.draft_models={target.reference}={draft.reference}",)
    theirs = ("--spec-type", "draft-simple", "-md", str(draft.path))
    return _line(bench, "a second model", target, n_streams, _Drafting(own, theirs))


def _by_head(bench: Bench, n_streams: int) -> str:
    drafting = _Drafting((), ("--spec-type", "draft-mtp"))
    return _line(bench, "its own head", _made(bench, HEADED), n_streams, drafting)


class _Drafting(NamedTuple):
    """What tells each side to draft."""

    own: tuple[str, ...]
    theirs: tuple[str, ...]


def _line(bench: Bench, what: str, model: Model, n_streams: int, drafting: _Drafting) -> str:
    plain = Own(n_lanes=n_streams, n_ctx=_N_CTX, more=("engine.speculation=off",))
    own = replace(plain, more=("engine.speculation=auto", *drafting.own))
    slots = ("-np", str(n_streams), "-c", str(n_streams * _N_CTX))
    their_plain = LlamaServer(slots)
    others = {
        LlamaServer((*slots, *drafting.theirs, "--spec-draft-n-max", str(n))): n for n in _LENGTHS
    }
    sides = Sides(own=own, others=list(others), by={_RATE: "high"}, named=[plain, their_plain])
    workload = _workload(model, n_streams)
    outcome = race(bench, f"{what}, {n_streams}", model, sides, workload)
    winner = outcome.compare(_RATE, "high", among=[each.label for each in others]).winner
    [length] = (n for each, n in others.items() if each.label == winner)
    ours = _gain(outcome.own, outcome.others[plain.label])
    theirs = _gain(outcome.others[winner], outcome.others[their_plain.label])
    return f"| {what}, {n_streams} | {ours} | with {length} at most: {theirs} |"


def _workload(model: Model, n_streams: int) -> Callable[[Endpoint, int], Figures]:
    texts: dict[int, list[str]] = {}

    def asked(i_round: int, n_out: int) -> list[Ask]:
        prompts = [model.words.text(16, n_out, i_round, i) for i in range(n_streams)]
        return [Ask(prompt=each, n_out=n_out) for each in prompts]

    def run(endpoint: Endpoint, i_round: int) -> Figures:
        warm_up(endpoint, model)
        # The first time that a draft is as long as it is, its graphs are made.
        whole(ask_all(endpoint.port, endpoint.model, asked(i_round, _N_WARM)))
        answers = whole(ask_all(endpoint.port, endpoint.model, asked(i_round, _N_OUT)))
        said = [each.text for each in answers]
        if said != texts.setdefault(i_round, said):
            raise programs.MeasurementError("The sides do not say the same.")
        took_s = max(each.end_s for each in answers) - min(each.begin_s for each in answers)
        return {_RATE: n_streams * _N_OUT / took_s}

    return run


def _gain(drafting: Sequence[Figures], plain: Sequence[Figures]) -> str:
    """Tokens per second with drafts and without, and what became of them."""
    rates, without = ([turn[_RATE] for turn in turns] for turns in (drafting, plain))
    ratios = [rate / before for rate, before in zip(rates, without, strict=True)]
    return f"{shown(rates, 0)} | {shown(without, 0)} | {shown(ratios, 2)}"


def _made(bench: Bench, follower: Follower) -> Model:
    folder = bench.folder / "models"
    folder.mkdir(parents=True, exist_ok=True)
    path, reference = folder / f"{follower.name}-q8_0.gguf", f"bench/{follower.name}"
    if not path.exists():
        report(f"making {path.name}")
        unfinished = folder / f"unfinished-{follower.name}.gguf"
        follower.write(unfinished)
        unfinished.rename(path)
    package(reference, path, bench.variables)
    return Model(reference, path, words_of(path, folder / f"{follower.name}.words.json"))
