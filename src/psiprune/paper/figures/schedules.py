"""Alternative pruning schedules next to the main one."""

from __future__ import annotations

from collections.abc import Mapping

import xarray as xr
from matplotlib.figure import Figure

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


def plot_schedules(study: xr.Dataset, schedules: Mapping[float, xr.Dataset]) -> Figure:
    """Five error measures against the fraction pruned, by schedule; one column per field.

    Lines are medians over seeds, bands hold 16 to 84 % of the seeds; by sums over all states where
    the studies have them. Dashed grey lines are what a fit of the right model to so many shots
    misses on average.

    Args:
        study: by the main schedule.
        schedules: studies of the same fields by the share that their first step removes.
    """
    labels = [label for _, label in BIASES]
    figure, axes = measure_grid(study, labels, PRUNED, size=(3.8, 11.0))
    named = {f"{step_share(study):.0%} every step": study} | {
        f"first {first:.0%}, then {step_share(each):.0%} a step": each
        for first, each in sorted(schedules.items())
    }
    apart = disconnected_at(study)
    for column, field in zip(axes.T, study["field"].values, strict=True):
        column[0].set_title(phase_label(study, field))
        for ax, (name, _) in zip(column, BIASES, strict=True):
            for k, (label, each) in enumerate(named.items()):
                color, marker, line = LOOKS[k % len(LOOKS)]
                here = each.sel(field=field)
                pruned, values = here["fraction_pruned"].isel(seed=0), without_sampling(here, name)
                words = f"{label}, {seeds_text(each)}"
                draw_band(ax, pruned, values, marker, ls=line, color=color, label=words)
            if name in ("kl", "infidelity") or f"{name}_exact" not in study:
                main = study.sel(field=field)
                floor = main[f"{name}_floor"].median("seed")
                ax.plot(main["fraction_pruned"].isel(seed=0), floor, "--", lw=1.0, color=GREY)
            ax.plot([], [], "--", lw=1.0, color=GREY, label="floor: a perfect model")
            if apart is not None:
                fallen = f"{apart:.0%}: graph must fall apart"
                ax.axvline(apart, ls=":", lw=1.2, color=GREY, label=fallen)
            log_grid(ax)
    for ax in axes[:, 0]:
        round_ticks(ax.yaxis)
    legend_below(figure, axes[0, 0], columns=min(2, axes.shape[1]), title=BANDS)
    return figure
