"""What shots say of themselves: numbers by hand, no false alarms, and a case for every warning."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray

import exact
import psiprune as pp
from psiprune.data.diagnostics import LEVEL, ShotsDescription, describe_shots
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


def pools() -> dict[str, Callable[[np.random.Generator], Bits]]:
    """Sound data sets of independent shots: ground states and skewed product states."""

    def ground(field: float, shots: int) -> Callable[[np.random.Generator], Bits]:
        p = pp.ground_state(pp.TFIM(sites=5, field=field)).to_vector() ** 2
        rows = exact.basis(5)
        return lambda generator: rows[generator.choice(len(rows), shots, p=p / p.sum())]

    means = np.array([0.03, 0.1, 0.5, 0.9])
    return {
        "ordered": ground(0.5, 150),
        "critical": ground(1.0, 300),
        "paramagnet": ground(2.0, 150),
        "skewed": lambda generator: (generator.random((200, 4)) < means).astype(np.uint8),
    }


@pytest.mark.parametrize("sets", [200, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("world", ["ordered", "critical", "paramagnet", "skewed"])
def test_no_false_alarms(world: str, sets: int) -> None:
    """No more sets have a p-value up to 0.05, or 0.01, than 1 in 10^4 sound tests find.

    At 0.05 that is 2.3 times the right number of 200 sets, 1.5 of 1000. Of the warnings, at 1e-4 a
    kind, there are no more than in 1 of 1000 tests of sound data.
    """
    draw = pools()[world]
    generator = np.random.default_rng(17)
    values, names = [], []
    for _ in range(sets):
        found = described(draw(generator))
        order = 1.0 if found.ordering is None else found.ordering.p_value
        again = float(found.repeats.p_value[0])
        symmetric = 1.0 if world == "skewed" else found.z2_p_value
        values.append((symmetric, again, found.memory_p_value, found.drift_p_value, order))
        names += [each.name for each in found.warnings]
    for level in (0.05, 0.01):
        most = scipy.stats.binom.isf(1e-4, sets, level)
        counts = (np.array(values) <= level).sum(axis=0)
        assert (counts <= most).all(), (level, counts)
    unfounded = [
        name for name in names if world != "skewed" or name not in ("symmetry", "constant")
    ]
    assert len(unfounded) <= scipy.stats.poisson.isf(1e-3, 5 * LEVEL * sets), unfounded


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
