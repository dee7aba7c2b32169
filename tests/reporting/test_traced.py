"""Numbers and words of reports: three digits, plurals, lists."""

from __future__ import annotations

import math

import pytest

from psiprune.reporting.traced import Number, listed, percent, plural, say, significant, whole


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        *((0.0, "0"), (-0.0, "0"), (1.0, "1.00"), (-12.34, "−12.3"), (0.125, "0.125")),
        *((1.125, "1.13"), (-1.125, "−1.13"), (0.9996, "1.00"), (99.96, "100"), (1234.0, "1230")),
        *((1235.0, "1240"), (123456.0, "123000"), (999499.0, "999000")),
        *((999500.0, "1.00\u202f×\u202f10⁶"), (0.001, "0.00100"), (0.0009996, "0.00100")),
        *((0.0009994, "9.99\u202f×\u202f10⁻⁴"), (-4.5678e-12, "−4.57\u202f×\u202f10⁻¹²")),
        *((math.nan, "–"), (math.inf, "–")),
    ],
)
def test_three_digits(value: float, shown: str) -> None:
    assert significant(value) == shown


def test_words() -> None:
    a, b = Number(1, "1", "x: a"), Number(2, "2", "x: b")
    assert plural(a, "seed").text == "1 seed"
    assert plural(b, "seed").text == "2 seeds"
    assert plural(b, "axis", "axes").text == "2 axes"
    assert listed([]).text == ""
    assert listed([a]).text == "1"
    assert listed([a, b]).text == "1 and 2"
    assert listed([a, "x", b], "or").text == "1, x or 2"
    said = say("{a} of {b}: {c}.", a=a, b=plural(b, "seed"), c="all")
    assert said.text == "1 of 2 seeds: all."
    assert said.numbers == (a, b)
    assert percent(0.0625) == "6.3\xa0%"
    assert percent(math.nan) == whole(math.nan) == "–"
    assert whole(2.5) == "2.5"
