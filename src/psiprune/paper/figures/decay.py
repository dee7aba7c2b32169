"""The paper's Fig. 4: how C(d) falls off with distance, at every size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from psiprune.experiments.figures.study import disconnected_at
from psiprune.metrics.correlation_decay import FEWEST, KNOWN
from psiprune.reporting.figures import (
    BANDS,
    GREY,
    LOOKS,
    PRUNED,
    PRUNED_MAP,
    draw_band,
    faint_grid,
    fill_legend,
    legend_rows,
    log_y,
    round_ticks,
)
from psiprune.reporting.labels import critical, phase_label
from psiprune.reporting.style import styled

#: Marks of an axis that is logarithmic beyond 10 on both sides of 0.
_DIFFERENCES = (-1000, -100, -10, 0, 10, 100, 1000)
#: Fractions pruned whose curves are drawn, each at the nearest level if that is near enough.
_SHOWN, _NEAR = (0.0, 0.5, 0.75, 0.85, 0.92), 0.035
_TREE = "last level with the weights of a tree"


@styled
def plot_decay(studies: Sequence[xr.Dataset], decay: xr.Dataset) -> Figure:
    """The paper's Fig. 4, one column per size: C(d) at the critical point by level, and its form.

    C(d) is shown twice, so that a power law (above) and an exponential (middle) would each be a
    straight line. Curves are medians over seeds of samples, as in the paper, of up to five
    fractions pruned and of the last level that may be connected, with N + N_h - 1 weights or more.
    They end where C(d) is below 3 standard errors of one RBM's sample; the thick grey line is the
    exact state. Below: Akaike's criterion of the power law less that of the exponential, median and
    16 to 84 % of the seeds, in every phase; thick for the exact state. Within 2 of 0, shaded,
    neither is better; the dotted vertical is where the graph must fall apart.

    Args:
        studies: one per size, in any order.
        decay: their `decay_of`.
    """
    studies = sorted(studies, key=lambda study: int(study.attrs["sites"]))
    figure, axes, words = legend_rows(len(studies), (0, 4, 4), height=1.35)
    for column, study in zip(axes.T, studies, strict=True):
        field = critical(study)
        for ax in column[:2]:
            _draw_correlation(ax, study.sel(field=field))
        column[0].set_xscale("log")
        round_ticks(column[0].xaxis)
        column[0].set_title(f"N = {study.attrs['sites']}")
        _draw_criterion(column[2], study, decay.sel(size=study.attrs["sites"]))
    for ax in axes[:2, 0]:
        ax.set_ylabel("C(d)")
        round_ticks(ax.yaxis)
    low, high = axes[2, 0].get_ylim()
    shown = [mark for mark in _DIFFERENCES if low <= mark <= high]
    axes[2, 0].set_yticks(shown, [f"{mark:g}".replace("-", "−") for mark in shown])
    axes[2, 0].set_ylabel("ΔAIC\n← power law | exponential →", fontsize="small")
    for ax in axes[1]:
        ax.plot([], [], "-", lw=3.0, color=GREY, alpha=0.45, label="exact state")
        ax.plot([], [], ":", lw=0.8, color=GREY, label="the fits take d ≤ N/4")
        ax.plot([], [], " ", label=f"curves end at {KNOWN:g} standard errors")
    fullest = max(axes[1], key=lambda ax: len(set(ax.get_legend_handles_labels()[1])))
    fill_legend(words[1], fullest, columns=2)
    fill_legend(words[2], axes[2, 0], columns=2, title=BANDS)
    figure.suptitle(f"C(d) at {phase_label(studies[0], critical(studies[0]))}")
    return figure


def _draw_correlation(ax: Axes, study: xr.Dataset) -> None:
    d = study["distance"].values
    exact = study["correlation_reference"][1:]
    ax.plot(d[1:], exact, "-", lw=3.0, color=GREY, alpha=0.45, zorder=0)
    for place, level, label in shown_levels(study):
        middle = study[["correlation", "correlation_error"]].isel(level=level).median("seed")
        c, error = middle["correlation"].values, middle["correlation_error"].values
        known = (c > KNOWN * error)[1:]
        end = 1 + (len(known) if known.all() else int(known.argmin()))
        color, line = PRUNED_MAP(place / len(_SHOWN)), LOOKS[place][2]
        ax.plot(d[1:end], c[1:end], ls=line, color=color, label=label)
    ax.axvline(study.attrs["sites"] // 4, ls=":", lw=0.8, color=GREY)
    log_y(ax)
    ax.set_xlabel("d (sites)")
    faint_grid(ax)


def shown_levels(study: xr.Dataset) -> Iterator[tuple[int, int, str]]:
    """Yield place in the legend, level and label of the curves of one field, at most six."""
    pruned = study["fraction_pruned"].isel(seed=0).values
    tree = study.attrs["sites"] + study.attrs["hidden"] - 1
    connected = np.flatnonzero(study["weights_kept"].isel(seed=0).values >= tree)
    last = int(connected[-1])
    levels: dict[int, tuple[int, str]] = {}
    for place, fraction in enumerate(_SHOWN):
        away = np.abs(pruned - fraction)
        level = int(np.nanargmin(away)) if np.isfinite(away).any() else last
        if away[level] <= _NEAR and level < last:
            levels.setdefault(level, (place, f"{fraction:.0%} pruned" if fraction else "dense"))
    levels[last] = (len(_SHOWN), _TREE)
    for level, (place, label) in levels.items():
        if np.isfinite(pruned[level]):
            yield place, level, label


def _draw_criterion(ax: Axes, study: xr.Dataset, decay: xr.Dataset) -> None:
    pruned = study["fraction_pruned"].isel(field=0, seed=0).values
    ax.set_yscale("symlog", linthresh=10.0)  # it grows with the number of distances
    ax.set_xlim(-0.03, 1.0)
    ax.axhspan(-2.0, 2.0, color=GREY, alpha=0.2, lw=0, label="neither is better")
    ax.axhline(0.0, lw=0.6, color=GREY)
    for k, field in enumerate(study["field"].values):
        color, marker, line = LOOKS[k % len(LOOKS)]
        here, label = decay.sel(field=field), phase_label(study, field)
        values = here["delta_aic"].isel(level=slice(len(pruned)))
        draw_band(ax, pruned, values, marker, ls=line, ms=1.5, color=color, label=label)
        exact = float(here["delta_aic_reference"])
        ax.axhline(exact, ls="-", lw=2.5, color=color, alpha=0.3, label=f"{label}, exact")
    apart = disconnected_at(study)
    if apart is not None:
        ax.axvline(apart, ls=":", lw=0.8, color=GREY)
    ax.plot([], [], ":", lw=0.8, color=GREY, label="graph must fall apart")
    if not np.isfinite(decay["delta_aic"].values).any():
        few = f"C(d) is known\nat fewer than\n{FEWEST} distances"
        style = {"ha": "center", "va": "center", "fontsize": "small"}
        ax.text(0.5, 0.75, few, transform=ax.transAxes, **style)
    ax.set_xlabel(PRUNED)
    ax.xaxis.set_major_locator(MaxNLocator(3))
    faint_grid(ax)
