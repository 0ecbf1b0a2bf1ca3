"""A schedule into the session's plan, a step, and its results out again.

The only place that knows the layout of the lent buffers (csrc/step_buffers.h).
"""

from array import array
from collections.abc import Iterator, Mapping
from collections.abc import Sequence as Tokens
from itertools import pairwise
from typing import NamedTuple

from pyrunner._native import Session
from pyrunner._native.status import Status
from pyrunner.engine.interrupts import interrupts_postponed
from pyrunner.engine.request import Traced
from pyrunner.engine.scheduler import StepSchedule
from pyrunner.engine.sequence import Sequence
from pyrunner.engine.speculation import NO_DRAFT, Draft
from pyrunner.errors import DecodeError
from pyrunner.types import TokenChance, TokenLogprobs

ROW_SILENT = 0
ROW_SAMPLE = 1
ROW_LOGITS = 2
ROW_MASKED = 3


class Sampled(NamedTuple):
    """One token that a step produced."""

    lane: int
    token: int
    is_end: bool
    """An end-of-generation token; it has no text."""
    text: str
    logprobs: TokenLogprobs | None
    """None when the request did not ask."""

    @property
    def traced(self) -> Traced | None:
        """For whoever reports logprobs; a token that ends the answer is no part of it."""
        if self.logprobs is None or self.is_end:
            return None
        return Traced(self.logprobs, self.text)


class Step(NamedTuple):
    """What became of a schedule."""

    sampled: list[Sampled]
    """In the order of the rows; of a lane with a draft as many as were guessed right, and one."""
    is_chunk_done: bool
    """False when the prompt chunk was interrupted; the lanes' lengths say how far it came."""


def run_step(
    session: Session,
    schedule: StepSchedule,
    sequences: Mapping[int, Sequence],
    drafts: Mapping[int, Draft],
) -> Step:
    """Run one step.

    Args:
        session: Its lanes hold what `sequences` say they hold.
        schedule: At least one row.
        sequences: By lane.
        drafts: By running lane.

    Raises:
        DecodeError: The session is dead.
        BufferError: A row of logits is lent.
    """
    masks = _Masks(session)
    n_decode = 0
    for lane in schedule.running_lanes:
        draft = drafts.get(lane, NO_DRAFT)
        n_decode = _write_running(session, n_decode, sequences[lane], draft, masks)
    n_chunk = _write_chunk(session, schedule, sequences, n_decode, masks)
    status = _stepped(session, n_decode, n_chunk)
    return Step(list(_read_results(session, sequences)), is_chunk_done=status is Status.OK)


class _Masks:
    """Writes masks one behind the other, as csrc reads them."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._n_words = 0  # that were written

    def write(self, mask: memoryview | None) -> int:
        """Returns the output of its row; None lets anything be said."""
        if mask is None:
            return ROW_SAMPLE
        end = self._n_words + self._session.n_mask_words
        self._session.masks[self._n_words : end] = mask
        self._n_words = end
        return ROW_MASKED


def _write_running(
    session: Session, row: int, sequence: Sequence, draft: Draft, masks: _Masks
) -> int:
    behind = draft.masks or [None] * len(draft.tokens)
    tokens, positions, lanes, outputs = session.plan
    rows = zip((sequence.last_token, *draft.tokens), (_mask(sequence), *behind), strict=True)
    for i, (token, mask) in enumerate(rows):
        tokens[row + i] = token
        positions[row + i] = sequence.position + i
        lanes[row + i] = sequence.lane
        outputs[row + i] = masks.write(mask)
    return row + 1 + len(draft.tokens)


def _write_chunk(
    session: Session,
    schedule: StepSchedule,
    sequences: Mapping[int, Sequence],
    first_row: int,
    masks: _Masks,
) -> int:
    row = first_row
    for part in schedule.chunk:
        sequence = sequences[part.lane]
        prompt = sequence.prompt
        output = masks.write(_mask(sequence)) if part.is_last else ROW_SILENT
        row = write_rows(session, row, part.lane, prompt[part.start : part.end], part.start, output)
    return row - first_row


def _mask(sequence: Sequence) -> memoryview | None:
    constraint = sequence.request.constraint
    return None if constraint is None else constraint.mask


def write_rows(  # one argument per buffer, and where to begin
    session: Session, row: int, lane: int, part: Tokens[int], start: int, last_output: int
) -> int:
    """Write consecutive tokens of one lane; only the last row has an output.

    Returns:
        The next free row.
    """
    tokens, positions, lanes, outputs = session.plan
    n_rows = len(part)
    end = row + n_rows
    tokens[row:end] = memoryview(array("i", part))
    positions[row:end] = memoryview(array("i", range(start, start + n_rows)))
    lanes[row:end] = memoryview(array("i", [lane]) * n_rows)
    outputs[row:end] = memoryview(array("b", bytes(n_rows)))
    outputs[end - 1] = last_output
    return end


def read_tokens(session: Session, lane: int, tokens: Tokens[int]) -> None:
    """Read tokens in an empty lane, of which the last has an output, whatever interrupts it.

    Raises:
        DecodeError: The session is dead.
        BufferError: A row of logits is lent.
    """
    start = 0
    while start < len(tokens):
        part = tokens[start : start + session.n_batch]
        with interrupts_postponed():
            _stepped(session, 0, write_rows(session, 0, lane, part, start, ROW_LOGITS))
        start = session.lane_length(lane)


def _stepped(session: Session, n_decode: int, n_chunk: int) -> Status:
    status = session.step(n_decode, n_chunk)
    if status is Status.NO_ROOM:
        # Admission keeps every lane within its cells, so this memory type needs more than we know.
        raise DecodeError(status=int(status), during="finding room in the KV cache")
    return status


def _read_results(session: Session, sequences: Mapping[int, Sequence]) -> Iterator[Sampled]:
    lanes, tokens, is_end, offsets = session.result
    text = session.text
    is_asked = [sequences[lane].request.n_logprobs is not None for lane in lanes]
    logprobs = list(_read_logprobs(session)) if any(is_asked) else [None] * len(lanes)
    for i, lane in enumerate(lanes):
        piece = text[offsets[i] : offsets[i + 1]].decode()
        yield Sampled(lane, tokens[i], bool(is_end[i]), piece, logprobs[i])


def _read_logprobs(session: Session) -> Iterator[TokenLogprobs | None]:
    """One for each result, in order."""
    offsets, tokens, values, piece_offsets, pieces = session.logprobs
    cuts = piece_offsets.tolist()
    chances = [
        TokenChance(token, pieces[start:end], value)
        for token, value, start, end in zip(
            tokens.tolist(), values.tolist(), cuts[:-1], cuts[1:], strict=True
        )
    ]
    for start, end in pairwise(offsets.tolist()):
        is_there = end > start
        yield TokenLogprobs(chances[start], tuple(chances[start + 1 : end])) if is_there else None
