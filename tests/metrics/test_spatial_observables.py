"""Observables by distance and wave vector: of lattices and arrays, and of large states."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import exact
import psiprune as pp
from machines import random_rbm
from psiprune.metrics.bits_observable import BitsObservable
from psiprune.metrics.observable_text import as_observables
from psiprune.metrics.observed import exact_value
from psiprune.states.hamiltonian import Positions
from psiprune.states.mps import MPS, load_mps, mps_from_tensors, mps_from_vector
from refusals import refuses

#: 3 columns of 2 sites, as a snake, 0.5 apart.
SNAKE = ((0, 0), (0, 0.5), (0.5, 0.5), (0.5, 0), (1, 0), (1, 0.5))
BITS = exact.basis(6)
Z = 1.0 - 2.0 * BITS
Q = np.random.default_rng(3).dirichlet(np.full(64, 0.3))


def lattice(positions: Positions = SNAKE) -> MPS:
    """A state with these probabilities, whose Hamiltonian has the positions."""
    model = pp.Hamiltonian([(-1.0, {i: "X"}) for i in range(6)], positions=positions)
    return mps_from_vector(np.sqrt(Q), model)


def g2(d: float) -> float:
    """The mean of connected correlations over pairs at a distance, in units of 0.5."""
    n, r = Q @ BITS, 2 * np.array(SNAKE)
    pairs = [(i, j) for i in range(6) for j in range(i)]
    pairs = [(i, j) for i, j in pairs if abs(np.hypot(*(r[i] - r[j])) - d) < 1e-9]
    return float(np.mean([Q @ (BITS[:, i] * BITS[:, j]) - n[i] * n[j] for i, j in pairs]))


def structure(kx: float, ky: float) -> float:
    waves = np.exp(1j * (2 * np.array(SNAKE) @ [kx, ky]))
    return float(Q @ np.abs(Z @ waves) ** 2 / 6)


def test_on_a_lattice() -> None:
    """By the state's tensors, by sums over the basis, and of a tall lattice, where d has roots."""
    texts = {
        "s": "structure_factor(pi,0)",
        "t": "structure_factor(-pi/2, 0.4)",
        "g": "g2",
        "one": "blockade_violations",
        "far": "blockade_violations(1.5)",
    }
    near = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (0, 3), (2, 5)]
    far = [*near, (0, 2), (1, 3), (2, 4), (3, 5)]
    wanted: dict[str, Any] = {
        "s": structure(np.pi, 0),
        "t": structure(-np.pi / 2, 0.4),
        "g": [g2(1)],
        "one": sum(Q @ (BITS[:, i] * BITS[:, j]) for i, j in near),
        "far": sum(Q @ (BITS[:, i] * BITS[:, j]) for i, j in far),
    }
    found = pp.measure_observables(lattice(), texts)
    for name, each in as_observables(texts, 6, SNAKE).items():
        np.testing.assert_allclose(found[name].value, wanted[name], atol=1e-12)
        by_sum = exact_value(name, each, Q, 6)
        assert by_sum is not None
        np.testing.assert_allclose(by_sum, wanted[name], atol=1e-12)
    assert found["g"].coordinates == (1.0,)
    square = tuple((x, y) for x in range(4) for y in range(4))
    observable = as_observables(["g2"], 16, square)["g2"]
    assert isinstance(observable, BitsObservable)  # to half the diagonal, 2.12
    assert observable.coordinates == pytest.approx([1.0, 2**0.5, 2.0], abs=1e-6)


def test_against_a_lattice_model() -> None:
    """The Hamiltonians of lattices and arrays have positions; files keep them; sums keep them."""
    assert pp.TFIM2D(length=3, width=2).hamiltonian().positions == (
        *((0, 0), (0, 1), (1, 1)),
        *((1, 0), (2, 0), (2, 1)),
    )
    array = pp.Rydberg(positions=SNAKE, c6=0.01).hamiltonian()
    assert array.positions == SNAKE
    assert (2.0 * array.rotated([0])).positions == SNAKE
    for chain in (pp.Rydberg(sites=3), pp.XXZ(sites=3)):
        assert chain.hamiltonian().positions is None


def test_an_rbm_against_a_lattice(tmp_path: Path) -> None:
    state = load_mps(lattice().save(tmp_path / "state.nc"))
    assert isinstance(state.model, pp.Hamiltonian)
    assert state.model.positions == SNAKE
    report = pp.evaluate(
        random_rbm(6, 3), state, draws=2000, observables=["structure_factor(pi,0)"], progress=False
    )
    found = report.custom["structure_factor_pi_0"]
    assert found.reference == pytest.approx(structure(np.pi, 0))
    assert found.exact is not None
    assert abs(float(found.value - found.exact)) < 4 * float(found.error)


def random_chain(sites: int) -> MPS:
    generator = np.random.default_rng(4)
    bonds = [1, *[3] * (sites - 1), 1]
    shapes = [(bonds[i], 2, bonds[i + 1]) for i in range(sites)]
    return mps_from_tensors([generator.normal(0.5, 0.5, shape) for shape in shapes])


def test_of_a_large_state_they_are_exact() -> None:
    """S(k) and g2 of 24 sites by correlations, within 4.5 errors of those of 20,000 draws."""
    state, names = random_chain(24), ["structure_factor", "structure_factor(pi)", "g2"]
    found = pp.measure_observables(state, names)
    shots = pp.sample(state, 20_000, seed=1)
    drawn = pp.measure_observables(shots, names)
    for name, each in found.items():
        assert np.all(each.error == 0)
        off = np.abs(np.atleast_1d(drawn[name].value - each.value))
        assert np.all(off < 4.5 * np.atleast_1d(drawn[name].error))
    shuffled: NDArray[np.uint8] = shots.bits[:, ::-2]  # something else must fail
    other = pp.measure_observables(shuffled, names)
    assert np.any(
        np.abs(other["g2"].value - np.ravel(found["g2"].value)[:6]) > 10 * other["g2"].error
    )


def test_what_is_refused() -> None:
    state = lattice()
    texts: tuple[tuple[str, tuple[object, ...]], ...] = (
        ("structure_factor", ("2 coordinates", "structure_factor(pi,0)")),
        ("structure_factor(pi)", ("kx,ky", "'pi'")),
        ("structure_factor(pi,x)", ("pi/2", "'x'")),
        ("blockade_violations(0.5)", (1, "'0.5'")),
        ("blockade_violations(3)", ("2.23607", "'3'")),
        ("g2(1)", ("no argument", "'1'")),
    )
    for text, facts in texts:
        with refuses("observable", *facts):
            pp.measure_observables(state, [text])
    with refuses("observable", "1 wave number", "'pi,0'"):
        pp.measure_observables(mps_from_vector(np.sqrt(Q)), ["structure_factor(pi,0)"])
    with refuses("observable", "an integer", 5, "'1.5'"):
        pp.measure_observables(mps_from_vector(np.sqrt(Q)), ["blockade_violations(1.5)"])
    tables: tuple[tuple[Any, tuple[object, ...]], ...] = (
        (SNAKE[:5], (6, (5, 2))),
        ((*SNAKE[:5], (0, 0)), ("differ", "sites 0 and 5")),
        ((*SNAKE[:5], (1e-10, 0)), ("differ", "1e-09", "sites 0 and 5")),
        ((*SNAKE[:5], (1e20, 0)), ("differ", "1e-09")),
        ((*SNAKE[:5], (1e308, -1e308)), ("differ", "1e-09")),
        ((*SNAKE[:5], (0, np.nan)), ("finite", "nan", "site 5")),
        ((*SNAKE[:5], (0, "a")), ("numbers",)),
    )
    for positions, facts in tables:
        with refuses("positions", *facts):
            lattice(positions)
