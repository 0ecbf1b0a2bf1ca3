"""Run as a program: tries to load models that may be broken, and says how each attempt ended.

A process of its own, because the question is whether it survives. Arguments are alternately a file
and a length: the file is cut to that length first (-1 leaves it as it is). One line of JSON per
attempt: what was raised, and its sentence. Status 0 means that every attempt was answered.
"""

import json
import os
import sys

from pyrunner.config import EngineConfig
from pyrunner.engine.engine import Engine
from pyrunner.errors import PyrunnerError
from pyrunner.types import Limits

CONFIG = EngineConfig(n_ctx=256, n_lanes=1, n_threads=1)


def attempt(path: str, n_bytes: int) -> tuple[str, str]:
    if n_bytes >= 0:
        os.truncate(path, n_bytes)
    try:
        with Engine(path, config=CONFIG) as engine:
            events = list(engine.generate([5, 6], limits=Limits(max_tokens=2)))
    except PyrunnerError as error:
        return type(error).__name__, str(error)
    return "loaded", type(events[-1]).__name__


def main() -> None:
    for path, n_bytes in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        sys.stdout.write(json.dumps(attempt(path, int(n_bytes))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
