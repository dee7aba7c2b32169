"""Ground states, perfect sampling and expectation values of matrix product states."""

from __future__ import annotations

import logging
import os
import time
import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

import exact
from psiprune.core.exceptions import ConvergenceError
from psiprune.io.netcdf import read_dataset, write_dataset
from psiprune.states import amplitudes, dmrg, mps, sampling, tenpy_dmrg
from psiprune.states.dmrg import ground_state
from psiprune.states.mps import CHUNK, MPS, load_mps, mps_from_tensors, mps_from_vector
from psiprune.states.sampling import sample
from psiprune.states.tfim import TFIM
from refusals import refuses

REJECT = 1e-4
"""A sampler fails below this p-value. Seeds are fixed, so a passing test passes always."""


@cache
def ground(sites: int, field: float, coupling: float = 1.0) -> MPS:
    return ground_state(TFIM(sites=sites, field=field, coupling=coupling))


def random_state(sites: int, bond: int, seed: int) -> MPS:
    """A state with amplitudes of both signs and no symmetry."""
    rng = np.random.default_rng(seed)
    bonds = [1, *[bond] * (sites - 1), 1]
    return mps_from_tensors([rng.normal(size=(bonds[i], 2, bonds[i + 1])) for i in range(sites)])


def costly(entry: dict[str, Any]) -> tuple[pytest.MarkDecorator, ...]:
    """The largest critical states take as long as all others together."""
    large = (entry["sites"], entry["field"]) in {(50, 1.0), (100, 1.0), (100, 2.0)}
    return (pytest.mark.slow,) if large else ()


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(entry, marks=costly(entry), id=f"{entry['sites']}-{entry['field']}")
        for entry in exact.REFERENCE
    ],
)
def test_ground_states_agree_with_the_reference(entry: dict[str, Any]) -> None:
    state = ground(entry["sites"], entry["field"])
    assert state.energy == pytest.approx(entry["energy"], rel=1e-11)
    assert 0 <= state.energy_variance < 1e-9
    assert state.truncation_error < 1e-15
    assert state.transverse_magnetization().mean() == pytest.approx(entry["sigma_x_mean"], rel=1e-9)
    np.testing.assert_allclose(
        state.correlation_from_midpoint(), entry["correlation_from_midpoint"], atol=1e-8
    )
    distribution = state.magnetization_distribution()
    m = 1 - 2 * np.arange(state.sites + 1) / state.sites
    assert distribution.sum() == pytest.approx(1, abs=1e-12)
    assert distribution @ m**2 == pytest.approx(entry["m2"], abs=1e-9)
    assert state.abs_magnetization() == pytest.approx(distribution @ abs(m), abs=1e-12)
    if entry["sites"] <= 18:  # larger than this, the reference has no distribution
        np.testing.assert_allclose(distribution, entry["magnetization_distribution"], atol=1e-9)
        assert state.abs_magnetization() == pytest.approx(entry["abs_m"], abs=1e-9)


@pytest.mark.slow
def test_the_largest_state_of_the_paper_is_right_everywhere() -> None:
    state, model = ground(100, 1.0), TFIM(sites=100)
    assert max(state.bond_dimensions) < 120
    np.testing.assert_allclose(state.correlations(), model.correlations(), atol=1e-8)
    np.testing.assert_allclose(
        state.transverse_magnetization(), model.transverse_magnetization(), atol=1e-10
    )


@pytest.mark.parametrize(
    ("sites", "field", "coupling"),
    [(2, 1.0, 1.0), (3, 0.5, 1.0), (4, 1.0, 1.0), (7, 1.2, -1.0), (10, 1.0, 1.0), (12, 0.2, 1.0)],
)
def test_ground_states_agree_with_diagonalisation(
    sites: int, field: float, coupling: float
) -> None:
    state = ground(sites, field, coupling)
    vector = TFIM(sites=sites, field=field, coupling=coupling).ground_state_vector()
    assert (vector @ state.to_vector()) ** 2 == pytest.approx(1, abs=1e-13)
    assert state.sites == sites
    assert len(state.bond_dimensions) == sites - 1


@pytest.mark.parametrize(("sites", "max_bond"), [(2, 1), (18, 1), (18, 2)])
def test_an_unconverged_state_is_refused(sites: int, max_bond: int) -> None:
    facts = ("energy error", f"max_bond={max_bond}", "raise max_bond")
    with refuses("ground_state", *facts, error=ConvergenceError):
        ground_state(TFIM(sites=sites), max_bond=max_bond)
    with refuses("max_bond", 1, 0):
        ground_state(TFIM(sites=sites), max_bond=0)


@pytest.mark.parametrize("share", [0.9, 1.1])
@pytest.mark.parametrize(("energy", "variance"), [(1e-9, 0.0), (-1e-9, 0.0), (0.0, 1e-10)])
def test_the_limits_of_convergence(
    energy: float, variance: float, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unconverged(unit: TFIM, *_: object) -> MPS:
        exact = unit.ground_energy()
        return replace(
            mps_from_vector(unit.ground_state_vector()),
            energy=exact * (1 + share * energy),
            energy_variance=share * variance * exact**2,
        )

    monkeypatch.setattr(dmrg, "_dmrg", unconverged)
    model = TFIM(sites=4, field=3.0)
    if share > 1:
        with refuses("ground_state", "raise max_bond", error=ConvergenceError):
            ground_state(model)
        return
    found = ground_state(model)
    assert found.energy == pytest.approx(model.ground_energy() * (1 + share * energy), rel=1e-14)
    assert found.energy_variance == pytest.approx(share * variance * found.energy**2)


def test_a_state_of_too_small_bonds_has_its_own_energy_and_variance() -> None:
    model = TFIM(sites=6)
    found = dmrg._dmrg(model, 2, 1e-10)
    wanted = mps_from_vector(found.to_vector(), model)
    assert (found.model, max(found.bond_dimensions)) == (model, 2)
    assert found.energy == pytest.approx(wanted.energy, rel=1e-12)
    assert found.energy_variance == pytest.approx(wanted.energy_variance, rel=1e-6)
    assert 1e-6 < found.truncation_error < 1e-2
    # Without coupling, a product state.
    free = ground_state(TFIM(sites=5, coupling=0.0), max_bond=1)
    assert free.to_vector() == pytest.approx(np.full(32, 32**-0.5))


@pytest.mark.parametrize("scale", [1e-150, 1e-30, 3.0, 1e30, 1e150])
@pytest.mark.parametrize("sites", [3, 8])
def test_units_of_the_energy_do_not_matter(sites: int, scale: float) -> None:
    plain = ground(sites, 0.8, -1.0)
    model = TFIM(sites=sites, field=0.8 * scale, coupling=-scale)
    state = ground_state(model)
    assert state.model == model
    assert state.energy / scale == pytest.approx(plain.energy, rel=1e-11)
    assert 0 <= state.energy_variance / scale / scale < 1e-9
    assert abs(state.to_vector() @ plain.to_vector()) == pytest.approx(1, abs=1e-11)


@pytest.mark.parametrize(("field", "coupling"), [(1e-200, 1.0), (1e-200, 1e140), (1e200, 0.0)])
def test_a_field_far_from_the_coupling(field: float, coupling: float) -> None:
    model = TFIM(sites=6, field=field, coupling=coupling)
    if field > 1:
        with refuses("field, coupling", 1e-150, 1e150, 1e200):
            ground_state(model)
        return
    # The even one of the two states without a domain wall.
    state = ground_state(model)
    assert state.model == model
    assert state.energy == pytest.approx(-5 * coupling, rel=1e-12)
    np.testing.assert_allclose(np.abs(state.to_vector()[[0, -1]]), 0.5**0.5, atol=1e-9)


@pytest.mark.parametrize("scale", [1e-200, 1e-151, 1e151, 1e200])
@pytest.mark.parametrize("sites", [2, 8])
def test_energies_whose_square_is_no_float_are_refused(sites: int, scale: float) -> None:
    with refuses("field, coupling", 1e-150, 1e150, scale):
        ground_state(TFIM(sites=sites, field=min(scale, 1.0), coupling=-scale))


def test_tenpy_is_silent_and_leaves_settings_alone(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "tenpy")
    filters = list(warnings.filters)
    with warnings.catch_warnings(), caplog.at_level(logging.INFO):
        warnings.simplefilter("error")
        state = ground_state(TFIM(sites=6, field=1.5))
        with tenpy_dmrg.quiet():
            warnings.warn("of TeNPy", stacklevel=1)
            logging.getLogger("tenpy").error("of TeNPy")
    (line,) = caplog.records
    assert isinstance(line.args, tuple)
    assert line.args[:4] == (6, 1.5, 1.0, max(state.bond_dimensions))
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("tenpy").level == logging.WARNING
    assert list(warnings.filters) == filters


@pytest.mark.parametrize("name", ["critical", "random"])
def test_log_prob_agrees_with_the_vector(name: str) -> None:
    state = SAMPLED[name]()
    bits = exact.basis(state.sites)
    expected = 2 * np.log(np.abs(state.to_vector()))
    np.testing.assert_allclose(state.log_prob(bits), expected, atol=1e-9)
    np.testing.assert_allclose(state.log_prob(bits[5:6].tolist()), expected[5:6], atol=1e-9)
    many = np.random.default_rng(0).integers(0, len(bits), 2 * CHUNK + 1)
    np.testing.assert_allclose(state.log_prob(bits[many]), expected[many], atol=1e-9)


def test_log_prob_of_the_impossible_and_of_the_unlikely() -> None:
    up = np.zeros((1, 2, 1))
    up[0, 0, 0] = 1.0
    product = mps_from_tensors([up] * 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(product.log_prob([[0, 0, 0], [0, 1, 0]]), [0, -np.inf])
    tilted = np.array([1.0, 1e-30]).reshape(1, 2, 1)
    # (1e-30)^(2 * 100) is far below what a float holds.
    log_prob = mps_from_tensors([tilted] * 100).log_prob(np.ones((1, 100)))
    assert log_prob[0] == pytest.approx(-6000 * np.log(10))


def test_log_prob_refuses_other_sizes() -> None:
    with refuses("array", "3 sites", "the state", 8):
        ground(8, 1.0).log_prob([[0, 1, 0]])
    with refuses("array", "2 dimensions", 1):
        ground(8, 1.0).log_prob([0, 1, 0])


SAMPLED = {
    "two sites": lambda: ground(2, 1.0),
    "critical": lambda: ground(8, 1.0),
    "antiferromagnet": lambda: ground(7, 1.2, -1.0),
    "random": lambda: random_state(6, 4, 3),
}


@pytest.mark.parametrize("name", SAMPLED)
def test_sampler_by_chi_squared(name: str) -> None:
    state = SAMPLED[name]()
    shots = sample(state, 200_000, seed=5)
    assert exact.chi_squared_p(shots.bits, state.to_vector() ** 2) > REJECT


def test_seeds_fix_the_bits() -> None:
    state = ground(8, 1.0)
    shots = sample(state, 10_000, seed=1)
    np.testing.assert_array_equal(shots.bits, sample(state, 10_000, seed=1).bits)
    assert (shots.bits != sample(state, 10_000, seed=2).bits).any()
    # Fewer shots are the beginning of more.
    np.testing.assert_array_equal(shots.bits[:5000], sample(state, 5000, seed=1).bits)
    assert len(sample(state, 1)) == 1
    assert (shots.source, shots.provenance["seed"]) == ("psiprune.sample", 1)
    assert shots.provenance["model"] == {"sites": 8, "field": 1.0, "coupling": 1.0}
    # A long seed must not repeat a chunk of a short one.
    chunk = shots.bits[CHUNK : 2 * CHUNK]
    assert (sample(state, CHUNK, seed=1 + (1 << 32)).bits != chunk).any()


def test_bits_do_not_depend_on_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    state = ground(10, 1.0)
    results: list[NDArray[np.uint8]] = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(os, "cpu_count", lambda threads=threads: threads)
        results.append(sample(state, 30_000, seed=3).bits)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_ctrl_c_stops_sampling(monkeypatch: pytest.MonkeyPatch) -> None:
    state, done = ground(8, 1.0), []

    def interrupted(*_: Any) -> NDArray[np.uint8]:
        done.append(1)
        if len(done) > 1:
            time.sleep(0.05)
        raise KeyboardInterrupt

    monkeypatch.setattr("psiprune.states.sampling.draw_bits", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sample(state, 1000 * CHUNK)
    assert len(done) < 1000


@pytest.mark.parametrize(
    ("shots", "seed", "facts"),
    [
        (0, 0, ("shots", 1, 0)),
        (1.5, 0, ("shots", 1, 1.5)),
        (10, -1, ("seed", -1)),
        (10, 2**63, ("seed", 2**63)),
    ],
)
def test_bad_arguments_of_sample(shots: Any, seed: Any, facts: tuple[object, ...]) -> None:
    with refuses(*facts):
        sample(ground(2, 1.0), shots, seed=seed)


UP = np.array([1.0, 0.0]).reshape(1, 2, 1)


@pytest.mark.parametrize(
    ("tensors", "facts"),
    [
        ([UP], ("2 sites", 1)),
        ([UP, np.ones((2, 2, 1))], ("site 1", "(1, 2, right bond)", (2, 2, 1))),
        ([UP, np.ones((1, 3, 1))], ("site 1", (1, 3, 1))),
        ([UP, np.ones((1, 2, 2)) / 2], ("last bond", 1, 2)),
        ([UP, UP * np.nan], ("site 1", "finite")),
        ([UP, UP.astype(str)], ("site 1", "numbers", "<U32")),
        ([UP, UP * 1j * 2], ("site 1", "mps_from_tensors")),
        ([UP[:, :, :0], UP[:0]], ("site 0", (1, 2, 0))),
        ([UP, UP / 2], ("site 1", "mps_from_tensors")),
        ([UP, 2 * UP], ("site 1", "mps_from_tensors")),
        ([2 * UP, UP], ("site 0", "mps_from_tensors")),
        ([np.eye(1, 4).reshape(1, 2, 2), UP.repeat(2, axis=0)], ("site 1", "mps_from_tensors")),
    ],
)
def test_bad_tensors(tensors: Any, facts: tuple[object, ...]) -> None:
    with refuses("tensors", *facts):
        MPS(tuple(tensors))


def test_other_bad_states() -> None:
    with refuses("tensors", 2, "3 sites"):
        MPS((UP, UP), model=TFIM(sites=3))
    with refuses("tensors", 2, "3 sites"):
        mps_from_vector(np.ones(4), TFIM(sites=3))
    with refuses("tensors", "zero"):
        mps_from_tensors([UP, 0 * UP])
    for vector in (np.ones(3), np.ones(2), np.ones((2, 2)), np.ones(0)):
        with refuses("vector", "2^N", 2, 20, vector.shape):
            mps_from_vector(vector)
    with refuses("vector", 0):
        mps_from_vector(np.zeros(4))
    with refuses("vector", "finite"):
        mps_from_vector([1, np.inf, 0, 0])
    with refuses("sites", 20, 21, "log_prob"):
        mps_from_tensors([UP] * 21).to_vector()


def test_limits_are_inclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in (
        (dmrg, "ENERGY_TOLERANCE"),
        (dmrg, "VARIANCE_TOLERANCE"),
        (mps, "CANONICAL_TOLERANCE"),
        (amplitudes, "_NORM_TOLERANCE"),
        (amplitudes, "_PHASE_TOLERANCE"),
    ):
        monkeypatch.setattr(module, name, 0.0)
    state = MPS((UP,) * 4)
    monkeypatch.setattr(
        dmrg,
        "_dmrg",
        lambda unit, *_: replace(state, energy=unit.ground_energy(), energy_variance=0.0),
    )
    ground_state(TFIM(sites=4))
    monkeypatch.setattr(amplitudes, "read_content", lambda _: b"1\n0\n0\n0\n")
    assert amplitudes.read_amplitudes("psi.txt").to_vector().tolist() == [1, 0, 0, 0]


def test_progress_counts_shots_and_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {"shots": 0, "sweeps": 0}

    def count(unit: str, number: int = 1) -> None:
        counts[unit] += number

    for module in (tenpy_dmrg, sampling):
        monkeypatch.setattr(module, "count", count)
    sample(ground_state(TFIM(sites=5, field=1.5)), 3 * CHUNK + 1)
    assert counts["shots"] == 3 * CHUNK + 1
    monkeypatch.setattr(sampling, "Shots", lambda bits, *_, **__: bits)
    assert not sample(MPS((UP, UP)), 1).flags.writeable  # type: ignore[attr-defined]
    assert 3 <= counts["sweeps"] <= 30


def test_a_state_owns_its_tensors_and_keeps_them() -> None:
    given = [UP.copy(), UP.copy()]
    state = MPS(given)  # type: ignore[arg-type]
    given[0][...] = 7
    np.testing.assert_array_equal(state.to_vector(), [1, 0, 0, 0])
    with pytest.raises(ValueError, match="read-only"):
        state.tensors[0][...] = 0


@pytest.mark.parametrize("name", ["antiferromagnet", "random"])
def test_files_keep_a_state(tmp_path: Path, name: str) -> None:
    state = SAMPLED[name]()
    again = load_mps(state.save(tmp_path / "state.nc"))
    assert again.model == state.model
    np.testing.assert_equal(again.energy, state.energy)
    np.testing.assert_equal(again.energy_variance, state.energy_variance)
    assert again.truncation_error == state.truncation_error
    for mine, theirs in zip(state.tensors, again.tensors, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    dataset = read_dataset(tmp_path / "state.nc", "mps")
    assert dataset["tensor_1"].dims == ("bond_1", "physical", "bond_2")
    assert dataset.attrs["energy_units"] == "those of the model's J and h"


def test_bad_files(tmp_path: Path) -> None:
    path = ground(12, 0.2).save(tmp_path / "state.nc")
    good = read_dataset(path, "mps")

    def refused(dataset: xr.Dataset, *facts: object, kind: str = "mps") -> None:
        write_dataset(path, dataset, kind)
        with refuses(path, *facts):
            load_mps(path)

    refused(good.drop_vars("tensor_3"), "tensor_0 .. tensor_11")
    refused(good.assign(tensor_2=good["tensor_2"] * np.nan), "site 2", "finite")
    refused(good.assign(tensor_2=good["tensor_2"] * 1.001), "site 2", "mps_from_tensors")
    refused(good.assign_attrs(field=-1.0), "field: ", 0, -1.0)
    refused(good, "'mps'", "'shots'", kind="shots")
    without_energy = good.copy()
    del without_energy.attrs["energy"]
    refused(without_energy, "'energy'")

    write_dataset(path, good, "mps")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with refuses(path, "damaged"):
        load_mps(path)
    with refuses("none.nc", "cannot be read"):
        load_mps(tmp_path / "none.nc")


@pytest.mark.parametrize(("bond", "parameters", "kl"), [(2, 68, 0.0309), (3, 141, 0.00531)])
def test_free_parameters_and_what_a_cut_costs(bond: int, parameters: int, kl: float) -> None:
    state = ground(18, 1.0)
    vector = state.to_vector()
    cut = mps_from_vector(vector, max_bond=bond)
    assert cut.free_parameters == parameters
    q, p = vector**2, cut.to_vector() ** 2
    assert float(q @ np.log(q / p)) == pytest.approx(kl, rel=1e-2)


def test_free_parameters_are_the_rank_of_the_derivative() -> None:
    state = random_state(6, 2, seed=0)
    shapes = [tensor.shape for tensor in state.tensors]
    flat = np.concatenate([tensor.ravel() for tensor in state.tensors])

    def vector(x: NDArray[np.float64]) -> NDArray[np.float64]:
        ends = np.cumsum([np.prod(shape) for shape in shapes])
        psi = np.ones((1, 1))
        for part, shape in zip(np.split(x, ends[:-1]), shapes, strict=True):
            psi = np.einsum("xa,asb->sxb", psi, part.reshape(shape)).reshape(-1, shape[2])
        return psi[:, 0]

    step = 1e-5 * np.eye(len(flat))
    jacobian = [(vector(flat + d) - vector(flat - d)) / 2e-5 for d in step]
    assert np.linalg.matrix_rank(np.array(jacobian), tol=1e-6) == state.free_parameters


@pytest.mark.parametrize("sites", [2, 18, 128])
@pytest.mark.parametrize("bond", [1, 16])
def test_a_repr_is_one_short_line(sites: int, bond: int) -> None:
    state = random_state(sites, bond, seed=0)
    assert repr(state) == f"MPS(sites={sites}, max_bond={max(state.bond_dimensions)})"
    assert len(repr(TFIM(sites=sites, field=1 / 3, coupling=-2 / 3))) < 120
