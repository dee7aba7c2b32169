"""From measured shots to the smallest RBM that describes them, without a reference state."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from psiprune.core.exceptions import DivergenceError, InputError
from psiprune.core.random import Stream, generator_for
from psiprune.core.statistics import Choice, choose
from psiprune.data.shots import Shots, ShotsLike, as_shots, check_sites
from psiprune.experiments.ensemble import run_parallel
from psiprune.inference.log_partition import log_partition
from psiprune.io.checkpoint import Checkpoints
from psiprune.io.netcdf import read_dataset, write_dataset
from psiprune.io.run import open_run
from psiprune.metrics.against_shots import ShotsReport, evaluate_on_shots
from psiprune.metrics.agreement import drift, worst_pair
from psiprune.metrics.custom import Observable, load_observable, observe
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
from psiprune.reconstruction.custom_code import find_code, save_code
from psiprune.reconstruction.dataset import (
    OBSERVABLES,
    Candidate,
    check_observable_names,
    choice_file,
    choice_variables,
    distinct_warnings,
    learning_rate_of,
    methods_attribute,
    observable_variables,
    prefixed,
    report_variables,
    result_variables,
    trial_variables,
)
from psiprune.reconstruction.settings import ReconstructSettings
from psiprune.training.method import Initial
from psiprune.training.train import Callback, ensemble_initial, train

#: Fewest shots in each of the three parts; fewer give no meaningful error bar.
MIN_SHOTS = 30


class Split(NamedTuple):
    """Shots in three parts, and the index of each shot's part, [shot], in the order of fields."""

    training: Shots
    validation: Shots
    test: Shots
    part: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Run:
    """Inputs of every stage of a run.

    Attributes:
        settings: sizes, methods and checksum included, see `resolve_settings`.
        shots: all of them.
        split: the same in three parts.
        folder: of the run.
        custom: the user's observables by name.
    """

    settings: ReconstructSettings
    shots: Shots
    split: Split
    folder: Path
    custom: Mapping[str, Observable]

    @property
    def seeds(self) -> range:
        """Return the seeds of the ensemble."""
        return range(self.settings.seed, self.settings.seed + self.settings.seeds)


def split_shots(shots: Shots, held_out: float, seed: int) -> Split:
    """Split shots at random; validation and test share the fraction `held_out` evenly.

    The validation shots choose the model and end the pruning, so only the test shots remain
    independent of the result.

    Raises:
        InputError: a part would have fewer than 30 shots.
    """
    total = len(shots)
    held = round(held_out * total)
    sizes = {"training": total - held, "validation": held // 2, "test": held - held // 2}
    for name, size in sizes.items():
        if size < MIN_SHOTS:
            raise InputError(
                f"{shots.source}: {total} shots leave {size} for {name} with held_out = "
                f"{held_out:g}, but at least {MIN_SHOTS} are needed; give more shots or change "
                "held_out"
            )
    part = np.repeat(np.arange(3, dtype=np.uint8), list(sizes.values()))
    part = generator_for(seed, Stream.SHOTS_SPLIT).permutation(part)
    training, validation, test = (
        Shots(shots.bits[part == k], source=f"{shots.source} ({name})")
        for k, name in enumerate(sizes)
    )
    return Split(training, validation, test, part)


def run_reconstruct(
    settings: ReconstructSettings,
    shots: ShotsLike,
    folder: str | os.PathLike[str],
    observables: Mapping[str, Observable] | None = None,
) -> xr.Dataset:
    """Choose, train, prune and test, skipping what the folder already contains.

    The folder holds config.toml, provenance.json, split.nc, choice/ (an RBM for each number of
    hidden units and learning rate), ensemble/ (an RBM for each seed), path/ (every RBM of the
    search), observed/ (observables of RBMs), smallest.nc and reconstruct.nc.

    Args:
        settings: of the run.
        shots: measured in the Z basis: Shots, bits [shot, site] or counts {"0101": 12}.
        folder: of the run.
        observables: custom ones by name, in addition to those in the settings. Results of an
            observable in a file are recomputed when the file has changed; a change to a function
            given here goes unnoticed.

    Returns:
        All numbers; docs/reconstruct.md lists the variables.

    Raises:
        InputError: too few shots, a custom observable fails, the folder belongs to another run, or
            a file in it is damaged.
        DivergenceError: training diverged at every learning rate.
        OSError: the folder cannot be written; finished files remain.
    """
    data = as_shots(shots)
    check_sites(data, data.sites, "an RBM")
    settings = resolve_settings(settings, data)
    custom = _load_observables(settings, Path(folder), observables or {}, data.sites)
    split = split_shots(data, settings.held_out, settings.seed)
    _try_observables(custom, split, settings)
    with open_run(folder, settings) as opened:
        run = Run(settings, data, split, opened, custom)
        for name in ("choice", "ensemble", "path", "observed"):
            (run.folder / name).mkdir(exist_ok=True)
        save_code(run.folder, settings.observable, ends_search=settings.measure in custom)
        if not (run.folder / "split.nc").exists():
            meaning = {"long_name": "0 training, 1 validation, 2 test", "units": "1"}
            parts = xr.Dataset({"part": ("shot", split.part, meaning)})
            write_dataset(run.folder / "split.nc", parts, "split")
        candidates, choice = choose_model(run)
        chosen = candidates[choice.chosen]
        members = train_ensemble(run, chosen)
        parent = choose_parent(run, members)
        outcome = search(run, members, parent)
        tested = test(run, members, parent, outcome)
        dataset = xr.merge([choice_variables(candidates, choice), tested])
        dataset.attrs = {
            "source": data.source,
            "sites": data.sites,
            "shots": len(data),
            **{f"{name}_shots": len(getattr(split, name)) for name in Split._fields[:3]},
            "unique_shots": len(np.unique(np.packbits(data.bits, axis=1), axis=0)),
            "constant_sites": int((np.ptp(data.bits, axis=0) == 0).sum()),
            "measure": settings.measure,
            "significance": settings.significance,
            "own": ", ".join(custom),
            "hidden": chosen.hidden,
            "method": str(chosen.training.method),
            "learning_rate": learning_rate_of(chosen.training),
            "methods": methods_attribute(
                train=chosen.training,
                fine_tune=settings.fine_tune.for_size(data.sites, chosen.hidden),
            ),
            "criterion": settings.prune.criterion,
            "parent_seed": run.seeds[parent],
            "dense_weights": members[parent].number_of_weights,
            "dense_parameters": members[parent].compact().number_of_parameters,
            "weights": outcome.rbm.number_of_weights,
            "components": outcome.rbm.components,
            "fewer": -1 if outcome.fewer is None else outcome.fewer,
            **tested.attrs,
        }
        write_dataset(run.folder / "reconstruct.nc", dataset, "reconstruct")
    return dataset


def resolve_settings(settings: ReconstructSettings, shots: Shots) -> ReconstructSettings:
    """Return the settings with what follows from the shots: sizes, methods and checksum."""
    digest = hashlib.sha256(repr(shots.bits.shape).encode() + shots.bits.tobytes()).hexdigest()
    if settings.shots_sha256 not in (None, digest):
        raise InputError(
            f"{shots.source}: has the checksum {digest[:12]}..., but shots_sha256 is "
            f"{str(settings.shots_sha256)[:12]}...; give the shots of that run or omit it"
        )
    return settings.for_sites(shots.sites).model_copy(update={"shots_sha256": digest})


def _load_observables(
    settings: ReconstructSettings, folder: Path, given: Mapping[str, Observable], sites: int
) -> dict[str, Observable]:
    """Load custom observables, given and from files; check their names and `measure`."""
    custom = dict(given)
    for place in find_code(folder, settings.observable):
        name, function = load_observable(place)
        if name in custom:
            raise InputError(f"observable: {name!r} is given twice; rename one of them")
        custom[name] = function
    check_observable_names(custom)
    known = ("log_likelihood", *OBSERVABLES, *custom)
    if settings.measure not in known:
        raise InputError(f"measure: must be one of {', '.join(known)}, found {settings.measure!r}")
    if settings.measure == "neighbours" and sites == 1:
        raise InputError("measure: 'neighbours' needs at least 2 sites, found 1")
    return custom


def _try_observables(
    custom: Mapping[str, Observable], split: Split, settings: ReconstructSettings
) -> None:
    """Call custom observables before the training, so that they do not fail hours later.

    They see both held-out parts, and as many random configurations as an RBM is sampled for:
    samples contain every configuration.
    """
    generator = generator_for(settings.seed, Stream.CUSTOM_OBSERVABLE_TRIAL)
    draws = generator.integers(0, 2, (settings.draws, split.test.sites), dtype=np.uint8)
    for name, function in custom.items():
        for bits in (split.validation.bits, split.test.bits, draws):
            observe(name, function, bits)


def choose_model(run: Run) -> tuple[list[Candidate], Choice]:
    """Train a model of each size and learning rate; choose one by the validation likelihood.

    Candidates whose training diverges are left out.

    Raises:
        DivergenceError: all of them diverged.
    """
    items = [
        Candidate(
            hidden,
            training,
            run.folder / choice_file(hidden, training.method, learning_rate_of(training)),
        )
        for hidden, training in run.settings.candidates(run.shots.sites)
    ]
    failures = run_parallel(
        lambda item, tick: _train(run, item, run.settings.seed, tick),
        items,
        sum(item.training.epochs for item in items),
        "choosing the model",
        name=lambda item: item.file.stem,
    )
    candidates = [item for item, failed in zip(items, failures, strict=True) if failed is None]
    if not candidates:
        raise DivergenceError(str(failures[0]))
    log_p, errors = [], []
    for item in candidates:
        stored = read_dataset(item.file, "rbm")
        rbm = rbm_from_dataset(stored, item.file)
        log_p.append(
            rbm.log_prob_unnormalized(run.split.validation) - float(stored["log_partition"])
        )
        errors.append(float(stored["log_partition_error"]))
    sizes = [item.hidden for item in candidates]
    choice = choose(np.array(log_p), np.array(errors), sizes, run.settings.significance)
    return candidates, choice


def _train(
    run: Run,
    item: Candidate,
    seed: int,
    tick: Callback,
    initial: Sequence[Initial] | None = None,
) -> DivergenceError | None:
    """Train an RBM and write it with its log Z unless its file exists; return why it diverged."""
    if item.file.exists():
        return None
    data = run.split.training
    with Checkpoints(item.file) as checkpoints:
        try:
            rbm = train(
                data,
                hidden=item.hidden,
                seed=seed,
                method=item.training,
                initial=initial,
                callback=tick,
                checkpoints=checkpoints,
            )
        except DivergenceError as failed:
            return failed
        log_z = log_partition(rbm, data=data, seed=seed)
        stored = rbm.to_dataset().assign(
            log_partition=log_z.value,
            log_partition_error=log_z.error,
            log_partition_warning=log_z.warning,
        )
        write_dataset(item.file, stored, "rbm")
    return None


def train_ensemble(run: Run, chosen: Candidate) -> list[RBM]:
    """Train the chosen model with every seed; the candidate itself has the first seed."""
    files = [run.folder / "ensemble" / f"seed-{seed}.nc" for seed in run.seeds]
    if not files[0].exists():
        write_dataset(files[0], read_dataset(chosen.file, "rbm"), "rbm")

    def work(k: int, tick: Callback) -> RBM:
        initial = ensemble_initial(chosen.training)
        failed = _train(run, chosen._replace(file=files[k]), run.seeds[k], tick, initial)
        if failed is not None:
            raise failed
        return rbm_from_dataset(read_dataset(files[k], "rbm"), files[k])

    epochs = (len(files) - 1) * chosen.training.epochs
    return run_parallel(
        work, range(len(files)), epochs, "training the ensemble", name=lambda k: files[k].stem
    )


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
    if run.settings.measure == "log_likelihood":
        band = _likelihood_band(run, members, parent, run.split.validation)
    else:
        band = _observable_band(run, members, "validation")
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

    def likelihood_result() -> xr.Dataset:
        return result_variables(_likelihood_band(run, members, parent, shots)(smallest))

    if run.settings.measure == "log_likelihood":
        result = _load_or_make(run, "smallest-standing", likelihood_result)
    else:
        band = _observable_band(run, members, "test")
        result = _load_or_make(run, "smallest-standing", lambda: result_variables(band(smallest)))
        by_likelihood = [_load_or_make(run, "smallest-likelihood", likelihood_result)]

    def worst() -> xr.Dataset:
        draws, seed = run.settings.draws, run.settings.seed
        return result_variables(worst_pair(smallest, shots, draws=draws, seed=seed))

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


def _likelihood_band(
    run: Run, members: Sequence[RBM], parent: int, shots: Shots
) -> EquivalenceTest:
    """Build the equivalence test by log-likelihood."""
    losses = _losses(run, members[parent], shots)
    floor = likelihood_floor(run.shots.sites, len(run.split.training))
    return likelihood_band(members, losses, run.settings.significance, run.settings.seed, floor)


def _observable_band(run: Run, members: Sequence[RBM], part: str) -> EquivalenceTest:
    """Build the equivalence test by the observable that ends the search."""
    measure, shots = run.settings.measure, getattr(run.split, part)
    values = _measure_members(run, members, part)
    return observable_band(
        values, lambda rbm: _report(run, rbm, shots).comparison(measure), run.settings.significance
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
    return evaluate_on_shots(rbm, shots, draws=draws, seed=seed, observables=run.custom)
