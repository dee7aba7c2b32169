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
    grid_size,
    legend_below,
    letter,
    log_grid,
    new_grid,
    round_ticks,
)
from psiprune.reporting.style import styled
from psiprune.sweeps.dataset import drawn_ratios, drawn_variants

RATIO, PRUNABLE = "transverse field h/J", "fraction prunable"
_LENGTH = "correlation length ξ, infinite chain"
#: Most panels side by side.
_COLUMNS = 2
#: Letters in a line of a variant's name.
_LINE = 36
#: Inches of a further line of a title or label.
_LINE_HEIGHT = 0.12


@styled
def plot_prunable(grid: xr.Dataset) -> Figure:
    """Plot the fraction prunable against h/J, a panel for each size and a line for each variant.

    Lines are medians over seeds, bands 16 to 84 % of the seeds. In grey, on an axis of its own, the
    correlation length of the infinite chain, which diverges at h = J (dotted).
    """
    sizes = grid["sites"].values
    figure, axes = _panels(len(sizes), 1.9)
    for ax, sites in zip(axes, sizes, strict=True):
        for k, variant in enumerate(drawn_variants(grid)):
            values = grid["prunable"].sel(variant=variant, sites=sites)
            values = values.sel(ratio=values.notnull().any("seed"))
            if values.size:
                _draw(ax, values["ratio"], values, k, variant)
        ax.axvline(1.0, ls=":", lw=0.8, color=GREY)
        ax.set_title(f"{sites} sites")
        faint_grid(ax)
        right = _draw_length(ax, grid)
        if ax in (*axes[_COLUMNS - 1 :: _COLUMNS], axes[-1]):
            right.set_ylabel("ξ (sites)", color=GREY)
    axes[0].set_ylim(0.0, 1.0)
    if np.isfinite(grid["correlation_length"]).any():  # at h = J alone it is infinite
        axes[0].plot([], [], ".-", lw=0.8, ms=2, color=GREY, label=_LENGTH)
    _label_outside(axes, RATIO, PRUNABLE)
    _legend(figure, axes)
    return figure


@styled
def plot_phase_diagram(grid: xr.Dataset) -> Figure:
    """Map the median fraction prunable over h/J and size, a panel for each variant.

    White where the sweep has no point. A cell extends halfway to the neighbouring h/J; a dot marks
    the point itself. Colours span the tenths that occur.
    """
    variants = drawn_variants(grid)
    median = grid["prunable"].sel(variant=variants).median("seed")
    titles = [textwrap.fill(variant, _LINE) for variant in variants]
    height = 0.5 + 0.35 * grid.sizes["sites"] + _LINE_HEIGHT * max(t.count("\n") for t in titles)
    figure, axes = _panels(len(variants), height)
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
                ax.plot(row["ratio"], at, "o", ms=2, mfc="white", mec="black", mew=0.4)
        ax.axvline(1.0, ls=":", lw=0.8, color="white", zorder=1.5)
        ax.set_yticks(rows[:-1] + 0.5, [str(sites) for sites in grid["sites"].values])
        ax.set_title(title, fontsize="small")
    _label_outside(axes, RATIO, "sites, N")
    bar: dict[str, Any] = {"location": "bottom", "aspect": 40}
    figure.colorbar(ScalarMappable(norm, "viridis"), ax=axes, label=PRUNABLE, **bar)
    return figure


@styled
def plot_multiples(grid: xr.Dataset, measure: str = "kl", label: str = KL) -> Figure:
    """Plot KL against the fraction pruned, a row for each size and a column for each field.

    Lines are medians over seeds, bands 16 to 84 % of the seeds, one for each variant. Another
    measure than KL may be given, with its label.
    """
    ratios, sizes = drawn_ratios(grid), grid["sites"].values
    figure, axes = new_grid(len(sizes), len(ratios))
    for row, sites in zip(axes, sizes, strict=True):
        row[0].set_ylabel(f"{sites} sites\n{label}")
        for ax, ratio in zip(row, ratios, strict=True):
            for k, variant in enumerate(drawn_variants(grid)):
                path = grid.sel(sites=sites, ratio=ratio, variant=variant)
                values = path[measure].where(path[measure] > 0)
                known = values.notnull().any("seed")
                if known.any():
                    pruned = path["fraction_pruned"].sel(level=known).median("seed")
                    _draw(ax, pruned, values.sel(level=known), k, variant, ms=1.5)
            log_grid(ax)
    letter(axes)
    for ax, ratio in zip(axes[0], ratios, strict=True):
        ax.set_title(f"h/J = {ratio:g}")
    for ax in axes[-1]:
        ax.set_xlabel(PRUNED)
    _legend(figure, axes.ravel().tolist())
    return figure


def _panels(count: int, height: float) -> tuple[Figure, list[Axes]]:
    """Make panels of a height in inches, in rows of two, with a common vertical axis."""
    columns = min(_COLUMNS, count)
    rows = -(-count // columns)
    figure = Figure(figsize=grid_size(rows, columns, height), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel().tolist()
    for ax in axes[count:]:
        ax.remove()
    letter(axes[:count])
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
    draw_band(ax, along, values, marker, label=label, ls=line, color=color, **style)


def _draw_length(ax: Axes, grid: xr.Dataset) -> Axes:
    """Draw the correlation length in grey on an axis at the right."""
    right = ax.twinx()
    finite = grid["correlation_length"].where(np.isfinite(grid["correlation_length"]))
    right.plot(grid["ratio"], finite, ".-", lw=0.8, ms=2, color=GREY, alpha=0.7)
    right.set_yscale("log")
    round_ticks(right.yaxis)
    right.tick_params(which="both", colors=GREY)
    return right


def _legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """Add a legend for all panels."""
    # Of the panel with the most lines, as a size may lack some variants.
    fullest = max(axes, key=lambda ax: len(ax.get_legend_handles_labels()[1]))
    legend_below(figure, fullest, columns=4, title=BANDS)


def _edges(centres: np.ndarray) -> np.ndarray:
    """Return the edges of cells halfway between centres; a single cell is 0.1 wide."""
    steps = np.diff(centres) / 2 if len(centres) > 1 else np.array([0.05])
    inner = centres[:-1] + steps[: len(centres) - 1]
    return np.array([centres[0] - steps[0], *inner, centres[-1] + steps[-1]], np.float64)
