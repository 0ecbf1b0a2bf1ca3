"""The adapters of a loop: which one a request names, and with which one the session computes."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from pyrunner.engine.adapter_turns import StepTurns
from pyrunner.engine.request import GenerationRequest
from pyrunner.engine.sequence import Sequence
from pyrunner.errors import InvalidParameterError

if TYPE_CHECKING:
    from pyrunner._native import Adapter, Session

MAX_ADAPTERS = 32
"""llama.cpp makes room in its graphs for all that are loaded at each change of adapters."""


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

    @property
    def names(self) -> list[str]:
        """Those that requests can have, oldest first."""
        return list(self._loaded)

    def add(self, name: str, load: Callable[[], LoadedAdapter]) -> None:
        """Let requests name an adapter.

        Args:
            name: Not that of another one.
            load: Called where the name will do.

        Raises:
            InvalidParameterError: The name is empty or taken, or `MAX_ADAPTERS` are there.
        """
        if not name:
            raise InvalidParameterError(param="name", problem="is empty")
        if name in self._loaded:
            raise InvalidParameterError(param="name", problem=f"{name!r} is another adapter's")
        if len(self._loaded) == MAX_ADAPTERS:
            problem = f"is that of one adapter too many; unload one of the {MAX_ADAPTERS}"
            raise InvalidParameterError(param="name", problem=problem)
        self._loaded[name] = load()

    def remove(self, name: str, session: "Session", requests: Iterable[GenerationRequest]) -> None:
        """Forget an adapter.

        Args:
            name: Its own.
            session: Between steps.
            requests: Those that go on, or will.

        Raises:
            InvalidParameterError: There is none of this name, or it is used.
        """
        if name not in self._loaded:
            raise _unknown("name", name, self.names)
        if any(each.adapter == name for each in requests):
            problem = f"{name!r} is that of a generation which is not over"
            raise InvalidParameterError(param="name", problem=problem)
        if self._in_use == name:
            self.use(session, "")
        del self._loaded[name]
        self._turns.forget(name)

    def salt(self, request: GenerationRequest) -> str:
        """What keeps the cells of a request from others: its own salt, and what computes them.

        Raises:
            InvalidParameterError: It names an adapter that is not there.
        """
        digest = ""
        if request.adapter:
            if request.adapter not in self._loaded:
                raise _unknown("adapter", request.adapter, self.names)
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


def _unknown(param: str, name: str, known: list[str]) -> InvalidParameterError:
    there = f"loaded are {', '.join(map(repr, known))}" if known else "no adapter is loaded"
    return InvalidParameterError(param=param, problem=f"is {name!r}; {there}")
