"""A figure that was measured several times."""

import statistics
from collections.abc import Sequence


def shown(values: Sequence[float], n_decimals: int) -> str:
    """Median, least and most: ``9.5 (9.0 .. 11.1)``."""
    middle, least, most = statistics.median(values), min(values), max(values)
    return f"{middle:.{n_decimals}f} ({least:.{n_decimals}f} .. {most:.{n_decimals}f})"
