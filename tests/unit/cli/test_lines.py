import random
from itertools import pairwise

import pytest

from pyrunner.cli import lines


def test_lines_are_found_however_the_bytes_are_cut():
    text = "one\r\ntwo\n\nthree \u00e9\u4e2d\nlast".encode()
    draw = random.Random(7)
    for _ in range(200):
        cuts = sorted(draw.choices(range(len(text) + 1), k=draw.randrange(8)))
        ends = [0, *cuts, len(text)]
        chunks = [text[a:b] for a, b in pairwise(ends)]
        assert list(lines.lines(chunks)) == ["one", "two", "", "three \u00e9\u4e2d", "last"]


def test_lines_longer_than_any_buffer_stay_whole():
    chunks = [b"x" * 65536] * 64 + [b"\n"]
    assert [len(line) for line in lines.lines(chunks)] == [64 * 65536]


def test_lines_that_are_no_utf8_are_shown_not_refused():
    assert list(lines.lines([b"a\xff\n"])) == ["a\ufffd"]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: 1\n\ndata: 2\n\ndata: [DONE]\n\ndata: 3\n\n", ["1", "2"]),
        (b"data:1\r\n\r\n", ["1"]),
        (b": comment\nevent: x\nid: 4\ndata: 1\n\n", ["1"]),
        (b"data: a\ndata: b\n\n", ["a\nb"]),
        (b"\n\n\ndata: 1\n\n\n\n", ["1"]),
        (b"data: 1", ["1"]),
        (b"data: [DONE]", []),
        (b"", []),
        (b"<html>no stream</html>\n", []),
    ],
    ids=["done", "crlf", "fields", "joined", "blank", "unfinished", "bare-done", "empty", "html"],
)
def test_event_data(stream, events):
    assert list(lines.event_data([stream])) == events
