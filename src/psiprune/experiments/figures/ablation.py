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
    log_grid,
    log_y,
    measure_grid,
)
from psiprune.reporting.labels import field_label
from psiprune.reporting.weights_figure import draw_weights, outline_clusters

_STARTS = {
    "initial": (ORANGE, "o-", "trained from the start"),
    "dense": (BLUE, "s--", "dense RBM, masked and fine-tuned"),
}
_MODELS = {"dense": "dense", "forbidden": "clusters forbidden", "control": "others forbidden"}


def plot_broken(ablation: xr.Dataset) -> Figure:
    """Draw five error measures against the broken share of a pruned mask, a column per field."""
    labels = [label for _, label in BIASES]
    figure, axes = measure_grid(ablation, labels, "clusters broken (%)", size=(3.6, 11.0))
    percent = 100 * ablation["share"].values
    for column, field in enumerate(ablation["field"].values):
        for ax, (name, _) in zip(axes[:, column], BIASES, strict=True):
            for start, (color, line, label) in _STARTS.items():
                values = ablation[f"broken_{name}"].sel(field=field, start=start)
                draw_band(ax, percent, values, line, color=color, label=label)
            dense = ablation[f"forbidden_{name}"].sel(field=field, model="dense").median()
            ax.axhline(float(dense), ls=":", lw=1.0, color=GREY, label="dense RBM, no mask")
            log_grid(ax)
    legend_below(figure, axes[0, 0], columns=3)
    return figure


def plot_forbidden(ablation: xr.Dataset) -> Figure:
    """Draw where clusters form if the original ones are forbidden, a row per field.

    From the left: the weights of the first seed's dense RBM and of the one trained without its
    clusters; how far the strongest window of each unit has moved, over all seeds; KL by seed.
    """
    fields = ablation["field"].values
    figure = Figure(figsize=(14.0, 0.8 + 3.1 * len(fields)), layout="constrained")
    axes = figure.subplots(len(fields), 4, squeeze=False)
    width = int(ablation.attrs["width"])
    for row, field in enumerate(fields):
        phase = ablation.sel(field=field)
        scale = float(np.abs(phase["weights"].isel(seed=0)).max())
        for ax, model in zip(axes[row, :2], ("dense", "forbidden"), strict=True):
            one = phase.sel(model=model).isel(seed=0)
            first, found = one["first_site"].values, one["found"].values
            image = draw_weights(ax, one["weights"].values, one["mask"].values, scale)
            outline_clusters(ax, first, found, width)
            ax.set_title(_MODELS[model])
            ax.set_xlabel("site")
        axes[row, 0].set_ylabel(f"{field_label(ablation, field)}\nhidden unit")
        figure.colorbar(image, ax=axes[row, 1], label="weight")
        _shifts(axes[row, 2], phase)
        _by_seed(axes[row, 3], phase)
    return figure


def _shifts(ax: Axes, ablation: xr.Dataset) -> None:
    span = ablation.attrs["sites"] - ablation.attrs["width"]
    edges = [shift - 0.5 for shift in range(-span, span + 2)]
    for model, style in (
        ("control", {"histtype": "step", "color": BLUE, "lw": 1.2}),
        ("forbidden", {"histtype": "stepfilled", "color": ORANGE, "alpha": 0.8}),
    ):
        shift = ablation["shift"].sel(model=model).values.ravel()
        ax.hist(shift, edges, label=_MODELS[model], **style)  # type: ignore[arg-type]
    ax.set_xlabel("shift of a unit's cluster (sites)")
    ax.set_ylabel("units, all seeds")
    ax.set_title(" ")
    ax.legend(frameon=False, fontsize="small", loc="lower right", bbox_to_anchor=(1, 1), ncols=2)


def _by_seed(ax: Axes, ablation: xr.Dataset) -> None:
    kl = ablation["forbidden_kl"].transpose("model", "seed").values
    ax.plot(range(len(kl)), kl, "-", color=GREY, lw=0.5, alpha=0.6)
    ax.plot(range(len(kl)), kl, "o", color=BLUE, ms=3)
    ax.plot(range(len(kl)), np.median(kl, axis=1), "_", color=ORANGE, ms=26, mew=2)
    names = [_MODELS[str(model)] for model in ablation["model"].values]
    ax.set_xticks(range(len(kl)), [name.replace(" ", "\n") for name in names])
    ax.set_xlim(-0.5, len(kl) - 0.5)
    log_y(ax)
    ax.set_ylabel("KL (nat), each seed and median")
