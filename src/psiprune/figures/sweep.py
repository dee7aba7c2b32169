"""What a sweep says: the fraction prunable by field and size, and KL through pruning everywhere."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from psiprune.figures.common import (
    BANDS,
    GREY,
    KL,
    LOOKS,
    PRUNED,
    draw_band,
    faint_grid,
    legend_below,
    log_grid,
)

RATIO, PRUNABLE = "transverse field h/J", "fraction prunable"
#: Most columns of small multiples; of more fields, some spread evenly are shown.
_COLUMNS = 6


def plot_prunable(grid: xr.Dataset) -> Figure:
    """The fraction prunable against h/J, a column a size, a line a variant.

    Lines are medians over seeds, bands 16 to 84 % of the seeds. In grey, on an axis of its own, the
    correlation length of the endless chain, which is infinite at h = J (dotted).
    """
    sizes = grid["sites"].values
    figure = Figure(figsize=(1.2 + 4.2 * len(sizes), 4.4), layout="constrained")
    axes = figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
    for ax, sites in zip(axes, sizes, strict=True):
        for k, variant in enumerate(grid["variant"].values):
            here = grid["prunable"].sel(variant=variant, sites=sites)
            here = here.sel(ratio=here.notnull().any("seed"))
            if not here.size:
                continue
            color, marker, line = LOOKS[k % len(LOOKS)]
            style = {"ls": line, "ms": 4, "lw": 1.4, "color": color}
            label = str(variant) or "median"
            draw_band(ax, here["ratio"], here, marker, alpha=0.2, label=label, **style)
        ax.axvline(1.0, ls=":", lw=1.0, color=GREY)
        ax.set_title(f"{sites} sites")
        ax.set_xlabel(RATIO)
        faint_grid(ax)
        beside = ax.twinx()
        finite = grid["correlation_length"].where(np.isfinite(grid["correlation_length"]))
        beside.plot(grid["ratio"], finite, ".-", lw=1.0, ms=3, color=GREY, alpha=0.7)
        beside.set_yscale("log")
        beside.tick_params(which="both", colors=GREY)
        if ax is axes[-1]:
            beside.set_ylabel("correlation length ξ, endless chain (sites)", color=GREY)
    axes[0].set_ylim(0.0, 1.0)
    axes[0].set_ylabel(f"{PRUNABLE}: KL doubles")
    legend_below(figure, axes[0], columns=4, title=BANDS)
    return figure


def plot_phase_diagram(grid: xr.Dataset) -> Figure:
    """The median fraction prunable in colour, h/J along and size up, a panel a variant.

    White where the sweep has no point. A cell reaches half way to its neighbours' h/J.
    """
    variants = grid["variant"].values
    median = grid["prunable"].median("seed")
    figure = Figure(
        figsize=(1.8 + 4.0 * len(variants), 1.6 + 0.7 * grid.sizes["sites"]), layout="constrained"
    )
    axes = figure.subplots(1, len(variants), sharey=True, squeeze=False)[0]
    edges = _edges(grid["ratio"].values)
    rows = np.arange(grid.sizes["sites"] + 1)
    colors = ScalarMappable(Normalize(0.0, 1.0), "viridis")
    for ax, variant in zip(axes, variants, strict=True):
        here = median.sel(variant=variant).transpose("sites", "ratio")
        # A size with fewer fields has wider cells, so each row has edges of its own.
        for k in range(grid.sizes["sites"]):
            row = here.isel(sites=k)
            row = row.sel(ratio=row.notnull())
            if row.size:
                own = _edges(row["ratio"].values, edges[0], edges[-1])
                cells = row.values[None, :]
                ax.pcolormesh(own, rows[k : k + 2], cells, cmap=colors.cmap, norm=colors.norm)
        ax.axvline(1.0, ls=":", lw=1.2, color="white")
        ax.set_yticks(rows[:-1] + 0.5, [str(sites) for sites in grid["sites"].values])
        ax.set_xlabel(RATIO)
        ax.set_title(str(variant))
    axes[0].set_ylabel("sites, N")
    figure.colorbar(colors, ax=axes, label=PRUNABLE)
    return figure


def plot_multiples(grid: xr.Dataset) -> Figure:
    """KL against the fraction pruned, a row a size and a column a field, a line a variant.

    Lines are medians over seeds, bands 16 to 84 % of the seeds. Of more than six fields six are
    shown, the least and the largest among them.
    """
    count = min(_COLUMNS, grid.sizes["ratio"])
    shown = np.unique(np.linspace(0, grid.sizes["ratio"] - 1, count).round().astype(int))
    sizes = grid["sites"].values
    figure = Figure(figsize=(1.2 + 2.4 * len(shown), 1.0 + 2.2 * len(sizes)), layout="constrained")
    axes = figure.subplots(len(sizes), len(shown), sharex=True, sharey="row", squeeze=False)
    for row, sites in zip(axes, sizes, strict=True):
        row[0].set_ylabel(f"{sites} sites\n{KL}")
        for ax, place in zip(row, shown, strict=True):
            here = grid.sel(sites=sites).isel(ratio=place)
            for k, variant in enumerate(grid["variant"].values):
                own = here.sel(variant=variant)
                values = own["kl"].where(own["kl"] > 0)
                known = values.notnull().any("seed")
                if not known.any():
                    continue
                color, marker, line = LOOKS[k % len(LOOKS)]
                style = {"ls": line, "ms": 2.5, "lw": 1.0, "color": color}
                pruned = own["fraction_pruned"].median("seed").sel(level=known)
                label = str(variant) or "median"
                draw_band(
                    ax, pruned, values.sel(level=known), marker, alpha=0.2, label=label, **style
                )
            log_grid(ax)
    for ax, place in zip(axes[0], shown, strict=True):
        ax.set_title(f"h/J = {grid['ratio'].values[place]:g}")
    for ax in axes[-1]:
        ax.set_xlabel(PRUNED, fontsize="small")
    legend_below(figure, axes[0, 0], columns=4, title=BANDS)
    return figure


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
