"""Alternative pruning schedules next to the main one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from psiprune.core.statistics import band
from psiprune.experiments.figures.study import disconnected_at
from psiprune.reporting.figures import (
    BANDS,
    BIASES,
    GREY,
    LOOKS,
    PRUNED,
    draw_band,
    legend_below,
    log_grid,
    measure_grid,
    round_ticks,
    without_sampling,
)
from psiprune.reporting.labels import phase_label, seeds_text, step_share
from psiprune.reporting.style import styled

_LABELS = {
    "kl": "KL",
    "infidelity": "1 − F",
    "energy_bias": "|ΔE/E|",
    "abs_magnetization_bias": "bias of ⟨|m|⟩",
    "correlation_mse": "$C_{\\mathrm{MSE}}$",
}


@styled
def plot_schedules(study: xr.Dataset, schedules: Mapping[float, xr.Dataset]) -> Figure:
    """Five error measures by schedule over those of the main one; a column per field.

    Each is divided by the median over seeds of the main schedule at the same fraction pruned,
    between two of its levels by linear interpolation of the logarithm. Lines are medians over
    seeds, bands hold 16 to 84 % of the seeds, the grey one those of the main schedule; by sums over
    all states where the studies have them.

    Args:
        study: by the main schedule.
        schedules: studies of the same fields by the share that their first step removes.
    """
    figure, axes = measure_grid(study, [f"{_LABELS[name]}, ratio" for name, _ in BIASES], PRUNED)
    named = {
        f"first {first:.0%}, then {step_share(each):.0%} a step, {seeds_text(each)}": each
        for first, each in sorted(schedules.items())
    }
    apart = disconnected_at(study)
    for column, field in zip(axes.T, study["field"].values, strict=True):
        column[0].set_title(phase_label(study, field))
        main = study.sel(field=field)
        pruned = main["fraction_pruned"].isel(seed=0).values
        for ax, (name, _) in zip(column, BIASES, strict=True):
            low, middle, high = (each.values for each in band(without_sampling(main, name)))
            label = f"{step_share(study):.0%} every step, {seeds_text(study)}"
            ax.fill_between(pruned, low / middle, high / middle, color=GREY, alpha=0.25, lw=0)
            ax.axhline(1.0, lw=0.8, color=GREY, label=label)
            for k, (label, each) in enumerate(named.items()):
                color, marker, line = LOOKS[k % len(LOOKS)]
                ratio = ratio_to(each.sel(field=field), name, pruned, middle)
                along = each["fraction_pruned"].sel(field=field).isel(seed=0)
                draw_band(ax, along, ratio, marker, ls=line, ms=2.0, color=color, label=label)
            if apart is not None:
                fallen = f"{apart:.0%}: graph must fall apart"
                ax.axvline(apart, ls=":", lw=0.8, color=GREY, label=fallen)
            log_grid(ax)
    for ax in axes[:, 0]:
        round_ticks(ax.yaxis)
    legend_below(figure, axes[0, 0], columns=2, title=BANDS)
    return figure


def ratio_to(
    study: xr.Dataset, name: str, pruned: np.ndarray, reference: np.ndarray
) -> xr.DataArray:
    """Return a measure of one field over `reference`, known at `pruned`, interpolated.

    NaN beyond the last fraction pruned of the reference, and where that is not positive.
    """
    known = np.isfinite(reference) & (reference > 0)
    along = study["fraction_pruned"].isel(seed=0).values
    if not known.any():
        return without_sampling(study, name) * np.nan
    at = np.exp(np.interp(along, pruned[known], np.log(reference[known]), right=np.nan))
    return without_sampling(study, name) / xr.DataArray(at, dims="level")
