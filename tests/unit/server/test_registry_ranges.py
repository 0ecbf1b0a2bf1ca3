import pytest

from pyrunner.server.registry.ranges import Slice, UnsatisfiableError, parse_range


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", Slice(0, 1)),
        ("bytes=0-9", Slice(0, 10)),
        ("bytes=5-9223372036854775807", Slice(5, 5)),
        ("bytes=3-5", Slice(3, 3)),
        ("bytes=3-", Slice(3, 7)),
        ("bytes=3-99999999", Slice(3, 7)),
        ("bytes=-4", Slice(6, 4)),
        ("bytes=-99", Slice(0, 10)),
        ("Bytes = 1 - 2", Slice(1, 2)),
        (" bytes=9- ", Slice(9, 1)),
    ],
)
def test_range_is_read(header, expected):
    assert parse_range(header, 10) == expected


@pytest.mark.parametrize(
    "header",
    [
        *(None, "", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-3", "lines=0-1", "bytes 0-1"),
        *("bytes=0-1,3-4", "bytes=1--2", "bytes=" + "9" * 20 + "-", "bytes=0x1-2"),
    ],
)
def test_header_that_is_no_single_range_means_all(header):
    assert parse_range(header, 10) is None


@pytest.mark.parametrize(
    ("header", "size"), [("bytes=10-", 10), ("bytes=10-20", 10), ("bytes=-0", 10), ("bytes=0-", 0)]
)
def test_range_behind_the_end_is_not_satisfiable(header, size):
    with pytest.raises(UnsatisfiableError):
        parse_range(header, size)


def test_content_range_names_both_ends_and_the_size():
    assert Slice(3, 3).content_range(10) == "bytes 3-5/10"
