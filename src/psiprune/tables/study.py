"""The dataset of a study -> plain text and plain numbers."""

from __future__ import annotations

from typing import Any

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
        tables.append(f"{field_label(study, field)}\n{align(rows)}")
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
