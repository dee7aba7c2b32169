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
)
from psiprune.reporting.labels import phase_label, seeds_text

#: Fractions pruned whose histograms are drawn, each at the nearest level.
_SHOWN = (0.0, 0.25, 0.5, 0.75, 1.0)
_MARKERS = ("o", "s", "^", "D", "v")
#: Position of the training set on the axis of fractions pruned.
_SET = -0.07


def plot_order(study: xr.Dataset, symmetry: xr.Dataset) -> Figure:
    """The paper's Fig. 3, one row per field: <m> and <|m|>, P(m), and how symmetric the shots are.

    Lines and histograms are medians over seeds, bands hold 16 to 84 % of the seeds. The right
    column shows n(v) / n(-v) of the training set over its K most frequent configurations: mean,
    and standard deviation over those n configurations that have a partner, between the dashed lines
    that symmetric shots would show on average.
    """
    fields = study["field"].values
    seeds = ("median of " if study.sizes["seed"] > 1 else "") + seeds_text(study)
    figure = Figure(figsize=(13.0, 0.6 + 3.6 * len(fields)), layout="constrained")
    axes = figure.subplots(len(fields), 3, squeeze=False, width_ratios=(1.0, 1.2, 0.9))
    for row, field in zip(axes, fields, strict=True):
        here = study.sel(field=field)
        _expectations(row[0], here)
        _histograms(row[1], here)
        _ratios(row[2], symmetry.sel(field=field))
        row[0].set_title(phase_label(study, field))
        row[1].set_title(f"{study.attrs['sites']} sites, {seeds}")
        row[2].set_title("symmetry of the training set")
    axes[-1, 0].set_xlabel(PRUNED)
    axes[-1, 1].set_xlabel("m")
    axes[-1, 2].set_xlabel("most frequent configurations, K")
    return figure


def _expectations(ax: Axes, study: xr.Dataset) -> None:
    pruned = study["fraction_pruned"].isel(seed=0).values
    # <m> = 0 exactly: the Hamiltonian is symmetric under Z -> -Z.
    for name, exact, label, look, color in (
        ("abs_magnetization", float(study["abs_magnetization_reference"]), "⟨|m|⟩", "o-", BLUE),
        ("magnetization", 0.0, "⟨m⟩", "s--", ORANGE),
    ):
        ax.axhline(exact, lw=4.0, color=GREY, alpha=0.45, zorder=0)
        draw_band(ax, pruned, study[name], look, alpha=0.2, color=color, label=label)
        ax.plot(_SET, float(study[f"{name}_data"]), "D", ms=6, mfc="none", mec=BLACK)
    ax.plot([], [], lw=4.0, color=GREY, alpha=0.45, label="exact")
    ax.plot([], [], "D", ms=6, mfc="none", mec=BLACK, label="training set")
    ax.set_ylabel("⟨m⟩, ⟨|m|⟩")
    ax.legend(frameon=False, fontsize="small", ncols=2, loc="center left")
    faint_grid(ax)


def _histograms(ax: Axes, study: xr.Dataset) -> None:
    sites = study.sizes["ones"] - 1
    m = 1.0 - 2.0 * study["ones"].values / sites
    prob = study["magnetization_distribution"]
    exact, data = (study[f"magnetization_distribution_{end}"] for end in ("reference", "data"))
    ax.plot(m, exact, lw=5.0, color=GREY, alpha=0.45, label="exact")
    ax.plot(m, data, "x", ms=5, color=BLACK, label="training set")
    pruned = study["fraction_pruned"].isel(seed=0).values
    levels = dict.fromkeys(int(np.abs(pruned - share).argmin()) for share in _SHOWN)
    for level, marker in zip(levels, _MARKERS, strict=False):
        color, label = PRUNED_MAP(pruned[level]), f"{pruned[level]:.0%} pruned"
        middle = prob.isel(level=level).median("seed")
        ax.plot(m, middle, marker + "-", ms=4, lw=1.2, color=color, label=label)
    ax.set_ylabel("P(m)")
    ax.set_ylim(bottom=0.0)
    ax.legend(frameon=False, fontsize="small")
    faint_grid(ax)


def _ratios(ax: Axes, symmetry: xr.Dataset) -> None:
    most = symmetry["most"].values
    ax.axhline(1.0, lw=4.0, color=GREY, alpha=0.45, zorder=0, label="exact")
    mean, spread = symmetry["ratio"].values, symmetry["ratio_spread"].values
    style: dict[str, Any] = {"fmt": "o", "ms": 4, "lw": 1.2, "capsize": 3, "color": BLUE}
    ax.errorbar(most, mean, spread, label="mean and standard deviation", **style)
    for sign, label in ((1, "expected of symmetric shots"), (-1, None)):
        expected = (symmetry["expected_ratio"] + sign * symmetry["expected_spread"]).values
        ax.plot(most, expected, "--", lw=1.0, color=BLACK, label=label)
    above_axis = ax.get_xaxis_transform()
    for k, partners in zip(most, symmetry["with_partner"].values, strict=True):
        if np.isfinite(partners):
            shown = f"n={partners:.0f}"
            ax.text(k, 0.02, shown, transform=above_axis, ha="center", fontsize="x-small")
    ax.set_xscale("log")
    ax.margins(x=0.12)
    ax.set_xticks(most, [str(k) for k in most])
    ax.minorticks_off()
    ax.set_ylabel("n(v) / n(−v)")
    low, high = ax.get_ylim()
    low = max(0.0, low - 0.08 * (high - low))
    ax.set_ylim(low, high + 0.4 * (high - low))  # room for n below and for the legend above
    ax.legend(frameon=False, fontsize="small", loc="upper left")
    faint_grid(ax)
