"""Train the states of a run: candidates from independent starts, replicas of the chosen one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from psiprune.core.progress import progress_bar
from psiprune.core.random import Stream, derive_seed
from psiprune.core.statistics import Choice, choose
from psiprune.io.checkpoint import Checkpoints
from psiprune.metrics.phase_information import candidate_bases, distinguishing_bases
from psiprune.rbm.phase import PhaseRBM, load_phase_rbm
from psiprune.rbm.phase_likelihood import BasisFrequencies, basis_frequencies, log_likelihood
from psiprune.reconstruction.bases.comparison import as_fresh
from psiprune.reconstruction.bases.files import choice_file
from psiprune.reconstruction.bases.inputs import BasesRun
from psiprune.training.natural_phase import PhaseState, fit_phases
from psiprune.training.phase_starts import PhaseUnits, frequencies_for
from psiprune.training.phases import (
    EQUAL_NATS,
    SAME_STATE,
    independent_fits,
    rival_of,
    training_provenance,
)


class BasesCandidate(NamedTuple):
    """A size to choose from, its file, and the state."""

    hidden: int
    phase_hidden: int
    file: Path
    rbm: PhaseRBM


def choose_model(run: BasesRun) -> tuple[list[BasesCandidate], Choice]:
    """Train states of several sizes; choose the smallest of those that fit about equally well."""
    settings, sizes = run.settings, run.settings.sizes(run.shots.sites)
    candidates = []
    with progress_bar(len(sizes) * settings.starts * settings.epochs, "choosing the model"):
        for hidden, phase_hidden in sizes:
            file = run.folder / choice_file(hidden, phase_hidden)
            if not file.exists():
                with Checkpoints(file) as checkpoints:
                    _train(run, hidden, phase_hidden, checkpoints).save(file)
            candidates.append(BasesCandidate(hidden, phase_hidden, file, load_phase_rbm(file)))
    split = run.split
    scores = [as_fresh(each.rbm, split.training, split.validation) for each in candidates]
    parameters = [each.rbm.number_of_parameters for each in candidates]
    return candidates, choose(np.array(scores), np.zeros(len(scores)), parameters)


def _train(run: BasesRun, hidden: int, phase_hidden: int, checkpoints: Checkpoints) -> PhaseRBM:
    """Return the likeliest of the fits; its provenance says whether the others agree."""
    settings = run.settings
    fits = independent_fits(
        run.split.training,
        PhaseUnits(hidden, phase_hidden),
        starts=settings.starts,
        epochs=settings.epochs,
        seed=settings.seed,
        checkpoints=checkpoints,
    )
    provenance = training_provenance(fits, settings.seed, settings.epochs)
    return replace(fits[0].rbm, provenance={**provenance, "distinguishing": _told_apart(fits)})


def likelier_state(run: BasesRun, dense: PhaseRBM, pruned: Sequence[PhaseRBM]) -> PhaseRBM | None:
    """Return the likeliest pruned state if it is another one and likelier than the unpruned one.

    The unpruned state has all parameters of the pruned ones, so it was a local optimum then.
    """
    data = frequencies_for(run.split.training)

    def nats(rbm: PhaseRBM) -> float:
        return log_likelihood(rbm, data)[0] * float(data.shots.sum())

    best = max(pruned, key=nats)
    if nats(best) < nats(dense) + EQUAL_NATS or dense.fidelity(best) >= SAME_STATE:
        return None
    return best


def retrain(run: BasesRun, chosen: BasesCandidate, likelier: PhaseRBM) -> PhaseRBM:
    """Train the unpruned state again from a likelier pruned one, and as many further starts.

    The provenance counts these, the former starts, and the fit from the pruned state.
    """
    settings, made, data = run.settings, chosen.rbm.provenance, frequencies_for(run.split.training)
    number = int(made.get("retrained", 0)) + 1
    start = PhaseRBM(
        replace(likelier.amplitude, mask=chosen.rbm.amplitude.mask),
        replace(likelier.phase, mask=chosen.rbm.phase.mask),
    )
    fits = [
        fit_phases(start, data, settings.epochs),
        fit_phases(chosen.rbm, data, 0),
        *independent_fits(
            run.split.training,
            PhaseUnits(chosen.hidden, chosen.phase_hidden),
            starts=settings.starts,
            epochs=settings.epochs,
            seed=derive_seed(settings.seed, Stream.PHASE_RETRAINING, number),
        ),
    ]
    fits.sort(key=lambda fit: -fit.log_likelihood)
    further: dict[str, str | int | float] = {
        "starts": int(made["starts"]) + settings.starts + 1,
        "retrained": number,
        "distinguishing": _told_apart(fits),
    }
    provenance = training_provenance(fits, settings.seed, settings.epochs)
    return replace(fits[0].rbm, provenance={**provenance, **further})


def _told_apart(fits: list[PhaseState]) -> str:
    """Name the bases that tell equally likely states apart, "ZXX ZXY"; "" if they agree."""
    best, rival = fits[0], rival_of(fits)
    if rival.fidelity >= SAME_STATE:
        return ""
    candidates = candidate_bases(best.rbm.visible)
    found = distinguishing_bases(
        best.rbm.vector, rival.vector, candidates, readout=best.data.readout
    )
    return " ".join(basis for basis, _ in found)


def train_replicas(run: BasesRun, chosen: PhaseRBM) -> list[PhaseRBM]:
    """Return the chosen state and replicas, trained from it on as many fresh shots of it.

    How far they are from it is how far it is from the true state: the parametric bootstrap (Efron
    1979). They start from it, so whether other starts end elsewhere is not in this distance.
    """
    epochs, files = run.settings.epochs, [run.folder / f"ensemble/seed-{k}.nc" for k in run.seeds]
    if not files[0].exists():
        chosen.save(files[0])
    members = [chosen]
    with progress_bar((len(files) - 1) * epochs, "training replicas"):
        for seed, file in zip(run.seeds[1:], files[1:], strict=True):
            if not file.exists():
                with Checkpoints(file) as checkpoints:
                    data = _replica(run, chosen, seed)
                    fit = fit_phases(chosen, data, epochs, checkpoints=checkpoints)
                    replace(fit.rbm, provenance={"seed": seed}).save(file)
            members.append(load_phase_rbm(file))
    return members


def _replica(run: BasesRun, rbm: PhaseRBM, seed: int) -> BasisFrequencies:
    """Draw as many shots in each basis as the training set has, misread as those were."""
    groups = frequencies_for(run.split.training)
    drawn = {}
    for k, (basis, number) in enumerate(zip(groups.bases, groups.shots, strict=True)):
        bits = rbm.sample(int(number), basis, seed=derive_seed(seed, Stream.PHASE_REPLICA, k))
        if groups.readout is not None:
            records = derive_seed(seed, Stream.PHASE_REPLICA_RECORDS, k)
            bits = groups.readout.misread(bits, records)
        drawn[basis] = bits
    return basis_frequencies(drawn, groups.readout)
