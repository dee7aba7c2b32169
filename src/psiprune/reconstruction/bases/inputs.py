"""Inputs of a run on shots in several bases: shots in three parts, resolved settings."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from psiprune.core.exceptions import InputError
from psiprune.data.basis_order import find_bases_order, order_warnings
from psiprune.data.shots import Shots
from psiprune.metrics.observable_text import GivenObservables, as_observables, read_observables
from psiprune.metrics.pauli_observable import PauliObservable
from psiprune.metrics.phase_held_out import shuffled_by_basis
from psiprune.reconstruction.bases.settings import BasesSettings
from psiprune.reconstruction.inputs import MIN_SHOTS, Split, readout_checksum
from psiprune.states.hamiltonian import Hamiltonian


@dataclass(frozen=True, eq=False)
class BasesRun:
    """Inputs of every stage of a run.

    Attributes:
        settings: with sizes and checksum, see `resolve_settings`.
        shots: all of them.
        split: the same in three parts.
        folder: of the run.
        observables: the user's by name.
    """

    settings: BasesSettings
    shots: Shots
    split: Split
    folder: Path
    observables: Mapping[str, Hamiltonian]

    @property
    def seeds(self) -> range:
        """Return the seeds of the chosen state and of its replicas."""
        return range(self.settings.seed, self.settings.seed + self.settings.seeds)


def split_each_basis(shots: Shots, held_out: float, seed: int) -> Split:
    """Split the shots of each basis at random: of `held_out`, two fifths are validation, else test.

    A basis with few shots is in the training set alone.

    Raises:
        InputError: fewer than 30 shots are left for validation or for the test.
    """
    part = np.zeros(len(shots), np.uint8)
    for rows in shuffled_by_basis(shots, seed):
        held = min(round(held_out * len(rows)), len(rows) - 1)  # one at least for training
        second = 2 * held // 5
        part[rows[:second]], part[rows[second:held]] = 1, 2
    sizes = np.bincount(part, minlength=3)
    for name, size in zip(("validation", "test"), sizes[1:], strict=True):
        if size < MIN_SHOTS:
            raise InputError(
                f"{shots.source}: {len(shots)} shots in {len(shots.bases)} bases leave {size} for "
                f"{name} with a fraction of {held_out:g} held out, but at least {MIN_SHOTS} are "
                "needed; give more shots in each basis, or a larger --held-out"
            )
    training, validation, test = (shots.take(part == k) for k in range(3))
    return Split(training, validation, test, part)


def order_attributes(shots: Shots) -> dict[str, str | int]:
    """Return what the record says about its shots as attributes of reconstruct.nc.

    ordered (1 or 0), and texts that are empty if nothing is significant: dependence and drift.
    """
    order = find_bases_order(shots)
    lines = {each.name: each.line for each in order_warnings(order, shots.bases)}
    dependent = (lines[name] for name in ("repetition", "repeats", "memory") if name in lines)
    return {
        "ordered": int(not order.grouped),
        "dependence": next(dependent, ""),
        "drift": lines.get("drift", ""),
    }


def resolve_settings(settings: BasesSettings, shots: Shots) -> BasesSettings:
    """Return the settings with what follows from the shots: sizes, parts and checksums.

    Raises:
        InputError: the shots or their readout errors have another checksum than the settings.
    """
    bases = " ".join(shots.bases).encode() + shots.basis_of.tobytes()
    digest = hashlib.sha256(repr(shots.bits.shape).encode() + shots.bits.tobytes() + bases)
    found = digest.hexdigest()
    if settings.shots_sha256 not in (None, found):
        raise InputError(
            f"{shots.source}: has the checksum {found[:12]}..., but shots_sha256 is "
            f"{str(settings.shots_sha256)[:12]}...; give the shots of that run, or omit it"
        )
    resolved = {
        "shots_sha256": found,
        "readout_sha256": readout_checksum(shots, settings.readout_sha256),
        "held_out": settings.held_out_of(len(shots)),
        "hidden": tuple(units for units, _ in settings.sizes(shots.sites)),
    }
    return settings.model_copy(update=resolved)


def pauli_observables(
    settings: BasesSettings, given: GivenObservables | None, sites: int
) -> dict[str, Hamiltonian]:
    """Return the user's observables, those given and those of the settings, by name.

    Raises:
        InputError: one is no sum of Pauli strings, or a name is given twice.
    """
    found: dict[str, Hamiltonian] = {}
    sources = as_observables(given, sites), read_observables(settings.observable, sites)
    for name, observable in (item for source in sources for item in source.items()):
        if not isinstance(observable, PauliObservable):
            raise InputError(
                f"observable: must be a sum of Pauli strings such as 'X0 Y3' for shots in several "
                f"bases, found {name}"
            )
        if name in found:
            raise InputError(f"observable: {name!r} is given twice; rename one of them")
        found[name] = observable.operator
    return found
