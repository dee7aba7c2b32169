"""The dataset of sparse training -> plain text and plain numbers."""

from __future__ import annotations

from typing import Any

import xarray as xr

from psiprune.paired import Paired, paired
from psiprune.summaries import field_label
from psiprune.tables.common import BIASES, align, band_numbers, band_text, ratio_text


def sparse_text(sparse: xr.Dataset) -> str:
    """For each field: median and 16 to 84 % of each measure, then the ratio to dense with its p."""
    blocks = []
    for field in sparse["field"].values:
        here = sparse.sel(field=field)
        head = field_label(sparse, field)
        values = [["variant", "weights", *(title for _, title in BIASES)]]
        ratios = [["variant", *(title for _, title in BIASES)]]
        for variant in here["variant"].values:
            own = here.sel(variant=variant)
            weights = f"{int(own['weights_kept'].median())}"
            values.append([variant, weights, *(band_text(own[name]) for name, _ in BIASES)])
            if variant != "dense":
                ratios.append([variant, *(ratio_text(_to_dense(here, own, k)) for k, _ in BIASES)])
        seeds = sparse.sizes["seed"]
        blocks += [
            f"{head}: median (16 to 84 %) of {seeds} seeds\n{align(values)}",
            f"{head}: ratio to dense, median over seeds (Wilcoxon p)\n{align(ratios)}",
        ]
    return "\n\n".join(blocks)


def sparse_numbers(sparse: xr.Dataset) -> dict[str, Any]:
    """The same for JSON: field -> variant -> measure -> median, low, high, and against dense."""
    return {
        f"h={field:g}": {
            str(variant): {
                "weights_kept": int(here.sel(variant=variant)["weights_kept"].median()),
                "components": float(here.sel(variant=variant)["components"].median()),
                **{
                    name: band_numbers(here.sel(variant=variant)[name])
                    | {"against_dense": _to_dense(here, here.sel(variant=variant), name)._asdict()}
                    for name, _ in BIASES
                },
            }
            for variant in here["variant"].values
        }
        for field, here in ((field, sparse.sel(field=field)) for field in sparse["field"].values)
    }


def _to_dense(here: xr.Dataset, own: xr.Dataset, name: str) -> Paired:
    return paired(own[name].values, here.sel(variant="dense")[name].values)
