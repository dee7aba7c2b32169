"""The paper's Fig. 1: the graph of an RBM before and after pruning."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.reporting.figures import BLACK, GREY
from psiprune.reporting.labels import phase_label
from psiprune.reporting.style import ONE_COLUMN, styled
from psiprune.reporting.weights_figure import NEGATIVE, POSITIVE, draw_weights, write_weights

#: Points of a line for the largest weight, and of the thinnest line.
_WIDEST, _THINNEST = 2.6, 0.1


@styled
def plot_graph(models: xr.Dataset, level: int | None = None) -> Figure:
    """The paper's Fig. 1: an RBM's graph above its weights, before pruning and at one level.

    A line is a weight: as wide as it is large, red and solid if positive, blue and hollow if
    negative, both rows on one scale. Crosses in the matrix are weights that are pruned. Hidden
    units have no natural order: they are sorted by the site of their largest weight before pruning.

    Args:
        models: RBMs of one field over level, hidden and visible, as `psiprune paper` writes them.
        level: of the lower row; that nearest to half pruned, as in the paper, if not given.

    Raises:
        InputError: there are several fields, or there is no such level.
    """
    if "field" in models.dims:
        raise InputError("models: must be of one field, found several; give models.sel(field=...)")
    pruned = models["fraction_pruned"].values
    if level is None:
        level = int(np.abs(pruned - 0.5).argmin())
    if not 0 <= level < len(pruned):
        raise InputError(f"level: must be from 0 to {len(pruned) - 1}, found {level}")
    both = models.isel(level=[0, level])
    scale = float(np.abs(both["weights"]).max())
    order = np.abs(both["weights"].values[0]).argmax(axis=1).argsort(kind="stable")
    hidden, visible = both.sizes["hidden"], both.sizes["visible"]
    height = min(2.2, max(0.9, 0.18 * hidden))
    figure = Figure(figsize=(ONE_COLUMN, 1.4 + 4 * height), layout="constrained")
    axes = figure.subplots(4, 1).reshape(2, 2)
    for k, (graph, matrix) in enumerate(axes):
        one = both.isel(level=k)
        weights, mask = one["weights"].values[order], one["mask"].values[order].astype(bool)
        _draw_graph(graph, weights, mask, order, scale)
        graph.set_title(_title(one))
        graph.set_title(f"({'ab'[k]})", loc="left")
        image = draw_weights(matrix, weights, mask, scale)
        write_weights(matrix, weights, mask, scale)
        matrix.set_ylabel("hidden unit")
        matrix.set_yticks(range(hidden), order)
        matrix.set_xticks(range(0, visible, 1 if visible <= 20 else visible // 10))
    axes[1, 1].set_xlabel("visible unit (site)")
    figure.colorbar(image, ax=axes[1, 1], label="weight", location="bottom", aspect=40)
    _explain(figure)
    figure.suptitle(f"{visible} sites, {phase_label(models, float(models['field']))}")
    return figure


def _title(one: xr.Dataset) -> str:
    kept, parts = int(one["weights_kept"]), int(one["components"])
    pruned = float(one["fraction_pruned"])
    state = f"{pruned:.0%} pruned" if pruned else "before pruning"
    return f"{state}: {kept} weights, {'connected' if parts == 1 else f'{parts} parts'}"


def _explain(figure: Figure) -> None:
    core = Line2D([], [], lw=0.4 * _WIDEST, color="white")
    below = (Line2D([], [], lw=_WIDEST, color=NEGATIVE), core)
    handles: Any = [
        Line2D([], [], lw=_WIDEST, color=POSITIVE),
        below,
        Line2D([], [], ls="", marker="x", color=GREY),
    ]
    labels = ["weight above 0", "below 0", "pruned"]
    figure.legend(handles, labels, loc="outside lower center", ncols=3)


def _draw_graph(
    ax: Axes,
    weights: NDArray[np.float64],
    mask: NDArray[np.bool_],
    names: NDArray[np.intp],
    scale: float,
) -> None:
    """Visible units below, hidden ones above and as far apart; the largest weights on top."""
    hidden, visible = weights.shape
    below = np.arange(visible, dtype=float)
    above = (np.arange(hidden) + 0.5) * visible / hidden - 0.5
    unit, site = np.nonzero(mask)
    rising = np.abs(weights[unit, site]).argsort(kind="stable")
    ends, widths, colors = [], [], []
    widest = _WIDEST * min(1.0, 20.0 / visible)  # of many lines each has less room
    for j, i in zip(unit[rising], site[rising], strict=True):
        w = float(weights[j, i])
        width = _THINNEST + (widest - _THINNEST) * abs(w) / scale
        ends.append([(below[i], 0.0), (above[j], 1.0)])
        widths.append(width)
        colors.append(POSITIVE if w > 0 else NEGATIVE)
        if w < 0 and width > 1.0:
            ends.append(ends[-1])
            widths.append(0.4 * width)
            colors.append("white")
    ax.add_collection(LineCollection(ends, linewidths=widths, colors=colors, zorder=1))
    size = max(2.0, min(6.0, 80.0 / visible))
    for at, y, face, word in ((above, 1.0, GREY, "hidden"), (below, 0.0, "white", "visible")):
        ax.plot(at, np.full(len(at), y), "o", ms=size, mfc=face, mec=BLACK, mew=0.6, zorder=2)
        ax.text(-1.1, y, word, ha="right", va="center")
    if visible <= 20:
        style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": "x-small"}
        apart = size / 2 + 4.5  # points between the middles of a unit and its number
        for at, y, who, away in ((above, 1.0, names, apart), (below, 0.0, range(visible), -apart)):
            for x, name in zip(at, who, strict=True):
                ax.annotate(str(name), (x, y), (0, away), textcoords="offset points", **style)
    ax.set_xlim(-1.0, visible)
    ax.set_ylim(-0.3, 1.3)
    ax.set_axis_off()
