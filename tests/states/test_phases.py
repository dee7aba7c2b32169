"""States with phases: their tensors, their shots in several bases, and how they are made."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import expm
from scipy.stats import chi2, kstest

import psiprune as pp
import tiny
from exact import PAULI, basis, index, operator, pauli_sum
from psiprune.core.exceptions import ConvergenceError
from psiprune.states import evolution
from psiprune.states.basis_rotation import MATRICES
from psiprune.states.basis_sets import basis_set
from psiprune.states.local_unitaries import randomly_turned, turn_sites, twisted
from psiprune.states.tensors import rotate_sites
from refusals import refused, refuses

BASES = ("ZZZZ", "XZYZ", "YYXZ", "XXXX", "ZYZY")


def random_psi(sites: int, seed: int = 0) -> NDArray[np.complex128]:
    real, imaginary = np.random.default_rng(seed).normal(size=(2, 2**sites))
    psi = real + 1j * imaginary
    return np.asarray(psi / np.linalg.norm(psi))


def probabilities(psi: NDArray[Any], letters: str) -> NDArray[np.float64]:
    """|<x; letters|psi>|^2 by projectors (1 +- P) / 2 of each site, index sum_i x_i 2^i."""
    found = []
    for bits in basis(len(letters)):
        vector = psi
        for site, (bit, letter) in enumerate(zip(bits, letters, strict=True)):
            one = (np.eye(2) + (1 - 2 * int(bit)) * PAULI[letter]) / 2
            matrix = np.eye(1)
            for place in range(len(letters)):
                matrix = np.kron(one if place == site else np.eye(2), matrix)
            vector = matrix @ vector
        found.append(np.vdot(vector, vector).real)
    return np.array(found)


def chi_squared(bits: NDArray[np.uint8], p: NDArray[np.float64]) -> float:
    """The p-value of bits [shot, site] given the probabilities of all configurations."""
    counts = np.bincount(index(bits), minlength=len(p))
    expected = len(bits) * p
    return float(chi2.sf(((counts - expected) ** 2 / expected).sum(), len(p) - 1))


# ---- conventions, on states where a sign shows


@pytest.mark.parametrize(
    ("site", "letter", "outcome"),
    [
        *(([1, 1j], "Y", 0), ([1, -1j], "Y", 1), ([1, 1], "X", 0), ([1, -1], "X", 1)),
        *(([1, 0], "Z", 0), ([0, 1], "Z", 1)),
    ],
)
def test_an_eigenstate_has_a_certain_outcome(
    site: list[complex], letter: str, outcome: int
) -> None:
    one = np.array(site).reshape(1, 2, 1)
    state = pp.mps_from_tensors([np.array([1.0, 0.0]).reshape(1, 2, 1), one, one])
    shots = pp.sample(state, 200, bases=f"Z{letter}{letter}", progress=False)
    assert (shots.bits == [0, outcome, outcome]).all()


def test_bell_states() -> None:
    # |00> + |11> has <XX> = 1, <YY> = -1; |01> - |10> is -1 in all three; |00> + i|11> is 0 in XX
    # and YY, but <XY> = <YX> = 1.
    for psi, correlations in (
        ([1, 0, 0, 1], {"XX": 1, "YY": -1, "ZZ": 1}),
        ([0, 1, -1, 0], {"XX": -1, "YY": -1, "ZZ": -1}),
        ([1, 0, 0, 1j], {"XY": 1, "YX": 1, "ZZ": 1}),
        ([1, 0, 0, -1j], {"XY": -1, "YX": -1, "ZZ": 1}),
    ):
        state = pp.mps_from_vector(np.array(psi))
        shots = pp.sample(state, 300, bases=list(correlations), progress=False)
        for name, bits in shots.by_basis().items():
            assert len(bits) == 100
            assert (np.prod(1 - 2 * bits.astype(int), axis=1) == correlations[name]).all(), name


@pytest.mark.parametrize("letters", BASES)
def test_rotated_tensors_are_the_projections(letters: str) -> None:
    psi = random_psi(4)
    state = pp.mps_from_vector(psi)
    turned = rotate_sites(state.tensors, [MATRICES[letter] for letter in letters])
    found = np.abs(pp.MPS(turned).to_vector()) ** 2
    np.testing.assert_allclose(found, probabilities(psi, letters), atol=1e-13)


def test_shots_have_the_probabilities_of_each_basis() -> None:
    psi = random_psi(3, 5)
    bases = ("ZZZ", "XYZ", "YYY", "XZX")
    shots = pp.sample(pp.mps_from_vector(psi), 40_000, seed=3, bases=bases, progress=False)
    assert shots.bases == bases
    for name, bits in shots.by_basis().items():
        assert chi_squared(bits, probabilities(psi, name)) > 1e-4, name
        # The conjugate state, which a wrong sign of Y would measure, does not fit.
        if "Y" in name:
            assert chi_squared(bits, probabilities(psi.conj(), name)) < 1e-9, name
        # Nor do sites in reversed order.
        assert chi_squared(bits[:, ::-1], probabilities(psi, name)) < 1e-9, name


def test_seeds_and_sizes() -> None:
    state = pp.mps_from_vector(random_psi(4))
    shots = pp.sample(state, 11, seed=1, bases=["X", "ZZZZ", "Y"], progress=False)
    assert [len(bits) for bits in shots.by_basis().values()] == [4, 4, 3]
    again = pp.sample(state, 11, seed=1, bases=["X", "ZZZZ", "Y"], progress=False)
    np.testing.assert_array_equal(shots.bits, again.bits)
    # Z on every site draws what it drew before there were bases.
    z = pp.sample(state, 4, seed=1, progress=False)
    np.testing.assert_array_equal(shots.in_basis("Z").bits, z.bits)
    # Each basis draws numbers of its own: on |0> outcomes of X and Y are fair coins.
    both = pp.sample(pp.mps_from_vector([1, 0, 0, 0]), 80, bases=["X", "Y"], progress=False)
    x, y = both.by_basis().values()
    assert 20 < (x != y).sum() < 60
    with refuses("shots", 3, 2):
        pp.sample(state, 2, bases=["X", "ZZZZ", "Y"], progress=False)


# ---- sets of bases


def test_sets_of_bases(tmp_path: Path) -> None:
    assert basis_set("nearest-pairs", 3) == ("ZZZ", "XXZ", "XYZ", "ZXX", "ZXY")
    assert basis_set("all-pairs", 3) == ("ZZZ", "XXZ", "XYZ", "XZX", "XZY", "ZXX", "ZXY")
    drawn = basis_set("random:13", 6, seed=2)
    assert drawn[0] == "Z" * 6
    assert len(set(drawn)) == 13
    assert basis_set("random:13", 6, seed=2) == drawn != basis_set("random:13", 6, seed=3)
    assert set(basis_set("random:9", 2)) == {a + b for a in "XYZ" for b in "XYZ"}
    (tmp_path / "bases.txt").write_text("# pairs\nZ Z Z\nXYZ\nY\n")
    assert basis_set([str(tmp_path / "bases.txt"), "X"], 3) == ("ZZZ", "XYZ", "YYY", "XXX")


@pytest.mark.parametrize(
    ("entry", "facts"),
    [
        *(("random:0", (9, "random:0")), ("random:10", (9, "random:10")), ("random:x", (9,))),
        *(("pairs", ("nearest-pairs", "'pairs'")), ("ZZW", ("'ZZW'",)), ("ZZZ", (3, 2))),
        *(("", ("random:K",)), ([], ("none",))),
    ],
)
def test_bad_sets_of_bases(entry: Any, facts: tuple[object, ...]) -> None:
    with refuses("bases", *facts):
        basis_set(entry, 2)


def test_a_bad_file_of_bases(tmp_path: Path) -> None:
    for text, facts in (("ZZ\nZW\n", ("line 2", "'W'")), ("ZZ\n\nZZZ\n", ("line 3", 3, 2))):
        (tmp_path / "bases.txt").write_text(text)
        with refuses("bases.txt", *facts):
            basis_set(str(tmp_path / "bases.txt"), 2)


# ---- matrix product states with phases


def test_means_of_a_state_with_phases() -> None:
    psi = random_psi(4, 1)
    state = pp.mps_from_vector(psi)
    assert state.is_complex
    np.testing.assert_allclose(state.to_vector(), psi, atol=1e-13)

    def mean(placed: dict[int, str]) -> float:
        return float(np.vdot(psi, pauli_sum(4, [(1.0, placed)]) @ psi).real)

    sites = range(4)
    np.testing.assert_allclose(state.magnetization(), [mean({k: "Z"}) for k in sites], atol=1e-13)
    np.testing.assert_allclose(
        state.transverse_magnetization(), [mean({k: "X"}) for k in sites], atol=1e-13
    )
    z = [[1.0 if i == j else mean({i: "Z", j: "Z"}) for j in sites] for i in sites]
    np.testing.assert_allclose(state.correlations(), z, atol=1e-13)
    for placed in ({1: "Y"}, {0: "X", 2: "Y"}, {0: "Y", 1: "Y", 3: "Z"}, {0: "Y", 1: "Y", 2: "Y"}):
        string = pp.Hamiltonian([(0.7, placed)], 4)
        assert state.expectation(string) == pytest.approx(0.7 * mean(placed), abs=1e-13)
        assert abs(mean(placed)) > 0.01
    ones = basis(4).sum(axis=1)
    expected = [float((np.abs(psi[ones == k]) ** 2).sum()) for k in range(5)]
    np.testing.assert_allclose(state.magnetization_distribution(), expected, atol=1e-13)
    np.testing.assert_allclose(state.log_prob(basis(4)), np.log(np.abs(psi) ** 2), atol=1e-12)
    assert state.free_parameters == 2 * pp.mps_from_vector(psi.real).free_parameters
    schmidt = pp.entanglement(state).schmidt
    assert schmidt is not None
    values = np.asarray(np.linalg.svd(psi.reshape(4, 4), compute_uv=False), np.float64)
    np.testing.assert_allclose(schmidt, values, atol=1e-12)


def test_files_keep_the_phases(tmp_path: Path) -> None:
    state = pp.mps_from_vector(random_psi(3))
    again = pp.load_mps(twisted(state, 0.3).save(tmp_path / "state.nc"))
    np.testing.assert_array_equal(again.to_vector(), twisted(state, 0.3).to_vector())
    assert "twist of 0.3" in again.origin
    assert not pp.mps_from_vector(np.ones(8, dtype=complex)).is_complex
    text = tiny.call("info", tmp_path / "state.nc").out
    assert "phases" in text
    assert "twist of 0.3" in text
    pp.quench(pp.TFIM(sites=3, field=1.0), 0.5).save(tmp_path / "quench.nc")
    text = tiny.call("info", tmp_path / "quench.nc").out
    assert re.search(r"model +0 evolved by .* for the time 0.5\n", text)
    assert re.search(r"energy +-2.0000000000\n", text)
    assert "not an eigenstate" not in text


def test_a_state_with_phases_is_no_reference_of_an_rbm() -> None:
    rbm = pp.RBM(np.ones((2, 3)), np.zeros(3), np.zeros(2))
    with refuses("state", "phases", "several bases"):
        pp.evaluate(rbm, pp.mps_from_vector(random_psi(3)))


# ---- evolution and local unitaries

DM = pp.Hamiltonian(
    [(0.8, {0: "X", 1: "Y"}), (-0.5, {1: "Y", 2: "X"}), (0.3, {3: "Y"}), (1.0, {2: "Z", 3: "Z"})], 4
)


@pytest.mark.parametrize(
    ("model", "initial"),
    [
        (pp.TFIM(sites=4, field=0.7), "0"),
        (pp.XXZ(sites=4, delta=0.5), "0110"),
        (DM, "+01-"),
    ],
)
@pytest.mark.parametrize("time", [0.0, 1.3, 40.0])
def test_exact_evolution(model: Any, initial: str, time: float) -> None:
    h = model if isinstance(model, pp.Hamiltonian) else model.hamiltonian()
    dense = pauli_sum(4, [(term.coefficient, term.letters) for term in h.terms])
    start = np.eye(1)[0]
    for letter in initial * 4 if len(initial) == 1 else initial:
        one = {"0": [1, 0], "1": [0, 1], "+": [0.5**0.5] * 2, "-": [0.5**0.5, -(0.5**0.5)]}[letter]
        start = np.kron(one, start)
    expected = expm(-1j * time * dense) @ start
    state = pp.quench(model, time, initial=initial)
    assert state.energy == pytest.approx(np.vdot(start, dense @ start).real, abs=1e-12)
    assert abs(np.vdot(state.to_vector(), expected)) ** 2 == pytest.approx(1, abs=1e-12)
    found = evolution.evolve(h, start, time)
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "initial"), [(pp.TFIM(sites=8, field=0.7), "0"), (pp.XXZ(sites=8), "01010101")]
)
def test_tdvp_is_the_exact_evolution(model: Any, initial: str) -> None:
    h = model.hamiltonian()
    letters = evolution._letters(initial, 8)
    found = evolution._tdvp(h, letters, 1.0, 64, 0.05, False)
    exact = pp.quench(model, 1.0, initial=initial)
    fidelity = abs(np.vdot(found.to_vector(), exact.to_vector())) ** 2
    assert fidelity == pytest.approx(1, abs=1e-8)
    with pytest.raises(ConvergenceError, match="raise max_bond"):
        evolution._tdvp(h, letters, 1.0, 2, 0.05, False)


def test_what_evolution_refuses() -> None:
    model = pp.TFIM(sites=3)
    for given, facts in (
        ({"time": -1.0}, (-1.0,)),
        ({"time": float("nan")}, ("nan",)),
        ({"time": 1.0, "step": 0.0}, (0.0,)),
        ({"time": 1.0, "max_bond": 0}, (0,)),
        ({"time": 1.0, "initial": "012"}, ("'2'",)),
        ({"time": 1.0, "initial": "01"}, (3, "2 letters")),
    ):
        with refuses(list(given)[-1], *facts):
            pp.quench(model, **given)


def test_a_twist_turns_the_couplings() -> None:
    state, angle = pp.mps_from_vector(np.random.default_rng(0).random(16)), 0.4
    turned = twisted(state, angle)
    assert turned.is_complex
    cos, sin = np.cos(angle), np.sin(angle)

    def mean(of: pp.MPS, *letters: str) -> float:
        return of.expectation(pp.Hamiltonian([(1.0, {1: letters[0], 2: letters[1]})], 4))

    hopping = mean(state, "X", "X") + mean(state, "Y", "Y")
    assert abs(hopping) > 0.3
    assert mean(turned, "X", "X") + mean(turned, "Y", "Y") == pytest.approx(cos * hopping)
    assert mean(turned, "X", "Y") - mean(turned, "Y", "X") == pytest.approx(sin * hopping)
    np.testing.assert_allclose(turned.correlations(), state.correlations(), atol=1e-12)


def test_random_local_unitaries() -> None:
    plus = pp.mps_from_tensors([np.full((1, 2, 1), 0.5**0.5)] * 200)
    turned = randomly_turned(plus, seed=1)
    # The Bloch vector of each site is uniform on the sphere, so each component is on [-1, 1].
    for means in (turned.magnetization(), turned.transverse_magnetization()):
        assert kstest(means, "uniform", (-1, 2)).pvalue > 1e-3
    # Without local unitaries they are not.
    assert kstest(plus.magnetization(), "uniform", (-1, 2)).pvalue < 1e-9
    again = randomly_turned(plus, seed=1)
    np.testing.assert_array_equal(turned.tensors[7], again.tensors[7])
    state = pp.mps_from_vector(random_psi(2))
    one = operator(1, {0: PAULI["X"]})
    found = turn_sites(state, [one, np.diag([1, 1j])]).to_vector()
    expected = np.kron(np.diag([1, 1j]), one) @ random_psi(2)
    np.testing.assert_allclose(found, expected, atol=1e-13)
    refused("for each of 2 sites", turn_sites, state, [one])
    refused("site 1 must be a unitary", turn_sites, state, [one, 2 * one])
