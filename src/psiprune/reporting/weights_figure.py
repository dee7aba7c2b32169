"""Figure of a weight matrix with its clusters outlined."""

from __future__ import annotations

from typing import cast

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from psiprune.rbm.model import RBM
from psiprune.reporting.figures import GREY
from psiprune.reporting.style import ONE_COLUMN, TWO_COLUMNS, given_axes, styled

#: Red and blue of the same lightness, distinct for any colour vision.
POSITIVE, NEGATIVE = "#B2182B", "#2166AC"
#: Points of the numbers in the cells of a matrix.
_CELL = 4.5


def draw_weights(
    ax: Axes, weights: NDArray[np.float64], mask: NDArray[np.generic], scale: float
) -> AxesImage:
    """Draw W [hidden, visible], blue to red from -scale to scale; crosses are missing weights."""
    image = ax.imshow(weights, cmap="RdBu_r", vmin=-scale, vmax=scale, aspect="auto")
    unit, site = np.nonzero(~mask.astype(bool))
    ax.plot(site, unit, "x", ms=2.5, mew=0.5, color=GREY)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(6, integer=True))
    return image


def write_weights(
    ax: Axes, weights: NDArray[np.float64], mask: NDArray[np.bool_], scale: float
) -> None:
    """Write each weight into its cell; in a large matrix only the signs of the larger ones."""
    small = weights.shape[1] <= 12
    for unit, site in np.argwhere(mask):
        w = weights[unit, site]
        if small or abs(w) > 0.15 * scale:
            digits = f"{round(w, 1) + 0.0:.1f}".replace("-", "−")  # + 0.0: no minus zero
            text = digits if small else "+" if w > 0 else "−"
            color = "white" if abs(w) > 0.6 * scale else "black"
            ax.text(site, unit, text, ha="center", va="center", fontsize=_CELL, color=color)


def outline_clusters(
    ax: Axes, first: NDArray[np.int64], found: NDArray[np.bool_], width: int
) -> None:
    """Draw a box around each unit's window of `width` sites, dotted if it is not a cluster."""
    for unit, (site, is_cluster) in enumerate(zip(first, found, strict=True)):
        box = Rectangle((site - 0.5, unit - 0.5), width, 1, fill=False, lw=0.9)
        box.set_linestyle("-" if is_cluster else ":")
        ax.add_patch(box)


@styled
def plot_clusters(rbm: RBM, clusters: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Draw the weights of an RBM with the clusters that `find_clusters` found in it.

    Solid outlines are clusters, dotted ones the strongest windows of the other units, crosses
    missing weights.

    Args:
        rbm: the RBM.
        clusters: its `find_clusters`.
        ax: axes to draw on, by default of a new figure in psiprune's style.

    Returns:
        The axes; `ax.figure.savefig("clusters.png")` writes the figure.

    Raises:
        InputError: `ax` is not axes.
    """
    ((drawn,),) = given_axes(ax, (1, 1), _size(rbm))
    _draw_clusters(drawn, rbm, clusters)
    return cast(Axes, drawn)


@styled
def clusters_figure(rbm: RBM, clusters: xr.Dataset) -> Figure:
    """Draw `plot_clusters` as a figure that pyplot does not know."""
    figure = Figure(figsize=_size(rbm), layout="constrained")
    _draw_clusters(figure.subplots(), rbm, clusters)
    return figure


def _size(rbm: RBM) -> tuple[float, float]:
    return ONE_COLUMN if rbm.visible <= 30 else TWO_COLUMNS, min(0.7 + 0.13 * rbm.hidden, 7.0)


def _draw_clusters(ax: Axes, rbm: RBM, clusters: xr.Dataset) -> None:
    width, found = int(clusters.attrs["width"]), clusters["found"].values
    image = draw_weights(ax, rbm.weights, rbm.mask, float(np.abs(rbm.weights).max()))
    outline_clusters(ax, clusters["first_site"].values, found, width)
    ax.set_xlabel("site")
    ax.set_ylabel("hidden unit")
    ax.set_title(f"{int(found.sum())} of {rbm.hidden} units with a cluster of {width} sites")
    ax.figure.colorbar(image, ax=ax, label="weight")
