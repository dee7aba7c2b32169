"""Parameters tied to all isometries of a lattice, by sums over all states."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import exact
import psiprune as pp
from machines import distribution, random_rbm
from psiprune.rbm.likelihood import from_vector, log_likelihood, to_vector, unique_configurations
from psiprune.states.lattices import neighbours
from psiprune.training.method import SymmetryName
from psiprune.training.symmetry import (
    Symmetry,
    contradicted_symmetry,
    free_parameters,
    projector,
    symmetry_named,
    tied,
    trained_parameters,
)
from refusals import refuses

SIZES = {"2x3": (2, 3), "3x3": (3, 3)}
NAMES: tuple[SymmetryName, ...] = ("lattice", "flip-lattice")
each_size = pytest.mark.parametrize("size", SIZES)
each_name = pytest.mark.parametrize("name", NAMES)


@cache
def places(size: str) -> NDArray[np.float64]:
    return pp.lattice_positions("square", *SIZES[size])


def symmetry_on(size: str, name: SymmetryName) -> Symmetry:
    found = symmetry_named(name, places(size))
    assert found is not None
    return found


def moved(bits: NDArray[np.uint8], size: str) -> list[NDArray[np.uint8]]:
    """Bits [shot, site] under each isometry, built from rows and columns of the lattice."""
    length, width = SIZES[size]
    x, y = np.round(places(size)).astype(int).T
    grid = np.empty((len(bits), length, width), np.uint8)
    grid[:, x, y] = bits
    squares = [grid, grid.transpose(0, 2, 1)] if length == width else [grid]
    images = [each[:, ::i, ::j] for each in squares for i in (1, -1) for j in (1, -1)]
    return [image[:, x, y] for image in images]


def with_positions(bits: NDArray[np.uint8], size: str) -> pp.Shots:
    return pp.Shots(bits, provenance={"positions": places(size).tolist()})


@each_name
@each_size
@pytest.mark.parametrize("units", [1, 2])
def test_a_tied_rbm_has_all_symmetries(size: str, name: SymmetryName, units: int) -> None:
    """With one and two units on each site, and one in the middle of the second mask."""
    sites = len(places(size))
    rbm = random_rbm(sites, units * sites + (units == 2))
    symmetry = symmetry_on(size, name)
    after, basis = tied(rbm, symmetry), exact.basis(sites)
    expected = after.log_prob(basis)
    for image in moved(basis, size):
        np.testing.assert_allclose(after.log_prob(image), expected, atol=1e-12)
    flipped = after.log_prob(1 - basis)
    assert np.allclose(flipped, expected, atol=1e-12) == (name == "flip-lattice")
    assert np.abs(after.log_prob(basis[:, np.r_[1, 0, 2:sites]]) - expected).max() > 0.01
    np.testing.assert_allclose(to_vector(tied(after, symmetry)), to_vector(after), atol=1e-14)


@each_name
@each_size
def test_the_rank_is_the_number_of_orbits(size: str, name: SymmetryName) -> None:
    """By Burnside's lemma: the mean number of fixed parameters of an isometry."""
    sites = len(places(size))
    symmetry = symmetry_on(size, name)
    assert symmetry.isometries is not None
    for mask in (
        np.ones((sites, sites), bool),
        pp.nearest_mask(sites, links=3, far=1, positions=places(size)),
    ):
        fixed = [
            [
                mask[np.arange(sites) == image][:, np.arange(sites) == image].sum(),
                np.count_nonzero(image == np.arange(sites)),
            ]
            for image in symmetry.isometries
        ]
        weights, on_sites = np.mean(fixed, axis=0)
        orbits = weights + (0 if symmetry.flips else 2 * on_sites)
        assert free_parameters(mask, symmetry) == orbits
        tie = projector(mask, symmetry)
        assert tie is not None
        np.testing.assert_allclose((tie @ tie).todense(), tie.todense(), atol=1e-15)
        assert np.linalg.matrix_rank(tie.todense()) == orbits


@each_name
def test_the_gradient_is_the_slope_in_the_subspace(name: SymmetryName) -> None:
    """By finite differences along the columns of P."""
    mask = pp.nearest_mask(6, links=3, positions=places("2x3"))
    symmetry = symmetry_on("2x3", name)
    rbm = tied(random_rbm(6, 6).with_mask(mask), symmetry)
    bits = np.random.default_rng(0).integers(0, 2, (200, 6), dtype=np.uint8)
    method = pp.ExactNaturalGradient(symmetry=name, weight_decay=0.0)
    shots = with_positions(bits, "2x3")
    state = method.init(rbm, shots, 0)
    after, _ = method.step(state)
    tie, data, x = state.tie, unique_configurations(shots), to_vector(rbm)
    assert tie is not None
    assert after.slope is not None
    y = to_vector(after.rbm)
    np.testing.assert_allclose(tie @ y, y, atol=1e-12)
    assert np.abs(y - x).max() > 0.01
    for direction in tie.toarray().T[::5]:
        ends = [log_likelihood(from_vector(rbm, y + h * direction), data)[0] for h in (1e-5, -1e-5)]
        ahead = direction @ after.slope  # P^T g . P e = g . P e
        assert (ends[0] - ends[1]) / 2e-5 == pytest.approx(ahead, abs=1e-8)


@pytest.mark.parametrize("method", ["exact", "natural"])
def test_training_ties_and_resumes(method: str) -> None:
    size, name = "2x3", "flip-lattice"
    truth = tied(random_rbm(6, 6), symmetry_on(size, "flip-lattice"))
    shots = with_positions(truth.sample_exact(2000, seed=0), size)
    settings: dict[str, Any] = {"method": method, "symmetry": name, "epochs": 20}
    settings |= {"chains": 500, "steps": 6} if method == "natural" else {}
    found = pp.train(shots, hidden=6, method=settings, initial="local", folds=2)
    symmetry = symmetry_on(size, "flip-lattice")
    np.testing.assert_allclose(to_vector(tied(found, symmetry)), to_vector(found), atol=1e-12)
    assert found.provenance["symmetry"] == name
    p, q = distribution(truth), distribution(found)
    assert p @ np.log(p / q) < 20 * free_parameters(found.mask, symmetry) / (2 * len(shots))


def test_what_the_lattice_contradicts_is_warned_of() -> None:
    bits = np.random.default_rng(0).integers(0, 2, (4000, 9), dtype=np.uint8)
    symmetry = symmetry_on("3x3", "lattice")
    assert not contradicted_symmetry(bits, symmetry)
    bits[:400, 8] = 1  # a corner; in snake order the last site
    assert "site 8" in contradicted_symmetry(bits, symmetry)
    assert "mean of its images" in contradicted_symmetry(bits, symmetry)
    bits[:, 8] = bits[:, 0]
    bits[:400, 4] = 1  # the middle, its own image
    assert not contradicted_symmetry(bits, symmetry)


def test_what_no_lattice_has_is_refused() -> None:
    bits = np.random.default_rng(0).integers(0, 2, (40, 9), dtype=np.uint8)
    shots, method = with_positions(bits, "3x3"), {"symmetry": "lattice", "epochs": 1}
    with refuses("symmetry", "'lattice'", "positions", "mirror"):
        pp.train(bits, hidden=9, method=method)
    with refuses("symmetry", "'lattice'", 9, 4, "mirror"):
        pp.train(shots, hidden=4, method=method)
    bent = places("3x3") + 0.1 * np.eye(9, 2)
    with refuses("symmetry", "'lattice'", "positions", 9, "flip"):
        pp.train(pp.Shots(bits, provenance={"positions": bent.tolist()}), hidden=9, method=method)
    mask = pp.nearest_mask(9, links=3, positions=places("3x3"))
    mask[4, 0] = not mask[4, 0]
    with refuses("symmetry", "'lattice'", 8, "images", "--links"):
        pp.train(shots, mask=mask, hidden=9, method=method)
    with refuses("symmetry", "'lattice'", 9, 6):
        tied(random_rbm(6, 6), symmetry_on("3x3", "lattice"))


def ising(couplings: Any, field: NDArray[np.float64] | float = 0.0) -> pp.Shots:
    """20,000 shots of p ~ exp(sum_<ij> K_ij z_i z_j + sum_i f_i z_i) on 3 x 3 sites."""
    positions = places("3x3")
    spins = 1 - 2 * exact.basis(9).astype(float)
    exponent = spins @ np.broadcast_to(field, 9)
    for i, j in neighbours(positions):
        exponent += couplings(positions[i], positions[j]) * spins[:, i] * spins[:, j]
    p = np.exp(exponent - exponent.max())
    rows = np.random.default_rng(0).choice(len(p), 20_000, p=p / p.sum())
    return with_positions(exact.basis(9)[rows], "3x3")


def even(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return 0.3


def corner(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """One bond stronger."""
    return 0.5 if min(one.sum(), other.sum()) == 0 and one[0] == other[0] else 0.3


def along_x(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return 0.2 + 0.15 * float(one[1] == other[1])


def staggered() -> NDArray[np.float64]:
    """The same on images, as the middle of an odd lattice is a site."""
    sign: NDArray[np.float64] = (-1.0) ** places("3x3").sum(axis=1)
    return 0.1 * sign


@pytest.mark.parametrize(
    ("shots", "expected"),
    [
        (lambda: ising(even), "flip-lattice"),
        (lambda: ising(corner), "flip"),
        (lambda: ising(along_x), "flip-mirror"),
        (lambda: ising(even, staggered()), "lattice"),
        (lambda: ising(even, np.linspace(-0.1, 0.1, 9)), None),
    ],
)
def test_the_symmetry_of_shots_of_a_lattice_is_found(shots: Any, expected: str | None) -> None:
    data = shots()
    assert pp.find_symmetry(data, hidden=data.sites) == expected
    mask = pp.nearest_mask(data.sites, links=3, positions=data.positions)
    assert pp.find_symmetry(data, mask=mask) == expected


def test_without_units_on_all_sites_or_positions_no_lattice_is_found() -> None:
    shots = ising(even)
    assert pp.find_symmetry(shots, hidden=4) == "flip-mirror"
    assert pp.find_symmetry(shots.bits, hidden=9) == "flip-mirror"
    mask = np.ones((9, 9), bool)
    mask[1, 0] = mask[7, 8] = False  # only the mirror is left
    assert pp.find_symmetry(shots, mask=mask) == "flip-mirror"


def test_tied_parameters_count_once() -> None:
    """As P of the units that have weights has its rank; the provenance says what ties them."""
    symmetry = symmetry_on("3x3", "flip-lattice")
    mask = pp.nearest_mask(9, links=5, positions=places("3x3"), global_units=1)
    rbm = random_rbm(9, 10, 0).with_mask(mask)
    assert trained_parameters(rbm, places("3x3")) == rbm.number_of_parameters
    rbm = replace(rbm, provenance={"symmetry": "flip-lattice"})
    assert trained_parameters(rbm, places("3x3")) == free_parameters(mask, symmetry)
    lattice = replace(rbm, provenance={"symmetry": "lattice"})
    last = np.arange(10) < 9
    fewer = replace(lattice.with_mask(mask & last[:, None]), provenance=lattice.provenance)
    # A weight of each kind of site, corner, edge and middle, and a bias are gone.
    expected = trained_parameters(lattice, places("3x3")) - 4
    assert trained_parameters(fewer, places("3x3")) == expected


def test_a_bond_unlike_its_images_is_warned_of() -> None:
    # Sites 1 and 4 are neighbours in space alone: in the file they are not one after the other.
    bits = np.random.default_rng(0).integers(0, 2, (2000, 9), np.uint8)
    symmetry = symmetry_on("3x3", "lattice")
    assert not contradicted_symmetry(bits, symmetry)
    one, other = next(pair for pair in np.argwhere(_near("3x3")) if pair[1] - pair[0] > 1)
    bits[:1000, other] = bits[:1000, one]
    assert f"sites {one} and {other}" in contradicted_symmetry(bits, symmetry)


def _near(size: str) -> NDArray[np.bool_]:
    table = places(size)
    distance = np.linalg.norm(table[:, None] - table, axis=2)
    return np.triu(np.isclose(distance, 1.0))


@pytest.mark.parametrize(
    ("last", "fact"), [([0.0, 1.0], "must all differ"), ([np.nan, 1.0], "finite")]
)
def test_positions_without_a_lattice_are_refused(last: list[float], fact: str) -> None:
    with refuses("positions", fact):
        symmetry_named("lattice", [[0.0, 0.0], [0.0, 1.0], last])
