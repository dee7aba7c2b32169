"""Bridge sampling: log Z ratios from draws of both distributions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from psiprune.core.exceptions import InputError
from psiprune.inference.ais import log_mean
from psiprune.inference.log_partition import Float64


class Bridge(NamedTuple):
    """log Z and fidelity from draws of both distributions, with errors; see `bridge`.

    `reverse_error` is that of log B, the share of the errors that comes from the draws of p.
    """

    log_partition: float
    log_partition_error: float
    fidelity: float
    fidelity_error: float
    effective_sample_size: float
    reverse_error: float


def bridge(log_ratio_q: ArrayLike, log_ratio_p: ArrayLike) -> Bridge:
    """log Z of p~ and fidelity with a normalised q, from draws of q and of p = p~/Z.

        A = E_q[sqrt(p~/q)],   B = E_p[sqrt(q/p~)],   Z = A / B,   fidelity = A B

    (Bennett, J. Comput. Phys. 22, 245 (1976), with equal weights; Meng & Wong 1996.) Means are
    taken relative to the largest term, so p~ may be beyond the range of floats. The error of B is
    that of the chains' means, which holds for any autocorrelation within a chain.

    Args:
        log_ratio_q: log p~(v) - log q(v) at independent draws of q, [draw].
        log_ratio_p: log p~(v) - log q(v) at draws of p, [chain, draw]; independent draws are
            chains of one draw. +inf, where q = 0, adds nothing.

    Returns:
        Values and standard errors (delta method), natural log. The effective sample size is the
        smaller one of both sets of weights, autocorrelation included for the chains.

    Raises:
        InputError: shapes do not fit, there are fewer than 2 draws or chains, or a ratio is NaN.
    """
    forward = np.asarray(log_ratio_q, dtype=np.float64)
    back = np.asarray(log_ratio_p, dtype=np.float64)
    if forward.ndim != 1 or len(forward) < 2:
        raise InputError(
            f"log_ratio_q: must have shape [draw] with at least 2 draws, found {forward.shape}"
        )
    if back.ndim != 2 or len(back) < 2 or back.shape[1] < 1:
        raise InputError(
            f"log_ratio_p: must have shape [chain, draw] with at least 2 chains, found {back.shape}"
        )
    if not np.isfinite(forward).all():
        raise InputError("log_ratio_q: must be finite; an RBM gives no state of q probability 0")
    if np.isnan(back).any() or np.isneginf(back).any():
        raise InputError("log_ratio_p: must be numbers or +inf (where q = 0)")
    if np.isposinf(back).all():
        raise InputError("log_ratio_p: all +inf; q is 0 at every draw of the RBM")
    a, a_error, a_size = log_mean(0.5 * forward)
    b, b_error, b_size = log_mean_of_chains(-0.5 * back)
    error = float(np.hypot(a_error, b_error))
    overlap = float(np.exp(a + b))
    return Bridge(a - b, error, overlap, overlap * error, min(a_size, b_size), b_error)


def log_mean_of_chains(log_weights: Float64) -> tuple[float, float, float]:
    """`log_mean` of weights [chain, draw], with the error from the chains' means."""
    top = log_weights.max()
    weights = np.exp(log_weights - top)
    means = weights.mean(axis=1)
    mean = means.mean()
    error = means.std(ddof=1) / np.sqrt(len(means)) / mean
    size = weights.sum() ** 2 / (weights**2).sum()
    if error > 0:  # independent draws of the same spread would have this error
        independent = weights.std() / np.sqrt(weights.size) / mean
        size *= min(1.0, (independent / error) ** 2)
    return float(top + np.log(mean)), float(error), float(size)
