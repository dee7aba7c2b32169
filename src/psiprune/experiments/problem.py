"""One phase of an experiment: the exact state, what is known of it, and the training set."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from psiprune.config import EnsembleSettings
from psiprune.dmrg import ground_state
from psiprune.errors import Reference, reference_of
from psiprune.inputs import InputError
from psiprune.mps import load_mps, sample
from psiprune.shots import Shots, check_sites, read_shots
from psiprune.tfim import TFIM


class Problem(NamedTuple):
    """One phase; `folder` is its part of the run."""

    folder: Path
    field: float
    reference: Reference
    shots: Shots


def prepare(run: Path, settings: EnsembleSettings, field: float) -> Problem:
    """Ground state and training set of a field, made by DMRG or read from an earlier start."""
    folder = run / f"h={field:g}"
    folder.mkdir(exist_ok=True)
    model = TFIM(sites=settings.sites, field=field, coupling=settings.coupling)
    if not (folder / "state.nc").exists():
        ground_state(model).save(folder / "state.nc")
    state = load_mps(folder / "state.nc")
    if state.model != model:
        raise InputError(f"{folder / 'state.nc'}: not the state of this run; delete it")
    if not (folder / "shots.nc").exists():
        sample(state, settings.shots, seed=settings.seed).save(folder / "shots.nc")
    shots = check_sites(read_shots(folder / "shots.nc"), state.sites, "the state")
    return Problem(folder, field, reference_of(state), shots)
