"""Two kinds of RBM compared seed by seed."""

from __future__ import annotations

import math

import pytest

from psiprune.core.statistics import paired, paired_if_known
from refusals import refused


def test_ten_of_ten_lower() -> None:
    others = [float(k) for k in range(1, 11)]
    found = paired([0.5 * value for value in others], others)
    assert found[:3] == (0.5, 10, 10)
    assert found.p == pytest.approx(2 / 2**10)


def test_the_ratio_is_the_median_of_ratios_not_that_of_medians() -> None:
    assert paired([1.0, 2.0, 8.0], [4.0, 1.0, 2.0])[:3] == (2, 1, 3)
    assert paired([1.0, 2.0, 3.0], [1.0, 3.0, 4.0]).lower == 2


def test_the_order_of_pairs_does_not_matter_but_the_pairing_does() -> None:
    a, b = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.1, 2.2, 3.3, 4.4, 5.5, 6.6]
    assert paired(a[::-1], b[::-1]) == paired(a, b)
    assert paired(a, b).p == pytest.approx(2 / 2**6)
    assert paired(a, b[::-1]).p > 0.5
    turned = paired(b, a)
    assert (turned.lower, turned.p) == (0, paired(a, b).p)


def test_nothing_to_tell_apart() -> None:
    assert paired([1.0, 2.0], [1.0, 2.0]) == (1.0, 0, 2, 1.0)
    assert paired([1.0], [2.0]).p == 1.0
    # No ratio where signs differ.
    found = paired([-0.1, 0.2], [0.1, 0.3])
    assert math.isnan(found.ratio)
    assert found.lower == 2


@pytest.mark.parametrize(
    ("values", "others"), [([1.0], [1.0, 2.0]), ([], []), ([[1.0]], [[1.0]]), ([1.0], [math.nan])]
)
def test_what_cannot_be_paired(values: list[float], others: list[float]) -> None:
    refused(r"^values", paired, values, others)


def test_unknown_values_are_no_pairs() -> None:
    assert paired_if_known([1.0, 2.0], [2.0, 3.0]) == paired([1.0, 2.0], [2.0, 3.0])
    for values, others in (([math.nan, 1.0], [1.0, 2.0]), ([1.0], [math.inf])):
        found = paired_if_known(values, others)
        assert (found.lower, found.pairs) == (0, 0)
        assert math.isnan(found.ratio)
        assert math.isnan(found.p)
