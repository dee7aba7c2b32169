"""Exact log-likelihood of shots in several bases under a `PhaseRBM`, and its gradient.

L = sum_b,x f_b(x) log |A_b(x)|^2 with f the frequencies of outcomes x in bases b over all shots and
A_b the amplitudes rotated into basis b. With G = sum_b U_b^+ (f_b A_b / |A_b|^2) and
w(v) = conj(G(v)) psi(v), whose real part sums to 1,

    dL = sum_v [Re w(v) - p(v)] d log p~(v) - sum_v Im w(v) d phi(v).

In shots of the Z basis alone Re w is f, which leaves the gradient of an RBM.

With readout errors C(y | x), which act on the outcomes of any basis, f is of recorded bits y,

    L = sum_b,y f_b(y) log r_b(y),  r_b = C |A_b|^2,  G = sum_b U_b^+ (A_b C^T (f_b / r_b)).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from psiprune.core.exceptions import InputError
from psiprune.core.limits import PHASE_SITES
from psiprune.core.repr import one_line
from psiprune.data.readout_error import ReadoutError
from psiprune.rbm.likelihood import (
    WeightedConfigurations,
    data_moments,
    flatten,
    from_vector,
    to_vector,
)
from psiprune.rbm.phase import PhaseRBM
from psiprune.states.basis_rotation import rotate, rotate_back

Float64 = NDArray[np.float64]
#: Amplitudes of all bases at a time: bounds the memory.
_AMPLITUDES = 1 << 20
#: Least probability of an outcome that was measured, so that its logarithm is finite.
_LEAST = 1e-30


@one_line
class BasisFrequencies(NamedTuple):
    """Frequencies of unique outcomes in bases, sorted by basis.

    Attributes:
        bases: a letter for each site, "ZZXY".
        basis: the number of the basis of each unique outcome, [record].
        outcome: sum_i x_i 2^i, [record].
        weight: how often it was measured, divided by all shots in all bases, [record].
        shots: number of shots in each basis, [basis].
        readout: the errors of the recorded bits, the same in all bases; None for none.
    """

    bases: tuple[str, ...]
    basis: NDArray[np.int64]
    outcome: NDArray[np.int64]
    weight: Float64
    shots: NDArray[np.int64]
    readout: ReadoutError | None = None


def basis_frequencies(
    by_basis: Mapping[str, NDArray[np.uint8]], readout: ReadoutError | None = None
) -> BasisFrequencies:
    """Return the frequencies of bits [shot, site] recorded in each basis.

    Raises:
        InputError: there are more than 16 sites, over whose 2^N states this method sums.
    """
    sites = len(next(iter(by_basis)))
    if sites > PHASE_SITES:
        raise InputError(
            f"shots: sums over all states in several bases need N <= {PHASE_SITES} sites, as each "
            f"basis takes a vector of 2^N amplitudes, found {sites}; psiprune train and "
            "prune take more in bases that rotate at most 8 sites each, and evaluate tests a "
            "state on held-out shots"
        )
    place = 1 << np.arange(sites)
    found = [
        np.unique(bits.astype(np.int64) @ place, return_counts=True) for bits in by_basis.values()
    ]
    shots = np.array([len(bits) for bits in by_basis.values()])
    basis = np.repeat(np.arange(len(found)), [len(outcome) for outcome, _ in found])
    outcome, count = (np.concatenate(part) for part in zip(*found, strict=True))
    weight = count / shots.sum()
    return BasisFrequencies(tuple(by_basis), basis, outcome, weight, shots, readout)


def log_likelihood(rbm: PhaseRBM, data: BasisFrequencies) -> tuple[float, Float64]:
    """Return L in nats per shot and its gradient [parameter] in the order of `to_parameters`."""
    psi = rbm.vector
    value, back = vector_slope(psi, data)
    share = back.conj() * psi
    real = share.real - np.abs(psi) ** 2
    gradients = []
    for network, signed in ((rbm.amplitude, real), (rbm.phase, -share.imag)):
        _, moments = data_moments(network, WeightedConfigurations(all_states(rbm.visible), signed))
        gradients.append(flatten(network.mask, moments))
    return value, np.concatenate(gradients)


def vector_slope(
    psi: NDArray[np.complex128], data: BasisFrequencies
) -> tuple[float, NDArray[np.complex128]]:
    """Return L in nats per shot of a normalised state [2^N], and G, half its slope [2^N]."""
    value, back = 0.0, np.zeros(len(psi), np.complex128)
    for first, bases in _pieces(data):
        rows = slice(*np.searchsorted(data.basis, [first, first + len(bases)]))
        basis, outcome, weight = data.basis[rows] - first, data.outcome[rows], data.weight[rows]
        amplitudes = rotate(psi, bases)
        prob = _recorded(amplitudes, data.readout)[basis, outcome]
        value += float(weight @ np.log(prob))
        ratio = np.zeros((len(bases), len(psi)), np.complex128)
        if data.readout is None:
            ratio[basis, outcome] = weight * amplitudes[basis, outcome] / prob
        else:
            shares = np.zeros(ratio.shape)
            shares[basis, outcome] = weight / prob
            for row, part in enumerate(shares):
                ratio[row] = amplitudes[row] * data.readout.apply_transposed(part)
        back += rotate_back(ratio, bases).sum(axis=0)
    return value, back


def log_likelihood_by_basis(rbm: PhaseRBM, data: BasisFrequencies) -> Float64:
    """Return the mean log-likelihood of the shots in each basis, in nats per shot, [basis]."""
    return _by_basis(rbm.vector, data) * data.shots.sum() / data.shots


def vector_log_likelihood(psi: NDArray[np.complex128], data: BasisFrequencies) -> float:
    """Return L in nats per shot of a normalised state given by its amplitudes [2^N]."""
    return float(_by_basis(psi, data).sum())


def _by_basis(psi: NDArray[np.complex128], data: BasisFrequencies) -> Float64:
    """Return what the shots in each basis contribute to L, [basis]."""
    total = np.zeros(len(data.bases))
    for first, bases in _pieces(data):
        rows = slice(*np.searchsorted(data.basis, [first, first + len(bases)]))
        prob = _recorded(rotate(psi, bases), data.readout)
        logs = np.log(prob[data.basis[rows] - first, data.outcome[rows]])
        np.add.at(total, data.basis[rows], data.weight[rows] * logs)
    return total


def simple_log_likelihood(data: BasisFrequencies) -> float:
    """Return L in nats per shot of uniform bits, or of independent ones in each basis if better.

    From that of the latter a parameter for each site and basis is taken per shot (Akaike 1974).
    """
    sites, measured = len(data.bases[0]), data.shots / data.shots.sum()
    bits = (data.outcome[:, None] >> np.arange(sites)) & 1
    ones = np.zeros((len(measured), sites))
    np.add.at(ones, data.basis, data.weight[:, None] * bits)
    mean = np.clip(ones / measured[:, None], 0.0, 1.0)
    bit = float(measured @ (xlogy(mean, mean) + xlogy(1 - mean, 1 - mean)).sum(axis=1))
    return max(-sites * float(np.log(2.0)), bit - mean.size / float(data.shots.sum()))


def recorded_probabilities(rbm: PhaseRBM, basis: str, readout: ReadoutError | None) -> Float64:
    """Return the probability of each record in a basis, C |A|^2, [2^N]."""
    prob = rbm.probabilities(basis)
    return prob if readout is None else readout.apply(prob)


def to_parameters(rbm: PhaseRBM) -> Float64:
    """Return the parameters of both RBMs, amplitude first, each as in `likelihood.to_vector`."""
    return np.concatenate([to_vector(rbm.amplitude), to_vector(rbm.phase)])


def from_parameters(rbm: PhaseRBM, vector: Float64) -> PhaseRBM:
    """Return the state of the same masks with the parameters of a vector."""
    amplitude, phase = np.split(vector, [rbm.amplitude.number_of_parameters])
    return PhaseRBM(from_vector(rbm.amplitude, amplitude), from_vector(rbm.phase, phase))


@lru_cache(maxsize=1)
def all_states(sites: int) -> Float64:
    """Return the bits of all states, [site, 2^N], read-only."""
    bits = ((np.arange(1 << sites) >> np.arange(sites)[:, None]) & 1).astype(np.float64)
    bits.flags.writeable = False
    return bits


def _recorded(amplitudes: NDArray[np.complex128], readout: ReadoutError | None) -> Float64:
    """Return the probability of each record, at least 1e-30, [basis, 2^N]."""
    prob = np.abs(amplitudes) ** 2
    if readout is not None:
        prob = np.stack([readout.apply(row) for row in prob])
    return np.maximum(prob, _LEAST)


def _pieces(data: BasisFrequencies) -> list[tuple[int, tuple[str, ...]]]:
    """Return groups of bases whose vectors fit in memory, each with the number of its first."""
    sites = len(data.bases[0])
    size = max(1, _AMPLITUDES >> sites)
    return [(first, data.bases[first : first + size]) for first in range(0, len(data.bases), size)]
