"""What readout errors, which shots alone cannot reveal, would change: flips of an RBM's bits.

With eps the probability that a recorded bit is wrong, independently for each qubit and alike for
0 and 1, p'(v) = sum_f eps^|f| (1 - eps)^(N - |f|) p(v xor f) is what the device would record of a
state with probabilities p. F = (sum_v sqrt(p p'))^2 is then the fidelity of both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from psiprune.core.limits import EXACT_SITES
from psiprune.core.random import Stream, derive_seed, generator_for
from psiprune.core.repr import one_line
from psiprune.core.threads import map_threads, single_blas_thread
from psiprune.core.validation import check_count, check_number, check_seed
from psiprune.data.confusion import Confusion, contract_blocks, joined
from psiprune.inference.recorded import REPEATS, STEPS, annealed_ratio, log_mean
from psiprune.metrics.draws import draw_from_data
from psiprune.metrics.measure import Measure, effective_draws
from psiprune.metrics.observables import chain_mean
from psiprune.rbm.model import RBM, Data
from psiprune.rbm.observed import distribution

Float64 = NDArray[np.float64]
Bits = NDArray[np.uint8]
#: Flips that nobody would notice without a calibration.
SMALL_FLIP = 0.01
#: Configurations annealed at a time: their arrays of 100 sites fit into a core's cache.
_BLOCK = 50
#: Steps of the chains that provide likely configurations where there are no data.
_SETTLE = 1000


@one_line
@dataclass(frozen=True)
class ReadoutSensitivity:
    """How far readout errors would move the distribution p(v) of an RBM.

    Attributes:
        flip: probability eps that a recorded bit is wrong, alike for all qubits and for 0 and 1.
        infidelity: 1 - F, F = (sum_v sqrt(p p'))^2 of p and of p' with flipped bits.
        kl: KL(p || p') = sum_v p log(p / p'), in nats per shot.
    """

    flip: float
    infidelity: Measure
    kl: Measure

    @property
    def sentence(self) -> str:
        """The assumption behind every verdict on shots, and how much depends on it."""
        value = self.infidelity.value
        change = f"about {value:.2g}" if value >= 0.001 else "less than 0.001"
        return (
            f"readout: taken as perfect; {100 * self.flip:.3g} % flips per qubit would change F by "
            f"{change}"
        )


@single_blas_thread()
def readout_sensitivity(
    rbm: RBM,
    flip: float = SMALL_FLIP,
    *,
    data: Data | None = None,
    draws: int = 2000,
    seed: int = 0,
) -> ReadoutSensitivity:
    """Return the infidelity and KL of an RBM and of the same with independent flips of its bits.

    Shots with readout errors look like shots of another state, so no test on shots finds them. Any
    <Z_i> shrinks by 1 - 2 eps, any <Z_i Z_j> by (1 - 2 eps)^2.

    Up to 20 sites both are sums over all states. Above, with r = p'/p,

        1 - sqrt(F) = E[1 - 2 sqrt(r) / (1 + r)],    KL = E[2 (r - 1 - log r) / (1 + r)],

    over draws that are half of p and half of p', where both integrands are bounded, and

        r(v) = E_h[prod_i (1 - eps + eps exp((1 - 2 v_i) a_i(h)))],    a = b + W^T h,

    over h from p(h | v), by annealing from eps = 0; log Z is not needed. The error combines that of
    the draws with the correction for the noise of the annealing.

    Args:
        rbm: the RBM.
        flip: probability of a flip, eps.
        data: measured bits [shot, site] where chains may start, if the RBM has too many units for
            independent draws; else they start from other chains.
        draws: samples of the RBM above 20 sites.
        seed: of the draws, the flips and the annealing.

    Raises:
        InputError: flip is not above 0 and below 0.5, draws < 100, the seed is out of range, or the
            data are not of this RBM.
    """
    rule = "a probability above 0 and below 0.5, such as 0.01 for 1 % flips"
    flip = check_number("flip", flip, rule, lambda value: 0 < value < 0.5)
    draws, seed = check_count("draws", draws, 100), check_seed(seed)
    bits = None if data is None else rbm.check_bits(data)
    if rbm.visible <= EXACT_SITES:
        return _exact(rbm, flip)
    small = rbm.with_mask(rbm.weights != 0).compact()  # of the same p(v)
    if bits is None:
        bits = rbm.sample(draws, steps=_SETTLE, seed=derive_seed(seed, Stream.READOUT_START))
    drawn = draw_from_data(small, bits, draws, seed, Stream.READOUT_START, Stream.READOUT_DRAWS)
    chains, length, sites = drawn.bits.shape
    flat = drawn.bits.reshape(-1, sites)

    def block(first: int) -> Float64:
        generator = generator_for(seed, Stream.READOUT_ANNEALING, first)
        return _integrands(small, flat[first : first + _BLOCK], flip, generator)

    by_draw = np.concatenate(map_threads(block, range(0, len(flat), _BLOCK)), axis=2)
    method = f"{drawn.method}, {REPEATS} annealings of {STEPS} steps each"

    def measure(values: Float64) -> Measure:
        estimate, correction = chain_mean(values[0].reshape(chains, length)), values[1].mean()
        error = float(np.hypot(estimate.error, correction))
        size = effective_draws(estimate, chains * length, length)
        return Measure(float(estimate.value), error, float("nan"), method, drawn.warning, size)

    distance = measure(by_draw[0])  # 1 - sqrt(F)
    infidelity = replace(
        distance,
        value=distance.value * (2 - distance.value),
        error=2 * abs(1 - distance.value) * distance.error,
    )
    return ReadoutSensitivity(flip, infidelity, measure(by_draw[1]))


def flipped(prob: Float64, flip: float) -> Float64:
    """Return p' [2^N] of p [2^N]: the confusion matrix of one site, applied to each site."""
    matrix = np.array([[1 - flip, flip], [flip, 1 - flip]])
    sites = range(len(prob).bit_length() - 1)
    return contract_blocks(joined([Confusion((site,), matrix) for site in sites]), prob)


def _exact(rbm: RBM, flip: float) -> ReadoutSensitivity:
    prob = distribution(rbm)
    other = flipped(prob, flip)
    # 1 - sqrt(F), without the cancellation of 1 - sum sqrt(p p').
    distance = 0.5 * float(((np.sqrt(prob) - np.sqrt(other)) ** 2).sum())
    seen = prob > 0
    kl = float(prob[seen] @ np.log(prob[seen] / other[seen]))
    method = f"sum over 2^{rbm.visible} states"
    infidelity, nan = distance * (2 - distance), float("nan")
    return ReadoutSensitivity(
        flip, Measure(infidelity, 0.0, nan, method), Measure(kl, 0.0, nan, method)
    )


def _integrands(rbm: RBM, bits: Bits, flip: float, generator: np.random.Generator) -> Float64:
    """Return [quantity, value and correction, draw] for the quantities 1 - sqrt(F) and KL.

    The half of the draws that are of p' are those of p, with flips. That there are none has the
    known probability (1 - eps)^N; only the rest is drawn.
    """
    unflipped = (1 - flip) ** bits.shape[1]
    both = np.concatenate([bits, bits ^ _some_flips(bits.shape, flip, generator)])
    weights = annealed_ratio(rbm, both, flip, flip, generator)

    def integrands(log_ratio: Float64) -> Float64:
        small = np.exp(-np.abs(log_ratio))  # the smaller of r and 1/r
        larger = 1 / (1 + small)
        of_p = np.where(log_ratio > 0, small, 1.0) * larger  # 1 / (1 + r)
        of_flipped = np.where(log_ratio > 0, 1.0, small) * larger  # r / (1 + r)
        gap = 1 - 2 * np.exp(-0.5 * np.abs(log_ratio)) * larger
        kl = 2 * (of_flipped - of_p - log_ratio * of_p)
        as_drawn, with_flips = np.split(np.stack([gap, kl]), 2, axis=1)
        return np.asarray(0.5 * ((1 + unflipped) * as_drawn + (1 - unflipped) * with_flips))

    # The integrands are not linear, so noise of r biases them by about 1 / annealings: half of the
    # annealings have twice the bias, and the difference corrects it.
    whole = integrands(log_mean(weights))
    halves = integrands(log_mean(weights[::2])) + integrands(log_mean(weights[1::2]))
    correction = whole - 0.5 * halves
    return np.stack([whole + correction, correction], axis=1)


def _some_flips(shape: tuple[int, ...], flip: float, generator: np.random.Generator) -> Bits:
    """Return independent flips [draw, site], at least one in each draw."""
    draws, sites = shape
    by_first = (1 - flip) ** np.arange(sites)  # the first flip, up to a factor
    first = generator.choice(sites, size=(draws, 1), p=by_first / by_first.sum())
    site = np.arange(sites)
    flips = (site == first) | ((site > first) & (generator.random(shape) < flip))
    return flips.astype(np.uint8)
