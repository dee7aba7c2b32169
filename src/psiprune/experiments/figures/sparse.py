"""The paper's Fig. 5: training curves of RBMs that are sparse from the start."""

from __future__ import annotations

import xarray as xr
from matplotlib.figure import Figure

from psiprune.reporting.figures import (
    BIASES,
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    YELLOW,
    draw_band,
    legend_below,
    log_grid,
    measure_grid,
)

#: Colour, line and meaning of each variant; lines for those without colour.
_VARIANTS = {
    "dense": (BLACK, "-", "dense"),
    "pruned": (BLUE, "-", "pruned: dense, then pruned and fine-tuned"),
    "sp/ss": (ORANGE, "-", "sp/ss: mask of pruning, same seed"),
    "sp/os": (YELLOW, "--", "sp/os: mask of pruning, other seed"),
    "sc": (GREEN, "-.", "sc: constructed clusters"),
    "random": (PURPLE, ":", "random mask"),
}


def plot_sparse(sparse: xr.Dataset) -> Figure:
    """The paper's Fig. 5: five error measures by epoch for each variant, one column a field.

    Lines are medians over seeds, bands hold 16 to 84 % of the seeds. The untrained RBM, at epoch 0,
    is not shown. "pruned" begins where the dense RBM's training ends; a thin line draws the level
    of its last value, to be compared with.
    """
    figure, axes = measure_grid(sparse, [label for _, label in BIASES], "epochs", size=(3.6, 11.0))
    for column, field in enumerate(sparse["field"].values):
        for ax, (name, _) in zip(axes[:, column], BIASES, strict=True):
            for variant, (color, line, label) in _VARIANTS.items():
                here = sparse[f"history_{name}"].sel(field=field, variant=variant)
                curve = here.dropna("epoch").sel(epoch=slice(1, None))
                if variant == "pruned":
                    last = sparse[name].sel(field=field, variant=variant).median()
                    ax.axhline(float(last), lw=0.7, color=color)
                    curve = curve.sel(epoch=slice(sparse.attrs["train_epochs"], None))
                epochs = curve["epoch"].values
                draw_band(
                    ax, epochs, curve, line, alpha=0.13, ms=3.5, lw=1.2, color=color, label=label
                )
            log_grid(ax)
    legend_below(figure, axes[0, 0], columns=2)
    return figure
