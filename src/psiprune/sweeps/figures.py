"""Figures of a sweep: the fraction prunable by field and size, and KL through pruning.

Of many variants and fields, those of `drawn_variants` and `drawn_ratios` are shown.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from psiprune.reporting.figures import (
    BANDS,
    GREY,
    KL,
    LOOKS,
    PRUNED,
    draw_band,
    faint_grid,
    fitting_columns,
    legend_below,
    log_grid,
    round_ticks,
)
from psiprune.sweeps.dataset import drawn_ratios, drawn_variants

RATIO, PRUNABLE = "transverse field h/J", "fraction prunable"
_LENGTH = "correlation length ξ, infinite chain (sites)"
#: Most panels side by side.
_COLUMNS = 3
#: Inches that the labels below a figure need.
_MIN_WIDTH = 5.4
#: Letters in a line of a variant's name.
_LINE = 40
#: Inches of a further line of a title or label.
_LINE_HEIGHT = 0.18


def plot_prunable(grid: xr.Dataset) -> Figure:
    """Plot the fraction prunable against h/J, a panel for each size and a line for each variant.

    Lines are medians over seeds, bands 16 to 84 % of the seeds. In grey, on an axis of its own, the
    correlation length of the infinite chain, which diverges at h = J (dotted).
    """
    sizes = grid["sites"].values
    figure, axes = _panels(len(sizes), (4.2, 3.6))
    for ax, sites in zip(axes, sizes, strict=True):
        for k, variant in enumerate(drawn_variants(grid)):
            values = grid["prunable"].sel(variant=variant, sites=sites)
            values = values.sel(ratio=values.notnull().any("seed"))
            if values.size:
                _draw(ax, values["ratio"], values, k, variant, ms=4, lw=1.4)
        ax.axvline(1.0, ls=":", lw=1.0, color=GREY)
        ax.set_title(f"{sites} sites")
        faint_grid(ax)
        right = _draw_length(ax, grid)
        if ax in (axes[_COLUMNS - 1 :: _COLUMNS] or axes[-1:]):
            right.set_ylabel(_LENGTH, color=GREY)
    axes[0].set_ylim(0.0, 1.0)
    _label_outside(axes, RATIO, f"{PRUNABLE}: KL doubles")
    _legend(figure, axes)
    return figure


def plot_phase_diagram(grid: xr.Dataset) -> Figure:
    """Map the median fraction prunable over h/J and size, a panel for each variant.

    White where the sweep has no point. A cell extends halfway to the neighbouring h/J; a dot marks
    the point itself. Colours span the tenths that occur.
    """
    variants = drawn_variants(grid)
    median = grid["prunable"].sel(variant=variants).median("seed")
    titles = [textwrap.fill(variant, _LINE) for variant in variants]
    height = 1.0 + 0.7 * grid.sizes["sites"] + _LINE_HEIGHT * max(t.count("\n") for t in titles)
    figure, axes = _panels(len(variants), (4.0, height))
    edges = _edges(grid["ratio"].values)
    rows = np.arange(grid.sizes["sites"] + 1)
    low, high = np.floor(10 * median.min().item()), np.ceil(10 * median.max().item())
    norm = Normalize(low / 10, max(high, low + 1) / 10)
    for ax, variant, title in zip(axes, variants, titles, strict=True):
        # A size with fewer fields has wider cells, so each row has its own edges.
        for k, sites in enumerate(grid["sites"].values):
            row = median.sel(variant=variant, sites=sites)
            row = row.sel(ratio=row.notnull())
            if row.size:
                cells = np.clip(_edges(row["ratio"].values), edges[0], edges[-1])
                values = row.values[None, :]
                ax.pcolormesh(cells, rows[k : k + 2], values, cmap="viridis", norm=norm)
                at = np.full(row.size, rows[k] + 0.5)
                ax.plot(row["ratio"], at, "o", ms=3, mfc="white", mec="black", mew=0.5)
        ax.axvline(1.0, ls=":", lw=1.2, color="white", zorder=1.5)
        ax.set_yticks(rows[:-1] + 0.5, [str(sites) for sites in grid["sites"].values])
        ax.set_title(title, fontsize="medium")
    _label_outside(axes, RATIO, "sites, N")
    figure.colorbar(ScalarMappable(norm, "viridis"), ax=axes, label=PRUNABLE)
    return figure


def plot_multiples(grid: xr.Dataset, measure: str = "kl", label: str = KL) -> Figure:
    """Plot KL against the fraction pruned, a row for each size and a column for each field.

    Lines are medians over seeds, bands 16 to 84 % of the seeds, one for each variant. Another
    measure than KL may be given, with its label.
    """
    ratios, sizes = drawn_ratios(grid), grid["sites"].values
    width = max(_MIN_WIDTH, 1.2 + 2.4 * len(ratios))
    figure = Figure(figsize=(width, 1.0 + 2.2 * len(sizes)), layout="constrained")
    axes = figure.subplots(len(sizes), len(ratios), sharex=True, sharey="row", squeeze=False)
    for row, sites in zip(axes, sizes, strict=True):
        row[0].set_ylabel(f"{sites} sites\n{label}")
        for ax, ratio in zip(row, ratios, strict=True):
            for k, variant in enumerate(drawn_variants(grid)):
                path = grid.sel(sites=sites, ratio=ratio, variant=variant)
                values = path[measure].where(path[measure] > 0)
                known = values.notnull().any("seed")
                if known.any():
                    pruned = path["fraction_pruned"].sel(level=known).median("seed")
                    _draw(ax, pruned, values.sel(level=known), k, variant, ms=2.5, lw=1.0)
            log_grid(ax)
    for ax, ratio in zip(axes[0], ratios, strict=True):
        ax.set_title(f"h/J = {ratio:g}")
    for ax in axes[-1]:
        ax.set_xlabel(PRUNED, fontsize="small")
    _legend(figure, axes.ravel().tolist())
    return figure


def _panels(count: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    """Make panels of a size in inches, in rows of three, with a common vertical axis."""
    columns = min(_COLUMNS, count)
    rows = -(-count // columns)
    width, height = size
    figure = Figure(figsize=(1.4 + width * columns, 0.8 + height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel().tolist()
    for ax in axes[count:]:
        ax.remove()
    return figure, axes[:count]


def _label_outside(axes: Sequence[Axes], along: str, up: str) -> None:
    """Label the lowest panel of each column and the first of each row."""
    for k, ax in enumerate(axes):
        if k + _COLUMNS >= len(axes):
            ax.set_xlabel(along)
            ax.tick_params(labelbottom=True)
        if k % _COLUMNS == 0:
            ax.set_ylabel(up)


def _draw(
    ax: Axes, along: xr.DataArray, values: xr.DataArray, place: int, variant: str, **style: Any
) -> None:
    """Draw the line and band of a variant in the style of its place."""
    color, marker, line = LOOKS[place]
    label = textwrap.fill(variant, _LINE) or "median"
    draw_band(ax, along, values, marker, alpha=0.2, label=label, ls=line, color=color, **style)


def _draw_length(ax: Axes, grid: xr.Dataset) -> Axes:
    """Draw the correlation length in grey on an axis at the right."""
    right = ax.twinx()
    finite = grid["correlation_length"].where(np.isfinite(grid["correlation_length"]))
    right.plot(grid["ratio"], finite, ".-", lw=1.0, ms=3, color=GREY, alpha=0.7)
    right.set_yscale("log")
    round_ticks(right.yaxis)
    right.tick_params(which="both", colors=GREY)
    return right


def _legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """Add a legend for all panels, in as many columns as fit the width, and height for it."""
    # Of the panel with the most lines, as a size may lack some variants.
    fullest = max(axes, key=lambda ax: len(ax.get_legend_handles_labels()[1]))
    labels = fullest.get_legend_handles_labels()[1]
    columns = fitting_columns(figure, labels, 4)
    # Matplotlib fills the legend column by column.
    rows = -(-len(labels) // columns)
    further = max(
        sum(label.count("\n") for label in labels[k : k + rows])
        for k in range(0, max(1, len(labels)), max(1, rows))
    )
    figure.set_figheight(figure.get_figheight() + _LINE_HEIGHT * further)
    legend_below(figure, fullest, columns=columns, title=BANDS)


def _edges(centres: np.ndarray) -> np.ndarray:
    """Return the edges of cells halfway between centres; a single cell is 0.1 wide."""
    steps = np.diff(centres) / 2 if len(centres) > 1 else np.array([0.05])
    inner = centres[:-1] + steps[: len(centres) - 1]
    return np.array([centres[0] - steps[0], *inner, centres[-1] + steps[-1]], np.float64)
