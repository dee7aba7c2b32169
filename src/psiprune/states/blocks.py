"""Sites of which a state may be a product with the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Complex128 = NDArray[np.complex128]
Float64 = NDArray[np.float64]
Block = tuple[int, ...]


def blocks(psi: Complex128) -> list[Block]:
    """Return sets of sites of a state [2^N] that may be independent of the others.

    These are the single sites, both sides of each cut, and the clusters that arise when the pairs
    of most mutual information are joined one after the other.
    """
    sites = len(psi).bit_length() - 1
    found = {tuple(range(first)) for first in range(1, sites)}
    found |= {tuple(range(first, sites)) for first in range(1, sites)}
    found |= set(clusters(mutual_information(psi)))
    return sorted(found - {tuple(range(sites))}, key=lambda block: (len(block), block))


def clusters(closeness: Float64) -> list[Block]:
    """Return all clusters of sites by single linkage, from each site alone to all together."""
    sites = len(closeness)
    of = [frozenset([site]) for site in range(sites)]
    found = [*of]
    pairs = np.transpose(np.triu_indices(sites, 1))
    order = np.argsort([-closeness[i, j] for i, j in pairs], kind="stable")
    for i, j in pairs[order]:
        if of[i] is not of[j]:
            both = of[i] | of[j]
            found.append(both)
            for site in both:
                of[site] = both
    return [tuple(sorted(block)) for block in found]


def mutual_information(psi: Complex128) -> Float64:
    """Return the quantum mutual information S_i + S_j - S_ij of pairs, nats, [site, site]."""
    sites = len(psi).bit_length() - 1
    single = [_entropy(as_matrix(psi, (site,))) for site in range(sites)]
    found = np.zeros((sites, sites))
    for i in range(sites):
        for j in range(i + 1, sites):
            shared = single[i] + single[j] - _entropy(as_matrix(psi, (i, j)))
            found[i, j] = found[j, i] = shared
    return found


def as_matrix(psi: Complex128, block: Sequence[int]) -> Complex128:
    """Return amplitudes [2^a, 2^(N - a)]: rows of the sites of a block, columns of the others.

    The first site of each varies fastest.
    """
    sites = len(psi).bit_length() - 1
    others = [site for site in range(sites) if site not in block]
    # The last axis of the tensor is site 0.
    order = [sites - 1 - site for site in (*reversed(block), *reversed(others))]
    return psi.reshape((2,) * sites).transpose(order).reshape(1 << len(block), -1)


def joined(inner: Complex128, outer: Complex128, block: Sequence[int]) -> Complex128:
    """Return the product [2^N] of a state of the sites of a block and one of the others."""
    sites = (len(inner) * len(outer)).bit_length() - 1
    others = [site for site in range(sites) if site not in block]
    order = [sites - 1 - site for site in (*reversed(block), *reversed(others))]
    tensor = np.outer(inner, outer).reshape((2,) * sites)
    return np.ascontiguousarray(tensor.transpose(np.argsort(order))).ravel()


def nearest_product(
    psi: Complex128, block: Sequence[int]
) -> tuple[Complex128, Complex128, Complex128]:
    """Return states of a block and of the others, and their product, nearest to a state [2^N].

    These are the leading singular vectors; |<psi|product>|^2 is the square of their value.
    """
    matrix = as_matrix(psi, block)
    small = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    _, vectors = np.linalg.eigh(small @ small.conj().T)
    leading = vectors[:, -1]
    other = leading.conj() @ small
    other = other / np.linalg.norm(other)
    inner, outer = (leading, other) if small is matrix else (other, leading)
    return inner, outer, joined(inner, outer, block)


def _entropy(matrix: Complex128) -> float:
    """Return the von Neumann entropy of the rows' reduced state, in nats."""
    share = np.linalg.eigvalsh(matrix @ matrix.conj().T)
    share = share[share > 1e-15]
    return float(-(share @ np.log(share)))
