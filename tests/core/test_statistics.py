"""Medians and bands over seeds, and what a phase is called."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import xarray as xr

from psiprune.core.statistics import band
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
