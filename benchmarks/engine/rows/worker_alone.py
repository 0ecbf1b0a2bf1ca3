"""Decodes one stream in a worker that nothing but this process talks to.

``python worker_alone.py MODEL N_OUT`` reads prompts, one a line, and prints for each the tokens per
second after the first, as the worker times them; the environment says which store and which
settings. This process sleeps while the worker decodes, because it would run on the cores that
decode: a reader is no part of a worker.
"""

import sys
import threading
import time

from pyrunner import config
from pyrunner.models.store import Store
from pyrunner.runtime.api import Runtime
from pyrunner.types import CompletionRequest, FinishEvent, Limits, SamplingParams, TextEvent

_N_WARM_UP = 16
_REST_S = 1.5
"""As in all rows: the worker moves weights when it has nothing to do."""


def main() -> None:
    """Start the worker, warm it up, measure until there are no more prompts, and let it go."""
    model, n_out = sys.argv[1], int(sys.argv[2])
    settings = config.load()
    runtime = Runtime(settings, Store(settings.store_path, settings.registry))
    try:
        rate = _rate(runtime, model, "the", _N_WARM_UP, asleep_s=0.0)
        time.sleep(_REST_S)
        for line in sys.stdin:
            rate = _rate(runtime, model, line.strip(), n_out, asleep_s=n_out / rate)
            sys.stdout.write(f"{rate}\n")
            sys.stdout.flush()
    finally:
        runtime.unload(only_idle=False)
        runtime.close(0.0)


def _rate(runtime: Runtime, model: str, prompt: str, n_out: int, *, asleep_s: float) -> float:
    request = CompletionRequest(
        prompt=prompt,
        sampling=SamplingParams(temperature=0.0),
        limits=Limits(max_tokens=n_out, ignore_eos=True),
    )
    has_begun = False
    with runtime.ensure_ready(model).complete(request) as stream:
        for event in stream:
            if isinstance(event, TextEvent) and not has_begun:
                has_begun = True
                threading.Event().wait(asleep_s)
            if isinstance(event, FinishEvent):
                return (event.usage.completion_tokens - 1) / event.timings.decode_s
    raise SystemExit("the worker's stream had no end")


if __name__ == "__main__":
    main()
