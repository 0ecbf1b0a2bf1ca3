"""Requests one after the other or together, each judged by llama.cpp at the end."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from pyrunner._native import LaneState, Model
from pyrunner.config import EngineConfig
from pyrunner.engine.disk_tier import DiskTier
from pyrunner.engine.draft_length import PassCosts
from pyrunner.engine.loop import EngineLoop
from pyrunner.engine.request import Finished, GenerationRequest, StepEvent
from pyrunner.types import FinishReason, Limits, SamplingParams, Usage
from support.reference import Reference

LARGEST_GAP = 0.1
"""Logits between a token and the favourite of llama.cpp where step shapes differ."""
CONFIG = EngineConfig(n_ctx=1024, n_lanes=4, n_batch=128, n_threads=1, speculation="off")
GREEDY = SamplingParams(temperature=0)


def draw(n_tokens: int, seed: int) -> list[int]:
    rng = random.Random(seed)
    return [rng.randrange(260, 30000) for _ in range(n_tokens)]


class EqualCosts(PassCosts):
    """Every pass takes as long as every other, so that all guesses are read."""

    def expected_s(self, n_rows: int) -> float:
        del n_rows
        return 1.0


@dataclass(slots=True, eq=False)
class Answer:
    prompt: list[int]
    adapter: str = ""
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


class Talks:
    """A loop whose cache is checked after each step, and what came out of it."""

    def __init__(
        self,
        model: Model,
        config: EngineConfig = CONFIG,
        disk: DiskTier[LaneState] | None = None,
        draft: Model | None = None,
    ) -> None:
        self.loop = EngineLoop(model, config, disk=disk, draft=draft)
        self.n_steps = 0
        self.answers: list[Answer] = []
        self.finished: list[Answer] = []
        """In the order they ended."""

    def draft_all(self) -> None:
        """Read all guesses, whatever passes take."""
        assert self.loop._speculation is not None
        self.loop._speculation._costs = EqualCosts()

    def submit(self, prompt: Sequence[int], *, max_tokens: int = 8, **changes: Any) -> Answer:
        """Ask greedily, or as fields of the request say."""
        request = GenerationRequest(
            request_id=len(self.answers),
            tokens=prompt,
            sampling=GREEDY,
            limits=Limits(max_tokens=max_tokens, ignore_eos=True),
        )
        request = replace(request, **changes)
        self.loop.submit(request)
        self.answers.append(Answer(list(prompt), request.adapter))
        return self.answers[-1]

    def cancel(self, answer: Answer) -> None:
        self.loop.cancel(self.answers.index(answer))

    def step(self, n_steps: int = 1) -> None:
        for _ in range(n_steps):
            for event in self.loop.step():
                self._take(event)
            self.n_steps += 1
            self.loop.check()

    def _take(self, event: StepEvent) -> None:
        answer = self.answers[event.request_id]
        token = getattr(event, "token", None)
        if token is not None:
            answer.tokens.append(token)
        if isinstance(event, Finished):
            answer.usage, answer.reason = event.finish.usage, event.finish.reason
            self.finished.append(answer)

    def run(self) -> None:
        while self.loop.has_work:
            self.step()

    def ask(self, prompt: Sequence[int], *, max_tokens: int = 8, salt: str = "") -> Answer:
        """One request alone, from beginning to end."""
        answer = self.submit(prompt, max_tokens=max_tokens, salt=salt)
        self.run()
        assert len(answer.tokens) == max_tokens
        return answer

    @property
    def n_read(self) -> int:
        """Prompt tokens that were read, over all requests that are over."""
        return sum(len(each.prompt) - each.n_cached for each in self.answers)

    def judge(self, reference: Reference | Mapping[str, Reference]) -> None:
        """Hold every token against one pass of llama.cpp over the whole text.

        Args:
            reference: Of the model, or of what each adapter makes of it.
        """
        for answer in self.answers:
            one = reference if isinstance(reference, Reference) else reference[answer.adapter]
            if answer.tokens:
                scores = one.score(answer.prompt, answer.tokens, n_batch=1024)
                assert max(score.gap for score in scores) <= LARGEST_GAP
