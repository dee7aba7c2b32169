"""The paper's Fig. 6: each measure against KL, through training and pruning."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from psiprune.reporting.figures import (
    BIASES,
    BLUE,
    KL,
    legend_below,
    log_grid,
    measure_grid,
    pruned_scale,
    round_ticks,
    without_sampling,
)
from psiprune.reporting.labels import phase_label

_MEASURES = BIASES[1:]


def plot_measures_against_kl(study: xr.Dataset, ranks: xr.Dataset) -> Figure:
    """The paper's Fig. 6: error measures against KL, one row per measure and one column per field.

    Every seed's RBM after the epochs of its history (crosses, without the untrained RBM) and at
    each level of pruning (circles), all by sums over all states where the study has them. The
    numbers are rank correlations, medians over seeds.

    Args:
        study: with its histories.
        ranks: its `ranks_of`.
    """
    labels = [label for _, label in _MEASURES]
    figure, axes = measure_grid(study, labels, KL, size=(3.8, 10.5))
    colors = pruned_scale(figure, axes, float(study["fraction_pruned"].max()))
    for column, field in zip(axes.T, study["field"].values, strict=True):
        column[0].set_title(phase_label(study, field))
        for ax, (name, _) in zip(column, _MEASURES, strict=True):
            _draw(ax, study.sel(field=field), name, colors)
            _write(ax, ranks["rank_correlation"].sel(field=field, measure=name))
    for ax in axes[:, 0]:
        round_ticks(ax.yaxis)
    round_ticks(axes[-1, 0].xaxis)
    legend_below(figure, axes[0, 0], columns=2)
    return figure


def _draw(ax: Axes, study: xr.Dataset, name: str, colors: ScalarMappable) -> None:
    trained = study.sel(epoch=study["epoch"] > 0)
    # Thousands of crosses, which as vectors would make an SVG of a megabyte.
    cross: dict[str, Any] = {"ms": 4, "mew": 0.8, "color": BLUE, "rasterized": True}
    kl, measure = (trained[f"history_{each}"].values.ravel() for each in ("kl", name))
    ax.plot(kl, measure, "x", label="training", **cross)
    circle: dict[str, Any] = {"s": 18, "edgecolors": "black", "linewidths": 0.4, "zorder": 2}
    kl, measure = (without_sampling(study, each).values for each in ("kl", name))
    shown = colors.to_rgba(study["fraction_pruned"].values.ravel())
    ax.scatter(kl, measure, c=shown, label="pruning", **circle)
    ax.set_xscale("log")
    log_grid(ax)


def _write(ax: Axes, ranks: xr.DataArray) -> None:
    middle = ranks.median("seed")
    lines = ["rank correlation"]
    for part in ranks["part"].values:
        value = float(middle.sel(part=part))
        shown = f"{value:.2f}".replace("-", "−") if np.isfinite(value) else "unknown"
        lines.append(f"{part}: {shown}")
    style: dict[str, Any] = {"ha": "right", "va": "bottom", "fontsize": "small"}
    box = {"facecolor": "white", "alpha": 0.8, "lw": 0}
    ax.text(0.97, 0.04, "\n".join(lines), transform=ax.transAxes, bbox=box, **style)
