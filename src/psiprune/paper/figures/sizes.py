"""Measures by fraction pruned at several sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
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
    mark_beyond,
    measure_grid,
    round_ticks,
)
from psiprune.reporting.labels import phase_label, seeds_text
from psiprune.reporting.style import styled

_MEASURES = (
    ("kl", "KL, ratio"),
    ("infidelity", "1 − F, ratio"),
    ("abs_magnetization_bias", "bias of ⟨|m|⟩, ratio"),
    ("correlation_mse", "$C_{\\mathrm{MSE}}$, ratio"),
)


@styled
def plot_sizes(studies: Sequence[xr.Dataset]) -> Figure:
    """Four error measures against the fraction pruned, one line per size and one column per field.

    All are divided by the median of the size's own dense RBMs, or by the floor if that is higher,
    so that sizes can be compared: at 1 nothing is lost. Lines are medians over seeds, bands 16 to
    84 % of the seeds, bars one standard error of one RBM's estimate (also medians), where that is
    above a tenth. Dotted verticals mark where a size's graph must fall apart, triangles at the ends
    medians at or below 0, which are noise of the estimates.

    Args:
        studies: one per size, all of the same fields.
    """
    studies = sorted(studies, key=lambda study: int(study.attrs["sites"]))
    labels = [label for _, label in _MEASURES]
    figure, axes = measure_grid(studies[0], labels, PRUNED, height=1.25)
    for column, field in zip(axes.T, studies[0]["field"].values, strict=True):
        column[0].set_title(phase_label(studies[0], field))
        for ax, (name, _) in zip(column, _MEASURES, strict=True):
            ax.axhline(1.0, lw=0.6, color=GREY)
            for k, study in enumerate(studies):
                _draw(ax, study, field, name, k)
            log_grid(ax)
    first = axes[0, 0]
    first.errorbar([], [], [], fmt="none", lw=0.6, ecolor=GREY, label="one standard error")
    for k, study in enumerate(studies):
        if disconnected_at(study) is not None:
            color = LOOKS[k % len(LOOKS)][0]
            fallen = f"N = {study.attrs['sites']} must fall apart"
            first.plot([], [], ":", lw=0.8, color=color, label=fallen)
    for row in axes:
        round_ticks(row[0].yaxis)
    for row, (name, _) in zip(axes, _MEASURES, strict=True):
        for ax, field in zip(row, studies[0]["field"].values, strict=True):
            for k, study in enumerate(studies):
                here = study.sel(field=field)
                pruned, middle = here["fraction_pruned"].isel(seed=0), here[name].median("seed")
                lost = middle.where(middle <= 0)
                mark_beyond(ax, pruned, lost, LOOKS[k % len(LOOKS)][0])
    legend_below(figure, first, columns=2, title=BANDS)
    return figure


def _draw(ax: Axes, study: xr.Dataset, field: float, name: str, place: int) -> None:
    color, marker, line = LOOKS[place % len(LOOKS)]
    here = study.sel(field=field)
    unit = _unit(here, name)
    values = here[name] / unit
    pruned = here["fraction_pruned"].isel(seed=0).values
    label = f"{study.attrs['sites']} sites, {seeds_text(study)}"
    style: dict[str, Any] = {"ls": line, "ms": 2.0, "color": color, "label": label}
    draw_band(ax, pruned, values.where(values > 0), marker, **style)
    middle, error = values.median("seed"), (here[f"{name}_error"] / unit).median("seed")
    bars = [
        [(x, y - e), (x, y + e)]
        for x, y, e in zip(pruned, middle.values, error.values, strict=True)
        if e > 0.1 * abs(y)
    ]
    # Bars down to 0 are cut off at the end of the axis, and must not move it.
    ax.add_collection(LineCollection(bars, linewidths=0.6, colors=color), autolim=False)
    apart = disconnected_at(study)
    if apart is not None:
        ax.axvline(apart, ls=":", lw=0.8, color=color)


def _unit(study: xr.Dataset, name: str) -> float:
    """What a measure is divided by: what a dense RBM shows."""
    dense = study[[name, f"{name}_floor"]].isel(level=0).median()
    # A dense RBM may be below the floor by chance, and a ratio to chance would say nothing.
    return max(float(dense[name]), float(dense[f"{name}_floor"]))
