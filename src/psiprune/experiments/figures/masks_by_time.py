"""Figure of masks made before training: KL against processor time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from psiprune.experiments.figures.mask_variants import MOST, VARIANTS
from psiprune.reporting.figures import (
    GREY,
    KL,
    faint_grid,
    legend_below,
    log_y,
    panel_grid,
    round_ticks,
)
from psiprune.reporting.labels import field_label
from psiprune.reporting.style import styled


class Timed(NamedTuple):
    """Medians over seeds of the RBMs of one kind, number of hidden units and of weights."""

    seconds: float
    kl: float


@styled
def plot_times(runs: Sequence[xr.Dataset]) -> Figure:
    """Draw KL against the processor time of training, of runs that may differ in its length.

    A panel for each size and field, of runs with as many shots as the first. Each point are RBMs of
    one number of hidden units and of weights, medians over seeds. The line of a kind is the least
    KL in at most so much time; of more than six kinds those of least KL are shown.
    """
    shots = runs[0].attrs["shots"]
    same = [run for run in runs if run.attrs["shots"] == shots and "processor_seconds" in run]
    panels = sorted({(int(run.attrs["sites"]), float(h)) for run in same for h in run["field"]})
    figure, grid = panel_grid(len(panels), 2, 1.6, "no processor times")
    for ax, (sites, field) in zip(grid.ravel(), panels, strict=False):
        here = [run for run in same if run.attrs["sites"] == sites and field in run["field"]]
        _against_time(ax, [run.sel(field=field) for run in here])
        ax.set_title(f"N = {sites}, {field_label(here[0], field)}")
        ax.set_ylabel(KL)
        ax.set_xlabel("processor time (s)")
        ax.set_xscale("log")
        log_y(ax)
        for axis in (ax.xaxis, ax.yaxis):
            round_ticks(axis)
        faint_grid(ax)
    if panels:
        fullest = max(grid.ravel(), key=lambda ax: len(ax.get_legend_handles_labels()[1]))
        legend_below(figure, fullest, columns=3)
    return figure


def _against_time(ax: Axes, runs: Sequence[xr.Dataset]) -> None:
    found = {kind: each for kind in VARIANTS if (each := timed(runs, kind))}
    ranked = sorted(found, key=lambda kind: min(one.kl for one in found[kind]))[:MOST]
    # The legend fills its columns in the order of `VARIANTS`.
    for kind in (each for each in found if each in ranked or each == "dense"):
        color, marker, line, label = VARIANTS[kind]
        seconds, kl = np.array(found[kind]).T
        ax.plot(seconds, kl, marker, ls="none", color=color, ms=2.5, alpha=0.5)
        least = np.minimum.accumulate(kl)
        ax.step(seconds, least, line or "-", where="post", color=color, label=label, marker="")
    if found:
        ax.plot([], [], "o", color=GREY, ms=2.5, alpha=0.5, label="each number of weights")


def timed(runs: Sequence[xr.Dataset], kind: str) -> list[Timed]:
    """Return the RBMs of a kind of runs at one field, the quickest to train first."""
    found = []
    for run in runs:
        if kind in run["variant"].values:
            one = run[["processor_seconds", "kl"]].sel(variant=kind).median("seed")
            pairs = np.stack([one[name].values.ravel() for name in ("processor_seconds", "kl")])
            found += [Timed(*pair) for pair in pairs.T.tolist() if np.isfinite(pair).all()]
    return sorted(found)
