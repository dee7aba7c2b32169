"""The figures of `psiprune reconstruct`: which size, how far it can be pruned, what it says."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from psiprune.reconstruction.dataset import OBSERVABLES
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

_LOSS = "loss of log-likelihood (nat a shot)"


def plot_choice(found: xr.Dataset) -> Figure:
    """Loss of held-out likelihood against the best candidate, by hidden units and learning rate."""
    figure = Figure(figsize=(6.0, 4.0), layout="constrained")
    ax = figure.subplots()
    units = sorted(set(found["candidate_hidden"].values.tolist()))
    hidden = np.array([units.index(each) for each in found["candidate_hidden"].values])
    kinds = list(
        zip(
            found["candidate_method"].values.tolist(),
            found["candidate_learning_rate"].values.tolist(),
            strict=True,
        )
    )
    for k, kind in enumerate(dict.fromkeys(kinds)):
        here = np.array([each == kind for each in kinds])
        color, marker, _ = LOOKS[k % len(LOOKS)]
        ax.errorbar(
            hidden[here] + 0.06 * k,
            found["candidate_loss"].values[here],
            found["candidate_loss_limit"].values[here],
            fmt=marker,
            ms=5,
            lw=1.2,
            capsize=3,
            color=color,
            label=kind[0] if kind[0] == "exact" else f"{kind[0]}, learning rate {kind[1]:g}",
        )
    chosen = found["candidate_chosen"].values
    ax.plot(
        hidden[chosen] + 0.06 * list(dict.fromkeys(kinds)).index(kinds[int(np.argmax(chosen))]),
        found["candidate_loss"].values[chosen],
        "o",
        ms=14,
        mfc="none",
        color=BLACK,
        label="chosen",
    )
    ax.axhline(0.0, lw=0.8, color=GREY)
    ax.set_xticks(range(len(units)), [str(each) for each in units])
    ax.set_xlabel("hidden units")
    ax.set_ylabel(f"{_LOSS}\nagainst the best")
    faint_grid(ax)
    legend_below(figure, ax, columns=2)
    return figure


def plot_search(found: xr.Dataset) -> Figure:
    """The loss of every RBM of the search beside what is allowed, against its weights."""
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    ax = figure.subplots()
    order = np.argsort(found["trial_weights"].values)[::-1]
    weights, loss, error, allowed = (
        found[f"trial_{name}"].values[order] for name in ("weights", "loss", "error", "allowed")
    )
    ax.errorbar(
        weights, loss, error, fmt="o-", ms=3.5, lw=1.0, color=BLUE, label="validation shots"
    )
    ax.errorbar(
        found.attrs["weights"],
        float(found["test_loss"]),
        float(found["test_error"]),
        fmt="s",
        ms=7,
        mfc="none",
        capsize=3,
        color=ORANGE,
        label="the smallest, on the test shots",
    )
    ax.set_xlim(1.02 * weights.max(), 0.98 * weights.min())
    # A refused RBM may be far beyond; what matters is where the loss leaves the band.
    low, high = ax.get_ylim()
    ax.set_ylim(low, max(allowed.max(), min(high, 4 * allowed.max())))
    label = "allowed: other seeds, and the noise of the shots"
    ax.fill_between(weights, low, allowed, color=GREEN, alpha=0.15, lw=0, label=label)
    ax.set_xlabel("weights left")
    measure = found.attrs["measure"]
    ax.set_ylabel(_LOSS if measure == "log_likelihood" else f"change of {measure}")
    faint_grid(ax)
    legend_below(figure, ax, columns=2)
    return figure


def plot_observables(found: xr.Dataset) -> Figure:
    """C(d) of the shots and of the smallest RBM; every scalar observable in standard errors."""
    figure = Figure(figsize=(9.0, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    distance = np.arange(found.sizes["distance"])[1:]
    for suffix, label, color, marker in (
        ("_shots", "test shots", BLACK, "s"),
        ("", "smallest RBM", BLUE, "o"),
    ):
        error = "_shots_error" if suffix else "_error"
        left.errorbar(
            distance,
            found[f"correlation{suffix}"].values[1:],
            found[f"correlation{error}"].values[1:],
            fmt=marker,
            ms=5,
            mfc="none" if suffix else None,
            lw=1.0,
            color=color,
            label=label,
        )
    left.set_xlabel("distance d (sites)")
    left.set_ylabel("C(d) from the middle")
    left.legend(frameon=False)
    own = [name for name in found.attrs["own"].split(", ") if name]
    names = [name for name in (*OBSERVABLES, *own) if found[name].ndim == 0]
    sigmas = [float(found[f"{name}_sigmas"]) for name in names]
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
