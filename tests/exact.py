"""Brute-force references over all 2^N configurations, written without the package's own code."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import scipy.special
import scipy.stats
from numpy.typing import NDArray

REFERENCE: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "reference" / "tfim.json").read_text()
)
"""Exact values of the chain at N = 10, 18, 50, 100 and h = 1, 2."""


def basis(sites: int) -> NDArray[np.uint8]:
    """All configurations [2^N, site]; row sum_i bit_i 2^i."""
    return ((np.arange(2**sites)[:, None] >> np.arange(sites)) & 1).astype(np.uint8)


def index(bits: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The row of each configuration in `basis`."""
    return bits.astype(np.int64) @ (1 << np.arange(bits.shape[1]))


def operator(sites: int, placed: dict[int, NDArray[np.float64]]) -> NDArray[np.float64]:
    """The dense product of one-site matrices, the identity where none is placed."""
    # Site 0 is the least significant bit, so later sites go to its left.
    matrix: NDArray[np.float64] = np.eye(1)
    for site in range(sites):
        matrix = np.kron(placed.get(site, np.eye(2)), matrix).astype(np.float64)
    return matrix


X = np.array([[0.0, 1.0], [1.0, 0.0]])
Z = np.array([[1.0, 0.0], [0.0, -1.0]])


PAULI = {"I": np.eye(2), "X": X, "Y": np.array([[0.0, -1j], [1j, 0.0]]), "Z": Z}


def pauli_sum(
    sites: int, terms: Iterable[tuple[float, Mapping[int, str]]]
) -> NDArray[np.complex128]:
    """The dense matrix of a sum of Pauli strings, (coefficient, {site: letter})."""
    total = np.zeros((2**sites, 2**sites), dtype=np.complex128)
    for coefficient, letters in terms:
        matrix = np.eye(1)
        for site in range(sites):
            matrix = np.kron(PAULI[letters.get(site, "I")], matrix)
        total += coefficient * matrix
    return total


def tfim_hamiltonian(sites: int, field: float, coupling: float) -> NDArray[np.float64]:
    """H = -J sum Z_i Z_{i+1} - h sum X_i as a dense matrix."""
    bonds = sum(operator(sites, {i: Z, i + 1: Z}) for i in range(sites - 1))
    fields = sum(operator(sites, {i: X}) for i in range(sites))
    return np.asarray(-coupling * bonds - field * fields)


def chi_squared_p(bits: NDArray[np.uint8], probability: NDArray[np.float64]) -> float:
    """The p-value that the bits were drawn from `probability` [2^N].

    Configurations expected fewer than 5 times are pooled, as the test assumes.
    """
    expected = len(bits) * probability
    observed = np.bincount(index(bits), minlength=len(probability))
    rare = expected < 5
    if rare.any():
        expected = np.append(expected[~rare], expected[rare].sum())
        observed = np.append(observed[~rare], observed[rare].sum())
    if expected[-1] == 0:
        expected, observed = expected[:-1], observed[:-1]
    return float(scipy.stats.chisquare(observed, expected * observed.sum() / expected.sum()).pvalue)


def rbm_joint(
    weights: NDArray[np.float64],
    visible_bias: NDArray[np.float64],
    hidden_bias: NDArray[np.float64],
) -> NDArray[np.float64]:
    """b.v + c.h + h.W.v for every pair of states, [2^N, 2^N_h]."""
    hidden, visible = weights.shape
    v, h = basis(visible).astype(float), basis(hidden).astype(float)
    return (v @ visible_bias)[:, None] + (h @ hidden_bias)[None, :] + v @ weights.T @ h.T


def rbm_distribution(
    weights: NDArray[np.float64],
    visible_bias: NDArray[np.float64],
    hidden_bias: NDArray[np.float64],
) -> NDArray[np.float64]:
    """p(v), [2^N], by summing the joint distribution over the hidden states."""
    joint = rbm_joint(weights, visible_bias, hidden_bias)
    prob = np.exp(joint - joint.max()).sum(axis=1)
    return np.asarray(prob / prob.sum())


def gibbs_matrix(
    weights: NDArray[np.float64],
    visible_bias: NDArray[np.float64],
    hidden_bias: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Probabilities [from, to] of one block Gibbs step, v to h to v, over all visible states."""
    joint = rbm_joint(weights, visible_bias, hidden_bias)
    hidden_given_visible = np.exp(joint - scipy.special.logsumexp(joint, axis=1, keepdims=True))
    visible_given_hidden = np.exp(joint - scipy.special.logsumexp(joint, axis=0, keepdims=True))
    return np.asarray(hidden_given_visible @ visible_given_hidden.T)


def empirical(bits: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The frequency of every configuration, [2^N]."""
    return np.bincount(index(bits), minlength=2 ** bits.shape[1]) / len(bits)


def components(mask: NDArray[np.bool_]) -> int:
    """Connected parts of the graph of all visible and hidden units, by walking it."""
    hidden, visible = mask.shape
    unseen = set(range(visible + hidden))
    parts = 0
    while unseen:
        parts += 1
        queue = [unseen.pop()]
        while queue:
            unit = queue.pop()
            if unit < visible:
                near = {visible + j for j in range(hidden) if mask[j, unit]}
            else:
                near = {i for i in range(visible) if mask[unit - visible, i]}
            queue.extend(near & unseen)
            unseen -= near
    return parts


def linear(coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
    """coefficients.v for every configuration, [2^N], without a table of the bits."""
    values = np.zeros(1)
    for coefficient in coefficients:
        values = np.concatenate([values, values + coefficient])
    return values
