"""Sums of Pauli strings from shots in several bases: values, errors, and what is not measured."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import psiprune as pp
import tiny
from exact import pauli_sum
from psiprune.metrics.measured_bases import _products, pauli_mean
from psiprune.states.basis_rotation import rotate
from refusals import refuses

BASES = ("ZZZ", "XXZ", "XYX", "ZYY")
#: Strings in one basis and in several, which share shots.
SUM = pp.Hamiltonian("0.5 [X0] - 0.8 [Z0 Z1] + 1.2 [Y1] + 0.7 [X0 Y1 X2] + 0.3 [] - 0.4 [Z2]", 3)


def random_state(seed: int = 0) -> pp.MPS:
    real, imaginary = np.random.default_rng(seed).normal(size=(2, 8))
    return pp.mps_from_vector(real + 1j * imaginary)


def test_values_by_hand() -> None:
    shots = pp.join_shots(
        [
            pp.Shots(np.array([[0, 0]] * 3 + [[1, 1]], np.uint8), "XX"),
            pp.Shots(np.array([[0, 0], [0, 1]], np.uint8), "XZ"),
            pp.Shots(np.array([[0, 1], [0, 1]], np.uint8), "ZZ"),
        ]
    )
    found = pp.measure_observables(shots, ["X0 X1", "X0", "Z1", "Z0 Z1"])
    # X0 X1 in XX; X0 in XX and XZ: 6 shots, one of them -1; Z1 in XZ and ZZ; Z0 Z1 in ZZ.
    assert [float(each.value) for each in found.values()] == pytest.approx([1, 4 / 6, -0.5, -1])
    assert found["Z0_Z1"].error == pytest.approx(1 / 8)  # all agree: at least one of all 8 shots
    # 5 of 6 over both bases: (1 - m^2) / (n - 1) with m = 2/3.
    assert found["X0"].error == pytest.approx((5 / 9 / 5) ** 0.5)


def test_strings_share_shots() -> None:
    # In |00> + |11> each of the two is a fair coin, and their difference is 0 in every shot.
    shots = pp.sample(pp.mps_from_vector([1, 0, 0, 1]), 200, bases=["ZZ", "XX"], progress=False)
    found = pp.measure_observables(shots, {"O": pp.Hamiltonian({"ZI": 1.0, "IZ": -1.0})})["O"]
    assert (float(found.value), float(found.error)) == (0, 1 / 200)


@pytest.mark.parametrize("each", [1, 2, 20])
def test_errors_are_the_spread_however_few_shots_a_basis_has(each: int) -> None:
    bases = ["".join(letters) for letters in product("XYZ", repeat=3)]
    prob = np.abs(rotate(random_state(1).to_vector(), bases)) ** 2
    names = [basis for basis in bases for _ in range(each)]
    operator = pp.Hamiltonian("0.7 [Y0 Z1] + 0.5 [X2] - 0.3 [Y0 X2]", 3)
    generator = np.random.default_rng(0)
    found = []
    for _ in range(60):
        outcomes = np.concatenate([generator.choice(8, each, p=p / p.sum()) for p in prob])
        bits = ((outcomes[:, None] >> np.arange(3)) & 1).astype(np.uint8)
        found.append(pauli_mean("O", operator, pp.Shots(bits, pp.PauliBases.of_shots(names))))
    values, errors = (np.array(part) for part in zip(*found, strict=True))
    # The spread of 60 values is known to 9 %.
    assert np.sqrt((errors**2).mean()) == pytest.approx(values.std(ddof=1), rel=0.35)


def test_one_shot_of_a_string_has_the_error_of_a_coin() -> None:
    names = ["XX", "YY", *["ZZ"] * 50]
    shots = pp.Shots(np.zeros((52, 2), np.uint8), pp.PauliBases.of_shots(names))
    assert pp.measure_observables(shots, ["X0"])["X0"].error == pytest.approx(1.0)


@pytest.mark.slow
def test_means_and_errors_are_those_of_the_state() -> None:
    state = random_state()
    psi = state.to_vector()
    dense = pauli_sum(3, [(term.coefficient, term.letters) for term in SUM.terms])
    exact = float(np.vdot(psi, dense @ psi).real)
    assert state.expectation(SUM) == pytest.approx(exact, abs=1e-12)
    drawn = [
        pp.measure_observables(pp.sample(state, 400, seed, bases=BASES, progress=False), {"O": SUM})
        for seed in range(200)
    ]
    values = np.array([float(each["O"].value) for each in drawn])
    errors = np.array([float(each["O"].error) for each in drawn])
    spread = values.std(ddof=1)
    assert abs(values.mean() - exact) < 4 * spread / 200**0.5
    # The spread of 200 values is known to 5 %.
    assert np.sqrt((errors**2).mean()) == pytest.approx(spread, rel=0.2)


def test_functions_of_bits_are_those_of_the_shots_in_z() -> None:
    shots = pp.sample(random_state(), 4000, bases=BASES, progress=False)
    found = pp.measure_observables(shots, {"ones": lambda bits: bits.sum(axis=1)})
    assert found["ones"].value == pytest.approx(shots.in_basis("Z").bits.sum(axis=1).mean())
    with refuses("array", "basis Z", "found X"):
        pp.measure_observables(pp.Shots(shots.bits, "X"), {"f": lambda bits: bits.sum(axis=1)})


def test_what_is_not_measured(tmp_path: Path) -> None:
    shots = pp.sample(random_state(), 400, bases=BASES, progress=False)
    with refuses("X1_X2", "[X1 X2]", "4 bases"):
        pp.measure_observables(shots, ["X1 X2"])
    with refuses("observables", 2, 3):
        pp.measure_observables(shots, {"O": pp.Hamiltonian({"ZZ": 1.0})})
    done = tiny.call("info", shots.save(tmp_path / "a.nc"), "--observable", "X0 Y1 X2")
    assert "X0_Y1_X2" in done.out
    assert done.status == 0


def test_readout_errors_are_inverted_in_every_basis() -> None:
    """The mean of the estimates over all records is that of the state, exactly."""
    rows = [[0.9, 0.05, 0.03, 0.02], [0.1, 0.85, 0, 0.05], [0.1, 0, 0.8, 0.1], [0, 0.1, 0.1, 0.8]]
    pair = pp.Confusion((0, 2), np.array(rows))
    single = pp.Confusion((1,), np.array([[0.97, 0.03], [0.08, 0.92]]))
    readout, state = pp.ReadoutError((pair, single)), random_state()
    bits = (np.arange(8)[:, None] >> np.arange(3) & 1).astype(np.uint8)
    for basis in BASES:
        prob = np.abs(rotate(np.asarray(state.to_vector(), complex), [basis])[0]) ** 2
        for sites in ([0], [1, 2], [0, 1, 2], []):
            exact = prob @ (1.0 - 2.0 * (bits[:, sites].sum(axis=1) & 1))
            found = readout.apply(prob) @ _products(bits, sites, readout)
            assert found == pytest.approx(exact, abs=1e-12)


def test_errors_include_those_of_the_rates() -> None:
    state = random_state()
    shots = pp.sample(state, 40_000, bases=BASES, progress=False)
    misread = shots.with_readout_error(pp.ReadoutError.from_rates(0.05, 0.1, sites=3))
    found = pp.measure_observables(misread, {"O": SUM})["O"]
    assert found.corrected is not None
    assert found.corrected_error is not None
    exact = state.expectation(SUM)
    assert abs(float(found.value) - exact) > 8 * float(found.error)
    assert abs(float(found.corrected) - exact) < 4 * float(found.corrected_error)
    known = pp.ReadoutError.from_rates(0.05, 0.1, errors=(1e-5, 1e-5), sites=3)
    sure = pp.measure_observables(replace(misread, readout=known), {"O": SUM})["O"]
    assert sure.corrected == pytest.approx(found.corrected)
    assert sure.corrected_error is not None
    assert float(sure.corrected_error) < 0.8 * float(found.corrected_error)
