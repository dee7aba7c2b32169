"""How pruning depends on the way of training: the main study and those of the robustness runs."""

from __future__ import annotations

from collections.abc import Mapping

import xarray as xr
from matplotlib.figure import Figure

from psiprune.experiments.figures.study import disconnected_at
from psiprune.reporting.figures import (
    BANDS,
    GREY,
    LOOKS,
    PRUNED,
    draw_band,
    legend_below,
    log_grid,
    measure_grid,
    round_ticks,
    without_sampling,
)
from psiprune.reporting.labels import phase_label, seeds_text
from psiprune.reporting.style import styled

_MAIN = "CD-10, falling rate: the study"
_NAMES = {
    "constant": "CD-10, constant rate",
    "cd-1": "CD-1, falling rate",
    "cd-1-constant": "CD-1, constant rate",
    "exact": "exact natural gradient",
}


@styled
def plot_robustness(study: xr.Dataset, robust: Mapping[str, xr.Dataset]) -> Figure:
    """Draw KL over that of the dense RBMs against the fraction pruned, by the way of training.

    A column for each field. Lines are medians over seeds of KL / (median KL of the dense RBMs
    trained in the same way), bands hold 16 to 84 % of the seeds; by sums over all states where the
    studies have them. The dotted vertical marks where the graph must fall apart. The legend has the
    KL of the dense RBMs themselves, for each field.

    Args:
        study: the main study.
        robust: studies of the same fields by name: constant, cd-1, cd-1-constant, exact.
    """
    figure, axes = measure_grid(study, ["KL / dense"], PRUNED, height=1.9)
    named = {_MAIN: study} | {
        _NAMES.get(name.removeprefix("robust-"), name): each for name, each in robust.items()
    }
    apart = disconnected_at(study)
    for ax, field in zip(axes[0], study["field"].values, strict=True):
        ax.set_title(phase_label(study, field))
        ax.axhline(1.0, lw=0.6, color=GREY)
        for k, (name, each) in enumerate(named.items()):
            color, marker, line = LOOKS[k % len(LOOKS)]
            kl = without_sampling(each, "kl")
            dense = kl.isel(level=0).median("seed")
            shown = " and ".join(f"{value:.2g}" for value in dense.values)
            label = f"{name}\n(dense: {shown} nat, {seeds_text(each)})"
            pruned = each["fraction_pruned"].sel(field=field).isel(seed=0)
            over = kl.sel(field=field) / dense.sel(field=field)
            draw_band(ax, pruned, over, marker, ls=line, ms=2.0, color=color, label=label)
        if apart is not None:
            fallen = f"{apart:.0%}: graph must fall apart"
            ax.axvline(apart, ls=":", lw=0.8, color=GREY, label=fallen)
        log_grid(ax)
    round_ticks(axes[0, 0].yaxis)
    legend_below(figure, axes[0, 0], columns=2, title=BANDS)
    return figure
