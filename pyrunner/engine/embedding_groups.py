"""Many inputs to embed, some at a time, so that others have their turn in between."""

from collections.abc import Sequence

from pyrunner.types import EmbeddingResult


class EmbeddingGroups:
    """The inputs of one request, a group at a time; equal ones are embedded once.

    Args:
        inputs: Token sequences, at least one; `check_inputs` has nothing against them.
    """

    def __init__(self, inputs: Sequence[Sequence[int]]) -> None:
        keys = [tuple(each) for each in inputs]
        self._inputs = list(dict.fromkeys(keys))
        places = {each: i for i, each in enumerate(self._inputs)}
        self._places = [places[each] for each in keys]
        self._n_tokens = sum(map(len, keys))
        self._n_embd = 0
        self._vectors: list[bytes] = []

    @property
    def is_complete(self) -> bool:
        """Whether `result` can be asked for."""
        return len(self._vectors) == len(self._inputs)

    def next_group(self, n_most: int) -> list[tuple[int, ...]]:
        """The next inputs that together have at most `n_most` tokens; at least one."""
        group: list[tuple[int, ...]] = []
        n_tokens = 0
        for tokens in self._inputs[len(self._vectors) :]:
            n_tokens += len(tokens)
            if group and n_tokens > n_most:
                break
            group.append(tokens)
        return group

    def add(self, part: EmbeddingResult) -> None:
        """What became of the last `next_group`."""
        self._n_embd = part.n_embd
        self._vectors.extend(part.vectors)

    def result(self) -> EmbeddingResult:
        """A vector for each input, in their order; equal ones count each time."""
        return EmbeddingResult(
            vectors=tuple(self._vectors[place] for place in self._places),
            n_embd=self._n_embd,
            n_tokens=self._n_tokens,
        )
