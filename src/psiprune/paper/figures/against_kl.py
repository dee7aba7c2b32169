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
    KL,
    SKY,
    legend_below,
    log_grid,
    measure_grid,
    pruned_scale,
    round_ticks,
    without_sampling,
)
from psiprune.reporting.labels import phase_label
from psiprune.reporting.style import styled

_MEASURES = BIASES[1:]


@styled
def plot_measures_against_kl(study: xr.Dataset, ranks: xr.Dataset) -> Figure:
    """The paper's Fig. 6: error measures against KL, one row per measure and one column per field.

    Every seed's RBM after the epochs of its history (crosses, without the untrained RBM) and at
    each level of pruning (circles), all by sums over all states where the study has them. Above
    each panel are the rank correlations with KL, medians over seeds, of training and of pruning.

    Args:
        study: with its histories.
        ranks: its `ranks_of`.
    """
    labels = [label for _, label in _MEASURES]
    figure, axes = measure_grid(study, labels, KL, height=1.35)
    colors = pruned_scale(figure, axes, float(study["fraction_pruned"].max()))
    for column, field in zip(axes.T, study["field"].values, strict=True):
        column[0].set_title("")
        for ax, (name, _) in zip(column, _MEASURES, strict=True):
            _draw(ax, study.sel(field=field), name, colors)
            shown = _ranks_text(ranks["rank_correlation"].sel(field=field, measure=name))
            head = f"{phase_label(study, field)}\n" if ax is column[0] else ""
            ax.set_title(f"{head}{shown}", loc="right", fontsize="small")
    for ax in axes[:, 0]:
        round_ticks(ax.yaxis)
    round_ticks(axes[-1, 0].xaxis)
    axes[0, 0].plot([], [], " ", label="ρ: rank correlation with KL in training, in pruning")
    legend_below(figure, axes[0, 0], columns=2)
    return figure


def _draw(ax: Axes, study: xr.Dataset, name: str, colors: ScalarMappable) -> None:
    trained = study.sel(epoch=study["epoch"] > 0)
    # Thousands of crosses, which as vectors would make an SVG of a megabyte.
    cross: dict[str, Any] = {"ms": 2, "mew": 0.5, "color": SKY, "rasterized": True}
    kl, measure = (trained[f"history_{each}"].values.ravel() for each in ("kl", name))
    ax.plot(kl, measure, "x", label="training", **cross)
    circle: dict[str, Any] = {"s": 6, "edgecolors": "black", "linewidths": 0.2, "zorder": 2}
    kl, measure = (without_sampling(study, each).values for each in ("kl", name))
    shown = colors.to_rgba(study["fraction_pruned"].values.ravel())
    ax.scatter(kl, measure, c=shown, label="pruning", **circle)
    ax.set_xscale("log")
    log_grid(ax)


def _ranks_text(ranks: xr.DataArray) -> str:
    middle = ranks.median("seed")
    values = [float(middle.sel(part=part)) for part in ("training", "pruning")]
    shown = [f"{x:.2f}".replace("-", "−") if np.isfinite(x) else "unknown" for x in values]
    return f"ρ {', '.join(shown)}"
