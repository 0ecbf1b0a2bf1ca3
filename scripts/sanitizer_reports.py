"""What sanitizers wrote, as a list of findings."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_OURS = re.compile(r"/csrc/|/llama\.cpp/|lib(?:llama|ggml)[\w-]*\.so")
"""Frames of our code, or of code that works for us; Python and its packages are not."""

_LEAK = re.compile(r"^(?:Direct|Indirect) leak of .*?(?=\n\n|\Z)", re.MULTILINE | re.DOTALL)
_RACE = re.compile(r"^WARNING: ThreadSanitizer: .*?^SUMMARY: [^\n]*", re.MULTILINE | re.DOTALL)
_UNDEFINED = re.compile(r"^\S+: runtime error: .*?(?=\n\n|\Z)", re.MULTILINE | re.DOTALL)
_ADDRESS = re.compile(
    r"^==\d+==ERROR: AddressSanitizer.*?^SUMMARY: [^\n]*", re.MULTILINE | re.DOTALL
)
_TROUBLE = re.compile(r"^(?:==\d+==.*(?:FATAL|CHECK failed|has encountered).*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    text: str
    """As the sanitizer put it, stacks included."""


def findings(report: str) -> list[Finding]:
    """Read the file of one process.

    Memory that CPython or a package never frees is no finding: a leak counts when code of ours was
    on the stack that allocated it. Everything else counts wherever it happened.
    """
    return [Finding(text) for text in _texts(report)]


def _texts(report: str) -> Iterator[str]:
    for kind in (_ADDRESS, _UNDEFINED, _RACE, _TROUBLE):
        yield from (match.group() for match in kind.finditer(report))
    for match in _LEAK.finditer(report):
        if _OURS.search(match.group()):
            yield match.group()
