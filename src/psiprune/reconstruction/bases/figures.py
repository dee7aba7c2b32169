"""Figures of `psiprune reconstruct` on shots in several bases."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, MultipleLocator
from numpy.typing import ArrayLike

from psiprune.rbm.phase import PhaseRBM
from psiprune.reconstruction.bases.checks import basis_deviations
from psiprune.reconstruction.figures import draw_search
from psiprune.reporting.figures import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    faint_grid,
    legend_above,
    legend_below,
)
from psiprune.reporting.graph_figure import draw_graph
from psiprune.reporting.style import ONE_COLUMN, TWO_COLUMNS, AxesArray, given_axes, styled

#: The most bases with a name at the axis.
_NAMED = 40


def draw_pairs(ax: Axes, dataset: xr.Dataset) -> None:
    """Draw all <P_i> and <P_i P_j> of the smallest state against those of the test shots.

    A band shows two standard errors of the shots in a basis, sqrt((1 - <P>^2) / n).
    """
    value, shots = (dataset[f"pairs_{name}"].values for name in ("value", "shots"))
    upper = np.triu_indices(dataset.attrs["sites"], 1)
    groups = (
        ("o", BLUE, r"$\langle P_i P_j \rangle$", [each[:, *upper] for each in (shots, value)]),
        (
            "s",
            ORANGE,
            r"$\langle P_i \rangle$",
            [np.diagonal(each, axis1=1, axis2=2) for each in (shots, value)],
        ),
    )
    line = np.linspace(-1, 1, 201)
    error = np.sqrt((1 - line**2) / np.median(dataset["basis_shots"]))
    label = r"$2\sigma$ of the shots"
    low, high = line - 2 * error, line + 2 * error
    ax.fill_betweenx(line, low, high, color=GREY, alpha=0.2, lw=0, label=label)
    ax.plot(line, line, lw=1.0, color=GREY, zorder=0)
    for marker, color, label, (x, y) in groups:
        drawn = ax.plot(x.ravel(), y.ravel(), marker, color=color, label=label, ms=3.5, alpha=0.8)
        drawn[0].set(markeredgecolor="white", markeredgewidth=0.3, rasterized=x.size > 500)
    ax.set_aspect("equal")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MultipleLocator(0.5))
    ax.set_xlabel("test shots")
    ax.set_ylabel("smallest state")
    ax.legend(frameon=False, loc="upper left")
    faint_grid(ax)


@styled
def plot_bases(dataset: xr.Dataset) -> Figure:
    """Plot expectation values in all bases, and the deviation of the likelihood by basis."""
    figure = Figure(figsize=(TWO_COLUMNS, 3.3), layout="constrained")
    left, right = figure.subplots(1, 2)
    draw_pairs(left, dataset)
    bases, deviations = dataset["basis"].values, basis_deviations(dataset)
    right.axhspan(-2, 2, color=GREEN, alpha=0.15, lw=0)
    right.bar(np.arange(len(bases)), deviations, color=BLUE, width=0.7)
    if len(bases) <= _NAMED:
        right.set_xticks(range(len(bases)), list(bases), rotation=90, family="monospace", size=5)
    else:
        right.set_xlabel("number of the basis")
    right.set_ylabel("log-likelihood of test shots, deviation (σ)")
    faint_grid(right)
    return figure


@styled
def plot_search(dataset: xr.Dataset) -> Figure:
    """Plot the loss of every state of the search, and the weights that each network keeps."""
    figure = Figure(figsize=(TWO_COLUMNS, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    draw_search(left, dataset)
    legend_below(figure, left, columns=2)
    total = dataset["trial_weights"].values
    order = np.argsort(-total)
    for name, color, marker in (("amplitude", BLUE, "o"), ("phase", ORANGE, "s")):
        kept = dataset[f"trial_{name}_weights"].values[order]
        right.plot(total[order], kept, marker=marker, ms=4, color=color, label=f"of the {name}s")
    right.axvline(dataset.attrs["weights"], color=GREY, lw=1.0, ls=":", label="smallest")
    right.invert_xaxis()
    right.set_xlabel("weights left")
    right.set_ylabel("weights of each network")
    right.legend(frameon=False)
    faint_grid(right)
    return figure


@styled
def plot_graphs(rbm: PhaseRBM) -> Figure:
    """Draw both networks of the smallest state as graphs."""
    figure = Figure(figsize=(TWO_COLUMNS, 2.4), layout="constrained")
    _draw_graphs(list(figure.subplots(1, 2)), rbm)
    return figure


def _draw_graphs(axes: Sequence[Axes], rbm: PhaseRBM) -> None:
    named = (rbm.amplitude, "amplitudes"), (rbm.phase, "phases")
    for ax, (network, title) in zip(axes, named, strict=True):
        draw_graph(ax, network)
        ax.set_title(title, loc="left")  # beside the legend of signs


@styled
def plot_entropy(dataset: xr.Dataset) -> Figure:
    """Plot the entanglement entropy against the cut, of the smallest and the unpruned state."""
    figure = Figure(figsize=(ONE_COLUMN, 2.2), layout="constrained")
    ax = figure.subplots()
    cut = dataset["cut"].values
    ax.plot(cut, dataset["entropy_dense"], "s-", color=BLACK, mfc="none", label="unpruned")
    ax.plot(cut, dataset["entropy"], "o-", color=BLUE, label="smallest")
    ax.set_xlabel("sites on the left")
    ax.set_ylabel("entanglement entropy (nats)")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(frameon=False)
    faint_grid(ax)
    return figure


def draw_figures(dataset: xr.Dataset, rbm: PhaseRBM) -> dict[str, Figure]:
    """Draw the figures of the report by name."""
    return {
        "bases": plot_bases(dataset),
        "search": plot_search(dataset),
        "graph": plot_graphs(rbm),
        "entropy": plot_entropy(dataset),
    }


@styled
def plot_answer(
    dataset: xr.Dataset, rbm: PhaseRBM, title: str, *, ax: ArrayLike | None = None
) -> AxesArray:
    """Draw the answer on four axes: shots against state, weights against loss, both graphs.

    A new figure has the title; axes of the caller, `ax`, don't.
    """
    if ax is None:
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=(TWO_COLUMNS, 5.4), layout="constrained")
        mosaic = figure.subplot_mosaic("AS;PQ", height_ratios=(2, 1))
        figure.suptitle("\n".join(fill(line, 105) for line in title.split("\n")))
        axes = np.array([mosaic[name] for name in "ASPQ"], object)
    else:
        axes = given_axes(ax, (1, 4), (0.0, 0.0))[0]
    pairs, search, *graphs = axes
    draw_pairs(pairs, dataset)
    draw_search(search, dataset)
    legend_above(search, 3)
    _draw_graphs(graphs, rbm)
    return axes
