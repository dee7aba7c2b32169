"""The paper's Fig. 2: five error measures against the fraction pruned."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from psiprune.core.statistics import band
from psiprune.experiments.tables import observable_losses, removing_levels
from psiprune.reporting.figures import (
    BLUE,
    CORRELATION,
    GREY,
    INFIDELITY,
    KL,
    ORANGE,
    PRUNED,
    grid_size,
    label_grid,
    legend_below,
    log_grid,
    new_grid,
)
from psiprune.reporting.style import AxesArray, given_axes, styled

_MEASURES = (
    ("kl", KL),
    ("infidelity", INFIDELITY),
    ("energy_roe", "eROE"),
    ("abs_magnetization_roe", "mROE"),
    ("correlation_mse", CORRELATION),
)
#: The same by sums over all states, in studies of up to 20 sites.
_EXACT = {
    "energy_roe": "energy_bias_exact",
    "abs_magnetization_roe": "abs_magnetization_bias_exact",
    "correlation_mse": "correlation_mse_exact",
}


def disconnected_at(study: xr.Dataset) -> float | None:
    """Return the fraction pruned at the first level with fewer than N + N_h - 1 weights, if any.

    With fewer weights than a tree has, no graph connects all units: 85 % for the paper's 18 x 9
    and 10 % a step.
    """
    first = study.isel(field=0, seed=0)
    too_few = first["weights_kept"].values < study.attrs["sites"] + study.attrs["hidden"] - 1
    return float(first["fraction_pruned"].values[too_few][0]) if too_few.any() else None


@styled
def plot_study(study: xr.Dataset, *, ax: ArrayLike | None = None) -> AxesArray:
    """Draw the paper's Fig. 2: five error measures against the fraction pruned, a column per field.

    Points are medians over seeds as the paper measures them (from samples, with the confidence
    interval in eROE and mROE), the band holds 16 to 84 % of the seeds. Orange lines are the same
    measures by sums over all states. Dashed lines are the floors of the sampled measures, their
    values for a perfect model; orange lines may lie below. Further observables have a row each,
    with their largest distance from the reference.

    Args:
        study: the dataset of `run_study`, study.nc.
        ax: axes to draw on, as many as measures times fields; by default of a new figure in
            psiprune's style, with a legend.

    Returns:
        The axes, [measure, field]; `axes[0, 0].figure.savefig("study.png")` writes the figure.

    Raises:
        InputError: `ax` is not axes, or another number of them.
    """
    shape = len(_measures(study)), study.sizes["field"]
    axes = given_axes(ax, shape, grid_size(*shape), sharex=True, sharey="row")
    _draw_study(study, axes)
    if ax is None:
        legend_below(axes[0, 0].figure, axes[0, 0], columns=2)
    return axes


@styled
def study_figure(study: xr.Dataset) -> Figure:
    """Draw `plot_study` as a figure that pyplot does not know."""
    figure, axes = new_grid(len(_measures(study)), study.sizes["field"])
    _draw_study(study, axes)
    legend_below(figure, axes[0, 0], columns=2)
    return figure


def _measures(study: xr.Dataset) -> list[tuple[str, str]]:
    further = ((name, f"|Δ {of[3:-1]}|") for of, name, _ in observable_losses(study))
    return [*_MEASURES, *further]


def _draw_study(study: xr.Dataset, axes: AxesArray) -> None:
    study = removing_levels(study)
    measures = _measures(study)
    label_grid(axes, study, [label for _, label in measures], PRUNED)
    pruned = study["fraction_pruned"].isel(field=0, seed=0).values
    apart = disconnected_at(study)
    for column, field in enumerate(study["field"].values):
        for ax, (name, _) in zip(axes[:, column], measures, strict=True):
            _draw_measure(ax, study.sel(field=field), pruned, name)
            if apart is not None:
                fallen = f"{apart:.0%}: graph must fall apart"
                ax.axvline(apart, ls=":", lw=0.8, color=GREY, label=fallen)


def _draw_measure(ax: Axes, study: xr.Dataset, pruned: NDArray[np.float64], name: str) -> None:
    low, middle, high = (quantile.values for quantile in band(study[name]))
    seeds = study.sizes["seed"]
    label = "from samples" + (f", median of {seeds} seeds" if seeds > 1 else "")
    ax.plot(pruned, middle, "o-", ms=2.0, color=BLUE, label=label)
    if seeds > 1:
        ax.fill_between(pruned, low, high, color=BLUE, alpha=0.2, lw=0, label="16 to 84 % of seeds")
    if "kl_exact" in study:
        if name in _EXACT:
            ax.plot(pruned, study[_EXACT[name]].median("seed"), "-.", color=ORANGE)
        ax.plot([], [], "-.", color=ORANGE, label="by sums over all states")
    floor = study[f"{name}_floor"].median("seed").values
    if (floor > 0).all():
        ax.plot(pruned, floor, "--", lw=0.8, color=GREY)
    ax.plot([], [], "--", lw=0.8, color=GREY, label="floor: a perfect model")
    log_grid(ax)
