"""Embeddings of the engine: equal inputs cost once and count each time."""

import re
from concurrent.futures import ThreadPoolExecutor
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.waits import until

from pyrunner import Engine
from pyrunner._native import Model
from pyrunner.config import EngineConfig
from pyrunner.engine.embedding import Embeddings
from pyrunner.engine.loop import EngineLoop
from pyrunner.engine.threads import ThreadGovernor
from pyrunner.errors import ConfigError, InvalidRequestError
from pyrunner.types import Limits

TEXTS = ["one", "two words", "one"]


def test_equal_inputs_have_equal_vectors_and_all_count(engine: Engine) -> None:
    result = engine.embed(TEXTS)
    assert result.vectors[0] == result.vectors[2] != result.vectors[1]
    assert result.n_tokens == sum(len(engine.tokenize(each)) for each in TEXTS)


def test_others_are_answered_between_the_inputs_of_one_call(
    model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"{word} {i}" for i in range(40) for word in ("one", "two", "three")]
    with Engine(model_path, config=EngineConfig(n_ctx=256, n_batch=32)) as engine:
        loop = engine._open_loop()
        calls: list[str] = []
        # The real calls, noted in their order; the first waits until somebody wants to step.
        embed, step = loop.embed, loop.step

        def first_met(*arguments: Any, **named: Any) -> Any:
            if "embed" not in calls:
                until(lambda: bool(engine._lock._waiting))  # the reader of the story
            calls.append("embed")
            return embed(*arguments, **named)

        def noted() -> Any:
            calls.append("step")
            return step()

        monkeypatch.setattr(loop, "embed", first_met)
        monkeypatch.setattr(loop, "step", noted)
        story = engine.generate("Once", limits=Limits(max_tokens=200, ignore_eos=True))
        with ThreadPoolExecutor(1) as pool:
            embedded = pool.submit(engine.embed, texts)
            list(takewhile(lambda _: not embedded.done(), story))
            story.close()
        assert len(embedded.result().vectors) == len(texts)
    first, last = calls.index("embed"), len(calls) - calls[::-1].index("embed")
    assert "step" in calls[first:last]


def test_prefixes_on_disk_are_refused_where_nobody_would_write_them(model_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cache_disk_bytes.*only `pyrunner serve`"):
        Engine(model_path, config=EngineConfig(n_ctx=256, cache_disk_bytes=2**20))


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ([], "'input' is empty"),
        ([[1], [1], []], "'input[2]' is empty"),
        ([[1], [1], [2] * 257], "'input[2]' has 257 tokens, but the context holds 256"),
        ([[2] * 257], "'input' has 257 tokens"),
        ([[1], [1], [-1]], "'input[2]' has a token outside 0.."),
    ],
)
def test_an_input_that_cannot_be_embedded_is_named_by_its_place(
    model: Model, inputs: list[list[int]], sentence: str
) -> None:
    embeddings = Embeddings(model, n_ctx=256, n_threads=1)
    with pytest.raises(InvalidRequestError, match=re.escape(sentence)):
        embeddings.embed(inputs, normalize=True)


class _Decided(ThreadGovernor):
    """Wants three threads, whatever the load."""

    def update(self) -> bool:
        self.n_threads = 3
        return True


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc of Linux")
def test_threads_follow_the_load_between_embeddings(model: Model) -> None:
    loop = EngineLoop(model, EngineConfig(n_ctx=256, n_threads=1), can_generate=False)
    texts = [[1, 2, 3], [4]]
    before = loop.embed(texts)
    n_tasks = _n_tasks()
    loop._governor = _Decided(3, [loop._embeddings])
    after = loop.embed(texts)
    assert _n_tasks() == n_tasks + 2
    assert before is not None
    assert after is not None
    for one, other in zip(before.vectors, after.vectors, strict=True):
        ours, theirs = (np.frombuffer(each, np.float32) for each in (one, other))
        assert ours @ theirs > 0.9999


def _n_tasks() -> int:
    return len(list(Path("/proc/self/task").iterdir()))
