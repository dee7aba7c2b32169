"""Medians and bands over seeds, and what a phase is called."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import xarray as xr

from psiprune.core.statistics import band, choose, crossing
from psiprune.reporting.labels import critical, field_label, phase_label, seeds_text


def test_a_band_holds_the_middle_of_the_known_seeds() -> None:
    generator = np.random.default_rng(0)
    values = xr.DataArray(generator.random((3, 101)), dims=("level", "seed"))
    values[1, 0] = np.nan
    values[2] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = band(values)
    for q, each in zip((0.16, 0.5, 0.84), found, strict=True):
        assert float(each[0]) == np.quantile(values[0], q)
        assert float(each[1]) == np.quantile(values[1, 1:], q)
        assert np.isnan(each[2])


@pytest.mark.parametrize(
    ("limit", "wanted"),
    [(-1.0, 0.0), (0.5, 0.05), (1.0, 0.2), (2.0, 0.25), (8.0, 0.55), (9.0, np.inf)],
)
def test_the_first_level_above_a_limit_is_interpolated(limit: float, wanted: float) -> None:
    levels = np.array([0.0, 0.1, 0.2, 0.3, 0.6])
    assert crossing(levels, [0.0, 1.0, 1.0, 3.0, 9.0], limit) == pytest.approx(wanted)
    assert crossing(levels, [0.0, 3.0, 1.0, 3.0, 9.0], 2.0) == pytest.approx(0.2 / 3)


def test_a_smaller_model_is_chosen_within_one_paired_error() -> None:
    """Losses of 0, 1, 2: mean 1, error 1 / sqrt(3). The log-likelihoods spread far more."""
    best = np.array([-20.0, 0.0, 20.0])
    log_p = np.array([best - [0, 1, 2], best - 0.1, best])
    found = choose(log_p, np.zeros(3), [1, 2, 2])
    assert (found.chosen, found.best) == (2, 2)
    np.testing.assert_allclose(found.losses, [1, 0.1, 0])
    np.testing.assert_allclose(found.errors, [1 / np.sqrt(3), 0, 0], atol=1e-12)
    # An error of log Z counts, of the smaller model or of the best one.
    for errors in ([0.9, 0, 0], [0, 0, 0.9]):
        assert choose(log_p, np.array(errors), [1, 2, 2]).chosen == 0


@pytest.mark.parametrize(
    ("coupling", "fields", "labels", "at"),
    [
        (1.0, [1.0, 2.0], ["h/J = 1 (QCP)", "h/J = 2 (PM)"], 1.0),
        (0.5, [1.0, 0.5], ["h/J = 2 (PM)", "h/J = 1 (QCP)"], 0.5),
        (2.0, [3.0, 1.0], ["h/J = 1.5 (PM)", "h/J = 0.5 (ordered)"], 3.0),
    ],
)
def test_phases(coupling: float, fields: list[float], labels: list[str], at: float) -> None:
    dataset = xr.Dataset(coords={"field": fields, "seed": [0]}, attrs={"coupling": coupling})
    assert [phase_label(dataset, field) for field in fields] == labels
    assert [field_label(dataset, field) for field in fields] == [
        label.split(" (")[0] for label in labels
    ]
    assert critical(dataset) == at
    assert seeds_text(dataset) == "1 seed"
