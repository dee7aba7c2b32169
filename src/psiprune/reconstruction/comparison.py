"""Compare RBMs with held-out shots: choose the parent, search for the smallest RBM, test it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.data.shots import Shots
from psiprune.experiments.ensemble import run_parallel
from psiprune.io.checkpoint import Checkpoints
from psiprune.io.netcdf import read_dataset, write_dataset
from psiprune.metrics.against_shots import ShotsReport, evaluate_on_shots
from psiprune.metrics.agreement import drift, worst_pair
from psiprune.metrics.equivalence import (
    EquivalenceResult,
    EquivalenceTest,
    Losses,
    likelihood_band,
    likelihood_floor,
    losses_from,
    nearest_to_mean,
    observable_band,
)
from psiprune.pruning.search import Smallest, Trial, find_smallest
from psiprune.rbm.model import RBM
from psiprune.rbm.serialization import rbm_from_dataset
from psiprune.reconstruction.dataset import (
    OBSERVABLES,
    distinct_warnings,
    observable_variables,
    prefixed,
    report_variables,
    result_variables,
    trial_variables,
)
from psiprune.reconstruction.inputs import Run
from psiprune.training.train import Callback


def choose_parent(run: Run, members: Sequence[RBM]) -> int:
    """Return the index of the member nearest to the mean on the validation shots."""
    if run.settings.measure != "log_likelihood":
        return nearest_to_mean(_measure_members(run, members, "validation"))
    losses = _losses(run, members[0], run.split.validation)
    return nearest_to_mean([losses(member).values.mean() for member in members])


def search(run: Run, members: Sequence[RBM], parent: int) -> Smallest:
    """Prune the parent until it leaves the band on the validation shots, then bisect.

    Every RBM of the search goes to a file with its result.
    """
    band = _band(run, members, parent, "validation")
    results: dict[RBM, EquivalenceResult] = {}

    def measure(rbm: RBM) -> float:
        results[rbm] = band(rbm)
        return results[rbm].share

    def load_or_make(name: str, make: Callable[[Checkpoints | None], Trial]) -> Trial:
        file = run.folder / "path" / f"{name}.nc"
        if not file.exists():
            with Checkpoints(file) as checkpoints:
                rbm = make(checkpoints).rbm
                result = result_variables(results[rbm])
                write_dataset(file, rbm.to_dataset().merge(result), "rbm")
        stored = read_dataset(file, "rbm")
        return Trial(name, rbm_from_dataset(stored, file), float(stored["share"]))

    def work(dense: RBM, tick: Callback) -> Smallest:
        return find_smallest(
            dense,
            run.split.training,
            measure=measure,
            limit=1.0,
            settings=run.settings.prune,
            fine_tune=run.settings.fine_tune,
            seed=run.settings.seed,
            callback=tick,
            load_or_make=load_or_make,
        )

    return run_parallel(work, [members[parent]], None, "pruning", name=lambda _: "pruning")[0]


def test(run: Run, members: Sequence[RBM], parent: int, outcome: Smallest) -> xr.Dataset:
    """Compare the ensemble and the smallest RBM, which is written, with the test shots."""
    smallest, shots, by_likelihood = outcome.rbm, run.split.test, []

    def compare(build: Callable[..., EquivalenceTest]) -> xr.Dataset:
        return result_variables(build(run, members, parent, "test")(smallest))

    result = _load_or_make(run, "smallest-standing", lambda: compare(_band))
    if run.settings.measure != "log_likelihood":
        by_likelihood.append(
            _load_or_make(run, "smallest-likelihood", lambda: compare(_likelihood_band))
        )

    def worst() -> xr.Dataset:
        draws, seed, blocks = run.settings.draws, run.settings.seed, run.dependence.blocks
        return result_variables(worst_pair(smallest, shots, draws=draws, seed=seed, blocks=blocks))

    pairs = _load_or_make(run, "smallest-pairs", worst)
    dense = _observe_members(run, members, "test")
    report = _observe(run, "smallest-test", smallest, shots)
    trials = [
        read_dataset(run.folder / "path" / f"{trial.name}.nc", "rbm") for trial in outcome.trials
    ]
    write_dataset(
        run.folder / "smallest.nc", smallest.to_dataset().merge(prefixed("test", result)), "rbm"
    )
    dataset = xr.merge(
        [
            trial_variables(outcome, trials),
            observable_variables([*OBSERVABLES, *run.custom], dense, report),
            prefixed("test", result),
            *(prefixed("likelihood", each) for each in by_likelihood),
            prefixed("pairs", pairs),
            prefixed("drift", result_variables(drift(run.shots))),
        ]
    )
    warnings = distinct_warnings([report, result, pairs, *by_likelihood, *trials])
    return dataset.assign_coords(seed=list(run.seeds)).assign_attrs(warnings=warnings)


def _losses(run: Run, parent: RBM, shots: Shots) -> Callable[[RBM], Losses]:
    return losses_from(parent, shots, draws=run.settings.draws, seed=run.settings.seed)


def _band(run: Run, members: Sequence[RBM], parent: int, part: str) -> EquivalenceTest:
    """Build the equivalence test by what ends the search, on one part of the shots."""
    measure, shots = run.settings.measure, getattr(run.split, part)
    if measure == "log_likelihood":
        return _likelihood_band(run, members, parent, part)
    values = _measure_members(run, members, part)
    return observable_band(
        values, lambda rbm: _report(run, rbm, shots).comparison(measure), run.settings.significance
    )


def _likelihood_band(run: Run, members: Sequence[RBM], parent: int, part: str) -> EquivalenceTest:
    losses = _losses(run, members[parent], getattr(run.split, part))
    blocks, settings = run.dependence.blocks, run.settings
    floor = likelihood_floor(run.shots.sites, blocks.effective(len(run.split.training)))
    return likelihood_band(
        members, losses, settings.significance, settings.seed, floor, blocks.length
    )


def _measure_members(run: Run, members: Sequence[RBM], part: str) -> list[NDArray[np.float64]]:
    """Evaluate the observable that ends the search for each member."""
    return [each[run.settings.measure].values for each in _observe_members(run, members, part)]


def _observe_members(run: Run, members: Sequence[RBM], part: str) -> list[xr.Dataset]:
    return [
        _observe(run, f"seed-{seed}-{part}", member, getattr(run.split, part))
        for seed, member in zip(run.seeds, members, strict=True)
    ]


def _observe(run: Run, name: str, rbm: RBM, shots: Shots) -> xr.Dataset:
    """Evaluate all observables of an RBM and of the shots, and the log-likelihood."""
    names = [*OBSERVABLES, *run.custom]
    stored = _load_or_make(run, name, lambda: report_variables(names, _report(run, rbm, shots)))
    for wanted in run.custom:
        if wanted not in stored:
            file = run.folder / "observed" / f"{name}.nc"
            raise InputError(f"{file}: does not contain {wanted!r}; delete it to recompute it")
    return stored


def _load_or_make(run: Run, name: str, make: Callable[[], xr.Dataset]) -> xr.Dataset:
    """Read numbers from their file, which is written first if it does not exist."""
    file = run.folder / "observed" / f"{name}.nc"
    if not file.exists():
        write_dataset(file, make(), "observed")
    return read_dataset(file, "observed")


def _report(run: Run, rbm: RBM, shots: Shots) -> ShotsReport:
    draws, seed = run.settings.draws, run.settings.seed
    blocks = run.dependence.blocks
    return evaluate_on_shots(
        rbm, shots, draws=draws, seed=seed, observables=run.custom, blocks=blocks
    )
