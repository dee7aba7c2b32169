"""Figure of a pruning path: error measures against number of weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.metrics.state_report import Report
from psiprune.pruning.iterative import Level
from psiprune.reporting.figures import (
    BLUE,
    CORRELATION,
    GREY,
    INFIDELITY,
    KL,
    ORANGE,
    legend_below,
    log_grid,
    round_ticks,
)

#: Label of each axes, and its measures: name in `Report`, label if there are two, colour, marker.
_PANELS = (
    (KL, (("kl", None, BLUE, "o"),)),
    (INFIDELITY, (("fidelity", None, BLUE, "o"),)),
    (
        "relative bias",
        (("energy_bias", "energy", BLUE, "o"), ("abs_magnetization_bias", "⟨|m|⟩", ORANGE, "s")),
    ),
    (CORRELATION, (("correlation_mse", None, BLUE, "o"),)),
    ("energy variance ⟨H²⟩ − ⟨H⟩²", (("energy_variance", None, BLUE, "o"),)),
    (
        "change of entropy (nat)",
        (("entropy_loss", "von Neumann", BLUE, "o"), ("renyi2_loss", "Rényi-2", ORANGE, "s")),
    ),
)


def plot_path(levels: Sequence[Level]) -> Figure:
    """Draw the measures of a pruning path against the number of weights.

    These are KL, 1 - F, the biases of energy and <|m|>, C_MSE, the variance of the energy, and by
    how much the entanglement entropies of half the sites differ from those of the reference.

    Bars are standard errors of sampled measures. Dashed lines are floors, the values that a perfect
    model would show with as many draws or training shots. Below the dotted line, N + N_h - 1
    weights, the units cannot all be connected. Values that are not positive or not known, such as
    the energy without a Hamiltonian, are left out.

    Args:
        levels: a pruning path whose levels carry `metrics`, from `pp.prune(..., reference=...)`.

    Returns:
        A figure; `figure.savefig("path.png")` writes it.

    Raises:
        InputError: there are no levels, or one was not measured.
    """
    if not levels:
        raise InputError("levels: must hold at least one level, found none")
    reports = []
    for step, level in enumerate(levels):
        if level.metrics is None:
            raise InputError(
                f"levels: level {step} has no metrics; give the reference state to prune, as in "
                "pp.prune(rbm, shots, reference=state)"
            )
        reports.append(level.metrics)
    weights = np.array([level.rbm.number_of_weights for level in levels])
    tree = levels[0].rbm.visible + levels[0].rbm.hidden - 1
    figure = Figure(figsize=(9.0, 9.6), layout="constrained")
    panels = figure.subplots(3, 2, sharex=True)
    for ax, (title, measures) in zip(panels.flat, _PANELS, strict=True):
        for name, label, color, marker in measures:
            if getattr(reports[0], name) is None:  # the von Neumann entropy above 20 sites
                continue
            value, error, floor = _series(reports, name)
            ax.errorbar(
                weights, value, error, color=color, marker=marker, ms=4, lw=1.2, label=label
            )
            ax.plot(weights, floor, "--", lw=1.0, color=color, alpha=0.6)
        if len(measures) > 1:
            ax.legend(frameon=False)
        if weights.min() < tree:
            label = f"{tree} weights: fewest that connect all units"
            ax.axvline(tree, ls=":", lw=1.2, color=GREY, label=label)
        ax.set_xscale("log")
        log_grid(ax)
        ax.set_ylabel(title)
    panels[0, 0].plot([], [], "--", lw=1.0, color=GREY, label="floor: a perfect model")
    for ax in panels[-1]:
        ax.set_xlabel("number of weights")
        round_ticks(ax.xaxis)
    legend_below(figure, panels[0, 0], columns=3)
    return figure


def _series(reports: Sequence[Report], name: str) -> NDArray[np.float64]:
    """Return value, error and floor of a measure by level, [3, level].

    Of 1 - F for fidelity, of |loss| for the loss of an entropy, which has either sign. NaN where
    a value is not positive, which a logarithmic axis cannot show.
    """
    measures = [getattr(report, name) for report in reports]
    value, error, floor = np.array([(m.value, m.error, m.floor) for m in measures], float).T
    if name == "fidelity":
        value, floor = 1.0 - value, 1.0 - floor
    if name.endswith("_loss"):
        value = np.abs(value)
    return np.stack([np.where(value > 0, value, np.nan), error, np.where(floor > 0, floor, np.nan)])
