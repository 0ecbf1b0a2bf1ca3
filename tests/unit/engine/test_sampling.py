"""Ranges of sampling parameters and limits."""

import math
from typing import cast

import pytest

from pyrunner.engine.sampling import check_limits, check_sampling, native_params, recent_tokens
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
        ("dynatemp_range", -0.1),
        ("dynatemp_exponent", 10.1),
        ("top_n_sigma", -1.1),
        ("top_n_sigma", math.nan),
        ("xtc_probability", 1.1),
        ("xtc_threshold", -0.1),
        ("mirostat", 3),
        ("mirostat_tau", 20.1),
        ("mirostat_eta", math.nan),
        ("adaptive_target", 1.1),
        ("adaptive_decay", 1.0),
        ("dry_multiplier", -0.1),
        ("dry_base", 0.9),
        ("dry_allowed_length", -1),
        ("dry_penalty_last_n", 32769),
        ("dry_sequence_breakers", ("x",) * 17),
        ("dry_sequence_breakers", ("",)),
        ("dry_sequence_breakers", ("x" * 41,)),
        ("dry_sequence_breakers", ("\u00e9" * 21,)),
        ("dry_sequence_breakers", ("a\0b",)),
        ("dry_sequence_breakers", ("\ud800",)),
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
        (Limits(max_tokens=cast("int", 100.0)), "max_tokens"),
        (Limits(stop=cast("tuple[str, ...]", "box")), "stop"),
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


@pytest.mark.parametrize(
    ("sampling", "seen"),
    [
        (SamplingParams(repeat_last_n=0), []),
        (SamplingParams(repeat_last_n=2), [8, 9]),
        (SamplingParams(repeat_last_n=1, dry_penalty_last_n=3), [9]),
        (SamplingParams(repeat_last_n=1, dry_penalty_last_n=3, dry_multiplier=1.0), [7, 8, 9]),
        (
            SamplingParams(repeat_last_n=0, dry_penalty_last_n=20, dry_multiplier=1.0),
            list(range(10)),
        ),
    ],
    ids=["none", "penalties", "dry-off", "dry", "short-prompt"],
)
def test_recent_tokens_are_what_the_furthest_looking_sampler_sees(
    sampling: SamplingParams, seen: list[int]
) -> None:
    assert list(recent_tokens(range(10), sampling)) == seen


def test_breakers_are_handed_over_as_bytes() -> None:
    sampling = SamplingParams(dry_sequence_breakers=("\u00e9", "\n"))
    params = native_params(sampling, ignore_eos=False)
    assert params["dry_sequence_breakers"] == [b"\xc3\xa9", b"\n"]


def test_a_seed_is_kept_and_a_missing_one_drawn() -> None:
    assert native_params(SamplingParams(seed=7), ignore_eos=False)["seed"] == 7
    drawn = {native_params(SamplingParams(), ignore_eos=False)["seed"] for _ in range(4)}
    assert len(drawn) > 1
