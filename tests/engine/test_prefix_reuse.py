"""Requests that start from what others read: as much as possible, and never a wrong answer."""

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest
from support.model_cases import GEMMA3, LLAMA_BPE, LLAMA_SPM, MAMBA
from support.sides import Sides, on_models
from support.talks import CONFIG, Talks, draw

from pyrunner.engine.snapshots import BLOCK
from pyrunner.types import FinishReason

pytestmark = [pytest.mark.native, pytest.mark.model]


@pytest.fixture
def talks(sides: Sides) -> Iterator[Talks]:
    """Four lanes; what they answer is judged at the end."""
    talks = Talks(sides.model)
    yield talks
    talks.judge(sides.reference)


@pytest.fixture
def narrow(sides: Sides) -> Iterator[Talks]:
    """One lane, with room to park a few."""
    narrow = Talks(sides.model, replace(CONFIG, n_lanes=1, cache_bytes=2**27))
    yield narrow
    narrow.judge(sides.reference)


@on_models([LLAMA_BPE])
def test_a_request_that_comes_back_reads_one_token(talks: Talks) -> None:
    prompt = draw(700, seed=1)
    assert talks.ask(prompt).n_cached == 0
    second, third = talks.ask(prompt), talks.ask(prompt)
    assert second.n_cached == third.n_cached == 699
    assert second.tokens == third.tokens  # the same step shapes


@on_models([LLAMA_BPE, LLAMA_SPM, GEMMA3, MAMBA])
def test_a_conversation_that_grows_reads_only_what_is_new(talks: Talks) -> None:
    answer = talks.ask(draw(650, seed=1))
    for turn in range(3):
        prompt = answer.text + draw(20, seed=10 + turn)
        # The last token of an answer was sampled and never read.
        n_held = len(answer.text) - 1
        answer = talks.ask(prompt)
        assert answer.n_cached == n_held


@on_models([LLAMA_BPE, LLAMA_SPM, GEMMA3, MAMBA])
def test_conversations_that_alternate_over_one_lane_are_parked_and_come_back(
    sides: Sides, narrow: Talks
) -> None:
    alone = Talks(sides.model, replace(CONFIG, n_lanes=1))
    first, second = narrow.ask(draw(650, seed=1)), narrow.ask(draw(620, seed=2))
    undisturbed = alone.ask(draw(650, seed=1))
    for turn in range(3):
        n_held, undisturbed_prompt = len(first.text) - 1, undisturbed.text
        first = narrow.ask(first.text + draw(20, seed=10 + turn))
        assert first.n_cached == n_held
        n_held = len(second.text) - 1
        second = narrow.ask(second.text + draw(20, seed=20 + turn))
        assert second.n_cached == n_held
        # Cells that travelled are the same to the bit, and so are the step shapes.
        undisturbed = alone.ask(undisturbed_prompt + draw(20, seed=10 + turn))
        assert first.tokens == undisturbed.tokens
    assert narrow.loop._lanes.held.parked_bytes > 0


@on_models([LLAMA_BPE])
def test_without_a_budget_the_lane_is_all_there_is(sides: Sides) -> None:
    talks = Talks(sides.model, replace(CONFIG, n_lanes=1, cache_bytes=0))
    first = talks.ask(draw(650, seed=1))
    assert talks.ask([*first.text, 5, 6]).n_cached == len(first.text) - 1
    assert talks.ask(draw(620, seed=2)).n_cached == 0
    assert talks.ask([*first.text, 5, 6]).n_cached == 0
    assert talks.loop._lanes.held.parked_bytes == 0
    talks.judge(sides.reference)


@pytest.mark.parametrize("cache_bytes", [-1, 0])
@pytest.mark.parametrize("n_lanes", [2, 4])
@on_models([LLAMA_BPE])
def test_requests_that_arrive_together_read_their_common_beginning_once(
    sides: Sides, n_lanes: int, cache_bytes: int
) -> None:
    talks = Talks(sides.model, replace(CONFIG, n_lanes=n_lanes, cache_bytes=cache_bytes))
    shared = draw(720, seed=1)
    answers = [talks.submit([*shared, 300 + i, *draw(29, seed=i)]) for i in range(6)]
    talks.run()
    # Later ones may find a token or two of somebody's own part, never less than all they share.
    assert [answer.n_cached for answer in answers] == [0] + 5 * [720]
    assert talks.n_read == 720 + 6 * 30
    talks.judge(sides.reference)


@on_models([LLAMA_BPE])
def test_those_who_share_nothing_do_not_wait(talks: Talks) -> None:
    shared = draw(700, seed=1)
    talks.submit([*shared, 300])
    follower = talks.submit([*shared, 301])
    talks.submit(draw(30, seed=2))
    talks.step()
    assert (talks.loop.n_running, talks.loop.n_waiting) == (2, 1)
    talks.run()
    assert follower.n_cached == 700


@on_models([LLAMA_BPE, LLAMA_SPM])
def test_a_request_branches_off_one_that_runs(talks: Talks) -> None:
    running = talks.submit(draw(640, seed=1), max_tokens=60)
    while len(running.tokens) < 20:
        talks.step()
    branch = talks.submit([*running.text[:650], 7, *draw(20, seed=2)])
    again = talks.submit([*running.text[:650], 8, *draw(20, seed=3)])
    talks.run()
    assert branch.n_cached == again.n_cached == 650
    assert len(running.tokens) == 60
    # What a lane that was branched off holds is found when it rests, too.
    assert talks.ask([*running.text, 9]).n_cached == len(running.text) - 1


@on_models([LLAMA_BPE])
def test_a_leader_that_is_cancelled_leaves_what_it_read_to_the_next(talks: Talks) -> None:
    shared = draw(700, seed=1)
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
def test_a_follower_that_is_cancelled_is_gone(talks: Talks) -> None:
    shared = draw(700, seed=1)
    leader, follower = (talks.submit([*shared, 300 + i]) for i in range(2))
    talks.step()
    talks.cancel(follower)
    talks.step()
    assert (follower.reason, follower.n_cached) == (FinishReason.CANCELLED, 0)
    talks.run()
    assert len(leader.tokens) == 8


@on_models([LLAMA_BPE])
def test_an_interrupted_leader_is_followed_to_the_end(talks: Talks) -> None:
    shared = draw(700, seed=1)
    answers = [talks.submit([*shared, 300 + i]) for i in range(3)]
    while talks.loop.n_waiting:
        talks.loop.interrupt()
        talks.step(2)
    talks.run()
    assert [answer.n_cached for answer in answers] == [0, 700, 700]


@on_models([LLAMA_BPE, LLAMA_SPM, GEMMA3, MAMBA])
def test_a_sequence_that_moves_into_a_hole_parks_what_rested_there(talks: Talks) -> None:
    short = talks.submit(draw(640, seed=1), max_tokens=3)
    long = talks.submit(draw(630, seed=2), max_tokens=40)
    while short.reason is None:
        talks.step()
    talks.step(3)
    assert talks.loop.session.lane_length(1) == 0  # the second is in lane 0 now
    back = talks.submit([*short.text, 7, 8])
    talks.run()
    assert back.n_cached == len(short.text) - 1
    assert talks.ask([*long.text, 9]).n_cached == len(long.text) - 1


@on_models([LLAMA_BPE, MAMBA])
def test_different_salts_share_nothing(talks: Talks) -> None:
    prompt = draw(650, seed=1)
    one, two, third = (talks.submit(prompt, salt=salt) for salt in ("one", "two", ""))
    talks.step()
    assert talks.loop.n_running == 3
    talks.run()
    assert [each.n_cached for each in (one, two, third)] == [0, 0, 0]
    assert talks.ask([*one.text, 7], salt="four").n_cached == 0
    assert talks.ask([*one.text, 7], salt="one").n_cached == len(one.text) - 1


@on_models([LLAMA_BPE])
def test_salts_that_alternate_over_one_lane_share_nothing(narrow: Talks) -> None:
    prompt = draw(650, seed=1)
    cached = [narrow.ask(prompt, salt=salt).n_cached for salt in ("one", "two", "one", "two")]
    assert cached == [0, 0, 649, 649]


@on_models([GEMMA3, MAMBA])
def test_memory_that_cannot_drop_tails_starts_only_from_whole_beginnings(talks: Talks) -> None:
    prompt = draw(650, seed=1)
    first = talks.ask(prompt)
    assert talks.ask([*first.text, 7]).n_cached == len(first.text) - 1
    # Of the prompt alone there are snapshots; the answer to it is in the way of the rest.
    assert talks.ask(prompt).n_cached == 2 * BLOCK
    assert talks.ask([*first.text[:640], *draw(20, seed=2)]).n_cached == 2 * BLOCK
    assert talks.ask([*prompt[:500], 7]).n_cached == BLOCK
    assert talks.ask([*prompt[:200], 7]).n_cached == 0


@on_models([GEMMA3, MAMBA])
def test_memory_that_cannot_drop_tails_follows_up_to_a_snapshot(talks: Talks) -> None:
    shared = draw(650, seed=1)
    answers = [talks.submit([*shared, 300 + i]) for i in range(3)]
    talks.step()
    assert talks.loop.n_running == 1
    talks.run()
    assert [answer.n_cached for answer in answers] == [0, 2 * BLOCK, 2 * BLOCK]


@on_models([GEMMA3, MAMBA])
def test_without_room_for_snapshots_nobody_waits_for_them(sides: Sides) -> None:
    talks = Talks(sides.model, replace(CONFIG, cache_bytes=0))
    shared = draw(650, seed=1)
    answers = [talks.submit([*shared, 300 + i]) for i in range(3)]
    talks.step()
    assert talks.loop.n_running == 3
    talks.run()
    assert [answer.n_cached for answer in answers] == [0, 0, 0]
    talks.judge(sides.reference)


@pytest.mark.slow
@pytest.mark.parametrize("cache_bytes", [-1, 300_000, 0])
@on_models([LLAMA_BPE, LLAMA_SPM, GEMMA3, MAMBA])
def test_a_mixed_load_with_cancels_is_answered_as_the_reference_would(
    sides: Sides, cache_bytes: int
) -> None:
    rng = random.Random(cache_bytes)
    talks = Talks(sides.model, replace(CONFIG, n_lanes=3, cache_bytes=cache_bytes))
    beginnings = [draw(n, seed=n) for n in (40, 300, 620)]
    for _ in range(40):
        old = rng.choice([*beginnings, *[each.text for each in talks.answers[-6:]]])
        n_kept = rng.choice((len(old), len(old), rng.randint(0, len(old))))
        prompt = old[: min(n_kept, 900)] + draw(rng.randint(1, 40), seed=rng.randrange(10**6))
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
