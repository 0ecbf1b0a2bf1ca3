"""Decodes one stream in a worker that nothing but this process talks to.

``python worker_alone.py MODEL N_OUT`` reads prompts, one a line, and prints for each the tokens per
second after the first; the environment says which store and which settings.
"""

import sys
import time

from pyrunner import config
from pyrunner.models.store import Store
from pyrunner.runtime.api import Runtime
from pyrunner.types import CompletionRequest, FinishEvent, Limits, SamplingParams, TextEvent

_N_WARM_UP = 4


def main() -> None:
    """Start the worker, warm it up, measure until there are no more prompts, and let it go."""
    model, n_out = sys.argv[1], int(sys.argv[2])
    settings = config.load()
    runtime = Runtime(settings, Store(settings.store_path, settings.registry))
    try:
        _rate(runtime, model, "the", _N_WARM_UP)
        for line in sys.stdin:
            sys.stdout.write(f"{_rate(runtime, model, line.strip(), n_out)}\n")
            sys.stdout.flush()
    finally:
        runtime.unload(only_idle=False)
        runtime.close(0.0)


def _rate(runtime: Runtime, model: str, prompt: str, n_out: int) -> float:
    request = CompletionRequest(
        prompt=prompt,
        sampling=SamplingParams(temperature=0.0),
        limits=Limits(max_tokens=n_out, ignore_eos=True),
    )
    first_s = None
    with runtime.ensure_ready(model).complete(request) as stream:
        for event in stream:
            now = time.perf_counter()
            if isinstance(event, TextEvent) and first_s is None:
                first_s = now
            if isinstance(event, FinishEvent) and first_s is not None:
                return (event.usage.completion_tokens - 1) / (now - first_s)
    raise SystemExit("the worker's stream had no text")


if __name__ == "__main__":
    main()
