"""One phase of an experiment: the exact state, what is known of it, and the training set."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from psiprune.core.exceptions import InputError
from psiprune.data.shots import Shots, check_sites, read_shots
from psiprune.experiments.settings import EnsembleSettings
from psiprune.metrics.against_state import Reference, reference_of
from psiprune.states.dmrg import ground_state
from psiprune.states.mps import MPS, load_mps, sample
from psiprune.states.tfim import TFIM


class Problem(NamedTuple):
    """One phase; `folder` is its part of the run."""

    folder: Path
    field: float
    reference: Reference
    shots: Shots


def prepare(run: Path, settings: EnsembleSettings, field: float) -> Problem:
    """Ground state and training set of a field, made by DMRG or read from an earlier start."""
    folder = phase_folder(run, field)
    state = kept_state(folder / "state.nc", settings, field)
    shots = kept_shots(folder / "shots.nc", state, settings)
    return Problem(folder, field, reference_of(state), shots)


def phase_folder(run: Path, field: float) -> Path:
    """The part of a run for a field, made if it is not there."""
    folder = run / f"h={field:g}"
    folder.mkdir(exist_ok=True)
    return folder


def kept_state(file: Path, settings: EnsembleSettings, field: float) -> MPS:
    """The ground state of a field, read from its file or made and written."""
    model = TFIM(sites=settings.sites, field=field, coupling=settings.coupling)
    if not file.exists():
        ground_state(model).save(file)
    state = load_mps(file)
    if state.model != model:
        raise InputError(f"{file}: not the state of this run; delete it")
    return state


def kept_shots(file: Path, state: MPS, settings: EnsembleSettings) -> Shots:
    """The training set of a state, read from its file or drawn and written."""
    if not file.exists():
        sample(state, settings.shots, seed=settings.seed).save(file)
    return check_sites(read_shots(file), state.sites, "the state")
