"""Parts of sentences that several errors share."""


def ended(problem: str) -> str:
    """`problem` as the end of a sentence."""
    return problem if problem.endswith((".", "!", "?")) else f"{problem}."


def mib(size_bytes: int) -> str:
    """A size as a person reads it; the module that prints sizes raises errors of this one."""
    return f"{-(-size_bytes // 2**20):,} MiB"


def item_name(param: str, i: int, n_items: int) -> str:
    """How errors name one of the values of a parameter; one that is alone has no number."""
    return f"{param}[{i}]" if n_items > 1 else param
