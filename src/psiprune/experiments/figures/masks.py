"""Figures of masks made before training: error against weights, correlations, the masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from psiprune.experiments.figures.mask_variants import SCALED, VARIANTS, groups_of
from psiprune.reporting.figures import (
    BLACK,
    GREY,
    KL,
    LOOKS,
    draw_band,
    faint_grid,
    fill_legend,
    legend_below,
    legend_lines,
    legend_rows,
    log_y,
    mark_beyond,
    panel_grid,
    round_ticks,
)
from psiprune.reporting.labels import field_label
from psiprune.reporting.style import styled

Float64 = NDArray[np.float64]
#: Choose links by the shots; and the rule to compare with.
_CHOSEN = ("scale-free", "snip", "magnitude", "surgeon", "scale-free-surgeon")
_MEASURES = (("kl", KL), ("abs_magnetization_bias", "bias of ⟨|m|⟩"))
_EXACT = "exact"
_FLOOR = "parameters / (2 shots)"


@styled
def plot_budget(masks: xr.Dataset) -> Figure:
    """Draw KL and bias of <|m|> against weights; rows for each field, hidden units, and group.

    The groups are those of `GROUPS`, each with the scale-free mask to compare. Lines are medians
    over seeds, bands of the scale-free mask 16 to 84 % of the seeds. The dotted line is the mean KL
    of fits of the right model to so many shots, parameters / (2 shots). Open diamonds are MPS,
    against their free parameters; triangles at the ends are medians beyond the axis.
    """
    groups = groups_of(masks["variant"].values.tolist())
    rows = [
        (masks.sel(field=field, width=width), title)
        for field in masks["field"].values
        for width in masks["width"].values
        for title in groups
    ]
    bonds = _bonds(masks)
    labels = [[*(VARIANTS[each][3] for each in groups[title]), _FLOOR, bonds] for _, title in rows]
    lines = [
        1 + bool(title) + legend_lines(each, 2)
        for (_, title), each in zip(rows, labels, strict=True)
    ]
    figure, axes, words = legend_rows(2, lines, share=False)
    for (here, title), of_row, below in zip(rows, axes, words, strict=True):
        for ax, (name, label) in zip(of_row, _MEASURES, strict=True):
            _budget(ax, here, name, groups[title])
            ax.set_ylabel(label)
            ax.set_xlabel("weights, parameters")
        head = f"{field_label(masks, float(here['field']))}, {int(here['width'])} hidden units"
        fill_legend(below, of_row[0], columns=2, title=f"{title}\n{head}" if title else head)
    return figure


def _budget(ax: Axes, masks: xr.Dataset, name: str, variants: Sequence[str]) -> None:
    middles = []
    style: dict[str, Any]
    for variant in variants:
        color, marker, line, label = VARIANTS[variant]
        values = masks[name].sel(variant=variant).dropna("count", how="all")
        shaded = 0.18 if variant == "scale-free" else 0.0
        style = {"marker": marker, "color": color, "label": label}
        draw_band(ax, values["count"].values, values, line, alpha=shaded, **style)
        middles.append((values["count"], values.median("seed"), color))
    if name == "kl":
        floor = masks["kl_floor"].median("seed").max("variant").dropna("count")
        ax.plot(floor["count"], floor, ":", lw=0.8, color=GREY, label=_FLOOR)
    ax.set_xscale("log")
    log_y(ax)
    low, high = ax.get_ylim()
    style = {"ms": 4, "mfc": "none", "color": BLACK}
    ax.plot(masks["mps_parameters"], masks[f"mps_{name}"], "D", label=_bonds(masks), **style)
    ax.set_ylim(low, high)  # the worst MPS would hide the differences of RBMs
    for along, values, color in (
        *middles,
        (masks["mps_parameters"], masks[f"mps_{name}"], BLACK),
    ):
        mark_beyond(ax, along, values, color)
    for axis in (ax.xaxis, ax.yaxis):
        round_ticks(axis)
    faint_grid(ax)


def _bonds(masks: xr.Dataset) -> str:
    return f"MPS, D = {', '.join(map(str, masks['bond'].values))}"


@styled
def plot_scaling(runs: Sequence[xr.Dataset]) -> Figure:
    """Draw KL per site against weights per site for runs of several sizes.

    A row for each kind that all runs may have, a column for each h/J of the first run, a line for
    each size. Lines connect medians over seeds for one number of hidden units.
    """
    ratios = runs[0]["field"].values / runs[0].attrs["coupling"]
    runs = sorted(runs, key=lambda run: int(run.attrs["sites"]))
    kinds = [kind for kind in SCALED if any(kind in run["variant"].values for run in runs)]
    count = len(kinds) * len(ratios)
    figure, axes = panel_grid(count, len(ratios), 1.2, "no mask", sharex=True, sharey=True)
    for row, kind in zip(axes, kinds, strict=False):
        row[0].set_ylabel("KL / N (nat)")
        for ax, ratio in zip(row, ratios, strict=True):
            for k, run in enumerate(runs):
                (here,) = np.nonzero(np.isclose(run["field"] / run.attrs["coupling"], ratio))
                for field in here:
                    _scaled(ax, run.isel(field=field), kind, LOOKS[k % len(LOOKS)])
            ax.set_title(VARIANTS[kind][3])
            ax.set_xscale("log")
            log_y(ax)
            faint_grid(ax)
    round_ticks(axes[0, 0].yaxis)
    for ax, ratio in zip(axes[-1], ratios, strict=True):
        ax.set_xlabel(f"weights / N at h = {ratio:g} J")
        round_ticks(ax.xaxis)
    if kinds:
        legend_below(figure, axes[0, 0], columns=3)
    return figure


def _scaled(ax: Axes, run: xr.Dataset, variant: str, look: tuple[str, str, Any]) -> None:
    color, marker, line = look
    sites = int(run.attrs["sites"])
    for width in run["width"].values if variant in run["variant"].values else ():
        kl = run["kl"].sel(variant=variant, width=width).dropna("count", how="all") / sites
        label = f"N = {sites}" if width == run["width"].values[0] else None
        style = {"marker": marker, "ls": line, "color": color, "label": label}
        ax.plot(kl["count"] / sites, kl.median("seed"), **style)


@styled
def plot_correlations(masks: xr.Dataset) -> Figure:
    """Draw |C(d)| of the exact state and of the RBMs with the most hidden units and weights.

    A row for each group of `GROUPS`, a column for each field. Medians over seeds; error bars are
    the median errors of the samples.
    """
    fields, width, shown = masks["field"].values, masks["width"].values[-1], masks.attrs["shown"]
    groups = groups_of(masks["variant"].values.tolist())
    lines = [
        bool(title) + legend_lines([_EXACT, *(VARIANTS[each][3] for each in group)], 2)
        for title, group in groups.items()
    ]
    figure, axes, words = legend_rows(len(fields), lines, height=1.5)
    for (title, group), row, below in zip(groups.items(), axes, words, strict=True):
        row[0].set_ylabel("|C(d)|")
        for ax, field in zip(row, fields, strict=True):
            one = masks.sel(field=field, width=width)
            exact = one["correlation_reference"].values
            d = np.arange(len(exact))
            ax.plot(d[1:], np.abs(exact[1:]), "-", lw=2.5, alpha=0.3, color=BLACK, label=_EXACT)
            for variant in group:
                count = masks.attrs["sites"] * width if variant == "dense" else shown
                _correlation(ax, one.sel(variant=variant, count=count), VARIANTS[variant])
            ax.set_xlabel("d (sites)")
            ax.set_xscale("log")
            log_y(ax)
            round_ticks(ax.xaxis)
            faint_grid(ax)
        round_ticks(row[0].yaxis)
        fill_legend(below, row[0], columns=2, title=title or None)
    for ax, field in zip(axes[0], fields, strict=True):
        ax.set_title(field_label(masks, field))
    figure.suptitle(f"{width} hidden units, {shown} weights")
    return figure


def _correlation(ax: Axes, rbms: xr.Dataset, look: tuple[str, str, str, str]) -> None:
    if bool(rbms["kl"].isnull().all()):
        return
    color, marker, line, label = look
    value = np.abs(rbms["correlation"].median("seed").values[1:])
    error = rbms["correlation_error"].median("seed").values[1:]
    style: dict[str, Any] = {"color": color, "marker": marker, "label": label}
    distance = np.arange(1, 1 + len(value))
    style |= {"ls": line or "none", "ms": 2.0, "elinewidth": 0.5, "capsize": 0.0}
    ax.errorbar(distance, value, error, **style)


@styled
def plot_links(masks: xr.Dataset) -> Figure:
    """Draw the share of links that exist against their length, of the RBMs with most hidden units.

    A panel for each field and kind that chooses links by the shots, and for scale-free, or for all
    kinds where there is none of these; a line for each number of weights. Shares are over all units
    and seeds, and over lengths from 1, from 2, from 4, ... to below the next. Lengths d are those
    from the strongest link of a unit. Dotted: 1/d, as many links in each of these intervals.
    """
    fields, width = masks["field"].values, masks["width"].values[-1]
    variants = [str(variant) for variant in masks["variant"].values]
    kinds = [name for name in variants if name in _CHOSEN] or variants[1:]
    panels = [(field, kind) for field in fields for kind in kinds]
    empty = "no kind of mask that chooses links by the shots"
    figure, axes = panel_grid(len(panels), 2, 1.4, empty, sharex=True, sharey=True)
    for ax, (field, kind) in zip(axes.ravel(), panels, strict=False):
        _links(ax, masks.sel(field=field, width=width, variant=kind))
        head = f"{field_label(masks, field)}\n" if len(fields) > 1 else ""
        title = VARIANTS[kind][3].replace(", ", ",\n")
        ax.set_title(f"{head}{title}", fontsize="small")
    for ax in axes[-1]:
        ax.set_xlabel("distance d (sites)")
    for ax in axes[:, 0]:
        ax.set_ylabel("share of links")
    legend_below(figure, axes[0, 0], columns=4)
    return figure


def _links(ax: Axes, masks: xr.Dataset) -> None:
    there = [n for n in masks["count"].values if bool(masks["kl"].sel(count=n).notnull().any())]
    longest = masks.sizes["length"] - 1
    first = 2 ** np.arange(longest.bit_length())
    distance = np.sqrt(first * np.minimum(2 * first - 1, longest))
    for k, count in enumerate(there):
        kept, possible = (
            np.add.reduceat(masks[name].sel(count=count).sum("seed").values, first)
            for name in ("links", "possible_links")
        )
        share = np.divide(kept, possible, out=np.full(len(kept), np.nan), where=possible > 0)
        color, marker, _ = LOOKS[k % len(LOOKS)]
        shown = np.where(share > 0, share, np.nan)
        label = f"{count} weights"
        ax.plot(distance, shown, marker=marker, color=color, label=label)
    ax.plot(distance, 1.0 / distance, ":", lw=0.8, color=GREY, label="1/d")
    ax.set_xscale("log")
    log_y(ax)
    round_ticks(ax.xaxis)
    faint_grid(ax)


@styled
def plot_masks(masks: xr.Dataset) -> Figure:
    """Draw the masks of the first field and seed with the most hidden units and weights."""
    shown = [
        variant
        for variant in masks["variant"].values
        if variant != "dense" and bool(masks["mask"].sel(variant=variant).any())
    ]
    empty = "no mask of the first field and seed"
    figure, axes = panel_grid(len(shown), 4, 1.4, empty)
    for ax, variant in zip(axes.ravel(), shown, strict=False):
        ax.imshow(masks["mask"].sel(variant=variant), cmap="Greys", aspect="auto")
        ax.set_title(VARIANTS[str(variant)][3].replace(", ", ",\n"), fontsize="small")
    for ax in axes[-1]:
        ax.set_xlabel("site")
    for ax in axes[:, 0]:
        ax.set_ylabel("hidden unit")
    return figure
