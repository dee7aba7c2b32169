"""Entanglement entropy against the fraction pruned, with what else notices pruning."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from psiprune.experiments.entanglement_table import entropy_name
from psiprune.reporting.figures import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    KL,
    ORANGE,
    PRUNED,
    PURPLE,
    draw_band,
    faint_grid,
    legend_below,
    log_grid,
    measure_grid,
)
from psiprune.reporting.style import styled

#: Colour, marker, line and label of each variant.
_LOOKS = {
    "surgeon": (BLUE, "o", "-", "pruned by surgeon"),
    "magnitude": (ORANGE, "s", "--", "pruned by magnitude"),
    "scale-free": (GREEN, "^", "-.", "scale-free mask"),
    "cluster": (PURPLE, "D", ":", "windows"),
}
_RATIOS = {"entropy": "S / exact", "renyi2": "$S_2$ / exact"}


@styled
def plot_entanglement(dataset: xr.Dataset) -> Figure:
    """Draw entropy, KL, bias of <|m|>, bond dimension and graph against the fraction pruned.

    A column for each field, for the most hidden units. The entropy S is relative to that of the
    exact state. Lines are medians over seeds, bands 16 to 84 % of the seeds; at 0 are dense RBMs.
    The grey area holds all dense RBMs. The bond dimension is the smallest that leaves out a weight
    of 10^-6 of psi; the last row is the number of units that separate both sides, see
    `vertex_cut`.

    Args:
        dataset: that of `run_entanglement`, entanglement.nc.
    """
    name = entropy_name(dataset)
    labels = [_RATIOS[name], KL, "bias of ⟨|m|⟩", "bond dimension", "units across cut"]
    figure, axes = measure_grid(dataset, labels, PRUNED)
    measures = (name, "kl", "abs_magnetization_bias", "bond_dimension", "separating_units")
    width = dataset["width"].values[-1]
    total = dataset.attrs["sites"] * int(width)
    for column, field in enumerate(dataset["field"].values):
        one = dataset.sel(field=field, width=width)
        exact = float(one[f"{name}_reference"])
        one = one.assign({name: one[name] / exact, f"{name}_reference": 1.0})
        for ax, measure in zip(axes[:, column], measures, strict=True):
            values = one[measure]
            dense = values.sel(variant="dense", count=total)
            label = "all dense RBMs"
            ax.axhspan(dense.min(), dense.max(), color=GREY, alpha=0.25, lw=0, label=label)
            for variant, look in _LOOKS.items():
                if variant in values["variant"]:
                    path = values.sel(variant=variant)
                    path = path.where(path["count"] != total, dense).dropna("count", how="all")
                    _draw(ax, 1.0 - path["count"].values / total, path, look)
            if f"{measure}_reference" in one:
                ax.axhline(
                    float(one[f"{measure}_reference"]), color=BLACK, lw=0.8, label="exact state"
                )
            faint_grid(ax)
        for ax in axes[1:3, column]:
            log_grid(ax)
    legend_below(figure, axes[0, 0], columns=3)
    return figure


def _draw(
    ax: Axes, along: NDArray[np.float64], path: xr.DataArray, look: tuple[str, str, str, str]
) -> None:
    color, marker, line, label = look
    draw_band(ax, along, path, line, marker=marker, ms=2.0, color=color, label=label)
