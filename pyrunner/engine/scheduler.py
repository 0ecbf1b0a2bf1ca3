"""What the next step reads. Pure: no native calls, no clock.

Running sequences go first, one token each, so a stream that has started never waits for a prompt
to be read whole: beside running sequences a prompt is read in small chunks, alone in large ones.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SchedulerConfig:
    """Budgets of one step, in tokens."""

    n_chunk_alone: int
    """Prompt tokens of a step in which nothing else runs, at least 1."""
    n_chunk_shared: int
    """Prompt tokens of a step beside running sequences, 1..`n_chunk_alone`. Bounds the gap a
    running stream sees while somebody's prompt is read."""


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
    running_lanes: Sequence[int], prompts: Sequence[PromptState], config: SchedulerConfig
) -> StepSchedule:
    """Choose the rows of the next step.

    Args:
        running_lanes: Lanes that produce one token each.
        prompts: Prompts still to be read, oldest request first.
        config: The budgets.

    Returns:
        A schedule without rows exactly when there is nothing to do.
    """
    budget = config.n_chunk_shared if running_lanes else config.n_chunk_alone
    chunk = sorted(_parts(prompts, budget), key=lambda part: part.lane)
    return StepSchedule(tuple(sorted(running_lanes)), tuple(chunk))


def _parts(prompts: Sequence[PromptState], budget: int) -> Iterator[ChunkPart]:
    for prompt in prompts:
        if budget == 0:
            return
        end = min(prompt.n_tokens, prompt.n_read + budget)
        budget -= end - prompt.n_read
        yield ChunkPart(prompt.lane, prompt.n_read, end, is_last=end == prompt.n_tokens)
