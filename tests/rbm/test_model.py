"""RBMs against enumeration of the joint distribution of both layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.special
import xarray as xr
from numpy.typing import NDArray

import exact
from machines import random_rbm
from psiprune.io.netcdf import read_dataset, write_dataset
from psiprune.rbm.init import initial_rbm
from psiprune.rbm.model import RBM
from psiprune.rbm.serialization import load_rbm, rbm_from_dataset
from refusals import refuses

SHAPES = [(6, 3), (4, 7), (5, 5), (1, 1), (1, 5), (5, 1), (9, 2), (2, 9)]
SCALES = [1.0, 300.0]


def joint(rbm: RBM) -> NDArray[np.float64]:
    return exact.rbm_joint(rbm.weights, rbm.visible_bias, rbm.hidden_bias)


# --- probabilities ---------------------------------------------------------------------------


@pytest.mark.parametrize(("visible", "hidden"), SHAPES)
@pytest.mark.parametrize("scale", SCALES)
def test_probabilities_are_those_of_the_joint_distribution(
    visible: int, hidden: int, scale: float
) -> None:
    rbm = random_rbm(visible, hidden, scale, density=0.8)
    both = joint(rbm)
    log_p = scipy.special.logsumexp(both, axis=1)
    log_z = scipy.special.logsumexp(both)
    states = exact.basis(visible)
    assert rbm.log_partition() == pytest.approx(log_z, rel=1e-12, abs=1e-12)
    np.testing.assert_allclose(rbm.log_prob_unnormalized(states), log_p, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(rbm.log_prob(states), log_p - log_z, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(rbm.log_prob_all(), log_p, rtol=1e-12, atol=1e-9)
    assert np.exp(rbm.log_prob(states)).sum() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(("visible", "hidden"), SHAPES)
@pytest.mark.parametrize("scale", SCALES)
def test_conditionals_are_those_of_the_joint_distribution(
    visible: int, hidden: int, scale: float
) -> None:
    rbm = random_rbm(visible, hidden, scale)
    both = joint(rbm)
    h, v = exact.basis(hidden), exact.basis(visible)
    given_v = np.exp(both - scipy.special.logsumexp(both, axis=1, keepdims=True))
    given_h = np.exp(both - scipy.special.logsumexp(both, axis=0, keepdims=True))
    np.testing.assert_allclose(rbm.hidden_given_visible(v), given_v @ h, atol=1e-10)
    np.testing.assert_allclose(rbm.visible_given_hidden(h), given_h.T @ v, atol=1e-10)


@pytest.mark.parametrize(("visible", "hidden"), [(40, 15), (15, 40)])
def test_the_partition_sum_of_a_layer_in_pieces(visible: int, hidden: int) -> None:
    # 2^15 states of the smaller layer are summed in two pieces.
    rbm = random_rbm(visible, hidden)
    small = visible < hidden
    states = exact.basis(15).astype(float)
    weights = rbm.weights if small else rbm.weights.T
    own, other = rbm.visible_bias, rbm.hidden_bias
    if not small:
        own, other = other, own
    values = states @ own + np.logaddexp(0, states @ weights.T + other).sum(axis=1)
    assert rbm.log_partition() == pytest.approx(scipy.special.logsumexp(values), rel=1e-13)


def test_the_partition_sum_beyond_the_range_of_floats() -> None:
    rbm = RBM(np.full((600, 3), 2.0), np.zeros(3), np.zeros(600))
    ones = np.arange(4)
    values = np.log([1, 3, 3, 1]) + 600 * np.logaddexp(0, 2.0 * ones)
    assert values.max() > 3000
    assert rbm.log_partition() == pytest.approx(scipy.special.logsumexp(values), rel=1e-13)
    # The second of two pieces is e^800 times the first.
    steep = RBM(np.zeros((15, 15)), np.eye(15)[14] * 800.0, np.zeros(15))
    assert steep.log_partition() == pytest.approx(800 + 29 * np.log(2), rel=1e-13)


def test_many_shots_at_once() -> None:
    # More than one block of rows, and types other than uint8.
    rbm = random_rbm(6, 3)
    bits = np.random.default_rng(0).integers(0, 2, (40_000, 6), dtype=np.uint8)
    wanted = scipy.special.logsumexp(joint(rbm), axis=1)[exact.index(bits)]
    for given in (bits, bits.astype(bool), bits.astype(float), bits.tolist()):
        np.testing.assert_allclose(rbm.log_prob_unnormalized(given), wanted, rtol=1e-12)


def test_what_is_too_large_is_refused() -> None:
    with refuses("rbm", 30, 31, 32, "psiprune.log_partition"):
        random_rbm(31, 32).log_partition()
    with refuses("rbm", 24, 25, "`log_prob`"):
        random_rbm(25, 2).log_prob_all()


@pytest.mark.parametrize(
    ("bits", "facts"),
    [
        ([0, 1, 0], ("2 dimensions", 1)),
        ([[0, 1]], ("2 sites", 3)),
        ([[0, 1, 0, 1]], ("4 sites", 3)),
        ([[[0, 1, 0]]], ("2 dimensions", 3)),
    ],
)
def test_configurations_of_another_size_are_refused(bits: Any, facts: tuple[object, ...]) -> None:
    rbm = random_rbm(3, 2)
    for method in (rbm.log_prob, rbm.log_prob_unnormalized, rbm.hidden_given_visible):
        with refuses("array", *facts):
            method(bits)
    with refuses("hidden", "[shot, 2]", (1, 3)):
        rbm.visible_given_hidden([[0, 1, 1]])


def test_sampling_refuses_bad_arguments() -> None:
    rbm = random_rbm(3, 2)
    assert rbm.sample(1, steps=0).shape == rbm.sample_exact(1).shape == (1, 3)
    with refuses("shots", 1, 0):
        rbm.sample(0)
    with refuses("steps", 0, -1):
        rbm.sample(1, steps=-1)
    with refuses("seed", 0, "2^63 - 1", -1):
        rbm.sample(1, seed=-1)
    with refuses("shots", 1, 1.5):
        rbm.sample_exact(1.5)  # type: ignore[arg-type]
    with refuses("seed", "'a'"):
        rbm.sample_exact(1, seed="a")  # type: ignore[arg-type]


# --- construction ----------------------------------------------------------------------------

W, B, C = np.ones((2, 3)), np.zeros(3), np.zeros(2)


@pytest.mark.parametrize(
    ("values", "facts"),
    [
        ((W[0], B, C), ("weights", "2 axes", (3,))),
        ((np.ones((0, 3)), B, np.zeros(0)), ("weights",)),
        ((np.ones((2, 0)), np.zeros(0), C), ("weights",)),
        ((W, C, C), ("visible_bias", (3,), (2,))),
        ((W, B, B), ("hidden_bias", (2,), (3,))),
        ((W, B[None], C), ("visible_bias", "1 axes", (1, 3))),
        ((W * np.nan, B, C), ("weights", "nan at [0, 0]")),
        ((W, np.array([0, np.inf, 0]), C), ("visible_bias", "inf at [1]")),
        ((W, B, np.array([0, -np.inf])), ("hidden_bias", "-inf at [1]")),
        ((W, B, C, np.ones((3, 2), bool)), ("mask", (2, 3), (3, 2))),
        ((W, B, C, np.ones((2, 3), np.uint8)), ("mask", "bool", "uint8")),
        ((W, B, C, np.ones((2, 3))), ("mask", "bool", "float64")),
        (("weights", B, C), ("weights", "real numbers", "'weights'")),
        (([[1, 2, 3], [4, 5]], B, C), ("weights", "real numbers")),
        ((W * 1j, B, C), ("weights", "real numbers")),
    ],
)
def test_what_is_no_rbm_is_refused(values: tuple[Any, ...], facts: tuple[object, ...]) -> None:
    with refuses(*facts):
        RBM(*values)


def test_an_rbm_owns_its_arrays_and_keeps_them() -> None:
    weights, visible_bias, hidden_bias = np.ones((2, 3)), np.zeros(3), np.zeros(2)
    mask = np.array([[True, False, True], [True, True, False]])
    provenance: dict[str, str | int | float] = {"seed": 1}
    rbm = RBM(weights, visible_bias, hidden_bias, mask, provenance)
    provenance["seed"] = 2
    assert rbm.provenance == {"seed": 1}
    for array in (weights, visible_bias, hidden_bias, mask):
        array[...] = 7
    np.testing.assert_array_equal(rbm.weights, [[1, 0, 1], [1, 1, 0]])
    np.testing.assert_array_equal(rbm.mask, [[True, False, True], [True, True, False]])
    for array in (rbm.weights, rbm.visible_bias, rbm.hidden_bias, rbm.mask):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    with pytest.raises(AttributeError):
        rbm.weights = weights  # type: ignore[misc]


def test_counts() -> None:
    mask = np.array([[True, False, True, False], [True, False, False, False]])
    rbm = RBM(np.ones((2, 4)), np.zeros(4), np.zeros(2), mask)
    assert (rbm.visible, rbm.hidden) == (4, 2)
    assert rbm.number_of_weights == 3
    assert rbm.number_of_parameters == 3 + 4 + 2
    assert rbm.density == 3 / 8
    fewer = rbm.with_mask(mask & (np.arange(4) == 0))
    assert fewer.number_of_weights == 2
    np.testing.assert_array_equal(fewer.weights, [[1, 0, 0, 0], [1, 0, 0, 0]])
    np.testing.assert_array_equal(fewer.visible_bias, rbm.visible_bias)
    whole = RBM(np.ones((2, 4)), np.zeros(4), np.zeros(2))
    assert (whole.number_of_weights, whole.density, whole.components) == (8, 1.0, 1)


@pytest.mark.parametrize("density", [0.0, 0.05, 0.1, 0.2, 0.3, 1.0])
@pytest.mark.parametrize(("visible", "hidden"), [(18, 9), (7, 12), (1, 1)])
def test_components_are_found_by_walking(visible: int, hidden: int, density: float) -> None:
    rbm = random_rbm(visible, hidden, density=density)
    assert rbm.components == exact.components(rbm.mask)


def test_initial_weights() -> None:
    rbm = initial_rbm(100, 50, seed=1)
    np.testing.assert_array_equal(rbm.visible_bias, 0)
    np.testing.assert_array_equal(rbm.hidden_bias, 0)
    z = rbm.weights.ravel() * np.sqrt(100)
    # 5000 standard normal numbers: mean and variance within five standard errors.
    assert abs(z.mean()) < 5 / np.sqrt(5000)
    assert abs(z.var() - 1) < 5 * np.sqrt(2 / 5000)
    np.testing.assert_array_equal(initial_rbm(100, 50, seed=1).weights, rbm.weights)
    assert (initial_rbm(100, 50, seed=2).weights != rbm.weights).all()
    mask = np.random.default_rng(0).random((50, 100)) < 0.5
    masked = initial_rbm(100, 50, 1, mask)
    np.testing.assert_array_equal(masked.weights, np.where(mask, rbm.weights, 0))
    assert initial_rbm(1, 1, 0).weights.shape == (1, 1)
    with refuses("hidden", 1, 0):
        initial_rbm(3, 0, 0)
    with refuses("visible", 1, 0):
        initial_rbm(0, 3, 0)
    with refuses("mask", (3, 3), (50, 100)):
        initial_rbm(3, 3, 0, mask)


# --- files -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("visible", "hidden"), [(18, 9), (1, 1), (1, 3), (3, 1)])
def test_what_is_saved_is_loaded(tmp_path: Path, visible: int, hidden: int) -> None:
    plain = random_rbm(visible, hidden, density=0.5)
    provenance: dict[str, str | int | float] = {
        "seed": 2**62,
        "method": "cd",
        "learning_rate": 0.1,
        "training_shots": 1000,
    }
    rbm = RBM(plain.weights, plain.visible_bias, plain.hidden_bias, plain.mask, provenance)
    found = load_rbm(rbm.save(tmp_path / "rbm.nc"))
    assert dict(found.provenance) == provenance
    assert {key: type(value) for key, value in found.provenance.items()} == {
        key: type(value) for key, value in provenance.items()
    }
    assert found.log_partition() == rbm.log_partition()
    again = load_rbm(found.save(tmp_path / "again.nc"))
    assert dict(again.provenance) == provenance


def test_what_is_saved_says_what_it_is(tmp_path: Path) -> None:
    rbm = random_rbm(6, 3, density=0.5)
    for dataset in (rbm.to_dataset(), read_dataset(rbm.save(tmp_path / "rbm.nc"), "rbm")):
        for name in ("weights", "visible_bias", "hidden_bias", "mask"):
            assert dataset[name].attrs["units"] == "1"
            assert dataset[name].attrs["long_name"]
        found = rbm_from_dataset(dataset, "here")
        np.testing.assert_array_equal(found.weights, rbm.weights)
        np.testing.assert_array_equal(found.mask, rbm.mask)


def test_what_is_no_file_of_an_rbm_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rbm.nc"
    rbm = random_rbm(6, 3)
    with refuses(path, "cannot be read"):
        load_rbm(path)
    write_dataset(path, rbm.to_dataset(), "shots")
    with refuses(path, "'rbm'", "'shots'"):
        load_rbm(path)
    rbm.save(path)
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], content[:600] + b"?" + content[601:], b"rbm"):
        assert damaged != content
        path.write_bytes(damaged)
        with refuses(path):
            load_rbm(path)
    for change, *facts in (
        (rbm.to_dataset().drop_vars("mask"), "not an RBM", "'mask'"),
        (
            rbm.to_dataset().assign(weights=(("hidden", "visible"), np.full((3, 6), np.nan))),
            "weights: ",
            "nan at [0, 0]",
        ),
        (rbm.to_dataset().assign(hidden_bias=("other", np.zeros(4))), "hidden_bias: ", (3,), (4,)),
    ):
        write_dataset(path, change, "rbm")
        with refuses(path, *facts):
            load_rbm(path)
    with refuses("level 3", "not an RBM", "'weights'"):
        rbm_from_dataset(xr.Dataset(), "level 3")


def test_configurations_that_are_not_bits_are_refused() -> None:
    with refuses("array", "row 0, column 2", 2):
        random_rbm(3, 2).log_prob([[0, 1, 2]])


def test_compact_of_an_rbm_without_weights_keeps_one_hidden_unit() -> None:
    empty = RBM(np.ones((3, 4)), np.arange(4.0), np.ones(3), np.zeros((3, 4), bool))
    small = empty.compact()
    assert (small.number_of_weights, small.hidden_bias.tolist()) == (0, [0.0])
    bits = exact.basis(4)
    np.testing.assert_allclose(small.log_prob(bits), empty.log_prob(bits), atol=1e-13)
