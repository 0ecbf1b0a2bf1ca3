"""Prefixes in files, so that a model that is loaded again finds its conversations.

They are written when a model is unloaded, most valuable first, within a budget and a time. When it
is loaded only what the files say of themselves is read, and a state when a request starts from it.
Belongs to the engine thread; other processes may use the same folder at the same time.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Generic, NamedTuple

import msgspec

import pyrunner
from pyrunner import log
from pyrunner.config import EngineConfig
from pyrunner.engine import prefix_file
from pyrunner.engine.lane_state import S
from pyrunner.engine.prefix_file import AnotherFileError, Head, WrongFileError, bound_to, hidden
from pyrunner.engine.prefix_folder import PrefixFolder
from pyrunner.engine.prefix_index import Match, PrefixIndex
from pyrunner.types import LaneLayout
from pyrunner.wire.launch import MAX_SAVE_S

if TYPE_CHECKING:
    from array import array

MAX_FILES = 1024
"""Files of one model that a prompt can start from, those used last."""
MAX_HELD_PER_SHARED = 16
"""A file is read whole even if a request shares only its beginning. Row 13 of `make bench-engine`
compares reading files with computing the cells again."""
_ORDER_NS = 1_000_000
"""Between the dates of files that are saved together, so that these tell their value."""
_TICK_NS = 20_000_000
"""Changes of a folder within so much may have one date: file systems take the kernel's tick."""
_NOT_IN_KEY = frozenset(
    {
        "cache_bytes",
        "cache_disk_bytes",
        "flash_attention",  # what comes of it is among the facts
        "large_pages",
        "n_batch",
        "n_ctx",
        "n_lanes",  # see `Head.fits_layouts`
        "n_threads",
        "speculation",
        "use_mmap",
    }
)
"""Settings that leave cells as they are. One that is not named here is part of the key, so that a
new setting makes old files useless rather than wrong."""

_logger = log.get("engine")


def cache_key(
    model_id: str, config: EngineConfig, facts: Mapping[str, object], build: Sequence[str]
) -> bytes:
    """All that cells depend on beside their tokens, in a form that can be compared.

    Args:
        model_id: Digest of the model's manifest, which names the digests of all its files.
        config: How it is loaded.
        facts: Of `pyrunner.engine.loading.cell_facts`.
        build: llama.cpp's commit and the devices it computes on.
    """
    settings = {
        each.name: getattr(config, each.name)
        for each in fields(config)
        if each.name not in _NOT_IN_KEY
    }
    what = [model_id, settings, facts, build]
    return msgspec.json.encode([pyrunner.__version__, sys.byteorder, *what])


class Wanted(NamedTuple, Generic[S]):
    """What is to be saved."""

    tokens: "array[int]"
    salt: str
    state: Callable[[], S | None]
    """Makes it, if it is not on the disk yet; None when that is not possible."""


class _TimeIsUpError(Exception):
    """Saving takes too long."""


class DiskTier(Generic[S]):
    """The files of one model, and which of them a prompt can start from.

    Nothing raises here because of a disk: the log says what is wrong, and less is cached.

    Args:
        folder: Of this model.
        key: See `cache_key`.
        budget_bytes: What all files of all models may take together.
        blank: Makes a state of so many tokens, bytes and lanes, to be filled.
        clock: Monotonic seconds.
        unix_ns: The time of day, as files have it.
    """

    def __init__(
        self,
        folder: Path,
        key: bytes,
        budget_bytes: int,
        blank: Callable[[int, int, int], S],
        clock: Callable[[], float] = time.monotonic,
        unix_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._folder = PrefixFolder(folder)
        self._key = key
        self._budget_bytes = budget_bytes
        self._blank = blank
        self._clock = clock
        self._unix_ns = unix_ns
        self._index = PrefixIndex()
        self._ids: dict[str, int] = {}  # holders by name of their files
        self._heads: dict[int, Head] = {}
        self._seen: set[str] = set()  # names of files, also of those that are of no use
        self._changed_ns = -1
        self._n_ids = 0
        self.refresh()

    @property
    def n_files(self) -> int:
        """Files that a prompt can start from."""
        return len(self._heads)

    def refresh(self) -> None:
        """Look for files that came or went; one call of the system when none did."""
        try:
            changed_ns = self._folder.changed_ns()
            if changed_ns == self._changed_ns or not self._folder.is_private():
                return
            paths = self._folder.files()[:MAX_FILES]
        except OSError as error:
            _logger.debug("prefixes on disk cannot be listed: %s", error)
            return
        is_over = self._unix_ns() - changed_ns > _TICK_NS
        self._changed_ns = changed_ns if is_over else -1
        names = {path.name for path in paths}
        for name in self._seen - names:
            self._forget(name)
        for path in reversed(paths):  # so that the latest used is that in the index, too
            if path.name not in self._seen:
                self._learn(path)

    def match(
        self, wanted: Sequence[int], salt: str, layout: LaneLayout, *, is_whole: bool
    ) -> Match | None:
        """Find the file that shares most of a prompt, if it is worth reading.

        Args:
            wanted: The prompt without its last token.
            salt: Of the request.
            layout: Of the session that would restore it.
            is_whole: Only a file that is wholly a beginning of the prompt will do.
        """
        salt_text = hidden(salt).hex()
        match = self._index.longest(wanted, salt_text)
        if match is None:
            return None
        able = None
        if not self._heads[match.holder_id].fits(layout):
            able = self._fitting(layout)
            match = self._index.longest(wanted, salt_text, among=able)
            if match is None:
                return None
        n_held = self._index.n_tokens(match.holder_id)
        if n_held == match.n_tokens:
            return match
        if is_whole:
            able = able or self._fitting(layout)
            return self._index.longest_whole(wanted, salt_text, among=able)
        return match if n_held <= match.n_tokens * MAX_HELD_PER_SHARED else None

    def read(self, holder_id: int) -> S | None:
        """The state of a file that `match` found, every byte of it checked.

        Returns:
            None when it cannot be had. What is damaged is deleted.
        """
        head = self._heads[holder_id]
        path = self._folder.path / head.name
        try:
            state = prefix_file.read(path, head, self._blank)
        except WrongFileError as error:
            self._delete_wrong(path, error)
        except (FileNotFoundError, AnotherFileError):
            self._forget(head.name)  # made room for another, and may have come back
            self._changed_ns = -1
        except (OSError, MemoryError) as error:
            _logger.warning("%s cannot be read: %s", path, error)
            self._forget(head.name)
        else:
            self._index.touch(holder_id)
            with suppress(OSError):
                os.utime(path)
            return state
        return None

    def tokens_of(self, holder_id: int) -> "array[int]":
        """What a file holds."""
        return self._index.tokens_of(holder_id)

    def drop(self, holder_id: int) -> None:
        """A state that did not fit, whatever its key says: delete its file."""
        path = self._folder.path / self._heads[holder_id].name
        self._delete_wrong(path, WrongFileError("does not fit this context"))

    def save(self, wanted: Iterable[Wanted[S]], n_lanes: int, *, drops_beginnings: bool) -> int:
        """Write what is wanted until budget or time is used up.

        What is on the disk already stays as it is. The least recently used files of all models go
        to make room, but none that this call wants.

        Args:
            wanted: Most valuable first.
            n_lanes: Of the session they are of.
            drops_beginnings: Delete files that are only a beginning of one that is saved.

        Returns:
            How many of them are on the disk now.
        """
        until_s = self._clock() + MAX_SAVE_S

        def check() -> None:
            if self._clock() >= until_s:
                raise _TimeIsUpError

        saved: list[str] = []
        try:
            if not self._folder.is_private():
                raise PermissionError(f"{self._folder.path} is not a folder of this user alone")
            self._folder.remove_leavings()
            date_ns = self._unix_ns()
            for each in wanted:
                date = date_ns - len(saved) * _ORDER_NS
                name = self._saved(each, n_lanes, saved, date, check)
                if name is None:
                    continue  # a shorter one may have room
                saved.append(name)
                if drops_beginnings:
                    self._delete_beginnings(each, n_lanes, saved)
        except _TimeIsUpError:
            _logger.info("saving prefixes would take longer than %g s", MAX_SAVE_S)
        except FileNotFoundError as error:
            _logger.info("the model was removed, and its prefixes with it: %s", error)
        except OSError as error:
            _logger.warning("prefixes are not saved: %s", error)
        _logger.info("%d prefixes are on disk for the next time", len(saved))
        return len(saved)

    def _saved(
        self,
        each: Wanted[S],
        n_lanes: int,
        saved: Sequence[str],
        date_ns: int,
        check: Callable[[], None],
    ) -> str | None:
        """The name of a file that is on the disk now; None when there is no room for it."""
        check()
        salt, tokens = hidden(each.salt), each.tokens.tobytes()
        for n_bound in (0, n_lanes):
            name = prefix_file.file_name(self._key, salt, tokens, n_bound)
            with suppress(FileNotFoundError):
                os.utime(self._folder.path / name, ns=(date_ns, date_ns))
                return name
        state = each.state()
        if state is None:
            return None
        name = prefix_file.file_name(self._key, salt, tokens, bound_to(state))
        head = prefix_file.describe(self._key, salt, tokens, state, check)
        n_bytes = prefix_file.size_bytes(head, state)
        with self._folder.adding(name, n_bytes, self._budget_bytes, saved, check) as fd:
            if fd is None:
                return None
            prefix_file.write(fd, head, state, check)
            os.utime(fd, ns=(date_ns, date_ns))
        return name

    def _delete_beginnings(self, each: Wanted[S], n_lanes: int, saved: Sequence[str]) -> None:
        salt = hidden(each.salt).hex()
        kept = {self._ids[name] for name in saved if name in self._ids}
        kept |= {i for i, head in self._heads.items() if bound_to(head) not in (0, n_lanes)}
        while found := self._index.longest_whole(
            each.tokens, salt, among=self._heads.keys() - kept
        ):
            name = self._heads[found.holder_id].name
            (self._folder.path / name).unlink(missing_ok=True)
            self._forget(name)

    def _fitting(self, layout: LaneLayout) -> set[int]:
        """The files that a session with these lanes can restore."""
        return {each for each, head in self._heads.items() if head.fits(layout)}

    def _learn(self, path: Path) -> None:
        self._seen.add(path.name)
        try:
            head = prefix_file.read_head(path)
        except WrongFileError as error:
            self._delete_wrong(path, error)
            return
        except OSError as error:
            _logger.debug("%s cannot be read: %s", path, error)
            return
        if head.key != self._key:
            return  # of another configuration or version, which may come back
        holder_id = self._n_ids
        self._n_ids += 1
        self._index.insert(holder_id, head.unpacked(), head.salt.hex())
        self._heads[holder_id] = head
        self._ids[path.name] = holder_id

    def _forget(self, name: str) -> None:
        self._seen.discard(name)
        holder_id = self._ids.pop(name, None)
        if holder_id is not None:
            self._index.remove(holder_id)
            del self._heads[holder_id]

    def _delete_wrong(self, path: Path, error: WrongFileError) -> None:
        _logger.warning("%s %s; it is deleted", path, error)
        with suppress(OSError):
            path.unlink()
        self._forget(path.name)
        self._seen.add(path.name)  # if it could not be deleted
