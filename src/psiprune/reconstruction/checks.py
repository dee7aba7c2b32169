"""Checks of the smallest RBM of `psiprune reconstruct`, and the verdict that follows from them.

The RBM is not trusted if a check fails; if none fails, but one is undecided, neither is the
verdict; it is trusted if all pass. A model that loses twice the tolerance is trusted with a
probability of at most 5 %, as it must pass the test of its likelihood; one that loses less than the
tolerance fails with a probability of at most 5 %, over all tests together. See
`psiprune.metrics.loss_tests`.

They use the test shots, which had no part in any choice, and the record as a whole.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
import xarray as xr

from psiprune.metrics.loss_tests import (
    Answer,
    Cells,
    LossTest,
    judge_cells,
    judge_mean,
    judge_observables,
    training_loss,
)
from psiprune.reconstruction.dataset import observable_names, value_labels
from psiprune.reconstruction.settings import ReconstructSettings

#: A warning about a record: what was found, what to do about it, and the rows to keep.
_WAY_OUT = re.compile("(.*); (.*): psiprune import .* --rows (.*) -o .*")
#: The check that fails where the shots exclude the readout error rates; made only then.
RATES = "readout rates"
#: A smaller difference between the means of an RBM and of shots is one of summation order.
_ROUNDING = 1e-12
Verdict = Literal["trusted", "undecided", "not trusted"]


class Check(NamedTuple):
    """One check of the smallest RBM.

    Attributes:
        name: what is checked.
        answer: "pass", "fail" or "undecided".
        loss, at_most: the loss in nats per shot and its upper 95 % bound; NaN where the check is
            about something else.
        found: what was measured, in words.
        shots_needed: about how many shots in all would decide; NaN unless the answer is undecided
            for want of shots.
        cause: of a failure, "training" if the unpruned RBM fails as well, else "pruning"; or empty.
        rows: of shots that are not independent or drift, the slice START:STOP:STEP that is better.
        remedy: why to keep these.
        at_least: the lower bound of the loss that decides a failure, NaN if there is none.
    """

    name: str
    answer: Answer
    loss: float
    at_most: float
    found: str
    shots_needed: float
    cause: str = ""
    rows: str = ""
    remedy: str = ""
    at_least: float = float("nan")


class Deviation(NamedTuple):
    """An observable of the smallest RBM against the test shots.

    Attributes:
        name: with the distance of C(d).
        value, shots_value: of the RBM and of the shots.
        value_error, shots_error: their standard errors.
        variance: of a single shot.
        loss: the least loss that the difference implies, nats per shot; see `judge_observables`.
        dense: the mean of the unpruned RBMs: the chosen one and its replicas.
    """

    name: str
    value: float
    shots_value: float
    value_error: float
    shots_error: float
    variance: float
    loss: float
    dense: float


def verdict_of(checks: Sequence[Check]) -> Verdict:
    """Return the verdict: a failure decides, then an undecided check."""
    answers = {each.answer for each in checks}
    if "fail" in answers:
        return "not trusted"
    return "undecided" if "undecided" in answers else "trusted"


def make_checks(dataset: xr.Dataset) -> tuple[Check, ...]:
    """Make all checks of a run, from its dataset."""
    return tuple(_checks(dataset))


def _checks(dataset: xr.Dataset) -> Iterator[Check]:
    attrs = dataset.attrs
    yield check_likelihood(dataset)
    yield _observables(dataset)
    yield _sites_and_pairs(dataset)
    yield check_configurations(dataset)
    yield check_other_models(dataset)
    if attrs["ordered"] or attrs["repetition"]:
        yield of_record("independent shots", attrs["dependence"], "no repetition, no memory")
    if attrs["ordered"]:
        yield of_record("drift", attrs["drift"], "none between the halves of the record")
    if attrs["rates"]:
        yield of_record(RATES, attrs["rates"], "")
    if attrs["warnings"]:
        nan = float("nan")
        yield Check("estimates", "undecided", nan, nan, attrs["warnings"], nan)


def of_record(name: str, problem: str, found: str) -> Check:
    """Return the check that fails for a problem; its text may end with a way out."""
    nan, way = float("nan"), _WAY_OUT.fullmatch(problem)
    found, remedy, rows = way.groups() if way else (problem or found, "", "")
    return Check(name, "fail" if problem else "pass", nan, nan, found, nan, "", rows, remedy)


def _test_shots(dataset: xr.Dataset) -> float:
    """Return how many independent shots the test shots are worth."""
    return float(dataset.attrs["test_shots"] / dataset.attrs["inefficiency"])


def loss_of(dataset: xr.Dataset) -> tuple[float, float]:
    """Return the loss of log-likelihood of the smallest RBM and its error, nats per shot.

    Relative to the distribution of the shots: what the test shots show against the unpruned RBM,
    plus what that one loses because the training set is finite. It is at least what training costs
    an RBM of the smallest size, as the test shots also show a gain by chance.
    """
    dense, spread = _training_loss(dataset)
    least = dense * dataset.attrs["parameters"] / dataset.attrs["dense_parameters"]
    pruning, error = (float(dataset[f"likelihood_{name}"]) for name in ("loss", "error"))
    # What none of n shots has shown may occur in one of them.
    error = max(error, 1 / _test_shots(dataset))
    return max(pruning + dense, least), math.hypot(error, spread)


def _training_loss(dataset: xr.Dataset) -> tuple[float, float]:
    return training_loss(dataset["training_loss"].values, dataset.attrs["dense_parameters"])


def check_likelihood(dataset: xr.Dataset) -> Check:
    """Check the loss of log-likelihood, see `loss_of`."""
    attrs = dataset.attrs
    shots, tolerance = _test_shots(dataset), attrs["tolerance"]
    loss, (dense, spread) = loss_of(dataset)[0], _training_loss(dataset)
    pruning, error = (float(dataset[f"likelihood_{name}"]) for name in ("loss", "error"))
    test = judge_mean(loss, error, shots, tolerance, spread)
    found = (
        f"pruning {pruning:+.2g} ± {error:.1g}, finite training set {dense:.2g} ± {spread:.1g} "
        "nats per shot"
    )
    if loss > pruning + dense:
        found += f"; at least {loss:.2g} for {attrs['parameters']} parameters"
    of_dense = judge_mean(dense, 0.0, shots, tolerance, spread)
    return tested(dataset, "log-likelihood", test, of_dense, found)


def deviations(dataset: xr.Dataset) -> list[Deviation]:
    """Return every observable and distance, without NaN, the largest implied loss first."""
    found = []
    for name in observable_names(dataset):
        columns = [
            np.atleast_1d(dataset[f"{name}{suffix}"].values)
            for suffix in ("", "_shots", "_error", "_shots_error", "_variance")
        ]
        dense = np.atleast_1d(dataset[f"{name}_dense"].mean("seed").values)
        labels = value_labels(dataset, name)
        for label, value, shots, error, shots_error, variance, mean in zip(
            labels, *columns, dense, strict=True
        ):
            if not math.isnan(value - shots):
                if math.isclose(value, shots, rel_tol=_ROUNDING, abs_tol=_ROUNDING):
                    value = shots
                loss = (value - shots) ** 2 / (2 * variance) if value != shots else 0.0
                found.append(
                    Deviation(label, value, shots, error, shots_error, variance, loss, mean)
                )
    return sorted(found, key=lambda each: -each.loss)


def _observables(dataset: xr.Dataset) -> Check:
    every = deviations(dataset)
    _, value, of_shots, error, shots_error, variance, _, dense = zip(*every, strict=True)
    shots, tolerance = _test_shots(dataset), dataset.attrs["tolerance"]
    test, of_dense = (
        judge_observables(np.subtract(of, of_shots), error, variance, shots, tolerance)
        for of in (value, dense)
    )
    k = test.which
    found = (
        f"of {len(every)}, {every[k].name} deviates most: {value[k] - of_shots[k]:+.2g} ± "
        f"{math.hypot(error[k], shots_error[k]):.1g}"
    )
    return tested(dataset, "observables", test, of_dense, found)


def _pair_tests(dataset: xr.Dataset) -> tuple[LossTest, LossTest]:
    """Test all sites and pairs of the smallest RBM, and of the unpruned one."""
    shots, tolerance = _test_shots(dataset), dataset.attrs["tolerance"]
    upper = np.triu_indices(dataset.attrs["sites"])
    tests = []
    for prefix in ("", "dense_"):
        value, error, of_shots = (
            dataset[f"{prefix}pairs_{name}"].values[upper]
            for name in ("value", "error", "shots_value")
        )
        # What none of n shots shows may occur in one of them, so the variance is at least 1 / n.
        variance = np.maximum(1 - np.minimum(value**2, of_shots**2), 1 / shots)
        tests.append(judge_observables(value - of_shots, error, variance, shots, tolerance))
    return tests[0], tests[1]


def _sites_and_pairs(dataset: xr.Dataset) -> Check:
    test, of_dense = _pair_tests(dataset)
    i, j = (int(index[test.which]) for index in np.triu_indices(dataset.attrs["sites"]))
    what = f"<Z> of site {i}" if i == j else f"<ZZ> of sites {i} and {j}"
    value, shots = (float(dataset[f"pairs_{name}"][i, j]) for name in ("value", "shots_value"))
    number = dataset.attrs["sites"] * (dataset.attrs["sites"] + 1) // 2
    found = f"of {number}, {what} deviates most: RBM {value:+.3f}, shots {shots:+.3f}"
    return tested(dataset, "sites and pairs", test, of_dense, found)


def check_configurations(dataset: xr.Dataset) -> Check:
    """Check the frequencies of configurations, see `judge_cells`."""
    tests = []
    for prefix in ("", "dense_"):
        cells = Cells(*(dataset[f"{prefix}configurations_{x}"].item() for x in Cells._fields))
        tests.append(judge_cells(cells, _test_shots(dataset), dataset.attrs["tolerance"]))
    unseen, expected, number = (
        float(dataset[f"configurations_{name}"]) for name in ("unseen", "expected", "cells")
    )
    found = (
        f"{number:.0f} class{'es' * (round(number) != 1)}; shots unlike any training shot "
        f"{unseen:.2%}, by the RBM {expected:.2%}"
    )
    return tested(dataset, "configurations", tests[0], tests[1], found)


def check_other_models(dataset: xr.Dataset) -> Check:
    """Check that neither independent bits nor the best candidate describe the shots better."""
    attrs = dataset.attrs

    def judge(prefix: str) -> list[LossTest]:
        return [
            judge_mean(
                float(dataset[f"{prefix}configurations_{other}_loss"]),
                float(dataset[f"{prefix}configurations_{other}_error"]),
                _test_shots(dataset),
                attrs["tolerance"],
            )
            for other in ("product", "best")
        ]

    tests, of_dense = judge(""), judge("dense_")
    severity = ("pass", "undecided", "fail")
    k = max((0, 1), key=lambda k: (severity.index(tests[k].answer), tests[k].high))
    other = ("independent bits", "the best RBM tried")[k]
    found = f"log-likelihood {0.0 - tests[k].loss:+.2g} ± {tests[k].error:.1g} relative to {other}"
    return tested(dataset, "other models", tests[k], of_dense[k], found)


def tested(dataset: xr.Dataset, name: str, test: LossTest, of_dense: LossTest, found: str) -> Check:
    """Return the check of a test of the smallest RBM, and the same test of the unpruned one."""
    needed = _shots_in_all(dataset, test.shots_needed)
    cause = _cause(of_dense) if test.answer == "fail" else ""
    return Check(name, test.answer, test.loss, test.high, found, needed, cause, at_least=test.low)


def _cause(of_dense: LossTest) -> str:
    return "training" if of_dense.answer == "fail" else "pruning"


def _shots_in_all(dataset: xr.Dataset, test_shots: float) -> float:
    """Return how many shots have so many independent test shots.

    By default a smaller fraction of more shots is held out, unless there are many.
    """
    shots, training = dataset.attrs["shots"], dataset.attrs["training_shots"]
    settings = ReconstructSettings()
    if abs(shots - training - settings.held_out_of(shots) * shots) > 1:
        settings = ReconstructSettings(held_out=1 - training / shots)
    return settings.shots_for(test_shots * (shots - training) / _test_shots(dataset))
