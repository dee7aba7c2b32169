"""What the README and the docs claim of physics and accuracy, at the paper's size. Minutes."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import psiprune as pp
from psiprune.metrics.against_state import exact_metrics
from psiprune.metrics.reference import Reference, reference_of

pytestmark = pytest.mark.slow

BITS = np.zeros((2, 18), np.uint8)
"""Shots for pruning without training, which does not look at them."""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    """The main job with three seeds: N = 18, 10^5 shots, CD-10, 20 pruning steps."""
    return pp.run_study(pp.StudySettings(seeds=3), tmp_path_factory.mktemp("study") / "run")


def left(study: xr.Dataset, name: str, field: float, weights: int) -> float:
    """The median over seeds at the level with so many weights."""
    level = int(np.flatnonzero(study["weights_kept"].isel(field=0, seed=0) == weights)[0])
    return float(study[name].sel(field=field).isel(level=level).median())


def test_dense_models_are_accurate(study: xr.Dataset) -> None:
    assert (study["kl"].sel(field=1.0, level=0) < 0.004).all()
    assert (study["kl"].sel(field=2.0, level=0) < 0.002).all()


def test_in_the_paramagnetic_phase_three_quarters_can_go(study: xr.Dataset) -> None:
    # 46 of 162 weights are 28 %. Nothing has risen beyond what seeds differ by.
    for name in ("kl", "infidelity", "energy_roe"):
        dense = study[name].sel(field=2.0, level=0)
        assert left(study, name, 2.0, 46) < 1.2 * float(dense.max())
    assert left(study, "kl", 2.0, 24) > 20 * left(study, "kl", 2.0, 46)


def test_at_the_critical_point_damage_begins_early(study: xr.Dataset) -> None:
    # Flat to 118 weights (27 % gone); by 77 (52 % gone) every measure has risen.
    assert left(study, "kl", 1.0, 118) < 1.2 * left(study, "kl", 1.0, 162)
    assert left(study, "kl", 1.0, 77) > 1.5 * left(study, "kl", 1.0, 162)
    # The dense bias of <|m|>, 0.001 to 0.003, differs most from seed to seed: hence no more than 3.
    mroe = "abs_magnetization_bias_exact"
    assert left(study, mroe, 1.0, 77) > 3 * left(study, mroe, 1.0, 162)
    # The order parameter suffers more than the energy.
    energy = "energy_bias_exact"
    order, cost = (left(study, n, 1.0, 56) / left(study, n, 1.0, 162) for n in (mroe, energy))
    assert order > 2 * cost


def test_the_graph_falls_apart_at_step_18(study: xr.Dataset) -> None:
    assert (study["components"].isel(level=17) >= 1).all()
    assert (study["components"].isel(level=18) > 1).all()
    jump = study["kl"].isel(level=18) / study["kl"].isel(level=17)
    assert (jump > 2).all()


@pytest.mark.parametrize(("field", "capacity"), [(1.0, 0.0015), (2.0, 0.0003)])
def test_exact_training_reaches_the_floor(field: float, capacity: float) -> None:
    # Within 20 % of what capacity (infinite data) and shots (parameters / 2 shots) allow.
    state = pp.ground_state(pp.TFIM(sites=18, field=field))
    shots = pp.sample(state, shots=100_000, seed=0)
    kls = []
    for seed in range(3):
        rbm = pp.train(shots, hidden=9, seed=seed, method="exact")
        kls.append(pp.evaluate(rbm, state, draws=1000).kl.value)
    assert np.median(kls) < 1.2 * (capacity + 189 / 200_000)


def test_a_hundred_sites() -> None:
    state = pp.ground_state(pp.TFIM(sites=100, field=1.0))
    exact = pp.TFIM(sites=100, field=1.0).ground_energy()
    assert abs(state.energy / exact - 1) < 1e-9
    shots = pp.sample(state, shots=20_000, seed=0)
    rbm = pp.train(shots, hidden=50, seed=0, method=pp.CD(epochs=20, steps=5))
    report = pp.evaluate(rbm, state, draws=20_000, seed=1)
    assert report.kl.method == "reference draws, log Z by a bridge"
    assert 0.5 < report.kl.value < 10
    assert report.kl.error < 0.2 * report.kl.value


#: Levels of each seed by field, with the reference that they are measured against.
Surgery = dict[float, list[tuple[list[pp.Level], Reference]]]


@pytest.fixture(scope="module")
def surgery() -> Surgery:
    """Three seeds a field: trained, then pruned by the surgeon, all by the exact likelihood."""
    paths: Surgery = {}
    for field, density in ((1.0, 63 / 162), (2.0, 35 / 162)):
        state = pp.ground_state(pp.TFIM(sites=18, field=field))
        shots = pp.sample(state, shots=100_000, seed=0)
        reference = reference_of(state)
        paths[field] = []
        for seed in range(3):
            rbm = pp.train(shots, hidden=9, seed=seed, method="exact")
            levels = pp.prune(
                rbm, shots, criterion="surgeon", density=density, fine_tune="exact", seed=seed
            )
            paths[field].append((levels, reference))
    return paths


def surgical(surgery: Surgery, field: float, weights: int, name: str) -> float:
    """The median over seeds at the level with so many weights."""
    found = [
        getattr(exact_metrics(level.rbm, reference), name)
        for levels, reference in surgery[field]
        for level in levels
        if level.rbm.number_of_weights == weights
    ]
    assert len(found) == 3
    return float(np.median(found))


def test_the_surgeon_takes_more_than_half_at_the_critical_point(surgery: Surgery) -> None:
    dense = surgical(surgery, 1.0, 162, "kl")
    assert surgical(surgery, 1.0, 77, "kl") < 1.7 * dense
    assert surgical(surgery, 1.0, 70, "kl") < 2.1 * dense
    assert surgical(surgery, 1.0, 63, "kl") < 0.0075
    assert surgical(surgery, 1.0, 63, "abs_magnetization_bias") < 0.01


def test_the_surgeon_takes_nearly_four_fifths_in_the_paramagnetic_phase(surgery: Surgery) -> None:
    dense = surgical(surgery, 2.0, 162, "kl")
    assert surgical(surgery, 2.0, 35, "kl") < dense


def test_without_training_the_surgeon_is_far_ahead_of_magnitude(surgery: Surgery) -> None:
    for levels, reference in surgery[1.0]:
        rbm = levels[0].rbm
        found = {
            criterion: exact_metrics(
                pp.prune(rbm, BITS, criterion=criterion, density=0.5, fine_tune=None)[-1].rbm,
                reference,
            ).kl
            for criterion in ("surgeon", "magnitude", "damage")
        }
        assert found["magnitude"] > 10 * found["surgeon"]
        assert found["damage"] > 10 * found["surgeon"]
        assert found["surgeon"] < 2 * exact_metrics(rbm, reference).kl
