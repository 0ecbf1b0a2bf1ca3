"""What somebody with strict mypy writes against `pyrunner`; checked, never run."""

from pathlib import Path
from typing import assert_type

import pyrunner
from pyrunner.config import EngineConfig
from pyrunner.types import (
    EmbeddingResult,
    FinishEvent,
    FinishReason,
    Limits,
    ModelInfo,
    ReasoningEvent,
    SamplingParams,
    TextEvent,
    ToolCallEvent,
)


def read(path: Path) -> str:
    text = ""
    with pyrunner.Engine(path, config=EngineConfig(n_ctx=2048)) as engine:
        assert_type(engine.info, ModelInfo)
        stream = engine.generate(
            "Hello", sampling=SamplingParams(seed=1), limits=Limits(max_tokens=8)
        )
        for event in stream:
            match event:
                case TextEvent() | ReasoningEvent():
                    text += event.text
                case ToolCallEvent():
                    text += event.arguments
                case FinishEvent():
                    assert_type(event.reason, FinishReason)
                    assert_type(event.usage.total_tokens, int)
    return text


def vectors(engine: pyrunner.Engine) -> int:
    result = engine.embed(["a", "b"])
    assert_type(result, EmbeddingResult)
    return result.n_embd


def round_trip(engine: pyrunner.Engine) -> str:
    tokens = engine.tokenize("Hello")
    assert_type(tokens, list[int])
    return engine.detokenize(tokens)


def version() -> str:
    return pyrunner.__version__


# Each of these is a mistake that mypy has to find: an unused ignore is an error in strict mode.
def mistakes(engine: pyrunner.Engine) -> None:
    engine.generate(5)  # type: ignore[arg-type]  # a prompt is text or tokens
    engine.generate("a", SamplingParams())  # type: ignore[call-arg]  # by keyword only
    SamplingParams(temprature=1.0)  # type: ignore[call-arg]  # misspelt
    Limits(1)  # type: ignore[call-arg]  # by keyword only
    engine.info.n_ctx = 5  # type: ignore[misc]  # frozen
