"""Time saved against density."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from psiprune.reporting.figures import GREY, LOOKS, faint_grid, legend_below
from psiprune.reporting.style import ONE_COLUMN, styled

_TIMES = (
    ("cd_update", "CD-{cd_steps} update, {batch_size} shots"),
    ("gibbs_step", "Gibbs step of one chain"),
)


@styled
def plot_timing(timing: Mapping[str, Any]) -> Figure:
    """Time of an update and of a Gibbs step of one chain against density, relative to dense.

    On the diagonal time is proportional to the number of weights; above it, part of the
    time does not depend on the weights.

    Args:
        timing: as `time_levels` returns it.
    """
    rows = timing["rows"]
    density = [row["density"] for row in rows]
    figure = Figure(figsize=(ONE_COLUMN, 2.4), layout="constrained")
    ax = figure.subplots()
    ax.plot([0, 1], [0, 1], "--", lw=0.8, color=GREY, label="proportional to the weights")
    for (name, words), (color, marker, line) in zip(_TIMES, LOOKS, strict=False):
        dense = rows[0][name]
        label = f"{words.format(**timing)} (dense: {dense:.3g} µs)"
        share = [row[name] / dense for row in rows]
        ax.plot(density, share, marker=marker, ls=line, color=color, label=label)
    ax.set_xlabel("density (fraction of weights kept)")
    ax.set_ylabel("time relative to dense")
    ax.set_xlim(0.0, 1.03)
    ax.set_ylim(bottom=0.0)
    ax.set_title(f"RBM of {timing['sites']} × {timing['hidden']} units, one core")
    legend_below(figure, ax, columns=1)
    faint_grid(ax)
    return figure
