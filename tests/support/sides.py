"""The two sides that parity compares."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from pyrunner._native import Model
from support.headed_model import HeadedCase
from support.model_cases import ModelCase, ShippedCase
from support.reference import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """One model, loaded by our extension and by the reference program."""

    path: Path
    model: Model
    reference: Reference


def on_models(cases: Sequence[ModelCase | ShippedCase | HeadedCase]) -> pytest.MarkDecorator:
    """Run a test once per case, with the fixture `sides`."""
    return pytest.mark.parametrize(
        "sides", cases, ids=[case.name for case in cases], indirect=True, scope="module"
    )
