"""Data of the report's slider: every level of a study, for the page's script."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from psiprune.core.statistics import band
from psiprune.reporting.labels import phase_label
from psiprune.reporting.page import Explorer, Table
from psiprune.reporting.traced import Named, Number, median, percent, significant, whole

#: Measure -> its name in a table and its unit.
MEASURES: Mapping[str, tuple[str, str]] = {
    "kl": ("KL divergence", "nat"),
    "infidelity": ("1 − fidelity", ""),
    "energy_roe": ("eROE", ""),
    "abs_magnetization_roe": ("mROE", ""),
    "correlation_mse": ("C_MSE", ""),
}
#: Variables drawn over a coordinate, and those shown as single numbers.
_CURVES = {"correlation": "distance", "magnetization_distribution": "ones"}
_MEANS = ("magnetization", "abs_magnetization")


def explorer(study: xr.Dataset, models: xr.Dataset | None = None) -> Explorer:
    """Return all levels of a study: of the first seed, and over all seeds.

    Args:
        study: as `run_study` returns it.
        models: weights and mask over (field, level, hidden, visible) of the study's first seed, for
            the graph; without them there is none.

    Returns:
        Every number as it is in the dataset (None for NaN), in `data["fields"]` by field: lists
        over level, containing those over distance, ones, hidden and visible.
    """
    measures = {name: texts for name, texts in MEASURES.items() if name in study}
    data = {
        "sites": int(study.attrs["sites"]),
        "hidden": int(study.attrs["hidden"]),
        "seed": int(study["seed"][0]),
        "seeds": study.sizes["seed"],
        "measures": [
            {"name": name, "label": label, "unit": unit} for name, (label, unit) in measures.items()
        ],
        "fields": [
            _field(study.sel(field=field), phase_label(study, float(field)), list(measures))
            | _graph(models, float(field))
            for field in study["field"].values
        ],
    }
    tables = [_table(study, float(field), list(measures)) for field in study["field"].values]
    return Explorer(data, tables)


def _field(here: xr.Dataset, label: str, measures: list[str]) -> dict[str, Any]:
    first = here.isel(seed=0)
    levels = {"label": label, "level": plain(here["level"])}
    levels |= {n: plain(first[n]) for n in ("weights_kept", "fraction_pruned", "components")}
    for name in measures:
        low, middle, high = map(plain, band(here[name]))
        levels[name] = {
            "value": plain(first[name]),
            **{end: _optional(first, f"{name}_{end}") for end in ("error", "floor")},
            **{"low": low, "median": middle, "high": high},
        }
    for name in (n for n in (*_MEANS, *_CURVES) if n in here):
        levels[name] = {
            "value": plain(first[name]),
            "error": _optional(first, f"{name}_error"),
            "reference": _optional(here, f"{name}_reference"),
        }
        if name in _CURVES:
            levels[name][_CURVES[name]] = plain(here[_CURVES[name]])
    return levels


def _graph(models: xr.Dataset | None, field: float) -> dict[str, Any]:
    """The weights [level][hidden][visible], None where pruned."""
    if models is None or field not in models["field"]:
        return {}
    here = models.sel(field=field).transpose("level", "hidden", "visible", ...)
    return {"weights": plain(here["weights"].where(here["mask"] != 0))}


def _optional(dataset: xr.Dataset, name: str) -> Any:
    return plain(dataset[name]) if name in dataset else None


def plain(values: ArrayLike) -> Any:
    """Convert an array to nested lists of Python numbers; None (JSON has no NaN) if not finite."""
    return np.where(np.isfinite(values), values, np.array(None)).tolist()


def _table(study: xr.Dataset, field: float, measures: list[str]) -> Table:
    """The same levels without a script: medians over seeds."""
    of = Named("study", study)
    rows: list[list[str | Number]] = []
    for level in study["level"].values.tolist():
        where = {"field": field, "level": level}
        shows = {"fraction_pruned": percent, "weights_kept": whole, "components": whole}
        shows |= dict.fromkeys(measures, significant)
        rows.append([str(level), *(median(of, name, where, show) for name, show in shows.items())])
    seeds = study.sizes["seed"]
    heads = [
        f"{label} ({unit})" if unit else label
        for label, unit in (MEASURES[name] for name in measures)
    ]
    what = "the one seed" if seeds == 1 else f"medians over {seeds} seeds"
    return Table(
        f"{phase_label(study, field)}: every level, {what}",
        ["level", "pruned", "weights", "parts", *heads],
        rows,
    )
