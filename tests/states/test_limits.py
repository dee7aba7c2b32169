"""Energies against solutions that need no diagonalisation: free fermions and the Bethe ansatz."""

from __future__ import annotations

import math

import numpy as np
import pytest

import psiprune as pp
from psiprune.states.diagonalise import lowest_states
from psiprune.states.signs import positive_frame


def open_xx(sites: int) -> float:
    """Free fermions hop with J / 2: the modes J cos(pi k / (N + 1)) below 0 are filled."""
    modes = np.cos(np.pi * np.arange(1, sites + 1) / (sites + 1))
    return float(modes[modes < 0].sum())


def heisenberg_ring(sites: int) -> float:
    """The Bethe ansatz of the ground state (Bethe, Z. Phys. 71, 205 (1931)), J = 1.

    N 2 atan(2 x_j) = 2 pi I_j + 2 sum_k atan(x_j - x_k), E = N / 4 - sum_j 2 / (1 + 4 x_j^2).
    """
    numbers = np.arange(sites // 2) - (sites // 2 - 1) / 2
    x = np.zeros(sites // 2)
    for _ in range(2000):
        turned = np.pi * numbers + np.arctan(x[:, None] - x).sum(axis=1)
        after = 0.5 * np.tan(turned / sites)
        if np.abs(after - x).max() < 1e-14:
            break
        x = after
    return sites / 4 - float((2 / (1 + 4 * x**2)).sum())


def energy_of(model: pp.XXZ) -> float:
    """The lowest energy by diagonalisation."""
    return lowest_states(positive_frame(model.hamiltonian())).energy


@pytest.mark.parametrize("sites", [6, 9, 10])
def test_the_open_xx_chain(sites: int) -> None:
    assert energy_of(pp.XXZ(sites=sites, delta=0.0)) == pytest.approx(open_xx(sites), rel=1e-9)


@pytest.mark.parametrize("sites", [6, 8, 10])
def test_rings(sites: int) -> None:
    xx = energy_of(pp.XXZ(sites=sites, delta=0.0, boundary="periodic"))
    assert xx == pytest.approx(-1 / math.sin(math.pi / sites), rel=1e-9)
    energy = energy_of(pp.XXZ(sites=sites, boundary="periodic"))
    assert energy == pytest.approx(heisenberg_ring(sites), rel=1e-9)
    assert energy != pytest.approx(heisenberg_ring(sites) + 1e-7, rel=1e-9)


def test_the_limit_of_large_rings() -> None:
    """1 / 4 - ln 2 per site, which rings approach as pi^2 / (12 N^2) (1 + O(1 / ln^3 N))."""
    for sites in (200, 400):
        per_site = heisenberg_ring(sites) / sites
        correction = (0.25 - math.log(2) - per_site) * sites**2 / (math.pi**2 / 12)
        assert correction == pytest.approx(1.0, abs=0.01)
    # Long chains of the other limit, -1 / pi per site and 1 / 2 - 1 / pi at the ends.
    assert open_xx(4000) == pytest.approx(-4000 / math.pi + 0.5 - 1 / math.pi, abs=1e-3)


@pytest.mark.slow
def test_dmrg_beyond_the_sizes_that_are_diagonalised() -> None:
    found = pp.ground_state(pp.XXZ(sites=20, delta=0.0), progress=False)
    assert found.energy == pytest.approx(open_xx(20), rel=1e-9)
