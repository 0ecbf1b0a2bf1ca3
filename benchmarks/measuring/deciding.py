"""The one value of several that decides whether a promise holds."""

import math
import statistics
from collections.abc import Sequence
from typing import Literal

DecidedBy = Literal["median", "min", "max", "p99", "low95"]
"""``min`` and ``max`` where the promise is a limit, not a speed; ``low95`` is the lower end of the
95 % interval of the mean."""

_T_975 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)
"""Student's t below which 97.5 % lie, by degrees of freedom from 1 to 30; 1.96 for ever more."""


def deciding(values: Sequence[float], decided_by: DecidedBy) -> float:
    """The value that is compared with the target; ``low95`` of fewer than two is -inf."""
    match decided_by:
        case "median":
            return statistics.median(values)
        case "min":
            return min(values)
        case "max":
            return max(values)
        case "p99":
            return quantile(values, 0.99)
        case "low95":
            return lower_end(values)


def quantile(values: Sequence[float], share: float) -> float:
    """Between the two nearest values in proportion, as NumPy does it."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def lower_end(values: Sequence[float]) -> float:
    """Of the 95 % interval of the mean, by Student's t."""
    n_free = len(values) - 1
    if n_free < 1:
        return -math.inf  # one value says nothing about the next
    t = _T_975[n_free - 1] if n_free <= len(_T_975) else 1.96
    return statistics.fmean(values) - t * statistics.stdev(values) / math.sqrt(len(values))
