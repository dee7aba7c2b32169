"""How well a state with phases describes held-out shots, basis by basis."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.random import Stream, generator_for
from psiprune.core.repr import one_line
from psiprune.core.validation import check_number, check_seed
from psiprune.data.shots import Shots
from psiprune.rbm.phase import PhaseRBM
from psiprune.states.basis_rotation import rotate

_LEAST = 1e-30


@one_line
class BasisFit(NamedTuple):
    """Held-out shots in one basis.

    Attributes:
        basis: a letter for each site.
        shots: number of held-out shots.
        log_likelihood: mean log q(x) of these shots, in nats per shot.
        expected: its mean if the state is right, sum_x q log q.
        z: (log_likelihood - expected) in standard errors of `shots` shots of the state: beyond
            about 3 the state does not describe this basis.
    """

    basis: str
    shots: int
    log_likelihood: float
    expected: float
    z: float


def split_by_basis(shots: Shots, fraction: float, seed: int) -> tuple[Shots, Shots]:
    """Return a training set and held-out shots, with this fraction of the shots of each basis.

    A basis with fewer shots than 1 / fraction is in the training set alone.

    Raises:
        InputError: the fraction is not between 0 and 1, or nothing would be held out.
    """
    check_number("fraction", fraction, "a number above 0 and below 1", lambda x: 0 < x < 1)
    generator = generator_for(check_seed(seed), Stream.PHASE_HELD_OUT)
    held = np.zeros(len(shots), bool)
    for number in range(len(shots.bases)):
        rows = np.flatnonzero(shots.basis_of == number)
        held[generator.permutation(rows)[: int(fraction * len(rows))]] = True
    return shots.take(~held), shots.take(held)


def log_prob_by_shot(rbm: PhaseRBM, shots: Shots) -> NDArray[np.float64]:
    """Return log q(x) of each shot in its basis, [shot]."""
    outcomes = shots.bits.astype(np.int64) @ (1 << np.arange(rbm.visible))
    logs = np.empty(len(shots))
    for number, basis in enumerate(shots.bases):
        rows = shots.basis_of == number
        logs[rows] = np.log(np.maximum(rbm.probabilities(basis)[outcomes[rows]], _LEAST))
    return logs


def held_out_by_basis(rbm: PhaseRBM, held_out: Shots) -> list[BasisFit]:
    """Return how well a state describes shots that it was not trained on, in each basis."""
    place = 1 << np.arange(rbm.visible)
    fits = []
    for basis, bits in held_out.by_basis().items():
        prob = np.abs(rotate(rbm.vector, [basis])[0]) ** 2
        logs = np.log(np.maximum(prob, _LEAST))
        mean, expected = float(logs[bits.astype(np.int64) @ place].mean()), float(prob @ logs)
        error = float(np.sqrt(prob @ (logs - expected) ** 2 / len(bits)))
        z = (mean - expected) / error if error > 0 else 0.0
        fits.append(BasisFit(basis, len(bits), mean, expected, z))
    return fits
