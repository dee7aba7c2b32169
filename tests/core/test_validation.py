"""Bad input is told in one line: which argument, the rule, the value found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import Field, model_validator

from psiprune.core.settings import Settings
from psiprune.core.validation import check_count, check_seed
from refusals import refuses


class Oven(Settings):
    """Settings with every kind of rule."""

    heat: float = Field(ge=0, le=300, description="degrees")
    minutes: int = Field(default=30, gt=0)

    @model_validator(mode="after")
    def _not_both(self) -> Oven:
        if self.heat > 200 and self.minutes > 100:
            raise ValueError("heat: above 200 for at most 100 minutes")
        return self


@pytest.mark.parametrize(
    ("values", "facts"),
    [
        ({"heat": 301}, ("heat", 300, 301, "(degrees)")),
        ({"heat": float("nan")}, ("heat", "finite", "nan")),
        ({"heat": float("inf")}, ("heat", "inf")),
        ({"heat": "warm"}, ("heat", "number", "'warm'")),
        ({"heat": 1, "minutes": 0}, ("minutes", 0, 0)),
        ({"heat": 1, "minutes": 1.5}, ("minutes", 1.5)),
        ({}, ("heat", "Oven")),
        ({"heat": 1, "colour": 2}, ("colour", "Oven", "heat, minutes")),
        ({"heat": 201, "minutes": 101}, ("heat", 200, 100)),
    ],
)
def test_settings_name_key_rule_and_value(
    values: dict[str, Any], facts: tuple[object, ...]
) -> None:
    with refuses(*facts):
        Oven(**values)


def test_settings_are_immutable() -> None:
    oven = Oven(heat=200)
    assert (oven.heat, oven.minutes) == (200, 30)
    with pytest.raises(ValueError, match="frozen"):
        oven.heat = 100


@pytest.mark.parametrize("value", [0, 7, 2**63 - 1, np.int64(3), np.uint8(3)])
def test_good_integers(value: int) -> None:
    for found in (check_seed(value), check_count("shots", value, 0)):
        assert type(found) is int
        assert found == value


NO_INTEGERS: list[Any] = [
    True,
    np.True_,
    1.0,
    np.float64(1.0),
    "1",
    None,
    np.array(1.5),
    np.array([1, 2]),
    [1],
]


@pytest.mark.parametrize("value", [-1, 2**63, *NO_INTEGERS], ids=repr)
def test_bad_integers(value: Any) -> None:
    with refuses("seed", 0, "2^63 - 1", repr(value)):
        check_seed(value)
    if not isinstance(value, int) or value < 3:
        with refuses("shots", 3, repr(value)):
            check_count("shots", value, 3)
