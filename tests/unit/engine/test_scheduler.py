"""What the next step reads."""

import random

import pytest

from pyrunner.engine.scheduler import (
    N_DEEP,
    ChunkPart,
    PromptState,
    SchedulerConfig,
    StepSchedule,
    schedule_step,
)

N_TWICE = 2048
CONFIG = SchedulerConfig(n_chunk_alone=100, n_chunk_shared=10, n_twice=N_TWICE)
USUAL_WORK = 10 * (N_TWICE + N_DEEP)


def test_nothing_to_do_gives_an_empty_schedule() -> None:
    assert schedule_step([], [], CONFIG) == StepSchedule((), ())


def test_a_prompt_alone_gets_large_chunks_of_equal_length() -> None:
    prompt = PromptState(lane=0, n_read=0, n_tokens=250)
    ends = []
    while prompt.n_read < prompt.n_tokens:
        [part] = schedule_step([], [prompt], CONFIG).chunk
        ends.append(part.end)
        prompt = PromptState(0, part.end, 250)
    assert ends == [84, 167, 250]


def test_a_prompt_beside_running_sequences_gets_the_small_chunk() -> None:
    prompt = PromptState(lane=2, n_read=N_DEEP, n_tokens=N_DEEP + 240)
    schedule = schedule_step([1, 0], [prompt], CONFIG)
    assert schedule.running_lanes == (0, 1)
    assert schedule.chunk == (ChunkPart(2, N_DEEP, N_DEEP + 10, is_last=False),)


def test_chunks_beside_running_sequences_take_about_equally_long() -> None:
    n_tokens = N_DEEP + 1000
    lengths = _chunks(n_tokens)
    assert sum(lengths) == n_tokens
    assert (max(lengths), lengths[-1]) == (28, 10)
    end = 0
    for length in lengths:
        begin, end = end, end + length
        assert 0.9 * USUAL_WORK < _work(begin, end) < 1.1 * USUAL_WORK


def test_where_attention_costs_little_chunks_are_of_about_equal_length() -> None:
    config = SchedulerConfig(n_chunk_alone=100, n_chunk_shared=10, n_twice=100 * N_DEEP)
    [part] = schedule_step([0], [PromptState(1, 0, 9000)], config).chunk
    assert part.end == 11


def _work(begin: int, end: int) -> int:
    return sum(N_TWICE + min(i, N_DEEP) for i in range(begin, end))


def _chunks(n_tokens: int) -> list[int]:
    n_read, lengths = 0, []
    while n_read < n_tokens:
        [part] = schedule_step([0], [PromptState(1, n_read, n_tokens)], CONFIG).chunk
        lengths.append(part.end - n_read)
        n_read = part.end
    return lengths


def test_chunks_beside_running_sequences_are_no_longer_than_alone() -> None:
    config = SchedulerConfig(n_chunk_alone=12, n_chunk_shared=10, n_twice=N_TWICE)
    [part] = schedule_step([0], [PromptState(1, 0, 9000)], config).chunk
    assert part.end == 12


@pytest.mark.parametrize(("n_left", "n_rows"), [(10, 10), (14, 14), (15, 8), (24, 12), (26, 9)])
def test_a_little_more_is_read_rather_than_left_for_a_short_chunk(n_left, n_rows) -> None:
    schedule = schedule_step([0], [PromptState(1, N_DEEP, N_DEEP + n_left)], CONFIG)
    [part] = schedule.chunk
    assert part.end - part.start == n_rows


def test_the_oldest_prompt_goes_alone_because_two_of_unequal_length_split_the_batch() -> None:
    prompts = [
        PromptState(lane=3, n_read=0, n_tokens=70),
        PromptState(lane=1, n_read=0, n_tokens=60),
    ]
    schedule = schedule_step([], prompts, CONFIG)
    assert schedule.chunk == (ChunkPart(3, 0, 70, is_last=True),)


def test_short_prompts_go_together() -> None:
    prompts = [PromptState(lane=lane, n_read=0, n_tokens=30) for lane in (3, 1, 2, 0)]
    schedule = schedule_step([], prompts, CONFIG)
    assert schedule.chunk == (
        ChunkPart(1, 0, 30, is_last=True),
        ChunkPart(2, 0, 30, is_last=True),
        ChunkPart(3, 0, 30, is_last=True),
    )


def test_no_chunk_goes_over_a_block() -> None:
    parts = []
    n_read = 30
    while n_read < 150:
        prompt = PromptState(lane=0, n_read=n_read, n_tokens=150)
        [part] = schedule_step([], [prompt], CONFIG, n_block=64).chunk
        parts.append((part.start, part.end, part.is_last))
        n_read = part.end
    assert parts == [(30, 64, False), (64, 128, False), (128, 150, True)]


@pytest.mark.parametrize("n_block", [0, 32])
@pytest.mark.parametrize("seed", range(5))
def test_random_prompts_are_read_once_within_the_budget_and_in_order(
    seed: int, n_block: int
) -> None:
    rng = random.Random(seed)
    # Half of them go on behind many tokens.
    n_read = {lane: rng.choice((0, N_DEEP)) for lane in range(8)}
    lengths = {lane: n_read[lane] + rng.randrange(1, 300) for lane in range(8)}
    running: list[int] = []
    while n_read:
        prompts = [PromptState(lane, done, lengths[lane]) for lane, done in n_read.items()]
        schedule = schedule_step(running, prompts, CONFIG, n_block)
        assert 0 < sum(part.end - part.start for part in schedule.chunk) <= 100
        if running:
            work = sum(_work(part.start, part.end) for part in schedule.chunk)
            assert work <= 1.5 * USUAL_WORK
        assert [part.lane for part in schedule.chunk] == sorted(
            part.lane for part in schedule.chunk
        )
        assert schedule.running_lanes == tuple(sorted(running))
        for part in schedule.chunk:
            assert part.start == n_read[part.lane]
            assert part.is_last == (part.end == lengths[part.lane])
            assert not n_block or part.start // n_block == (part.end - 1) // n_block
            n_read[part.lane] = part.end
            if part.is_last:
                del n_read[part.lane]
                running.append(part.lane)
        if running and rng.random() < 0.3:
            running.pop(rng.randrange(len(running)))


def test_a_chunk_beside_sequences_of_another_step_is_a_small_one() -> None:
    """With another adapter they cannot be in this one, and wait for its end."""
    prompt = PromptState(1, 0, 9000)
    beside = schedule_step([], [prompt], CONFIG, others_run=True)
    assert beside.chunk == schedule_step([0], [prompt], CONFIG).chunk
    assert beside.running_lanes == ()
    assert beside.chunk != schedule_step([], [prompt], CONFIG).chunk
