"""Figures of `psiprune reconstruct`: choice of the size, search, observables."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from psiprune.reconstruction.dataset import observable_names
from psiprune.reporting.figures import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    LOOKS,
    ORANGE,
    faint_grid,
    legend_below,
)

_LOSS = "log-likelihood loss (nats per shot)"


def plot_choice(dataset: xr.Dataset) -> Figure:
    """Plot the validation loss relative to the best candidate, by hidden units and rate."""
    figure = Figure(figsize=(6.0, 4.0), layout="constrained")
    ax = figure.subplots()
    hidden, loss, error, chosen = (
        dataset[f"candidate_{name}"].values for name in ("hidden", "loss", "loss_error", "chosen")
    )
    units, position = np.unique(hidden, return_inverse=True)
    labels = [
        str(method) if method == "exact" else f"{method}, learning rate {rate:g}"
        for method, rate in zip(
            dataset["candidate_method"].values,
            dataset["candidate_learning_rate"].values,
            strict=True,
        )
    ]
    kinds = list(dict.fromkeys(labels))
    kind = np.array([kinds.index(label) for label in labels])
    x = position + 0.06 * kind
    for k, label in enumerate(kinds):
        color, marker, _ = LOOKS[k % len(LOOKS)]
        at, style = kind == k, _style(marker, color, label)
        ax.errorbar(x[at], loss[at], error[at], ms=5, lw=1.2, capsize=3, **style)
    ax.plot(x[chosen], loss[chosen], "o", ms=14, mfc="none", color=BLACK, label="chosen")
    ax.axhline(0.0, lw=0.8, color=GREY)
    ax.set_xticks(range(len(units)), [str(each) for each in units])
    ax.set_xlabel("hidden units")
    ax.set_ylabel(f"{_LOSS}\nrelative to the best")
    faint_grid(ax)
    legend_below(figure, ax, columns=2)
    return figure


def plot_search(dataset: xr.Dataset) -> Figure:
    """Plot the loss of every RBM of the search and the allowed loss against its weights."""
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    ax = figure.subplots()
    order = np.argsort(dataset["trial_weights"].values)[::-1]
    weights, loss, error, allowed = (
        dataset[f"trial_{name}"].values[order] for name in ("weights", "loss", "error", "allowed")
    )
    ax.errorbar(
        weights, loss, error, fmt="o-", ms=3.5, lw=1.0, color=BLUE, label="validation shots"
    )
    ax.errorbar(
        dataset.attrs["weights"],
        float(dataset["test_loss"]),
        float(dataset["test_error"]),
        **_style("s", ORANGE, "smallest RBM, test shots", mfc="none", ms=7, capsize=3),
    )
    ax.set_xlim(1.02 * weights.max(), 0.98 * weights.min())
    # A rejected RBM may be far off; show where the loss leaves the band.
    low, high = ax.get_ylim()
    ax.set_ylim(low, max(allowed.max(), min(high, 4 * allowed.max())))
    label = "allowed: spread of seeds and noise of shots"
    ax.fill_between(weights, low, allowed, color=GREEN, alpha=0.15, lw=0, label=label)
    ax.set_xlabel("weights left")
    measure = dataset.attrs["measure"]
    ax.set_ylabel(_LOSS if measure == "log_likelihood" else f"change of {measure}")
    faint_grid(ax)
    legend_below(figure, ax, columns=2)
    return figure


def plot_observables(dataset: xr.Dataset) -> Figure:
    """Plot C(d) of test shots and smallest RBM, and deviations of all scalar observables."""
    figure = Figure(figsize=(9.0, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    distance = np.arange(dataset.sizes["distance"])[1:]
    for suffix, style in (
        ("_shots", _style("s", BLACK, "test shots", mfc="none")),
        ("", _style("o", BLUE, "smallest RBM")),
    ):
        value, error = (dataset[f"correlation{suffix}{x}"].values[1:] for x in ("", "_error"))
        left.errorbar(distance, value, error, ms=5, lw=1.0, **style)
    left.set_xlabel("distance d (sites)")
    left.set_ylabel("C(d) from the middle")
    left.legend(frameon=False)
    names = [name for name in observable_names(dataset) if dataset[name].ndim == 0]
    sigmas = [float(dataset[f"{name}_sigmas"]) for name in names]
    right.axvspan(-1, 1, color=GREY, alpha=0.2, lw=0)
    right.plot(sigmas, range(len(names)), "o", color=BLUE)
    right.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    right.set_ylim(len(names) - 0.5, -0.5)
    wide = max(3.5, 1.1 * float(np.nanmax(np.abs(sigmas)))) if names else 3.5
    right.set_xlim(-wide, wide)
    right.set_xlabel("RBM − test shots (standard errors of both)")
    for ax in (left, right):
        faint_grid(ax)
    return figure


def _style(marker: str, color: str, label: str, **more: Any) -> dict[str, Any]:
    return {"fmt": marker, "color": color, "label": label, **more}
