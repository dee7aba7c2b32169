"""One phase of an experiment: the exact state, its observables, and the training set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from psiprune.core.exceptions import InputError
from psiprune.data.read_shots import read_shots
from psiprune.data.shots import Shots, check_sites
from psiprune.experiments.settings import EnsembleSettings
from psiprune.metrics.reference import Reference, reference_of
from psiprune.states.dmrg import ground_state
from psiprune.states.mps import MPS, load_mps
from psiprune.states.sampling import sample


class Problem(NamedTuple):
    """One phase; its files go to `folder`."""

    folder: Path
    field: float
    reference: Reference
    shots: Shots


def prepare(
    run: Path, settings: EnsembleSettings, observables: Sequence[str] = ()
) -> list[Problem]:
    """Return the ground state and training set of every field, computed or read from files.

    `observables` are texts of further ones to compare with the state.
    """
    problems = []
    for field in settings.fields:
        folder = phase_folder(run, field)
        state = cached_state(folder / "state.nc", settings, field, state_limits(settings))
        shots = cached_shots(folder / "shots.nc", state, settings)
        problems.append(Problem(folder, field, reference_of(state, observables), shots))
    return problems


def phase_folder(run: Path, field: float) -> Path:
    """Return the folder of a field in a run, and make it if it is missing."""
    folder = run / f"h={field:g}"
    folder.mkdir(exist_ok=True)
    return folder


def state_limits(settings: EnsembleSettings) -> dict[str, Any]:
    """Return the options of `ground_state` that the settings change, as keyword arguments."""
    return settings.model_dump(include={"max_bond", "max_variance"}, exclude_defaults=True)


def cached_state(
    file: Path, settings: EnsembleSettings, field: float, limits: Mapping[str, Any]
) -> MPS:
    """Read the ground state of a field; if its file is missing, compute and write it first.

    `limits` are those of `state_limits`.
    """
    model = settings.model_at(field)
    if not file.exists():
        ground_state(model, **limits).save(file)
    state = load_mps(file)
    if state.model != model:
        raise InputError(f"{file}: not the state of this run; delete it")
    return state


def cached_shots(file: Path, state: MPS, settings: EnsembleSettings) -> Shots:
    """Read the training set of a state; if its file is missing, draw and write it first."""
    if not file.exists():
        sample(state, settings.shots, seed=settings.seed).save(file)
    return check_sites(read_shots(file), state.sites, "the state")
