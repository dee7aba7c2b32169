"""Figure of an RBM as a graph: the chain of sites, and the hidden units above it."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from psiprune.rbm.model import RBM
from psiprune.reporting.figures import BLACK, GREY
from psiprune.reporting.style import ONE_COLUMN, TWO_COLUMNS, given_axes, styled
from psiprune.reporting.weights_figure import NEGATIVE, POSITIVE

#: Names of sites are written up to this number, then every fifth or tenth.
_NAMED = 20
#: Line of negative weights.
_DASHED = (0, (3.0, 0.8))


@styled
def plot_rbm(rbm: RBM, *, ax: Axes | None = None) -> Axes:
    """Draw an RBM as a graph: the chain of sites, and above it the hidden units that have weights.

    Each weight is a line as wide as |W|, red and solid if positive, blue and dashed if negative.
    Hidden units stand in the order of their centres, evenly spaced.

    Args:
        rbm: of any size; lines of more than a few hundred weights can't be told apart.
        ax: axes to draw on, by default of a new figure in psiprune's style.

    Returns:
        The axes; `ax.figure.savefig("rbm.png")` writes the figure.

    Raises:
        InputError: `ax` is not axes.

    Examples:
        ax = pp.plot_rbm(levels[-1].rbm)
    """
    ((drawn,),) = given_axes(ax, (1, 1), graph_size(rbm))
    draw_graph(drawn, rbm)
    return cast(Axes, drawn)


def graph_size(rbm: RBM) -> tuple[float, float]:
    """Return width and height of the figure of an RBM in inches."""
    return ONE_COLUMN if rbm.visible <= _NAMED else TWO_COLUMNS, 1.7


def draw_graph(ax: Axes, rbm: RBM) -> None:
    """Draw the graph of `plot_rbm`."""
    mask = rbm.mask[rbm.mask.any(axis=1)]
    sites = np.arange(rbm.visible)
    dot = float(np.clip(300 / rbm.visible, 4, 30))
    if len(mask):
        units, where = np.nonzero(mask)
        weights = rbm.weights[rbm.mask]
        strength = np.where(mask, np.abs(rbm.weights[rbm.mask.any(axis=1)]), 0.0)
        place = _places(strength)
        share = np.abs(weights) / max(np.abs(weights).max(), 1e-300)
        order = np.argsort(share)  # the strongest on top
        ends = [[(where[k], 0.0), (place[units[k]], 1.0)] for k in order]
        crowd = float(np.clip(6 * rbm.visible / len(weights), 0.25, 1.0))
        colors = [POSITIVE if weights[k] > 0 else NEGATIVE for k in order]
        lines = LineCollection(
            ends,
            linewidths=(0.3 + 2.2 * share[order]) * crowd**0.5,
            colors=colors,
            linestyles=["-" if weights[k] > 0 else _DASHED for k in order],
            alpha=np.clip(0.25 + 0.75 * share[order], 0.0, 1.0),
            zorder=1,
        )
        ax.add_collection(lines)
        ax.scatter(place, np.ones(len(place)), s=dot, marker="s", color=BLACK, zorder=2)
    ax.plot(sites, 0 * sites, "-", color=GREY, lw=0.6, zorder=0)
    look: dict[str, Any] = {"color": "white", "edgecolor": BLACK, "linewidth": 0.6, "zorder": 2}
    ax.scatter(sites, 0 * sites, s=dot, **look)
    ax.set_xlabel("site")
    step = 1 if rbm.visible <= _NAMED else 5 if rbm.visible <= 50 else 10
    ax.set_xticks(sites[::step], [str(site) for site in sites[::step]])
    ax.set_yticks([0, 1], ["visible", "hidden"])
    ax.tick_params(length=0)
    ax.set_xlim(-0.6, rbm.visible - 0.4)
    ax.set_ylim(-0.12, 1.12)
    for side in ax.spines.values():
        side.set_visible(False)
    if not len(mask):
        ax.text((rbm.visible - 1) / 2, 0.5, "no weights: independent bits", ha="center")
        return
    looks = ((POSITIVE, "-", "W > 0"), (NEGATIVE, _DASHED, "W < 0"))
    handles = [Line2D([], [], color=color, ls=ls, lw=1.5, label=word) for color, ls, word in looks]
    ax.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)


def _places(strength: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a place along the chain for each unit: evenly spaced, in order of their centres.

    Args:
        strength: |W|, [hidden, visible], each unit with a weight.
    """
    sites = strength.shape[1]
    centre = (strength + 1e-300) @ np.arange(sites) / (strength + 1e-300).sum(axis=1)
    rank = np.argsort(np.argsort(centre, kind="stable"), kind="stable")
    return np.asarray((rank + 0.5) / len(rank) * sites - 0.5)
