"""Shots of a `PhaseRBM` in several bases, as `psiprune.sample` draws them of a matrix product."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from psiprune.core.exceptions import InputError
from psiprune.core.random import Stream, derive_seed
from psiprune.core.validation import check_count, check_seed
from psiprune.data.pauli_bases import PauliBases
from psiprune.data.shots import Shots
from psiprune.rbm.model import RBM
from psiprune.rbm.phase import PhaseRBM
from psiprune.states.basis_sets import basis_set


def shots_of(
    rbm: PhaseRBM, shots: int, bases: str | Sequence[str] = "Z", *, seed: int = 0
) -> Shots:
    """Draw independent shots of a state in several bases; see `PhaseRBM.sample`.

    Args:
        rbm: the state.
        shots: number of shots in all bases together; the first bases have one more each where it
            is no multiple of their number. They follow each other.
        bases: "random:13", "nearest-pairs", "all-pairs", letters, a file, or a list of these; see
            `basis_set`.
        seed: from 0 to 2^63 - 1; also of random bases.

    Raises:
        InputError: there are fewer shots than bases, the bases are invalid, or above 20 sites one
            rotates more than 8.
    """
    shots, seed = check_count("shots", shots, 1), check_seed(seed)
    names = basis_set(bases, rbm.visible, seed)
    if shots < len(names):
        raise InputError(
            f"shots: must be at least 1 for each of {len(names)} bases, found {shots}; ask for "
            "more, or for fewer bases"
        )
    sizes = [shots // len(names) + (k < shots % len(names)) for k in range(len(names))]
    drawn = [
        rbm.sample(size, name, seed=derive_seed(seed, Stream.PHASE_SHOTS, number))
        for number, (name, size) in enumerate(zip(names, sizes, strict=True))
    ]
    return Shots(
        np.concatenate(drawn),
        basis=PauliBases.of_groups(names, sizes),
        source="psiprune.sample",
        provenance={"sampler": "rbm", "seed": seed},
    )


def without_phases(rbm: RBM) -> PhaseRBM:
    """Return the state sqrt(p) of an RBM, with one phase for all amplitudes."""
    sites = rbm.visible
    none = np.zeros((1, sites), bool)
    return PhaseRBM(rbm, RBM(np.zeros((1, sites)), np.zeros(sites), np.zeros(1), none))
