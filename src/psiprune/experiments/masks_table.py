"""The table of masks made before training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import xarray as xr

from psiprune.core.statistics import paired
from psiprune.reporting.labels import seeds_text
from psiprune.reporting.tables import Column, band_numbers, band_text, ratio_text, table

#: Measures of which the table has medians, and their headings.
_MEDIANS = (
    ("abs_magnetization_bias", "|m| bias"),
    ("energy_bias", "E bias"),
    ("correlation_mse", "C_MSE"),
    ("kl_error", "KL error"),
)
_MPS: tuple[Column, ...] = (
    ("MPS", "bond", "bond {}".format),
    ("parameters", "parameters", "d"),
    ("with parity", "parity_parameters", ".0f"),
    ("KL (nat)", "kl", ".2g"),
    ("|m| bias", "abs_magnetization_bias", ".2g"),
)


def masks_numbers(masks: xr.Dataset) -> dict[str, Any]:
    """Return median, band and comparison with dense of each RBM, and the measures of the MPS.

    The comparison is by seed with the dense RBM of as many hidden units, or where there is none
    with the best dense one.
    """
    rows = []
    dense_rbms = {
        int(width): one
        for width in masks["width"].values
        for one in _there(masks.sel(width=width, variant="dense"))
    }
    best = min(dense_rbms.values(), key=lambda one: float(one["kl"].median()))
    for width in masks["width"].values:
        dense = dense_rbms.get(int(width), best)
        for variant in masks["variant"].values:
            for one in _there(masks.sel(width=width, variant=variant)):
                row: dict[str, Any] = {
                    "width": int(width),
                    "count": int(one["count"]),
                    "variant": str(variant),
                    "kl": band_numbers(one["kl"]),
                    "dense_kl": float(dense["kl"].median()),
                    "against_dense": paired(one["kl"].values, dense["kl"].values)._asdict(),
                }
                for name, _ in _MEDIANS:
                    row[name] = float(one[name].median())
                seconds = one.get("processor_seconds")
                row["seconds"] = None if seconds is None else float(seconds.median())
                rows.append(row)
    columns = [name for _, column, _ in _MPS[1:] if (name := f"mps_{column}") in masks]
    mps = masks[columns].to_dataframe()[columns].rename(columns=lambda name: name[len("mps_") :])
    return {
        "masks": {
            "rows": sorted(rows, key=lambda row: (row["width"], row["count"])),
            "mps": mps.reset_index().to_dict("records"),
        }
    }


def _there(masks: xr.Dataset) -> list[xr.Dataset]:
    """Return the parts of each count that exists, over `seed`."""
    return [
        masks.sel(count=count)
        for count in masks["count"].values
        if bool(masks["kl"].sel(count=count).notnull().all())
    ]


def masks_blocks(label: str, masks: xr.Dataset, numbers: Mapping[str, Any]) -> Iterable[str]:
    """Return a table for each number of hidden units, and one of the MPS."""
    numbers = numbers["masks"]
    columns: tuple[Column, ...] = (
        ("weights", "count", "d"),
        ("mask", "variant", ""),
        ("KL (nat)", "kl", band_text),
        ("/ dense (p)", "against_dense", ratio_text),
        *((title, name, ".2g") for name, title in _MEDIANS[: -1 if _exact(masks) else None]),
        ("CPU s", "seconds", ".3g"),
    )
    for width in masks["width"].values:
        rows = [row for row in numbers["rows"] if row["width"] == width]
        yield (
            f"{label}, {width} hidden units: medians of {seeds_text(masks)} (16 to 84 %), ratio of "
            f"KL to dense (Wilcoxon p)\n{table(columns, rows, keys=2)}"
        )
    shown = [column for column in _MPS if column[1] in numbers["mps"][0]]
    yield f"{label}, exact state truncated\n{table(shown, numbers['mps'])}"


def _exact(masks: xr.Dataset) -> bool:
    """Return whether all measures are sums over all states."""
    return not bool((masks["kl_error"] > 0).any())
