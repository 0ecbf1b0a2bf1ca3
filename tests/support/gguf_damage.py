"""Seeded damage to GGUF files, at the places where a header holds a number."""

import random
from collections.abc import Callable

NUMBERS = (
    *(0, 1, 2, 5, 8, 9, 13, 31, 63, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1),
    *(2**32, 2**62, 2**63 - 1, 2**63, 2**64 - 2**20, 2**64 - 1),
)
"""Types that exist and do not, limits and what lies beside them, sizes that wrap."""

_Damage = Callable[[random.Random, bytearray, int], None]


def damaged(dice: random.Random, content: bytes, header_bytes: int) -> bytes:
    """A copy with one to three kinds of damage inside its first `header_bytes`."""
    copy = bytearray(content)
    for _ in range(dice.randint(1, 3)):
        dice.choice(_DAMAGES)(dice, copy, min(header_bytes, len(copy)))
    return bytes(copy)


def _flip(dice: random.Random, content: bytearray, end: int) -> None:
    if end:
        content[dice.randrange(end)] ^= 1 << dice.randrange(8)


def _lie(dice: random.Random, content: bytearray, end: int) -> None:
    # Counts, lengths, offsets and dimensions have eight bytes, types and alignment four.
    n_bytes = dice.choice((4, 8))
    at = dice.randrange(max(1, end))
    number = dice.choice(NUMBERS) % (1 << 8 * n_bytes)
    content[at : at + n_bytes] = number.to_bytes(n_bytes, "little")


def _cut(dice: random.Random, content: bytearray, end: int) -> None:
    at = dice.randrange(max(1, end))
    del content[at : at + dice.randint(1, 64)]


def _insert(dice: random.Random, content: bytearray, end: int) -> None:
    at = dice.randrange(max(1, end))
    content[at:at] = dice.randbytes(dice.randint(1, 16))


def _repeat(dice: random.Random, content: bytearray, end: int) -> None:
    at, other = dice.randrange(max(1, end)), dice.randrange(max(1, end))
    n_bytes = dice.randint(1, 64)
    content[at : at + n_bytes] = content[other : other + n_bytes]


def _end(dice: random.Random, content: bytearray, end: int) -> None:
    del content[dice.randrange(max(1, end)) :]


_DAMAGES: tuple[_Damage, ...] = (_flip, _lie, _lie, _lie, _cut, _insert, _repeat, _end)
