"""What the next step reads. Pure: no native calls, no clock.

Running sequences go first, with one token and its draft each, so a stream that has started never
waits for a prompt to be read whole: beside running sequences a prompt is read in small chunks,
alone in large ones.

A chunk is of one prompt, whose turn it is (`pyrunner.engine.reading_order`), because llama.cpp
splits a batch where lanes have unequal numbers of tokens, and each part is a pass over all weights.
Beside running sequences the chunks of a prompt take about equally long, because the longest is the
pause that a stream sees: a token takes the longer the more are before it, so the first chunks have
more tokens, up to all that a step can have. Alone they are of equal length, because a token costs
more in a short one ("Passes" in docs/benchmarks.md).
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

N_CHUNK_SHARED = 96
"""Prompt tokens read in a step beside running sequences, behind `N_DEEP` tokens of their prompt.
What they take is the pause that a running stream sees; fewer cost more each in short lanes
("Passes" in docs/benchmarks.md), and the running sequences take a pass of their own beside each
chunk."""
N_DEEP = 3584
"""Tokens of a prompt behind which its chunks become no shorter."""
N_EFFICIENT = 64
"""Tokens below which a chunk takes the next prompts with it: what one costs still falls a lot up to
here ("Passes" in docs/benchmarks.md)."""


@dataclass(frozen=True, slots=True)
class SchedulerConfig:
    """Budgets of one step, in tokens."""

    n_chunk_alone: int
    """Prompt tokens of a step in which nothing else runs, at least 1."""
    n_chunk_shared: int
    """Prompt tokens of a step beside running sequences, 1..`n_chunk_alone`, deep in a prompt, or
    what takes about as long before; up to half as much again where that reads it to its end, or
    where the next prompt joins. Bounds the gap that a running stream sees."""
    n_twice: int
    """Tokens of a prompt behind which one takes about twice as long as the first, at least 1."""

    @classmethod
    def of(cls, n_batch: int, n_twice: int) -> "SchedulerConfig":
        """The usual budgets of a session whose steps have at most `n_batch` prompt tokens."""
        return cls(n_batch, min(N_CHUNK_SHARED, n_batch), n_twice)

    @property
    def usual_work(self) -> int:
        """Of a step beside running sequences, as `work` counts it."""
        return self.n_chunk_shared * (N_DEEP + self.n_twice)

    def work(self, n_tokens: int) -> int:
        """What reading so many tokens takes: each `n_twice`, and one for each before it."""
        n_near = min(n_tokens, N_DEEP)
        n_far = n_tokens - n_near
        return n_tokens * self.n_twice + n_near * (n_near - 1) // 2 + n_far * N_DEEP


@dataclass(frozen=True, slots=True)
class PromptState:
    """A prompt that is not read to its end."""

    lane: int
    n_read: int
    n_tokens: int


@dataclass(frozen=True, slots=True)
class ChunkPart:
    """Tokens `start` to `end` of the prompt in one lane."""

    lane: int
    start: int
    end: int
    is_last: bool
    """The prompt ends here, so the first token is sampled."""


@dataclass(frozen=True, slots=True)
class StepSchedule:
    """One step, both parts sorted by lane."""

    running_lanes: tuple[int, ...]
    chunk: tuple[ChunkPart, ...]


def schedule_step(
    running_lanes: Sequence[int],
    prompts: Sequence[PromptState],
    config: SchedulerConfig,
    n_block: int = 1,
    *,
    others_run: bool = False,
) -> StepSchedule:
    """Choose the rows of the next step.

    Args:
        running_lanes: Lanes that produce tokens.
        prompts: Prompts still to be read, whose turn it is first.
        config: The budgets.
        n_block: Above 1, no chunk goes over a multiple of so many tokens of its prompt.
        others_run: Lanes produce tokens that are not in this step, and wait for its end.

    Returns:
        A schedule without rows exactly when there is nothing to do.
    """
    parts = _parts(prompts, config, n_block, is_shared=bool(running_lanes) or others_run)
    chunk = sorted(parts, key=lambda part: part.lane)
    return StepSchedule(tuple(sorted(running_lanes)), tuple(chunk))


def _parts(
    prompts: Sequence[PromptState], config: SchedulerConfig, n_block: int, *, is_shared: bool
) -> Iterator[ChunkPart]:
    n_most = config.n_chunk_alone
    n_rows = n_worked = 0
    for prompt in prompts:
        if n_rows >= min(N_EFFICIENT, n_most):
            return
        begin, stop = prompt.n_read, prompt.n_tokens
        if n_block > 1:
            stop = min(stop, (begin // n_block + 1) * n_block)
        end = min(_end(begin, stop, n_most), begin + n_most - n_rows)
        if is_shared:
            end = min(end, _shared_end(begin, stop, config, n_worked))
        if end == begin:
            return
        n_rows += end - begin
        n_worked += config.work(end) - config.work(begin)
        yield ChunkPart(prompt.lane, begin, end, is_last=end == prompt.n_tokens)


def _end(begin: int, stop: int, n_most: int) -> int:
    """Where the first of as few equally long chunks as there can be ends."""
    n_left = stop - begin
    n_chunks = -(-n_left // n_most)
    return begin + -(-n_left // n_chunks)


def _shared_end(begin: int, stop: int, config: SchedulerConfig, n_worked: int) -> int:
    """Where the first of chunks of equal work, near to the usual, ends.

    With what was `n_worked` before in this step it is at most half as much again.
    """
    work, usual = config.work, config.usual_work
    done = work(begin)
    left = work(stop) - done
    n_chunks = max(1, (2 * left + usual) // (2 * usual))
    end = bisect_left(range(stop), done + -(-left // n_chunks), begin + 1, key=work)
    room = done + usual * 3 // 2 - n_worked
    return end if work(end) <= room else bisect_right(range(end), room, begin, key=work) - 1
