"""Checks of the smallest RBM of `psiprune reconstruct`: it is trusted only if all of them pass.

They use the test shots, which had no part in any choice, and the record as a whole. Those that are
statistical tests have a false-positive rate of 1 % each, over all observables, sites or pairs they
compare; so a sound run fails one of the five in less than 5 % of cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy.stats import norm

from psiprune.core.limits import EXACT_GRADIENT_UNITS
from psiprune.metrics.agreement import sigma_limit
from psiprune.reconstruction.dataset import observable_names

#: The largest loss that the test shots may miss, nats per shot. Of a small loss the fidelity loses
#: about half: 1 - F = 0.025.
RESOLUTION = 0.05
#: False-positive rate of each check that is a statistical test.
SIGNIFICANCE = 0.01


class Check(NamedTuple):
    """One check of the smallest RBM.

    Attributes:
        name: what holds if it passes.
        passed: whether it does.
        words: what was measured, and the limit.
    """

    name: str
    passed: bool
    words: str


class Deviation(NamedTuple):
    """The observable that deviates most from the test shots.

    Attributes:
        name: its name, with the distance of C(d).
        sigmas: the deviation, in errors of the smallest RBM and of the shots combined.
        limit: exceeded with probability 1 % at most, over all observables and distances, by an RBM
            that has the noise of its training shots.
        dense: deviation of the mean of the dense RBMs, in errors of that mean and of the shots.
    """

    name: str
    sigmas: float
    limit: float
    dense: float


def largest_deviation(dataset: xr.Dataset) -> Deviation:
    """Find the largest deviation over observables and distances, NaN left out."""
    deviations = []
    for name in observable_names(dataset):
        dense, shots = dataset[f"{name}_dense"], dataset[f"{name}_shots"]
        variance = dense.var("seed", ddof=1) / dense.sizes["seed"]
        error = (variance + dataset[f"{name}_shots_error"] ** 2) ** 0.5
        apart = abs(dense.mean("seed") - shots)
        dense_sigmas = np.atleast_1d(apart.where(apart == 0, apart / error).values)
        sigmas = np.atleast_1d(dataset[f"{name}_sigmas"].values)
        for d, value in enumerate(np.abs(sigmas)):
            if not np.isnan(value):
                label = f"{name} at d = {d}" if dataset[name].ndim else name
                deviations.append((float(value), label, float(dense_sigmas[d])))
    sigmas_most, label, dense_most = max(deviations)
    limit = training_noise(dataset) * sigma_limit(len(deviations))
    return Deviation(label, sigmas_most, limit, dense_most)


def training_noise(dataset: xr.Dataset) -> float:
    """Return by how much the noise of the training shots widens deviations of a good fit."""
    return float(np.sqrt(1 + dataset.attrs["test_shots"] / dataset.attrs["training_shots"]))


def accepted_loss(dataset: xr.Dataset) -> float:
    """Return the largest loss that the search accepted for the smallest RBM (validation shots)."""
    return float(dataset["trial_allowed"].values[dataset["trial_smallest"].values][0])


def loss_limit(dataset: xr.Dataset) -> float:
    """Return the test loss above which the test shots contradict the search.

    The search ends at the edge of what it accepts, and half of all sound runs show more than that
    on test shots. So this is the edge plus 2.3 errors of the test loss.
    """
    return accepted_loss(dataset) + float(norm.isf(SIGNIFICANCE) * dataset["test_error"])


def resolution(dataset: xr.Dataset) -> float:
    """Return the loss that the test shots detect with 95 % probability, nats per shot.

    NaN where an observable ended the pruning.
    """
    if dataset.attrs["measure"] != "log_likelihood":
        return float("nan")
    return loss_limit(dataset) + float(norm.isf(0.05) * dataset["test_error"])


def least_gain(dataset: xr.Dataset) -> float:
    """Return the lowest gain over a product model of a sound fit, if the bits are independent.

    It is below 0 by half of what parameters gain on the shots they are fitted to (Akaike 1974), as
    the product model is fitted to the test shots and the RBM to the training shots, and by 2.3
    errors.
    """
    attrs = dataset.attrs
    fitted = (
        attrs["sites"] / attrs["test_shots"] + attrs["dense_parameters"] / attrs["training_shots"]
    )
    noise = float(norm.isf(SIGNIFICANCE) * dataset["log_likelihood_gain_error"])
    return -(fitted / 2 + noise)


def checks(dataset: xr.Dataset) -> Sequence[Check]:
    """Make all checks of a run, from its dataset."""
    attrs = dataset.attrs
    loss, limit = float(dataset["test_loss"]), loss_limit(dataset)
    unit = " nats per shot" if attrs["measure"] == "log_likelihood" else ""
    worst = largest_deviation(dataset)
    pairs, pairs_limit = (float(dataset[f"pairs_{name}"]) for name in ("sigmas", "limit"))
    pairs_limit *= training_noise(dataset)
    pairs_where = str(dataset["pairs_where"].item())
    drift = float(dataset["drift_sigmas"])
    gain = float(dataset["log_likelihood_gain"])
    parameters, shots = attrs["dense_parameters"], attrs["training_shots"]
    return [
        Check(
            "test loss consistent with the search",
            loss <= limit,
            f"{loss:.3g} ± {float(dataset['test_error']):.2g}{unit}; limit {limit:.3g}, of which "
            f"{accepted_loss(dataset):.3g} was accepted on the validation set",
        ),
        _check_likelihood(dataset),
        Check(
            "all observables agree with the test set",
            worst.sigmas <= worst.limit,
            f"largest deviation {worst.sigmas:.1f} σ ({worst.name}); limit "
            f"{worst.limit:.1f}{_cause(dataset, worst)}",
        ),
        Check(
            "all sites and pairs agree with the test set",
            pairs <= pairs_limit,
            f"largest deviation {pairs:.1f} σ "
            f"(site{'s' if ' ' in pairs_where else ''} {pairs_where}); limit {pairs_limit:.1f}",
        ),
        Check(
            "no drift during the measurement",
            bool(np.isnan(drift) or drift <= dataset["drift_limit"]),
            "unknown, as equal configurations are stored together (counts keep no order)"
            if np.isnan(drift)
            else f"largest difference between the two halves {drift:.1f} σ "
            f"(site {dataset['drift_where'].item()}); limit {float(dataset['drift_limit']):.1f}",
        ),
        Check(
            "fits at least as well as a product model",
            gain >= least_gain(dataset),
            f"log-likelihood {gain:+.3g} ± {float(dataset['log_likelihood_gain_error']):.1g} nats "
            f"per shot relative to it{_significance_of_gain(dataset)}",
        ),
        Check(
            "more training shots than parameters",
            parameters <= shots,
            f"{shots} training shots, {parameters} parameters of the dense RBM",
        ),
        Check(
            "no estimate carries a warning",
            not attrs["warnings"],
            attrs["warnings"] or "log Z and samples are reliable",
        ),
    ]


def _check_likelihood(dataset: xr.Dataset) -> Check:
    """Check that no relevant loss of log-likelihood can have gone unnoticed.

    An observable that ends the search is blind to most of the distribution, so there the loss
    itself must be small; where the likelihood ends the search, other checks test its size.
    """
    detected = resolution(dataset)
    if not np.isnan(detected):
        return Check(
            "test set large enough to detect a relevant loss",
            detected <= RESOLUTION,
            f"detects a loss of {detected:.3g} nats per shot with 95 % probability; needed "
            f"{RESOLUTION:g} or less",
        )
    loss, error = float(dataset["likelihood_loss"]), float(dataset["likelihood_error"])
    most = loss + float(norm.isf(0.05)) * error
    return Check(
        "no relevant loss of log-likelihood",
        most <= RESOLUTION,
        f"{loss:.3g} ± {error:.2g} nats per shot on the test set, at most {most:.3g} with 95 % "
        f"confidence; needed {RESOLUTION:g} or less",
    )


def _significance_of_gain(dataset: xr.Dataset) -> str:
    """Interpret a gain over the product model that is not significant."""
    gain, least = float(dataset["log_likelihood_gain"]), least_gain(dataset)
    if gain < least:
        return f"; limit {least:.3g}"
    if gain <= float(norm.isf(SIGNIFICANCE) * dataset["log_likelihood_gain_error"]):
        return "; indistinguishable from it"
    return ""


def _cause(dataset: xr.Dataset, worst: Deviation) -> str:
    """Name what caused a deviation, pruning or training, and what may help."""
    if worst.sigmas <= worst.limit:
        return ""
    attrs = dataset.attrs
    dense = f". Dense RBMs: {worst.dense:.1f} σ, so"
    if worst.dense <= worst.limit:
        return f"{dense} pruning is the cause; try --measure {worst.name.partition(' ')[0]}"
    small = min(attrs["sites"], attrs["hidden"]) <= EXACT_GRADIENT_UNITS
    exact = attrs["method"] != "exact" and small
    better = "--train.method exact" if exact else "more epochs or hidden units"
    return f"{dense} training is the cause; try {better}"
