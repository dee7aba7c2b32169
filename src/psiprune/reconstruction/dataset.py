"""Names and variables of reconstruct.nc: candidates, trials, observables; files of a run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.statistics import Choice
from psiprune.io.netcdf import read_dataset
from psiprune.metrics.agreement import SitesAndPairs
from psiprune.metrics.configurations import Configurations
from psiprune.metrics.corrected import STATE_OBSERVABLES
from psiprune.metrics.custom import Observable, check_names
from psiprune.metrics.equivalence import EquivalenceResult
from psiprune.metrics.observed import dimension_of
from psiprune.metrics.readout import ReadoutSensitivity
from psiprune.metrics.shots_report import TAKEN, ShotsReport
from psiprune.pruning.search import Smallest
from psiprune.reconstruction.architecture import Model, choice_file, learning_rate_of
from psiprune.reconstruction.settings import ReconstructSettings
from psiprune.training.method import Method

#: Observables of every run; the user's own come after them.
OBSERVABLES = ("magnetization", "abs_magnetization", "neighbours", "correlation")
_LIKELIHOODS = ("log_likelihood", "log_likelihood_gain")
#: An observable `x` is stored as x, x_error, x_shots and so on.
SUFFIXES = ("", "_error", "_shots", "_shots_error", "_sigmas", "_variance", "_dense")
_FIELDS = ("value", "error", "shots_value", "shots_error", "sigmas", "variance")
#: Further errors of the RBM, where they are known.
FURTHER = ("_rates_error", "_training_error")
#: Other variables have one of these names, or begin with one of the prefixes.
_SINGLE = ("seed", "distance", "warning", "replica", "site", "partner")
_PREFIXES = (
    *("candidate", "trial", "training", "test", "likelihood", "configurations", "pairs", "dense"),
    *("readout", "state"),
)


class Candidate(NamedTuple):
    """A model to choose from, and its file."""

    model: Model
    file: Path


def check_observable_names(observables: Mapping[str, Observable]) -> None:
    """Raise InputError unless all are functions and no two variables would have the same name.

    As `good` is stored as good, good_error, ..., no other observable may be named `good_error`.
    """
    check_names(observables, TAKEN)
    names = [*OBSERVABLES, *_LIKELIHOODS]
    owner = {
        **dict.fromkeys((*_SINGLE, *_PREFIXES), "psiprune's own numbers"),
        **{
            name + suffix: f"psiprune's {name!r}"
            for name in names
            for suffix in (*SUFFIXES, *FURTHER)
        },
    }
    for name, observable in observables.items():
        made = [name + suffix for suffix in (*SUFFIXES, *FURTHER)]
        if dimension := dimension_of(observable)[0]:
            made.append(f"{name}_{dimension}")
        for variable in made:
            taken = owner.get(variable)
            if variable.startswith(tuple(f"{prefix}_" for prefix in _PREFIXES)):
                taken = "psiprune's own numbers"
            if taken is not None:
                raise InputError(
                    f"observables: {name!r} would be stored as {variable!r}, which is already used "
                    f"by {taken}; choose another name"
                )
        owner.update(dict.fromkeys(made, f"the observable {name!r}"))


def observable_names(dataset: xr.Dataset) -> list[str]:
    """List the observables of a run, the user's own last."""
    return [*OBSERVABLES, *filter(None, dataset.attrs["own"].split(", "))]


def value_labels(dataset: xr.Dataset, name: str) -> list[str]:
    """Return the name of each value of an observable: "g2 at d = 1"; of a scalar its name."""
    if not dataset[name].ndim:
        return [name]
    (dimension,) = dataset[name].dims
    letter = "d" if dimension == "distance" else str(dimension).removeprefix(f"{name}_")
    return [f"{name} at {letter} = {each:.4g}" for each in _coordinates(dataset, str(dimension))]


def _coordinates(dataset: xr.Dataset, dimension: str) -> NDArray[np.float64]:
    if dimension in dataset.coords:
        return np.asarray(dataset[dimension].values, dtype=np.float64)
    return np.arange(dataset.sizes[dimension], dtype=np.float64)


class Untested(NamedTuple):
    """An observable that shots in the Z basis do not determine: with X or Y.

    Attributes:
        name: of it.
        dense: mean of the unpruned RBMs.
        value, error: of the smallest RBM and its standard error.
    """

    name: str
    dense: float
    value: float
    error: float


def untested_observables(dataset: xr.Dataset) -> list[Untested]:
    """List the further observables that no shots determine."""
    return [
        Untested(
            name,
            float(dataset[f"{name}_dense"].mean("seed")),
            float(dataset[name]),
            float(dataset[f"{name}_error"]),
        )
        for name in observable_names(dataset)[len(OBSERVABLES) :]
        if dataset[name].ndim == 0 and np.isnan(dataset[f"{name}_shots"])
    ]


def state_names(dataset: xr.Dataset) -> list[str]:
    """List the observables of the true bits by name."""
    further = observable_names(dataset)[len(OBSERVABLES) :]
    return [*STATE_OBSERVABLES, *(name for name in further if f"state_{name}" in dataset)]


def as_recorded(dataset: xr.Dataset) -> str:
    """Return " as recorded" if the shots carry readout errors, else ""."""
    return " as recorded" if f"state_{STATE_OBSERVABLES[0]}" in dataset else ""


class StateObservable(NamedTuple):
    """An observable of the true bits, of the shots with the readout errors inverted and of the RBM.

    Attributes:
        name: with the distance of C(d).
        distance: d, 0 for another observable.
        shots_value, shots_error: of the shots.
        value, error: of the smallest RBM.
        sigmas: the difference over both sampling errors, without that of the calibration.
        rates_error, training_error: further errors of `value`, NaN where unknown; see `Comparison`.
    """

    name: str
    distance: int
    shots_value: float
    shots_error: float
    value: float
    error: float
    sigmas: float
    rates_error: float
    training_error: float


def state_observables(dataset: xr.Dataset) -> list[StateObservable]:
    """List the observables of the true bits; for shots with readout errors only."""
    found = []
    for name in state_names(dataset):
        unknown = xr.full_like(dataset[f"state_{name}"], np.nan)
        columns = (
            np.atleast_1d(dataset.get(f"state_{name}{suffix}", unknown).values)
            for suffix in ("_shots", "_shots_error", "", "_error", "_sigmas", *FURTHER)
        )
        for d, (shots, *others) in enumerate(zip(*columns, strict=True)):
            if np.isfinite(shots):
                label = f"{name} at d = {d}" if dataset[f"state_{name}"].ndim else name
                found.append(StateObservable(label, d, float(shots), *map(float, others)))
    return found


def result_variables(result: EquivalenceResult) -> xr.Dataset:
    """Turn the fields of a result into variables, sites into text: "3", "3 and 4"."""
    return xr.Dataset(
        {
            name: " and ".join(map(str, value)) if isinstance(value, tuple) else value
            for name, value in result._asdict().items()
        }
    )


def pairs_variables(pairs: SitesAndPairs) -> xr.Dataset:
    """Turn <Z_i Z_j> into variables over (site, partner)."""
    *arrays, warning = pairs
    names = SitesAndPairs._fields[:-1]
    columns = {
        name: (("site", "partner"), array) for name, array in zip(names, arrays, strict=True)
    }
    return xr.Dataset({**columns, "warning": warning})


def configurations_variables(found: Configurations) -> xr.Dataset:
    """Turn the comparison by configurations into variables."""
    cells, *others = found
    return xr.Dataset({**cells._asdict(), **dict(zip(found._fields[1:], others, strict=True))})


def readout_variables(readout: ReadoutSensitivity) -> xr.Dataset:
    """Turn what readout errors would change into variables."""
    infidelity = readout.infidelity
    return xr.Dataset(
        {
            "flip": readout.flip,
            "infidelity": infidelity.value,
            "error": infidelity.error,
            "sentence": readout.sentence,
            "warning": infidelity.warning,
        }
    )


def prefixed(prefix: str, dataset: xr.Dataset) -> xr.Dataset:
    """Rename every variable NAME to PREFIX_NAME."""
    return dataset.rename({name: f"{prefix}_{name}" for name in dataset}).drop_attrs()


def report_variables(names: Sequence[str], report: ShotsReport) -> xr.Dataset:
    """Collect observables (all suffixes but `_dense`), log-likelihoods, warnings and a note.

    For shots with readout errors also the observables of the true bits, with names "state_...".
    """
    values: dict[str, object] = {}
    coordinates: dict[str, list[float]] = {}
    compared = {name: report.comparison(name) for name in names}
    compared |= {f"state_{name}": comparison for name, comparison in report.state.items()}
    for name, comparison in compared.items():
        along: tuple[str, ...] = ()
        if comparison.dimension:
            along = (f"{name}_{comparison.dimension}",)
            coordinates[along[0]] = list(comparison.coordinates)
        elif np.ndim(comparison.value):
            along = ("distance",)
        for suffix, field in zip(SUFFIXES[:-1], _FIELDS, strict=True):  # all but `_dense`
            values[f"{name}{suffix}"] = (along, getattr(comparison, field))
        for suffix in FURTHER:
            error = getattr(comparison, suffix[1:])
            if error is not None:
                values[f"{name}{suffix}"] = (along, error)
    for name in _LIKELIHOODS:
        values[name] = getattr(report, name).value
        values[f"{name}_error"] = getattr(report, name).error
    values["boundary_note"] = report.boundary_note
    values["warning"] = "; ".join(dict.fromkeys(each.warning for _, each in report if each.warning))
    return xr.Dataset(values, coordinates)


def methods_attribute(**methods: Method) -> str:
    """Return training methods with every field as the JSON of an attribute."""
    return json.dumps({name: method.model_dump() for name, method in methods.items()})


def methods_used(dataset: xr.Dataset) -> dict[str, dict[str, Any]]:
    """Return the methods of the chosen model, "train" and "fine_tune", from this attribute."""
    methods: dict[str, dict[str, Any]] = json.loads(dataset.attrs["methods"])
    return methods


def expected_files(settings: ReconstructSettings, folder: Path) -> Iterator[Path]:
    """List the files of a finished run, relative to its folder, the report last.

    The search decides which RBMs it needs, so reconstruct.nc lists them; until it exists they are
    left out.
    """
    seeds = range(settings.seed, settings.seed + settings.seeds)
    yield Path("split.nc")
    yield from (Path(f"ensemble/seed-{seed}.nc") for seed in seeds)
    try:
        dataset = read_dataset(folder / "reconstruct.nc", "reconstruct")
        columns = ("hidden", "scale_free", "links", "method", "learning_rate")
        found = (dataset[f"candidate_{name}"].values for name in columns)
        candidates = list(zip(*found, strict=True))
        trials = dataset["trial_name"].values.tolist()
    except (InputError, KeyError):  # does not exist yet, or is reported as damaged
        pass
    else:
        by_observable = settings.measure != "log_likelihood"
        observed = [f"seed-{seed}-test" for seed in seeds]
        observed += ["smallest-test", "details", "training-loss"]
        if by_observable:
            observed += ["shift", *(f"seed-{seed}-validation" for seed in seeds)]
        for hidden, scale_free, links, method, rate in candidates:
            size = int(hidden), bool(scale_free), int(links)
            yield choice_file(*size, str(method), float(rate))
        yield from (Path(f"path/{name}.nc") for name in trials)
        yield from (Path(f"observed/{name}.nc") for name in observed)
    yield from map(Path, ("smallest.nc", "reconstruct.nc", "report.html"))


def choice_variables(candidates: Sequence[Candidate], choice: Choice) -> xr.Dataset:
    """Collect size, rate, loss relative to the best and its limit, over `candidate`."""
    nat, models = {"units": "nat"}, [each.model for each in candidates]
    columns = {
        "hidden": ([each.architecture.hidden for each in models],),
        "scale_free": ([each.architecture.scale_free for each in models],),
        "links": ([each.architecture.links for each in models],),
        "learning_rate": ([learning_rate_of(each.training) for each in models],),
        "method": ([str(each.training.method) for each in models],),
        "loss": (choice.losses, nat),
        "loss_error": (choice.errors, nat),
        "chosen": (np.arange(len(candidates)) == choice.chosen,),
    }
    return xr.Dataset({f"candidate_{name}": ("candidate", *of) for name, of in columns.items()})


def trial_variables(outcome: Smallest, stored: Sequence[xr.Dataset]) -> xr.Dataset:
    """Collect the search over `trial`: weights, and results on the shots that end it."""
    columns = {
        "name": [trial.name for trial in outcome.trials],
        "weights": [trial.rbm.number_of_weights for trial in outcome.trials],
        "smallest": [trial.rbm is outcome.rbm for trial in outcome.trials],
        **{
            name: [float(each[name]) for each in stored]
            for name in EquivalenceResult._fields
            if name != "warning"
        },
    }
    return xr.Dataset({f"trial_{name}": ("trial", of) for name, of in columns.items()})


def levels_of(dataset: xr.Dataset) -> Iterator[tuple[str, int, float, float, float, bool]]:
    """Return name, weights, loss, error, allowed and accepted of each RBM of the search."""
    columns = ("name", "weights", "loss", "error", "allowed", "share")
    for name, weights, loss, error, allowed, share in zip(
        *(dataset[f"trial_{column}"].values.tolist() for column in columns), strict=True
    ):
        yield name, weights, loss, error, allowed, share <= 1


def observable_variables(
    names: Sequence[str], dense: Sequence[xr.Dataset], smallest: xr.Dataset
) -> xr.Dataset:
    """Collect each observable and the log-likelihoods on the test shots.

    NAME and NAME_error belong to the smallest RBM, NAME_shots and NAME_shots_error to the shots;
    NAME_sigmas is the difference over both errors, of true bits ("state_...") without that of the
    calibration; NAME_dense [seed] belongs to the chosen RBM and to its replicas.
    """
    ensemble = xr.concat(dense, dim="seed")
    wanted = [*names, *_LIKELIHOODS]
    return smallest.drop_vars("warning").assign(
        {f"{name}_dense": ensemble[name] for name in wanted}
    )


def distinct_warnings(results: Sequence[xr.Dataset], others: Sequence[str]) -> str:
    """Join the warnings of results, and others, each once."""
    warnings = [*(str(each["warning"].item()) for each in results), *others]
    return "; ".join(dict.fromkeys(filter(None, warnings)))
