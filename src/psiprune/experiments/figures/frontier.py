"""The figure of error against number of weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter
from numpy.typing import ArrayLike

from psiprune.reporting.figures import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    KL,
    ORANGE,
    PURPLE,
    SKY,
    YELLOW,
    draw_band,
    faint_grid,
    fill_legend,
    legend_rows,
    log_y,
    mark_beyond,
)
from psiprune.reporting.labels import field_label, method_title
from psiprune.reporting.style import styled

#: Colour, line and marker of each method.
_METHODS = {
    "magnitude-cd": (BLACK, "-", "s"),
    "magnitude": (YELLOW, "--", "v"),
    "damage": (PURPLE, "-.", "^"),
    "surgeon": (BLUE, "-", "o"),
    "random": (GREY, ":", "x"),
    "magnitude-alone": (PURPLE, ":", "v"),
    "magnitude-compensated-alone": (GREEN, "-.", "^"),
    "surgeon-alone": (SKY, "--", "D"),
    "cluster": (GREEN, "-", "D"),
    "scale-free": (PURPLE, "-.", "h"),
    "cluster-rewired": (GREEN, "", "*"),
    "random-rewired": (GREY, "", "P"),
}
_BIAS = "abs_magnetization_bias"
#: Panels of each row: name and label of the measure, title of the legend, methods.
_ROWS = (
    (
        *("kl", KL, "with fine-tuning after each step"),
        ("magnitude-cd", "magnitude", "damage", "surgeon", "random"),
    ),
    (
        *("kl", KL, "without training"),
        ("surgeon", "magnitude-alone", "magnitude-compensated-alone", "surgeon-alone"),
    ),
    (
        *("kl", KL, "sparse from the start"),
        ("surgeon", "cluster", "scale-free", "cluster-rewired", "random-rewired"),
    ),
    ("kl", KL, "fewer or more hidden units", ("surgeon",)),
    (
        *(_BIAS, "bias of ⟨|m|⟩", None),
        ("magnitude-cd", "magnitude", "surgeon", "cluster", "scale-free"),
    ),
)
#: Labels of methods whose title is long, or says what the legend's title says.
_SHORT = {
    "magnitude-alone": "magnitude",
    "magnitude-compensated-alone": "magnitude, biases corrected",
    "surgeon-alone": "surgeon",
    "cluster": "constructed clusters",
    "scale-free": "scale-free mask",
}
_WIDTHS = 3  # the row of RBMs with other numbers of hidden units
#: Looks of RBMs of other widths, from few to many hidden units.
_OTHER = ((PURPLE, ":", "v"), (GREEN, "-.", "^"), (YELLOW, "--", "s"), (BLACK, "-", "D"))


@styled
def plot_frontier(frontier: xr.Dataset) -> Figure:
    """Draw the error against the weights, by groups of methods; a column per field.

    By sums over all states: KL of (a) criteria with fine-tuning, (b) without, (c) RBMs that are
    sparse from the start, (d) RBMs of other numbers of hidden units, if there are any, and then the
    bias of <|m|> of some methods. Lines are medians over seeds, bands 16 to 84 % of the seeds. Open
    diamonds are MPS of bond dimension D, against their free parameters. Dashed grey lines are the
    mean errors of fits of the right model to so many shots; below the vertical line the units
    cannot all be connected. The dotted orange line is the bias at which mROE, the bias and
    a confidence interval of the draws, reaches the limit. Triangles at the ends are medians beyond
    the axis; biases below 3e-4 are due to chance. "magnitude-by-unit" and "damage-alone"
    are only in the table.
    """
    there = frontier["variant"].values.tolist()
    widths = sorted((u, name) for name in there if (u := _units(name)) is not None)
    looks = {name: _METHODS[name] for name in there if name in _METHODS}
    chosen = [widths[k] for k in _spread(len(widths), len(_OTHER))]
    others = {name: look for (_, name), look in zip(chosen, _OTHER, strict=False)}
    rows = [
        (*words, {each: looks[each] for each in methods if each in looks})
        for *words, methods in _ROWS
    ]
    rows[_WIDTHS] = (*rows[_WIDTHS][:3], rows[_WIDTHS][3] | others)
    rows = [row for k, row in enumerate(rows) if row[3] and (k != _WIDTHS or others)]
    fields = frontier["field"].values
    lines = [3 + len(row[3]) // 2 for row in rows]
    lines[-1] += 1
    figure, axes, words = legend_rows(len(fields), lines, height=1.05)
    for (name, label, title, methods), of_row, below in zip(rows, axes, words, strict=True):
        of_row[0].set_ylabel(label)
        for ax, field in zip(of_row, fields, strict=True):
            _draw(ax, frontier.sel(field=field), name, methods)
            ax.set_xlabel("weights, parameters")
        fullest = max(of_row, key=lambda ax: len(ax.get_legend_handles_labels()[1]))
        fill_legend(below, fullest, columns=2, title=title)
    for ax, field in zip(axes[0], fields, strict=True):
        ax.set_title(field_label(frontier, field))
    return figure


def _spread(count: int, most: int) -> list[int]:
    """Return up to `most` of `count` places, the first and the last among them."""
    return sorted({round(k) for k in np.linspace(0, count - 1, min(count, most))})


def _draw(
    ax: Axes, frontier: xr.Dataset, name: str, methods: Mapping[str, tuple[str, str, str]]
) -> None:
    middles: list[tuple[ArrayLike, ArrayLike, str]] = []
    style: dict[str, Any]
    for method, (color, line, marker) in methods.items():
        values = frontier[name].sel(variant=method).dropna("count", how="all")
        if values.size:
            large = {"ms": 5} if marker in "*P" else {"ms": 2}
            style = {"ls": line or "none", "marker": marker, "color": color, **large}
            along = values["count"].values
            label = _SHORT.get(method, method_title(method))
            if method == "surgeon" and "surgeon-alone" in methods:
                label = "surgeon, fine-tuned"
            draw_band(ax, along, values, "", label=label, **style)
            middles.append((along, values.median("seed"), color))
    bonds = ", ".join(map(str, frontier["bond"].values))
    at, mps = frontier["mps_parameters"], frontier[f"mps_{name}"]
    style = {"color": ORANGE, "mfc": "none", "mew": 1.0, "label": f"MPS, D = {bonds}"}
    ax.plot(at, mps, "D-", ms=4, lw=0.8, **style)
    middles.append((at, mps, ORANGE))
    _floors(ax, frontier, name)
    for points in middles:
        mark_beyond(ax, *points)


def _floors(ax: Axes, frontier: xr.Dataset, name: str) -> None:
    floor = frontier[f"{name}_floor"].broadcast_like(frontier["count"])
    ax.plot(frontier["count"], floor, "--", lw=0.8, color=GREY, label="floor by the shots")
    tree = frontier.attrs["sites"] + frontier.attrs["hidden"] - 1
    title = f"{tree} weights: a tree"
    ax.axvline(tree, ls=":", lw=0.8, color=BLACK, label=title)
    if name != "kl":
        _limit(ax, frontier)
    ax.set_xscale("log")
    ax.set_xticks([10 * 3**k for k in range(8)])
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
        title = f"mROE = {limit:.2g}"
        ax.axhline(limit - draws, ls=":", lw=1.0, color=ORANGE, label=title)


def _units(method: str) -> int | None:
    """Return the hidden units of a method of another width; None for all other methods."""
    last = method.rpartition("-")[2]
    return int(last) if last.isdigit() else None
