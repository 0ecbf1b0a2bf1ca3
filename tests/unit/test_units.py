"""Byte counts and durations, as people and other programs write them."""

import math

import pytest

from pyrunner import units
from pyrunner.errors import InvalidParameterError

HOSTILE = [
    "",
    " ",
    "-",
    "--1",
    "+1",
    "1e3",
    "0x10",
    "inf",
    "nan",
    "\u0664",
    "1\n2",
    "9" * 400,
    "\0",
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("17", 17),
        ("17B", 17),
        ("1k", 1024),
        ("512M", 512 * 1024**2),
        ("512m", 512 * 1024**2),
        ("4GiB", 4 * 1024**3),
        ("4gib", 4 * 1024**3),
        ("2GB", 2 * 1000**3),
        ("1.5KiB", 1536),
        ("1.5kB", 1500),
        ("0.1GB", 100_000_000),
        ("3T", 3 * 1024**4),
        ("\t5MB\n", 5_000_000),
        ("999999999999999", 999_999_999_999_999),
    ],
)
def test_bytes_are_read_as_docker_reads_them(text: str, expected: int):
    assert units.parse_bytes(text, param="size") == expected


@pytest.mark.parametrize("text", [*HOSTILE, "4iB", "4i", "4 GiB", "-1", "4X", "4GiBs", "\u212a"])
def test_bytes_near_misses_are_refused_and_name_the_parameter(text: str):
    with pytest.raises(InvalidParameterError) as caught:
        units.parse_bytes(text, param="memory")
    assert caught.value.param == "memory"
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0.0),
        ("0s", 0.0),
        ("-0", 0.0),
        ("90", 90.0),
        ("1.5", 1.5),
        ("5m", 300.0),
        ("5m0s", 300.0),
        ("1h30m", 5400.0),
        ("250ms", 0.25),
        ("1m250ms", 60.25),
        ("10us", 1e-5),
        ("7ns", 7e-9),
        (" 5m ", 300.0),
        ("-1", math.inf),
        ("-5m", math.inf),
        (5, 5.0),
        (-1, math.inf),
        (-0.5, math.inf),
        (math.inf, math.inf),
        (10**400, math.inf),
        (-(10**400), math.inf),
        ("999999999999999h", math.inf),
    ],
)
def test_durations_are_read_as_go_writes_them(text: str | float, expected: float):
    seconds = units.parse_duration(text, param="keep_alive")
    assert seconds == pytest.approx(expected)
    assert math.copysign(1, seconds) == 1


@pytest.mark.parametrize(
    "text", [*HOSTILE, "5 m", "m", "5x", "1h 30m", "5m-1s", "1h30", True, math.nan, None, [5], {}]
)
def test_durations_near_misses_are_refused_and_name_the_parameter(text: object):
    with pytest.raises(InvalidParameterError) as caught:
        units.parse_duration(text, param="keep_alive")  # type: ignore[arg-type]  # from JSON
    assert caught.value.param == "keep_alive"
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("size_bytes", "expected"),
    [(0, "0B"), (1023, "1023B"), (1024, "1.00KiB"), (270_590_000, "258.05MiB"), (2**40, "1.00TiB")],
)
def test_bytes_are_printed_with_powers_of_1024(size_bytes: int, expected: str):
    assert units.format_bytes(size_bytes) == expected


@pytest.mark.parametrize(
    ("size_bytes", "expected"),
    [(0, "0B"), (999, "999B"), (1000, "1.00kB"), (270_590_000, "270.59MB"), (10**12, "1.00TB")],
)
def test_bytes_are_printed_with_powers_of_1000(size_bytes: int, expected: str):
    assert units.format_bytes_decimal(size_bytes) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0s"), (1.5, "1.5s"), (60, "1m0s"), (300, "5m0s"), (3600, "1h0m0s"), (math.inf, "-1")],
)
def test_durations_are_printed_in_gos_form_and_read_back(seconds: float, expected: str):
    assert units.format_duration(seconds) == expected
    assert units.parse_duration(expected, param="x") == seconds


def test_one_thing_is_counted_in_the_singular():
    counts = [units.counted(n, "model") for n in (0, 1, 2)]
    assert counts == ["0 models", "1 model", "2 models"]
