"""worker.engine_thread: the thread itself; what it does is in test_service."""

from collections.abc import Sequence

import pytest
from support.scripted_engine import N_TO_TIDY, ScriptedBackend, ScriptedLoop
from support.waits import until
from unit.worker.rig import launch

from pyrunner.config import EngineConfig
from pyrunner.engine.request import GenerationRequest, StepEvent
from pyrunner.errors import InvariantError, WorkerCrashedError
from pyrunner.types import EmbeddingResult, Limits
from pyrunner.worker.engine_thread import EngineThread
from pyrunner.worker.messages import (
    Broken,
    Cancel,
    Embedded,
    EmbedInputs,
    Loaded,
    LoadFailed,
    Mailbox,
    Report,
    Stepped,
    Stop,
    Submit,
)
from pyrunner.worker.ports import OnProgress


class _Buggy(ScriptedLoop):
    def step(self) -> Sequence[StepEvent]:
        raise KeyError("a bug")


class _Leaking(ScriptedLoop):
    def check(self) -> None:
        raise InvariantError("a lane has nobody")


class _Interrupted(ScriptedLoop):
    """Its first embedding is interrupted."""

    def __init__(self) -> None:
        super().__init__()
        self.n_asked = 0

    def embed(
        self, inputs: Sequence[Sequence[int]], *, normalize: bool, request_id: int
    ) -> EmbeddingResult | None:
        self.n_asked += 1
        if self.n_asked == 1:
            return None
        return super().embed(inputs, normalize=normalize, request_id=request_id)


@pytest.fixture
def mailbox():
    made = Mailbox()
    yield made
    made.close()


def _started(backend: ScriptedBackend, mailbox: Mailbox) -> EngineThread:
    made = EngineThread(backend, launch(), mailbox)
    made.start()
    return made


def _reports_until(mailbox: Mailbox, kind: type[Report]) -> list[Report]:
    found: list[Report] = []

    def has_come() -> bool:
        found.extend(mailbox.take())
        return any(isinstance(each, kind) for each in found)

    until(has_come)
    return found


def test_thread_loads_works_and_stops(mailbox):
    thread = _started(ScriptedBackend(), mailbox)
    _reports_until(mailbox, Loaded)
    thread.order(Submit(GenerationRequest(request_id=1, tokens=[65])))
    _reports_until(mailbox, Stepped)
    assert thread.stop(5.0)


def test_the_last_thing_it_does_is_to_leave(mailbox):
    thread = _started(ScriptedBackend(), mailbox)
    loaded = _reports_until(mailbox, Loaded)[-1]
    assert isinstance(loaded, Loaded)
    assert isinstance(loaded.loop, ScriptedLoop)
    assert not loaded.loop.has_left
    assert thread.stop(5.0)
    assert loaded.loop.has_left


def test_an_engine_that_failed_saves_nothing(mailbox):
    thread = EngineThread(ScriptedBackend(), launch(), mailbox)
    thread.load()
    thread._loop = buggy = _Buggy()
    buggy.submit(GenerationRequest(request_id=1, tokens=[65]))
    thread.work()
    assert isinstance(list(mailbox.take())[-1], Broken)
    assert not buggy.has_left


def test_interrupted_embedding_is_asked_for_again(mailbox):
    thread = EngineThread(ScriptedBackend(), launch(), mailbox)
    thread.load()
    thread._loop = _Interrupted()
    thread.order(EmbedInputs(1, ([65], [66, 67]), normalize=False))
    thread.turn()
    thread.turn()
    (embedded,) = [each for each in mailbox.take() if isinstance(each, Embedded)]
    assert isinstance(embedded.result, EmbeddingResult)
    assert len(embedded.result.vectors) == 2


def test_equal_inputs_of_one_request_are_embedded_once_over_all_groups(mailbox):
    backend = ScriptedBackend()
    thread = EngineThread(backend, launch(engine=EngineConfig(n_batch=4)), mailbox)
    thread.load()
    assert backend.loop is not None
    inputs = ([1, 2, 3], [4, 5], [1, 2, 3], [6], [4, 5])
    thread.order(EmbedInputs(1, inputs, normalize=False))
    thread.turn()
    thread.turn()
    assert backend.loop.embedded == [[(1, 2, 3)], [(4, 5), (6,)]]
    (embedded,) = [each for each in mailbox.take() if isinstance(each, Embedded)]
    assert isinstance(embedded.result, EmbeddingResult)
    assert [vector[0] for vector in embedded.result.vectors] == [3, 2, 3, 1, 2]
    assert embedded.result.n_tokens == 11


def test_a_short_embedding_does_not_wait_for_all_of_a_long_one(mailbox):
    backend = ScriptedBackend()
    thread = EngineThread(backend, launch(engine=EngineConfig(n_batch=2)), mailbox)
    thread.load()
    thread.order(EmbedInputs(1, ([1, 2], [3, 4], [5, 6]), normalize=False))
    thread.order(EmbedInputs(2, ([7], [8]), normalize=False))
    thread.order(EmbedInputs(3, ([9, 9],), normalize=False))
    thread.order(Cancel(3))
    for _ in range(5):
        thread.turn()
    assert backend.loop is not None
    assert backend.loop.embedded == [[(1, 2)], [(7,), (8,)], [(3, 4)], [(5, 6)]]
    embedded = [each.request_id for each in mailbox.take() if isinstance(each, Embedded)]
    assert embedded == [2, 1]


def test_stop_interrupts_a_step_that_takes_long(mailbox):
    thread = _started(ScriptedBackend(), mailbox)
    _reports_until(mailbox, Loaded)
    thread.order(Submit(GenerationRequest(request_id=1, tokens=list(map(ord, "slow")))))
    assert thread.stop(5.0)


def test_stop_while_loading_gives_the_load_up(mailbox):
    def never(on_progress: OnProgress) -> bool:
        while on_progress(0.1):
            pass
        return False

    thread = _started(ScriptedBackend(on_load=never), mailbox)
    assert thread.stop(5.0)
    assert not any(isinstance(each, Loaded | LoadFailed) for each in mailbox.take())


def test_engine_at_rest_is_checked_once_after_each_work(mailbox):
    backend = ScriptedBackend()
    thread = EngineThread(backend, launch(), mailbox, rest_s=0.0)
    thread.start()
    _reports_until(mailbox, Loaded)
    loop = backend.loop
    assert loop is not None
    for n_done in (1, 2):
        limits = Limits(max_tokens=2)
        thread.order(Submit(GenerationRequest(request_id=n_done, tokens=[65], limits=limits)))
        until(lambda: loop.n_checks == n_done)  # noqa: B023  # called here
    assert thread.stop(5.0)
    assert loop.n_checks == 2


def test_engine_at_rest_tidies_until_nothing_is_left_or_an_order_comes(mailbox):
    backend = ScriptedBackend()
    thread = EngineThread(backend, launch(), mailbox, rest_s=0.0)
    thread.start()
    _reports_until(mailbox, Loaded)
    loop = backend.loop
    assert loop is not None
    assert loop.n_tidied == 0  # whoever wanted the model has not been answered yet
    thread.order(EmbedInputs(1, ([65],), normalize=False))
    until(lambda: loop.n_tidied == N_TO_TIDY)
    assert thread.stop(5.0)
    assert loop.n_tidied == N_TO_TIDY


def test_order_that_comes_while_the_engine_tidies_does_not_wait_for_all_of_it(mailbox):
    thread = EngineThread(ScriptedBackend(), launch(), mailbox, rest_s=0.0)
    thread.load()

    class _Untidy(ScriptedLoop):
        def tidy(self) -> bool:
            thread.order(Stop())
            return True  # for ever

    thread._loop = _Untidy()
    thread.order(EmbedInputs(1, ([65],), normalize=False))
    thread.work()
    assert any(isinstance(each, Embedded) for each in mailbox.take())


def test_lane_that_nobody_has_is_found_at_rest_and_ends_the_thread(mailbox):
    thread = EngineThread(ScriptedBackend(), launch(), mailbox, rest_s=0.0)
    thread.load()
    thread._loop = _Leaking()
    thread.order(EmbedInputs(1, ([65],), normalize=False))
    thread.work()
    (broken,) = [each for each in mailbox.take() if isinstance(each, Broken)]
    assert "a lane has nobody" in str(broken.error.facts["how"])


def test_bug_in_the_engine_is_reported_and_ends_the_thread(mailbox):
    backend = ScriptedBackend()
    thread = EngineThread(backend, launch(), mailbox)
    thread.load()
    thread._loop = _Buggy()
    thread._loop.submit(GenerationRequest(request_id=1, tokens=[65]))
    thread.work()
    (broken,) = [each for each in mailbox.take() if isinstance(each, Broken)]
    assert isinstance(broken.error, WorkerCrashedError)
    assert "a bug" in broken.error.how


def test_bug_while_loading_is_a_load_failure(mailbox):
    def bug(_: OnProgress) -> bool:
        raise KeyError("a bug")

    thread = EngineThread(ScriptedBackend(on_load=bug), launch(), mailbox)
    assert not thread.load()
    (failed,) = [each for each in mailbox.take() if isinstance(each, LoadFailed)]
    assert isinstance(failed.error, WorkerCrashedError)
