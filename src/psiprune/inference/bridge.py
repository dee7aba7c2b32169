"""Bridge sampling: log Z ratios from draws of both distributions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from psiprune.core.exceptions import InputError
from psiprune.core.repr import one_line
from psiprune.inference.ais import Float64, log_mean


@one_line
class Bridge(NamedTuple):
    """Values and errors of `bridge`; `reverse_error` is that of log B, from the draws of p."""

    log_partition: float
    log_partition_error: float
    fidelity: float
    fidelity_error: float
    effective_sample_size: float
    reverse_error: float


def bridge(log_ratio_q: ArrayLike, log_ratio_p: ArrayLike) -> Bridge:
    """Return log Z of p~ and its fidelity with a normalised q, from draws of q and of p = p~/Z.

        A = E_q[sqrt(p~/q)],   B = E_p[sqrt(q/p~)],   Z = A / B,   fidelity = A B

    (Bennett, J. Comput. Phys. 22, 245 (1976), with equal weights; Meng & Wong 1996.) Means are
    taken relative to the largest term, so p~ may exceed the range of floats. The error of B is that
    of the chains' means, which holds for any autocorrelation within a chain.

    Args:
        log_ratio_q: log p~(v) - log q(v) at independent draws of q, [draw].
        log_ratio_p: log p~(v) - log q(v) at draws of p, [chain, draw]; independent draws are
            chains of one draw. +inf, where q = 0, adds 0.

    Returns:
        Values and standard errors (delta method), natural log. The effective sample size is the
        smaller of the two sets of weights, with autocorrelation for the chains.

    Raises:
        InputError: wrong shapes, fewer than 2 draws or chains, or a ratio is NaN.
    """
    forward = np.asarray(log_ratio_q, dtype=np.float64)
    reverse = np.asarray(log_ratio_p, dtype=np.float64)
    if forward.ndim != 1 or len(forward) < 2:
        raise InputError(
            f"log_ratio_q: must have shape [draw] with at least 2 draws, found {forward.shape}"
        )
    if reverse.ndim != 2 or len(reverse) < 2 or reverse.shape[1] < 1:
        raise InputError(
            "log_ratio_p: must have shape [chain, draw] with at least 2 chains, found "
            f"{reverse.shape}"
        )
    if not np.isfinite(forward).all():
        raise InputError("log_ratio_q: must be finite, as an RBM has p > 0 for every state")
    if np.isnan(reverse).any() or np.isneginf(reverse).any():
        raise InputError("log_ratio_p: must be numbers or +inf (where q = 0)")
    if np.isposinf(reverse).all():
        raise InputError("log_ratio_p: is +inf at every draw of the RBM, where q is then 0")
    a, a_error, a_size = log_mean(0.5 * forward)
    b, b_error, b_size = log_mean_of_chains(-0.5 * reverse)
    error = float(np.hypot(a_error, b_error))
    overlap = float(np.exp(a + b))
    return Bridge(a - b, error, overlap, overlap * error, min(a_size, b_size), b_error)


def log_mean_of_chains(log_weights: Float64) -> tuple[float, float, float]:
    """Return `log_mean` of weights [chain, draw], with the error from the chains' means."""
    top = log_weights.max()
    weights = np.exp(log_weights - top)
    means = weights.mean(axis=1)
    mean = means.mean()
    error = means.std(ddof=1) / np.sqrt(len(means)) / mean
    size = weights.sum() ** 2 / (weights**2).sum()
    if error > 0:
        independent = weights.std() / np.sqrt(weights.size) / mean  # the error without correlation
        size *= min(1.0, (independent / error) ** 2)
    return float(top + np.log(mean)), float(error), float(size)
