"""Checks of the smallest state with phases, and the verdict that follows from them.

Losses are tested as for shots in Z, see `psiprune.reconstruction.checks`, in nats per shot of the
whole record: what is wrong in basis b costs its share of the shots, share_b. As one basis of many
might so be wrong altogether, the outcomes of each are tested on their own, too. Another one tests
the readout errors, see `psiprune.metrics.excess_flips`. The last two say whether the shots
determine the state: whether fits from independent starts agree, and the infidelity that the Fisher
information leaves to fits to so many shots.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from psiprune.data.readout_range import LEVEL
from psiprune.metrics.loss_tests import Answer, LossTest, judge_bases, judge_observables
from psiprune.reconstruction.checks import (
    RATES,
    Check,
    check_configurations,
    check_likelihood,
    check_other_models,
    of_record,
    tested,
)
from psiprune.training.phases import SAME_STATE, STARTS, image_in_words

#: The check that fails where equally likely fits are different states.
FITS = "independent fits"
#: The check that is undecided where the shots leave a larger infidelity.
INFORMATION = "information"
#: Mean infidelity up to which shots determine a state.
INFIDELITY = 0.1
#: Fits are far apart if their infidelity is above so many times the expected one plus so much.
_FAR, _NEAR = 4.0, 0.01
#: Probability of the flips found, by chance, below which the readout errors are in doubt.
_DOUBTFUL = 0.01
_NAN = float("nan")


def make_checks(dataset: xr.Dataset) -> tuple[Check, ...]:
    """Make all checks of a run, from its dataset."""
    return tuple(_checks(dataset))


def _checks(dataset: xr.Dataset) -> Iterator[Check]:
    yield check_likelihood(dataset)
    yield _bases(dataset)
    yield _sites_and_pairs(dataset)
    yield check_configurations(dataset)
    yield check_other_models(dataset)
    yield _readout(dataset)
    if dataset.attrs["ordered"] or dataset.attrs["dependence"]:
        yield of_record("independent shots", dataset.attrs["dependence"], "no copies, no memory")
    if dataset.attrs["ordered"]:
        yield of_record("drift", dataset.attrs["drift"], "none between the halves of each basis")
    yield _fits(dataset)
    yield _information(dataset)


def _share(dataset: xr.Dataset) -> NDArray[np.float64]:
    shots = dataset["basis_shots"].values
    return np.asarray(shots / shots.sum())


def basis_deviations(dataset: xr.Dataset, prefix: str = "") -> NDArray[np.float64]:
    """Return (log-likelihood - expected) of each basis in standard errors, [basis]."""
    of, expected, variance, shots = (
        dataset[f"{prefix}basis_{name}"].values
        for name in ("log_likelihood", "expected", "variance", "shots")
    )
    error = np.sqrt(np.maximum(variance, 1e-12) / shots)
    return np.asarray((of - expected) / error)


def _bases(dataset: xr.Dataset) -> Check:
    """Check the outcomes in each basis on its own, however small its share of the shots."""
    (answer, k, chance, more), (of_dense, *_) = (
        judge_bases(
            dataset[f"{prefix}basis_deviance"].values,
            dataset[f"{prefix}basis_freedom"].values,
            dataset[f"{prefix}basis_shots"].values,
            dataset.attrs["tolerance"],
        )
        for prefix in ("", "dense_")
    )
    value, freedom, shots = (
        float(dataset[f"basis_{name}"][k]) for name in ("deviance", "freedom", "shots")
    )
    found = (
        f"of {dataset.sizes['basis']}, {dataset['basis'].values[k]} decides: deviance {value:.1f} "
        f"of {shots:.0f} shots in {freedom + 1:.0f} cells, p = {chance:.2g}"
    )
    cause = ""
    if answer == "fail":
        cause = "training" if of_dense == "fail" else "pruning"
    return Check("bases", answer, _NAN, _NAN, found, more * dataset.attrs["shots"], cause)


def _sites_and_pairs(dataset: xr.Dataset) -> Check:
    tests = [_judge_pairs(dataset, prefix) for prefix in ("", "dense_")]
    sites = dataset.attrs["sites"]
    upper = np.triu_indices(sites)
    basis, pair = divmod(tests[0].which, len(upper[0]))
    i, j = (int(index[pair]) for index in upper)
    name = str(dataset["basis"].values[basis])
    what = f"{name[i]}{i}" if i == j else f"{name[i]}{i} {name[j]}{j}"
    value, shots = (float(dataset[f"pairs_{x}"][basis, i, j]) for x in ("value", "shots"))
    number = dataset.sizes["basis"] * len(upper[0])
    found = f"of {number}, <{what}> in {name} deviates most: RBM {value:+.3f}, shots {shots:+.3f}"
    return tested(dataset, "sites and pairs", tests[0], tests[1], found)


def _judge_pairs(dataset: xr.Dataset, prefix: str) -> LossTest:
    upper = (slice(None), *np.triu_indices(dataset.attrs["sites"]))
    value, measured = (
        dataset[f"{prefix}pairs_{name}"].values[upper] for name in ("value", "shots")
    )
    shots, tolerance = dataset.attrs["test_shots"], dataset.attrs["tolerance"]
    # What none of n shots shows may occur in one of them, so the variance is at least 1 / n.
    variance = np.maximum(1 - np.minimum(value**2, measured**2), 1 / shots)
    root = np.sqrt(_share(dataset))[:, None]
    deviation = ((value - measured) * root).ravel()
    return judge_observables(deviation, 0.0 * deviation, variance.ravel(), shots, tolerance)


def _readout(dataset: xr.Dataset) -> Check:
    """Check that the records are as noisy as their readout errors say."""
    (zero, one), (zero_error, one_error) = (
        dataset[name].values for name in ("flips", "flips_error")
    )
    chance = float(dataset["flips_p_value"])
    found = (
        f"further flips of 0 {zero:+.2%} ± {zero_error:.2%}, of 1 {one:+.2%} ± {one_error:.2%}, "
        f"p = {chance:.2g}"
    )
    answer: Answer = "fail" if chance < LEVEL else "undecided" if chance < _DOUBTFUL else "pass"
    if answer != "pass" and dataset.attrs["agreement"] < SAME_STATE:
        found += "; or a likelier state was missed"
    return Check(RATES, answer, _NAN, _NAN, found, _NAN)


def _fits(dataset: xr.Dataset) -> Check:
    """Check that fits from independent starts that are equally likely are the same state."""
    attrs = dataset.attrs
    agreement, equal, starts = (attrs[name] for name in ("agreement", "equally_likely", "starts"))
    if attrs.get("mirror", 1.0) < SAME_STATE:
        found = (
            f"the mirror image {image_in_words(attrs.get('mirror_sites', ''))} is as likely, "
            f"fidelity {attrs['mirror']:.4f}"
        )
        return Check(FITS, "fail", _NAN, _NAN, found, _NAN)
    if equal > 1:
        found = f"{equal} of {starts} equally likely, least fidelity {agreement:.4f}"
        answer: Answer = "pass" if agreement >= SAME_STATE else "fail"
        # Fits to the same shots differ by less than fits to others, unless a likelier one exists.
        if answer == "pass" and 1 - agreement > _FAR * _expected(dataset) + _NEAR:
            answer = "undecided"
    else:
        found = f"the likeliest of {starts} is alone; largest fidelity with another {agreement:.4f}"
        far = 1 - agreement > min(_FAR * _expected(dataset) + _NEAR, 1 - SAME_STATE)
        answer = "undecided" if far else "pass"
    if answer == "pass" and starts < STARTS:
        found += f"; at least {STARTS} starts show whether fits agree"
        answer = "undecided"
    return Check(FITS, answer, _NAN, _NAN, found, _NAN)


def _expected(dataset: xr.Dataset) -> float:
    """Return the infidelity to expect if the model is right."""
    return max(float(dataset["infidelity"]), float(dataset["training_infidelity"].mean()))


def _in_words(infidelity: float) -> str:
    """Return an estimate from small changes, which is none where they are large."""
    return f"{infidelity:.3g}" if infidelity <= 0.5 else "unknown (above 0.5)"


def _information(dataset: xr.Dataset) -> Check:
    """Check the infidelity that fits to so many shots have on average."""
    expected, replicas = (
        float(dataset["infidelity"]),
        float(dataset["training_infidelity"].mean()),
    )
    found = (
        f"infidelity to expect if the model is right: {_in_words(expected)} by Fisher information, "
        f"{_in_words(replicas)} by replicas"
    )
    worst = _expected(dataset)
    if worst <= INFIDELITY:
        return Check(INFORMATION, "pass", _NAN, _NAN, found, _NAN)
    needed = math.ceil(dataset.attrs["shots"] * worst / INFIDELITY)
    return Check(INFORMATION, "undecided", _NAN, _NAN, found, needed)
