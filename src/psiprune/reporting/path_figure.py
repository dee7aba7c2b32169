"""Figure of a pruning path: error measures against number of weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

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
    legend_above,
    legend_below,
    letter,
    log_grid,
    round_ticks,
)
from psiprune.reporting.style import TWO_COLUMNS, AxesArray, given_axes, styled

#: Label of each axes, and its measures: name in `Report`, label if there are two, colour, marker.
_PANELS = (
    (KL, (("kl", None, BLUE, "o"),)),
    (INFIDELITY, (("fidelity", None, BLUE, "o"),)),
    (
        "relative bias",
        (("energy_bias", "energy", BLUE, "o"), ("abs_magnetization_bias", "⟨|m|⟩", ORANGE, "s")),
    ),
    (CORRELATION, (("correlation_mse", None, BLUE, "o"),)),
    ("variance of H (J²)", (("energy_variance", None, BLUE, "o"),)),
    (
        "change of entropy (nat)",
        (("entropy_loss", "von Neumann", BLUE, "o"), ("renyi2_loss", "Rényi-2", ORANGE, "s")),
    ),
)


@styled
def plot_path(levels: Sequence[Level], *, ax: ArrayLike | None = None) -> AxesArray:
    """Draw the measures of a pruning path against the number of weights.

    These are KL, 1 - F, the biases of energy and <|m|>, C_MSE, the variance of the energy, and by
    how much the entanglement entropies of half the sites differ from those of the reference.

    Bars are standard errors of sampled measures. Dashed lines are floors, the values that a perfect
    model would show with as many draws or training shots. Below the dotted line, N + N_h - 1
    weights, the units cannot all be connected. Values that are not positive or not known, such as
    the energy without a Hamiltonian, are left out.

    Args:
        levels: a pruning path whose levels carry `metrics`, from `pp.prune(..., reference=...)`.
        ax: six axes to draw on; by default of a new figure in psiprune's style, with a legend.

    Returns:
        The axes, [3, 2]; `axes[0, 0].figure.savefig("path.png")` writes the figure.

    Raises:
        InputError: there are no levels, one was not measured, or `ax` is not six axes.
    """
    reports = _reports(levels)
    weights = np.array([level.rbm.number_of_weights for level in levels])
    tree = levels[0].rbm.visible + levels[0].rbm.hidden - 1
    panels = given_axes(ax, (3, 2), (TWO_COLUMNS, 4.8), sharex=True)
    letter(panels)
    for panel, (title, measures) in zip(panels.flat, _PANELS, strict=True):
        for name, label, color, marker in measures:
            if getattr(reports[0], name) is None:  # the von Neumann entropy above 20 sites
                continue
            value, error, floor = _series(reports, name)
            panel.errorbar(weights, value, error, color=color, marker=marker, label=label)
            panel.plot(weights, floor, "--", lw=0.8, color=color, alpha=0.6)
        if weights.min() < tree:
            label = f"{tree} weights: fewest that connect all units"
            panel.axvline(tree, ls=":", lw=0.8, color=GREY, label=label)
        panel.set_xscale("log")
        log_grid(panel)
        panel.set_ylabel(title)
        if len(measures) > 1:
            legend_above(panel)
    panels[0, 0].plot([], [], "--", lw=0.8, color=GREY, label="floor: a perfect model")
    for panel in panels[-1]:
        panel.set_xlabel("number of weights")
        round_ticks(panel.xaxis)
    if ax is None:
        legend_below(panels[0, 0].figure, panels[0, 0], columns=3)
    return panels


def _reports(levels: Sequence[Level]) -> list[Report]:
    """Return the metrics of each level."""
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
    return reports


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
