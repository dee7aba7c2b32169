"""What `psiprune reconstruct` found as labelled variables: candidates, trials, observables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from psiprune.core.exceptions import InputError
from psiprune.core.statistics import Choice
from psiprune.metrics.against_shots import TAKEN, ShotsReport
from psiprune.metrics.agreement import MaxDeviation
from psiprune.metrics.custom import Observable, check_names
from psiprune.metrics.equivalence import EquivalenceResult
from psiprune.pruning.search import Smallest
from psiprune.training.method import Method

#: Observables of every RBM, beside the user's own; with their dimension.
OBSERVABLES = ("magnetization", "abs_magnetization", "neighbours", "correlation")
_LIKELIHOODS = ("log_likelihood", "log_likelihood_gain")
#: What stands behind the name of an observable in the names of its variables.
SUFFIXES = ("", "_error", "_shots", "_shots_error", "_sigmas", "_dense")
#: Names that are neither an observable's nor begin with one of the prefixes.
_SINGLE = ("seed", "distance", "warning")
_PREFIXES = ("candidate", "trial", "test", "likelihood", "pairs", "drift")


def check_own(observables: Mapping[str, Observable]) -> None:
    """Raise InputError unless own observables are functions, none with a variable of another.

    In a dataset an observable `x` is x, x_error, x_shots, ..., so two of them can be in each
    other's way, as `good` and `good_error` are, or one in the way of psiprune's own numbers.
    """
    check_names(observables, TAKEN)
    names = [*OBSERVABLES, *_LIKELIHOODS]
    owner = {
        **dict.fromkeys((*_SINGLE, *_PREFIXES), "psiprune's own numbers"),
        **{name + suffix: f"psiprune's {name!r}" for name in names for suffix in SUFFIXES},
    }
    for name in observables:
        made = [name + suffix for suffix in SUFFIXES]
        for variable in made:
            whose = owner.get(variable)
            if variable.startswith(tuple(f"{prefix}_" for prefix in _PREFIXES)):
                whose = "psiprune's own numbers"
            if whose is not None:
                raise InputError(
                    f"observables: {name!r} would be kept as {variable!r}, which belongs to "
                    f"{whose}; give another name"
                )
        owner.update(dict.fromkeys(made, f"the observable {name!r}"))


def from_standing(standing: EquivalenceResult) -> xr.Dataset:
    """Its fields as variables."""
    return xr.Dataset(dict(standing._asdict()))


def from_worst(worst: MaxDeviation) -> xr.Dataset:
    """Its fields as variables, the sites in words: "3", "3 and 4"."""
    where = " and ".join(map(str, worst.where))
    return xr.Dataset({**worst._asdict(), "where": where})


def prefixed(prefix: str, dataset: xr.Dataset) -> xr.Dataset:
    """The dataset with PREFIX_ before the name of every variable."""
    return dataset.rename({name: f"{prefix}_{name}" for name in dataset}).drop_attrs()


def from_report(names: Sequence[str], report: ShotsReport) -> xr.Dataset:
    """Observables with `_error`, `_shots` and `_shots_error`, and the likelihoods of a report."""
    values: dict[str, object] = {}
    for name in names:
        found = report.comparison(name)
        along = ("distance",) if np.ndim(found.value) else ()
        for suffix, value in (
            ("", found.value),
            ("_error", found.error),
            ("_shots", found.shots_value),
            ("_shots_error", found.shots_error),
            ("_sigmas", found.sigmas),
        ):
            values[f"{name}{suffix}"] = (along, value)
    for name in _LIKELIHOODS:
        values[name] = getattr(report, name).value
        values[f"{name}_error"] = getattr(report, name).error
    values["warning"] = "; ".join(dict.fromkeys(each.warning for _, each in report if each.warning))
    return xr.Dataset(values)


def learning_rate_of(method: Method) -> float:
    """Return the learning rate of a method, NaN for one that has none."""
    return float(getattr(method, "learning_rate", np.nan))


def choice_file(hidden: int, method: str | None, learning_rate: float) -> Path:
    """Where a model to choose from is kept; one trained exactly has no rate."""
    rate = "" if method == "exact" else f"-rate-{learning_rate:g}"
    return Path("choice") / f"hidden-{hidden}{rate}.nc"


def choice_variables(candidates: Sequence[tuple[int, Method]], choice: Choice) -> xr.Dataset:
    """Size, rate, loss against the best and its limit of every candidate, over `candidate`."""
    along = "candidate"
    nat = {"units": "nat"}
    return xr.Dataset(
        {
            "candidate_hidden": (along, [hidden for hidden, _ in candidates]),
            "candidate_learning_rate": (along, [learning_rate_of(each) for _, each in candidates]),
            "candidate_method": (along, [str(each.method) for _, each in candidates]),
            "candidate_loss": (along, choice.losses, nat),
            "candidate_loss_error": (along, choice.errors, nat),
            "candidate_loss_limit": (along, choice.limits, nat),
            "candidate_chosen": (along, np.arange(len(candidates)) == choice.chosen),
        }
    )


def trial_variables(found: Smallest, kept: Sequence[xr.Dataset]) -> xr.Dataset:
    """Every RBM of the search in order, over `trial`: weights, and its standing by validation."""
    along = "trial"
    numbers = {
        f"trial_{name}": (along, [float(each[name]) for each in kept])
        for name in EquivalenceResult._fields
        if name != "warning"
    }
    return xr.Dataset(
        {
            "trial_name": (along, [trial.name for trial in found.trials]),
            "trial_weights": (along, [trial.rbm.number_of_weights for trial in found.trials]),
            "trial_smallest": (along, [trial.rbm is found.rbm for trial in found.trials]),
            **numbers,
        }
    )


def observable_variables(
    names: Sequence[str], dense: Sequence[xr.Dataset], smallest: xr.Dataset
) -> xr.Dataset:
    """Each observable and the likelihoods on the test shots.

    NAME and NAME_error are the smallest RBM's, NAME_shots and NAME_shots_error those of the shots,
    NAME_sigmas their difference in errors of both, NAME_dense [seed] those of the dense ensemble.
    """
    each = xr.concat(dense, dim="seed")
    wanted = [*names, *_LIKELIHOODS]
    return smallest.drop_vars("warning").assign({f"{name}_dense": each[name] for name in wanted})


def doubts_in(*kept: xr.Dataset) -> Iterable[str]:
    """Warnings of estimates, each once."""
    found = (str(each["warning"].item()) for each in kept)
    return dict.fromkeys(doubt for doubt in found if doubt)
