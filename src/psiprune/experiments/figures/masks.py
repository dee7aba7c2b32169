"""Figures of masks made before training: error against weights, correlations, the masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from psiprune.experiments.figures.mask_variants import SCALED, VARIANTS
from psiprune.reporting.figures import (
    BLACK,
    GREY,
    KL,
    LOOKS,
    ORANGE,
    draw_band,
    faint_grid,
    legend_below,
    log_y,
    panel_grid,
    round_ticks,
)
from psiprune.reporting.labels import field_label

Float64 = NDArray[np.float64]
#: Choose links by the shots; and the rule to compare with.
_CHOSEN = ("scale-free", "snip", "magnitude", "surgeon", "scale-free-surgeon")
_MEASURES = (("kl", KL), ("abs_magnetization_bias", "relative bias of ⟨|m|⟩"))
_MPS = "MPS, bond dimension {}"


def plot_budget(masks: xr.Dataset) -> Figure:
    """Draw KL and bias of <|m|> against weights; a row for each field and number of hidden units.

    Lines are medians over seeds, bands of the scale-free mask 16 to 84 % of the seeds. The dotted
    line is the mean KL of fits of the right model to so many shots, parameters / (2 shots). Open
    diamonds are MPS, against their free parameters.
    """
    rows = [(field, width) for field in masks["field"].values for width in masks["width"].values]
    figure = Figure(figsize=(12.0, 1.6 + 4.2 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), len(_MEASURES), sharex="row", squeeze=False)
    for (field, width), of_row in zip(rows, axes, strict=True):
        for ax, (name, title) in zip(of_row, _MEASURES, strict=True):
            _budget(ax, masks.sel(field=field, width=width), name)
            ax.set_ylabel(title)
            ax.set_title(f"{field_label(masks, field)}, {width} hidden units", fontsize="medium")
    for ax in axes[-1]:
        ax.set_xlabel("weights of the RBM, free parameters of the MPS")
    legend_below(figure, axes[0, 0], columns=4, fontsize="small")
    return figure


def _budget(ax: Axes, masks: xr.Dataset, name: str) -> None:
    for variant in masks["variant"].values:
        color, marker, line, label = VARIANTS[str(variant)]
        values = masks[name].sel(variant=variant).dropna("count", how="all")
        shaded = 0.18 if variant == "scale-free" else 0.0
        style = {"marker": marker, "color": color, "label": label, "ms": 5.0}
        draw_band(ax, values["count"].values, values, line, alpha=shaded, **style)
    if name == "kl":
        floor = masks["kl_floor"].median("seed").max("variant").dropna("count")
        label = "parameters / (2 shots)"
        ax.plot(floor["count"], floor, ":", lw=1.2, color=GREY, label=label)
    ax.set_xscale("log")
    log_y(ax)
    low, high = ax.get_ylim()
    ax.plot(
        masks["mps_parameters"],
        masks[f"mps_{name}"],
        "D",
        ms=7,
        mfc="none",
        color=ORANGE,
        label=_MPS.format(", ".join(map(str, masks["bond"].values))),
    )
    ax.set_ylim(low, high)  # the worst MPS would hide the differences of RBMs
    round_ticks(ax.xaxis)
    faint_grid(ax)


def plot_scaling(runs: Sequence[xr.Dataset]) -> Figure:
    """Draw KL per site against weights per site for runs of several sizes; a column for each h/J.

    Columns are the fields of the first run. Colours are sizes, markers the kinds dense, scale-free,
    both pruned by surgeon, and windows. Lines connect medians over seeds for one number of hidden
    units.
    """
    ratios = runs[0]["field"].values / runs[0].attrs["coupling"]
    figure = Figure(figsize=(3.0 + 5.4 * len(ratios), 6.0), layout="constrained")
    axes = figure.subplots(1, len(ratios), sharey=True, squeeze=False)[0]
    for ax, ratio in zip(axes, ratios, strict=True):
        for k, run in enumerate(sorted(runs, key=lambda run: int(run.attrs["sites"]))):
            (here,) = np.nonzero(np.isclose(run["field"] / run.attrs["coupling"], ratio))
            for field in here:
                _scaled(ax, run.isel(field=field), LOOKS[k % len(LOOKS)][0])
        ax.set_title(field_label(runs[0], ratio * runs[0].attrs["coupling"]))
        ax.set_xlabel("weights / N")
        ax.set_xscale("log")
        log_y(ax)
        round_ticks(ax.xaxis)
        faint_grid(ax)
    axes[0].set_ylabel("KL divergence / N (nat)")
    legend_below(figure, axes[0], columns=3, fontsize="small")
    return figure


def _scaled(ax: Axes, run: xr.Dataset, color: str) -> None:
    sites = int(run.attrs["sites"])
    for variant in [name for name in SCALED if name in run["variant"].values]:
        _, marker, line, label = VARIANTS[variant]
        for width in run["width"].values:
            kl = run["kl"].sel(variant=variant, width=width).dropna("count", how="all") / sites
            ax.plot(
                kl["count"] / sites,
                kl.median("seed"),
                line or "none",
                marker=marker,
                ms=5,
                lw=1.2,
                color=color,
                mfc=color if variant == "scale-free" else "none",
                label=f"N = {sites}, {label}" if width == run["width"].values[0] else None,
            )


def plot_correlations(masks: xr.Dataset) -> Figure:
    """Draw |C(d)| of the exact state and of the RBMs with the most hidden units and weights.

    A column for each field. Medians over seeds; error bars are the median errors of the samples.
    """
    fields, width, shown = masks["field"].values, masks["width"].values[-1], masks.attrs["shown"]
    figure = Figure(figsize=(1.2 + 5.4 * len(fields), 5.4), layout="constrained")
    axes = figure.subplots(1, len(fields), sharey=True, squeeze=False)[0]
    for ax, field in zip(axes, fields, strict=True):
        one = masks.sel(field=field, width=width)
        exact = one["correlation_reference"].values
        distance = np.arange(len(exact))
        ax.plot(distance[1:], np.abs(exact[1:]), "-", lw=3, alpha=0.3, color=BLACK, label="exact")
        for variant in masks["variant"].values:
            color, marker, line, label = VARIANTS[str(variant)]
            count = masks.attrs["sites"] * width if variant == "dense" else shown
            rbms = one.sel(variant=variant, count=count)
            if bool(rbms["kl"].isnull().all()):
                continue
            value = np.abs(rbms["correlation"].median("seed").values[1:])
            error = rbms["correlation_error"].median("seed").values[1:]
            style = {"color": color, "marker": marker, "ls": line or "none", "label": label}
            ax.errorbar(distance[1:], value, error, ms=4, lw=1.0, elinewidth=0.6, **style)
        ax.set_title(f"{field_label(masks, field)}, {width} hidden units, {shown} weights")
        ax.set_xlabel("distance d (sites)")
        ax.set_xscale("log")
        log_y(ax)
        faint_grid(ax)
    axes[0].set_ylabel("correlation |C(d)|")
    legend_below(figure, axes[0], columns=4, fontsize="small")
    return figure


def plot_links(masks: xr.Dataset) -> Figure:
    """Draw the share of links that exist against their length, of the RBMs with most hidden units.

    A panel for each field and kind that chooses links by the shots, and for scale-free, or for all
    kinds where there is none of these; a line for each number of weights. Shares are over all units
    and seeds, and over lengths from 1, from 2, from 4, ... to below the next. Dotted: 1/d, as many
    links in each of these intervals.
    """
    fields, width = masks["field"].values, masks["width"].values[-1]
    variants = [str(variant) for variant in masks["variant"].values]
    kinds = [name for name in variants if name in _CHOSEN] or variants[1:]
    panels = [(field, kind) for field in fields for kind in kinds]
    empty = "no kind of mask that chooses links by the shots"
    figure, axes = panel_grid(len(panels), 2, (4.6, 3.2), empty, sharex=True, sharey=True)
    for ax, (field, kind) in zip(axes.ravel(), panels, strict=False):
        _links(ax, masks.sel(field=field, width=width, variant=kind))
        label = f"{VARIANTS[kind][3]}, {field_label(masks, field)}"
        ax.set_title(label, fontsize="medium")
    for ax in axes[-1]:
        ax.set_xlabel("distance d from the strongest link (sites)")
    for ax in axes[:, 0]:
        ax.set_ylabel("share of links")
    legend_below(figure, axes[0, 0], columns=4, fontsize="small")
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
        ax.plot(distance, shown, marker=marker, ms=5, lw=1.2, color=color, label=label)
    ax.plot(distance, 1.0 / distance, ":", lw=1.2, color=GREY, label="1/d")
    ax.set_xscale("log")
    log_y(ax)
    round_ticks(ax.xaxis)
    faint_grid(ax)


def plot_masks(masks: xr.Dataset) -> Figure:
    """Draw the masks of the first field and seed with the most hidden units and weights."""
    shown = [
        variant
        for variant in masks["variant"].values
        if variant != "dense" and bool(masks["mask"].sel(variant=variant).any())
    ]
    empty = "no mask of the first field and seed"
    figure, axes = panel_grid(len(shown), 4, (3.2, 2.8), empty)
    for ax, variant in zip(axes.ravel(), shown, strict=False):
        ax.imshow(masks["mask"].sel(variant=variant), cmap="Greys", aspect="auto")
        ax.set_title(VARIANTS[str(variant)][3], fontsize="medium")
    for ax in axes[-1]:
        ax.set_xlabel("site")
    for ax in axes[:, 0]:
        ax.set_ylabel("hidden unit")
    return figure
