"""Dataset -> figure; nothing is computed here but medians and bands over seeds."""

from __future__ import annotations

import io
import os
from pathlib import Path

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from psiprune.files import write_bytes

#: Okabe & Ito's colours, told apart with any colour vision.
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#707070"
_MEASURES = (
    ("kl", "KL divergence (nat)"),
    ("infidelity", "infidelity 1 − F"),
    ("energy_roe", "eROE"),
    ("abs_magnetization_roe", "mROE"),
    ("correlation_mse", "$C_{\\mathrm{MSE}}$"),
)
#: What a measure from samples would be by sums over all states, in studies of up to 20 sites.
_EXACT = {
    "energy_roe": "energy_bias_exact",
    "abs_magnetization_roe": "abs_magnetization_bias_exact",
    "correlation_mse": "correlation_mse_exact",
}


def disconnected_at(study: xr.Dataset) -> float | None:
    """Fraction pruned at the first level with fewer than the N + N_h - 1 weights of a tree, if any.

    85 % for the paper's 18 x 9 and 10 % a step: there the graph falls apart whatever is pruned.
    """
    first = study.isel(field=0, seed=0)
    too_few = first["weights_kept"].values < study.attrs["sites"] + study.attrs["hidden"] - 1
    return float(first["fraction_pruned"].values[too_few][0]) if too_few.any() else None


def plot_study(study: xr.Dataset) -> Figure:
    """The paper's Fig. 2: five error measures against the fraction pruned, one column a field.

    Points are medians over seeds as the paper measures them (from samples, with the confidence
    interval in eROE and mROE), the band holds 16 to 84 % of the seeds, thin lines are the same
    measures without sampling, dashed lines what a perfect model would show.
    """
    fields = study["field"].values
    figure = Figure(figsize=(1.2 + 3.4 * len(fields), 10.0), layout="constrained")
    axes = figure.subplots(len(_MEASURES), len(fields), sharex=True, sharey="row", squeeze=False)
    pruned = study["fraction_pruned"].isel(field=0, seed=0).values
    apart = disconnected_at(study)
    for column, field in enumerate(fields):
        here = study.sel(field=field)
        for row, (name, label) in enumerate(_MEASURES):
            ax = axes[row, column]
            _draw_measure(ax, here, pruned, name)
            if apart is not None:
                fallen = f"{apart:.0%}: graph must fall apart"
                ax.axvline(apart, ls=":", lw=1.2, color=GREY, label=fallen)
            if column == 0:
                ax.set_ylabel(label)
        axes[0, column].set_title(f"h/J = {field / study.attrs['coupling']:g}")
        axes[-1, column].set_xlabel("fraction of weights pruned")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    return figure


def _draw_measure(ax: Axes, study: xr.Dataset, pruned: NDArray[np.float64], name: str) -> None:
    low, middle, high = (study[name].quantile(q, "seed").values for q in (0.16, 0.5, 0.84))
    seeds = study.sizes["seed"]
    label = "measured as in the paper" + (f", median of {seeds} seeds" if seeds > 1 else "")
    ax.plot(pruned, middle, "o-", ms=3.5, lw=1.2, color=BLUE, label=label)
    if seeds > 1:
        ax.fill_between(pruned, low, high, color=BLUE, alpha=0.2, lw=0, label="16 to 84 % of seeds")
    if "kl_exact" in study:
        if name in _EXACT:
            ax.plot(pruned, study[_EXACT[name]].median("seed"), "-", lw=0.9, color=ORANGE)
        ax.plot([], [], "-", lw=0.9, color=ORANGE, label="without sampling (sum over all states)")
    floor = study[f"{name}_floor"].median("seed").values
    if (floor > 0).all():
        ax.plot(pruned, floor, "--", lw=1.0, color=GREY)
    ax.plot([], [], "--", lw=1.0, color=GREY, label="floor: a perfect model")
    ax.set_yscale("log")
    ax.grid(alpha=0.25, lw=0.5)


def save_figure(figure: Figure, stem: str | os.PathLike[str]) -> list[Path]:
    """Write STEM.png (150 dpi) and STEM.svg atomically; the same figure gives the same bytes."""
    written = []
    for suffix, metadata in ((".png", {"Software": None}), (".svg", {"Date": None})):
        buffer = io.BytesIO()
        with matplotlib.rc_context({"svg.hashsalt": "psiprune"}):
            figure.savefig(buffer, format=suffix[1:], dpi=150, metadata=metadata)
        written.append(write_bytes(Path(f"{stem}{suffix}"), buffer.getvalue()))
    return written
