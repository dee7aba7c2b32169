"""Monte Carlo with fields along Z, as of Rydberg arrays, against exact distributions and DMRG."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

import psiprune as pp
from psiprune.core.exceptions import ConvergenceError
from psiprune.core.threads import single_thread
from psiprune.states import qmc
from psiprune.states.spin_models import IsingChain, Rydberg, SpinModel
from qmc_statistics import WRONG, ground_state, p_of_distribution, p_of_energy
from refusals import refuses


def rydberg(length: int, width: int, delta: float, radius: float = 1.15) -> Rydberg:
    """Return a square array at a blockade radius in units of the spacing."""
    places = pp.lattice_positions("square", length, width)
    return Rydberg(positions=tuple(map(tuple, places.tolist())), delta=delta, c6=radius**6)


#: Fields along Z of both signs and of each site, and couplings of both signs.
ANY_SIGN = pp.Hamiltonian(
    "-0.7 X0 + 1.1 X1 - 0.4 X2 - 0.9 X3 + 0.5 Z0 - 0.2 Z1 - 0.8 Z3 + 0.6 Z0 Z1 - Z1 Z2 - 0.3 Z0 Z3"
)
NEAR = rydberg(3, 3, 1.2)
LADDER = rydberg(2, 3, 1.2)


@pytest.mark.parametrize(
    ("model", "projection"),
    [
        (ANY_SIGN, 8.0),
        (LADDER, 8.0),
        *(
            pytest.param(model, None, marks=pytest.mark.slow)
            for model in (
                ANY_SIGN,
                IsingChain(sites=6, longitudinal_field=0.2, coupling=-1.0, field=0.7),
                IsingChain(sites=6, longitudinal_field=0.01, field=1.0),
                NEAR,
                rydberg(3, 3, 1.3, 1.2),
                rydberg(2, 2, 3.0),
                Rydberg(sites=8, spacing=0.6, delta=2.0),  # next neighbours are blocked, too
            )
        ),
    ],
)
def test_shots_and_energies_against_diagonalisation(
    model: SpinModel | pp.Hamiltonian, projection: float | None
) -> None:
    shots = 4_000 if projection else 20_000
    sample = pp.quantum_monte_carlo(model, shots, seed=1, projection=projection)
    assert p_of_distribution(model, sample.shots.bits) > WRONG
    assert p_of_energy(sample, ground_state(model).energy) > WRONG
    assert sample.energy_error < 0.01 * abs(sample.energy)
    assert abs(sample.halved) < 4 * sample.halved_error + 0.05


def test_shots_of_another_detuning_fail_the_same_test() -> None:
    sample = pp.quantum_monte_carlo(rydberg(2, 3, 1.0), 4_000, seed=1, projection=8.0)
    assert p_of_distribution(LADDER, sample.shots.bits) < 1e-3 * WRONG
    assert p_of_energy(sample, ground_state(LADDER).energy) < 1e-3 * WRONG


def test_a_short_projection_fails_the_same_test() -> None:
    short = pp.quantum_monte_carlo(LADDER, 5_000, seed=1, projection=1.0)
    assert p_of_distribution(LADDER, short.shots.bits) < 1e-3 * WRONG
    assert short.halved < -4 * short.halved_error


def test_signs_of_fields() -> None:
    h, g = 0.8, np.array([0.3, -0.5])
    pair = pp.Hamiltonian([(-h, {0: "X"}), (h, {1: "X"}), (-g[0], {0: "Z"}), (-g[1], {1: "Z"})])
    sample = pp.quantum_monte_carlo(pair, 4_000, seed=2, projection=12.0)
    z = (1.0 - 2.0 * sample.shots.bits).mean(axis=0)
    np.testing.assert_allclose(z, g / np.hypot(g, h), atol=4 / 4_000**0.5)
    assert abs(sample.energy + np.hypot(g, h).sum()) < 4 * sample.energy_error


def test_one_seed_gives_the_same_shots_with_any_threads() -> None:
    first = pp.quantum_monte_carlo(LADDER, 50, seed=3, projection=3.0)
    with single_thread():
        again = pp.quantum_monte_carlo(LADDER, 50, seed=3, projection=3.0)
    np.testing.assert_array_equal(first.shots.bits, again.shots.bits)
    assert first.summary() == again.summary()
    other = pp.quantum_monte_carlo(LADDER, 50, seed=4, projection=3.0)
    assert (first.shots.bits != other.shots.bits).any()


def test_shots_are_as_symmetric_as_the_model() -> None:
    """A strong antiferromagnet does not leave its first order, but the mirror image has the other.

    Two chains start with each; mirrored, each one gives both.
    """
    bonds: list[Any] = [(4.0, {i: "Z", i + 1: "Z"}) for i in range(5)]
    fields: list[Any] = [(-1.0, {i: "X"}) for i in range(6)] + [(0.1, {i: "Z"}) for i in (0, 5)]
    pair = pp.quantum_monte_carlo(pp.Hamiltonian(bonds + fields), 400, projection=6.0)
    first = pair.shots.bits[:100, 0]
    assert 0.3 < first.mean() < 0.7


def test_refused_projections() -> None:
    for value in (0.0, -1.0, float("inf"), 1e9):
        with refuses("projection", value):
            pp.quantum_monte_carlo(LADDER, 10, projection=value)


def test_two_orders_that_do_not_mix_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """In an odd chain no symmetry relates the two orders of a strong antiferromagnet."""
    monkeypatch.setattr(qmc, "_MOST_THINNED", 2)
    terms: list[Any] = [(-0.3, {i: "X"}) for i in range(5)]
    terms += [(1.0, {i: "Z", i + 1: "Z"}) for i in range(4)] + [(1e-3, {0: "Z"})]
    with pytest.raises(ConvergenceError, match="does not mix"):
        pp.quantum_monte_carlo(pp.Hamiltonian(terms), 10, projection=30.0)


@pytest.mark.slow
def test_a_rydberg_array_against_dmrg() -> None:
    model = rydberg(5, 5, 1.1)
    state = pp.ground_state(model, 100)
    sample = pp.quantum_monte_carlo(model, 20_000, seed=6)
    assert p_of_energy(sample, state.energy) > WRONG
    z = 1.0 - 2.0 * sample.shots.bits
    exact = state.correlations()
    pairs = np.triu_indices(25, 1)
    deviation = (z.T @ z / len(z) - exact)[pairs] / np.sqrt((1 - exact[pairs] ** 2) / len(z))
    assert np.abs(deviation).max() < norm.isf(WRONG / len(deviation) / 2)
