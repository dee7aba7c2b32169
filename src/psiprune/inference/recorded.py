"""log p(y) of recorded bits with readout errors, p(y) = sum_v C(y | v) p(v).

Up to 20 sites by a sum over all states. Above, exactly by `recorded_sums` where that is cheap, else
from log p(y) = log p(v = y) + log r(y) with

    r(y) = p(y) / p(v = y) = E_h[prod_g sum_{v_g} C_g(y_g | v_g) exp((v_g - y_g).a_g(h))]

over h from p(h | v = y), with a = b + W^T h and the product over groups of sites that are read
together, in most cases single ones. It is estimated by annealing from perfect readout; see
`annealed_ratio`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.limits import EXACT_SITES, RECORDED_SECONDS
from psiprune.core.random import Stream, generator_for
from psiprune.core.repr import one_line
from psiprune.core.threads import map_threads
from psiprune.data.confusion import Confusion
from psiprune.data.readout_error import ReadoutError
from psiprune.data.shots import Shots
from psiprune.inference.log_partition import LogPartition
from psiprune.inference.recorded_sums import cheapest_sum
from psiprune.rbm.model import RBM
from psiprune.rbm.observed import bits_of_states, index_of, log_prob_recorded

Float64 = NDArray[np.float64]
Bits = NDArray[np.uint8]
#: Steps of each annealing; step k has the share (k / steps)^3 of the errors.
STEPS, POWER = 48, 3
#: Annealings of each configuration, an even number.
REPEATS = 4
_ALL, _EVEN, _ODD = slice(None), slice(None, None, 2), slice(1, None, 2)
#: Configurations annealed at a time: their arrays of 100 sites fit into a core's cache.
_BLOCK = 50
#: exp(700) is a float.
_STEEPEST = 700.0
# Measured on one core of a recent x86-64 server, nanoseconds per step of an annealing.
_UNIT_NS, _WEIGHT_NS = 30.0, 0.5  # for each unit and each weight
_STATE_NS = 90.0  # for each state of a group with correlated errors


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

    Arguments as for `recorded_log_prob`.
    """
    if shots.readout is not None:
        return recorded_log_prob(rbm, shots.bits, shots.readout, log_z, seed)
    values = rbm.log_prob_unnormalized(shots) - log_z.value
    return RecordedLogProb(values, log_z.error, 0.0, f"log Z by {log_z.method}")


def recorded_log_prob(
    rbm: RBM,
    records: Bits,
    readout: ReadoutError,
    log_z: LogPartition,
    seed: int,
    exact_seconds: float = RECORDED_SECONDS,
) -> RecordedLogProb:
    """Return log p(y) of records [shot, site].

    Above 20 sites it is exact, up to the error of log Z, if the quicker of the exact methods
    (`recorded_sums.cheapest_sum`) takes at most `exact_seconds` or less time than annealing, as
    estimated for one core from the sizes alone; equal records count once.

    Args:
        rbm: the RBM of the true bits.
        records: recorded bits, uint8 [shot, site].
        readout: their readout errors.
        log_z: log Z of the RBM; used above 20 sites.
        seed: of the annealing.
        exact_seconds: what an exact sum may take where annealing is quicker, in seconds.
    """
    if rbm.visible <= EXACT_SITES:
        values = log_prob_recorded(rbm, readout)[index_of(records)]
        return RecordedLogProb(values, 0.0, 0.0, f"sum over 2^{rbm.visible} states")
    small = rbm.with_mask(rbm.weights != 0).compact()
    rows, inverse = _unique(records)
    exact = cheapest_sum(small, readout, len(rows))
    joint = [group for group in readout.groups if len(group.sites) > 1]
    states = sum(len(group.matrix) for group in joint)
    annealing = annealing_seconds(small.visible, small.hidden, len(rows), states)
    if exact is not None and exact.seconds <= max(exact_seconds, annealing):
        # p~ of the compact RBM differs by a constant factor.
        lost = rbm.log_prob_unnormalized(rows[:1]) - small.log_prob_unnormalized(rows[:1])
        values = exact.compute(rows) + lost - log_z.value
        method = f"log Z by {log_z.method}, {exact.method} for each record"
        return RecordedLogProb(values[inverse], log_z.error, 0.0, method)
    zero, one = readout.rates.T.copy()
    for group in joint:
        zero[list(group.sites)] = one[list(group.sites)] = 0.0

    def block(first: int) -> Float64:
        part = rows[first : first + _BLOCK]
        generator = generator_for(seed, Stream.RECORDED_ANNEALING, first)
        leave = np.where(part == 1, one, zero)
        enter = np.where(part == 1, zero, one)
        return annealed_ratio(small, part, leave, enter, generator, joint)

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
    joint: Sequence[Confusion] = (),
) -> Float64:
    """Return log w [repeat, configuration] with E[w] = p(y) / p(v = y), for bits [config, site].

    Annealed importance sampling (Neal 2001) of the hidden units from p(h | v), whose units are
    independent, to the distribution of h given that y was recorded: the weight of h is

        p(h | v) prod_i (1 - leave_i + enter_i exp((1 - 2 v_i) a_i(h)))

    times sum_v C(y | v) exp((v - y).a(h)) of each joint group. A step draws the true bits given h,
    and h given these.

    Args:
        rbm: the RBM.
        bits: recorded bits.
        leave: probability that this bit is recorded wrongly where it is the true one, [config,
            site] or a number; 0 at sites of joint groups.
        enter: probability that it is recorded where the other one is the true one; 0 there as well.
        generator: random numbers.
        joint: groups of sites with correlated errors.
    """
    recorded = np.tile(bits, (REPEATS, 1)).astype(np.float64)
    leave, enter = (
        np.tile(np.broadcast_to(rate, bits.shape), (REPEATS, 1)) for rate in (leave, enter)
    )
    sizes = sorted({len(group.sites) for group in joint})
    groups = [_Groups([g for g in joint if len(g.sites) == size], recorded) for size in sizes]
    sign = 1.0 - 2.0 * recorded
    true, log_weight, share = recorded, np.zeros(len(recorded)), 0.0
    for step in range(1, STEPS + 1):
        last, share = share, (step / STEPS) ** POWER
        on = np.exp(-np.logaddexp(0.0, -(true @ rbm.weights.T + rbm.hidden_bias)))
        hidden = (generator.random(on.shape) < on).astype(np.float64)
        activation = hidden @ rbm.weights + rbm.visible_bias
        log_odds = sign * activation
        odds = np.exp(np.minimum(log_odds, _STEEPEST))
        change = enter * odds - leave
        factor = 1 + share * change
        log_weight += (np.log(factor) - np.log1p(last * change)).sum(axis=1)
        if step == 1:  # what odds cannot hold cancels in all other steps
            log_weight += (np.maximum(log_odds - _STEEPEST, 0.0) * (enter > 0)).sum(axis=1)
        other = generator.random(odds.shape) * factor < share * enter * odds
        true = np.where(other, 1.0 - recorded, recorded)
        for group in groups:
            weights = group.log_weights(activation)
            total = log_mean(weights) + np.log(len(weights))
            mixed = _log_mixed(total, share)
            log_weight += (mixed - _log_mixed(total, last)).sum(axis=0)
            true[:, group.sites] = group.draw(share * np.exp(weights - mixed), generator)
    return log_weight.reshape(REPEATS, -1)


class _Groups:
    """Groups of k sites with correlated errors and the records y [config, site] of all sites."""

    def __init__(self, groups: Sequence[Confusion], records: Float64) -> None:
        self.sites = np.array([group.sites for group in groups])  # [group, k]
        places = np.arange(self.sites.shape[1])
        self._states = bits_of_states(len(places))
        y = np.tensordot(1 << places, records.T[self.sites.T], axes=1)
        self._recorded = y.astype(np.intp)[None]  # [1, group, config]
        with np.errstate(divide="ignore"):
            log_c = np.log(np.stack([group.matrix for group in groups], axis=1))  # [v, group, y]
        self._log_c = np.take_along_axis(log_c, self._recorded, axis=2)

    def log_weights(self, activation: Float64) -> Float64:
        """Return log C(y | v) + (v - y).a of all true states v, [v, group, config]."""
        log = np.tensordot(self._states, activation.T[self.sites.T], axes=1)
        return np.asarray(self._log_c + log - np.take_along_axis(log, self._recorded, axis=0))

    def draw(self, prob: Float64, generator: np.random.Generator) -> Float64:
        """Return true bits [config, group, k] by their probabilities [v, group, config].

        What the probabilities lack to 1 is added to that of the recorded bits.
        """
        lacking = 1 - prob.sum(axis=0) + np.take_along_axis(prob, self._recorded, axis=0)
        np.put_along_axis(prob, self._recorded, lacking, axis=0)
        drawn = (generator.random(prob.shape[1:]) > prob.cumsum(axis=0)[:-1]).sum(axis=0)
        return self._states[drawn.T]


def _log_mixed(total: Float64, share: float) -> Float64:
    """Return log(1 - share + share exp(total))."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.logaddexp(np.log1p(-share), np.log(share) + total))


def annealing_seconds(sites: int, hidden: int, records: float, states: int = 0) -> float:
    """Return the seconds on one core to anneal records; `states` of groups with joint errors."""
    step = _UNIT_NS * (sites + hidden) + _WEIGHT_NS * sites * hidden + _STATE_NS * states
    return 1e-9 * STEPS * REPEATS * records * step


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
