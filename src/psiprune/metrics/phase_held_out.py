"""How well a state with phases describes held-out shots, basis by basis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.limits import EXACT_SITES
from psiprune.core.random import Stream, derive_seed, generator_for
from psiprune.core.repr import one_line
from psiprune.core.text import counted
from psiprune.core.validation import check_number, check_seed
from psiprune.data.shots import Shots, without_readout_error
from psiprune.inference.phase_draws import quick_log_partition
from psiprune.rbm.phase import PhaseRBM
from psiprune.rbm.phase_likelihood import recorded_probabilities
from psiprune.rbm.phase_terms import log_amplitudes, terms_of

_LEAST = 1e-30
#: Least standard error, and largest deviation in standard errors.
_ERROR, _MOST = 1e-6, 1e3
#: Draws of a state in each basis above 20 sites.
_DRAWS = 4000


@one_line
class BasisFit(NamedTuple):
    """Held-out shots in one basis.

    Attributes:
        basis: a letter for each site.
        shots: number of held-out shots.
        log_likelihood: mean log q(x) of these shots, in nats per shot.
        expected: its mean if the state is right, sum_x q log q.
        z: (log_likelihood - expected) in standard errors of `shots` shots of the state: beyond
            about 3 the state does not describe this basis; at most 1,000.
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
    held = np.zeros(len(shots), bool)
    for rows in shuffled_by_basis(shots, check_seed(seed)):
        held[rows[: int(fraction * len(rows))]] = True
    if not held.any():
        most = int(np.bincount(shots.basis_of).max())
        raise InputError(
            f"{shots.source}: has at most {counted(most, 'shot')} in a basis, of which a fraction "
            f"of {fraction:g} holds out none; give more shots or a larger fraction"
        )
    return shots.take(~held), shots.take(held)


def shuffled_by_basis(shots: Shots, seed: int) -> Iterator[NDArray[np.int64]]:
    """Yield the rows of the shots in each basis, in random order."""
    generator = generator_for(seed, Stream.PHASE_HELD_OUT)
    for number in range(len(shots.bases)):
        yield generator.permutation(np.flatnonzero(shots.basis_of == number))


def log_prob_by_shot(rbm: PhaseRBM, shots: Shots) -> NDArray[np.float64]:
    """Return log q of each shot in its basis, with its readout errors if it has any, [shot]."""
    outcomes = shots.bits.astype(np.int64) @ (1 << np.arange(rbm.visible))
    logs = np.empty(len(shots))
    for number, basis in enumerate(shots.bases):
        rows = shots.basis_of == number
        logs[rows] = np.log(
            np.maximum(recorded_probabilities(rbm, basis, shots.readout)[outcomes[rows]], _LEAST)
        )
    return logs


def held_out_by_basis(rbm: PhaseRBM, held_out: Shots) -> list[BasisFit]:
    """Return how well a state describes shots that it was not trained on, in each basis.

    Above 20 sites log Z and the expected log-likelihood are from draws of the state.

    Raises:
        InputError: the shots have another number of sites, or above 20 sites readout errors or a
            basis that rotates more than 8 of them.
    """
    if held_out.sites != rbm.visible:
        raise InputError(
            f"{held_out.source}: has {held_out.sites} sites, but the state with phases has "
            f"{rbm.visible}; give shots and state of the same size"
        )
    if rbm.visible > EXACT_SITES:
        without_readout_error(held_out, "the likelihood in several bases of more than 20 sites")
        return _by_draws(rbm, held_out)
    place = 1 << np.arange(rbm.visible)
    fits = []
    for basis, bits in held_out.by_basis().items():
        prob = recorded_probabilities(rbm, basis, held_out.readout)
        logs = np.log(np.maximum(prob, _LEAST))
        mean, expected = float(logs[bits.astype(np.int64) @ place].mean()), float(prob @ logs)
        error = float(np.sqrt(prob @ (logs - expected) ** 2 / len(bits)))
        fits.append(_fit(basis, len(bits), mean, expected, error))
    return fits


def _fit(basis: str, shots: int, mean: float, expected: float, error: float) -> BasisFit:
    """Return a basis with its deviation in standard errors, also if the state has no spread."""
    z = (mean - expected) / max(error, _ERROR)
    return BasisFit(basis, shots, mean, expected, min(max(z, -_MOST), _MOST))


def _by_draws(rbm: PhaseRBM, held_out: Shots) -> list[BasisFit]:
    log_z, fits = quick_log_partition(rbm.amplitude, 0).value, []
    for number, (basis, bits) in enumerate(held_out.by_basis().items()):
        drawn = rbm.sample(_DRAWS, basis, seed=derive_seed(0, Stream.PHASE_EXPECTED, number))
        logs, of_rbm = (_log_probs(rbm, basis, each) - log_z for each in (bits, drawn))
        mean, expected = float(logs.mean()), float(of_rbm.mean())
        error = float(of_rbm.std() * np.sqrt(1 / len(bits) + 1 / len(drawn)))
        fits.append(_fit(basis, len(bits), mean, expected, error))
    return fits


def _log_probs(rbm: PhaseRBM, basis: str, bits: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return log |A(x)|^2 + log Z of outcomes in one basis, in another order, [shot]."""
    pieces = terms_of({basis: bits})
    logs = np.concatenate(log_amplitudes(rbm, pieces))
    return np.repeat(logs, np.concatenate([piece.weight for piece in pieces]).astype(int))
