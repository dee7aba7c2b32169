"""The paper's Fig. 4: how C(d) falls off with distance, at every size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from psiprune.metrics.correlation_decay import FEWEST, KNOWN
from psiprune.reporting.figures import (
    BANDS,
    GREY,
    LOOKS,
    PRUNED,
    draw_band,
    faint_grid,
    legend_below,
    log_y,
    pruned_scale,
    round_ticks,
)
from psiprune.reporting.labels import critical, phase_label

#: Marks of an axis that is logarithmic beyond 10 on both sides of 0.
_DIFFERENCES = (-300, -100, -30, -10, -5, 0, 5, 10, 30, 100, 300)
#: Fractions pruned that label their curves, each at the nearest level.
_NAMED = (0.75, 1.0)


def plot_decay(studies: Sequence[xr.Dataset], decay: xr.Dataset) -> Figure:
    """The paper's Fig. 4, one column per size: C(d) at the critical point by level, and its form.

    C(d) is shown twice, so that a power law (above) and an exponential (middle) would each be a
    straight line. Curves are medians over seeds of samples, as in the paper, and end where C(d) is
    below 3 standard errors of one RBM's sample; the thick grey line is the exact state. Below:
    Akaike's criterion of the power law less that of the exponential, median and 16 to 84 % of the
    seeds, in every phase; thick for the exact state. Within 2 of 0, shaded, neither is better.

    Args:
        studies: one per size, in any order.
        decay: their `decay_of`.
    """
    studies = sorted(studies, key=lambda study: int(study.attrs["sites"]))
    figure = Figure(figsize=(2.2 + 3.3 * len(studies), 10.0), layout="constrained")
    axes = figure.subplots(3, len(studies), sharey="row", squeeze=False)
    most = max(float(study["fraction_pruned"].max()) for study in studies)
    colors = pruned_scale(figure, axes[:2], most)
    for column, study in zip(axes.T, studies, strict=True):
        field = critical(study)
        for ax in column[:2]:
            _draw_correlation(ax, study.sel(field=field), colors)
        column[0].set_xscale("log")
        round_ticks(column[0].xaxis)
        column[0].set_title(f"{study.attrs['sites']} sites, {phase_label(study, field)}")
        _draw_criterion(column[2], study, decay.sel(size=study.attrs["sites"]))
    for ax in axes[:2, 0]:
        ax.set_ylabel("C(d)")
        round_ticks(ax.yaxis)
    low, high = axes[2, 0].get_ylim()
    shown = [mark for mark in _DIFFERENCES if low <= mark <= high]
    axes[2, 0].set_yticks(shown, [f"{mark:g}".replace("-", "−") for mark in shown])
    axes[2, 0].set_ylabel("ΔAIC (power law − exponential)")
    last = axes[2, 0]
    last.plot([], [], lw=6.0, color=GREY, alpha=0.45, label="C(d) of the exact state")
    last.plot([], [], ":", lw=1.0, color=GREY, label="the fits take d ≤ N/4")
    ends = f"curves end where C(d) < {KNOWN:g} standard errors, or ≤ 0"
    last.plot([], [], " ", label=ends)
    legend_below(figure, last, columns=min(3, len(studies)), title=BANDS)
    return figure


def _draw_correlation(ax: Axes, study: xr.Dataset, colors: ScalarMappable) -> None:
    d = study["distance"].values
    ax.plot(d[1:], study["correlation_reference"][1:], lw=6.0, color=GREY, alpha=0.45, zorder=0)
    pruned = study["fraction_pruned"].isel(seed=0).values
    named = {int(np.nanargmin(np.abs(pruned - share))) for share in _NAMED}
    for level, fraction in enumerate(pruned):
        if not np.isfinite(fraction):
            continue
        middle = study[["correlation", "correlation_error"]].isel(level=level).median("seed")
        c, error = middle["correlation"].values, middle["correlation_error"].values
        known = (c > KNOWN * error)[1:]
        end = 1 + (len(known) if known.all() else int(known.argmin()))
        ax.plot(d[1:end], c[1:end], ".-", ms=3, lw=0.9, color=colors.to_rgba(fraction))
        if level in named and end > 1:
            place: dict[str, Any] = {"xytext": (4, 0), "textcoords": "offset points"}
            last = d[end - 1], c[end - 1]
            ax.annotate(f"{fraction:.0%}", last, va="center", fontsize="x-small", **place)
    ax.axvline(study.attrs["sites"] // 4, ls=":", lw=1.0, color=GREY)
    log_y(ax)
    ax.set_xlabel("distance d (sites)")
    faint_grid(ax)


def _draw_criterion(ax: Axes, study: xr.Dataset, decay: xr.Dataset) -> None:
    pruned = study["fraction_pruned"].isel(field=0, seed=0).values
    ax.set_yscale("symlog", linthresh=10.0)  # it grows with the number of distances
    ax.set_xlim(-0.03, 1.0)
    ax.margins(y=0.15)  # for the words above and below
    ax.axhspan(-2.0, 2.0, color=GREY, alpha=0.2, lw=0, label="neither is better")
    ax.axhline(0.0, lw=0.8, color=GREY)
    for k, field in enumerate(study["field"].values):
        color, marker, line = LOOKS[k % len(LOOKS)]
        here, label = decay.sel(field=field), phase_label(study, field)
        values = here["delta_aic"].isel(level=slice(len(pruned)))
        draw_band(ax, pruned, values, marker, alpha=0.2, ls=line, color=color, label=label)
        exact = float(here["delta_aic_reference"])
        ax.axhline(exact, lw=5.0, color=color, alpha=0.3, label=f"{label}, exact state")
    if not np.isfinite(decay["delta_aic"].values).any():
        few = f"C(d) is known at fewer\nthan {FEWEST} distances d ≤ N/4"
        ax.text(0.5, 0.5, few, ha="center", va="center", transform=ax.transAxes)
    for y, va, word in ((0.98, "top", "exponential better"), (0.02, "bottom", "power law better")):
        ax.text(0.02, y, word, va=va, transform=ax.transAxes, fontsize="small")
    ax.set_xlabel(PRUNED)
    faint_grid(ax)
