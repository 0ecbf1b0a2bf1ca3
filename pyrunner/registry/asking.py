"""Asking for a stretch of a blob until the answer is that stretch: no other one is believed."""

import threading
from typing import NamedTuple

from pyrunner.errors import DigestMismatchError, RegistryError, RegistryProtocolError
from pyrunner.registry.manifest import Descriptor
from pyrunner.registry.mirrors import reject
from pyrunner.registry.ranges import Span, content_length, content_range
from pyrunner.registry.source import BlobSource
from pyrunner.registry.transport import Response

MAX_ASKED = 3
"""Times that one stretch is asked for before its source is one that cannot give it."""
_MAX_WHOLE = 2
"""Times that a whole blob comes instead before it is taken, though bytes are here."""


class Answer(NamedTuple):
    """A body that has not been read, and whose head says that it is what is wanted."""

    span: Span
    """What it brings."""
    response: Response


def ask(
    source: BlobSource,
    descriptor: Descriptor,
    span: Span,
    cancelled: threading.Event,
    *,
    keeps: bool,
) -> Answer | None:
    """Ask for a stretch, and again when the answer is another one: one of many servers may err.

    Args:
        source: Where the blob is. A mirror of it that errs is left out.
        descriptor: What it has to be.
        span: What is wanted.
        cancelled: Set by another thread to stop.
        keeps: Bytes are here, which a whole blob would replace: one such answer is no reason.

    Returns:
        What was asked for, or the whole blob; None when it is another stretch or none.

    Raises:
        DigestMismatchError: The blob there has another length.
        RegistryError: See `BlobSource.open`.
    """
    n_whole = 0
    for n_asked in range(1, MAX_ASKED + 1):
        answer = _ask_once(source, descriptor, span, cancelled)
        if answer is not None:
            n_whole += 1
            if answer.span == span or not keeps or n_whole == _MAX_WHOLE:
                return answer
            answer.response.close()
        if n_asked < MAX_ASKED:
            source.pause(n_asked, cancelled)
    return None


def another_length(descriptor: Descriptor, actual: str, size_bytes: int) -> DigestMismatchError:
    """The error of a blob that is longer or shorter than promised."""
    return DigestMismatchError(
        expected=descriptor.digest.text, actual=actual, size_bytes=size_bytes
    )


def _ask_once(
    source: BlobSource, descriptor: Descriptor, span: Span, cancelled: threading.Event
) -> Answer | None:
    last = None if span.end == descriptor.size else span.end - 1
    while True:  # a mirror that was left out is not asked again
        response = source.open(span.first, last, cancelled)
        try:
            answer = _understood(source, descriptor, span, response)
        except RegistryError as error:
            response.close()
            if not reject(response, error):
                raise
            continue
        if answer is not None:
            return answer
        response.close()
        problem = "another part of a blob than was asked for"
        if not reject(response, RegistryProtocolError(registry=source.name, problem=problem)):
            return None


def _understood(
    source: BlobSource, descriptor: Descriptor, span: Span, response: Response
) -> Answer | None:
    """What a head says; None when it is another stretch or none."""
    answer, total = None, None
    if response.status == 200:
        total = content_length(response.headers, source=source.name)
        answer = Answer(Span(0, descriptor.size), response)
    elif response.status == 206:
        part = content_range(response.headers)
        if part is not None:
            total = part.total
            answer = Answer(span, response) if part.span == span else None
    if total is not None and total != descriptor.size:
        raise another_length(descriptor, "of another length", total)
    return answer
