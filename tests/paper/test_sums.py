"""Sums over all states of a study's RBMs, against sums written out."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import psiprune as pp
from psiprune.metrics.against_state import exact_metrics
from psiprune.metrics.reference import reference_of
from psiprune.paper.sums import sums_of
from psiprune.states.mps import load_mps


def test_sums_of_a_tiny_study(finished: Path, study: xr.Dataset) -> None:
    sums = sums_of(study, finished)
    assert sums is not None
    field, seed = float(study["field"][0]), int(study["seed"][-1])
    level = int(study["level"][-1])
    folder = finished / f"h={field:g}"
    state, shots = load_mps(folder / "state.nc"), pp.read_shots(folder / "shots.nc")
    rbms = [
        pp.load_rbm(folder / f"seed-{seed}" / f"level-{k:02d}.nc") for k in study["level"].values
    ]
    v = np.array(list(product((0, 1), repeat=state.sites)), np.uint8)
    q, p = (np.exp(each.log_prob(v)) for each in (state, rbms[-1]))
    data = np.array([(shots.bits == row).all(axis=1).mean() for row in v])
    here = sums.sel(field=field, seed=seed, level=level)

    seen = data > 0
    kl_data = (data[seen] * np.log(data[seen] / p[seen])).sum()
    assert float(here["kl_data"]) == pytest.approx(kl_data)
    floor = (data[seen] * np.log(data[seen] / q[seen])).sum()
    assert float(here["kl_data_reference"]) == pytest.approx(floor)

    walls = (v[:, 1:] != v[:, :-1]).sum(axis=1)
    parts = q * np.log(q / p) - q + p
    for number in range(state.sites):
        of = here.sel(walls=number)
        assert float(of["probability"]) == pytest.approx(p[walls == number].sum())
        assert float(of["probability_reference"]) == pytest.approx(q[walls == number].sum())
        assert float(of["kl"]) == pytest.approx(parts[walls == number].sum())
    assert float(here["kl"].sum()) == pytest.approx(
        float(study["kl_exact"].sel(field=field, seed=seed, level=level))
    )
    # The rarest states, as many as together hold a tenth: degenerate ones are equally rare.
    held = float(here["rare_reference"])
    assert 0 < held <= 0.1
    order = np.argsort(q)
    number = int(np.searchsorted(np.cumsum(q[order]), held + 1e-9))
    assert q[order][:number].sum() == pytest.approx(held)
    assert np.cumsum(q[order])[number] > 0.1

    bits = shots.bits.astype(float) * -2 + 1
    middle = state.sites // 2 - 1
    z = 1 - 2.0 * v

    def correlations(weight: np.ndarray, spins: np.ndarray) -> np.ndarray:
        mean = weight @ spins
        both = (weight[:, None] * spins).T @ spins
        return (both - np.outer(mean, mean))[middle, middle:]

    apart = correlations(p, z) - correlations(np.full(len(bits), 1 / len(bits)), bits)
    assert float(here["correlation_mse_data"]) == pytest.approx(np.mean(apart**2))

    removed = pp.prune(rbms[0], shots, levels=1, fine_tune=None)[-1].rbm
    if removed.number_of_weights != rbms[1].number_of_weights:
        removed = rbms[0].with_mask(rbms[1].mask)
    metrics = exact_metrics(removed, reference_of(state))
    assert float(here["removed_kl"]) == pytest.approx(metrics.kl)
    assert float(here["removed_abs_magnetization_bias"]) == pytest.approx(
        metrics.abs_magnetization_bias
    )


def test_larger_systems_have_no_such_sums(study: xr.Dataset, tmp_path: Path) -> None:
    assert sums_of(study.assign_attrs(sites=21), tmp_path) is None
