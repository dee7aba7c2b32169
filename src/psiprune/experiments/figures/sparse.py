"""The paper's Fig. 5: training curves of RBMs that are sparse from the start."""

from __future__ import annotations

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from psiprune.core.statistics import band
from psiprune.reporting.figures import (
    BIASES,
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    YELLOW,
    legend_below,
    log_grid,
    measure_grid,
)
from psiprune.reporting.style import styled

#: Colour, marker, line and label of each variant; lines differ where colours look alike.
_VARIANTS = {
    "dense": (BLACK, "o", "-", "dense"),
    "sp/ss": (ORANGE, "s", "-", "sp/ss: mask of pruning, same seed"),
    "sp/os": (YELLOW, "^", "--", "sp/os: mask of pruning, other seed"),
    "sc": (GREEN, "D", "-.", "sc: constructed clusters"),
    "random": (PURPLE, "v", ":", "random mask"),
    "scale-free": (GREY, "P", "-", "scale-free mask"),
}
_PRUNED = (BLUE, "x", "pruned: dense, then pruned and fine-tuned")
#: Epochs beyond the last, as a share of all, of the first bar and from one to the next.
_FIRST, _STEP = 0.07, 0.045


@styled
def plot_sparse(sparse: xr.Dataset) -> Figure:
    """Draw the paper's Fig. 5: five error measures by epoch for each variant, a column per field.

    Lines are medians over seeds. Bars at the right hold 16 to 84 % of the seeds after training,
    with the median. Epoch 0, the untrained RBM, is not shown. The blue line is the median of the
    RBMs "pruned", which are trained dense and then pruned. Datasets of earlier versions lack
    scale-free masks.
    """
    there = {name: look for name, look in _VARIANTS.items() if name in sparse["variant"].values}
    figure, axes = measure_grid(sparse, [label for _, label in BIASES], "epochs | trained")
    for column, field in enumerate(sparse["field"].values):
        for ax, (name, _) in zip(axes[:, column], BIASES, strict=True):
            here, last = sparse[[name, f"history_{name}"]].sel(field=field), 0
            for variant, (color, _, line, label) in there.items():
                curve = here[f"history_{name}"].sel(variant=variant).dropna("epoch")
                curve = curve.sel(epoch=slice(1, None))
                last = max(last, *curve["epoch"].values.tolist(), 0)
                ax.plot(curve["epoch"], curve.median("seed"), ls=line, color=color, label=label)
            if "pruned" in sparse["variant"].values:
                color, _, label = _PRUNED
                end = float(here[name].sel(variant="pruned").median())
                ax.axhline(end, lw=0.8, color=color, label=label)
            _bars(ax, here[name], max(1, last))
            log_grid(ax)
    legend_below(figure, axes[0, 0], columns=2)
    return figure


def _bars(ax: Axes, final: xr.DataArray, last: int) -> None:
    """Draw a bar for each variant beyond the last epoch, in the order of the legend."""
    looks = {name: (color, marker) for name, (color, marker, *_) in _VARIANTS.items()}
    looks |= {"pruned": _PRUNED[:2]}
    there = [name for name in looks if name in final["variant"]]
    for k, variant in enumerate(there):
        color, marker = looks[variant]
        low, middle, high = (float(each) for each in band(final.sel(variant=variant)))
        at, error = last * (1.0 + _FIRST + _STEP * k), [[middle - low], [high - middle]]
        ax.errorbar(at, middle, error, fmt=marker, ms=2.0, lw=0.8, capsize=0.0, color=color)
    ax.axvline(last * (1.0 + _FIRST / 3), lw=0.4, color=GREY)
    ax.set_xlim(0.0, last * (1.0 + _FIRST + _STEP * len(there)))
