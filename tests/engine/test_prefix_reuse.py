"""Requests that start from what others read: as much as possible, and never a wrong answer."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import pytest
from support.model_cases import GEMMA3, LLAMA_BPE, LLAMA_SPM, MAMBA
from support.reference import Reference
from support.sides import Sides, on_models

from pyrunner._native import Model
from pyrunner.config import EngineConfig
from pyrunner.engine.loop import EngineLoop
from pyrunner.engine.request import Finished, GenerationRequest, StepEvent
from pyrunner.types import FinishReason, Limits, SamplingParams, Usage

pytestmark = [pytest.mark.native, pytest.mark.model]

LARGEST_GAP = 0.1
"""Logits between a token and the favourite of llama.cpp where step shapes differ."""
CONFIG = EngineConfig(n_ctx=1024, n_lanes=4, n_batch=128, n_threads=1, speculation="off")
GREEDY = SamplingParams(temperature=0)


def _draw(n_tokens: int, seed: int) -> list[int]:
    rng = random.Random(seed)
    return [rng.randrange(260, 30000) for _ in range(n_tokens)]


@dataclass(slots=True)
class _Answer:
    prompt: list[int]
    tokens: list[int] = field(default_factory=list)
    usage: Usage | None = None
    reason: FinishReason | None = None

    @property
    def text(self) -> list[int]:
        """Prompt and answer, to go on from."""
        return self.prompt + self.tokens

    @property
    def n_cached(self) -> int:
        assert self.usage is not None
        assert self.usage.prompt_tokens == len(self.prompt)
        return self.usage.cached_tokens


class _Talks:
    """A loop whose cache is checked after each step, and what came out of it."""

    def __init__(self, model: Model, config: EngineConfig = CONFIG) -> None:
        self.loop = EngineLoop(model, config)
        self.answers: list[_Answer] = []

    def submit(self, prompt: Sequence[int], *, max_tokens: int = 8, salt: str = "") -> _Answer:
        self.answers.append(_Answer(list(prompt)))
        request = GenerationRequest(
            request_id=len(self.answers) - 1,
            tokens=prompt,
            sampling=GREEDY,
            limits=Limits(max_tokens=max_tokens, ignore_eos=True),
            salt=salt,
        )
        self.loop.submit(request)
        return self.answers[-1]

    def cancel(self, answer: _Answer) -> None:
        self.loop.cancel(self.answers.index(answer))

    def step(self, n_steps: int = 1) -> None:
        for _ in range(n_steps):
            for event in self.loop.step():
                self._take(event)
            self.loop._lanes.check()

    def _take(self, event: StepEvent) -> None:
        answer = self.answers[event.request_id]
        token = getattr(event, "token", None)
        if token is not None:
            answer.tokens.append(token)
        if isinstance(event, Finished):
            answer.usage, answer.reason = event.finish.usage, event.finish.reason

    def run(self) -> None:
        while self.loop.has_work:
            self.step()

    def ask(self, prompt: Sequence[int], *, max_tokens: int = 8, salt: str = "") -> _Answer:
        """One request alone, from beginning to end."""
        answer = self.submit(prompt, max_tokens=max_tokens, salt=salt)
        self.run()
        assert len(answer.tokens) == max_tokens
        return answer

    @property
    def n_read(self) -> int:
        """Prompt tokens that were read, over all requests that are over."""
        return sum(len(each.prompt) - each.n_cached for each in self.answers)

    def judge(self, reference: Reference) -> None:
        """Hold every token against one pass of llama.cpp over the whole text."""
        for answer in self.answers:
            if answer.tokens:
                scores = reference.score(answer.prompt, answer.tokens, n_batch=1024)
                assert max(score.gap for score in scores) <= LARGEST_GAP


@pytest.fixture
def talks(sides: Sides) -> Iterator[_Talks]:
    """Four lanes; what they answer is judged at the end."""
    talks = _Talks(sides.model)
    yield talks
    talks.judge(sides.reference)


@pytest.fixture
def narrow(sides: Sides) -> Iterator[_Talks]:
    """One lane, with room to park a few."""
    narrow = _Talks(sides.model, replace(CONFIG, n_lanes=1, cache_bytes=2**27))
    yield narrow
    narrow.judge(sides.reference)


@on_models([LLAMA_BPE])
def test_a_request_that_comes_back_reads_one_token(talks: _Talks) -> None:
    prompt = _draw(700, seed=1)
    assert talks.ask(prompt).n_cached == 0
    second, third = talks.ask(prompt), talks.ask(prompt)
    assert second.n_cached == third.n_cached == 699
    assert second.tokens == third.tokens  # the same step shapes


@on_models([LLAMA_BPE, LLAMA_SPM, GEMMA3, MAMBA])
def test_a_conversation_that_grows_reads_only_what_is_new(talks: _Talks) -> None:
    answer = talks.ask(_draw(650, seed=1))
    for turn in range(3):
        prompt = answer.text + _draw(20, seed=10 + turn)
        # The last token of an answer was sampled and never read.
        n_held = len(answer.text) - 1
        answer = talks.ask(prompt)
        assert answer.n_cached == n_held


@on_models([LLAMA_BPE, LLAMA_SPM, GEMMA3, MAMBA])
def test_conversations_that_alternate_over_one_lane_are_parked_and_come_back(
    sides: Sides, narrow: _Talks
) -> None:
    alone = _Talks(sides.model, replace(CONFIG, n_lanes=1))
    first, second = narrow.ask(_draw(650, seed=1)), narrow.ask(_draw(620, seed=2))
    undisturbed = alone.ask(_draw(650, seed=1))
    for turn in range(3):
        n_held, undisturbed_prompt = len(first.text) - 1, undisturbed.text
        first = narrow.ask(first.text + _draw(20, seed=10 + turn))
        assert first.n_cached == n_held
        n_held = len(second.text) - 1
        second = narrow.ask(second.text + _draw(20, seed=20 + turn))
        assert second.n_cached == n_held
        # Cells that travelled are the same to the bit, and so are the step shapes.
        undisturbed = alone.ask(undisturbed_prompt + _draw(20, seed=10 + turn))
        assert first.tokens == undisturbed.tokens
    assert narrow.loop._lanes.held.parked_bytes > 0


@on_models([LLAMA_BPE])
def test_without_a_budget_the_lane_is_all_there_is(sides: Sides) -> None:
    talks = _Talks(sides.model, replace(CONFIG, n_lanes=1, cache_bytes=0))
    first = talks.ask(_draw(650, seed=1))
    assert talks.ask([*first.text, 5, 6]).n_cached == len(first.text) - 1
    assert talks.ask(_draw(620, seed=2)).n_cached == 0
    assert talks.ask([*first.text, 5, 6]).n_cached == 0
    assert talks.loop._lanes.held.parked_bytes == 0
    talks.judge(sides.reference)


@pytest.mark.parametrize("cache_bytes", [-1, 0])
@pytest.mark.parametrize("n_lanes", [2, 4])
@on_models([LLAMA_BPE])
def test_requests_that_arrive_together_read_their_common_beginning_once(
    sides: Sides, n_lanes: int, cache_bytes: int
) -> None:
    talks = _Talks(sides.model, replace(CONFIG, n_lanes=n_lanes, cache_bytes=cache_bytes))
    shared = _draw(720, seed=1)
    answers = [talks.submit([*shared, 300 + i, *_draw(29, seed=i)]) for i in range(6)]
    talks.run()
    # Later ones may find a token or two of somebody's own part, never less than all they share.
    assert [answer.n_cached for answer in answers] == [0] + 5 * [720]
    assert talks.n_read == 720 + 6 * 30
    talks.judge(sides.reference)


@on_models([LLAMA_BPE])
def test_those_who_share_nothing_do_not_wait(talks: _Talks) -> None:
    shared = _draw(700, seed=1)
    talks.submit([*shared, 300])
    follower = talks.submit([*shared, 301])
    talks.submit(_draw(30, seed=2))
    talks.step()
    assert (talks.loop.n_running, talks.loop.n_waiting) == (2, 1)
    talks.run()
    assert follower.n_cached == 700


@on_models([LLAMA_BPE, LLAMA_SPM])
def test_a_request_branches_off_one_that_runs(talks: _Talks) -> None:
    running = talks.submit(_draw(640, seed=1), max_tokens=60)
    while len(running.tokens) < 20:
        talks.step()
    branch = talks.submit([*running.text[:650], 7, *_draw(20, seed=2)])
    again = talks.submit([*running.text[:650], 8, *_draw(20, seed=3)])
    talks.run()
    assert branch.n_cached == again.n_cached == 650
    assert len(running.tokens) == 60
    # What a lane that was branched off holds is found when it rests, too.
    assert talks.ask([*running.text, 9]).n_cached == len(running.text) - 1


@on_models([LLAMA_BPE])
def test_a_leader_that_is_cancelled_leaves_what_it_read_to_the_next(talks: _Talks) -> None:
    shared = _draw(700, seed=1)
    leader, second, third = (talks.submit([*shared, 300 + i]) for i in range(3))
    talks.step(2)
    assert (talks.loop.n_running, talks.loop.n_waiting) == (1, 2)
    talks.cancel(leader)
    talks.step()
    assert leader.reason is FinishReason.CANCELLED
    assert (talks.loop.n_running, talks.loop.n_waiting) == (1, 1)
    talks.run()
    n_chunk = 117  # 701 tokens in six equal chunks of at most 128
    assert (second.n_cached, third.n_cached) == (2 * n_chunk, 700)


@on_models([LLAMA_BPE])
def test_a_follower_that_is_cancelled_is_gone(talks: _Talks) -> None:
    shared = _draw(700, seed=1)
    leader, follower = (talks.submit([*shared, 300 + i]) for i in range(2))
    talks.step()
    talks.cancel(follower)
    talks.step()
    assert (follower.reason, follower.n_cached) == (FinishReason.CANCELLED, 0)
    talks.run()
    assert len(leader.tokens) == 8


@on_models([LLAMA_BPE])
def test_an_interrupted_leader_is_followed_to_the_end(talks: _Talks) -> None:
    shared = _draw(700, seed=1)
    answers = [talks.submit([*shared, 300 + i]) for i in range(3)]
    while talks.loop.n_waiting:
        talks.loop.interrupt()
        talks.step(2)
    talks.run()
    assert [answer.n_cached for answer in answers] == [0, 700, 700]


@on_models([LLAMA_BPE, LLAMA_SPM, GEMMA3, MAMBA])
def test_a_sequence_that_moves_into_a_hole_parks_what_rested_there(talks: _Talks) -> None:
    short = talks.submit(_draw(640, seed=1), max_tokens=3)
    long = talks.submit(_draw(630, seed=2), max_tokens=40)
    while short.reason is None:
        talks.step()
    talks.step(3)
    assert talks.loop.session.lane_length(1) == 0  # the second is in lane 0 now
    back = talks.submit([*short.text, 7, 8])
    talks.run()
    assert back.n_cached == len(short.text) - 1
    assert talks.ask([*long.text, 9]).n_cached == len(long.text) - 1


@on_models([LLAMA_BPE, MAMBA])
def test_different_salts_share_nothing(talks: _Talks) -> None:
    prompt = _draw(650, seed=1)
    one, two, third = (talks.submit(prompt, salt=salt) for salt in ("one", "two", ""))
    talks.step()
    assert talks.loop.n_running == 3
    talks.run()
    assert [each.n_cached for each in (one, two, third)] == [0, 0, 0]
    assert talks.ask([*one.text, 7], salt="four").n_cached == 0
    assert talks.ask([*one.text, 7], salt="one").n_cached == len(one.text) - 1


@on_models([LLAMA_BPE])
def test_salts_that_alternate_over_one_lane_share_nothing(narrow: _Talks) -> None:
    prompt = _draw(650, seed=1)
    cached = [narrow.ask(prompt, salt=salt).n_cached for salt in ("one", "two", "one", "two")]
    assert cached == [0, 0, 649, 649]


@on_models([GEMMA3, MAMBA])
def test_memory_that_cannot_drop_tails_starts_only_from_whole_beginnings(talks: _Talks) -> None:
    prompt = _draw(650, seed=1)
    first = talks.ask(prompt)
    assert talks.ask(prompt).n_cached == 0  # the answer to it is in the way
    assert talks.ask([*first.text, 7]).n_cached == len(first.text) - 1
    assert talks.ask([*first.text[:640], *_draw(20, seed=2)]).n_cached == 0


@on_models([GEMMA3, MAMBA])
def test_memory_that_cannot_drop_tails_does_not_follow(talks: _Talks) -> None:
    shared = _draw(650, seed=1)
    answers = [talks.submit([*shared, 300 + i]) for i in range(3)]
    talks.step()
    assert talks.loop.n_running == 3
    talks.run()
    assert [answer.n_cached for answer in answers] == [0, 0, 0]


@pytest.mark.slow
@pytest.mark.parametrize("cache_bytes", [-1, 300_000, 0])
@on_models([LLAMA_BPE, LLAMA_SPM, GEMMA3, MAMBA])
def test_a_mixed_load_with_cancels_is_answered_as_the_reference_would(
    sides: Sides, cache_bytes: int
) -> None:
    rng = random.Random(cache_bytes)
    talks = _Talks(sides.model, replace(CONFIG, n_lanes=3, cache_bytes=cache_bytes))
    beginnings = [_draw(n, seed=n) for n in (40, 300, 620)]
    for _ in range(40):
        old = rng.choice([*beginnings, *[each.text for each in talks.answers[-6:]]])
        n_kept = rng.choice((len(old), len(old), rng.randint(0, len(old))))
        prompt = old[: min(n_kept, 900)] + _draw(rng.randint(1, 40), seed=rng.randrange(10**6))
        talks.submit(prompt, max_tokens=rng.randint(1, 12), salt=rng.choice(("", "", "tenant")))
        for _ in range(rng.choice((0, 1, 3, 12))):
            if rng.random() < 0.1:
                talks.loop.interrupt()
            if rng.random() < 0.1:
                talks.cancel(rng.choice(talks.answers))
            talks.step()
    talks.run()
    assert talks.loop.n_running == 0
    assert sum(each.n_cached for each in talks.answers) > 0
    talks.judge(sides.reference)
