"""Entanglement entropy against the fraction pruned, with what else notices pruning."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

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

#: Colour, marker, line and label of each variant.
_LOOKS = {
    "surgeon": (BLUE, "o", "-", "pruned by surgeon"),
    "magnitude": (ORANGE, "s", "--", "pruned by magnitude"),
    "scale-free": (GREEN, "^", "-.", "scale-free mask"),
    "cluster": (PURPLE, "D", ":", "windows"),
}
_SYMBOLS = {"entropy": "entropy S (nat)", "renyi2": "Rényi-2 entropy $S_2$ (nat)"}


def plot_entanglement(dataset: xr.Dataset) -> Figure:
    """Draw entropy, KL, bias of <|m|>, and bond dimensions against the fraction pruned.

    A column for each field, for the most hidden units. Lines are medians over seeds, bands 16 to
    84 % of the seeds; at 0 are dense RBMs. The grey area of the upper three rows holds all dense
    RBMs. In the last row, grey lines with small markers are the numbers of units that separate both
    sides, a bound of the bond dimension of p as a power of 2, and the others the bond dimension
    that psi needs.

    Args:
        dataset: that of `run_entanglement`, entanglement.nc.
    """
    name = entropy_name(dataset)
    labels = [_SYMBOLS[name], KL, "bias of ⟨|m|⟩", "log₂ of the bond dimension"]
    figure, axes = measure_grid(dataset, labels, PRUNED, size=(3.8, 11.0))
    width = dataset["width"].values[-1]
    for column, field in enumerate(dataset["field"].values):
        one = dataset.sel(field=field, width=width)
        total = dataset.attrs["sites"] * int(width)
        upper = (name, "kl", "abs_magnetization_bias")
        for ax, measure in zip(axes[:3, column], upper, strict=True):
            dense = one[measure].sel(variant="dense", count=total)
            ax.axhspan(float(dense.min()), float(dense.max()), color=GREY, alpha=0.25, lw=0)
            _draw(ax, one, one[measure], total)
            faint_grid(ax) if measure == name else log_grid(ax)
        exact = float(one[f"{name}_reference"])
        axes[0, column].axhline(exact, color=BLACK, lw=1.0, label="exact state")
        ax = axes[3, column]
        _draw(ax, one, np.log2(one["bond_dimension"]), total)
        _draw(ax, one, one["separating_units"], total, lw=0.9, ms=2.0, alpha=0.0, grey=True)
        ax.axhline(float(np.log2(one["bond_dimension_reference"])), color=BLACK, lw=1.0)
        faint_grid(ax)
    axes[0, 0].fill_between([], [], color=GREY, alpha=0.25, lw=0, label="all dense RBMs")
    axes[0, 0].plot([], [], color=GREY, lw=0.9, label="units that separate both sides")
    legend_below(figure, axes[0, 0], columns=3)
    return figure


def _draw(
    ax: Axes,
    one: xr.Dataset,
    values: xr.DataArray,
    total: int,
    *,
    grey: bool = False,
    **style: float,
) -> None:
    """Draw a measure of each variant from the dense RBMs on."""
    for variant in one["variant"].values:
        if str(variant) not in _LOOKS:
            continue
        color, marker, line, label = _LOOKS[str(variant)]
        path = values.sel(variant=variant)
        path = path.where(path["count"] != total, values.sel(variant="dense"))
        path = path.dropna("count", how="all")
        along = 1.0 - path["count"].values / total
        draw_band(
            ax,
            along,
            path,
            line,
            marker=marker,
            **{"color": GREY if grey else color, "label": None if grey else label, **style},
        )
