"""A draft model without a model: it guesses that each token is the one before and 1."""

from array import array
from dataclasses import dataclass, field


@dataclass(eq=False)
class ScriptedText:
    tokens: list[int]
    lane: int = 0
    n_generated: int = 0
    n_left: int = 1000

    @property
    def n_tokens(self) -> int:
        return len(self.tokens)

    def tail(self, start: int) -> "array[int]":
        return array("i", self.tokens[start:])


@dataclass
class ScriptedLayout:
    n_ctx: int = 1000
    n_lanes: int = 2


@dataclass
class ScriptedDraft:
    """Knows what its lanes hold, and refuses what the real one refuses."""

    n_batch: int = 512
    lanes_bytes: int = 0
    lanes: list[list[int]] = field(default_factory=lambda: [[], []])
    n_read: int = 0

    def set_layout(self, n_ctx: int, n_lanes: int) -> None:
        del n_ctx
        self.lanes = [[] for _ in range(n_lanes)]

    def draft(self, parts: list[dict[str, int]], tokens: list[int]) -> tuple[list[int], list[int]]:
        assert len(tokens) <= self.n_batch
        counts, guesses, rest = [], [], list(tokens)
        for part in parts:
            lane = self.lanes[part["lane"]]
            assert part["n_keep"] <= len(lane)
            new, rest = rest[: part["n_new"]], rest[part["n_new"] :]
            said = [new[-1] + 1 + i for i in range(part["n_most"])]
            lane[part["n_keep"] :] = [*new, *said[:-1]]
            self.n_read += len(new)
            counts.append(len(said))
            guesses.extend(said)
        assert not rest
        return counts, guesses
