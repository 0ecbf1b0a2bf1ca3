"""Lanes without a model: a session's cells as lists of tokens, and the errors of the real one."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast

from pyrunner.engine.disk_tier import DiskTier
from pyrunner.engine.prefix_cache import PrefixCache
from pyrunner.errors import InvariantError, OutOfMemoryError, UnsupportedParameterError

if TYPE_CHECKING:
    from pyrunner._native import Session


class Cell(NamedTuple):
    """One token and for whom it was read."""

    token: int
    salt: str = ""


class SavedLane:
    """Stands in for `LaneState`: a head, and ten bytes per cell."""

    N_BYTES_HEAD = 100
    N_BYTES_PER_TOKEN = 10
    N_BYTES_SALT = N_BYTES_PER_TOKEN - 4
    fits_layouts = True

    def __init__(
        self, n_tokens: int, n_bytes: int, n_lanes: int, cells: Sequence[Cell] = ()
    ) -> None:
        self.n_tokens = n_tokens
        self.n_bytes = n_bytes
        self.n_lanes = n_lanes
        self._cells = cells
        self._data: bytearray | None = None  # once somebody has asked for it

    @classmethod
    def blank(cls, n_tokens: int, n_bytes: int, n_lanes: int) -> Self:
        return cls(n_tokens, n_bytes, n_lanes)

    @classmethod
    def of(cls, cells: Sequence[Cell], n_lanes: int, *, fits_layouts: bool) -> Self:
        n_bytes = cls.N_BYTES_HEAD + len(cells) * cls.N_BYTES_PER_TOKEN
        state = cls(len(cells), n_bytes, n_lanes, tuple(cells))
        state.fits_layouts = fits_layouts
        return state

    def view(self, is_writable: bool = False) -> memoryview:
        if self._data is None:
            self._data = self._encoded()
        view = memoryview(self._data)
        return view if is_writable else view.toreadonly()

    def _encoded(self) -> bytearray:
        data = bytearray(b"h" * self.N_BYTES_HEAD)
        for cell in self._cells:
            salt = cell.salt.encode()
            assert len(salt) <= self.N_BYTES_SALT
            data += cell.token.to_bytes(4, "little") + salt.ljust(self.N_BYTES_SALT, b"\0")
        return data.ljust(self.n_bytes, b"\0")

    @property
    def cells(self) -> list[Cell]:
        if self._data is None:
            return list(self._cells)
        cells = []
        for at in range(self.N_BYTES_HEAD, len(self._data), self.N_BYTES_PER_TOKEN):
            token, salt = self._data[at : at + 4], self._data[at + 4 : at + self.N_BYTES_PER_TOKEN]
            cells.append(Cell(int.from_bytes(token, "little"), salt.rstrip(b"\0").decode()))
        return cells


@dataclass(slots=True, kw_only=True)
class ScriptedLanes:
    """What `PrefixCache` uses of a session, and a log of the copies it makes."""

    n_lanes: int
    n_ctx: int = 10**6
    drops_tails: bool = True
    """What it says of itself."""
    can_drop_tails: bool | None = None
    """What is true; None stands for `drops_tails`."""
    can_save: bool = True
    can_restore: bool = True
    fits_layouts: bool = True
    """Whether saved lanes can be restored after `set_layout`."""
    n_saves_without_memory: int = 0
    """So many of the next saves find no memory."""
    n_restores_without_memory: int = 0
    cells: list[list[Cell]] = field(init=False)
    open_lanes: set[int] = field(default_factory=set)
    """Lanes of running requests; nobody else may touch them."""
    log: list[str] = field(default_factory=list)
    """``save 0``, ``restore 1``: the copies, which cost time."""

    def __post_init__(self) -> None:
        if self.can_drop_tails is None:
            self.can_drop_tails = self.drops_tails
        self.cells = [[] for _ in range(self.n_lanes)]

    @classmethod
    def n_bytes(cls, n_tokens: int) -> int:
        """The size of a saved lane."""
        return SavedLane.N_BYTES_HEAD + n_tokens * SavedLane.N_BYTES_PER_TOKEN

    def tokens(self, lane: int) -> list[int]:
        return [cell.token for cell in self.cells[lane]]

    def read(self, lane: int, tokens: list[int], salt: str = "") -> None:
        """What a step does: add tokens to a lane."""
        self.cells[lane] += [Cell(token, salt) for token in tokens]

    def move_lane(self, source: int, to: int) -> None:
        assert to not in self.open_lanes, "a move over a running request"
        self.cells[to], self.cells[source] = self.cells[source], []
        self.open_lanes.discard(source)
        self.open_lanes.add(to)

    # --- What the cache calls ---

    def lane_length(self, lane: int) -> int:
        return len(self.cells[lane])

    def clear_lane(self, lane: int) -> None:
        assert lane not in self.open_lanes, "a running request was cleared"
        self.cells[lane] = []

    def truncate_lane(self, lane: int, n_keep: int) -> None:
        assert lane not in self.open_lanes, "a running request was truncated"
        if not 0 <= n_keep <= len(self.cells[lane]):
            raise InvariantError("truncating a lane")
        if 0 < n_keep < len(self.cells[lane]) and not self.can_drop_tails:
            raise UnsupportedParameterError(param="truncating a lane")
        del self.cells[lane][n_keep:]

    def save_lane(self, lane: int) -> SavedLane:
        self.log.append(f"save {lane}")
        if not self.can_save:
            raise UnsupportedParameterError(param="saving a lane")
        if self.n_saves_without_memory:
            self.n_saves_without_memory -= 1
            raise OutOfMemoryError(during="saving a lane")
        return SavedLane.of(self.cells[lane], self.n_lanes, fits_layouts=self.fits_layouts)

    def restore_lane(self, lane: int, state: SavedLane) -> None:
        self.log.append(f"restore {lane}")
        if lane in self.open_lanes:
            raise InvariantError("restoring a lane")
        self.cells[lane] = []
        if self.n_restores_without_memory:
            self.n_restores_without_memory -= 1
            raise OutOfMemoryError(during="restoring a lane")
        if not self.can_restore or (state.n_lanes != self.n_lanes and not state.fits_layouts):
            raise UnsupportedParameterError(param="restoring a lane")
        assert state.n_tokens <= self.n_ctx, "a lane is too short for what is restored"
        self.cells[lane] = state.cells

    @property
    def lanes_bytes(self) -> int:
        return self.n_lanes * self.n_bytes(self.n_ctx)


class CachedLanes:
    """A cache over scripted lanes, used as the loop uses it."""

    N_PLENTY = 10**6

    def __init__(
        self,
        *,
        n_lanes: int = 2,
        budget_bytes: int = N_PLENTY,
        disk: DiskTier[SavedLane] | None = None,
        **abilities: Any,
    ) -> None:
        self.session = ScriptedLanes(n_lanes=n_lanes, **abilities)
        self.cache = PrefixCache(cast("Session", self.session), budget_bytes, cast("Any", disk))

    def start(self, lane: int, prompt: list[int], salt: str = "") -> int:
        """Start a request and read the rest of its prompt; how much was cached."""
        n_cached = self.cache.start(lane, prompt, salt)
        assert 0 <= n_cached < len(prompt)
        assert self.session.tokens(lane) == prompt[:n_cached]
        self.session.open_lanes.add(lane)
        self.go_on(lane, prompt[n_cached:], salt)
        return n_cached

    def go_on(self, lane: int, tokens: list[int], salt: str = "") -> None:
        self.session.read(lane, tokens, salt)
        self.cache.grow(lane, tokens)
        self.cache.check()

    def end(self, lane: int) -> None:
        self.session.open_lanes.discard(lane)

    def serve(self, lane: int, prompt: list[int], salt: str = "") -> int:
        n_cached = self.start(lane, prompt, salt)
        self.end(lane)
        return n_cached

    def take_log(self) -> list[str]:
        log, self.session.log = self.session.log, []
        return log
