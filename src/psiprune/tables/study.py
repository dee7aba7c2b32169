"""The dataset of a study -> plain text and plain numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from psiprune.summaries import field_label
from psiprune.tables.common import align, number

_COLUMNS = (
    ("kl", "KL (nat)"),
    ("infidelity", "1 - F"),
    ("energy_roe", "eROE"),
    ("abs_magnetization_roe", "mROE"),
    ("correlation_mse", "C_MSE"),
)


def study_text(study: xr.Dataset, every: int = 2) -> str:
    """Every second level of each field and the last: weights, parts, the median measures."""
    last = study.sizes["level"] - 1
    tables = []
    for field in study["field"].values:
        rows = [["pruned", "weights", "parts", *(label for _, label in _COLUMNS)]]
        for level in sorted({*range(0, last, every), last}):
            here = study.sel(field=field).isel(level=level).median("seed")
            rows.append(
                [
                    f"{float(here['fraction_pruned']):.1%}",
                    f"{float(here['weights_kept']):.0f}",
                    f"{float(here['components']):g}",
                    *(number(float(here[name]), ".2g") for name, _ in _COLUMNS),
                ]
            )
        found = _smallest_line(study.sel(field=field)) if "smallest_weights" in study else []
        tables.append("\n".join([field_label(study, field), align(rows), *found]))
    return "\n\n".join(tables)


def study_numbers(study: xr.Dataset) -> dict[str, Any]:
    """Medians over seeds for JSON: field -> list of levels."""
    names = ["fraction_pruned", "weights_kept", "components", *(name for name, _ in _COLUMNS)]
    return {
        f"h={field:g}": [
            {name: float(study[name].sel(field=field).isel(level=k).median()) for name in names}
            for k in range(study.sizes["level"])
        ]
        for field in study["field"].values
    }


def smallest_of_study(study: xr.Dataset) -> dict[str, Any]:
    """What the searches of a study found, for JSON: field -> weights of each seed, median, range.

    Median and range are over the seeds whose dense RBM is within the limit; null for the others.
    `censored` counts the seeds whose path ended within the limit, where fewer weights may do.
    """
    return {f"h={field:g}": _smallest(study.sel(field=field)) for field in study["field"].values}


def _smallest(here: xr.Dataset) -> dict[str, Any]:
    weights = here["smallest_weights"].values
    found = weights[np.isfinite(weights)]
    return {
        "measure": str(here.attrs["smallest_measure"]),
        "limit": float(here["smallest_limit"]),
        "weights": [int(count) if np.isfinite(count) else None for count in weights],
        "median": float(np.median(found)) if len(found) else None,
        "least": int(found.min()) if len(found) else None,
        "most": int(found.max()) if len(found) else None,
        "censored": int(here["smallest_censored"].sum()) if "smallest_censored" in here else None,
    }


def _smallest_line(here: xr.Dataset) -> list[str]:
    own = _smallest(here)
    within = f"{own['measure']} within {own['limit']:.3g}"
    seeds = len(own["weights"])
    found = seeds - own["weights"].count(None)
    if not found:
        return [f"smallest RBM with {within}: none, as no dense RBM is; seeds: {seeds}"]
    total = here.attrs["sites"] * here.attrs["hidden"]
    some = "" if found == seeds else f", {seeds - found} of {seeds} seeds are beyond it while dense"
    lines = [
        f"smallest RBM with {within}: median {own['median']:g} of {total} weights "
        f"({own['least']} to {own['most']}; seeds: {found}){some}"
    ]
    if own["censored"]:
        lines.append(
            f"warning: of {own['censored']} of {found} seeds the path ended within the limit, so "
            "fewer weights may do; give more --prune.levels, or a smaller --prune.density"
        )
    return lines
