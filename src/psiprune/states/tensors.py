"""Contractions of the tensors of a matrix product state, [left, physical, right] each.

See `mps` for the conventions. The contraction of the sites left of a bond with themselves is called
an environment, [left, left'], its first index from the conjugate. Tensors are all real or all
complex; a function does not copy real ones to conjugate them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from psiprune.core.exceptions import InputError

#: float64 or complex128.
Tensor = NDArray[Any]
Tensors = tuple[Tensor, ...]


def as_matrix(tensor: Tensor) -> Tensor:
    """Return the matrix [left, physical and right] of a tensor."""
    return tensor.reshape(len(tensor), -1)


def conjugate(array: Tensor) -> Tensor:
    """Return the complex conjugate; the array itself if it is real."""
    return array.conj() if np.iscomplexobj(array) else array


def as_real(array: Tensor) -> NDArray[np.float64]:
    """Return an array whose last axis holds real and imaginary parts, for sums of squares."""
    return np.ascontiguousarray(array).view(np.float64) if np.iscomplexobj(array) else array


def draw_bits(tensors: Tensors, uniform: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return bits [shot, site] from uniform numbers [shot, site]."""
    shots = len(uniform)
    bits = np.empty(uniform.shape, dtype=np.uint8)
    left: Tensor = np.ones((shots, 1))  # the tensors so far, contracted with each shot's bits
    for site, tensor in enumerate(tensors):
        amplitudes = (left @ as_matrix(tensor)).reshape(shots, *tensor.shape[1:])
        parts = as_real(amplitudes)
        weight = np.einsum("xsb,xsb->xs", parts, parts)
        bit = uniform[:, site] * weight.sum(axis=1) >= weight[:, 0]
        bits[:, site] = bit
        chosen = bit.astype(np.intp)
        rows = np.arange(shots)
        left = amplitudes[rows, chosen] / np.sqrt(weight[rows, chosen])[:, None]
    return bits


def log_amplitudes(tensors: Tensors, bits: NDArray[np.uint8]) -> tuple[Tensor, NDArray[np.float64]]:
    """Return the sign (or phase factor) and ln |amplitude| of each shot, rescaled at each site."""
    left: Tensor = np.ones((len(bits), 1))
    log_norm = np.zeros(len(bits))
    for site, tensor in enumerate(tensors):
        grown = np.empty((len(bits), tensor.shape[2]), dtype=tensor.dtype)
        for bit in (0, 1):
            rows = bits[:, site] == bit
            grown[rows] = left[rows] @ tensor[:, bit]
        parts = as_real(grown)
        norm = np.sqrt(np.einsum("xb,xb->x", parts, parts))
        zero = norm == 0
        norm[zero] = 1
        log_norm += np.log(norm)
        log_norm[zero] = -np.inf
        left = grown / norm[:, None]
    return np.sign(left[:, 0]), log_norm


def log_probability(tensors: Tensors, bits: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return ln |amplitude|^2 of each shot, without under- or overflow."""
    return 2 * log_amplitudes(tensors, bits)[1]


def extend(env: Tensor, tensor: Tensor, sign: int) -> Tensor:
    """Extend environments [..., left, left'] by one site; sign -1 inserts a Z there."""
    zero, one = tensor[:, 0], tensor[:, 1]
    return conjugate(zero).T @ env @ zero + sign * (conjugate(one).T @ env @ one)


def environments(tensors: Tensors) -> list[Tensor]:
    """Return the environment to the left of each of the N + 1 bonds."""
    left: list[Tensor] = [np.ones((1, 1))]
    for tensor in tensors:
        left.append(extend(left[-1], tensor, 1))
    return left


def check_numbers(name: str, array: NDArray[Any]) -> Tensor:
    """Return the array in float64, or in complex128 if it has imaginary parts.

    Raises:
        InputError: it is not of numbers, or not finite.
    """
    if array.dtype.kind not in "biufc":
        raise InputError(f"{name}: must be numbers, found type {array.dtype}")
    if not np.isfinite(array).all():
        raise InputError(f"{name}: must be finite, found NaN or infinity")
    if array.dtype.kind == "c":
        return array.astype(np.complex128) if array.imag.any() else array.real.astype(np.float64)
    return array.astype(np.float64)


def check_chain(tensors: Sequence[ArrayLike]) -> Tensors:
    """Return copies of tensors, all real or all complex.

    Raises:
        InputError: the bonds do not match, or as in `check_numbers`.
    """
    if len(tensors) < 2:
        raise InputError(f"tensors: needs at least 2 sites, found {len(tensors)}")
    chain: list[Tensor] = []
    bond = 1
    for site, values in enumerate(tensors):
        tensor = np.asarray(values)
        if tensor.ndim != 3 or tensor.shape[:2] != (bond, 2) or tensor.size == 0:
            raise InputError(
                f"tensors: site {site} must have shape ({bond}, 2, right bond), found"
                f" {tensor.shape}"
            )
        chain.append(check_numbers(f"tensors: site {site}", tensor))
        bond = tensor.shape[2]
    if bond != 1:
        raise InputError(f"tensors: the last bond must have dimension 1, found {bond}")
    if any(map(np.iscomplexobj, chain)):
        return tuple(tensor.astype(np.complex128, copy=False) for tensor in chain)
    return tuple(chain)


def right_canonical(tensors: Tensors) -> Tensors:
    """Return the same state, normalised and right-canonical, by QR from the right."""
    canonical: list[Tensor] = []
    carry: Tensor = np.ones((1, 1))
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


def rotate_sites(tensors: Tensors, matrices: Sequence[NDArray[Any] | None]) -> Tensors:
    """Return the tensors with a matrix [outcome, physical] applied to each site; None for none."""
    return tuple(
        tensor if matrix is None else np.einsum("st,atb->asb", matrix, tensor)
        for tensor, matrix in zip(tensors, matrices, strict=True)
    )
