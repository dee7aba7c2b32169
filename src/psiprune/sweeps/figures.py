"""What a sweep says: the fraction prunable by field and size, and KL through pruning everywhere.

Of many variants and fields some are shown, as `drawn_variants` and `drawn_ratios` choose them.
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
    legend_below,
    log_grid,
    round_ticks,
)
from psiprune.sweeps.dataset import drawn_ratios, drawn_variants

RATIO, PRUNABLE = "transverse field h/J", "fraction prunable"
_LENGTH = "correlation length ξ, endless chain (sites)"
#: Most panels beside one another.
_PANELS = 3
#: Inches that the words below a figure take.
_LEAST_WIDTH = 5.4
#: Letters in a line of a variant's name, and in an inch of the legend.
_LINE, _LETTERS = 40, 11.0


def plot_prunable(grid: xr.Dataset) -> Figure:
    """The fraction prunable against h/J, a panel a size, a line a variant.

    Lines are medians over seeds, bands 16 to 84 % of the seeds. In grey, on an axis of its own, the
    correlation length of the endless chain, which is infinite at h = J (dotted).
    """
    sizes = grid["sites"].values
    figure, axes = _panels(len(sizes), (4.2, 3.6))
    for ax, sites in zip(axes, sizes, strict=True):
        for k, variant in enumerate(drawn_variants(grid)):
            here = grid["prunable"].sel(variant=variant, sites=sites)
            here = here.sel(ratio=here.notnull().any("seed"))
            if here.size:
                _draw(ax, here["ratio"], here, k, variant, ms=4, lw=1.4)
        ax.axvline(1.0, ls=":", lw=1.0, color=GREY)
        ax.set_title(f"{sites} sites")
        faint_grid(ax)
        beside = _draw_length(ax, grid)
        if ax in (axes[_PANELS - 1 :: _PANELS] or axes[-1:]):
            beside.set_ylabel(_LENGTH, color=GREY)
    axes[0].set_ylim(0.0, 1.0)
    _label_outside(axes, RATIO, f"{PRUNABLE}: KL doubles")
    _legend(figure, axes)
    return figure


def plot_phase_diagram(grid: xr.Dataset) -> Figure:
    """The median fraction prunable in colour, h/J along and size up, a panel a variant.

    White where the sweep has no point. A cell reaches half way to its neighbours' h/J; a dot is
    where the point is. Colours reach over the tenths that occur.
    """
    variants = drawn_variants(grid)
    median = grid["prunable"].sel(variant=variants).median("seed")
    figure, axes = _panels(len(variants), (4.0, 1.0 + 0.7 * grid.sizes["sites"]))
    edges = _edges(grid["ratio"].values)
    rows = np.arange(grid.sizes["sites"] + 1)
    norm = _tenths(median.values)
    for ax, variant in zip(axes, variants, strict=True):
        here = median.sel(variant=variant).transpose("sites", "ratio")
        # A size with fewer fields has wider cells, so each row has edges of its own.
        for k in range(grid.sizes["sites"]):
            row = here.isel(sites=k)
            row = row.sel(ratio=row.notnull())
            if row.size:
                own = _edges(row["ratio"].values, edges[0], edges[-1])
                cells = row.values[None, :]
                ax.pcolormesh(own, rows[k : k + 2], cells, cmap="viridis", norm=norm)
                at = np.full(row.size, rows[k] + 0.5)
                ax.plot(row["ratio"], at, "o", ms=3, mfc="white", mec="black", mew=0.5)
        ax.axvline(1.0, ls=":", lw=1.2, color="white", zorder=1.5)
        ax.set_yticks(rows[:-1] + 0.5, [str(sites) for sites in grid["sites"].values])
        ax.set_title(textwrap.fill(variant, _LINE), fontsize="medium")
    _label_outside(axes, RATIO, "sites, N")
    figure.colorbar(ScalarMappable(norm, "viridis"), ax=axes, label=PRUNABLE)
    return figure


def plot_multiples(grid: xr.Dataset) -> Figure:
    """KL against the fraction pruned, a row a size and a column a field, a line a variant.

    Lines are medians over seeds, bands 16 to 84 % of the seeds. Of many fields those of
    `drawn_ratios` are shown, that nearest the critical h = J among them.
    """
    shown, sizes = drawn_ratios(grid), grid["sites"].values
    width = max(_LEAST_WIDTH, 1.2 + 2.4 * len(shown))
    figure = Figure(figsize=(width, 1.0 + 2.2 * len(sizes)), layout="constrained")
    axes = figure.subplots(len(sizes), len(shown), sharex=True, sharey="row", squeeze=False)
    for row, sites in zip(axes, sizes, strict=True):
        row[0].set_ylabel(f"{sites} sites\n{KL}")
        for ax, ratio in zip(row, shown, strict=True):
            here = grid.sel(sites=sites, ratio=ratio)
            for k, variant in enumerate(drawn_variants(grid)):
                own = here.sel(variant=variant)
                values = own["kl"].where(own["kl"] > 0)
                known = values.notnull().any("seed")
                if known.any():
                    pruned = own["fraction_pruned"].sel(level=known).median("seed")
                    _draw(ax, pruned, values.sel(level=known), k, variant, ms=2.5, lw=1.0)
            log_grid(ax)
    for ax, ratio in zip(axes[0], shown, strict=True):
        ax.set_title(f"h/J = {ratio:g}")
    for ax in axes[-1]:
        ax.set_xlabel(PRUNED, fontsize="small")
    _legend(figure, axes.ravel().tolist())
    return figure


def _panels(count: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    """Panels of a size in inches, in rows of three, with the axis upwards in common."""
    columns = min(_PANELS, count)
    rows = -(-count // columns)
    width, height = size
    figure = Figure(figsize=(1.4 + width * columns, 0.8 + height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel().tolist()
    for ax in axes[count:]:
        ax.remove()
    return figure, axes[:count]


def _label_outside(axes: Sequence[Axes], along: str, up: str) -> None:
    """Labels and ticks along below the panels that have none below them, labels up at the left."""
    for k, ax in enumerate(axes):
        if k + _PANELS >= len(axes):
            ax.set_xlabel(along)
            ax.tick_params(labelbottom=True)
        if k % _PANELS == 0:
            ax.set_ylabel(up)


def _draw(
    ax: Axes, along: xr.DataArray, values: xr.DataArray, place: int, variant: str, **style: Any
) -> None:
    """The line and band of a variant, in the look of its place."""
    color, marker, line = LOOKS[place]
    label = textwrap.fill(variant, _LINE) or "median"
    draw_band(ax, along, values, marker, alpha=0.2, label=label, ls=line, color=color, **style)


def _draw_length(ax: Axes, grid: xr.Dataset) -> Axes:
    """The correlation length in grey on an axis at the right."""
    beside = ax.twinx()
    finite = grid["correlation_length"].where(np.isfinite(grid["correlation_length"]))
    beside.plot(grid["ratio"], finite, ".-", lw=1.0, ms=3, color=GREY, alpha=0.7)
    beside.set_yscale("log")
    round_ticks(beside.yaxis)
    beside.tick_params(which="both", colors=GREY)
    return beside


def _legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """What the lines of all panels mean, in as many columns as the width has place for.

    The handles are those of the panel with the most, as a size may lack some variants.
    """
    fullest = max(axes, key=lambda ax: len(ax.get_legend_handles_labels()[1]))
    labels = fullest.get_legend_handles_labels()[1]
    letters = 6 + max((len(line) for label in labels for line in label.split("\n")), default=0)
    columns = int(figure.get_figwidth() * _LETTERS / letters)
    legend_below(figure, fullest, columns=min(4, max(1, columns)), title=BANDS)


def _tenths(values: np.ndarray) -> Normalize:
    """From the tenth below all values to that above, at least one apart."""
    low = np.floor(10 * np.nanmin(values))
    high = np.ceil(10 * np.nanmax(values))
    return Normalize(low / 10, max(high, low + 1) / 10)


def _edges(
    centres: np.ndarray, first: float | None = None, last: float | None = None
) -> np.ndarray:
    """The ends of cells about some centres, halfway between two; a lone one is 0.1 wide."""
    if len(centres) == 1:
        ends = [centres[0] - 0.05, centres[0] + 0.05]
    else:
        steps = np.diff(centres) / 2
        inner = centres[:-1] + steps
        ends = [centres[0] - steps[0], *inner, centres[-1] + steps[-1]]
    edges = np.array(ends, np.float64)
    if first is not None:
        edges[0] = max(edges[0], first)
    if last is not None:
        edges[-1] = min(edges[-1], last)
    return edges
