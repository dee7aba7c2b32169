"""Local energies <v|H|psi> / <v|psi> of an RBM, whose means over p are its energy."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from psiprune.core.threads import map_threads
from psiprune.kernels import enumeration
from psiprune.kernels import local_energy as kernel
from psiprune.rbm.model import RBM
from psiprune.states.hamiltonian import Hamiltonian
from psiprune.states.mps import Model
from psiprune.states.tfim import TFIM

Float64 = NDArray[np.float64]
Packed = tuple[NDArray[np.int64] | Float64, ...]
#: Shots at a time, in a thread.
_SHOTS = 1 << 12


def local_energies(rbm: RBM, bits: NDArray[np.uint8], model: Model) -> Float64:
    """Return sum_v' <v|H|v'> psi(v') / psi(v) of each configuration, bits [draw, site] -> [draw].

    psi = sqrt(p) >= 0, so a `Hamiltonian` is the one in the frame where the state is positive.
    """
    if isinstance(model, TFIM):
        local = np.empty(len(bits))
        enumeration.local_energy_flips(bits, rbm.weights, rbm.visible_bias, rbm.hidden_bias, local)
        z = 1.0 - 2.0 * bits.astype(np.float64)
        local *= -model.field
        local -= model.coupling * (z[:, :-1] * z[:, 1:]).sum(axis=1)
        return local
    return _local(bits, rbm.weights, rbm.visible_bias, rbm.hidden_bias, model)


def diagonal_values(bits: NDArray[np.uint8], operator: Hamiltonian) -> Float64:
    """Return <v|operator|v> of each configuration, for an operator that flips nothing, [draw]."""
    sites = operator.sites
    return _local(bits, np.zeros((0, sites)), np.zeros(sites), np.zeros(0), operator)


def _local(
    bits: NDArray[np.uint8],
    weights: Float64,
    visible_bias: Float64,
    hidden_bias: Float64,
    operator: Hamiltonian,
) -> Float64:
    local, columns, packed = np.empty(len(bits)), np.ascontiguousarray(weights.T), _packed(operator)
    parts = [slice(first, first + _SHOTS) for first in range(0, len(bits), _SHOTS)]
    map_threads(
        lambda part: kernel.local_energies(
            bits[part], columns, visible_bias, hidden_bias, *packed, local[part]
        ),
        parts,
    )
    return local


@lru_cache(maxsize=4)
def _packed(model: Hamiltonian) -> Packed:
    """Return the flips of a Hamiltonian as the arrays that the kernel takes."""
    sites = [_bits(flip.flips) for flip in model.flips]
    signs = [_bits(mask) for flip in model.flips for mask in flip.signs]
    weights = [weight for flip in model.flips for weight in flip.weights]
    return (
        _starts(map(len, sites)),
        np.array([site for each in sites for site in each], dtype=np.int64),
        _starts(len(flip.signs) for flip in model.flips),
        np.array(weights),
        _starts(map(len, signs)),
        np.array([site for each in signs for site in each], dtype=np.int64),
    )


def _bits(mask: int) -> list[int]:
    return [site for site in range(mask.bit_length()) if mask >> site & 1]


def _starts(lengths: Iterable[int]) -> NDArray[np.int64]:
    return np.array([0, *accumulate(lengths)], dtype=np.int64)
