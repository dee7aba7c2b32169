"""From shots in several bases to the smallest state with phases that describes them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from psiprune.core.progress import progress_bar
from psiprune.core.threads import single_blas_thread
from psiprune.data.shots import Shots
from psiprune.io.netcdf import write_dataset
from psiprune.io.run import open_run
from psiprune.metrics.equivalence import (
    EquivalenceResult,
    Losses,
    likelihood_band,
    likelihood_floor,
)
from psiprune.metrics.excess_flips import excess_flips
from psiprune.metrics.observable_text import GivenObservables
from psiprune.metrics.phase_held_out import log_prob_by_shot
from psiprune.metrics.phase_information import (
    candidate_bases,
    phase_information,
    suggested_bases,
)
from psiprune.pruning.phase_search import PhaseTrial, find_smallest_phases
from psiprune.pruning.phases import (
    DECAYS,
    check_phase_criterion,
    of_fresh_shots,
    pruned_phases,
)
from psiprune.rbm.phase import PhaseRBM, load_phase_rbm
from psiprune.reconstruction.bases.comparison import (
    as_fresh,
    basis_variables,
    configurations,
    divergence,
    entropies,
    free_parameters,
    losses_from,
    observable_variables,
)
from psiprune.reconstruction.bases.estimate import Begin
from psiprune.reconstruction.bases.files import KIND
from psiprune.reconstruction.bases.inputs import (
    BasesRun,
    order_attributes,
    pauli_observables,
    resolve_settings,
    split_each_basis,
)
from psiprune.reconstruction.bases.models import (
    BasesCandidate,
    choose_model,
    likelier_state,
    retrain,
    train_replicas,
)
from psiprune.reconstruction.bases.readout_change import change_by_readout, readout_sentence
from psiprune.reconstruction.bases.settings import BasesSettings
from psiprune.reconstruction.dataset import configurations_variables, prefixed, result_variables
from psiprune.training.phase_starts import frequencies_for

Float64 = NDArray[np.float64]


class Found(NamedTuple):
    """The result of a search: trials with their results, and the largest number refused."""

    decay: float
    trials: list[PhaseTrial]
    results: list[EquivalenceResult]
    smallest: PhaseRBM
    fewer: int | None
    fresh: float


@single_blas_thread()
def run_bases(
    settings: BasesSettings,
    shots: Shots,
    folder: str | os.PathLike[str],
    observables: GivenObservables | None = None,
    *,
    begin: Begin | None = None,
) -> xr.Dataset:
    """Choose, train, prune and test, skipping what the folder already contains.

    The folder holds config.toml, provenance.json, split.nc, choice/ (the likeliest state of each
    size), ensemble/ (the chosen one and its replicas), path/ (every state of the search),
    smallest.nc and reconstruct.nc.

    Args:
        settings: of the run.
        shots: in several bases.
        folder: of the run.
        observables: further sums of Pauli strings by name.
        begin: called before anything is trained or written, with the settings and the training set,
            unless the run is finished. See `begin_bases`.

    Raises:
        InputError: there are too few shots or more than 16 sites, the criterion is not one of
            states with phases, an observable is no sum of Pauli strings, the folder
            belongs to another run, or a file in it is damaged.
        OSError: the folder cannot be written; finished files remain.
    """
    settings = resolve_settings(settings, shots)
    criterion = check_phase_criterion(settings.prune.criterion)
    frequencies_for(shots)
    sums = pauli_observables(settings, observables, shots.sites)
    split = split_each_basis(shots, float(settings.held_out or 0), settings.seed)
    if begin is not None and not (Path(folder) / "reconstruct.nc").exists():
        begin(settings, split.training)
    with open_run(folder, settings) as opened:
        run = BasesRun(settings, shots, split, opened, sums)
        for name in ("choice", "ensemble", "path"):
            (run.folder / name).mkdir(exist_ok=True)
        if not (run.folder / "split.nc").exists():
            meaning = {"long_name": "0 training, 1 validation, 2 test", "units": "1"}
            parts = xr.Dataset({"part": ("shot", split.part, meaning)})
            write_dataset(run.folder / "split.nc", parts, "split")
        while True:
            candidates, choice = choose_model(run)
            chosen, best = candidates[choice.chosen], candidates[choice.best]
            members = train_replicas(run, chosen.rbm)
            training = _training_variables(run, members)
            searches = _searches(run, members[0], training)
            likelier = likelier_state(
                run, members[0], [trial.rbm for search in searches for trial in search.trials]
            )
            if likelier is None:
                break
            # All that followed from the unpruned state goes first: what is left can be resumed.
            for name in ("ensemble", "path"):
                shutil.rmtree(run.folder / name)
                (run.folder / name).mkdir()
            retrain(run, chosen, likelier).save(chosen.file)
        found = min(searches, key=lambda each: (each.smallest.number_of_weights, -each.fresh))
        found.smallest.save(run.folder / "smallest.nc")
        dataset = xr.merge(
            [
                _choice_variables(candidates, choice.losses, choice.errors, choice.chosen),
                _trial_variables(found, members[0]),
                _searches_variables(searches, found),
                training,
                _tested(run, members[0], best.rbm, found.smallest, training),
            ]
        )
        dense, smallest, made = members[0], found.smallest, chosen.rbm.provenance
        dataset.attrs = {
            "source": shots.source,
            "sites": shots.sites,
            "shots": len(shots),
            "bases": len(shots.bases),
            "training_shots": len(split.training),
            "validation_shots": len(split.validation),
            "test_shots": len(split.test),
            **order_attributes(shots),
            "inefficiency": 1.0,
            "measure": "log_likelihood",
            "significance": settings.significance,
            "tolerance": settings.tolerance,
            "hidden": chosen.hidden,
            "phase_hidden": chosen.phase_hidden,
            "criterion": criterion,
            "weight_decay": found.decay,
            "dense_weights": dense.number_of_weights,
            "dense_parameters": free_parameters(dense),
            "weights": smallest.number_of_weights,
            "amplitude_weights": smallest.amplitude.number_of_weights,
            "phase_weights": smallest.phase.number_of_weights,
            "parameters": free_parameters(smallest),
            "fewer": -1 if found.fewer is None else found.fewer,
            **{
                name: made[name]
                for name in ("starts", "equally_likely", "agreement", "distinguishing")
            },
            # Earlier versions did not record these.
            "mirror": made.get("mirror", 1.0),
            "mirror_sites": made.get("mirror_sites", ""),
            "retrained": made.get("retrained", 0),
            "converged": made["converged"],
            "epochs_done": made["epochs_done"],
        }
        write_dataset(run.folder / "reconstruct.nc", dataset, KIND)
    return dataset


def _choice_variables(
    candidates: Sequence[BasesCandidate], losses: Float64, errors: Float64, chosen: int
) -> xr.Dataset:
    """Collect sizes, losses relative to the best, and agreement of the fits over `candidate`."""
    columns = {
        "hidden": [each.hidden for each in candidates],
        "phase_hidden": [each.phase_hidden for each in candidates],
        "agreement": [float(each.rbm.provenance["agreement"]) for each in candidates],
        "loss": losses,
        "loss_error": errors,
        "chosen": np.arange(len(candidates)) == chosen,
    }
    return xr.Dataset({f"candidate_{name}": ("candidate", of) for name, of in columns.items()})


def _training_variables(run: BasesRun, members: Sequence[PhaseRBM]) -> xr.Dataset:
    """Return KL divergence and infidelity of the replicas from the chosen state, over `replica`."""
    data, chosen = frequencies_for(run.split.training), members[0]
    share = data.shots / data.shots.sum()
    losses = [divergence(chosen, each, data.bases, share, data.readout) for each in members[1:]]
    infidelity = [max(0.0, 1 - chosen.fidelity(each)) for each in members[1:]]
    return xr.Dataset(
        {
            "training_loss": ("replica", losses, {"units": "nat"}),
            "training_infidelity": ("replica", infidelity, {"units": "1"}),
        }
    )


def _band(
    run: BasesRun, losses: Callable[[PhaseRBM], Losses], training: xr.Dataset
) -> Callable[[PhaseRBM], EquivalenceResult]:
    """Build the test by the likelihood: another record may cost as much, and T bounds the sum."""
    replicas, settings = training["training_loss"].values, run.settings
    return likelihood_band(
        losses,
        settings.significance,
        settings.seed,
        typical=float(np.median(replicas)),
        # A product state has two parameters per site.
        floor=likelihood_floor(2 * run.shots.sites, len(run.split.training)),
        ceiling=settings.tolerance - float(replicas.mean()),
    )


def _searches(run: BasesRun, dense: PhaseRBM, training: xr.Dataset) -> list[Found]:
    """Prune by each weight decay until training and validation shots show a loss; then bisect."""
    split, settings = run.split, run.settings
    data = frequencies_for(split.training)

    def log_prob(rbm: PhaseRBM) -> Float64:
        return as_fresh(rbm, split.training, split.validation)

    band = _band(run, losses_from(dense, log_prob), training)
    results = {dense: band(dense)}

    def accept(rbm: PhaseRBM) -> bool:
        results[rbm] = band(rbm)
        return results[rbm].share <= 1

    def search(decay: float) -> Found:
        folder = run.folder / "path" / f"decay-{decay:g}"
        folder.mkdir(exist_ok=True)

        def prune(name: str, rbm: PhaseRBM, count: int) -> PhaseRBM:
            file = folder / f"{name}.nc"
            if not file.exists():
                criterion = settings.prune.criterion
                pruned_phases(rbm, count, data, criterion, weight_decay=decay).save(file)
            return load_phase_rbm(file)

        smallest, fewer, trials = find_smallest_phases(dense, settings.prune, prune, accept)
        named = [
            trial if trial.rbm is dense else trial._replace(name=f"{folder.name}/{trial.name}")
            for trial in trials
        ]
        tested = [results[trial.rbm] for trial in trials]
        return Found(decay, named, tested, smallest, fewer, of_fresh_shots(smallest, data))

    first = run.folder / "path" / "level-00.nc"
    if not first.exists():
        dense.save(first)
    with progress_bar(None, "pruning"):
        return [search(decay) for decay in DECAYS]


def _searches_variables(searches: Sequence[Found], chosen: Found) -> xr.Dataset:
    """Collect over `search` its weight decay, states tried, and weights of the smallest one."""
    columns = {
        "decay": [each.decay for each in searches],
        "trials": [len(each.trials) - 1 for each in searches],
        "weights": [each.smallest.number_of_weights for each in searches],
        "chosen": [each is chosen for each in searches],
    }
    return xr.Dataset({f"search_{name}": ("search", of) for name, of in columns.items()})


def _trial_variables(found: Found, dense: PhaseRBM) -> xr.Dataset:
    """Collect the search over `trial`: weights of both networks, results, fidelity with level 0."""
    rbms = [trial.rbm for trial in found.trials]
    columns = {
        "name": [trial.name for trial in found.trials],
        "weights": [rbm.number_of_weights for rbm in rbms],
        "amplitude_weights": [rbm.amplitude.number_of_weights for rbm in rbms],
        "phase_weights": [rbm.phase.number_of_weights for rbm in rbms],
        "fidelity": [dense.fidelity(rbm) for rbm in rbms],
        "smallest": [rbm is found.smallest for rbm in rbms],
        **{
            name: [float(getattr(result, name)) for result in found.results]
            for name in EquivalenceResult._fields
            if name != "warning"
        },
    }
    return xr.Dataset({f"trial_{name}": ("trial", of) for name, of in columns.items()})


def _tested(
    run: BasesRun, dense: PhaseRBM, best: PhaseRBM, smallest: PhaseRBM, training: xr.Dataset
) -> xr.Dataset:
    """Compare the smallest and the unpruned state with the test shots."""
    split = run.split
    loss = _band(run, losses_from(dense, lambda rbm: log_prob_by_shot(rbm, split.test)), training)(
        smallest
    )
    data, number = frequencies_for(split.training), len(split.training)
    information = phase_information(dense, data.bases, data.shots / number, data.readout)
    candidates = candidate_bases(run.shots.sites)
    suggested = suggested_bases(dense, information, number, candidates, readout=data.readout)
    flips = excess_flips(dense, data, information, run.settings.seed)
    change = change_by_readout(dense, data, run.settings.seed)
    compared = (
        configurations_variables(configurations(rbm, best, split.training, split.test))
        for rbm in (smallest, dense)
    )
    of_dense = basis_variables(dense, split.test)
    numbers = xr.Dataset(
        {
            "infidelity": information.infidelity(number),
            "flips": ("bit", flips.value),
            "flips_error": ("bit", flips.error),
            "flips_p_value": flips.p_value,
            "readout_infidelity": change,
            "readout_sentence": readout_sentence(data.readout, change),
            "suggested_basis": ("suggested", np.array([basis for basis, _ in suggested], str)),
            "suggested_infidelity": ("suggested", [after for _, after in suggested]),
            "entropy": ("cut", entropies(smallest), {"units": "nat"}),
            "entropy_dense": ("cut", entropies(dense), {"units": "nat"}),
            "fidelity_with_unpruned": smallest.fidelity(dense),
        },
        {"cut": range(1, run.shots.sites), "bit": [0, 1]},
    )
    return xr.merge(
        [
            prefixed("likelihood", result_variables(loss)),
            prefixed("configurations", next(compared)),
            prefixed("dense_configurations", next(compared)),
            basis_variables(smallest, split.test),
            prefixed("dense", of_dense),
            observable_variables(run.observables, smallest, dense, split.test),
            numbers,
        ]
    )
