"""Figures of masks made before training: parameters needed against the number of sites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from psiprune.experiments.figures.mask_variants import MOST, SCALED, VARIANTS
from psiprune.experiments.needed import MPS, MPS_PARITY, Criterion, growth, needed_by_size
from psiprune.reporting.figures import (
    BLACK,
    GREY,
    faint_grid,
    fill_legend,
    legend_below,
    legend_lines,
    legend_rows,
    log_y,
    panel_grid,
    round_ticks,
)
from psiprune.reporting.style import styled

#: Kinds of each row of panels.
_ROWS = (
    (
        *(MPS, MPS_PARITY, "dense"),
        *(name for name in SCALED[1:] if "surgeon" not in name and name != "cluster"),
    ),
    (MPS, "scale-free", "cluster", *(name for name in SCALED if "surgeon" in name)),
)
#: What an RBM must reach to count as trained, and how a figure calls it. The second is like that
#: of Sehayek et al., Phys. Rev. B 100, 195125 (2019).
CRITERIA = (
    (Criterion("kl", 1e-3), "KL / N ≤ 0.001 nat"),
    (Criterion("energy_bias", 2e-3), "|ΔE/E| ≤ 0.002"),
)


@styled
def plot_needed(
    runs: Sequence[xr.Dataset],
    limit: float = 1e-4,
    others: Mapping[str, dict[int, float]] | None = None,
) -> Figure:
    """Draw the parameters needed for a KL per site of at most `limit` against the number of sites.

    A column for each h/J of the first run, a row for each group of kinds. Free parameters of MPS,
    the exact state truncated, in all and with tensors that conserve parity, and of RBMs with
    biases, medians over seeds, between two measured numbers by interpolation of the logarithms.
    There is no point where no number of parameters measured reaches the limit. Other series, by
    name and number of sites, are drawn beside.
    """
    ratios = runs[0]["field"].values / runs[0].attrs["coupling"]
    sites = sorted({int(run.attrs["sites"]) for run in runs})
    criterion = Criterion("kl", limit, "parameters")
    others = others or {}
    points = [needed_by_size(runs, ratio, criterion) for ratio in ratios]
    kinds = [n for n in (MPS, MPS_PARITY, *SCALED) if any(n in column for column in points)]
    rows = [[name for name in kinds if name in row] for row in _ROWS]
    rows = [row for row in rows if len(row) > 1] if len(kinds) > MOST else [kinds]
    looks = {
        MPS: (BLACK, "D", "--", "MPS, the exact state truncated"),
        MPS_PARITY: (GREY, "D", ":", "MPS with parity"),
        **VARIANTS,
        **{name: (BLACK, marker, "-", name) for name, marker in zip(others, "*P", strict=False)},
    }
    rows[0] += others
    points = [{**found, **others} for found in points]
    lines = [legend_lines([looks[name][3] for name in row], 2) for row in rows]
    figure, axes, words = legend_rows(len(ratios), lines, height=1.5)
    for column, ratio, found in zip(axes.T, ratios, points, strict=True):
        column[0].set_title(f"h = {ratio:g} J")
        for ax, names in zip(column, rows, strict=True):
            for name in names:
                color, marker, line, label = looks[name]
                values = [found.get(name, {}).get(n, np.nan) for n in sites]
                if np.isfinite(values).any():
                    style = {"color": color, "marker": marker, "label": label}
                    ax.plot(sites, values, ls=line or "-", **style)
            ax.set_xticks(sites)
            ax.set_xlabel("sites N")
            log_y(ax)
            faint_grid(ax)
    for row, below in zip(axes, words, strict=True):
        row[0].set_ylabel(f"parameters,\nKL / N ≤ {limit:g} nat")
        round_ticks(row[0].yaxis)
        fullest = max(row, key=lambda ax: len(ax.get_legend_handles_labels()[1]))
        fill_legend(below, fullest, columns=2)
    return figure


@styled
def plot_learnability(runs: Sequence[xr.Dataset]) -> Figure:
    """Draw the weights needed for each of `CRITERIA` against the number of sites, and fits.

    A column for each h/J of the first run. Medians over seeds, between two measured numbers by
    interpolation of the logarithms; lines are powers of N, fitted to three sizes or more. Dotted
    lines grow as N^2 and as N log N. There is no point where no number of weights measured meets
    the criterion.
    """
    ratios = runs[0]["field"].values / runs[0].attrs["coupling"]
    sites = sorted({int(run.attrs["sites"]) for run in runs})
    count = len(CRITERIA) * len(ratios)
    figure, axes = panel_grid(count, len(ratios), 1.5, "", sharex=True, sharey="row")
    for row, (criterion, label) in zip(axes, CRITERIA, strict=True):
        row[0].set_ylabel(f"weights needed,\n{label}")
        for ax, ratio in zip(row, ratios, strict=True):
            found = needed_by_size(runs, ratio, criterion)
            for name in (name for name in SCALED if name in found):
                color, marker, line, kind = VARIANTS[name]
                style: dict[str, Any] = {"ls": "none", "color": color, "label": kind}
                ax.plot([*found[name]], [*found[name].values()], marker, **style)
                if len(found[name]) > 2:
                    fit = growth(found[name])
                    along = np.array(sites, float)
                    ax.plot(along, fit.factor * along**fit.exponent, line or "-", color=color)
            _guides(ax, sites, found)
            ax.set_xscale("log")
            log_y(ax)
            faint_grid(ax)
    for ax, ratio in zip(axes[-1], ratios, strict=True):
        ax.set_xlabel(f"sites N at h = {ratio:g} J")
        ax.set_xticks(sites, [str(n) for n in sites])
        ax.set_xticks([], minor=True)
    fullest = max(axes.ravel(), key=lambda ax: len(ax.get_legend_handles_labels()[1]))
    legend_below(figure, fullest, columns=3)
    return figure


def _guides(ax: Axes, sites: Sequence[int], found: Mapping[str, Mapping[int, float]]) -> None:
    """Draw N^2 and N log N from the least point on."""
    if not found:
        return
    along = np.geomspace(sites[0], sites[-1], 20)
    least = min(value for of_kind in found.values() for value in of_kind.values())
    for label, values, dots in (
        ("grows as N²", along**2, (0, (1, 1))),
        ("grows as N log N", along * np.log(along), (0, (1, 3))),
    ):
        ax.plot(along, least * values / values[0], ls=dots, lw=0.8, color=GREY, label=label)
