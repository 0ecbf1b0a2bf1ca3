import pytest

from pyrunner.config import RegistryConfig
from pyrunner.errors import RegistryProtocolError
from pyrunner.registry.ranges import Part, RangePlan, Span, content_length, content_range

PLAN = RangePlan(n_ranges=4, range_bytes=10, threshold_bytes=20)


@pytest.mark.parametrize(
    ("holes", "pieces"),
    [
        ([Span(0, 25)], [Span(0, 10), Span(10, 20), Span(20, 25)]),
        ([Span(7, 12)], [Span(7, 10), Span(10, 12)]),
        ([Span(10, 20)], [Span(10, 20)]),
        ([Span(0, 3), Span(15, 21)], [Span(0, 3), Span(15, 20), Span(20, 21)]),
        ([], []),
    ],
)
def test_holes_are_cut_at_multiples_in_the_order_of_the_file(holes, pieces):
    assert PLAN.cut(holes) == pieces


def test_several_connections_are_for_more_than_the_threshold():
    assert not PLAN.is_for([Span(0, 10), Span(50, 60)])
    assert PLAN.is_for([Span(0, 10), Span(50, 61)])
    single = RangePlan(n_ranges=1, range_bytes=10, threshold_bytes=0)
    assert not single.is_for([Span(0, 1000)])


def test_plan_is_what_the_settings_say():
    config = RegistryConfig(n_ranges=3, range_bytes=5, ranges_above_bytes=7)
    assert RangePlan.of(config) == RangePlan(n_ranges=3, range_bytes=5, threshold_bytes=7)


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes 0-9/100", Part(Span(0, 10), 100)),
        ("bytes 5-5/*", Part(Span(5, 6), None)),
        ("bytes */100", None),
        ("bytes 0-9", None),
        ("bytes 0-9/100 ", None),
        ("items 0-9/100", None),
        ("bytes -1-9/100", None),
        ("bytes 0-" + "9" * 20 + "/*", None),
        ("", None),
    ],
)
def test_content_range_is_read_or_not_believed(header, part):
    assert content_range({"Content-Range": header}) == part


@pytest.mark.parametrize(
    ("headers", "length"),
    [
        ({}, None),
        ({"Content-Length": "0"}, 0),
        ({"Content-Length": " 17 "}, 17),
        ({"Content-Length": "9" * 19}, 10**19 - 1),
        ({"Content-Length": "5, 5,5"}, 5),
    ],
)
def test_content_length_is_read(headers, length):
    assert content_length(headers, source="registry.example") == length


@pytest.mark.parametrize("text", ["", "-1", "+1", "1_0", "5, 6", "5,", "1" + "0" * 19, "9" * 5000])
def test_content_length_that_is_none_is_an_error(text):
    with pytest.raises(RegistryProtocolError, match="no length"):
        content_length({"Content-Length": text}, source="registry.example")
