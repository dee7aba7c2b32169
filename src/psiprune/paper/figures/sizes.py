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
    INFIDELITY,
    LOOKS,
    PRUNED,
    draw_band,
    legend_below,
    log_grid,
    measure_grid,
    round_ticks,
)
from psiprune.reporting.labels import phase_label, seeds_text

_MEASURES = (
    ("kl", "KL per site (nat)"),
    ("infidelity", INFIDELITY),
    ("abs_magnetization_bias", "bias of ⟨|m|⟩\nover dense or floor"),
    ("correlation_mse", "$C_{\\mathrm{MSE}}$\nover dense or floor"),
)


def plot_sizes(studies: Sequence[xr.Dataset]) -> Figure:
    """Four error measures against the fraction pruned, one line per size and one column per field.

    Lines are medians over seeds, bands 16 to 84 % of the seeds, bars one standard error of one
    RBM's estimate (also medians), thin lines what a perfect model would show. The lower two are
    divided by the median of the size's own dense RBMs, or by the floor if that is higher, all from
    samples, so that sizes can be compared: at 1 nothing is lost. Dotted verticals mark where a
    size's graph must fall apart. Of estimates at or below 0 only the bars are visible.

    Args:
        studies: one per size, all of the same fields.
    """
    studies = sorted(studies, key=lambda study: int(study.attrs["sites"]))
    labels = [label for _, label in _MEASURES]
    figure, axes = measure_grid(studies[0], labels, PRUNED, size=(4.2, 10.5))
    for column, field in zip(axes.T, studies[0]["field"].values, strict=True):
        column[0].set_title(phase_label(studies[0], field))
        for ax, (name, _) in zip(column, _MEASURES, strict=True):
            for k, study in enumerate(studies):
                _draw(ax, study, field, name, k)
            log_grid(ax)
    first = axes[0, 0]
    first.errorbar([], [], [], fmt="none", lw=0.8, ecolor=GREY, label="one standard error")
    first.plot([], [], lw=0.6, color=GREY, label="floor: a perfect model")
    for k, study in enumerate(studies):
        if disconnected_at(study) is not None:
            color = LOOKS[k % len(LOOKS)][0]
            fallen = f"graph of {study.attrs['sites']} sites must fall apart"
            first.plot([], [], ":", lw=1.0, color=color, label=fallen)
    for ax in axes[:, 0]:
        round_ticks(ax.yaxis)
    legend_below(figure, first, columns=min(3, 2 * axes.shape[1] - 1), title=BANDS)
    return figure


def _draw(ax: Axes, study: xr.Dataset, field: float, name: str, place: int) -> None:
    color, marker, line = LOOKS[place % len(LOOKS)]
    here = study.sel(field=field)
    unit = _unit(here, name)
    values = here[name] / unit
    pruned = here["fraction_pruned"].isel(seed=0).values
    label = f"{study.attrs['sites']} sites, {seeds_text(study)}"
    style: dict[str, Any] = {"alpha": 0.15, "ls": line, "color": color, "label": label}
    draw_band(ax, pruned, values.where(values > 0), marker, **style)
    middle, error = values.median("seed"), (here[f"{name}_error"] / unit).median("seed")
    bars = [
        [(x, y - e), (x, y + e)]
        for x, y, e in zip(pruned, middle.values, error.values, strict=True)
        if e > 0
    ]
    # Bars down to 0 are cut off at the end of the axis, and must not move it.
    ax.add_collection(LineCollection(bars, linewidths=0.8, colors=color), autolim=False)
    floor = (here[f"{name}_floor"] / unit).median("seed")
    ax.plot(pruned, floor.where(floor > 0), ls=line, lw=0.6, color=color)
    apart = disconnected_at(study)
    if apart is not None:
        ax.axvline(apart, ls=":", lw=1.0, color=color)


def _unit(study: xr.Dataset, name: str) -> float:
    """What a measure is divided by: the sites, nothing, or what a dense RBM shows."""
    if name == "kl":
        return float(study.attrs["sites"])
    if name == "infidelity":
        return 1.0
    dense = study[[name, f"{name}_floor"]].isel(level=0).median()
    # A dense RBM may be below the floor by chance, and a ratio to chance would say nothing.
    return max(float(dense[name]), float(dense[f"{name}_floor"]))
