"""Odd answers in the middle of a blob, a row each: what is here stays, or the error is typed."""

from typing import NamedTuple

import pytest
from support.recording import ImpatientClient, Told
from support.scripted_registry import Fault, Handler, scripted_registry

from pyrunner.config import RegistryConfig
from pyrunner.errors import RegistryProtocolError
from pyrunner.models.transfer import pull
from pyrunner.registry.digest import Digest

MIB = 1024 * 1024
WEIGHTS = bytes(range(256)) * 4096
BLOB = Digest.of(WEIGHTS).text
CONFIG = RegistryConfig(max_attempts=2, timeout_s=10)
HALF = MIB // 2
REST = f"bytes={HALF}-"
THE_REST = f"bytes {HALF}-{MIB - 1}/{MIB}"


def _reply(status: int, body: bytes = b"", **headers: str) -> Fault:
    return lambda handler: handler.reply(status, body, **headers)


def _without_end(handler: Handler) -> None:
    handler.send_response(206)
    handler.send_header("Content-Range", THE_REST)
    handler.end_headers()
    try:
        handler.wfile.write(WEIGHTS[HALF:])
        while True:
            handler.wfile.write(WEIGHTS)
    except OSError:
        handler.close_connection = True


class Row(NamedTuple):
    answers: list[Fault]
    """To those who ask for the rest; the first half is here."""
    asked: list[str | None]
    """What is asked for then."""


SIXTEEN = _reply(416)
WHOLE = _reply(200, WEIGHTS)
OTHER = _reply(206, WEIGHTS[1:], Content_Range=f"bytes 1-{MIB - 1}/{MIB}")
ROWS = {
    "one 416": Row([SIXTEEN], [REST, REST]),
    "one other part": Row([OTHER], [REST, REST]),
    "one part without a range": Row([_reply(206, WEIGHTS)], [REST, REST]),
    "one whole blob": Row([WHOLE], [REST, REST]),
    "416, then the whole blob": Row([SIXTEEN, WHOLE], [REST] * 3),
    "416 twice": Row([SIXTEEN] * 2, [REST] * 3),
    "416 three times": Row([SIXTEEN] * 3, [REST] * 3 + [None]),
    "other parts three times": Row([OTHER] * 3, [REST] * 3 + [None]),
    "the whole blob twice": Row([WHOLE] * 2, [REST] * 2 + [None]),
    "one byte too many": Row([_reply(206, WEIGHTS[HALF:] + b"x", Content_Range=THE_REST)], [REST]),
    "bytes without end": Row([_without_end], [REST]),
    "one length in two headers": Row(
        [_reply(206, WEIGHTS[HALF:], Content_Range=THE_REST, Content_Length=f"{HALF}, {HALF}")],
        [REST],
    ),
}
LENGTHS = {
    "of five thousand digits": "9" * 5000,
    "of twenty digits": "1" + "0" * 19,
    "below zero": "-1",
    "of no digits": "many",
    "empty": "",
}


@pytest.fixture
def registry():
    with scripted_registry() as registry:
        registry.hold("a/b:1", WEIGHTS)
        yield registry


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_odd_answer_costs_what_is_here_only_when_it_comes_again(store, registry, row):
    half = _reply(200, WEIGHTS[:HALF], Content_Length=str(MIB))
    registry.faults[BLOB] = [half, *row.answers]
    with ImpatientClient(config=CONFIG) as client:
        model = pull(store, client, f"{registry.host}/a/b:1", Told()).model
    assert model.weight_paths[0].read_bytes() == WEIGHTS
    assert [each.get("Range") for each in registry.headers_of("GET", BLOB)] == [None, *row.asked]


@pytest.mark.parametrize("length", LENGTHS.values(), ids=LENGTHS.keys())
def test_length_that_is_none_is_a_typed_error(store, registry, length):
    registry.faults[BLOB] = [_reply(200, WEIGHTS, Content_Length=length)]
    with (
        ImpatientClient(config=CONFIG) as client,
        pytest.raises(RegistryProtocolError, match="a Content-Length that is no length") as caught,
    ):
        pull(store, client, f"{registry.host}/a/b:1", Told())
    assert caught.value.registry == registry.host
    assert store.list() == []
