"""Figures of masks made before training: error against weights, correlations, the masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from psiprune.experiments.figures.mask_variants import MOST, SCALED, VARIANTS, groups_of
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
#: Made by a rule of the distance.
_RULED = ("scale-free", "cluster", "power-law-0", "power-law-1", "power-law-2", "nearest", "tails")
_MEASURES = (("kl", KL), ("abs_magnetization_bias", "bias of ⟨|m|⟩"))
_EXACT = "exact"
_FEWER = "fewer than N hidden units"
_FLOOR = "parameters / (2 shots)"


@styled
def plot_budget(masks: xr.Dataset) -> Figure:
    """Draw KL and bias of <|m|> against weights; rows for each field, hidden units, and group.

    Hidden units are those of RBMs with a mask; dense ones are in each row. The groups are those of
    `GROUPS`, each with the scale-free mask to compare. Lines are medians over seeds, bands of the
    scale-free mask 16 to 84 % of the seeds. The dotted line is the mean KL of fits of the right
    model to so many shots, parameters / (2 shots). Open diamonds are MPS, against their free
    parameters; triangles at the ends are medians beyond the axis.
    """
    groups = groups_of(masks["variant"].values.tolist())
    rows = [
        (masks.sel(field=field), width, title)
        for field in masks["field"].values
        for width in mask_widths(masks)
        for title in groups
    ]
    bonds = _bonds(masks)
    labels = [[*(VARIANTS[each][3] for each in groups[title]), _FLOOR, bonds] for *_, title in rows]
    lines = [
        1 + bool(title) + legend_lines(each, 2)
        for (*_, title), each in zip(rows, labels, strict=True)
    ]
    figure, axes, words = legend_rows(2, lines, share=False)
    for (here, width, title), of_row, below in zip(rows, axes, words, strict=True):
        for ax, (name, label) in zip(of_row, _MEASURES, strict=True):
            _budget(ax, here, width, name, groups[title])
            ax.set_ylabel(label)
            ax.set_xlabel("weights, parameters")
        head = f"{field_label(masks, float(here['field']))}, {width} hidden units"
        fill_legend(below, of_row[0], columns=2, title=f"{title}\n{head}" if title else head)
    return figure


def _budget(ax: Axes, masks: xr.Dataset, width: int, name: str, variants: Sequence[str]) -> None:
    of_width, middles = masks.sel(width=width), []
    style: dict[str, Any]
    for variant in variants:
        color, marker, line, label = VARIANTS[variant]
        # The number of weights of a dense RBM determines that of its hidden units.
        found = masks[name].max("width") if variant == "dense" else of_width[name]
        values = found.sel(variant=variant).dropna("count", how="all")
        shaded = 0.18 if variant == "scale-free" else 0.0
        style = {"marker": marker, "color": color, "label": label}
        draw_band(ax, values["count"].values, values, line, alpha=shaded, **style)
        middles.append((values["count"], values.median("seed"), color))
    if name == "kl":
        floor = of_width["kl_floor"].median("seed").max("variant").dropna("count")
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

    A row for each kind that all runs may have, a column for each h/J of the first run, a colour for
    each size. Lines connect medians over seeds for one number of hidden units, of dense RBMs for
    all; open markers are masks with fewer hidden units than sites.
    """
    ratios = runs[0]["field"].values / runs[0].attrs["coupling"]
    sizes = sorted({int(run.attrs["sites"]) for run in runs})
    kinds = [kind for kind in SCALED if any(kind in run["variant"].values for run in runs)]
    count = len(kinds) * len(ratios)
    figure, axes = panel_grid(count, len(ratios), 1.2, "no mask", sharex=True, sharey=True)
    for row, kind in zip(axes, kinds, strict=False):
        row[0].set_ylabel("KL / N (nat)")
        for ax, ratio in zip(row, ratios, strict=True):
            for run in sorted(runs, key=lambda run: int(run.attrs["sites"])):
                look = LOOKS[sizes.index(int(run.attrs["sites"])) % len(LOOKS)]
                (here,) = np.nonzero(np.isclose(run["field"] / run.attrs["coupling"], ratio))
                for field in here:
                    _scaled(ax, run.isel(field=field), kind, look)
            ax.set_title(VARIANTS[kind][3].replace(", ", ",\n"), fontsize="small")
            ax.set_xscale("log")
            log_y(ax)
            faint_grid(ax)
    round_ticks(axes[0, 0].yaxis)
    for ax, ratio in zip(axes[-1], ratios, strict=True):
        ax.set_xlabel(f"weights / N at h = {ratio:g} J")
        round_ticks(ax.xaxis)
    if kinds:
        fullest = max(axes.ravel(), key=lambda ax: len(ax.get_legend_handles_labels()[1]))
        legend_below(figure, fullest, columns=3)
    return figure


def _scaled(ax: Axes, run: xr.Dataset, variant: str, look: tuple[str, str, Any]) -> None:
    color, marker, line = look
    sites = int(run.attrs["sites"])
    if variant not in run["variant"].values:
        return
    kl = run["kl"].sel(variant=variant).median("seed") / sites
    # The number of weights of a dense RBM determines that of its hidden units.
    lines = [kl.max("width")] if variant == "dense" else [kl.sel(width=w) for w in mask_widths(run)]
    for one in (each.dropna("count") for each in lines):
        label: str | None = f"N = {sites}"
        label = None if label in ax.get_legend_handles_labels()[1] else label
        style = {"marker": marker, "ls": line, "color": color, "label": label}
        fewer = variant != "dense" and int(one["width"]) < sites
        ax.plot(one["count"] / sites, one, mfc="white" if fewer else color, **style)
        if fewer and _FEWER not in ax.get_legend_handles_labels()[1]:
            ax.plot([], [], marker="o", ls="", mfc="white", color=GREY, label=_FEWER)


@styled
def plot_correlations(masks: xr.Dataset) -> Figure:
    """Draw |C(d)| of the exact state and of the RBMs with the most hidden units and weights.

    A row for each group of `GROUPS`, a column for each field. Of dense RBMs those of as many hidden
    units, or where there is none those of least median KL. Medians over seeds; error bars are the
    median errors of the samples.
    """
    fields, width, shown = masks["field"].values, mask_widths(masks)[-1], masks.attrs["shown"]
    groups = groups_of(masks["variant"].values.tolist())
    lines = [
        bool(title) + legend_lines([_EXACT, *(VARIANTS[each][3] for each in group)], 2)
        for title, group in groups.items()
    ]
    figure, axes, words = legend_rows(len(fields), lines, height=1.5)
    for (title, group), row, below in zip(groups.items(), axes, words, strict=True):
        row[0].set_ylabel("|C(d)|")
        for ax, field in zip(row, fields, strict=True):
            one = masks.sel(field=field)
            exact = one["correlation_reference"].values
            d = np.arange(len(exact))
            ax.plot(d[1:], np.abs(exact[1:]), "-", lw=2.5, alpha=0.3, color=BLACK, label=_EXACT)
            for variant in group:
                rbms = one.sel(variant=variant)
                dense = _dense_width(rbms, width) if variant == "dense" else width
                count = masks.attrs["sites"] * dense if variant == "dense" else shown
                _correlation(ax, rbms.sel(width=dense, count=count), VARIANTS[variant])
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


def mask_widths(masks: xr.Dataset) -> list[int]:
    """Return the numbers of hidden units of RBMs with a mask, or without any of all, increasing."""
    masked = masks["kl"].sel(variant=masks["variant"] != "dense").notnull()
    there = masked.any([dim for dim in masked.dims if dim != "width"])
    widths: list[int] = masks["width"].values[there.values].tolist()
    return widths or masks["width"].values.tolist()


def _dense_width(dense: xr.Dataset, width: int) -> int:
    """Return the hidden units of the dense RBMs of one field to compare with masks of `width`."""
    kl = dense["kl"].median("seed").max("count")
    if bool(kl.sel(width=width).notnull()):
        return width
    return int(kl["width"].values[int(kl.argmin("width"))])


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
    fields, width = masks["field"].values, mask_widths(masks)[-1]
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
    """Draw the masks of the first field and seed with the most hidden units and weights.

    The last panel shows the rule of those that have one: how far the links of a unit in the middle
    reach, in geometric steps from a scale-free mask.
    """
    shown = [
        variant
        for variant in masks["variant"].values
        if variant != "dense" and bool(masks["mask"].sel(variant=variant).any())
    ]
    empty = "no mask of the first field and seed"
    ruled = [variant for variant in shown if variant in _RULED]
    panels = len(shown) + bool(ruled)
    figure, axes = panel_grid(panels, 3 if panels <= MOST else 4, 1.4, empty)
    for ax, variant in zip(axes.ravel(), shown, strict=False):
        ax.imshow(
            masks["mask"].sel(variant=variant), cmap="Greys", aspect="auto", interpolation="none"
        )
        ax.set_title(VARIANTS[str(variant)][3].replace(", ", ",\n"), fontsize="small")
        ax.set_xlabel("site")
        ax.set_ylabel("hidden unit")
    if ruled:
        _distances(axes.ravel()[len(shown)], masks["mask"].sel(variant=ruled))
    return figure


def _distances(ax: Axes, masks: xr.DataArray) -> None:
    """Draw how far links of a unit in the middle of the chain reach, a row for each kind."""
    units, sites = masks.sizes["unit"], masks.sizes["site"]
    unit = units // 2
    distance = np.abs(np.arange(sites) - round((unit + 0.5) * sites / units - 0.5))
    for row, variant in enumerate(masks["variant"].values):
        linked = distance[masks.sel(variant=variant, unit=unit).values > 0]
        ax.plot(1 + linked, np.full(len(linked), row), "|", color=VARIANTS[str(variant)][0], ms=5)
    labels = [VARIANTS[str(variant)][3] for variant in masks["variant"].values]
    ax.set_yticks(range(len(labels)), labels, fontsize="x-small")
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.set_xscale("log")
    ax.set_xlim(0.9, sites)
    round_ticks(ax.xaxis)
    ax.set_xlabel("1 + distance")
