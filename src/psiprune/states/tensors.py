"""Contractions of the tensors of a matrix product state, [left, physical, right] each.

See `mps` for the conventions. The contraction of the sites left of a bond with themselves is called
an environment, [left, left'].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from psiprune.core.exceptions import InputError

Tensors = tuple[NDArray[np.float64], ...]


def as_matrix(tensor: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the matrix [left, physical and right] of a tensor."""
    return tensor.reshape(len(tensor), -1)


def draw_bits(tensors: Tensors, uniform: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return bits [shot, site] from uniform numbers [shot, site]."""
    shots = len(uniform)
    bits = np.empty(uniform.shape, dtype=np.uint8)
    left = np.ones((shots, 1))  # the tensors so far, contracted with each shot's bits
    for site, tensor in enumerate(tensors):
        amplitudes = (left @ as_matrix(tensor)).reshape(shots, *tensor.shape[1:])
        weight = np.einsum("xsb,xsb->xs", amplitudes, amplitudes)
        bit = uniform[:, site] * weight.sum(axis=1) >= weight[:, 0]
        bits[:, site] = bit
        chosen = bit.astype(np.intp)
        rows = np.arange(shots)
        left = amplitudes[rows, chosen] / np.sqrt(weight[rows, chosen])[:, None]
    return bits


def log_amplitudes(
    tensors: Tensors, bits: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the sign and ln |amplitude| of each shot, rescaled at each site."""
    left = np.ones((len(bits), 1))
    log_norm = np.zeros(len(bits))
    for site, tensor in enumerate(tensors):
        grown = np.empty((len(bits), tensor.shape[2]))
        for bit in (0, 1):
            rows = bits[:, site] == bit
            grown[rows] = left[rows] @ tensor[:, bit]
        norm = np.sqrt(np.einsum("xb,xb->x", grown, grown))
        zero = norm == 0
        norm[zero] = 1
        log_norm += np.log(norm)
        log_norm[zero] = -np.inf
        left = grown / norm[:, None]
    return np.sign(left[:, 0]), log_norm


def log_probability(tensors: Tensors, bits: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return ln |amplitude|^2 of each shot, without under- or overflow."""
    return 2 * log_amplitudes(tensors, bits)[1]


def extend(env: NDArray[np.float64], tensor: NDArray[np.float64], sign: int) -> NDArray[np.float64]:
    """Extend environments [..., left, left'] by one site; sign -1 inserts a Z there."""
    zero, one = tensor[:, 0], tensor[:, 1]
    return zero.T @ env @ zero + sign * (one.T @ env @ one)


def environments(tensors: Tensors) -> list[NDArray[np.float64]]:
    """Return the environment to the left of each of the N + 1 bonds."""
    left = [np.ones((1, 1))]
    for tensor in tensors:
        left.append(extend(left[-1], tensor, 1))
    return left


def check_real(name: str, array: NDArray[Any]) -> NDArray[np.float64]:
    """Return the array in float64; raise `InputError` if it is not real and finite."""
    if array.dtype.kind not in "biuf":
        raise InputError(f"{name}: must be real numbers, found type {array.dtype}")
    if not np.isfinite(array).all():
        raise InputError(f"{name}: must be finite, found NaN or infinity")
    return array.astype(np.float64)


def check_chain(tensors: Sequence[ArrayLike]) -> Tensors:
    """Return float64 copies of tensors; raise `InputError` if their bonds do not match."""
    if len(tensors) < 2:
        raise InputError(f"tensors: needs at least 2 sites, found {len(tensors)}")
    chain: list[NDArray[np.float64]] = []
    bond = 1
    for site, values in enumerate(tensors):
        tensor = np.asarray(values)
        if tensor.ndim != 3 or tensor.shape[:2] != (bond, 2) or tensor.size == 0:
            raise InputError(
                f"tensors: site {site} must have shape ({bond}, 2, right bond), found"
                f" {tensor.shape}"
            )
        chain.append(check_real(f"tensors: site {site}", tensor))
        bond = tensor.shape[2]
    if bond != 1:
        raise InputError(f"tensors: the last bond must have dimension 1, found {bond}")
    return tuple(chain)


def right_canonical(tensors: Tensors) -> Tensors:
    """Return the same state, normalised and right-canonical, by QR from the right."""
    canonical: list[NDArray[np.float64]] = []
    carry = np.ones((1, 1))
    for tensor in reversed(tensors):
        grown = tensor @ carry  # [left, physical, bond to the canonical part]
        q, r = np.linalg.qr(as_matrix(grown).T)
        scale = np.abs(r).max()
        if scale == 0:
            raise InputError("tensors: must not represent the zero vector")
        canonical.append(q.T.reshape(len(q.T), *grown.shape[1:]))
        carry = r.T / scale
    canonical[-1] = canonical[-1] * np.sign(carry[0, 0])
    return tuple(reversed(canonical))
