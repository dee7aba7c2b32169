"""Figure of masks made before training: KL against the number of shots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from psiprune.experiments.figures.mask_variants import MOST, VARIANTS
from psiprune.reporting.figures import (
    GREY,
    KL,
    draw_band,
    faint_grid,
    legend_below,
    log_y,
    panel_grid,
)
from psiprune.reporting.labels import field_label
from psiprune.reporting.style import styled


@styled
def plot_shots(runs: Sequence[xr.Dataset]) -> Figure:
    """Draw KL against the number of shots, for runs that differ in it; a panel for each size and h.

    Of each kind the RBMs of lowest median over seeds, whatever their numbers of weights and hidden
    units and the other settings of the runs; of more than six kinds those that are best with the
    most shots. Of those with a mask the best has its number of weights written beside it. Bands are
    16 to 84 % of the seeds. Thin dotted lines are the mean KL of fits of the right model, free
    parameters / (2 shots), of the RBMs shown.
    """
    panels = sorted({(int(run.attrs["sites"]), float(h)) for run in runs for h in run["field"]})
    figure, grid = panel_grid(len(panels), 2, 2.0, "no run")
    axes = grid.ravel()[: len(panels)]
    for ax, (sites, field) in zip(axes, panels, strict=True):
        here = [run for run in runs if run.attrs["sites"] == sites and field in run["field"]]
        _against_shots(ax, [run.sel(field=field) for run in here])
        label = field_label(here[0], field)
        named = "hamiltonian" in here[0].coords  # which is too long for a title
        ax.set_title("" if named else f"N = {sites}, {label}")
        ax.set_ylabel(KL)
        ax.set_xlabel("\n".join(["shots", *label.split(", ")]) if named else "shots")
        ax.set_xscale("log")
        log_y(ax)
        faint_grid(ax)
    axes[0].plot([], [], ":", lw=0.7, color=GREY, label="parameters / (2 shots)")
    axes[0].plot([], [], " ", label="numbers: weights of the best mask")
    legend_below(figure, axes[0], columns=3)
    return figure


def _against_shots(ax: Axes, runs: Sequence[xr.Dataset]) -> None:
    amounts = sorted({int(run.attrs["shots"]) for run in runs})
    best = {kind: found for kind in VARIANTS if (found := _best(kind, runs, amounts))}
    ranked = sorted(best, key=lambda kind: (-max(best[kind]), _median(best[kind][max(best[kind])])))
    masked: dict[int, xr.DataArray] = {}
    for kind in (each for each in best if each in ranked[:MOST]):
        color, marker, line, label = VARIANTS[kind]
        values = xr.concat(
            best[kind].values(), "shots", coords="minimal", compat="override", join="outer"
        )
        style: dict[str, Any] = {"marker": marker, "color": color, "label": label}
        draw_band(ax, list(best[kind]), values, line or "-", **style)
        floors = [float(kl["floor"].median()) for kl in best[kind].values()]
        ax.plot(list(best[kind]), floors, ":", lw=0.7, color=color)
        for shots, kl in best[kind].items() if kind != "dense" else ():
            masked[shots] = min(masked.get(shots, kl), kl, key=_median)
    dense = best.get("dense", {})
    for shots, kl in masked.items():
        ax.annotate(
            f"{int(kl['count'])}",
            (shots, _median(kl)),
            xytext=(0, 8 if shots in dense and _median(dense[shots]) < _median(kl) else -14),
            textcoords="offset points",
            ha="center",
            fontsize="small",
        )


def _best(kind: str, runs: Sequence[xr.Dataset], amounts: Sequence[int]) -> dict[int, xr.DataArray]:
    """Return KL over seed of the best RBM of a kind by the number of shots."""
    best = {}
    for shots in amounts:
        same = [run for run in runs if run.attrs["shots"] == shots and kind in run["variant"]]
        found = [kl for run in same for kl in _each_rbm(_with_floor(run).sel(variant=kind))]
        if found:
            best[shots] = min(found, key=_median)
    return best


def _with_floor(run: xr.Dataset) -> xr.DataArray:
    """Return KL with its floor as a coordinate."""
    return run["kl"].assign_coords(floor=run["kl_floor"])


def _each_rbm(kl: xr.DataArray) -> list[xr.DataArray]:
    """Return KL over seed of each number of hidden units and weights for which there is one."""
    every = [kl.sel(width=w, count=n) for w in kl["width"].values for n in kl["count"].values]
    return [one for one in every if bool(one.notnull().all())]


def _median(kl: xr.DataArray) -> float:
    return float(kl.median())
