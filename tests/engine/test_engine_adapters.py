"""`Engine` and its adapters: loading, naming and unloading them, from any thread."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pyrunner import Engine
from pyrunner.config import EngineConfig
from pyrunner.engine.adapters import MAX_ADAPTERS
from pyrunner.errors import InvalidParameterError
from pyrunner.types import Event, Limits, SamplingParams, TextEvent

pytestmark = [pytest.mark.native, pytest.mark.model]

GREEDY = SamplingParams(temperature=0)
SHORT = list(range(2000, 2040))


def test_generate_with_an_adapter(
    model_path: Path, adapter_files: Mapping[str, Path], config: EngineConfig
) -> None:
    with Engine(model_path, config=config) as engine:
        engine.load_adapter("one", adapter_files["one"])
        said = {}
        for adapter in ("", "one"):
            events = engine.generate(
                SHORT,
                sampling=GREEDY,
                limits=Limits(max_tokens=8, ignore_eos=True),
                adapter=adapter,
            )
            said[adapter] = "".join(each.text for each in events if isinstance(each, TextEvent))
        assert said[""] != said["one"]


def test_logits_are_of_the_model_alone(
    model_path: Path, adapter_files: Mapping[str, Path], config: EngineConfig
) -> None:
    with Engine(model_path, config=config) as engine:
        with engine.logits(SHORT) as row:
            expected = np.array(row)
        engine.load_adapter("one", adapter_files["one"])
        list(engine.generate(SHORT, limits=Limits(max_tokens=2), adapter="one"))
        with engine.logits(SHORT) as row:
            assert np.array_equal(np.asarray(row), expected)


def test_a_request_for_an_unknown_adapter_is_refused(engine: Engine) -> None:
    with pytest.raises(InvalidParameterError, match="'adapter' is 'three'; no adapter is loaded"):
        engine.generate(SHORT, adapter="three")


def test_an_adapter_that_nobody_uses_can_be_unloaded(
    model_path: Path, adapter_files: Mapping[str, Path], config: EngineConfig
) -> None:
    with Engine(model_path, config=config) as engine:
        engine.load_adapter("one", adapter_files["one"])
        engine.load_adapter("two", adapter_files["two"])
        assert engine.adapters == ["one", "two"]
        running = engine.generate(SHORT, limits=Limits(max_tokens=20), adapter="one")
        next(running)
        with pytest.raises(InvalidParameterError, match="'one' is that of a generation"):
            engine.unload_adapter("one")
        running.close()
        engine.unload_adapter("one")
        assert engine.adapters == ["two"]
        with pytest.raises(InvalidParameterError, match="'name' is 'one'; loaded are 'two'"):
            engine.unload_adapter("one")
        # Another file by the same name is another adapter.
        engine.load_adapter("one", adapter_files["two"])
        said = [
            [each for each in _answer(engine, name) if isinstance(each, TextEvent)]
            for name in ("one", "two")
        ]
        assert said[0] == said[1]


def _answer(engine: Engine, adapter: str) -> list[Event]:
    limits = Limits(max_tokens=8, ignore_eos=True)
    return list(engine.generate(SHORT, sampling=GREEDY, limits=limits, adapter=adapter))


def test_adapters_come_and_go_while_others_are_answered(
    model_path: Path, adapter_files: Mapping[str, Path], config: EngineConfig
) -> None:
    with Engine(model_path, config=config) as engine, ThreadPoolExecutor(2) as threads:
        engine.load_adapter("one", adapter_files["one"])
        expected = [_answer(engine, adapter)[:-1] for adapter in ("", "one")]
        answers = [threads.submit(_answer, engine, "one" if i % 2 else "") for i in range(20)]
        for i in range(20):
            engine.load_adapter(f"other {i}", adapter_files["two"])
            with pytest.raises(InvalidParameterError):
                engine.load_adapter("one", adapter_files["two"])
            engine.unload_adapter(f"other {i}")
        for i, answer in enumerate(answers):
            assert answer.result()[:-1] == expected[i % 2]


def test_there_is_a_limit(
    model_path: Path, adapter_files: Mapping[str, Path], config: EngineConfig
) -> None:
    with Engine(model_path, config=config) as engine:
        for i in range(MAX_ADAPTERS):
            engine.load_adapter(f"{i}", adapter_files["one"])
        with pytest.raises(InvalidParameterError, match="one adapter too many"):
            engine.load_adapter("last", adapter_files["one"])
        engine.unload_adapter("0")
        engine.load_adapter("last", adapter_files["one"])
        assert _answer(engine, "last")


def test_names_of_adapters(
    model_path: Path, adapter_files: Mapping[str, Path], config: EngineConfig
) -> None:
    with Engine(model_path, config=config) as engine:
        engine.load_adapter("one", adapter_files["one"])
        with pytest.raises(InvalidParameterError, match="'one' is another adapter's"):
            engine.load_adapter("one", adapter_files["two"])
        with pytest.raises(InvalidParameterError, match="is empty"):
            engine.load_adapter("", adapter_files["two"])
        with pytest.raises(InvalidParameterError, match="'adapter' is 'two'; loaded are 'one'"):
            engine.generate(SHORT, adapter="two")
