"""log p(y) of recorded bits with readout errors, p(y) = sum_v C(y | v) p(v).

Up to 20 sites by a sum over all states. Above, log p(y) = log p(v = y) + log r(y) with

    r(y) = p(y) / p(v = y) = E_h[prod_i (C_i(y_i | y_i) + C_i(y_i | 1 - y_i) exp(d_i(h)))]

over h from p(h | v = y), where d_i = (1 - 2 y_i)(b_i + (W^T h)_i) is the log odds of the other
bit. It is estimated by annealing from perfect readout; see `annealed_ratio`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.limits import EXACT_SITES
from psiprune.core.random import Stream, generator_for
from psiprune.core.repr import one_line
from psiprune.core.threads import map_threads
from psiprune.data.readout_error import ReadoutError
from psiprune.data.shots import Shots
from psiprune.inference.log_partition import LogPartition
from psiprune.rbm.model import RBM
from psiprune.rbm.observed import index_of, log_prob_recorded

Float64 = NDArray[np.float64]
Bits = NDArray[np.uint8]
#: Steps of each annealing; step k has the share (k / steps)^3 of the errors.
STEPS, POWER = 48, 3
#: Annealings of each configuration, an even number.
REPEATS = 4
_ALL, _EVEN, _ODD = slice(None), slice(None, None, 2), slice(1, None, 2)
#: Configurations annealed at a time: their arrays of 100 sites fit into a core's cache.
_BLOCK = 50


@one_line
class RecordedLogProb(NamedTuple):
    """log p(y) of each record, [shot].

    Attributes:
        values: log p(y).
        error: standard error of their mean beyond the noise of the shots, from log Z and from the
            annealing; exact sums have none.
        bias: estimated bias of their mean from the noise of the annealing, already subtracted.
        method: how they were computed.
    """

    values: Float64
    error: float
    bias: float
    method: str


def shots_log_prob(rbm: RBM, shots: Shots, log_z: LogPartition, seed: int) -> RecordedLogProb:
    """Return log p of each shot: of the records if the shots carry readout errors, else log p(v).

    Arguments and errors as for `recorded_log_prob`.
    """
    if shots.readout is not None:
        return recorded_log_prob(rbm, shots.bits, shots.readout, log_z, seed)
    values = rbm.log_prob_unnormalized(shots) - log_z.value
    return RecordedLogProb(values, log_z.error, 0.0, f"log Z by {log_z.method}")


def recorded_log_prob(
    rbm: RBM, records: Bits, readout: ReadoutError, log_z: LogPartition, seed: int
) -> RecordedLogProb:
    """Return log p(y) of records [shot, site].

    Args:
        rbm: the RBM of the true bits.
        records: recorded bits, uint8 [shot, site].
        readout: their readout errors.
        log_z: log Z of the RBM; used above 20 sites.
        seed: of the annealing.

    Raises:
        InputError: more than 20 sites with correlated readout errors.
    """
    if rbm.visible <= EXACT_SITES:
        values = log_prob_recorded(rbm, readout)[index_of(records)]
        return RecordedLogProb(values, 0.0, 0.0, f"sum over 2^{rbm.visible} states")
    if not readout.is_product:
        raise InputError(
            f"readout: the likelihood of records with correlated errors needs N <= {EXACT_SITES}, "
            f"found {rbm.visible}; describe the errors site by site"
        )
    small = rbm.with_mask(rbm.weights != 0).compact()
    rows, inverse = _unique(records)

    def block(first: int) -> Float64:
        part = rows[first : first + _BLOCK]
        generator = generator_for(seed, Stream.RECORDED_ANNEALING, first)
        zero, one = readout.rates.T
        leave = np.where(part == 1, one, zero)
        enter = np.where(part == 1, zero, one)
        return annealed_ratio(small, part, leave, enter, generator)

    log_weights = np.concatenate(map_threads(block, range(0, len(rows), _BLOCK)), axis=1)
    # The logarithm of a mean of few weights is biased; of half as many twice as much.
    whole, one, other = (log_mean(log_weights[part]) for part in (_ALL, _EVEN, _ODD))
    bias = (0.5 * (one + other) - whole)[inverse]
    # Records that are equal share an annealing, and its error, half the difference of both halves.
    share = np.bincount(inverse) / len(inverse)
    noise = float(np.linalg.norm(share * 0.5 * (one - other)))
    log_p = rbm.log_prob_unnormalized(rows) - log_z.value + whole
    method = f"log Z by {log_z.method}, {REPEATS} annealings of {STEPS} steps for each record"
    error = float(np.hypot(log_z.error, noise))
    return RecordedLogProb(log_p[inverse] - bias, error, float(bias.mean()), method)


def annealed_ratio(
    rbm: RBM,
    bits: Bits,
    leave: Float64 | float,
    enter: Float64 | float,
    generator: np.random.Generator,
) -> Float64:
    """Return log w [repeat, configuration] with E[w] = p(y) / p(v = y), for bits [config, site].

    Annealed importance sampling (Neal 2001) of the hidden units from p(h | v), whose units are
    independent, to the distribution of h given that y was recorded: the weight of h is
    p(h | v) prod_i (1 - leave_i + enter_i exp((1 - 2 v_i) a_i(h))). A step draws the true bits
    given h, and h given these.

    Args:
        rbm: the RBM.
        bits: recorded bits.
        leave: probability that this bit is recorded wrongly where it is the true one, [config,
            site] or a number.
        enter: probability that it is recorded where the other one is the true one.
        generator: random numbers.
    """
    recorded = np.tile(bits, (REPEATS, 1)).astype(np.float64)
    leave, enter = (
        np.tile(np.broadcast_to(rate, bits.shape), (REPEATS, 1)) for rate in (leave, enter)
    )
    sign = 1.0 - 2.0 * recorded
    true, log_weight, share = recorded, np.zeros(len(recorded)), 0.0
    for step in range(1, STEPS + 1):
        last, share = share, (step / STEPS) ** POWER
        on = np.exp(-np.logaddexp(0.0, -(true @ rbm.weights.T + rbm.hidden_bias)))
        hidden = (generator.random(on.shape) < on).astype(np.float64)
        odds = np.exp(np.minimum(sign * (hidden @ rbm.weights + rbm.visible_bias), 700.0))
        change = enter * odds - leave
        factor = 1 + share * change
        log_weight += (np.log(factor) - np.log1p(last * change)).sum(axis=1)
        other = generator.random(odds.shape) * factor < share * enter * odds
        true = np.where(other, 1.0 - recorded, recorded)
    return log_weight.reshape(REPEATS, -1)


def log_mean(log_weights: Float64) -> Float64:
    """Return the log of the mean over the first axis of exp(log_weights)."""
    top = log_weights.max(axis=0)
    return np.asarray(top + np.log(np.exp(log_weights - top).mean(axis=0)))


def _unique(records: Bits) -> tuple[Bits, NDArray[np.intp]]:
    """Return the unique records and the index of each record among them."""
    packed = np.packbits(records, axis=1)
    keys = np.ascontiguousarray(packed).view(np.dtype((np.void, packed.shape[1])))[:, 0]
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return records[first], inverse
