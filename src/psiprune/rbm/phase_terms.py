"""Log-likelihood of shots in bases that rotate few sites, at any number of sites, and its gradient.

The amplitude of outcomes x in a basis with r letters other than Z has 2^r terms,

    A(x) = sum_s c_s psi(s),   L = sum_x f(x) log |A(x)|^2,
    psi(s) = sqrt(p~(s) / Z) exp(i phi(s) / 2),

over the states s that differ from x on rotated sites alone (`states.basis_rotation.expand`). With
w_s = sum_x f(x) c_s psi(s) / A(x), whose real parts sum to 1,

    dL = sum_s Re w_s d log p~(s) - sum_s Im w_s d phi(s) - d log Z.

All but log Z is here: that of the amplitude network, as in any training of an RBM.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.limits import PHASE_TERMS
from psiprune.core.repr import one_line
from psiprune.core.threads import map_threads, single_blas_thread
from psiprune.data.shots import unique_rows
from psiprune.rbm.phase import PhaseRBM
from psiprune.rbm.scores import ScoredStates
from psiprune.states.basis_rotation import check_few_rotated, expand

Float64 = NDArray[np.float64]
Bits = NDArray[np.uint8]
#: Terms of a piece: bounds the memory of a thread. Fixed, so that sums are the same on any machine.
_TERMS = 1 << 16
#: Least |A|^2 over the largest term of its sum, so that a logarithm is finite.
_LEAST = 1e-30
_LOG_2 = float(np.log(2.0))


@one_line
class Terms(NamedTuple):
    """Some shots as sums over states.

    Attributes:
        bits: unique states, uint8 [state, site].
        state: the state of each term, those of a shot one after the other, [term].
        factor: c_s times 2^(r/2), one of 1, i, -1, -i, complex64 [term].
        first: the first term of each shot, [shot].
        rotated: r of each shot, [shot].
        basis: the number of its basis, [shot].
        weight: how often it was measured, [shot]; unique shots are counted.
    """

    bits: Bits
    state: NDArray[np.int64]
    factor: NDArray[np.complex64]
    first: NDArray[np.int64]
    rotated: NDArray[np.int64]
    basis: NDArray[np.int64]
    weight: Float64


def terms_of(by_basis: Mapping[str, Bits]) -> list[Terms]:
    """Return bits [shot, site] measured in each basis as sums over states, in pieces.

    Raises:
        InputError: a basis rotates more than 8 sites, or all sums have more than 2^26 terms.
    """
    check_few_rotated([*by_basis], "shots")
    parts: list[tuple[int, Bits, NDArray[np.int64]]] = []
    total = 0
    for number, (basis, bits) in enumerate(by_basis.items()):
        size = 1 << (len(basis) - basis.count("Z"))
        rows, counts = unique_rows(bits)
        total += len(rows) * size
        step = max(1, _TERMS // size)
        parts += [
            (number, rows[first : first + step], counts[first : first + step])
            for first in range(0, len(rows), step)
        ]
    if total > PHASE_TERMS:
        raise InputError(
            f"shots: their amplitudes are sums of {total:,} terms, more than the limit of "
            f"{PHASE_TERMS:,} (memory: gigabytes); use fewer shots in bases that rotate many sites"
        )
    bases, pieces = [*by_basis], []
    held: list[tuple[int, Bits, NDArray[np.int64]]] = []
    for part in parts:
        size = sum(len(rows) << _rotated(bases[number]) for number, rows, _ in (*held, part))
        if held and size > _TERMS:
            pieces.append(_piece(bases, held))
            held = []
        held.append(part)
    return [*pieces, _piece(bases, held)]


def count_terms(by_basis: Mapping[str, Bits]) -> int:
    """Return the number of terms of bits [shot, site] in each basis, repeated ones counted."""
    return sum(len(bits) << _rotated(basis) for basis, bits in by_basis.items())


def _rotated(basis: str) -> int:
    return len(basis) - basis.count("Z")


def _piece(bases: Sequence[str], parts: Sequence[tuple[int, Bits, NDArray[np.int64]]]) -> Terms:
    states, factors, sizes = [], [], []
    for number, rows, _ in parts:
        expanded, factor = expand(rows, bases[number])
        states.append(expanded.reshape(-1, expanded.shape[2]))
        factors.append((factor.ravel() * 2.0 ** (_rotated(bases[number]) / 2)).round())
        sizes.append(np.full(len(rows), _rotated(bases[number])))
    bits, state = _unique(np.concatenate(states))
    rotated = np.concatenate(sizes)
    return Terms(
        bits,
        state,
        np.concatenate(factors).astype(np.complex64),
        np.cumsum(1 << rotated) - (1 << rotated),
        rotated,
        np.repeat([number for number, *_ in parts], [len(rows) for _, rows, _ in parts]),
        np.concatenate([counts for *_, counts in parts]).astype(np.float64),
    )


def _unique(bits: Bits) -> tuple[Bits, NDArray[np.int64]]:
    """Return the unique rows of bits, and which of them each row is."""
    packed = np.packbits(bits, axis=1)
    keys = np.zeros((len(packed), -(-packed.shape[1] // 8) * 8), np.uint8)
    keys[:, : packed.shape[1]] = packed
    words = keys.view(np.uint64)
    kept: NDArray[np.int64]
    if words.shape[1] == 1:
        _, kept, place = np.unique(words[:, 0], return_index=True, return_inverse=True)
    else:
        _, kept, place = np.unique(words, axis=0, return_index=True, return_inverse=True)
    return bits[kept], place.reshape(-1)


@single_blas_thread()
def log_amplitudes(rbm: PhaseRBM, terms: Sequence[Terms]) -> list[Float64]:
    """Return log |A(x)|^2 + log Z of the shots of each piece, [shot] each."""

    def of(piece: Terms) -> Float64:
        return relative_terms(rbm, piece)[0]

    return map_threads(of, terms)


@single_blas_thread()
def terms_likelihood(rbm: PhaseRBM, terms: Sequence[Terms]) -> tuple[float, Float64]:
    """Return L + log Z in nats per shot and its gradient, [parameter] as in `to_parameters`.

    Args:
        rbm: the state.
        terms: all pieces.
    """

    def of(piece: Terms) -> tuple[float, Float64]:
        networks = _scored(rbm, piece)
        logs, ratio = _amplitudes(piece, *(network.log_prob for network in networks))
        ratio *= np.repeat(piece.weight, 1 << piece.rotated)
        real, imaginary = (
            np.bincount(piece.state, part, len(piece.bits)).astype(np.float64)
            for part in (ratio.real, ratio.imag)
        )
        slopes = [
            network.slope(weight)
            for network, weight in zip(networks, (real, -imaginary), strict=True)
        ]
        return float(piece.weight @ logs), np.concatenate(slopes)

    found = map_threads(of, terms)
    shots = sum(float(piece.weight.sum()) for piece in terms)
    value = sum(value for value, _ in found) / shots
    return value, np.sum([slope for _, slope in found], axis=0) / shots


def relative_terms(rbm: PhaseRBM, terms: Terms) -> tuple[Float64, NDArray[np.complex128]]:
    """Return log |A|^2 + log Z of each shot, and c_s psi(s) / A of each term."""
    return _amplitudes(terms, *(scored.log_prob for scored in _scored(rbm, terms)))


def _scored(rbm: PhaseRBM, terms: Terms) -> list[ScoredStates]:
    """Return both networks at the states of some terms."""
    bits = terms.bits.T.astype(np.float64)
    return [ScoredStates(network, bits) for network in (rbm.amplitude, rbm.phase)]


def _amplitudes(
    terms: Terms, log_p: Float64, phi: Float64
) -> tuple[Float64, NDArray[np.complex128]]:
    """Return log |A|^2 of each shot and c_s psi(s) / A of each term, from log p~ and phi."""
    size = log_p[terms.state]
    top = np.maximum.reduceat(size, terms.first)
    counts = 1 << terms.rotated
    part = np.exp(0.5 * ((size - np.repeat(top, counts)) + 1j * phi[terms.state])) * terms.factor
    amplitude = np.add.reduceat(part, terms.first)
    prob = np.maximum(np.abs(amplitude) ** 2, _LEAST)
    part *= np.repeat(amplitude.conj() / prob, counts)
    return top + np.log(prob) - terms.rotated * _LOG_2, part
