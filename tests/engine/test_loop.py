"""The loop over a real session: joining, leaving, limits, cancelling."""

import dataclasses
import random
import shutil
from array import array
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace
from support.own_memory import mapped_bytes

from pyrunner._native import LargePages, Model, Session
from pyrunner._native.status import Status
from pyrunner.config import EngineConfig
from pyrunner.engine.admission import Admission
from pyrunner.engine.large_pages import has_large_pages
from pyrunner.engine.loading import context_length, load_model
from pyrunner.engine.loop import EngineLoop
from pyrunner.engine.prefix_cache import PrefixCache
from pyrunner.engine.request import Finished, GenerationRequest, StepEvent, Text
from pyrunner.engine.sequence import Sequence
from pyrunner.errors import (
    ContextLengthError,
    InvalidParameterError,
    InvariantError,
    UnsupportedParameterError,
)
from pyrunner.types import FinishReason, Limits, SamplingParams

GREEDY = SamplingParams(temperature=0)


@pytest.fixture
def loop(model: Model, config: EngineConfig) -> EngineLoop:
    return EngineLoop(model, config)


def _request(request_id: int, n_prompt: int = 20, **limits: object) -> GenerationRequest:
    return GenerationRequest(
        request_id=request_id,
        tokens=[1000 + (request_id * 7919 + i * 31) % 5000 for i in range(n_prompt)],
        sampling=GREEDY,
        limits=Limits(ignore_eos=True, **{"max_tokens": 8, **limits}),  # type: ignore[arg-type]  # the test names them
    )


def _tokens_of(loop: EngineLoop) -> dict[int, list[int]]:
    """Run until nothing is left; the tokens of each request."""
    tokens: dict[int, list[int]] = defaultdict(list)
    while loop.has_work:
        for event in loop.step():
            token = getattr(event, "token", None)
            if token is not None:
                tokens[event.request_id].append(token)
    return tokens


def _finished(events: list[StepEvent]) -> list[Finished]:
    return [event for event in events if isinstance(event, Finished)]


def test_more_requests_than_lanes_all_finish_with_their_limits(loop: EngineLoop) -> None:
    for request_id in range(10):
        loop.submit(_request(request_id, max_tokens=3 + request_id))
    tokens = _tokens_of(loop)
    assert {key: len(value) for key, value in tokens.items()} == {i: 3 + i for i in range(10)}
    assert loop.n_running == loop.n_waiting == 0


@pytest.mark.skipif(not has_large_pages(), reason="needs large pages for programs that ask")
def test_answers_are_the_same_while_weights_move_to_large_pages(
    model_path: Path, config: EngineConfig, tmp_path: Path
) -> None:
    own = [tmp_path / "stays.gguf", tmp_path / "moves.gguf"]  # that no other test has mapped
    for path in own:
        shutil.copy(model_path, path)
    stays = _moved(own[0], dataclasses.replace(config, large_pages=False))
    moves = _moved(own[1], config)
    assert stays.answers == moves.answers
    assert stays.n_bytes_between_steps == stays.n_bytes_at_rest == 0
    assert moves.n_bytes_between_steps > 0  # all of them where steps are slow: a share of the time
    assert moves.n_bytes_between_steps + moves.n_bytes_at_rest == moves.n_movable_bytes


@dataclass(frozen=True)
class _Moved:
    """What became of a model's weights, and of answers before and after."""

    answers: list[dict[int, list[int]]]
    n_bytes_between_steps: int
    n_bytes_at_rest: int
    n_movable_bytes: int


def _moved(path: Path, config: EngineConfig) -> _Moved:
    model = load_model([path], config)
    assert model is not None
    n_movable_bytes = LargePages(model).n_left_bytes
    n_loaded = mapped_bytes(path)
    loop = EngineLoop(model, config)
    for request_id in range(2):
        loop.submit(_request(request_id, max_tokens=30))
    answers = [_tokens_of(loop)]
    n_worked = mapped_bytes(path)
    while loop.tidy():
        pass
    n_rested = mapped_bytes(path)
    loop.submit(_request(2))
    answers.append(_tokens_of(loop))
    return _Moved(answers, n_loaded - n_worked, n_worked - n_rested, n_movable_bytes)


def test_a_request_that_joins_later_does_not_change_one_that_runs(
    model: Model, config: EngineConfig
) -> None:
    alone = EngineLoop(model, config)
    alone.submit(_request(1, max_tokens=20))
    expected = _tokens_of(alone)[1]

    together = EngineLoop(model, config)
    together.submit(_request(1, max_tokens=20))
    events = [event for _ in range(5) for event in together.step()]
    together.submit(_request(2, n_prompt=300, max_tokens=2))
    rest = _tokens_of(together)
    first = [event.token for event in events if isinstance(event, Text)]
    # Random weights have no near ties at these lengths, so batching may not flip a token.
    assert first + rest[1] == expected


def test_a_running_stream_gets_a_token_in_every_step_while_a_long_prompt_is_read(
    model: Model, config: EngineConfig
) -> None:
    # Steps that could read all of it in two chunks.
    loop = EngineLoop(model, dataclasses.replace(config, n_batch=512, flash_attention="on"))
    loop.submit(_request(3, n_prompt=600, max_tokens=1))
    n_steps_alone = 0
    while loop.has_work:
        loop.step()
        n_steps_alone += 1
    loop.submit(_request(1, max_tokens=100))
    loop.step()
    loop.submit(_request(2, n_prompt=600, max_tokens=1))
    n_steps_while_reading = 0
    while loop.n_waiting or loop.n_running == 2:
        events = loop.step()
        assert [event.request_id for event in events].count(1) == 1
        n_steps_while_reading += 1
    assert n_steps_while_reading > n_steps_alone


def test_cancel_frees_the_lane_in_the_next_step_and_says_so(loop: EngineLoop) -> None:
    loop.submit(_request(1, max_tokens=100))
    loop.submit(_request(2, max_tokens=100))
    loop.step()
    loop.cancel(1)
    events = _finished(loop.step())
    assert [(event.request_id, event.finish.reason) for event in events] == [
        (1, FinishReason.CANCELLED)
    ]
    assert loop.n_running == 1


def test_cancel_of_a_waiting_request_reaches_it(model: Model) -> None:
    loop = EngineLoop(model, EngineConfig(n_ctx=256, n_lanes=1, n_threads=1))
    loop.submit(_request(1, max_tokens=5))
    loop.submit(_request(2, max_tokens=5))
    loop.step()
    loop.cancel(2)
    assert [event.request_id for event in _finished(loop.step())] == [2]
    assert len(_tokens_of(loop)[1]) == 3


def test_cancel_of_an_unknown_request_is_ignored(loop: EngineLoop) -> None:
    loop.cancel(99)
    assert not loop.has_work


def test_interrupt_loses_no_prompt_token(model: Model, config: EngineConfig) -> None:
    calm = EngineLoop(model, config)
    calm.submit(_request(1, n_prompt=300))
    expected = _tokens_of(calm)[1]

    nervous = EngineLoop(model, config)
    nervous.submit(_request(1, n_prompt=300))
    nervous.interrupt()
    assert nervous.step() == []
    assert _tokens_of(nervous)[1] == expected


def _reading(loop: EngineLoop) -> Sequence:
    (found,) = loop._lanes.reading
    return found


def test_cancel_of_the_prompt_that_is_read_stops_its_chunk(loop: EngineLoop) -> None:
    loop.submit(_request(1, n_prompt=300))
    loop.hurry(1)
    loop.step()
    assert _reading(loop).n_read == 0
    loop.cancel(1)
    assert [event.request_id for event in _finished(loop.step())] == [1]


def test_cancel_of_a_stream_lets_the_prompt_of_another_be_read(loop: EngineLoop) -> None:
    loop.submit(_request(1, n_prompt=4, max_tokens=50))
    loop.step()
    loop.submit(_request(2, n_prompt=300))
    loop.hurry(1)
    loop.step()
    assert _reading(loop).n_read > 0


def test_cancel_of_a_stream_whose_lane_is_wanted_stops_the_chunk(loop: EngineLoop) -> None:
    for request_id in (1, 2, 3):
        loop.submit(_request(request_id, n_prompt=4, max_tokens=50))
    loop.step()
    loop.submit(_request(4, n_prompt=300))
    loop.submit(_request(5, n_prompt=300))
    loop.hurry(1)
    loop.step()
    assert loop.n_waiting == 1
    assert _reading(loop).n_read == 0


def test_embedding_stops_for_its_own_request_only(loop: EngineLoop) -> None:
    loop.hurry(1)
    assert loop.embed([[300, 301]], request_id=1) is None
    assert loop.embed([[300, 301]], request_id=2) is not None
    assert loop.embed([[300, 301]]) is not None


def test_a_request_that_keeps_no_cells_leaves_none(loop: EngineLoop) -> None:
    request = _request(1, n_prompt=100)
    loop.submit(replace(request, keeps_cells=False))
    _tokens_of(loop)
    tokens, salt = array("i", request.tokens), loop.adapters.salt(request)
    assert loop._lanes.held.n_cached(tokens, salt) == 0
    assert loop.session.lane_length(0) == 0
    loop.submit(request)
    _tokens_of(loop)
    assert loop._lanes.held.n_cached(tokens, salt) == 99


def test_threads_may_change_between_any_two_steps(loop: EngineLoop) -> None:
    numbers = random.Random(1)
    for request_id in range(40):
        loop.submit(_request(request_id, max_tokens=10))
    n_tokens = 0
    while loop.has_work:
        loop.session.set_threads(numbers.choice([1, 2, 3]))
        n_tokens += len(loop.step())
    assert n_tokens == 400
    assert loop.session.lane_length(0) > 0


@pytest.mark.parametrize("n_threads", [0, -1, 513])
def test_number_of_threads_that_is_none_is_a_bug(loop: EngineLoop, n_threads: int) -> None:
    with pytest.raises(InvariantError):
        loop.session.set_threads(n_threads)


class _StubbornSession:
    """A real session that ends two chunks behind their first lane, and cannot move lanes."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.n_aborts = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def step(self, n_decode: int, n_chunk: int) -> Status:
        lanes = list(self._session.plan[2][n_decode : n_decode + n_chunk])
        n_first = lanes.count(lanes[0]) if lanes else 0
        if n_first == n_chunk or self.n_aborts == 2:
            return self._session.step(n_decode, n_chunk)
        # An abort in llama.cpp's second pass looks like this: the cells are there, no output is.
        self._session.plan[3][n_decode + n_first - 1] = 0
        assert self._session.step(n_decode, n_first) is Status.OK
        self.n_aborts += 1
        return Status.ABORTED

    def move_lane(self, source: int, to: int) -> None:
        raise UnsupportedParameterError(param=f"moving {source} to {to}", hint="A test.")


def _give_session(loop: EngineLoop, stubborn: _StubbornSession) -> None:
    session = loop._session = cast("Session", stubborn)
    loop._admission = Admission(session, PrefixCache(session, 0), loop._clock)


def test_a_prompt_that_was_read_whole_by_an_aborted_chunk_is_still_sampled(
    model: Model, config: EngineConfig
) -> None:
    def requests() -> Iterator[GenerationRequest]:
        return (_request(request_id, n_prompt=10 * request_id) for request_id in (1, 2, 3))

    expected: dict[int, list[int]] = {}
    for request in requests():
        alone = EngineLoop(model, config)
        alone.submit(request)
        expected |= _tokens_of(alone)

    loop = EngineLoop(model, config)
    stubborn = _StubbornSession(loop.session)
    _give_session(loop, stubborn)
    for request in requests():
        loop.submit(request)
    assert _tokens_of(loop) == expected
    assert stubborn.n_aborts == 2


def test_a_spare_lane_is_free_though_holes_cannot_be_closed(loop: EngineLoop) -> None:
    _give_session(loop, _StubbornSession(loop.session))
    for request_id in range(3):
        loop.submit(_request(request_id, max_tokens=100))
    for _ in range(3):
        loop.step()
    loop.cancel(1)
    loop.step()
    assert loop.spare_lane() == 1
    assert loop.session.lane_length(1) == 0


def test_a_step_that_is_refused_because_of_lent_logits_changes_nothing(loop: EngineLoop) -> None:
    loop.submit(_request(1))
    loop.step()
    plan = loop.session.plan
    plan[0][0], plan[1][0], plan[2][0], plan[3][0] = 7, 0, 1, 2
    loop.session.step(0, 1)
    loop.cancel(1)
    with loop.session.logits(0), pytest.raises(BufferError):
        loop.step()
    assert loop.n_running == 1
    assert [event.request_id for event in _finished(loop.step())] == [1]


def test_the_context_ends_a_sequence_without_a_limit(model: Model) -> None:
    loop = EngineLoop(model, EngineConfig(n_ctx=256, n_lanes=1, n_batch=128, n_threads=1))
    n_ctx = loop.info.n_ctx
    loop.submit(_request(1, n_prompt=n_ctx - 5, max_tokens=None))
    tokens: list[StepEvent] = []
    while loop.has_work:
        tokens += loop.step()
    last = _finished(tokens)[0].finish
    assert (last.reason, last.usage.completion_tokens) == (FinishReason.LENGTH, 5)


@pytest.mark.parametrize(("n_ctx_train", "n_ctx"), [(-1, 8192), (0, 8192), (512, 512)])
def test_a_file_without_a_usable_context_length_gets_the_default(
    n_ctx_train: int, n_ctx: int
) -> None:
    model = cast("Model", SimpleNamespace(n_ctx_train=n_ctx_train))
    assert context_length(model, EngineConfig()) == n_ctx


def test_a_prompt_without_room_for_one_token_is_refused(loop: EngineLoop) -> None:
    with pytest.raises(ContextLengthError) as caught:
        loop.submit(_request(1, n_prompt=loop.info.n_ctx_max))
    assert caught.value.n_ctx == loop.info.n_ctx_max
    assert not loop.has_work


@pytest.mark.parametrize("tokens", [[], [-1], [10**6]], ids=["empty", "negative", "too large"])
def test_a_wrong_prompt_is_refused_and_leaves_nothing(loop: EngineLoop, tokens: list[int]) -> None:
    with pytest.raises(InvalidParameterError):
        loop.submit(GenerationRequest(request_id=1, tokens=tokens))
    assert not loop.has_work


def test_usage_and_timings_are_those_of_the_request(loop: EngineLoop) -> None:
    loop.submit(_request(1, n_prompt=150, max_tokens=4))
    events: list[StepEvent] = []
    while loop.has_work:
        events += loop.step()
    finish = _finished(events)[0].finish
    assert (finish.usage.prompt_tokens, finish.usage.completion_tokens) == (150, 4)
    assert finish.timings.prompt_s > 0
    assert finish.timings.decode_s > 0
    assert finish.timings.queue_s >= 0
