"""The order of shots in several bases: copies, memory and drift, in blocks and alternating."""

from __future__ import annotations

import numpy as np
import pytest

import psiprune as pp
from psiprune.data.basis_order import BasesOrder, find_bases_order, order_warnings

BASES = ("ZZZ", "XZY", "YXZ", "XXZ")
MEANS = {"X": 0.3, "Y": -0.5, "Z": 0.8}
ARRANGED = pytest.mark.parametrize("arranged", ["blocks", "alternating", "random"])


def drawn(each: int, seed: int, arranged: str) -> pp.Shots:
    """Shots of independent sites with the same means, as many in each basis."""
    rng = np.random.default_rng(seed)
    index = np.repeat(np.arange(4), each)
    if arranged == "alternating":
        index = np.tile(np.arange(4), each)
    elif arranged == "random":
        index = rng.permutation(index)
    means = np.array([[MEANS[letter] for letter in name] for name in BASES])[index]
    bits = (rng.random(means.shape) < (1 - means) / 2).astype(np.uint8)
    return pp.Shots(bits, pp.PauliBases(BASES, index))


def warned(bits: np.ndarray, shots: pp.Shots) -> dict[str, str]:
    order = find_bases_order(pp.Shots(bits, shots.basis))
    return {each.name: each.line for each in order_warnings(order, shots.bases)}


@ARRANGED
def test_sound_shots_pass(arranged: str) -> None:
    shots = drawn(500, 0, arranged)
    found = find_bases_order(shots)
    assert not warned(shots.bits, shots)
    assert (found.grouped, found.repetition) == (False, "")
    for half, rows in enumerate((slice(0, 250), slice(250, None))):
        x0 = np.concatenate([shots.by_basis()[name][rows, 0] for name in ("XZY", "XXZ")])
        assert found.halves[half, 0, 0] == pytest.approx(1 - 2 * x0.mean())
    assert np.isnan(found.halves[0, 0, 2])  # no basis has X there


@pytest.mark.slow
@ARRANGED
def test_p_values_are_those_of_independent_shots(arranged: str) -> None:
    found = [find_bases_order(drawn(300, seed, arranged)) for seed in range(400)]
    # Of 400, 20 are expected: at most 4 standard deviations more; Bonferroni may make it fewer.
    for name in ("memory_p_value", "drift_p_value"):
        assert sum(getattr(each, name) < 0.05 for each in found) <= 38
    assert sum(float(each.repeats.p_value[0]) < 0.05 for each in found) <= 38
    assert sum((each.memory.p_value < 0.05).sum() for each in found) > 20  # of 1,200


@ARRANGED
def test_a_site_that_remembers(arranged: str) -> None:
    """A tenth of the outcomes of site 2 are those of the shot before, whatever its basis."""
    shots = drawn(1500, 1, arranged)
    bits, again = shots.bits.copy(), np.random.default_rng(2).random(6000) < 0.1
    for k in np.flatnonzero(again[1:]) + 1:
        bits[k, 2] = bits[k - 1, 2]
    assert "site 2" in warned(bits, shots)["memory"]


@ARRANGED
def test_a_site_that_drifts(arranged: str) -> None:
    """Between the first and the second half of each basis <X> of site 0 falls by 0.2."""
    shots = drawn(1000, 3, arranged)
    bits, chance = shots.bits.copy(), np.random.default_rng(4).random(4000)
    for k in range(4):
        rows = np.flatnonzero(shots.basis_of == k)[500:]
        if shots.bases[k][0] == "X":
            bits[rows[chance[rows] < 0.15], 0] = 1
    assert "<X> of site 0" in warned(bits, shots)["drift"]


def test_one_basis_that_drifts() -> None:
    """Opposite drifts in two bases with the same letter cancel in the means of all."""
    shots = drawn(2000, 5, "blocks")
    bits = shots.bits.copy()
    for name, rows in (("XZY", slice(1000, None)), ("XXZ", slice(0, 1000))):
        index = np.flatnonzero(shots.basis_of == BASES.index(name))[rows]
        bits[index[np.random.default_rng(6).random(1000) < 0.2], 0] = 1
    line = warned(bits, shots)["drift"]
    assert "halves of the shots in basis X" in line


@pytest.mark.parametrize("arranged", ["blocks", "random"])
def test_copies_and_counts(arranged: str) -> None:
    shots = drawn(400, 7, arranged)
    twice = np.repeat(np.arange(0, 1600, 2), 2)
    doubled = shots.take(twice)
    assert "recorded twice" in warned(doubled.bits, doubled)["repetition"]
    order = np.lexsort((shots.bits @ (1, 2, 4), shots.basis_of))
    counts = shots.take(order)
    assert [*warned(counts.bits, counts)] == ["grouped"]


def test_a_basis_for_each_shot_has_no_order() -> None:
    names = ["".join(name) for name in np.random.default_rng(0).choice([*"XYZ"], (12, 8))]
    shots = pp.Shots(np.zeros((12, 8), np.uint8), pp.PauliBases.of_shots(names))
    found: BasesOrder = find_bases_order(shots)
    assert (found.memory_p_value, found.drift_p_value) == (1.0, 1.0)
    assert not [*order_warnings(found, shots.bases)]
