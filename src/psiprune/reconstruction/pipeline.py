"""From measured shots to the smallest RBM that describes them, without a reference state."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import xarray as xr

from psiprune.data.dependence import find_dependence
from psiprune.data.shots import ShotsLike, as_shots, check_sites
from psiprune.io.netcdf import read_dataset, write_dataset
from psiprune.io.run import open_run
from psiprune.metrics.observable_text import GivenObservables, is_code
from psiprune.rbm.serialization import load_rbm
from psiprune.reconstruction.architecture import learning_rate_of
from psiprune.reconstruction.comparison import search, test
from psiprune.reconstruction.custom_code import save_code
from psiprune.reconstruction.dataset import (
    choice_variables,
    methods_attribute,
    trial_variables,
)
from psiprune.reconstruction.estimate import Begin, write_estimate
from psiprune.reconstruction.inputs import (
    Run,
    Split,
    dependence_attributes,
    load_observables,
    resolve_settings,
    split_shots,
    try_observables,
    with_checksums,
)
from psiprune.reconstruction.models import choose_model, train_ensemble
from psiprune.reconstruction.settings import ReconstructSettings
from psiprune.training.symmetry import with_symmetry_of


def run_reconstruct(
    settings: ReconstructSettings,
    shots: ShotsLike,
    folder: str | os.PathLike[str],
    observables: GivenObservables | None = None,
    *,
    begin: Begin | None = None,
) -> xr.Dataset:
    """Choose, train, prune and test, skipping what the folder already contains.

    The folder holds config.toml, provenance.json, split.nc, choice/ (an RBM for each number of
    hidden units and learning rate), ensemble/ (the chosen RBM and its replicas), path/ (every RBM
    of the search), observed/ (observables of RBMs), smallest.nc and reconstruct.nc.

    Args:
        settings: of the run.
        shots: measured in the Z basis: Shots, bits [shot, site] or counts {"0101": 12}.
        folder: of the run.
        observables: further ones by name, in addition to those in the settings. Results of an
            observable in a file are recomputed when the file has changed; a change to a function
            given here goes unnoticed.
        begin: called before anything is trained or written, with the settings as given, all shots,
            the training set and the folder; returns an estimate for the folder, or stops the run by
            an exception. See `begin_run`.

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
    given, settings = with_checksums(settings, data), resolve_settings(settings, data)
    custom = load_observables(settings, Path(folder), observables or {}, data)
    dependence = find_dependence(data)
    split = split_shots(data, settings.held_out_of(len(data)), settings.seed, dependence)
    try_observables(custom, split, settings)
    estimate = None if begin is None else begin(given, data, split.training, Path(folder))
    with open_run(folder, settings) as opened:
        write_estimate(opened, estimate)
        run = Run(settings, data, split, opened, custom, dependence)
        for name in ("choice", "ensemble", "path", "observed"):
            (run.folder / name).mkdir(exist_ok=True)
        code = [*filter(is_code, settings.observable)]
        save_code(run.folder, code, ends_search=settings.measure in custom)
        if not (run.folder / "split.nc").exists():
            meaning = {"long_name": "0 training, 1 validation, 2 test", "units": "1"}
            parts = xr.Dataset({"part": ("shot", split.part, meaning)})
            write_dataset(run.folder / "split.nc", parts, "split")
        candidates, choice = choose_model(run)
        members = train_ensemble(run, candidates[choice.chosen])
        (architecture, training), _ = candidates[choice.chosen]
        outcome = search(run, members)
        best = load_rbm(candidates[choice.best].file)
        tested = test(run, members, best, outcome.rbm)
        trials = [
            read_dataset(run.folder / "path" / f"{trial.name}.nc", "rbm")
            for trial in outcome.trials
        ]
        dataset = xr.merge(
            [choice_variables(candidates, choice), trial_variables(outcome, trials), tested]
        )
        dataset.attrs = {
            "source": data.source,
            "sites": data.sites,
            "shots": len(data),
            **{f"{name}_shots": len(getattr(split, name)) for name in Split._fields[:3]},
            "unique_shots": len(np.unique(np.packbits(data.bits, axis=1), axis=0)),
            "constant_sites": int((np.ptp(data.bits, axis=0) == 0).sum()),
            **dependence_attributes(dependence),
            "measure": settings.measure,
            "significance": settings.significance,
            "tolerance": settings.tolerance,
            "own": ", ".join(custom),
            "hidden": architecture.hidden,
            "scale_free": int(architecture.scale_free),
            "links": architecture.links,
            "global_units": architecture.global_units(data.sites),
            "method": str(training.method),
            "learning_rate": learning_rate_of(training),
            "methods": methods_attribute(
                train=with_symmetry_of(training, members[0]),
                fine_tune=with_symmetry_of(
                    architecture.method(settings.fine_tune, data.sites, settings.readout),
                    members[0],
                ),
            ),
            "symmetry": str(members[0].provenance.get("symmetry") or ""),
            "criterion": settings.prune.criterion,
            "dense_weights": members[0].number_of_weights,
            "dense_parameters": members[0].compact().number_of_parameters,
            "weights": outcome.rbm.number_of_weights,
            "parameters": outcome.rbm.compact().number_of_parameters,
            "units": int(outcome.rbm.mask.any(axis=1).sum()),
            "components": outcome.rbm.components,
            "fewer": -1 if outcome.fewer is None else outcome.fewer,
            "warnings": tested.attrs["warnings"],
        }
        write_dataset(run.folder / "reconstruct.nc", dataset, "reconstruct")
    return dataset
