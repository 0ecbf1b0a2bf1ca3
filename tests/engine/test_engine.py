"""`pyrunner.Engine`, as a library user meets it."""

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.answers import text_of

from pyrunner import Engine
from pyrunner.config import EngineConfig
from pyrunner.engine.loop import EngineLoop
from pyrunner.engine.request import StepEvent
from pyrunner.errors import ConfigError, DecodeError, InvalidParameterError, QueueFullError
from pyrunner.types import Event, FinishEvent, FinishReason, Limits, SamplingParams, TextEvent

GREEDY = SamplingParams(temperature=0)
_DEADLINE_S = 10


def test_generate_yields_text_and_one_finish(engine: Engine) -> None:
    events = list(
        engine.generate("Hello", sampling=GREEDY, limits=Limits(max_tokens=6, ignore_eos=True))
    )
    assert isinstance(events[-1], FinishEvent)
    assert events[-1].reason is FinishReason.LENGTH
    assert all(isinstance(event, TextEvent) for event in events[:-1])


def test_interleaved_generations_are_those_of_each_alone(engine: Engine) -> None:
    limits = Limits(max_tokens=12, ignore_eos=True)
    prompts = ["One", "Two two", "Three three three"]
    alone = [text_of(list(engine.generate(p, sampling=GREEDY, limits=limits))) for p in prompts]
    running = [engine.generate(p, sampling=GREEDY, limits=limits) for p in prompts]
    together: list[list[Event]] = [[], [], []]
    for _ in range(12):
        for generation, events in zip(running, together, strict=True):
            events.extend(event for event in [next(generation, None)] if event is not None)
    for generation, events in zip(running, together, strict=True):
        events.extend(generation)
    assert [text_of(events) for events in together] == alone


def test_threads_share_the_engine(engine: Engine) -> None:
    texts: dict[int, str] = {}

    def work(i: int) -> None:
        limits = Limits(max_tokens=10, ignore_eos=True)
        texts[i] = text_of(list(engine.generate(f"Thread {i % 2}", sampling=GREEDY, limits=limits)))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(texts) == 6
    assert len({texts[i] for i in (0, 2, 4)}) == 1


def test_what_has_come_is_read_while_another_thread_has_the_engine(engine: Engine) -> None:
    first, second = (
        engine.generate(text, sampling=GREEDY, limits=Limits(max_tokens=n, ignore_eos=True))
        for text, n in (("One", 8), ("Two", 4))
    )
    list(first)  # and with it the other one
    is_taken, is_read = threading.Event(), threading.Event()

    def take() -> None:
        with engine.logits([1, 2, 3]):
            is_taken.set()
            assert is_read.wait(_DEADLINE_S)

    taker = threading.Thread(target=take)
    taker.start()
    assert is_taken.wait(_DEADLINE_S)
    read: list[Event] = []
    reader = threading.Thread(target=lambda: read.extend(second))
    reader.start()
    reader.join(_DEADLINE_S)
    was_blocked = reader.is_alive()
    is_read.set()
    taker.join(_DEADLINE_S)
    assert not was_blocked
    assert isinstance(read[-1], FinishEvent)


def test_a_text_alone_is_one_input(engine: Engine) -> None:
    assert engine.embed("abc").vectors == engine.embed(["abc"]).vectors


def test_bytes_are_no_prompt(engine: Engine) -> None:
    with pytest.raises(InvalidParameterError, match="decode it"):
        engine.generate(b"Docker is")


def test_closing_a_generation_frees_its_lane(engine: Engine) -> None:
    with engine.generate("Hello", limits=Limits(ignore_eos=True)) as generation:
        next(generation)
    list(engine.generate("x", limits=Limits(max_tokens=1)))
    assert engine.n_running == 0


def test_a_generation_that_is_dropped_frees_its_lane(engine: Engine) -> None:
    for _ in engine.generate("Hello", sampling=GREEDY, limits=Limits(ignore_eos=True)):
        break
    list(engine.generate("x", limits=Limits(max_tokens=1)))
    assert engine.n_running == 0


def test_closing_from_another_thread_ends_the_iteration(engine: Engine) -> None:
    generation = engine.generate("Hello", limits=Limits(ignore_eos=True))
    next(generation)
    closer = threading.Thread(target=generation.close)
    closer.start()
    assert all(isinstance(event, TextEvent) for event in generation)
    closer.join()
    list(engine.generate("x", limits=Limits(max_tokens=1)))
    assert engine.n_running == 0


def test_a_failed_step_ends_every_generation_with_its_error(
    model_path: Path, config: EngineConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(model_path, config=config)
    first, second = engine.generate("x"), engine.generate("y")

    def fail(_: EngineLoop) -> list[StepEvent]:
        raise DecodeError(status=-4, during="the step")

    monkeypatch.setattr(EngineLoop, "step", fail)
    for generation in (first, second):
        with pytest.raises(DecodeError):
            next(generation)
    with pytest.raises(ValueError, match="closed"):
        engine.generate("z")


def test_a_stop_string_ends_before_itself(engine: Engine) -> None:
    limits = Limits(max_tokens=30, ignore_eos=True)
    whole = text_of(list(engine.generate("Hello", sampling=GREEDY, limits=limits)))
    stop = whole[len(whole) // 2 :][:3]
    events = list(
        engine.generate(
            "Hello", sampling=GREEDY, limits=Limits(max_tokens=30, ignore_eos=True, stop=(stop,))
        )
    )
    assert text_of(events) == whole[: whole.index(stop)]
    assert isinstance(events[-1], FinishEvent)
    assert events[-1].reason is FinishReason.STOP


def test_a_seed_makes_a_draw_repeatable(engine: Engine) -> None:
    def draw(seed: int) -> str:
        sampling = SamplingParams(temperature=1.5, seed=seed)
        limits = Limits(max_tokens=12, ignore_eos=True)
        return text_of(list(engine.generate("Hello", sampling=sampling, limits=limits)))

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_lent_logits_are_no_copy_and_stop_the_engine_meanwhile(engine: Engine) -> None:
    tokens = engine.tokenize("Hello there")
    with engine.logits(tokens) as row:
        array = np.asarray(row)
        assert array.shape == (engine.info.n_vocab,)
        assert array.dtype == np.dtype("float32")
        assert not array.flags.owndata
        assert not array.flags.writeable
        generation = engine.generate("x", limits=Limits(max_tokens=1, ignore_eos=True))
        with pytest.raises(BufferError):
            next(generation)
        best = int(array.argmax())
        del array
    # The refused step lost nothing.
    assert isinstance(list(generation)[-1], FinishEvent)
    first = next(engine.generate(tokens, sampling=GREEDY, limits=Limits(max_tokens=1)))
    assert isinstance(first, TextEvent | FinishEvent)
    if isinstance(first, TextEvent):
        assert first.text == engine.detokenize([best])


def test_logits_need_a_lane(engine: Engine) -> None:
    limits = Limits(max_tokens=50, ignore_eos=True)
    running = [engine.generate("x", limits=limits) for _ in range(engine.info.n_lanes)]
    next(running[0])
    with pytest.raises(QueueFullError), engine.logits([1]):
        pass
    for generation in running:
        generation.close()
    list(engine.generate("x", limits=Limits(max_tokens=1)))


def test_generations_that_wait_have_a_limit(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyrunner.engine.engine.MAX_WAITING", 2)
    limits = Limits(max_tokens=50, ignore_eos=True)
    running = [engine.generate("x", limits=limits) for _ in range(engine.info.n_lanes + 2)]
    with pytest.raises(QueueFullError, match="All 2 places of this engine's queue are taken"):
        engine.generate("x")
    running.pop().close()
    running.append(engine.generate("x", limits=limits))
    for generation in running:
        assert isinstance(list(generation)[-1], FinishEvent)


def test_who_only_makes_and_closes_generations_is_not_refused(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyrunner.engine.engine.MAX_WAITING", 2)
    for _ in range(5):
        engine.generate("x").close()
    list(engine.generate("x", limits=Limits(max_tokens=1)))


def test_tokenize_and_detokenize_are_inverse(engine: Engine) -> None:
    text = "Zero-copy 123 \u65e5\u672c \U0001f600"
    assert engine.detokenize(engine.tokenize(text, add_special=False)) == text


def test_text_that_is_no_unicode_is_refused(engine: Engine) -> None:
    with pytest.raises(InvalidParameterError):
        engine.tokenize("\ud800")


def test_a_closed_engine_says_so(model_path: Path) -> None:
    engine = Engine(model_path)
    generation = engine.generate("x")
    engine.close()
    with pytest.raises(ValueError, match="closed"):
        engine.generate("x")
    with pytest.raises(ValueError, match="closed"):
        engine.tokenize("x")
    with pytest.raises(ValueError, match="closed"):
        next(generation)


def test_settings_that_exclude_each_other_are_refused_before_a_file_is_opened() -> None:
    config = EngineConfig(cache_type_v="q8_0", flash_attention="off")
    with pytest.raises(ConfigError, match="needs flash attention"):
        Engine("no/such/file.gguf", config=config)


def test_cells_of_few_bits_hold_a_conversation(model_path: Path, config: EngineConfig) -> None:
    few_bits = replace(config, cache_type_k="q8_0", cache_type_v="q4_0", n_lanes=2)
    limits = Limits(max_tokens=20, ignore_eos=True)
    prompts = [[*range(300, 300 + 40 * n)] for n in range(1, 6)]  # more than lanes: they travel
    with Engine(model_path, config=few_bits) as engine:
        running = [engine.generate(each, sampling=GREEDY, limits=limits) for each in prompts]
        finishes = [list(each)[-1] for each in running]
        again = list(engine.generate(prompts[0], sampling=GREEDY, limits=limits))[-1]
    counts = [each.usage.completion_tokens for each in finishes if isinstance(each, FinishEvent)]
    assert counts == [20] * len(prompts)
    assert isinstance(again, FinishEvent)
    assert again.usage.cached_tokens > 0


def test_no_step_runs_inside_the_block_of_a_row_that_is_given_back(engine: Engine) -> None:
    generation = engine.generate("Once", limits=Limits(max_tokens=4, ignore_eos=True))
    with engine.logits([5, 6]) as row:
        row.release()
        with pytest.raises(BufferError):
            next(generation)
    assert isinstance(list(generation)[-1], FinishEvent)


def test_logits_are_those_of_all_tokens_whatever_was_interrupted(engine: Engine) -> None:
    tokens = list(range(300, 600))
    with engine.logits(tokens) as row:
        whole = np.array(row)
    engine._open_loop().interrupt()  # a cancel that came after its step
    with engine.logits(tokens) as row:
        assert np.allclose(whole, np.asarray(row), atol=1e-3)


def test_loading_reports_progress_and_can_be_cancelled(model_path: Path) -> None:
    shares: list[float] = []

    def watch(share: float) -> bool:
        shares.append(share)
        return True

    Engine(model_path, on_progress=watch).close()
    assert all(0 <= share <= 1 for share in shares)


def test_a_context_that_is_rounded_up_is_read_to_its_end(model_path: Path) -> None:
    """Whose batches llama.cpp bounds by the number before it is rounded."""
    config = EngineConfig(n_ctx=100, n_lanes=1, n_threads=1)
    with Engine(model_path, config=config) as engine:
        assert engine.info.n_ctx == 256
        events = list(engine.generate(list(range(300, 550)), limits=Limits(max_tokens=2)))
        assert isinstance(events[-1], FinishEvent)
        assert events[-1].usage.prompt_tokens == 250
