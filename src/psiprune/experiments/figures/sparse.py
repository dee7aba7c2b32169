"""The paper's Fig. 5: training curves of RBMs that are sparse from the start."""

from __future__ import annotations

import xarray as xr
from matplotlib.figure import Figure

from psiprune.reporting.figures import (
    BIASES,
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    YELLOW,
    draw_band,
    legend_below,
    log_grid,
    measure_grid,
)

#: Colour, line and label of each variant; lines differ where colours look alike.
_VARIANTS = {
    "dense": (BLACK, "-", "dense"),
    "pruned": (BLUE, "-", "pruned: dense, then pruned and fine-tuned"),
    "sp/ss": (ORANGE, "-", "sp/ss: mask of pruning, same seed"),
    "sp/os": (YELLOW, "--", "sp/os: mask of pruning, other seed"),
    "sc": (GREEN, "-.", "sc: constructed clusters"),
    "random": (PURPLE, ":", "random mask"),
    "scale-free": (GREY, "-", "scale-free mask"),
}


def plot_sparse(sparse: xr.Dataset) -> Figure:
    """Draw the paper's Fig. 5: five error measures by epoch for each variant, a column per field.

    Lines are medians over seeds, bands hold 16 to 84 % of the seeds. The untrained RBM, at epoch 0,
    is not shown. "pruned" begins where the dense RBM's training ends; a thin line marks its last
    value for comparison. Datasets of earlier versions lack scale-free masks.
    """
    there = {name: look for name, look in _VARIANTS.items() if name in sparse["variant"].values}
    figure, axes = measure_grid(sparse, [label for _, label in BIASES], "epochs", size=(3.6, 11.0))
    for column, field in enumerate(sparse["field"].values):
        for ax, (name, _) in zip(axes[:, column], BIASES, strict=True):
            for variant, (color, line, label) in there.items():
                history = sparse[f"history_{name}"].sel(field=field, variant=variant)
                curve = history.dropna("epoch").sel(epoch=slice(1, None))
                if variant == "pruned":
                    last = sparse[name].sel(field=field, variant=variant).median()
                    ax.axhline(float(last), lw=0.7, color=color)
                    curve = curve.sel(epoch=slice(sparse.attrs["train_epochs"], None))
                draw_band(ax, curve["epoch"].values, curve, line, color=color, label=label)
            log_grid(ax)
    legend_below(figure, axes[0, 0], columns=2)
    return figure
