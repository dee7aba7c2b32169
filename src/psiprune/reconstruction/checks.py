"""Can the smallest RBM of `psiprune reconstruct` be trusted: yes only if every check passes.

The checks look at the test shots, which had no part in any choice, and at the record as a whole.
Those that are tests hold a significance of 1 % each, however many observables, sites or pairs they
compare; so a run without fault fails one of the five now and then, in less than 5 % of runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy.stats import norm

from psiprune.core.limits import EXACT_GRADIENT_UNITS
from psiprune.metrics.agreement import sigma_limit
from psiprune.reconstruction.dataset import OBSERVABLES

#: A loss that the test shots could not have seen must be below this, in nat a shot. Of a small loss
#: the fidelity loses about half: 1 - F = 0.025.
RESOLUTION = 0.05
#: Of each check that is a test.
SIGNIFICANCE = 0.01


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
        limit: beyond it with probability 1 % at most, over all observables and distances, for an
            RBM that has the noise of its training shots.
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
    return Farthest(most[1], most[0], training_noise(found) * sigma_limit(len(each)), most[2])


def training_noise(found: xr.Dataset) -> float:
    """By how much the noise of the training shots, which a good fit has, widens differences."""
    return float(np.sqrt(1 + found.attrs["test_shots"] / found.attrs["training_shots"]))


def claimed(found: xr.Dataset) -> float:
    """The largest loss that the search accepted for the smallest RBM, on the validation shots."""
    return float(found["trial_allowed"].values[found["trial_smallest"].values][0])


def contradicted(found: xr.Dataset) -> float:
    """The loss above which the test shots contradict what the search accepted.

    The search ends at the edge of what it accepts, where test shots show more in half of all runs.
    So this is the edge and 2.3 errors of the test shots.
    """
    return claimed(found) + float(norm.isf(SIGNIFICANCE) * found["test_error"])


def resolution(found: xr.Dataset) -> float:
    """The loss that the test shots would have contradicted with a probability of 95 %, nat a shot.

    In units of likelihood only: NaN where an observable ended the pruning.
    """
    if found.attrs["measure"] != "log_likelihood":
        return float("nan")
    return contradicted(found) + float(norm.isf(0.05) * found["test_error"])


def least_gain(found: xr.Dataset) -> float:
    """The lowest gain over independent bits of a fit without fault, if the bits are independent.

    Such a gain is below 0 by the half of what parameters gain on shots they are fitted to (Akaike
    1974): the means of independent bits are those of the test shots, and the RBM is fitted to the
    training shots. And by 2.3 errors.
    """
    own = found.attrs
    fitted = own["sites"] / own["test_shots"] + own["dense_parameters"] / own["training_shots"]
    noise = float(norm.isf(SIGNIFICANCE) * found["log_likelihood_gain_error"])
    return -(fitted / 2 + noise)


def checks(found: xr.Dataset) -> Sequence[Check]:
    """All reasons for and against the smallest RBM, from the dataset of a run."""
    own = found.attrs
    loss, error = float(found["test_loss"]), float(found["test_error"])
    unit = " nat a shot" if own["measure"] == "log_likelihood" else ""
    worst = farthest(found)
    pairs_limit = training_noise(found) * float(found["pairs_limit"])
    gain, gain_error = (float(found[f"log_likelihood_gain{s}"]) for s in ("", "_error"))
    drift = float(found["drift_sigmas"])
    parameters, shots = own["dense_parameters"], own["training_shots"]
    listed = [
        Check(
            "the test shots do not contradict the search",
            loss <= contradicted(found),
            f"loss of {own['measure']} {loss:.3g} ± {error:.2g}{unit}, where the search accepted "
            f"up to {claimed(found):.3g}",
        ),
        Check(
            "every observable agrees with the test shots",
            worst.sigmas <= worst.limit,
            f"{worst.name} is off by {worst.sigmas:.1f} sigmas, the most; allowed "
            f"{worst.limit:.1f}{_blame(found, worst)}",
        ),
        Check(
            "every site and pair agrees with the test shots",
            float(found["pairs_sigmas"]) <= pairs_limit,
            f"{_site(found, 'pairs')} is off by {float(found['pairs_sigmas']):.1f} sigmas, the "
            f"most; allowed {pairs_limit:.1f}",
        ),
        Check(
            "the record is steady",
            bool(np.isnan(drift) or drift <= found["drift_limit"]),
            "equal configurations stand together, as in counts, so nothing is known of drift"
            if np.isnan(drift)
            else f"site {found['drift_where'].item()} differs by {drift:.1f} sigmas between the "
            f"halves of the record, the most; allowed {float(found['drift_limit']):.1f}",
        ),
        Check(
            "independent bits do not describe the shots better",
            gain >= least_gain(found),
            f"log-likelihood {gain:.3g} ± {gain_error:.1g} nat a shot above independent bits"
            f"{_beside_independent(found)}",
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
    listed.insert(1, _on_likelihood(found))
    return listed


def _on_likelihood(found: xr.Dataset) -> Check:
    """Whether likelihood may have been lost unseen.

    An observable that ends the search sees little of the rest, so there the loss itself must be
    small; where the likelihood ends it, the other checks say whether it is.
    """
    seen = resolution(found)
    if not np.isnan(seen):
        return Check(
            "the test shots would show a loss that matters",
            seen <= RESOLUTION,
            f"they would show a loss of {seen:.3g} nat a shot; needed {RESOLUTION:g} or less",
        )
    loss, error = float(found["likelihood_loss"]), float(found["likelihood_error"])
    most = loss + float(norm.isf(0.05)) * error
    return Check(
        "no likelihood that matters is lost",
        most <= RESOLUTION,
        f"the loss on the test shots is {loss:.3g} ± {error:.2g} nat a shot, so at most {most:.3g} "
        f"with a probability of 95 %; needed {RESOLUTION:g} or less",
    )


def _beside_independent(found: xr.Dataset) -> str:
    """What the gain over independent bits means, where it does not speak for itself."""
    gain, least = float(found["log_likelihood_gain"]), least_gain(found)
    if gain < least:
        return f"; by chance it would not be below {least:.3g}"
    if gain <= float(norm.isf(SIGNIFICANCE) * found["log_likelihood_gain_error"]):
        return "; these shots cannot tell it from independent bits"
    return ""


def _blame(found: xr.Dataset, worst: Farthest) -> str:
    """Where an observable is off: whether the dense RBMs are so too, and what may help."""
    if worst.sigmas <= worst.limit:
        return ""
    own = found.attrs
    name = worst.name.partition(" ")[0]
    if worst.dense <= worst.limit:
        return (
            f". The dense RBMs are off by {worst.dense:.1f}, so pruning is to blame; --measure "
            f"{name} ends it by that"
        )
    exact = own["method"] != "exact" and min(own["sites"], own["hidden"]) <= EXACT_GRADIENT_UNITS
    better = "--train.method exact" if exact else "more epochs or hidden units"
    return f". The dense RBMs are off by {worst.dense:.1f}, so training is to blame; try {better}"


def _site(found: xr.Dataset, name: str) -> str:
    where = str(found[f"{name}_where"].item())
    return f"the pair of sites {where}" if " " in where else f"site {where}"
