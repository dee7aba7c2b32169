"""The paper's Fig. 3: the order parameter by level, and the symmetry of the training set."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from psiprune.reporting.figures import (
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    PRUNED,
    PRUNED_MAP,
    draw_band,
    faint_grid,
    fill_legend,
    legend_rows,
)
from psiprune.reporting.labels import phase_label, seeds_text
from psiprune.reporting.style import styled

#: Fractions pruned whose histograms are drawn, each at the nearest level.
_SHOWN = (0.0, 0.5, 0.75, 1.0)
_MARKERS = ("o", "s", "^", "D")
#: Position of the training set on the axis of fractions pruned.
_SET = -0.07


@styled
def plot_order(study: xr.Dataset, symmetry: xr.Dataset) -> Figure:
    """The paper's Fig. 3, a column per field: <m> and <|m|>, P(m), and how symmetric the shots are.

    Lines and histograms are medians over seeds, bands hold 16 to 84 % of the seeds. The lowest
    row shows n(v) / n(-v) of the training set over its K most frequent configurations: mean, and
    standard deviation over those that have a partner, whose number is in brackets, between the
    dashed lines that symmetric shots would show on average.
    """
    fields = study["field"].values
    figure, axes, words = legend_rows(len(fields), (1, 3, 2), height=1.35)
    for column, field in zip(axes.T, fields, strict=True):
        here = study.sel(field=field)
        _expectations(column[0], here)
        _histograms(column[1], here)
        _ratios(column[2], symmetry.sel(field=field))
        column[0].set_title(phase_label(study, field))
        labels = (PRUNED, "m", "K (with a partner)")
        for ax, label in zip(column, labels, strict=True):
            ax.set_xlabel(label)
    for ax, label in zip(axes[:, 0], ("⟨m⟩, ⟨|m|⟩", "P(m)", "n(v) / n(−v)"), strict=True):
        ax.set_ylabel(label)
    for ax, of_row, columns in zip(words, axes[:, 0], (4, 2, 1), strict=True):
        fill_legend(ax, of_row, columns)
    axes[1, 0].set_ylim(bottom=0.0)
    seeds = ("median of " if study.sizes["seed"] > 1 else "") + seeds_text(study)
    figure.suptitle(f"{study.attrs['sites']} sites, {seeds}")
    return figure


def _expectations(ax: Axes, study: xr.Dataset) -> None:
    pruned = study["fraction_pruned"].isel(seed=0).values
    # <m> = 0 exactly: the Hamiltonian is symmetric under Z -> -Z.
    for name, exact, label, look, color in (
        ("abs_magnetization", float(study["abs_magnetization_reference"]), "⟨|m|⟩", "o-", BLUE),
        ("magnetization", 0.0, "⟨m⟩", "s--", ORANGE),
    ):
        ax.axhline(exact, lw=2.5, color=GREY, alpha=0.45, zorder=0)
        draw_band(ax, pruned, study[name], look, ms=2.0, color=color, label=label)
        ax.plot(_SET, float(study[f"{name}_data"]), "D", ms=3.5, mfc="none", mec=BLACK)
    ax.plot([], [], "-", lw=2.5, color=GREY, alpha=0.45, label="exact")
    ax.plot([], [], "D", ms=3.5, mfc="none", mec=BLACK, label="training set")
    faint_grid(ax)


def _histograms(ax: Axes, study: xr.Dataset) -> None:
    sites = study.sizes["ones"] - 1
    m = 1.0 - 2.0 * study["ones"].values / sites
    prob = study["magnetization_distribution"]
    exact, data = (study[f"magnetization_distribution_{end}"] for end in ("reference", "data"))
    ax.plot(m, exact, "-", lw=2.5, color=GREY, alpha=0.45, label="exact")
    ax.plot(m, data, "x", ms=3, color=BLACK, label="training set")
    pruned = study["fraction_pruned"].isel(seed=0).values
    levels = dict.fromkeys(int(np.abs(pruned - share).argmin()) for share in _SHOWN)
    for level, marker in zip(levels, _MARKERS, strict=False):
        color, label = PRUNED_MAP(pruned[level]), f"{pruned[level]:.0%} pruned"
        middle = prob.isel(level=level).median("seed")
        ax.plot(m, middle, marker + "-", ms=2.0, color=color, label=label)
    faint_grid(ax)


def _ratios(ax: Axes, symmetry: xr.Dataset) -> None:
    most = symmetry["most"].values
    ax.axhline(1.0, lw=2.5, color=GREY, alpha=0.45, zorder=0, label="exact")
    mean, spread = symmetry["ratio"].values, symmetry["ratio_spread"].values
    style: dict[str, Any] = {"fmt": "o", "color": BLUE}
    ax.errorbar(most, mean, spread, label="mean and standard deviation", **style)
    for sign, label in ((1, "expected of symmetric shots"), (-1, None)):
        expected = (symmetry["expected_ratio"] + sign * symmetry["expected_spread"]).values
        ax.plot(most, expected, "--", lw=0.8, color=BLACK, label=label)
    partners = symmetry["with_partner"].values
    names = [
        f"{k}\n({n:.0f})" if np.isfinite(n) else str(k) for k, n in zip(most, partners, strict=True)
    ]
    ax.set_xscale("log")
    ax.margins(x=0.12)
    ax.set_xticks(most, names, fontsize="x-small")
    ax.minorticks_off()
    faint_grid(ax)
