"""The figure of an RBM's clusters."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from psiprune.figures.weights import draw_weights, outline_clusters
from psiprune.rbm import RBM


def plot_clusters(rbm: RBM, clusters: xr.Dataset) -> Figure:
    """The weights of an RBM with the clusters that `find_clusters` found in it.

    Solid outlines are clusters that count, dotted ones the strongest windows of the other units,
    crosses weights that do not exist.
    """
    width, found = int(clusters.attrs["width"]), clusters["found"].values
    figure = Figure(
        figsize=(2.2 + 0.32 * rbm.visible, 1.6 + 0.32 * rbm.hidden), layout="constrained"
    )
    ax = figure.subplots()
    image = draw_weights(ax, rbm.weights, rbm.mask, float(np.abs(rbm.weights).max()))
    outline_clusters(ax, clusters["first_site"].values, found, width)
    ax.set_xlabel("site")
    ax.set_ylabel("hidden unit")
    ax.set_title(f"{int(found.sum())} of {rbm.hidden} units with a cluster of {width} sites")
    figure.colorbar(image, ax=ax, label="weight")
    return figure
