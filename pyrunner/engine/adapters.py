"""The adapters of a loop: which one a request names, and with which one the session computes."""

from collections.abc import Sequence as Names
from typing import TYPE_CHECKING, NamedTuple

from pyrunner.engine.adapter_turns import StepTurns
from pyrunner.engine.request import GenerationRequest
from pyrunner.engine.sequence import Sequence
from pyrunner.errors import InvalidParameterError

if TYPE_CHECKING:
    from pyrunner._native import Adapter, Session


class LoadedAdapter(NamedTuple):
    """An adapter that requests can name."""

    native: "Adapter"
    digest: str
    """SHA-256 of its file, in hexadecimal digits."""


class StepMembers(NamedTuple):
    """Sequences of one adapter, which can be in one step."""

    running: list[Sequence]
    reading: list[Sequence]
    """Those whose prompts are not read to their ends, whose turn it is first."""


class Adapters:
    """Owns the loaded adapters, and which of them the session computes with."""

    def __init__(self) -> None:
        self._loaded: dict[str, LoadedAdapter] = {}
        self._turns = StepTurns()
        self._in_use = ""

    def add(self, name: str, adapter: LoadedAdapter) -> None:
        """Let requests name an adapter.

        Raises:
            InvalidParameterError: The name is empty, or another adapter has it.
        """
        if not name or name in self._loaded:
            problem = f"{name!r} is another adapter's" if name else "is empty"
            raise InvalidParameterError(param="name", problem=problem)
        self._loaded[name] = adapter

    def salt(self, request: GenerationRequest) -> str:
        """What keeps the cells of a request from others: its own salt, and what computes them.

        Raises:
            InvalidParameterError: It names an adapter that is not there.
        """
        digest = ""
        if request.adapter:
            if request.adapter not in self._loaded:
                raise _unknown(request.adapter, list(self._loaded))
            digest = self._loaded[request.adapter].digest
        # No digest has the character between the two, so no salt can pretend to be one.
        return f"{digest}\0{request.salt}"

    def take_turn(
        self, session: "Session", running: list[Sequence], reading: list[Sequence]
    ) -> StepMembers:
        """Choose whose rows the next step has, and have the session compute with their adapter.

        Prompts are read in their order whatever adapters they have, so that a round of all
        adapters has one chunk, as a step has that is everybody's.

        Args:
            session: Between steps.
            running: Those that generate.
            reading: Those that read, whose turn it is first.

        Returns:
            All of one adapter whose turn it is; nobody only where there is nobody.
        """
        wanting = {each.request.adapter for each in (*running, *reading[:1])}
        if not wanting:
            return StepMembers([], [])
        chosen = self._turns.next(wanting)
        self.use(session, chosen)
        is_first = bool(reading) and reading[0].request.adapter == chosen
        return StepMembers(
            [each for each in running if each.request.adapter == chosen],
            [each for each in reading if is_first and each.request.adapter == chosen],
        )

    def use(self, session: "Session", name: str) -> None:
        """Compute with an adapter from the next step on; "" is the model alone."""
        if name != self._in_use:
            session.set_adapter(self._loaded[name].native if name else None)
            self._in_use = name


def _unknown(name: str, known: Names[str]) -> InvalidParameterError:
    known_here = ", ".join(repr(each) for each in known)
    there = f"loaded are {known_here}" if known else "no adapter is loaded"
    return InvalidParameterError(param="adapter", problem=f"is {name!r}; {there}")
