"""Quantum Monte Carlo against exact distributions and energies, and against DMRG."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

import psiprune as pp
from psiprune.core.threads import single_thread
from psiprune.states.spin_models import TFIM2D, IsingChain, SpinModel
from qmc_statistics import WRONG, ground_state, p_of_distribution, p_of_energy
from refusals import refuses

CRITICAL = TFIM2D(length=3, width=3, field=3.04)


@pytest.mark.parametrize(
    ("model", "projection"),
    [
        (TFIM2D(length=2, width=3, lattice="triangular", field=2.0), 60),
        (IsingChain(sites=4, couplings=(1.0, -2.0, 0.3), fields=(0.5, 2.0, 1.0, -0.7)), 48),
        *(
            pytest.param(model, None, marks=pytest.mark.slow)
            for model in (
                CRITICAL,
                TFIM2D(length=3, width=3, lattice="triangular", boundary="cylinder", field=2.0),
                TFIM2D(length=2, width=3, coupling=-1.0, field=1.5),  # antiferromagnet
                TFIM2D(length=3, width=3, lattice="triangular", coupling=-1.0),  # frustrated
                IsingChain(sites=5, boundary="periodic", alpha=2.0, field=-1.0),
            )
        ),
    ],
)
def test_shots_and_energies_against_diagonalisation(
    model: SpinModel, projection: int | None
) -> None:
    sample = pp.quantum_monte_carlo(model, 5_000, seed=1, projection=projection)
    assert sample.shots.bits.shape == (5_000, model.size)
    assert p_of_distribution(model, sample.shots.bits) > WRONG
    assert p_of_energy(sample, ground_state(model).energy) > WRONG
    assert sample.energy_error < 0.01 * abs(sample.energy)
    assert abs(sample.halved) < 4 * sample.halved_error + 0.05
    places, found = model.places, sample.shots.positions
    assert (found is None) == (places is None)
    if places is not None and found is not None:
        np.testing.assert_array_equal(found, places)


def test_a_short_projection_fails_the_same_test() -> None:
    short = pp.quantum_monte_carlo(CRITICAL, 5_000, seed=1, projection=6)
    assert p_of_distribution(CRITICAL, short.shots.bits) < 1e-3 * WRONG
    assert short.halved < -3 * short.halved_error


def test_the_projection_doubles_until_its_half_suffices() -> None:
    """26 terms are a time of 1 / h. Half as many change the energy along Z by more than 0.5 %."""
    model = TFIM2D(length=4, width=4, field=5.0)
    sample = pp.quantum_monte_carlo(model, 400)
    assert sample.projection == 4 * 26
    assert abs(sample.halved) < 0.05 + 2 * sample.halved_error


def test_the_shots_are_nearly_independent() -> None:
    sample = pp.quantum_monte_carlo(CRITICAL, 5_000, seed=2, projection=40)
    squares = (1 - 2 * sample.shots.bits.mean(axis=1)).reshape(4, -1) ** 2  # of four chains
    squares -= squares.mean()
    assert abs((squares[:, 1:] * squares[:, :-1]).mean() / squares.var()) < 0.1
    assert sample.thin == np.ceil(2 * sample.autocorrelation_time)


def test_one_seed_gives_the_same_shots_with_any_threads() -> None:
    first = pp.quantum_monte_carlo(CRITICAL, 50, seed=3, projection=20)
    with single_thread():
        again = pp.quantum_monte_carlo(CRITICAL, 50, seed=3, projection=20)
    np.testing.assert_array_equal(first.shots.bits, again.shots.bits)
    assert first.summary() == again.summary()
    other = pp.quantum_monte_carlo(CRITICAL, 50, seed=4, projection=20)
    assert (first.shots.bits != other.shots.bits).any()
    assert first.shots.provenance["energy"] == first.energy


def test_chains_differ() -> None:
    bits = pp.quantum_monte_carlo(CRITICAL, 400, seed=1, projection=20).shots.bits
    one, *others = bits.reshape(4, 100, 9)
    assert all((one != other).mean() > 0.3 for other in others)


def test_a_constant_is_part_of_the_energy() -> None:
    pair = IsingChain(sites=2).hamiltonian()
    raised = pp.Hamiltonian("3.0 []", 2) + pair
    energies = [pp.quantum_monte_carlo(model, 20, projection=9).energy for model in (pair, raised)]
    assert energies[1] - energies[0] == pytest.approx(3)


@pytest.mark.parametrize(
    ("model", "states"),
    [
        (pp.Hamiltonian("-X0 - X1 - X2 - Z0 Z1 Z2"), ("hamiltonian", "[Z0 Z1 Z2]", "ground_state")),
        (pp.XXZ(sites=4), ("hamiltonian", "[X0 X1]", "ground_state")),
        (IsingChain(sites=3, fields=(1.0, 0.0, 1.0)), ("hamiltonian", "site 1", "ground_state")),
    ],
)
def test_refused_models(model: SpinModel | pp.Hamiltonian, states: tuple[str, ...]) -> None:
    with refuses(*states):
        pp.quantum_monte_carlo(model, 10)


def test_refused_numbers() -> None:
    given: dict[str, Any] = {"shots": 10}
    for name, value in (("shots", 0), ("projection", 0), ("seed", -1)):
        with refuses(name, value):
            pp.quantum_monte_carlo(CRITICAL, **given | {name: value})


@pytest.mark.slow
def test_a_larger_lattice_against_diagonalisation() -> None:
    model = TFIM2D(length=4, width=4, field=3.04)
    sample = pp.quantum_monte_carlo(model, 200_000, seed=5)
    assert p_of_distribution(model, sample.shots.bits) > WRONG
    assert p_of_energy(sample, ground_state(model).energy) > WRONG


@pytest.mark.slow
def test_a_lattice_of_six_by_six_against_dmrg() -> None:
    model = TFIM2D(length=6, width=6, field=3.04)
    state = pp.ground_state(model, 250)
    sample = pp.quantum_monte_carlo(model, 100_000, seed=6)
    assert p_of_energy(sample, state.energy) > WRONG
    z = 1.0 - 2.0 * sample.shots.bits
    zz, exact = z.T @ z / len(z), state.correlations()
    pairs = np.triu_indices(36, 1)
    deviation = (zz - exact)[pairs] / np.sqrt((1 - exact[pairs] ** 2) / len(z))
    assert np.abs(deviation).max() < norm.isf(WRONG / len(deviation) / 2)
    m = np.abs(z.mean(axis=1))
    assert abs(m.mean() - state.abs_magnetization()) < norm.isf(WRONG / 2) * m.std() / len(m) ** 0.5
