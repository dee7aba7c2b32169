"""Figures of the ablations: clusters broken step by step, and clusters forbidden."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from psiprune.reporting.figures import (
    BIASES,
    BLUE,
    GREY,
    ORANGE,
    draw_band,
    legend_below,
    letter,
    log_grid,
    log_y,
    measure_grid,
    round_ticks,
)
from psiprune.reporting.labels import field_label
from psiprune.reporting.style import ONE_COLUMN, styled
from psiprune.reporting.weights_figure import draw_weights, outline_clusters

_STARTS = {
    "initial": (ORANGE, "o-", "trained from the start"),
    "dense": (BLUE, "s--", "dense RBM, masked and fine-tuned"),
}
#: Labels of the rows of `plot_forbidden`.
_FORBIDDEN = (
    "dense\nhidden unit",
    "clusters forbidden\nhidden unit",
    "units, all seeds",
    "KL (nat)",
)
_MODELS = {"dense": "dense", "forbidden": "clusters forbidden", "control": "others forbidden"}


@styled
def plot_broken(ablation: xr.Dataset) -> Figure:
    """Draw five error measures against the broken share of a pruned mask, a column per field."""
    labels = [label for _, label in BIASES]
    figure, axes = measure_grid(ablation, labels, "clusters broken (%)")
    percent = 100 * ablation["share"].values
    for column, field in enumerate(ablation["field"].values):
        for ax, (name, _) in zip(axes[:, column], BIASES, strict=True):
            for start, (color, line, label) in _STARTS.items():
                values = ablation[f"broken_{name}"].sel(field=field, start=start)
                draw_band(ax, percent, values, line, ms=2.5, color=color, label=label)
            dense = ablation[f"forbidden_{name}"].sel(field=field, model="dense").median()
            ax.axhline(float(dense), ls=":", lw=0.8, color=GREY, label="dense RBM, no mask")
            log_grid(ax)
    legend_below(figure, axes[0, 0], columns=3)
    return figure


@styled
def plot_forbidden(ablation: xr.Dataset) -> Figure:
    """Draw where clusters form if the original ones are forbidden, a column per field.

    From the top: the weights of the first seed's dense RBM and of the one trained without its
    clusters; how far the strongest window of each unit has moved, over all seeds; KL by seed.
    """
    fields = ablation["field"].values
    figure = Figure(figsize=(ONE_COLUMN, 6.8), layout="constrained")
    axes = figure.subplots(4, len(fields), squeeze=False, height_ratios=(1.0, 1.0, 1.1, 1.1))
    width = int(ablation.attrs["width"])
    for column, field in zip(axes.T, fields, strict=True):
        phase = ablation.sel(field=field)
        scale = float(np.abs(phase["weights"].isel(seed=0)).max())
        for ax, model in zip(column[:2], ("dense", "forbidden"), strict=True):
            one = phase.sel(model=model).isel(seed=0)
            first, found = one["first_site"].values, one["found"].values
            image = draw_weights(ax, one["weights"].values, one["mask"].values, scale)
            outline_clusters(ax, first, found, width)
            ax.set_xlabel("site")
        column[0].set_title(field_label(ablation, field))
        figure.colorbar(image, ax=list(column[:2]), label="weight", location="bottom", aspect=30)
        _shifts(column[2], phase)
        _by_seed(column[3], phase)
    for ax, label in zip(axes[:, 0], _FORBIDDEN, strict=True):
        ax.set_ylabel(label)
    letter(axes)
    legend_below(figure, axes[2, 0], columns=2)
    return figure


def _shifts(ax: Axes, ablation: xr.Dataset) -> None:
    span = ablation.attrs["sites"] - ablation.attrs["width"]
    edges = [shift - 0.5 for shift in range(-span, span + 2)]
    for model, style in (
        ("control", {"histtype": "step", "color": BLUE, "lw": 1.0}),
        ("forbidden", {"histtype": "stepfilled", "color": ORANGE, "alpha": 0.8}),
    ):
        shift = ablation["shift"].sel(model=model).values.ravel()
        ax.hist(shift, edges, label=_MODELS[model], **style)  # type: ignore[arg-type]
    ax.set_xlabel("shift of cluster (sites)")


def _by_seed(ax: Axes, ablation: xr.Dataset) -> None:
    kl = ablation["forbidden_kl"].transpose("model", "seed").values
    ax.plot(range(len(kl)), kl, "-", color=GREY, lw=0.4, alpha=0.6)
    ax.plot(range(len(kl)), kl, "o", color=BLUE, ms=2)
    ax.plot(range(len(kl)), np.median(kl, axis=1), "_", color=ORANGE, ms=14, mew=1.5)
    names = {"dense": "none", "forbidden": "clusters", "control": "others"}
    ax.set_xticks(range(len(kl)), [names[str(model)] for model in ablation["model"].values])
    ax.set_xlabel("weights forbidden")
    ax.set_xlim(-0.5, len(kl) - 0.5)
    log_y(ax)
    round_ticks(ax.yaxis)
