"""Where and when something was measured, and whether the machine was quiet."""

import argparse
import datetime as dt
import os
import platform
from collections.abc import Callable

from measuring.pairs import report

_QUIET_LOAD = 0.5
"""Above it something else runs, and the figures are not worth keeping."""


def load() -> float:
    """Of the last minute: to be asked before anything is started."""
    return round(os.getloadavg()[0], 2)


def warn_unless_quiet(load_before: float) -> None:
    """Say so where it was not that of an idle machine."""
    if load_before > _QUIET_LOAD:
        report(f"The load was {load_before} before this began: these figures are not to be kept.")


def facts() -> dict[str, object]:
    """When, and on what."""
    now = dt.datetime.now(dt.UTC)
    return {
        "measured": now.isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.release()}",
    }


def at_least(smallest: int) -> Callable[[str], int]:
    """A type of options: whole numbers from `smallest` on."""

    def number(text: str) -> int:
        value = int(text)
        if value < smallest:
            raise argparse.ArgumentTypeError(f"is less than {smallest}")
        return value

    return number
