"""Steps written down, to be played both on our session and on the reference program.

A step is two decodes: the rows of running sequences, then the prompt chunk. Played in this order
on both sides the shapes are equal, so every float has to be.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from pyrunner.engine.sampling import native_params
from pyrunner.types import SamplingParams
from support.reference import Reference, Row

Sampled = list[tuple[int, int]]
"""Lane and token, in the order they were chosen."""

_OUTPUTS = {"-": 0, "sample": 1, "logits": 2}


@dataclass(slots=True)
class Step:
    running: list[Row] = field(default_factory=list)
    chunk: list[Row] = field(default_factory=list)


def generation_steps(
    prompts: Sequence[Sequence[int]], *, n_predict: int, n_chunk: int
) -> list[Step]:
    """Read every prompt in chunks while the ones before it already stream.

    Args:
        prompts: One per lane, lane 0 first.
        n_predict: Tokens sampled per lane.
        n_chunk: Prompt rows per step at most; one chunk may end one prompt and begin the next.
    """
    waiting = [
        Row(lane, pos, token, "sample" if pos == len(prompt) - 1 else "-")
        for lane, prompt in enumerate(prompts)
        for pos, token in enumerate(prompt)
    ]
    next_pos: dict[int, int] = {}
    n_left: dict[int, int] = {}
    steps = []
    while waiting or n_left:
        step = Step()
        for lane in sorted(n_left):
            step.running.append(Row(lane, next_pos[lane], None, "sample"))
            next_pos[lane] += 1
            n_left[lane] -= 1
        step.chunk, waiting = waiting[:n_chunk], waiting[n_chunk:]
        for row in step.chunk:
            if row.want == "sample":
                next_pos[row.lane] = row.pos + 1
                n_left[row.lane] = n_predict - 1
        n_left = {lane: n for lane, n in n_left.items() if n > 0}
        steps.append(step)
    return steps


def play_on_reference(reference: Reference, steps: Iterable[Step]) -> Sampled:
    """Run the steps in the reference's context; samplers must be set."""
    sampled: Sampled = []
    for step in steps:
        for rows in (step.running, step.chunk):
            if rows:
                tokens = [int(number) for number in reference.decode(rows)]
                lanes = [row.lane for row in rows if row.want == "sample"]
                sampled += zip(lanes, tokens, strict=True)
    return sampled


class SessionPlayer:
    """Plays steps on a `pyrunner._native.Session`; keeps what it chose and said per lane."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.sampled: Sampled = []
        self.ends: list[int] = []
        self.pieces: dict[int, list[bytes]] = {}
        self._last: dict[int, int] = {}

    def open_lane(
        self,
        lane: int,
        sampling: SamplingParams,
        prompt: Sequence[int] = (),
        *,
        ignore_eos: bool = False,
        n_logprobs: int = -1,
    ) -> None:
        seeded = replace(sampling, seed=sampling.seed or 0)
        self.session.open_lane(
            lane,
            native_params(seeded, ignore_eos=ignore_eos),
            bias_tokens=[token for token, _ in sampling.logit_bias],
            biases=[bias for _, bias in sampling.logit_bias],
            history=list(prompt),
            n_logprobs=n_logprobs,
        )

    def play(self, steps: Iterable[Step]) -> Sampled:
        for step in steps:
            self.play_step(step)
        return self.sampled

    def play_step(self, step: Step) -> None:
        tokens, positions, lanes, outputs = self.session.plan
        for i_row, row in enumerate([*step.running, *step.chunk]):
            tokens[i_row] = self._last[row.lane] if row.token is None else row.token
            positions[i_row] = row.pos
            lanes[i_row] = row.lane
            outputs[i_row] = _OUTPUTS[row.want]
        status = self.session.step(len(step.running), len(step.chunk))
        assert status == 0
        self._collect()

    def move(self, source: int, to: int) -> None:
        self.session.move_lane(source, to)
        self._last[to] = self._last.pop(source)

    def _collect(self) -> None:
        lanes, tokens, ends, offsets = self.session.result
        text = self.session.text
        for i_output in range(self.session.n_outputs):
            lane, token = lanes[i_output], tokens[i_output]
            if token >= 0:
                self._last[lane] = token
                self.sampled.append((lane, token))
                self.ends.append(ends[i_output])
                piece = text[offsets[i_output] : offsets[i_output + 1]]
                self.pieces.setdefault(lane, []).append(piece)
