"""Can the smallest RBM of `psiprune reconstruct` be trusted: yes only if every check passes.

The checks look at the test shots, which had no part in any choice, and at the record as a whole.
Those that are tests hold a significance of 1 % each, however many observables, sites or pairs they
compare; so a run without fault fails one of the four now and then, in less than 4 % of runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy.stats import norm

from psiprune.config import EXACT_GRADIENT_UNITS
from psiprune.consistency import sigma_limit
from psiprune.experiments.reconstructed import OBSERVABLES

#: A loss that the test shots could not have seen must be below this, in nat a shot. Of a small loss
#: the fidelity loses about half: 1 - F = 0.025.
RESOLUTION = 0.05


class Check(NamedTuple):
    """One reason for or against.

    Attributes:
        name: of the check, in words.
        passed: whether it speaks for the RBM.
        words: what was measured, and the limit.
    """

    name: str
    passed: bool
    words: str


class Farthest(NamedTuple):
    """The observable farthest from the test shots.

    Attributes:
        name: its name, with the distance of C(d).
        sigmas: how far, in errors of the smallest RBM and of the shots together.
        limit: beyond it with probability 1 % at most, over all observables and distances.
        dense: how far the mean of the dense RBMs is, in errors of that mean and of the shots.
    """

    name: str
    sigmas: float
    limit: float
    dense: float


def farthest(found: xr.Dataset) -> Farthest:
    """Of all observables and distances; those without a number of sigmas do not count."""
    own = [name for name in found.attrs["own"].split(", ") if name]
    each = []
    for name in (*OBSERVABLES, *own):
        dense, shots = found[f"{name}_dense"], found[f"{name}_shots"]
        variance = dense.var("seed", ddof=1) / dense.sizes["seed"]
        error = (variance + found[f"{name}_shots_error"] ** 2) ** 0.5
        apart = abs(dense.mean("seed") - shots)
        dense_sigmas = np.atleast_1d(apart.where(apart == 0, apart / error).values)
        sigmas = np.atleast_1d(found[f"{name}_sigmas"].values)
        for d, value in enumerate(np.abs(sigmas)):
            if not np.isnan(value):
                label = f"{name} at d = {d}" if found[name].ndim else name
                each.append((float(value), label, float(dense_sigmas[d])))
    most = max(each)
    return Farthest(most[1], most[0], sigma_limit(len(each)), most[2])


def resolution(found: xr.Dataset) -> float:
    """The loss that the test shots would have noticed with a probability of 95 %, in nat a shot.

    In units of likelihood only: NaN where an observable ended the pruning.
    """
    if found.attrs["measure"] != "log_likelihood":
        return float("nan")
    return float(found["test_allowed"] + norm.isf(0.05) * found["test_error"])


def checks(found: xr.Dataset) -> Sequence[Check]:
    """All reasons for and against the smallest RBM, from the dataset of a run."""
    own = found.attrs
    loss, allowed = float(found["test_loss"]), float(found["test_allowed"])
    unit = " nat a shot" if own["measure"] == "log_likelihood" else ""
    worst = farthest(found)
    gain, gain_error = (float(found[f"log_likelihood_gain{s}"]) for s in ("", "_error"))
    parameters, shots = own["dense_parameters"], own["training_shots"]
    listed = [
        Check(
            "the test shots confirm the loss",
            loss <= allowed,
            f"loss of {own['measure']} {loss:.3g}{unit}, allowed {allowed:.3g}",
        ),
        Check(
            "every observable agrees with the test shots",
            worst.sigmas <= worst.limit,
            f"{worst.name} is off by {worst.sigmas:.1f} sigmas, the most; allowed "
            f"{worst.limit:.1f}{_blame(found, worst)}",
        ),
        Check(
            "every site and pair agrees with the test shots",
            bool(found["pairs_sigmas"] <= found["pairs_limit"]),
            f"{_site(found, 'pairs')} is off by {float(found['pairs_sigmas']):.1f} sigmas, the "
            f"most; allowed {float(found['pairs_limit']):.1f}",
        ),
        Check(
            "the record is steady",
            bool(found["drift_sigmas"] <= found["drift_limit"]),
            f"site {found['drift_where'].item()} differs by {float(found['drift_sigmas']):.1f} "
            f"sigmas between the halves of the record, the most; allowed "
            f"{float(found['drift_limit']):.1f}",
        ),
        Check(
            "it describes the shots better than independent bits",
            gain > 0 or gain + float(norm.isf(0.01)) * gain_error > 0,
            f"log-likelihood above that of independent bits {gain:.3g} nat a shot, error "
            f"{gain_error:.1g}",
        ),
        Check(
            "there are more shots than parameters",
            parameters <= shots,
            f"{shots} training shots for {parameters} parameters of the dense RBM",
        ),
        Check(
            "no estimate carries a warning",
            not own["warnings"],
            own["warnings"] or "log Z and draws are sound",
        ),
    ]
    seen = resolution(found)
    if not np.isnan(seen):
        listed.insert(
            1,
            Check(
                "the test shots would show a loss that matters",
                seen <= RESOLUTION,
                f"they would show a loss of {seen:.3g} nat a shot; needed {RESOLUTION:g} or less",
            ),
        )
    return listed


def _blame(found: xr.Dataset, worst: Farthest) -> str:
    """Where an observable is off: whether the dense RBMs are so too, and what may help."""
    if worst.sigmas <= worst.limit or worst.dense <= worst.limit / 2:
        return ""
    own = found.attrs
    exact = own["method"] != "exact" and min(own["sites"], own["hidden"]) <= EXACT_GRADIENT_UNITS
    better = "--train.method exact" if exact else "more epochs or hidden units"
    return (
        f". The dense RBMs are off by {worst.dense:.1f}, so training is to blame rather than "
        f"pruning; try {better}"
    )


def _site(found: xr.Dataset, name: str) -> str:
    where = str(found[f"{name}_where"].item())
    return f"the pair of sites {where}" if " " in where else f"site {where}"
