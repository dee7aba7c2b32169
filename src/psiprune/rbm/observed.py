"""Exact likelihood of recorded bits with readout errors, by sums over all states of N sites.

L = sum_y f(y) log p(y) with p(y) = sum_v C(y | v) p(v) and f the frequencies of the records. Its
gradient is <s>_r - <s>_p, with s = d log p~(v) / d theta and the posterior of the true bits
averaged over the records, r(v) = p(v) sum_y f(y) C(y | v) / p(y).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.limits import EXACT_SITES
from psiprune.core.repr import one_line
from psiprune.core.threads import map_threads
from psiprune.data.readout_error import ReadoutError
from psiprune.data.shots import Shots
from psiprune.kernels import enumeration
from psiprune.rbm.likelihood import Moments, WeightedConfigurations
from psiprune.rbm.model import RBM

Float64 = NDArray[np.float64]
_TINY = float(np.finfo(np.float64).tiny)
#: States per task; fixed, so that sums are the same on any number of cores.
_PIECE = 1 << 14


@one_line
class Records(NamedTuple):
    """Recorded bits with readout errors.

    Attributes:
        frequency: of each recorded state, [2^N] at index sum_i y_i 2^i.
        states: the bits of all states, float64 [site, 2^N].
        readout: the readout errors.
    """

    frequency: Float64
    states: Float64
    readout: ReadoutError


@one_line
class Observed(NamedTuple):
    """The likelihood of records.

    Attributes:
        log_likelihood: mean of log p(y), in nats per shot.
        gradient: its derivatives by the parameters, as `Moments`.
        posterior: all states with weights r(v).
    """

    log_likelihood: float
    gradient: Moments
    posterior: WeightedConfigurations


def records_of(shots: Shots) -> Records:
    """Return the records of shots that carry readout errors.

    Raises:
        InputError: more than 20 sites.
    """
    check_exact_sites(shots.sites)
    assert shots.readout is not None
    rows, counts = shots.unique
    frequency = np.bincount(index_of(rows), weights=counts, minlength=1 << shots.sites)
    return Records(frequency / len(shots), bits_of_states(shots.sites).T.copy(), shots.readout)


def check_exact_sites(sites: int) -> None:
    """Raise InputError if sums over true and recorded bits of all sites would take too long."""
    if sites > EXACT_SITES:
        raise InputError(
            f"readout: exact sums over true and recorded bits need N <= {EXACT_SITES}, found "
            f"{sites}; use method 'natural', 'pcd' or 'cd'"
        )


def index_of(bits: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the index sum_i y_i 2^i of each row of bits [row, site]."""
    return bits.astype(np.int64) @ (1 << np.arange(bits.shape[1]))


def log_prob_recorded(rbm: RBM, readout: ReadoutError) -> Float64:
    """Return log p(y) of every recorded state, [2^N]; -708 where the errors exclude a record."""
    return np.log(np.maximum(readout.apply(distribution(rbm)), _TINY))


def observe(rbm: RBM, records: Records) -> Observed:
    """Return the log-likelihood of the records, its gradient, and the posterior r(v)."""
    prob = distribution(rbm)
    recorded = np.maximum(records.readout.apply(prob), _TINY)
    value = float(records.frequency @ np.log(recorded))
    posterior = prob * records.readout.apply_transposed(records.frequency / recorded)
    gradient = _moments(rbm, posterior - prob)
    return Observed(value, gradient, WeightedConfigurations(records.states, posterior))


def distribution(rbm: RBM) -> Float64:
    """Return p(v) of every state, [2^N] at index sum_i v_i 2^i."""
    log_prob = rbm.log_prob_all()
    prob = np.exp(log_prob - log_prob.max())
    return np.asarray(prob / prob.sum())


def _moments(rbm: RBM, weight: Float64) -> Moments:
    """Return sum_v weight(v) of s_j v_i, v_i and s_j, for weights [2^N].

    A state is a row (its high bits) and a column (its low bits). The activation of a hidden unit
    is the sum of a number for each, and the bits of the rows are summed after the columns.
    """
    low = min(rbm.visible // 2, 10)
    rows, columns = (bits_of_states(sites) for sites in (rbm.visible - low, low))
    from_rows = rbm.weights[:, low:] @ rows.T + rbm.hidden_bias[:, None]
    from_columns = rbm.weights[:, :low] @ columns.T
    table = weight.reshape(len(rows), len(columns))
    step = _PIECE // len(columns)

    def sums(first: int) -> tuple[Float64, Float64]:
        """Return the sum of weight * (s_j; 1) over columns and over rows of a piece."""
        part = slice(first, first + step)
        hidden = from_rows[:, part, None] + from_columns[:, None, :]
        flat = hidden.reshape(rbm.hidden, -1)
        enumeration.sigmoid_in_place(flat, table[part].ravel())
        hidden *= table[part]
        by_row = np.concatenate([hidden.sum(axis=2), table[None, part].sum(axis=2)])
        by_column = np.concatenate([hidden.sum(axis=1), table[None, part].sum(axis=1)])
        return by_row, by_column

    pieces = map_threads(sums, range(0, len(rows), step))
    by_row = np.concatenate([piece[0] for piece in pieces], axis=1)
    by_column = np.sum([piece[1] for piece in pieces], axis=0)
    bits = np.concatenate([by_column @ columns, by_row @ rows], axis=1)
    return Moments(bits[:-1], bits[-1], by_row[:-1].sum(axis=1))


def bits_of_states(sites: int) -> Float64:
    """Return the bits of all states, float64 [2^N, site] with row sum_i v_i 2^i."""
    return ((np.arange(1 << sites)[:, None] >> np.arange(sites)) & 1).astype(np.float64)
