"""What the next step reads. Pure: no native calls, no clock.

Running sequences go first, with one token and its draft each, so a stream that has started never
waits for a prompt to be read whole: beside running sequences a prompt is read in small chunks,
alone in large ones.

A chunk is of one prompt, whose turn it is (`pyrunner.engine.reading_order`), because llama.cpp
splits a batch where lanes have unequal numbers of tokens, and each part is a pass over all weights.
A prompt is read in as few chunks as the pause of running sequences allows: each token costs more
in a short one ("Passes" in docs/benchmarks.md), and more behind many others.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

N_CHUNK_SHARED = 96
"""Prompt tokens read in a step beside running sequences, behind `N_DEEP` tokens of their prompt.
What they take is the pause that a running stream sees; fewer cost more each in short lanes
("Passes" in docs/benchmarks.md), and the running sequences take a pass of their own beside each
chunk."""
N_DEEP = 3584
"""Tokens of a prompt behind which its chunks are the shortest. Before, a token costs less, so more
of them make the same pause and fewer passes."""
N_TWICE = 2048
"""Tokens behind which one costs about twice what the first does."""
N_EFFICIENT = 64
"""Tokens below which a chunk takes the next prompts with it: what one costs still falls a lot up to
here ("Passes" in docs/benchmarks.md)."""


@dataclass(frozen=True, slots=True)
class SchedulerConfig:
    """Budgets of one step, in tokens."""

    n_chunk_alone: int
    """Prompt tokens of a step in which nothing else runs, at least 1."""
    n_chunk_shared: int
    """Prompt tokens of a step beside running sequences, 1..`n_chunk_alone`, deep in a prompt; up to
    half as many again where that reads it to its end. Bounds the gap that a running stream sees."""

    @classmethod
    def of(cls, n_batch: int) -> "SchedulerConfig":
        """The usual budgets of a session whose steps have at most `n_batch` prompt tokens."""
        return cls(n_batch, min(N_CHUNK_SHARED, n_batch))

    def shared(self, n_read: int) -> int:
        """Prompt tokens beside running sequences behind `n_read`, that take about equally long."""
        n_rows = self.n_chunk_shared * (N_DEEP + N_TWICE) // (min(n_read, N_DEEP) + N_TWICE)
        return min(n_rows, self.n_chunk_alone)


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
) -> StepSchedule:
    """Choose the rows of the next step.

    Args:
        running_lanes: Lanes that produce tokens.
        prompts: Prompts still to be read, whose turn it is first.
        config: The budgets.
        n_block: Above 1, no chunk goes over a multiple of so many tokens of its prompt.

    Returns:
        A schedule without rows exactly when there is nothing to do.
    """
    parts = _parts(prompts, config, n_block, is_shared=bool(running_lanes))
    chunk = sorted(parts, key=lambda part: part.lane)
    return StepSchedule(tuple(sorted(running_lanes)), tuple(chunk))


def _parts(
    prompts: Sequence[PromptState], config: SchedulerConfig, n_block: int, *, is_shared: bool
) -> Iterator[ChunkPart]:
    n_rows = 0
    for prompt in prompts:
        usual = config.shared(prompt.n_read) if is_shared else config.n_chunk_alone
        most = min(usual * 3 // 2, config.n_chunk_alone)
        if n_rows >= min(N_EFFICIENT, most):
            return
        stop = prompt.n_tokens
        if n_block > 1:
            stop = min(stop, (prompt.n_read // n_block + 1) * n_block)
        n_left = stop - prompt.n_read
        end = prompt.n_read + min(_share(n_left, usual, most), most - n_rows)
        n_rows += end - prompt.n_read
        yield ChunkPart(prompt.lane, prompt.n_read, end, is_last=end == prompt.n_tokens)


def _share(n_left: int, usual: int, most: int) -> int:
    """The length of equal chunks that are as near to `usual` as they can be, at most `most`."""
    n_chunks = max(1, (2 * n_left + usual) // (2 * usual), -(-n_left // most))
    return -(-n_left // n_chunks)
