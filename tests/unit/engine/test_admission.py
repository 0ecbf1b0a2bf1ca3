"""Who gets a lane: priorities, sequences that give theirs up, and lanes made longer and fewer."""

from pathlib import Path

import pytest
from msgspec.structs import replace
from support.clock import FakeClock
from support.scripted_lanes import SavedLane
from support.scripted_session import ScriptedSession, scripted_loop

from pyrunner.engine.disk_tier import DiskTier
from pyrunner.engine.lanes import WIDEN_PAUSE_S
from pyrunner.engine.loop import EngineLoop
from pyrunner.engine.request import Errored, Finished, GenerationRequest, StepEvent
from pyrunner.errors import ContextLengthError, InvalidParameterError, OutOfMemoryError
from pyrunner.types import FinishReason, Limits, SamplingParams

pytestmark = pytest.mark.usefixtures("short_cells")

N_CTX = 160
N_CTX_TRAIN = 500


@pytest.fixture
def session() -> ScriptedSession:
    return ScriptedSession(n_lanes=2, n_ctx=N_CTX, has_ends=False)


@pytest.fixture
def loop(session: ScriptedSession) -> EngineLoop:
    return scripted_loop(session, n_ctx_train=N_CTX_TRAIN)


def _request(
    request_id: int, n_prompt: int = 3, *, priority: int = 0, max_tokens: int | None = 20
) -> GenerationRequest:
    return GenerationRequest(
        request_id=request_id,
        tokens=[request_id + 1] * n_prompt,
        sampling=SamplingParams(seed=1),
        limits=Limits(max_tokens=max_tokens),
        priority=priority,
    )


def _running(loop: EngineLoop) -> set[int]:
    return {each.request.request_id for each in loop._lanes.sequences.values()}


def _until_the_end(loop: EngineLoop) -> list[StepEvent]:
    events: list[StepEvent] = []
    while loop.has_work:
        events += loop.step()
        loop._lanes.check()
    return events


def _order(events: list[StepEvent]) -> list[int]:
    return [event.request_id for event in events if isinstance(event, Finished)]


@pytest.mark.parametrize("priority", [-1001, 1001])
def test_a_priority_outside_its_range_is_refused(loop: EngineLoop, priority: int) -> None:
    with pytest.raises(InvalidParameterError, match="priority"):
        loop.submit(_request(1, priority=priority))


def test_higher_priority_is_admitted_before_older_requests(loop: EngineLoop) -> None:
    for request_id, priority in ((1, 0), (2, 0), (3, 7), (4, 9)):
        loop.submit(_request(request_id, priority=priority))
    loop.step()
    assert _running(loop) == {3, 4}


def test_higher_priority_takes_the_lane_of_the_youngest_of_the_lowest(loop: EngineLoop) -> None:
    loop.submit(_request(1))
    loop.submit(_request(2))
    loop.step()
    loop.submit(_request(3, priority=1))
    loop.step()
    assert _running(loop) == {1, 3}
    assert (loop.n_running, loop.n_waiting) == (2, 1)


def test_equal_priority_takes_no_lane(loop: EngineLoop) -> None:
    for request_id in (1, 2):
        loop.submit(_request(request_id, priority=5))
    loop.step()
    loop.submit(_request(3, priority=5))
    loop.step()
    assert _running(loop) == {1, 2}


def test_who_gave_a_lane_up_goes_on_ahead_of_younger_equals(loop: EngineLoop) -> None:
    loop.submit(_request(1, priority=3, max_tokens=60))
    loop.submit(_request(2, max_tokens=60))
    loop.step()
    loop.submit(_request(3, max_tokens=60))
    loop.submit(_request(4, priority=1, max_tokens=2))
    loop.step()
    assert _running(loop) == {1, 4}
    while 4 in _running(loop):
        loop.step()
    loop.step()
    assert _running(loop) == {1, 2}


def test_a_lane_changes_hands_once_for_each_request_of_higher_priority(
    loop: EngineLoop, session: ScriptedSession
) -> None:
    loop.submit(_request(1, max_tokens=120))
    loop.submit(_request(2, max_tokens=120))
    loop.step()
    session.log.clear()
    for request_id in range(3, 8):
        loop.submit(_request(request_id, priority=1, max_tokens=4))
    _until_the_end(loop)
    # Both lanes are given up once, and taken again once; what rests is too short to be parked.
    assert sum(entry.startswith("save") for entry in session.log) <= 2 + 1
    assert session.layouts == []


def test_a_waiting_request_does_not_follow_one_of_lower_priority(loop: EngineLoop) -> None:
    shared = [9] * 150
    low = GenerationRequest(request_id=1, tokens=[*shared, 1], sampling=SamplingParams(seed=1))
    high = GenerationRequest(
        request_id=2, tokens=[*shared, 2], sampling=SamplingParams(seed=1), priority=1
    )
    loop.submit(low)
    loop.step()
    loop.submit(high)
    loop.step()
    assert _running(loop) == {1, 2}


def test_a_sequence_cancelled_without_a_lane_says_what_was_held_back(loop: EngineLoop) -> None:
    loop.submit(_request(1, max_tokens=50))
    loop.submit(_request(2, max_tokens=50))
    for _ in range(5):
        loop.step()
    loop.submit(_request(3, priority=1, max_tokens=50))
    loop.step()
    assert _running(loop) == {1, 3}
    loop.cancel(2)
    [ended] = [event for event in loop.step() if isinstance(event, Finished)]
    assert (ended.request_id, ended.finish.reason) == (2, FinishReason.CANCELLED)
    assert ended.finish.usage.completion_tokens > 1
    assert ended.text.endswith(" ")
    loop._lanes.check()
    assert not loop._lanes.held._parked._preempted


@pytest.mark.parametrize("keeps_cells", [True, False])
def test_cells_of_a_sequence_without_a_lane_are_saved_to_disk_unless_it_asked_not_to(
    session: ScriptedSession, tmp_path: Path, keeps_cells: bool
) -> None:
    tmp_path.chmod(0o700)
    disk = DiskTier(tmp_path, b"key", 10**6, SavedLane.blank, FakeClock())
    loop = scripted_loop(session, disk=disk)
    for request_id in (1, 2):
        loop.submit(replace(_request(request_id, 100), keeps_cells=keeps_cells))
    for _ in range(8):
        loop.step()
    loop.submit(_request(3, priority=1))
    loop.step()
    assert _running(loop) == {1, 3}
    loop.leave()
    assert len(list(tmp_path.iterdir())) == (2 if keeps_cells else 0)


def test_a_prompt_longer_than_a_lane_waits_for_the_older_and_goes_before_the_younger(
    loop: EngineLoop, session: ScriptedSession
) -> None:
    loop.submit(_request(1, max_tokens=10))
    loop.step()
    loop.submit(_request(2, 200, max_tokens=5))
    loop.submit(_request(3, max_tokens=60))
    loop.step()
    assert session.layouts == []
    assert _running(loop) == {1, 3}  # the lane that is over is used
    events: list[StepEvent] = []
    while _order(events) != [1]:
        events += loop.step()
    loop.step()
    assert session.layouts == [(1, 320)]
    assert (loop.info.n_lanes, loop.info.n_ctx) == (1, 320)
    assert _running(loop) == {2}
    assert _order(_until_the_end(loop)) == [2, 3]


def test_a_long_prompt_takes_nothing_from_those_of_higher_priority(
    loop: EngineLoop, session: ScriptedSession
) -> None:
    for request_id in (1, 2):
        loop.submit(_request(request_id, priority=1, max_tokens=30))
    loop.step()
    loop.submit(_request(3, 200, max_tokens=5))
    events: list[StepEvent] = []
    while loop.has_work and 3 not in _running(loop):
        assert session.layouts == []
        events += loop.step()
    assert sorted(_order(events)) == [1, 2]
    assert _order(_until_the_end(loop)) == [3]


def test_a_long_prompt_of_higher_priority_gets_its_lane_at_once(
    loop: EngineLoop, session: ScriptedSession
) -> None:
    for request_id in (1, 2):
        loop.submit(_request(request_id, max_tokens=30))
    loop.step()
    loop.submit(_request(3, 200, priority=1, max_tokens=5))
    loop.step()
    assert _running(loop) == {3}
    assert _order(_until_the_end(loop))[0] == 3
    assert session.layouts == [(1, 320), (2, 160)]


def test_lanes_are_made_anew_no_more_than_those_of_higher_priority_need(
    loop: EngineLoop, session: ScriptedSession
) -> None:
    loop.submit(_request(1, 200, max_tokens=50))
    loop.step()
    assert session.layouts == [(1, 320)]
    # One at a time goes in the long lane...
    for request_id in (2, 3, 4):
        loop.submit(_request(request_id, priority=1, max_tokens=5))
        events: list[StepEvent] = []
        while request_id not in _order(events):
            events += loop.step()
    assert session.layouts == [(1, 320)]
    # ... and two at once do not wait for each other because somebody long does.
    loop.submit(_request(5, priority=1, max_tokens=5))
    loop.submit(_request(6, priority=1, max_tokens=5))
    loop.step()
    assert _running(loop) == {5, 6}
    assert _order(_until_the_end(loop))[-1] == 1
    assert session.layouts == [(1, 320), (2, 160), (1, 320)]


def test_a_long_prompt_that_follows_another_makes_no_lanes_before_its_turn(
    session: ScriptedSession,
) -> None:
    loop = scripted_loop(session, n_ctx_train=N_CTX_TRAIN)
    shared = [9] * 150
    loop.submit(replace(_request(1, max_tokens=3), tokens=shared))
    loop.step()
    assert session.layouts == []
    loop.submit(replace(_request(2, max_tokens=3), tokens=[*shared, *range(100)]))
    loop.submit(_request(3, max_tokens=40))
    loop.step()
    assert _running(loop) == {1, 3}
    assert session.layouts == []
    assert _order(_until_the_end(loop)) == [1, 2, 3]


def test_an_answer_that_outgrows_its_lane_waits_for_the_older(
    loop: EngineLoop, session: ScriptedSession
) -> None:
    loop.submit(_request(1, max_tokens=150))
    loop.submit(_request(2, 140, max_tokens=40))
    assert _order(_until_the_end(loop)) == [1, 2]
    assert session.layouts == [(1, 320)]


def test_lanes_do_not_become_longer_for_a_lower_priority() -> None:
    session = ScriptedSession(n_lanes=4, n_ctx=N_CTX, has_ends=False)
    loop = scripted_loop(session, n_ctx_train=N_CTX_TRAIN)
    loop.submit(_request(1, priority=1, max_tokens=30))
    loop.submit(_request(2, 200, max_tokens=3))  # it would have a lane beside the first
    loop.step()
    assert _running(loop) == {1}
    assert session.layouts == []
    assert _order(_until_the_end(loop)) == [1, 2]


def test_long_prompts_are_not_starved_by_short_requests_that_keep_coming(
    loop: EngineLoop, session: ScriptedSession
) -> None:
    loop.submit(_request(1, max_tokens=20))
    loop.submit(_request(2, 200, max_tokens=5))
    events: list[StepEvent] = []
    n_later = 0
    while 2 not in _order(events):
        n_later += 1
        assert n_later < 100
        loop.submit(_request(2 + n_later, max_tokens=20))
        events += loop.step()
    assert _order(events)[0] == 1
    _until_the_end(loop)
    assert session.layouts == [(1, 320), (2, 160)]


def test_lanes_become_longer_only_when_an_answer_really_needs_it(
    loop: EngineLoop, session: ScriptedSession
) -> None:
    loop.submit(_request(1, 150, max_tokens=100))
    for _ in range(5):
        loop.step()
    assert session.layouts == []
    [ended] = [each for each in _until_the_end(loop) if isinstance(each, Finished)]
    assert ended.finish.usage.completion_tokens == 100
    assert session.layouts == [(1, 320)]


def test_lanes_are_as_they_were_when_somebody_would_have_one_by_that(
    loop: EngineLoop, session: ScriptedSession
) -> None:
    loop.submit(_request(1, 200, max_tokens=3))
    _until_the_end(loop)
    loop.submit(_request(2, max_tokens=9))
    loop.step()
    assert session.layouts == [(1, 320)]
    loop.submit(_request(3, max_tokens=9))
    loop.step()
    assert session.layouts == [(1, 320), (2, 160)]
    assert _running(loop) == {2, 3}


def test_without_a_limit_an_answer_ends_where_it_would_have_ended_alone(
    loop: EngineLoop, session: ScriptedSession
) -> None:
    loop.submit(_request(1, 200, max_tokens=3))
    _until_the_end(loop)
    loop.submit(_request(2, 120, max_tokens=None))
    [ended] = [each for each in _until_the_end(loop) if isinstance(each, Finished)]
    assert session.n_ctx == 320
    assert ended.finish.usage.completion_tokens == 40


def test_a_prompt_that_no_layout_holds_is_refused_with_the_longest_context(
    loop: EngineLoop,
) -> None:
    with pytest.raises(ContextLengthError) as caught:
        loop.submit(_request(1, 320))
    assert caught.value.n_ctx == 320


def test_without_memory_for_more_lanes_it_goes_on_with_those_there_are_and_tries_again(
    session: ScriptedSession,
) -> None:
    now_s = [0.0]
    loop = scripted_loop(session, n_ctx_train=N_CTX_TRAIN, clock=lambda: now_s[0])
    loop.submit(_request(1, 200))
    _until_the_end(loop)
    session.n_layouts_without_memory = 1
    for request_id in (2, 3, 4, 5):
        loop.submit(_request(request_id))
    loop.step()
    assert (session.n_layouts_without_memory, session.n_lanes) == (0, 1)
    now_s[0] = WIDEN_PAUSE_S - 1
    loop.step()
    assert session.n_lanes == 1
    now_s[0] = WIDEN_PAUSE_S
    loop.step()
    assert session.n_lanes == 2
    assert sorted(_order(_until_the_end(loop))) == [2, 3, 4, 5]


def test_without_memory_for_longer_lanes_only_the_long_request_fails(
    loop: EngineLoop, session: ScriptedSession
) -> None:
    loop.submit(_request(1))
    loop.step()
    session.n_layouts_without_memory = 1
    loop.submit(_request(2, 200))
    events = _until_the_end(loop)
    [failed] = [event for event in events if isinstance(event, Errored)]
    assert failed.request_id == 2
    assert isinstance(failed.error, OutOfMemoryError)
    assert _order(events) == [1]
    assert (session.n_lanes, session.n_ctx) == (2, 160)
