"""The whole policy over scripted lanes: admit, step, preempt, cancel, reclaim, other layouts.

Thousands of random operations, the books checked after each; in the end every request has ended
exactly once, with the very tokens that its prompt and its seed lead to.
"""

import random
from array import array
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pytest
from msgspec.structs import replace
from support.scripted_session import END_EVERY, ScriptedSession, scripted_loop, scripted_token
from support.talks import EqualCosts

from pyrunner.engine.adapters import LoadedAdapter
from pyrunner.engine.admission import Admission
from pyrunner.engine.request import Errored, Finished, GenerationRequest, StepEvent
from pyrunner.engine.speculation import Speculation
from pyrunner.errors import ContextLengthError, OutOfMemoryError
from pyrunner.types import FinishReason, Limits, SamplingParams

if TYPE_CHECKING:
    from pyrunner._native import Adapter

pytestmark = pytest.mark.usefixtures("short_cells")

N_CTX = 160
N_LANES = 4
N_CTX_TRAIN = 500
N_OPERATIONS = 2500
ADAPTERS = ("one", "two")


@pytest.fixture(autouse=True)
def _short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that prompts of these short lanes have snapshots."""
    monkeypatch.setattr("pyrunner.engine.snapshots.BLOCK", 32)


def _expected(request: GenerationRequest) -> tuple[list[int], FinishReason]:
    """The answer, from the script and the request alone."""
    seed, max_tokens = request.sampling.seed, request.limits.max_tokens
    assert seed is not None
    n_ctx = N_CTX_TRAIN
    if max_tokens is None:
        longer = (each for each in (160, 320, N_CTX_TRAIN) if each > len(request.tokens))
        n_ctx = next(longer)
    tokens: list[int] = []
    while True:
        tokens.append(scripted_token([*request.tokens, *tokens], seed, len(tokens)))
        if tokens[-1] % END_EVERY == 0:
            return tokens, FinishReason.STOP
        if len(tokens) == max_tokens or len(request.tokens) + len(tokens) >= n_ctx:
            return tokens, FinishReason.LENGTH


class _Machine:
    def __init__(
        self, seed: int, *, has_adapters: bool, has_drafts: bool, **abilities: Any
    ) -> None:
        self.rng = random.Random(seed)
        self.session = ScriptedSession(n_lanes=N_LANES, n_ctx=N_CTX, **abilities)
        n_blobs = self.rng.choice((0, 2, 8))
        budget_bytes = n_blobs * ScriptedSession.n_bytes(N_CTX)
        self.now_s = 0.0
        self.loop = scripted_loop(
            self.session, budget_bytes, n_ctx_train=N_CTX_TRAIN, clock=lambda: self.now_s
        )
        self.has_drafts = has_drafts
        if has_drafts:
            self.loop._speculation = Speculation(is_even=not self.session.drops_tails)
            self.loop._speculation._costs = EqualCosts()
        self.has_adapters = has_adapters
        for name in ADAPTERS:
            # The session's cells say who computed them.
            loaded = LoadedAdapter(cast("Adapter", name), digest=name)
            self.loop.adapters.add(name, partial(LoadedAdapter, *loaded))
        self.requests: dict[int, GenerationRequest] = {}
        self.tokens: dict[int, list[int]] = {}
        self.text: dict[int, str] = {}
        self.ended: dict[int, FinishReason | None] = {}
        self.cancelled: set[int] = set()
        self.seen: list[list[int]] = [[]]
        self.n_preempted = 0
        self.n_failed = 0
        self.n_layouts_without_memory = 0
        self.n_refused = 0
        self.n_accepted = 0
        self.n_rejected = 0

    @property
    def lanes(self) -> Admission:
        assert self.loop._admission is not None
        return self.loop._admission

    def submit(self) -> None:
        rng = self.rng
        begun = rng.choice(self.seen)
        n_new = rng.choice((1, 10, 70, rng.randrange(1, 150), rng.choice((20, 300))))
        prompt = begun[: rng.randrange(len(begun) + 1)] + [rng.randrange(5) for _ in range(n_new)]
        request = GenerationRequest(
            request_id=len(self.requests),
            tokens=prompt,
            sampling=SamplingParams(seed=rng.randrange(100)),
            limits=Limits(max_tokens=rng.choice((None, 1, 5, 40, 400))),
            priority=rng.choice((0, 0, 0, 0, 5, -5, 1000)),
            salt=rng.choice(("", "", "=tenant")),
            adapter=rng.choice(("", "", *ADAPTERS)) if self.has_adapters else "",
            keeps_cells=rng.random() < 0.8,
        )
        if not request.keeps_cells:
            request = GenerationRequest(
                request_id=request.request_id,
                tokens=prompt,
                sampling=request.sampling,
                limits=request.limits,
                priority=request.priority,
                salt=f"#{request.request_id}",
                adapter=request.adapter,
                keeps_cells=False,
            )
        self.seen = [*self.seen[-10:], prompt]
        if self.has_drafts and rng.random() < 0.7:
            request = replace(request, prediction=self.expect(request))
        try:
            self.loop.submit(request)
        except ContextLengthError:
            assert len(prompt) >= N_CTX_TRAIN
            self.n_refused += 1
            return
        self.requests[request.request_id] = request
        self.tokens[request.request_id] = []
        self.text[request.request_id] = ""

    def expect(self, request: GenerationRequest) -> list[int]:
        """The answer, with some tokens wrong, missing, or said twice."""
        expected: list[int] = []
        for token in _expected(request)[0] if len(request.tokens) < N_CTX_TRAIN else []:
            flaw = self.rng.randrange(30)
            expected += [1] if flaw == 0 else [] if flaw == 1 else [token] * (1 + (flaw == 2))
        return expected

    def cancel(self) -> None:
        if not self.requests:
            return
        request_id = self.rng.randrange(len(self.requests))
        request_id = self.rng.choice(sorted(self.requests.keys() - self.ended) or [request_id])
        self.loop.cancel(request_id)
        self.cancelled.add(request_id)

    def interrupt(self) -> None:
        self.session.n_interrupted_after = self.rng.randrange(40)

    def lack_memory(self) -> None:
        lacking = self.rng.choice(("save", "save", "save", "restore", "layout", "", "", ""))
        if lacking == "save":
            self.session.n_saves_without_memory = 2
        elif lacking == "restore":
            self.session.n_restores_without_memory = 2
        elif lacking == "layout":
            self.session.n_layouts_without_memory = 1
            self.n_layouts_without_memory += 1

    def step(self) -> None:
        self.now_s += 1.0
        running = {each.place for each in self.lanes.sequences.values()}
        for event in self.loop.step():
            self.take(event)
        self.n_preempted += len(
            running & {each.place for each in self.lanes._waiting if each.preempted}
        )

    def take(self, event: StepEvent) -> None:
        request_id = event.request_id
        assert request_id not in self.ended
        if isinstance(event, Errored):
            # Nobody who fits the usual lanes fails for want of memory.
            assert isinstance(event.error, OutOfMemoryError)
            request = self.requests[request_id]
            n_tokens = len(request.tokens) + len(self.tokens[request_id])
            assert n_tokens >= N_CTX
            self.ended[request_id] = None
            self.n_failed += 1
            return
        self.text[request_id] += event.text
        if event.token is not None:
            self.tokens[request_id].append(event.token)
        if isinstance(event, Finished):
            self.ended[request_id] = event.finish.reason
            self.check_answer(request_id, event)

    def check_answer(self, request_id: int, event: Finished) -> None:
        request = self.requests[request_id]
        tokens, reason = _expected(request)
        if event.finish.reason is FinishReason.CANCELLED:
            assert request_id in self.cancelled
            tokens = tokens[: len(self.tokens[request_id])]
        else:
            assert event.finish.reason is reason
        assert self.tokens[request_id] == tokens
        shown = [token for token in tokens if token % END_EVERY]
        assert self.text[request_id] == "".join(f"{token} " for token in shown)
        assert event.finish.usage.prompt_tokens == len(request.tokens)
        assert event.finish.usage.completion_tokens == len(tokens)
        self.n_accepted += event.finish.usage.accepted_prediction_tokens
        self.n_rejected += event.finish.usage.rejected_prediction_tokens

    def check(self) -> None:
        self.lanes.check()
        for lane, sequence in self.lanes.sequences.items():
            assert sequence.lane == lane
            held = sequence.prompt[: sequence.n_read]
            n_more = 0 if sequence.is_reading else sequence.n_tokens - 1 - len(held)
            held = array("i", sequence.tokens[: len(held) + n_more])
            assert self.session.tokens(lane) == list(held)

    def change(self) -> None:
        busy = self.loop.n_waiting + self.loop.n_running
        operations = [self.step] * 12 + [self.cancel, self.interrupt, self.lack_memory]
        operations += [self.submit] * (6 if busy < 8 else 1 if busy < 30 else 0)
        self.rng.choice(operations)()

    def finish(self) -> None:
        while self.loop.has_work:
            self.step()
            self.check()


@pytest.mark.slow
@pytest.mark.parametrize(
    "abilities",
    [{}, {"drops_tails": False}, {"fits_layouts": False}, {"can_save": False}],
    ids=["plain", "whole prefixes only", "states of one layout", "nothing travels"],
)
@pytest.mark.parametrize("has_adapters", [False, True], ids=["one model", "adapters"])
@pytest.mark.parametrize("has_drafts", [False, True], ids=["no drafts", "drafts"])
@pytest.mark.parametrize("seed", range(4))
def test_every_request_ends_once_with_the_tokens_it_would_have_had_alone(
    seed: int, abilities: dict[str, bool], *, has_adapters: bool, has_drafts: bool
) -> None:
    machine = _Machine(seed, has_adapters=has_adapters, has_drafts=has_drafts, **abilities)
    try:
        for _ in range(N_OPERATIONS):
            machine.change()
            machine.check()
        machine.finish()
    except BaseException as error:
        error.add_note(f"seed {seed}, {abilities}")
        raise
    assert machine.ended.keys() == machine.requests.keys()
    assert machine.loop.n_running == machine.loop.n_waiting == 0
    assert not machine.lanes.held._parked._preempted
    assert machine.n_preempted > 10, "hardly anybody was preempted: proves little"
    assert len(machine.session.layouts) > 10, "the lanes were hardly ever made anew"
    assert len(machine.ended) > 100
    assert machine.n_failed <= machine.n_layouts_without_memory
    if has_drafts:
        assert min(machine.n_accepted, machine.n_rejected) > 100
