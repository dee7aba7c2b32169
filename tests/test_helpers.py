"""The helpers of tests see what is wrong: rates off by a factor, and lost facts of refusals."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

import rates
from refusals import check_refusal


@pytest.mark.parametrize("at_most", [False, True])
@pytest.mark.parametrize("stated", [0.05 / 6, 0.05, 0.2, 0.3])
@pytest.mark.parametrize("factor", [1.5, 3.0])
def test_a_rate_off_by_the_factor_is_refused(stated: float, factor: float, at_most: bool) -> None:
    """Of 400 tests under each rate: the share refused has a standard error of at most 1.1 %."""
    number = rates.repeats(stated, factor, at_most)
    assert rates.power(number, stated, factor, at_most) >= rates.POWER
    assert rates.power(number * 9 // 10, stated, factor, at_most) < rates.POWER
    low, high = rates.limits(number, stated, at_most)
    generator = np.random.default_rng(0)
    for true, refused in (
        (stated, 0.0),
        (min(1.0, stated * factor), rates.POWER),
        (stated / factor, 0.0 if at_most else rates.POWER),
    ):
        counts = generator.binomial(number, true, 400)
        share = np.mean((counts < low) | (counts > high))
        assert share >= refused - 4 * 0.011
        assert refused or share == 0


def test_each_column_counts_and_too_few_repeats_prove_nothing() -> None:
    number = rates.repeats(0.05, 3.0)
    right = np.arange(number) % 20 == 0
    rates.check(right, 0.05, 3.0)
    rates.check(np.stack([right, right], axis=1), 0.05, 3.0)
    for wrong in (np.arange(number) % 7 == 0, np.arange(number) % 60 == 0):
        with pytest.raises(AssertionError, match="errors: "):
            rates.check(np.stack([right, wrong], axis=1), 0.05, 3.0, what="errors")
    rates.check(np.arange(number) % 60 == 0, 0.05, 3.0, at_most=True)
    with pytest.raises(AssertionError, match="too few repeats"):
        rates.check(right[: number // 2], 0.05, 3.0)


@pytest.mark.parametrize("factor", [1.5, 3.0])
@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_error_bars_of_half_or_twice_the_size_are_refused(scale: float, factor: float) -> None:
    value = np.random.default_rng(1).normal(2.0, 0.3, rates.intervals(factor))
    wrong = pytest.raises(AssertionError, match="bars")
    with contextlib.nullcontext() if scale == 1.0 else wrong:
        rates.check_intervals(value, np.full(len(value), 0.3 * scale), 2.0, factor, "bars")


# ---- refusals: a lost name, value or limit is seen


LINE = "shots: must be at least 20,000, found 5; give --shots"


@pytest.mark.parametrize(
    ("line", "passes"),
    [
        (LINE, True),
        (f"/tmp/a/{LINE}", True),
        (LINE.replace("must be at least", "too few, needs"), True),
        (LINE.removeprefix("shots: "), False),
        (LINE.replace("shots: ", "my_shots: "), False),
        (LINE.replace("found 5", "found 15"), False),
        (LINE.replace("found 5", "found 5.5"), False),
        (LINE.replace("found 5", "found -5"), False),
        (LINE.replace("20,000", "20,000,000"), False),
        (LINE.replace("--shots", "more"), False),
        (f"{LINE}\n", False),
    ],
)
def test_facts_of_a_refusal(line: str, passes: bool) -> None:
    if passes:
        check_refusal(line, "shots", 20_000, 5, "--shots")
    else:
        with pytest.raises(AssertionError):
            check_refusal(line, "shots", 20_000, 5, "--shots")


def test_a_limit_and_an_equal_value_are_two_facts() -> None:
    check_refusal("x: must be above 0, found 0", "x", 0, 0)
    with pytest.raises(AssertionError):
        check_refusal("x: must be above 0", "x", 0, 0)
