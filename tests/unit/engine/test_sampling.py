"""Ranges of sampling parameters and limits."""

import math

import pytest

from pyrunner.engine.sampling import check_limits, check_sampling, native_params
from pyrunner.errors import InvalidParameterError
from pyrunner.types import Limits, SamplingParams


@pytest.mark.parametrize(
    ("param", "value"),
    [
        ("temperature", -0.1),
        ("temperature", math.nan),
        ("temperature", math.inf),
        ("top_k", -1),
        ("top_p", 1.1),
        ("min_p", -0.1),
        ("typical_p", 2.0),
        ("repeat_penalty", 0.0),
        ("repeat_last_n", 2**20),
        ("presence_penalty", 3.0),
        ("frequency_penalty", -3.0),
        ("seed", -1),
        ("seed", 2**32 - 1),
        ("logit_bias", ((100, 1.0),)),
        ("logit_bias", ((1, 1000.0),)),
    ],
)
def test_a_value_outside_its_range_is_named(param: str, value: object) -> None:
    sampling = SamplingParams(**{param: value})  # type: ignore[arg-type]  # that is the test
    with pytest.raises(InvalidParameterError) as caught:
        check_sampling(sampling, n_vocab=100)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("limits", "param"),
    [
        (Limits(max_tokens=0), "max_tokens"),
        (Limits(stop=("",)), "stop"),
        (Limits(stop=("x",) * 65), "stop"),
        (Limits(stop=("x" * 1001,)), "stop"),
    ],
)
def test_a_wrong_limit_is_named(limits: Limits, param: str) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        check_limits(limits)
    assert caught.value.param == param


def test_defaults_are_allowed() -> None:
    check_sampling(SamplingParams(), n_vocab=100)
    check_limits(Limits())


def test_a_seed_is_kept_and_a_missing_one_drawn() -> None:
    assert native_params(SamplingParams(seed=7), ignore_eos=False)["seed"] == 7
    drawn = {native_params(SamplingParams(), ignore_eos=False)["seed"] for _ in range(4)}
    assert len(drawn) > 1
