"""The parts that rules are made of, each against a value known otherwise."""

from __future__ import annotations

import itertools
from math import comb

import numpy as np
import pytest
import xarray as xr

from invented import two_peaks, world
from psiprune.core.statistics import paired
from psiprune.paper.claims.base import FAILS, HOLDS, IN_PART, InsufficientDataError, listed
from psiprune.paper.claims.data import (
    complete_seeds,
    connectable,
    fractions,
    nearest,
    phase,
    resolution,
)
from psiprune.paper.claims.evidence import Evidence, claim
from psiprune.paper.claims.order import peaks, two_peaked
from psiprune.paper.claims.sparse import epochs_to_level
from psiprune.paper.claims.structure import _ratio
from psiprune.paper.claims.tests import (
    contrast,
    growth,
    interval_of,
    p_above,
    p_larger,
    p_more_often,
)
from psiprune.paper.claims.training_set import _asymmetry, _higher
from psiprune.paper.claims.unharmed import reach


def test_a_difference_counts_if_it_is_significant_and_large() -> None:
    base = np.arange(1.0, 11.0)
    more = contrast(1.2 * base, base)
    assert (more.higher, more.lower) == (True, False)
    assert more.ratio == pytest.approx(1.2)
    assert more.p == pytest.approx(2 / 2**10)
    less = contrast(base, 1.2 * base)
    assert (less.higher, less.lower) == (False, True)
    small = contrast(1.05 * base, base)
    assert small.p < 0.05
    assert not small.higher
    # Five of five have p = 0.0625; ten with these signs 0.049.
    assert not contrast(1.2 * base[:5], base[:5]).higher
    signs = np.array([1, 1, 1, 1, 1, 1, 1, -1, 1, 1])
    close = contrast(20 + signs * base, 20 - signs * base)
    assert 0.04 < close.p < 0.05
    assert close.higher
    unsure = contrast([3.0, 3.0, 3.1, 0.5, 0.4, 0.3], [1.0] * 6)
    assert unsure.ratio > 1.5
    assert not unsure.higher


def test_one_sided_p_values_at_their_least() -> None:
    assert p_above([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(2**-5)
    assert p_above([-1.0, -2.0, -3.0, -4.0, -5.0]) == 1.0
    assert p_above([2.0, 2.0], [2.0, 2.0]) == 1.0
    assert p_larger([4.0, 5.0, 6.0], [1.0, 2.0, 3.0]) == pytest.approx(1 / 20)
    assert p_larger([4.0, 5.0, np.inf], [1.0, 2.0, 3.0]) == pytest.approx(1 / 20)
    # Ties: of the 20 ways to deal out 1, 1, 1, 2, 2, 2 one is as large as this.
    assert p_larger([2.0, 2.0, 2.0], [1.0, 1.0, 1.0]) == pytest.approx(1 / 20)
    assert p_larger([1.0, 1.0, 1.0], [1.0, 1.0, 1.0]) == 1
    assert p_larger(np.arange(10.0) + 10, np.arange(10.0)) < 2e-4
    assert p_larger([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]) > 0.9


def test_p_values_are_as_small_as_stated_over_all_signs_and_all_deals() -> None:
    """Exactly: every sign of 6 differences, and every deal of 6 values to 3 + 3, is as likely."""
    signs = np.array(list(itertools.product((-1, 1), repeat=6)))
    sizes = np.array([0.3, 0.5, 0.8, 1.3, 2.1, 3.4])
    above = np.array([p_above(row) for row in signs * sizes])
    both = np.array([paired(row, np.zeros(6)).p for row in signs * sizes])
    deals = [
        (list(one), [x for x in range(6) if x not in one])
        for one in itertools.combinations(range(6), 3)
    ]
    larger = np.array([p_larger(*deal) for deal in deals])
    for p in (above, both, larger):
        np.testing.assert_allclose([(p <= x + 1e-9).mean() for x in p], p)
    # Those of all minus signs come first, those of all plus signs last.
    assert (above[-1], both[0], both[-1]) == pytest.approx((1 / 64, 1 / 32, 1 / 32))
    assert (larger[0], larger[-1]) == pytest.approx((1, 1 / 20))
    # Of 10 differences of one standard deviation most are seen.
    noise = np.random.default_rng(0).normal(size=(100, 10))
    assert np.mean([p_above(row + 1) < 0.05 for row in noise]) > 0.7


def test_intervals_of_medians_have_their_coverage() -> None:
    """Of 1000 samples of 10 skewed values 68 % contain the true median, within 4 errors."""
    draws = np.random.default_rng(0).exponential(size=(1000, 10))
    found = [interval_of(row) for row in draws]
    inside = np.mean([each.low <= np.log(2) <= each.high for each in found])
    assert abs(inside - 0.6827) < 4 * np.sqrt(0.68 * 0.32 / 1000)
    # What 16 to 84 % of the seeds spread over is another thing.
    spread = np.quantile(draws, (0.16, 0.84), axis=1)
    assert np.mean((spread[0] <= np.log(2)) & (np.log(2) <= spread[1])) > 0.85


def test_intervals_of_few_values_and_of_shares() -> None:
    assert interval_of([3.0, 1.0, 2.0]).value == 2.0
    assert interval_of([1.0, 5.0]) == (3.0, 1.0, 5.0)
    assert np.isnan(interval_of(7.0).low)
    # With three values the whole range has 75 %, and the median alone 0 %.
    low, high = interval_of([0.0, 1.0, 2.0])[1:]
    assert 0 < low < 0.2
    assert high == pytest.approx(2 - low)
    assert interval_of([1.0, 2.0, np.inf, np.inf, np.inf]).value == np.inf
    assert interval_of([1.0] * 9 + [np.inf]) == (1.0, 1.0, 1.0)
    # Wilson's interval of 0 of n ends at 1 / (n + 1).
    assert interval_of([False] * 10) == pytest.approx((0.0, 0.0, 1 / 11))
    assert interval_of([True] * 3 + [False] * 7) == pytest.approx((0.3, 0.179, 0.458), abs=1e-3)


def test_shares_are_compared_exactly() -> None:
    """3 of 20 against 0 of 20: all three among the first half, C(20, 3) / C(40, 3)."""
    assert p_more_often(3, 20, 0, 20) == pytest.approx(comb(20, 3) / comb(40, 3))
    assert p_more_often(0, 20, 3, 20) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("verdicts", "verdict", "text"),
    [
        ((HOLDS, HOLDS), HOLDS, "One way: 1. The other: 2."),
        ((FAILS, FAILS), FAILS, "One way: 1. The other: 2."),
        (
            (HOLDS, FAILS),
            IN_PART,
            "One way: holds; the other: does not hold. One way: 1. The other: 2.",
        ),
    ],
)
def test_several_readings(verdicts: tuple[str, str], verdict: str, text: str) -> None:
    """All must agree, else the verdict is in part and says by which; numbers keep apart."""

    def one(evidence: Evidence, way: tuple[int, str]) -> str:
        evidence.note("x", way[0], "given")
        evidence.effect("x", [1.0, 2.0, 3.0])
        evidence.decide(way[1] == HOLDS)
        return f"{way[0]}."

    @claim("key", "III A")
    def rule(evidence: Evidence) -> str:
        ways = {("a", "one way"): (1, verdicts[0]), ("b", "the other"): (2, verdicts[1])}
        return evidence.each(ways, one)

    finding = rule.judge({})
    assert (finding.verdict, finding.measured) == (verdict, text)
    assert dict(finding.readings) == dict(zip(("one way", "the other"), verdicts, strict=True))
    assert {name: each.value for name, each in finding.numbers.items()} == {"a_x": 1, "b_x": 2}
    assert [each.what for each in finding.effects] == ["one way: x", "the other: x"]


def test_what_the_training_set_resolves() -> None:
    """The relative standard error of <|m|>, from draws of |m| themselves."""
    datasets = world()
    p = datasets["study"]["magnetization_distribution_reference"].sel(field=1.0).values
    m = np.abs(1 - 2 * np.arange(19) / 18)
    draws = np.random.default_rng(0).choice(m, size=(400, 1000), p=p).mean(axis=1)
    expected = np.sqrt(1000 / 1e5) * draws.std() / draws.mean()
    found = resolution(datasets, 1.0, "abs_magnetization_bias")
    assert found == pytest.approx(expected, rel=4 / np.sqrt(800))
    assert resolution(datasets, 1.0, "kl") == 0.0
    del datasets["symmetry"]
    assert resolution(datasets, 1.0, "abs_magnetization_bias") == 0.0


def test_growth_is_a_geometric_mean() -> None:
    values = np.array([[1.0, 2.0, 8.0], [5.0, 5.0, 5.0]])
    assert np.exp(growth(values)) == pytest.approx([4.0, 1.0])
    assert np.isnan(growth(np.array([[1.0, -2.0]]))).all()
    assert not np.isfinite(growth(np.array([[0.0, 2.0]]))).any()


def test_the_level_nearest_to_a_fraction_and_those_that_can_be_connected() -> None:
    here = phase(world(), "study", 1.0)
    levels = fractions(here)
    found = [nearest(levels, x) for x in (0.25, 1 / 3, 0.5, 0.75)]
    assert found == [3, 4, 7, 13]
    assert levels[found] == pytest.approx([0.272, 0.346, 0.525, 0.747], abs=1e-3)
    with pytest.raises(InsufficientDataError, match="no level within 5% of 75% pruned"):
        nearest(levels[:5], 0.75)
    with pytest.raises(InsufficientDataError, match="no level"):
        nearest(levels[:1], 0.02)
    assert np.flatnonzero(connectable(here)).tolist() == list(range(1, 18))


def test_fields_are_selected_by_their_ratio_to_the_coupling() -> None:
    study = world()["study"].assign_coords(field=[0.5, 1.0]).assign_attrs(coupling=0.5)
    assert float(phase({"study": study}, "study", 2.0)["field"]) == 1.0
    # Derived datasets do not say J: it is that of the study.
    ranks = world()["ranks"].assign_coords(field=[0.5, 1.0])
    assert float(phase({"study": study, "ranks": ranks}, "ranks", 1.0)["field"]) == 0.5
    with pytest.raises(InsufficientDataError, match="study has no field with h/J = 3"):
        phase({"study": study}, "study", 3.0)


def test_missing_variables_and_seeds_are_named() -> None:
    here = phase(world(), "study", 1.0)
    with pytest.raises(InsufficientDataError, match="the data has no nothing"):
        complete_seeds(here, 3, "nothing")
    with pytest.raises(InsufficientDataError, match="at least 11 seeds, found 10"):
        complete_seeds(here, 11, "kl")


def test_reach_is_the_first_level_out_and_not_the_last_one_in() -> None:
    here = phase(world(), "study", 2.0)
    found = reach(here, "kl")
    assert found.level == 14
    assert found.growth[13] < 1.1 < found.growth[14]
    assert found.fraction == pytest.approx(1 - 37 / 162)
    here["kl"].loc[{"level": 5}] *= 9.0
    assert reach(here, "kl").level == 5
    here["kl_floor"].loc[{"level": 5}] = 1.0
    assert reach(here, "kl").level == 14


def test_harm_is_significant_and_matters() -> None:
    here = phase(world(), "study", 2.0)
    dense = here["kl"].sel(level=0)
    few = 1.5 - (here["seed"] >= 6)  # higher in 6 of 10 seeds only, and lower where it is largest
    for factor, level in ((1.09, 14), (1.11, 5), (few, 14)):
        here["kl"].loc[{"level": 5}] = dense * factor
        assert reach(here, "kl").level == level


@pytest.mark.parametrize(
    ("tests", "conditions", "verdict"),
    [
        *(([True, True], {}, HOLDS), ([True, False], {}, IN_PART)),
        *(([True, False, False], {}, FAILS), ([False, False], {}, FAILS)),
        *(([False], {"holds": True}, HOLDS), ([True], {"holds": False}, FAILS)),
        ([True], {"holds": False, "in_part": True}, IN_PART),
        ([True, False, False], {"in_part": True}, IN_PART),
    ],
)
def test_verdicts(tests: list[bool], conditions: dict[str, bool], verdict: str) -> None:
    """By several tests, or by conditions of the rule's own."""

    @claim("key", "III A")
    def rule(evidence: Evidence) -> str:
        evidence.case("a case", *tests)
        if conditions:
            evidence.decide(**conditions)
        return evidence.text

    finding = rule.judge({})
    assert (finding.measured, finding.seeds, finding.verdict) == ("a case", 1, verdict)


def test_words_in_a_row() -> None:
    assert [listed(w) for w in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "none",
        "a",
        "a and b",
        "a, b and c",
    ]


@pytest.mark.parametrize("sites", [9, 10, 18])
def test_peaks(sites: int) -> None:
    ones, double = two_peaks(sites)
    single = np.exp(-((ones - sites / 2) ** 2) / sites)
    error = np.full((3, sites + 1), 1e-3)
    # The third has one peak to one side only: symmetrised, still two.
    lonely = np.where(ones == 1, 1.0, 0.1)
    found = peaks(np.stack([double, single / single.sum(), lonely / lonely.sum()]), error)
    m = np.abs(1 - 2 * ones / sites)
    assert found.place == pytest.approx([m[double.argmax()], m.min(), m[1]])
    assert two_peaked(found).tolist() == [True, False, True]
    assert found.centre[0] == pytest.approx(double[sites // 2])
    # A peak within its error is none.
    assert not two_peaked(peaks(double[None], np.full((1, sites + 1), 0.1))).any()


def test_large_weights_against_normal_ones() -> None:
    normal = np.random.default_rng(1).normal(size=(300, 18))
    assert _ratio(normal) == pytest.approx(3.2, abs=0.15)
    weights = np.full((2, 9), 0.1)
    weights[:, :3] = -1.0
    assert _ratio(weights) == pytest.approx(10.0)
    with pytest.raises(InsufficientDataError, match="no other weights"):
        _ratio(np.ones((2, 3)))


def history(*levels: float) -> xr.Dataset:
    """One RBM: KL of 100 at epoch 0, falling by half every 10 epochs to a level of its own."""
    epochs = 10.0 * np.arange(51)
    falls = np.maximum(100 * 0.5 ** (epochs / 10), np.array(levels)[:, None])
    return xr.Dataset(
        {"history_kl": (("seed", "variant", "epoch"), falls[:, None])},
        {"epoch": epochs, "variant": ["dense"]},
    )


def test_each_rbm_converges_to_its_own_level() -> None:
    here = history(1.0, 20.0)
    slow, fast = epochs_to_level(here, "dense", "kl")
    # 100 / 2^7 = 0.78 is held at 1, 100 / 2^6 = 1.56; 1.1 lies between the two.
    assert slow == pytest.approx(70 - 10 * 0.1 / 0.5625)
    # 25 at epoch 20, 20 at 30: 22 at 26. The worse RBM is the faster one, at where it ends.
    assert fast == pytest.approx(26)
    assert epochs_to_level(history(100.0), "dense", "kl").tolist() == [1.0]
    with pytest.raises(InsufficientDataError, match="2 entries in its last fifth"):
        epochs_to_level(here.sel(epoch=here["epoch"] % 50 == 0), "dense", "kl")


@pytest.mark.parametrize("sites", [10, 11])
def test_asymmetry_of_symmetric_shots(sites: int) -> None:
    """Its mean over 2,000 sets of shots, within 4 standard errors."""
    p = np.exp(-((np.arange(sites + 1) - sites / 2) ** 2) / 4)
    draws = np.random.default_rng(0).multinomial(500, p / p.sum(), size=2000) / 500
    found = np.array([_asymmetry(each, 500) for each in draws])
    error = found[:, 0].std() / np.sqrt(2000)
    # The expected value goes by the shots at each |m|, which differ from set to set.
    assert abs(found[:, 0].mean() - found[:, 1].mean()) < 4 * error


def test_the_highest_place_within_its_noise() -> None:
    """Of equally likely |m| one is 2.5 errors above a fixed other in 0.6 % of all sets."""
    m = np.array([0.0, 0.5, 1.0])
    flat = np.array([1.0, 2.0, 2.0]) / 5
    draws = np.random.default_rng(1).multinomial(1000, flat, size=4000) / 1000
    off = np.array([_higher(each, m, 2, 0, 1000) for each in draws])
    assert abs(off.mean()) < 4 / np.sqrt(4000)
    assert off.std() == pytest.approx(1, abs=0.05)
    assert _higher(np.array([0.2, 0.2, 0.6]), m, 2, 1, 1000) > 10
