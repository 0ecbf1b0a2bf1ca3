"""How much memory a model takes, and how much all of them may take together."""

from pathlib import Path

from pyrunner import machine_memory

_SHARE = 0.8
"""Of the machine's memory, when no budget is configured; the rest is for everybody else."""


def budget_bytes(configured_bytes: int, root: Path = Path("/")) -> int:
    """Bytes that all loaded models may take together.

    Args:
        configured_bytes: `RuntimeConfig.memory_budget_bytes`; 0 takes a share of the memory of
            this machine, or of this container if that is less.
        root: Where ``proc`` and ``sys`` are (tests).
    """
    if configured_bytes > 0:
        return configured_bytes
    return int(machine_memory.total_bytes(root) * _SHARE)
