"""The rows of the table, by number; a module each."""

from collections.abc import Callable
from dataclasses import dataclass

from measuring.table import AnyRow

from engine.bench import Bench
from engine.rows import (
    busy_core,
    cancelling,
    cold_start,
    conversations,
    crowd,
    decode,
    embeddings,
    likeliest,
    long_prompt,
    memory,
    overfull,
    reloading,
    shared_prefix,
    speculating,
    structured,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One number of the table; its promises are a line each."""

    title: str
    minutes: float
    """What all pairs take on two cores, about; told before it begins."""
    measure: Callable[[Bench], list[AnyRow]]
    has_peers: bool = True
    """llama.cpp's own programs take part; otherwise ours is compared with itself."""


ROWS: dict[int, Workload] = {
    1: Workload(
        title="One stream",
        minutes=18,
        measure=lambda bench: [*decode.rows(bench)],
    ),
    2: Workload(
        title="Distinct chats at once",
        minutes=11,
        measure=lambda bench: [*crowd.rows(bench)],
    ),
    3: Workload(
        title="A prefix that 32 requests share",
        minutes=14,
        measure=lambda bench: [*shared_prefix.rows(bench)],
    ),
    4: Workload(
        title="More conversations than lanes",
        minutes=8,
        measure=lambda bench: [*conversations.rows(bench)],
    ),
    5: Workload(
        title="A long prompt arrives while others stream",
        minutes=3.5,
        measure=lambda bench: [*long_prompt.rows(bench)],
    ),
    6: Workload(
        title="Three times the KV memory",
        minutes=1,
        measure=lambda bench: [*overfull.rows(bench)],
    ),
    7: Workload(
        title="JSON schema",
        minutes=4.5,
        measure=lambda bench: [*structured.rows(bench)],
    ),
    8: Workload(
        title="Drafts",
        minutes=5.5,
        measure=speculating.rows,
        has_peers=False,
    ),
    9: Workload(
        title="A busy core",
        minutes=10,
        measure=lambda bench: [*busy_core.rows(bench)],
    ),
    10: Workload(
        title="Cancelling",
        minutes=4.5,
        measure=lambda bench: [*cancelling.rows(bench)],
        has_peers=False,
    ),
    11: Workload(
        title="A model that is not loaded",
        minutes=0.5,
        measure=lambda bench: [*cold_start.rows(bench)],
    ),
    12: Workload(
        title="A thousand embeddings",
        minutes=2.5,
        measure=lambda bench: [*embeddings.rows(bench)],
    ),
    13: Workload(
        title="Unload, load, continue",
        minutes=3.5,
        measure=reloading.rows,
        has_peers=False,
    ),
    14: Workload(
        title="Memory",
        minutes=1,
        measure=lambda bench: [*memory.rows(bench)],
    ),
    15: Workload(
        title="Logprobs",
        minutes=1.5,
        measure=lambda bench: [*likeliest.rows(bench)],
        has_peers=False,
    ),
}
"""All, in the table's order."""
