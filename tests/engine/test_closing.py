"""Ends that come from outside: `close` from anywhere, Ctrl-C at any point of a step.

What has to happen inside a step is put there by a function around it, which calls the real one:
from outside nobody can hit the moment between the native call and what Python notes of it.
"""

import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from support.answers import text_of
from support.waits import until

from pyrunner import Engine
from pyrunner.config import EngineConfig
from pyrunner.engine.request import StepEvent
from pyrunner.engine.step import run_step
from pyrunner.types import FinishEvent, Limits, SamplingParams

GREEDY = SamplingParams(temperature=0)
_DEADLINE_S = 10


def test_closing_does_not_wait_for_the_step_to_say_that_it_is_useless(
    model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Engine(model_path, config=EngineConfig(n_ctx=256)) as engine:
        loop = engine._open_loop()
        hurry, step = loop.hurry, loop.step
        hurried = threading.Event()
        generation = engine.generate("A prompt that nobody will want")

        def noted(request_id: int) -> None:
            hurry(request_id)
            hurried.set()

        def closed_meanwhile() -> list[StepEvent]:
            closer.start()
            assert hurried.wait(_DEADLINE_S)  # who closes has not got the lock: this step has
            until(lambda: bool(engine._lock._waiting))
            return step()

        monkeypatch.setattr(loop, "hurry", noted)
        monkeypatch.setattr(loop, "step", closed_meanwhile)
        closer = threading.Thread(target=generation.close)
        assert list(generation) == []
        closer.join(_DEADLINE_S)
        assert engine.n_running == 0


def test_closing_inside_a_step_of_the_same_thread_waits_for_its_end(
    model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = Limits(max_tokens=8, ignore_eos=True)
    with Engine(model_path, config=EngineConfig(n_ctx=256)) as engine:
        alone = text_of(list(engine.generate("Stays", sampling=GREEDY, limits=limits)))
        stays = engine.generate("Stays", sampling=GREEDY, limits=limits)
        goes = engine.generate("Goes", limits=limits)
        next(goes)

        def closed_within(*arguments: Any) -> Any:
            done = run_step(*arguments)
            goes.close()  # as a signal handler may, and a collector of garbage
            return done

        monkeypatch.setattr("pyrunner.engine.loop.run_step", closed_within)
        assert text_of(list(stays)) == alone
        assert engine.n_running == 0


def test_ctrl_c_while_close_waits_leaves_the_cancel_to_others(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    generation = engine.generate("A prompt that nobody will want")
    with monkeypatch.context() as patch:
        patch.setattr(engine._lock, "enter_unless", _pressed)
        with pytest.raises(KeyboardInterrupt):
            generation.close()
    assert engine.n_running == 0
    assert list(engine.generate("The next one", limits=Limits(max_tokens=1)))


def _pressed(*_: object) -> bool:
    raise KeyboardInterrupt


def test_a_lane_is_free_as_soon_as_its_generation_is_closed(model_path: Path) -> None:
    with Engine(model_path, config=EngineConfig(n_ctx=256, n_lanes=1)) as engine:
        for _ in engine.generate("One"):
            break
        with engine.generate("Two") as generation:
            next(generation)
        assert engine.n_running == 0
        with engine.logits([5, 6]) as row:
            assert len(row) == engine.info.n_vocab


@pytest.mark.parametrize("place", ["begin", "chunk", "decode"])
def test_ctrl_c_in_a_step_ends_one_generation_and_harms_nothing(
    model_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    prompt = list(range(300, 500))
    limits = Limits(max_tokens=8, ignore_eos=True)
    config = EngineConfig(n_ctx=512, n_batch=64, n_threads=1, speculation="off")
    with Engine(model_path, config=config) as engine:
        alone = text_of(list(engine.generate(prompt, sampling=GREEDY, limits=limits)))
    with Engine(model_path, config=config) as engine:
        other = engine.generate(prompt[:9], sampling=GREEDY, limits=limits)
        next(other)
        generation = engine.generate(prompt, sampling=GREEDY, limits=limits)
        if place == "decode":
            next(generation)
        with monkeypatch.context() as patch:
            _press_ctrl_c_within(patch, before=place == "begin")
            with pytest.raises(KeyboardInterrupt):
                list(generation)
        again = text_of(list(engine.generate(prompt, sampling=GREEDY, limits=limits)))
        assert isinstance(list(other)[-1], FinishEvent)
        assert engine.n_running == 0
    assert again == alone


def _press_ctrl_c_within(patch: pytest.MonkeyPatch, *, before: bool) -> None:
    """In each step, between the native call and what Python notes of it."""

    def interrupted(*arguments: Any) -> Any:
        if before:
            signal.raise_signal(signal.SIGINT)
        done = run_step(*arguments)
        if not before:
            signal.raise_signal(signal.SIGINT)
        return done

    patch.setattr("pyrunner.engine.loop.run_step", interrupted)
