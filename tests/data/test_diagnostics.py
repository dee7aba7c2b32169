"""What shots say of themselves: numbers by hand, no false alarms, and a case for every warning."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray
from scipy.special import comb

import exact
import psiprune as pp
import rates
from psiprune.data.diagnostics import LEVEL, ShotsDescription, _fair_coin, describe_shots
from psiprune.data.repeats import count_repeats
from psiprune.data.sums import Sums, compare_halves
from psiprune.inspect.tables import description_text
from refusals import check_facts

Bits = NDArray[np.uint8]


def described(bits: Any, **changes: Any) -> ShotsDescription:
    return describe_shots(pp.Shots(bits, **changes))


def warned(bits: Any, **changes: Any) -> dict[str, str]:
    return {each.name: each.line for each in described(bits, **changes).warnings}


def from_state(sites: int, field: float, shots: int, seed: int) -> Bits:
    state = pp.ground_state(pp.TFIM(sites=sites, field=field))
    return np.array(pp.sample(state, shots, seed=seed).bits)


CLEAN = from_state(8, 1.0, 4000, 11)


# ---- numbers


def test_numbers_by_hand() -> None:
    bits = [[0, 0, 1], [0, 0, 1], [1, 1, 1], [0, 1, 1], [0, 0, 1], [0, 0, 1]]
    found = described(bits, provenance={"lab": "own"})
    assert (found.shots, found.sites, found.distinct, found.unique) == (6, 3, 3, 2)
    assert found.frequent == (("001", 4), ("011", 1), ("111", 1))
    np.testing.assert_allclose(found.magnetization, [4 / 6, 2 / 6, -1])
    np.testing.assert_allclose(
        found.magnetization_error, np.sqrt([20 / 36, 32 / 36, 0] / np.array(5))
    )
    assert found.abs_magnetization == pytest.approx((4 * 1 / 3 + 1 + 1 / 3) / 6)
    assert found.constant == (2,)
    assert (found.up, found.down) == (4, 1)  # without site 2, which is always 1
    assert found.z2_p_value == pytest.approx(2 * (5 + 1) / 32)
    np.testing.assert_allclose(found.neighbours, [4 / 6 - 8 / 36, 0], atol=1e-15)
    assert found.repeats.observed.tolist() == [2]
    np.testing.assert_allclose(found.repeats.expected, [4 * 3 / 6])
    assert found.memory.observed.tolist() == [0, 1, 0]
    np.testing.assert_allclose(found.memory.expected, [0, 2 / 6, 0])
    np.testing.assert_allclose(found.halves[:, :3], [[1 / 3, 1 / 3, -1], [1, 1 / 3, -1]])
    np.testing.assert_allclose(found.halves[:, 3], [(1 / 3 + 1 / 3 + 1) / 3, 1 / 3])
    np.testing.assert_allclose(found.halves[:, 4], [1 / 3, 0])
    assert found.parameters == 3 + 3 + 1
    assert found.provenance == {"lab": "own"}


def test_against_loops() -> None:
    bits = CLEAN[:500]
    found = described(bits)
    z = 1.0 - 2 * bits
    products = (z[:, :-1] - z[:, :-1].mean(axis=0)) * (z[:, 1:] - z[:, 1:].mean(axis=0))
    np.testing.assert_allclose(found.neighbours, products.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(found.neighbours_error, products.std(axis=0) / np.sqrt(499))
    same = [(a == b).all() for a, b in itertools.pairwise(bits)]
    assert found.repeats.observed[0] == sum(same)
    rarer = np.where(bits.mean(axis=0) <= 0.5, 1, 0)
    again = ((bits[1:] == rarer) & (bits[:-1] == rarer)).sum(axis=0)
    np.testing.assert_array_equal(found.memory.observed, again)


def test_the_pieces_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = described(CLEAN[:333])
    monkeypatch.setattr("psiprune.data.sums._CHUNK", 80)
    pieces = described(CLEAN[:333])
    for name in ("magnetization", "neighbours", "halves", "drift"):
        np.testing.assert_array_equal(getattr(pieces, name), getattr(whole, name))
    for one, other in ((pieces.memory, whole.memory), (pieces.repeats, whole.repeats)):
        np.testing.assert_array_equal(one.observed, other.observed)


@pytest.mark.parametrize("classes", ["aabb", "aaabc", "aabbcd", "aaaaab", "abcde"])
def test_repeats_in_all_orders(classes: str) -> None:
    """Mean and spread of equal neighbours by going through every order."""
    from psiprune.data.repeats import repeats_in_random_order

    numbers = [
        sum(a == b for a, b in itertools.pairwise(order))
        for order in itertools.permutations(classes)
    ]
    counts = [classes.count(letter) for letter in set(classes)]
    mean, spread = repeats_in_random_order(counts, len(classes))
    assert mean == pytest.approx(np.mean(numbers))
    assert spread == pytest.approx(np.std(numbers), abs=1e-12)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (2, 2), (3, 1), (100, 1)])
def test_the_smallest(shape: tuple[int, int]) -> None:
    for bits in (np.zeros(shape, np.uint8), np.random.default_rng(1).integers(0, 2, shape)):
        found = described(bits)
        for p in (found.z2_p_value, found.repeats.p_value[0], found.memory_p_value):
            assert 0 <= p <= 1
        assert found.ordering is None


# ---- no false alarms


def worlds() -> dict[str, tuple[NDArray[np.float64], int]]:
    """Sound data sets, ground states and a skewed product state: p of `exact.basis`, and shots."""

    def ground(field: float) -> NDArray[np.float64]:
        p = pp.ground_state(pp.TFIM(sites=5, field=field)).to_vector() ** 2
        return np.asarray(p / p.sum())

    means = np.array([0.03, 0.1, 0.5, 0.9])
    skewed = np.where(exact.basis(4), means, 1 - means).prod(axis=1)
    return {
        "ordered": (ground(0.5), 150),
        "critical": (ground(1.0), 300),
        "paramagnet": (ground(2.0), 150),
        "skewed": (skewed, 200),
    }


@rates.factors
@pytest.mark.parametrize("world", ["ordered", "critical", "paramagnet", "skewed"])
def test_no_false_alarms(world: str, factor: float) -> None:
    """Each p-value is at most 0.05 in at most 5 % of sound records; each warning at `LEVEL`.

    And the error bars cover.
    """
    p, shots = worlds()[world]
    bits, generator, repeats = (
        exact.basis(len(p).bit_length() - 1),
        np.random.default_rng(17),
        rates.intervals(factor),
    )
    found = [described(bits[generator.choice(len(p), shots, p=p)]) for _ in range(repeats)]
    values = {
        "symmetry": [1.0 if world == "skewed" else each.z2_p_value for each in found],
        "repeats": [each.repeats.p_value[0] for each in found],
        "memory": [each.memory_p_value for each in found],
        "drift": [each.drift_p_value for each in found],
        "order": [1.0 if each.ordering is None else each.ordering.p_value for each in found],
    }
    for name, each in values.items():
        rates.check(np.array(each) <= 0.05, 0.05, factor, at_most=True, what=name)
        if factor < 3:
            rates.check(np.array(each) <= 0.01, 0.01, 3.0, at_most=True, what=name)
    unfounded = [
        warning.name
        for each in found
        for warning in each.warnings
        if world != "skewed" or warning.name not in ("symmetry", "constant")
    ]
    z = 1.0 - 2 * bits
    mean = p @ z
    truths = {
        "magnetization": mean,
        "neighbours": p @ (z[:, 1:] * z[:, :-1]) - mean[1:] * mean[:-1],
    }
    for name, truth in truths.items():
        value, error = (
            np.array([getattr(each, name + kind) for each in found]) for kind in ("", "_error")
        )
        if world in ("critical", "paramagnet"):  # few shots of the others differ
            rates.check_intervals(value, error, truth, factor, name)
    assert len(unfounded) <= rates.limits(len(values) * repeats, LEVEL, at_most=True)[1], unfounded


@pytest.mark.parametrize("level", [0.05, 0.01, LEVEL])
@pytest.mark.parametrize(("shots", "ones"), [(60, 30), (300, 20), (300, 150), (400, 12)])
def test_false_positive_rates_of_one_site_are_exact(shots: int, ones: int, level: float) -> None:
    """Over all orders of a record, of which C(k-1, r-1) C(n-k+1, r) have its k ones in r runs.

    The number of ones in the first half is hypergeometric, and that of a fair coin binomial.
    """
    k = np.arange(ones + 1)
    runs = ones - k[:-1]
    orders = comb(ones - 1, runs - 1) * comb(shots - ones + 1, runs) / comb(shots, ones)
    memory = count_repeats([[ones]] * ones, k[:-1].tolist(), shots).p_value
    none = np.zeros(shots, np.int64)
    sums = Sums(np.full(ones + 1, ones), k, k, k, k[1:], none, none)
    drift = 2 * scipy.stats.norm.sf(np.abs(compare_halves(sums, shots)[1][: ones + 1]))
    halves = scipy.stats.hypergeom.pmf(k, shots, ones, shots // 2)
    coin = [_fair_coin(up, shots - up, 1.0) for up in range(shots + 1)]
    tosses = scipy.stats.binom.pmf(np.arange(shots + 1), shots, 0.5)
    for p, probability in ((memory, orders), (drift, halves), (np.array(coin), tosses)):
        assert probability.sum() == pytest.approx(1)
        assert probability[p <= level].sum() <= level


def test_sound_data_has_no_warning() -> None:
    assert warned(CLEAN) == {}
    assert warned(from_state(8, 2.0, 4000, 1)) == {}
    assert warned(from_state(8, 0.5, 4000, 1)) == {}


# ---- a case for every warning


def flips(bits: Bits, share: float) -> Bits:
    """Ones turned to zeros, as relaxation does."""
    return np.asarray(bits & (np.random.default_rng(0).random(bits.shape) >= share), np.uint8)


def test_a_constant_qubit() -> None:
    bits = CLEAN.copy()
    bits[:, 3] = 1
    assert warned(bits)["constant"].startswith("site 3: the same value")
    bits[:, 5] = 0
    assert warned(bits)["constant"].startswith("sites 3, 5: the same value")
    assert "spins of +1" in warned(np.ones((50, 4)))["constant"]
    assert "a dead qubit" in warned(np.zeros((50, 4)))["constant"]
    many = np.zeros((50, 40), np.uint8)
    many[::2, 0] = 1
    check_facts(warned(many)["constant"], ", ".join(map(str, range(1, 13))) + ", ... (39)")
    # A few shots agree by chance: 4 * 2^(1 - 16) = 1.2e-4.
    for number, constant in ((1, False), (2, False), (15, False), (17, True)):
        for value in (0, 1):
            assert ("constant" in warned(np.full((number, 4), value))) == constant


def test_a_biased_qubit() -> None:
    """Ones are left in 3 of 4000 shots, and in 1 % of them, which is not below the limit."""
    for ones in (3, 40):
        bits = CLEAN.copy()
        bits[:, 2] = np.random.default_rng(0).permutation(4000) < ones
        if ones == 3:
            check_facts(warned(bits)["bias"], "site 2: ", "1%", f"{ones / 4000:.2%}")
        else:
            assert "bias" not in warned(bits)


def test_a_readout_that_loses_ones() -> None:
    weak = flips(from_state(8, 2.0, 20_000, 3), 0.05)
    line, inverted = warned(weak)["symmetry"], warned(1 - weak)["symmetry"]
    for fact in ("more zeros", "(p = ", "correct the readout"):
        assert fact in line
    assert "inverted" not in line
    assert "inverted" in inverted
    known = pp.Shots(weak, readout=pp.ReadoutError.from_rates(0.0, 0.05, sites=8))
    (line,) = (each.line for each in describe_shots(known).warnings if each.name == "symmetry")
    assert "the readout errors that the shots carry may be the reason" in line
    assert "correct the readout" not in line
    # A state that is not symmetric at all is nobody's mistake.
    assert "symmetry" not in warned((np.random.default_rng(0).random((4000, 8)) < 0.2).astype(int))


def test_repeated_shots() -> None:
    """One shot in twenty of 2000 is read out twice: 100 of them, and by chance less than 20."""
    wide = from_state(12, 2.0, 2000, 4)
    times = np.where(np.arange(len(wide)) % 20 == 0, 2, 1)
    bits = np.repeat(wide, times, axis=0)
    found = described(bits)
    line = {each.name: each.line for each in found.warnings}["repeats"]
    assert line.startswith(f"{found.repeats.observed[0]} shots ")
    assert found.repeats.observed[0] >= 100
    assert found.repeats.expected[0] < 20
    assert found.repeats.p_value[0] < LEVEL
    assert not found.grouped


def test_an_unfinished_reset() -> None:
    """One qubit keeps its value with a chance of 0.2."""
    generator = np.random.default_rng(2)
    bits = CLEAN.copy()
    for k in range(1, len(bits)):
        if generator.random() < 0.2:
            bits[k, 6] = bits[k - 1, 6]
    line = warned(bits)["memory"]
    assert line.startswith("site 6: ")


def test_counts_have_no_order() -> None:
    rows, counts = np.unique(CLEAN, axis=0, return_counts=True)
    names = warned(np.repeat(rows, counts, axis=0))
    assert names == {"grouped": names["grouped"]}
    assert "shuffle them" in names["grouped"]


def test_drift() -> None:
    """Of a mean by 0.3 in 2000 shots, in whatever basis; of correlations where no mean does."""
    bits = CLEAN.copy()
    bits[2000:, 4] |= (np.random.default_rng(1).random(2000) < 0.3).astype(np.uint8)
    found = described(bits)
    line = {each.name: each.line for each in found.warnings}["drift"]
    assert np.abs(found.drift).argmax() == 4
    assert line.startswith(f"<Z> of site 4 is {found.halves[0, 4]:.4f} in the first half")
    turned = described(bits, basis="X")
    assert "<X> of a site " in description_text(turned)
    assert "<Z>" not in description_text(turned)
    lines = {each.name: each.line for each in turned.warnings}
    assert lines["drift"].startswith("<X> of site 4 is ")
    check_facts(lines["basis"], "X", "Z")
    both = np.concatenate([from_state(8, 1.0, 2000, 5), from_state(8, 1.4, 2000, 6)])
    assert warned(both)["drift"].startswith(("|m| is", "the mean of Z Z is"))
    assert "drift" not in warned(np.random.default_rng(3).permutation(both))


def test_a_permuted_register() -> None:
    check_facts(warned(CLEAN[:, [0, 4, 2, 6, 1, 5, 3, 7]])["order"], "order 0, 4, 2, 6, 1, 5, 3, 7")
    assert warned(CLEAN[:, ::-1]) == {}


def test_few_shots() -> None:
    check_facts(warned(CLEAN[:43])["few"], "43 shots", "44 parameters")
    assert "few" not in warned(CLEAN[:44])
    found = described(np.ones((1, 4)))  # one has no errors
    assert np.isnan(found.magnetization_error).all()
    assert np.isnan(found.neighbours_error).all()
    assert found.neighbours_error.shape == (3,)
    text = description_text(found)
    assert "mean -1.0000, errors unknown\n" in text
    assert "above 0.00 nat" in text
