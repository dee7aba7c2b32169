"""The figure of error against number of weights."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter

from psiprune.core.statistics import band
from psiprune.reporting.figures import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    KL,
    ORANGE,
    PURPLE,
    YELLOW,
    faint_grid,
    legend_below,
    log_y,
)
from psiprune.reporting.labels import field_label, method_title

#: Colour, line, marker and line width of each method in the figure; more would not be legible.
_METHODS = {
    "magnitude-cd": (BLACK, "-", "s", 1.8),
    "magnitude": (YELLOW, "-", "v", 1.2),
    "damage": (PURPLE, "-", "^", 1.2),
    "surgeon": (BLUE, "-", "o", 2.0),
    "random": (GREY, "-", "x", 1.0),
    "magnitude-alone": (YELLOW, ":", "v", 1.0),
    "magnitude-compensated-alone": (YELLOW, "--", "v", 1.0),
    "surgeon-alone": (BLUE, ":", "o", 1.0),
    "cluster": (GREEN, "-", "D", 1.2),
    "scale-free": (ORANGE, "-", "h", 1.2),
    "cluster-rewired": (GREEN, "", "*", 1.2),
    "random-rewired": (GREY, "", "P", 1.2),
}
#: Colours of RBMs of other widths, from few to many hidden units.
_WIDTHS = matplotlib.colormaps["RdPu"]
_MEASURES = (("kl", KL), ("abs_magnetization_bias", "relative bias of ⟨|m|⟩"))


def plot_frontier(frontier: xr.Dataset) -> Figure:
    """Draw KL and bias of <|m|>, by sums over all states, against the weights; a row per field.

    Lines are medians over seeds, bands 16 to 84 % of the seeds of "surgeon" and the paper's method.
    Red diamonds are MPS, against their free parameters. Dashed grey lines are the mean errors of
    fits of the right model to so many shots; below the vertical line the units cannot all be
    connected. The markers of RBMs with another number of hidden units are that number. The dotted
    orange line is the bias at which mROE, the bias and a confidence interval of the draws, reaches
    the limit. Biases below 3e-4 are due to chance and not shown. "magnitude-by-unit" and
    "damage-alone" are only in the table.
    """
    fields = frontier["field"].values
    figure = Figure(figsize=(13.0, 1.6 + 4.6 * len(fields)), layout="constrained")
    axes = figure.subplots(len(fields), len(_MEASURES), sharex=True, squeeze=False)
    for row, field in enumerate(fields):
        for ax, (name, title) in zip(axes[row], _MEASURES, strict=True):
            _draw(ax, frontier.sel(field=field), name)
            ax.set_ylabel(title)
            ax.set_title(field_label(frontier, field), fontsize="medium")
    for ax in axes[-1]:
        ax.set_xlabel("weights of the RBM, free parameters of the MPS")
    # A panel whose measure is undefined lacks the methods; the limit is only in that of the bias.
    fullest = max(axes[0], key=lambda ax: len(ax.get_legend_handles_labels()[1]))
    legend_below(figure, fullest, columns=4, fontsize="small")
    return figure


def _draw(ax: Axes, frontier: xr.Dataset, name: str) -> None:
    widths = sorted(u for method in frontier["variant"].values if (u := _units(method)) is not None)
    for method in frontier["variant"].values:
        units = _units(method)
        if method in _METHODS:
            color, line, marker, width = _METHODS[method]
        elif units is not None:
            color = to_hex(_WIDTHS(0.4 + 0.6 * widths.index(units) / max(1, len(widths) - 1)))
            line, marker, width = "-", f"${units}$", 1.2
        else:
            continue
        values = frontier[name].sel(variant=method).dropna("count", how="all")
        if not values.size:
            continue
        low, middle, high = (quantile.values for quantile in band(values))
        count = values["count"].values
        large = marker in "*P" or len(marker) > 1
        style: dict[str, Any] = {"linestyle": line, "marker": marker, "ms": 9 if large else 4}
        if units is not None:
            style["mew"] = 0.4
            if count.size > 4:  # neighbouring numbers would overlap
                style["markevery"] = (widths.index(units) % 4, 4)
        ax.plot(count, middle, color=color, lw=width, label=method_title(method), **style)
        if method in ("surgeon", "magnitude-cd"):
            ax.fill_between(count, low, high, color=color, alpha=0.18, lw=0)
    ax.plot(
        frontier["mps_parameters"],
        frontier[f"mps_{name}"],
        "D-",
        ms=8,
        lw=1.0,
        color=ORANGE,
        mfc="none",
        mew=1.8,
        label="MPS, bond dimension " + ", ".join(map(str, frontier["bond"].values)),
    )
    _floors(ax, frontier, name)


def _floors(ax: Axes, frontier: xr.Dataset, name: str) -> None:
    floor = frontier[f"{name}_floor"].broadcast_like(frontier["count"])
    ax.plot(
        frontier["count"], floor, "--", lw=1.0, color=GREY, label="floor by the number of shots"
    )
    tree = frontier.attrs["sites"] + frontier.attrs["hidden"] - 1
    title = f"{tree} weights connect all {tree + 1} units"
    ax.axvline(tree, ls=":", lw=1.0, color=BLACK, label=title)
    if name != "kl":
        _limit(ax, frontier)
    ax.set_xscale("log")
    ax.set_xticks([10 * 2**k for k in range(12)])
    ax.xaxis.set_major_formatter(ScalarFormatter())
    ax.xaxis.set_minor_formatter(NullFormatter())
    counts = frontier["count"].values
    ax.set_xlim(0.9 * counts.min(), 1.1 * counts.max())
    faint_grid(ax)
    values = frontier[name].median("seed").values
    positive = values[np.isfinite(values) & (values > 0)]
    if not (log_y(ax) and positive.size):
        return
    # A bias near 0 is due to chance: it crosses 0 somewhere.
    low, high = max(positive.min(), 3e-4), min(4.0, 2 * positive.max())
    if name == "kl":
        inside = frontier["mps_parameters"].values <= 1.1 * frontier["count"].values.max()
        mps = frontier["mps_kl"].values[inside]
        low = min(positive.min(), float(floor.min()), mps[mps > 0].min(initial=np.inf))
        high = max(high, 2 * mps.max(where=np.isfinite(mps), initial=0.0))
    ax.set_ylim(low / 1.5, high)


def _limit(ax: Axes, frontier: xr.Dataset) -> None:
    """Draw the bias at which mROE reaches the limit, unless the draws alone exceed it."""
    # mROE adds the same confidence interval of the draws to every bias.
    draws = float(
        (frontier["mps_abs_magnetization_roe"] - frontier["mps_abs_magnetization_bias"]).median()
    )
    limit = frontier.attrs["limit"]
    if limit > draws:
        title = f"mROE = {limit:.2g}, of that {draws:.2g} by the draws"
        ax.axhline(limit - draws, ls=":", lw=1.4, color=ORANGE, label=title)


def _units(method: str) -> int | None:
    """Return the hidden units of a method of another width; None for all other methods."""
    last = method.rpartition("-")[2]
    return int(last) if last.isdigit() else None
