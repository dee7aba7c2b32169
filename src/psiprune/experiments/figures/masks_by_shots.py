"""Figure of masks made before training: KL against the number of shots."""

from __future__ import annotations

from collections.abc import Sequence

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from psiprune.experiments.figures.mask_variants import VARIANTS
from psiprune.reporting.figures import KL, draw_band, faint_grid, legend_below, log_y
from psiprune.reporting.labels import field_label


def plot_shots(runs: Sequence[xr.Dataset]) -> Figure:
    """Draw KL against the number of shots, for runs that differ in it; a panel for each size and h.

    Of each kind the RBMs of lowest median over seeds, whatever their numbers of weights and hidden
    units and the other settings of the runs. Of those with a mask the best has its number of
    weights written beside it. Bands are 16 to 84 % of the seeds.
    """
    panels = sorted({(int(run.attrs["sites"]), float(h)) for run in runs for h in run["field"]})
    figure = Figure(figsize=(3.0 + 5.4 * len(panels), 6.0), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for ax, (sites, field) in zip(axes, panels, strict=True):
        here = [run for run in runs if run.attrs["sites"] == sites and field in run["field"]]
        _against_shots(ax, [run.sel(field=field) for run in here])
        ax.set_title(f"N = {sites}, {field_label(here[0], field)}")
        ax.set_xlabel("shots")
        ax.set_xscale("log")
        log_y(ax)
        faint_grid(ax)
    axes[0].set_ylabel(KL)
    legend_below(figure, axes[0], columns=3, fontsize="small")
    return figure


def _against_shots(ax: Axes, runs: Sequence[xr.Dataset]) -> None:
    amounts = sorted({int(run.attrs["shots"]) for run in runs})
    masked: dict[int, xr.DataArray] = {}
    dense: dict[int, xr.DataArray] = {}
    for kind, (color, marker, line, label) in VARIANTS.items():
        best = {}
        for shots in amounts:
            same = [run for run in runs if run.attrs["shots"] == shots and kind in run["variant"]]
            found = [kl for run in same for kl in _each_rbm(run["kl"].sel(variant=kind))]
            if found:
                best[shots] = min(found, key=_median)
                if kind != "dense":
                    masked[shots] = min(masked.get(shots, best[shots]), best[shots], key=_median)
        dense = best if kind == "dense" else dense
        if best:
            values = xr.concat(best.values(), "shots", coords="minimal", compat="override")
            draw_band(
                *(ax, list(best), values, line or "-"), marker=marker, color=color, label=label
            )
    for shots, kl in masked.items():
        ax.annotate(
            f"{int(kl['count'])}",
            (shots, _median(kl)),
            xytext=(0, 8 if shots in dense and _median(dense[shots]) < _median(kl) else -14),
            textcoords="offset points",
            ha="center",
            fontsize="small",
        )


def _each_rbm(kl: xr.DataArray) -> list[xr.DataArray]:
    """Return KL over seed of each number of hidden units and weights for which there is one."""
    every = [kl.sel(width=w, count=n) for w in kl["width"].values for n in kl["count"].values]
    return [one for one in every if bool(one.notnull().all())]


def _median(kl: xr.DataArray) -> float:
    return float(kl.median())
