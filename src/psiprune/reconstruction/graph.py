"""Drawing of an RBM as a graph: the chain of sites, and the hidden units above it."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from psiprune.rbm.model import RBM
from psiprune.reporting.figures import BLACK, BLUE, GREY, ORANGE

#: Names of sites are written up to this number, then every fifth or tenth.
_NAMED = 20


def draw_graph(ax: Axes, rbm: RBM) -> None:
    """Draw each weight as a line, as wide as |W|; hidden units stand above the sites they join.

    Hidden units without weights are left out.
    """
    mask = rbm.mask[rbm.mask.any(axis=1)]
    sites = np.arange(rbm.visible)
    dot = float(np.clip(600 / rbm.visible, 8, 90))
    if len(mask):
        units, where = np.nonzero(mask)
        weights = rbm.weights[rbm.mask]
        strength = np.where(mask, np.abs(rbm.weights[rbm.mask.any(axis=1)]), 0.0)
        place = _places(strength)
        share = np.abs(weights) / max(np.abs(weights).max(), 1e-300)
        order = np.argsort(share)  # the strongest on top
        ends = [[(where[k], 0.0), (place[units[k]], 1.0)] for k in order]
        crowd = float(np.clip(6 * rbm.visible / len(weights), 0.25, 1.0))
        colors = [BLUE if weights[k] > 0 else ORANGE for k in order]
        lines = LineCollection(
            ends,
            linewidths=(0.4 + 3.6 * share[order]) * crowd**0.5,
            colors=colors,
            alpha=np.clip(0.25 + 0.75 * share[order], 0.0, 1.0),
            zorder=1,
        )
        ax.add_collection(lines)
        ax.scatter(place, np.ones(len(place)), s=dot, marker="s", color=BLACK, zorder=2)
    ax.plot(sites, 0 * sites, color=GREY, lw=0.8, zorder=0)
    ax.scatter(sites, 0 * sites, s=dot, color="white", edgecolor=BLACK, zorder=2)
    step = 1 if rbm.visible <= _NAMED else 5 if rbm.visible <= 50 else 10
    ax.set_xticks(sites[::step], [str(site) for site in sites[::step]])
    ax.set_yticks([0, 1], ["sites", "hidden"])
    ax.tick_params(length=0)
    ax.set_xlim(-0.6, rbm.visible - 0.4)
    ax.set_ylim(-0.12, 1.12)
    for side in ax.spines.values():
        side.set_visible(False)
    if not len(mask):
        ax.text((rbm.visible - 1) / 2, 0.5, "no weights: independent bits", ha="center")
        return
    handles = [
        Line2D([], [], color=color, lw=2.5, label=label)
        for color, label in ((BLUE, "W > 0"), (ORANGE, "W < 0"))
    ]
    ax.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=2, frameon=False
    )


def _places(strength: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a place along the chain for each unit: evenly spaced, in order of their centres.

    Args:
        strength: |W|, [hidden, visible], each unit with a weight.
    """
    sites = strength.shape[1]
    centre = (strength + 1e-300) @ np.arange(sites) / (strength + 1e-300).sum(axis=1)
    rank = np.argsort(np.argsort(centre, kind="stable"), kind="stable")
    return np.asarray((rank + 0.5) / len(rank) * sites - 0.5)
