"""Figures of `psiprune reconstruct`: observables, search, graph, choice of the size."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import fill
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from psiprune.rbm.model import RBM
from psiprune.reconstruction.dataset import as_recorded, levels_of
from psiprune.reporting.figures import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    LOOKS,
    ORANGE,
    faint_grid,
    legend_above,
    legend_below,
    letter,
    mark_beyond,
)
from psiprune.reporting.graph_figure import draw_graph, graph_size
from psiprune.reporting.style import ONE_COLUMN, TWO_COLUMNS, AxesArray, given_axes, styled

_LOSS = "log-likelihood loss (nats per shot)"
_PRUNING = "loss by pruning (nats per shot)"
#: What tells candidates of as many hidden units apart.
_LABELLED = ("scale_free", "links", "method", "learning_rate")
#: The most error bars of a group of observables.
_BARS = 100


@styled
def plot_choice(dataset: xr.Dataset) -> Figure:
    """Plot the validation loss relative to the best candidate, by hidden units and rate."""
    figure = Figure(figsize=(ONE_COLUMN, 2.3), layout="constrained")
    ax = figure.subplots()
    hidden, loss, error, chosen = (
        dataset[f"candidate_{name}"].values for name in ("hidden", "loss", "loss_error", "chosen")
    )
    units, position = np.unique(hidden, return_inverse=True)
    columns = (dataset[f"candidate_{name}"].values for name in _LABELLED)
    labels = [
        (f"{links} links, " if links else "scale-free links, " if scale_free else "")
        + (str(method) if method == "exact" else f"{method}, learning rate {rate:g}")
        for scale_free, links, method, rate in zip(*columns, strict=True)
    ]
    kinds = list(dict.fromkeys(labels))
    kind = np.array([kinds.index(label) for label in labels])
    x = position + 0.06 * kind
    for k, label in enumerate(kinds):
        color, marker, _ = LOOKS[k % len(LOOKS)]
        at, style = kind == k, _style(marker, color, label)
        ax.errorbar(x[at], loss[at], error[at], **style)
    ax.plot(x[chosen], loss[chosen], "o", ms=8, mfc="none", color=BLACK, label="chosen")
    ax.axhline(0.0, lw=0.6, color=GREY)
    ax.set_xticks(range(len(units)), [str(each) for each in units])
    ax.set_xlabel("hidden units")
    ax.set_ylabel(f"{_LOSS}\nrelative to the best")
    faint_grid(ax)
    legend_below(figure, ax, columns=2)
    return figure


@styled
def plot_search(dataset: xr.Dataset) -> Figure:
    """Plot the loss of every RBM of the search and the allowed loss against its weights."""
    figure = Figure(figsize=(ONE_COLUMN, 2.2), layout="constrained")
    ax = figure.subplots()
    draw_search(ax, dataset)
    legend_below(figure, ax, columns=2)
    return figure


def draw_search(ax: Axes, dataset: xr.Dataset) -> None:
    """Draw the loss of every RBM of the search, the allowed loss and, if near, the tolerance."""
    attrs, levels = dataset.attrs, sorted(levels_of(dataset), key=lambda level: level[1])
    weights, loss, error, allowed, accepted = (
        np.array([level[k] for level in levels]) for k in range(1, 6)
    )
    by_likelihood = attrs["measure"] == "log_likelihood"
    # A rejected RBM may be far off; show where the loss leaves the band.
    top = 1.4 * max(allowed.max(), (loss + error)[accepted].max())
    if by_likelihood:
        tolerance, near = attrs["tolerance"], attrs["tolerance"] < 3 * top
        top = max(top, 1.2 * tolerance) if near else top
        if near:
            ax.axhline(tolerance, ls="--", lw=0.8, color=GREY, label=f"tolerance, {tolerance:g}")
    low = min(0.0, (loss - error)[accepted].min()) - 0.05 * top
    ax.fill_between(weights, low, allowed, color=GREEN, alpha=0.15, lw=0, label="allowed")
    ax.plot(weights, loss, "-", lw=0.8, color=GREY, zorder=1)
    for of, style in (
        (accepted, _style("o", BLUE, "accepted")),
        (~accepted, _style("X", ORANGE, "rejected")),
    ):
        if of.any():
            ax.errorbar(weights[of], loss[of], error[of], **style)
    chosen = weights == attrs["weights"]
    ax.plot(weights[chosen], loss[chosen], "o", ms=7, mfc="none", color=BLACK, label="smallest")
    ax.set_ylim(low, top)
    mark_beyond(ax, weights, loss, ORANGE)
    ax.invert_xaxis()
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("weights left")
    ax.set_ylabel(_PRUNING if by_likelihood else f"change of {attrs['measure']}")
    faint_grid(ax)


@styled
def plot_observables(dataset: xr.Dataset) -> Figure:
    """Plot observables of shots and smallest RBM against each other, and C(d) against d.

    For shots with readout errors C(d) also of the true bits, of the shots by inverting the errors.
    """
    figure = Figure(figsize=(TWO_COLUMNS, 3.3), layout="constrained")
    left, right = figure.subplots(1, 2)
    draw_agreement(left, dataset)
    distance = np.arange(dataset.sizes["distance"])[1:]
    recorded = as_recorded(dataset)
    shown = {
        "correlation_shots": _style("s", BLACK, f"test shots{recorded}", mfc="none"),
        "correlation": _style("o", BLUE, f"smallest RBM{recorded}"),
    }
    if recorded:
        of_state = _style("D", GREY, "test shots, readout errors inverted", mfc="none")
        shown |= {
            "state_correlation_shots": of_state,
            "state_correlation": _style("^", ORANGE, "smallest RBM, true bits"),
        }
    for name, style in shown.items():
        value, error = (dataset[f"{name}{x}"].values[1:] for x in ("", "_error"))
        right.errorbar(distance, value, error, **style)
    right.xaxis.set_major_locator(MaxNLocator(integer=True))
    right.set_xlabel("distance d (sites)")
    right.set_ylabel("C(d) from the middle")
    for ax, columns in ((left, 3), (right, 2)):
        legend_above(ax, columns)
    letter((left, right))
    faint_grid(right)
    return figure


class _Group(NamedTuple):
    """Expectation values of one kind, with their standard errors."""

    label: str
    marker: str
    color: str
    value: NDArray[np.float64]
    shots: NDArray[np.float64]
    error: NDArray[np.float64]
    shots_error: NDArray[np.float64]

    def ends(self) -> Iterator[NDArray[np.float64]]:
        """Yield the ends of all error bars."""
        for sign in (-1, 1):
            yield self.value + sign * self.error
            yield self.shots + sign * self.shots_error


def draw_agreement(ax: Axes, dataset: xr.Dataset) -> None:
    """Draw all <Z_i>, <Z_i Z_j> and C(d) of the smallest RBM against those of the test shots.

    Error bars are the standard errors of both; those of the shots are (V / n)^(1/2), V the variance
    of one of n independent shots. At most 100 of a kind have error bars.
    """
    groups = list(_groups(dataset))
    every = np.concatenate([[0.0], *(end for group in groups for end in group.ends())])
    low, high = float(every.min()), float(every.max())
    margin = 0.06 * max(high - low, 0.05)
    ends = (low - margin, high + margin)
    ax.plot(ends, ends, lw=1.0, color=GREY, zorder=0)
    for label, marker, color, value, shots, error, shots_error in groups:
        few = len(value) <= _BARS
        look: dict[str, Any] = {"ms": 3.5, "mec": "white", "mew": 0.3, "alpha": 0.9}
        if not few:
            look = {"ms": 2.0, "mec": "none", "alpha": 0.5, "rasterized": True}
        ax.errorbar(
            shots,
            value,
            error,
            shots_error,
            fmt=marker,
            color=color,
            label=label,
            elinewidth=0.6,
            errorevery=-(-len(value) // _BARS),
            **look,
        )
    ax.set_xlim(*ends)
    ax.set_ylim(*ends)
    ax.set_aspect("equal")
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.yaxis.set_major_locator(MaxNLocator(5))
    ax.set_xlabel(f"test shots{as_recorded(dataset)}")
    ax.set_ylabel(f"smallest RBM{as_recorded(dataset)}")
    faint_grid(ax)


def _groups(dataset: xr.Dataset) -> Iterator[_Group]:
    shots, value, error = (
        dataset[f"pairs_{name}"].values for name in ("shots_value", "value", "error")
    )
    independent = dataset.attrs["test_shots"] / dataset.attrs["inefficiency"]
    shots_error = np.sqrt(np.maximum(1 - shots**2, 0.0) / independent)
    arrays = (value, shots, error, shots_error)
    if dataset.attrs["sites"] > 1:
        of = np.triu_indices(dataset.attrs["sites"], 1)
        label = r"$\langle Z_i Z_j \rangle$"
        yield _Group(label, "o", BLUE, *(each[of] for each in arrays))
    yield _Group(r"$\langle Z_i \rangle$", "s", ORANGE, *(each.diagonal() for each in arrays))
    if dataset.sizes["distance"] > 1:
        names = ("", "_shots", "_error", "_shots_error")
        decay = (dataset[f"correlation{name}"].values[1:] for name in names)
        yield _Group("$C(d)$", "^", GREEN, *decay)


@styled
def plot_graph(rbm: RBM) -> Figure:
    """Draw the smallest RBM as a graph."""
    figure = Figure(figsize=graph_size(rbm), layout="constrained")
    draw_graph(figure.subplots(), rbm)
    return figure


def draw_figures(dataset: xr.Dataset, rbm: RBM) -> dict[str, Figure]:
    """Draw the figures of the report by name."""
    return {
        "observables": plot_observables(dataset),
        "search": plot_search(dataset),
        "graph": plot_graph(rbm),
        "choice": plot_choice(dataset),
    }


@styled
def plot_answer(
    dataset: xr.Dataset, rbm: RBM, title: str, *, ax: ArrayLike | None = None
) -> AxesArray:
    """Draw the answer on three axes: shots against RBM, weights against loss, the graph.

    A new figure has the title; axes of the caller, `ax`, don't.
    """
    if ax is None:
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=(TWO_COLUMNS, 5.4), layout="constrained")
        mosaic = figure.subplot_mosaic("AS;GG", height_ratios=(2, 1))
        figure.suptitle("\n".join(fill(line, 105) for line in title.split("\n")))
        axes = np.array([mosaic[name] for name in "ASG"], object)
    else:
        axes = given_axes(ax, (1, 3), (0.0, 0.0))[0]
    agreement, search, graph = axes
    draw_agreement(agreement, dataset)
    draw_search(search, dataset)
    # Above the axes, as curves of any shape may fill them.
    for each, columns in ((agreement, 3), (search, 2)):
        legend_above(each, columns)
    draw_graph(graph, rbm)
    if ax is None:
        letter(axes)
    return axes


def _style(marker: str, color: str, label: str, **more: Any) -> dict[str, Any]:
    return {"fmt": marker, "color": color, "label": label, **more}
