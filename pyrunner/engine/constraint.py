"""What an answer that has to follow a grammar needs of the grammar."""

from collections.abc import Sequence
from typing import Protocol

from pyrunner.errors import InvalidParameterError


class Constraint(Protocol):
    """Says which tokens may come next in one answer. The engine's thread alone uses it."""

    @property
    def mask(self) -> memoryview | None:
        """The tokens that may come next, in int32 words as `Session.masks` holds them.

        End-of-generation tokens are among them exactly when the answer may end here. None when any
        token may come.
        """
        ...

    @property
    def is_complete(self) -> bool:
        """Nothing but the end can come."""
        ...

    def forced(self) -> Sequence[int]:
        """Tokens of the only text that fits here; none where there is a choice."""
        ...

    def masks_behind(self, draft: Sequence[int]) -> Sequence[memoryview | None]:
        """The masks behind each token of a draft, as far as it fits; nothing is accepted by it."""
        ...

    def accept(self, token: int) -> None:
        """Go on behind a token that was sampled with `mask`; -1 says that none could be.

        Raises:
            InvalidRequestError: The answer cannot be continued, or only at too high a price.
        """
        ...


def accept(constraint: Constraint | None, token: int) -> None:
    """Go on behind a sampled token, of an answer with a constraint or without.

    Raises:
        InvalidRequestError: -1: no token could be chosen; or as `Constraint.accept`.
    """
    if constraint is not None:
        constraint.accept(token)
    elif token < 0:
        raise InvalidParameterError(param="logit_bias", problem="leaves no token to choose from")
