"""The examinations of a GGUF file by pyrunner's own engine, which is to say by llama.cpp.

Usage, where pyrunner is installed together with jinja2:

    PYTHONPATH=scripts python -m demo_model.examine demo.gguf

Exits with 1 when fewer answers are right in one of them than the model needs to ship.
"""

import argparse
import pathlib

import pyrunner
from demo_model import examinations, score
from demo_model.chat_format import render
from demo_model.heldout_case import Case
from pyrunner.types import FinishReason, Limits, SamplingParams, TextEvent


def examine(engine: pyrunner.Engine) -> dict[str, list[score.Outcome]]:
    """Ask every question of the examinations and take the most likely tokens."""
    return {
        name: [_ask(engine, case) for case in cases]
        for name, cases in examinations.EXAMINATIONS.items()
    }


def _ask(engine: pyrunner.Engine, case: Case) -> score.Outcome:
    prompt = render(case.sample, add_generation_prompt=True)
    events = list(
        engine.generate(
            prompt,
            sampling=SamplingParams(temperature=0.0),
            limits=Limits(max_tokens=score.MAX_ANSWER_TOKENS),
        )
    )
    answer = "".join(event.text for event in events if isinstance(event, TextEvent))
    has_ended = events[-1].reason is FinishReason.STOP
    return score.Outcome(case, answer, has_ended)


def main() -> None:
    """Examine the file named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=pathlib.Path, help="GGUF file")
    with pyrunner.Engine(parser.parse_args().path) as engine:
        has_passed = score.report(examine(engine))
    raise SystemExit(0 if has_passed else 1)


if __name__ == "__main__":
    main()
