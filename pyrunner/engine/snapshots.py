"""Where a prompt is copied while it is read, if no tail of it can be dropped later. Pure.

A copy takes the more the longer the prompt is where some layers attend to all of it, so there are
few: behind 1, 2, 4, ... blocks, where beginnings end that many prompts share, and behind the last
two, from which an equal prompt, or one with another end, starts.
"""

BLOCK = 256
"""Tokens; no chunk of a prompt goes over a multiple of it."""


def is_place(n_tokens: int, n_prompt: int) -> bool:
    """Whether a prompt of `n_prompt` tokens is copied behind its first `n_tokens`."""
    n_blocks, n_over = divmod(n_tokens, BLOCK)
    is_power = n_blocks & (n_blocks - 1) == 0
    return n_over == 0 < n_blocks and (is_power or n_blocks >= (n_prompt - 1) // BLOCK - 1)


def last_place(n_tokens: int, n_prompt: int) -> int:
    """The last place within the first `n_tokens` of a prompt; 0 if there is none."""
    n_blocks = n_tokens // BLOCK
    while n_blocks and not is_place(n_blocks * BLOCK, n_prompt):
        n_blocks -= 1
    return n_blocks * BLOCK
