"""The rows of the table, by number; a module each, but for what cannot be measured yet."""

from collections.abc import Callable

from measuring.table import AnyRow, NotMeasured

from engine.bench import Bench
from engine.rows import (
    busy_core,
    cancelling,
    cold_start,
    conversations,
    crowd,
    decode,
    embeddings,
    long_prompt,
    memory,
    overfull,
    shared_prefix,
)

Measure = Callable[[Bench], list[AnyRow]]


_MISSING: dict[int, tuple[str, str]] = {
    7: ("JSON schema, 152k vocabulary, 1 and 4 streams", "a row in this race"),
    8: ("`prediction` that is 90 % right; copy-heavy edit with n-grams", "speculation"),
    13: ("20 warm conversations, unload, load, continue", "the disk tier of the prefix index"),
    15: ("logprobs with top 20, temperature 0, 152k vocabulary", "a row in this race"),
}
"""What it is, and what has to be there first."""

MISSING = frozenset(_MISSING)


def _missing(number: int) -> Measure:
    what, needs = _MISSING[number]
    return lambda _: [NotMeasured(what=f"{number}. {what}", why=f"needs {needs}")]


_MEASURED: dict[int, Measure] = {
    1: lambda bench: [*decode.rows(bench)],
    2: lambda bench: [*crowd.rows(bench)],
    3: lambda bench: [*shared_prefix.rows(bench)],
    4: lambda bench: [*conversations.rows(bench)],
    5: lambda bench: [*long_prompt.rows(bench)],
    6: lambda bench: [*overfull.rows(bench)],
    9: lambda bench: [*busy_core.rows(bench)],
    10: lambda bench: [*cancelling.rows(bench)],
    11: lambda bench: [*cold_start.rows(bench)],
    12: lambda bench: [*embeddings.rows(bench)],
    14: lambda bench: [*memory.rows(bench)],
}

ROWS = dict(sorted((_MEASURED | {number: _missing(number) for number in _MISSING}).items()))
"""All, in the table's order."""
