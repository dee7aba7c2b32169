"""Whether a trained RBM describes its training shots: checks at a few percent of the cost."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.limits import EXACT_GRADIENT_UNITS
from psiprune.core.random import Stream, derive_seed, generator_for
from psiprune.data.shots import Shots
from psiprune.inference.ais import anneal, base_of, log_mean
from psiprune.rbm import gibbs
from psiprune.rbm.likelihood import WeightedConfigurations, unique_configurations
from psiprune.rbm.model import RBM
from psiprune.training.method import Method
from psiprune.training.methods import MethodBySize

Float64 = NDArray[np.float64]
#: Units of the smaller layer up to which log Z is summed: milliseconds.
_SUM_UNITS = 16
#: Chains and temperatures of annealing where log Z is no sum.
_CHAINS, _TEMPERATURES = 200, 500
#: Annealing must cost at most this fraction of the Gibbs steps of the training.
_COST = 0.04
#: Shots that the checks look at, and steps of the mixture's fit.
_SHOTS, _FIT_STEPS = 20_000, 8
#: Nats per shot below a baseline that count as worse: a loss of fidelity that matters. To it comes
#: twice what a product model gains by fitting the noise of n shots, N / (2 n).
_WORSE = 0.01
#: Chains of the mixing check, and the largest correlation of their ends with their starts.
_MIXING_CHAINS, _FROZEN = 1000, 0.9
#: Twice the log-likelihood that a saturated model gains exceeds this many times the number of
#: distinct configurations only where the RBM misses structure that the shots evidently have.
_MISFIT = 4.0
#: Misfit that is worth a warning, in nats per shot; the noise of CD leaves up to a fifth of it.
_MATERIAL = 0.05
#: Fraction of shots seen once up to which the saturated model describes the state.
_SEEN_ONCE = 0.1


class Baselines(NamedTuple):
    """Log-likelihoods of two simple models of the shots, in nats per shot.

    Attributes:
        product: independent bits, each with its mean over the shots.
        mixture: half a product model and half its image under a flip of all bits.
    """

    product: float
    mixture: float


def baselines(data: WeightedConfigurations) -> Baselines:
    """Fit both baselines by maximum likelihood; the mixture by 8 steps of expectation-maximisation.

    p(v) = prod_i a_i^v_i (1 - a_i)^(1 - v_i), and (p(v) + p(1 - v)) / 2, whose a start at the
    half of the shots that lie nearer to the most frequent configuration.
    """
    bits, weight = data.bits, data.weight
    frequent = bits[:, np.argmax(weight)]
    near = np.abs(bits - frequent[:, None]).sum(axis=0) <= len(bits) / 2
    mean = bits @ weight
    one, zero = _logs(mean)
    product = float(mean @ one + (1.0 - mean) @ zero)
    share, mixture = near.astype(np.float64), -np.inf
    for _ in range(_FIT_STEPS):
        means = bits @ (weight * (2.0 * share - 1.0)) + weight @ (1.0 - share)
        one, zero = _logs(means)
        slope = (one - zero) @ bits
        as_is, flipped = zero.sum() + slope, one.sum() - slope
        both = np.logaddexp(as_is, flipped)
        share = np.exp(as_is - both)
        mixture = float(weight @ both) - np.log(2.0)
    return Baselines(product, mixture)


def _logs(mean: Float64) -> tuple[Float64, Float64]:
    """log a and log(1 - a) of each mean; 0 log 0 counts as 0."""
    tiny = 1e-12
    return np.log(np.maximum(mean, tiny)), np.log(np.maximum(1.0 - mean, tiny))


def _checked_bits(shots: Shots) -> NDArray[np.uint8]:
    """Return at most 20,000 of the shots, evenly spaced: shots made from counts are sorted."""
    if len(shots) <= _SHOTS:
        return shots.bits
    return shots.bits[np.linspace(0, len(shots) - 1, _SHOTS).astype(np.intp)]


def checked_configurations(shots: Shots) -> WeightedConfigurations:
    """Return the unique configurations of the shots that the checks look at."""
    return unique_configurations(_checked_bits(shots))


def misses_structure(rbm: RBM, shots: Shots, data: WeightedConfigurations | None = None) -> bool:
    """Whether an RBM evidently misses structure of its training shots: a better optimum may exist.

    2 n (L_saturated - L) > 4 K, with n shots, K distinct configurations, and L the mean
    log-likelihood of the RBM; a model without flaws stays far below that. Where more than a tenth
    of the shots were seen only once, the saturated model says nothing, and the answer is no. For
    RBMs with a layer of at most 18 units; at most 20,000 of the shots are used.
    """
    data = checked_configurations(shots) if data is None else data
    count = min(len(shots), _SHOTS)
    if (data.weight * count < 1.5).sum() > _SEEN_ONCE * count:
        return False
    return 2.0 * count * _misfit(rbm, data) > _MISFIT * len(data.weight)


def _misfit(rbm: RBM, data: WeightedConfigurations) -> float:
    """L_saturated - L, the KL divergence of the RBM from the frequencies, in nats per shot."""
    saturated = float(data.weight @ np.log(data.weight))
    return saturated - _log_likelihood(rbm, data, rbm.log_partition())


def training_problems(
    rbm: RBM,
    shots: Shots,
    method: Method,
    seed: int,
    data: WeightedConfigurations | None = None,
) -> list[str]:
    """Return what is wrong with a trained RBM, each as one line with the figure and the way out.

    1. It describes the shots worse than a product model or a symmetric mixture of two of them
       (then the chains of the training have lost a sector). log Z is a sum where a layer has at
       most 16 units, else an annealing run where that costs less than 4 % of the training.
    2. It misses structure that the shots evidently have, see `misses_structure`.
    3. The chains of the training have stopped mixing: after `steps` Gibbs steps their bits are
       still those they started with, by a correlation above 0.9.

    `data`, if given, are the `checked_configurations` of the shots.
    """
    sample = Shots(_checked_bits(shots))
    data = checked_configurations(shots) if data is None else data
    found = []
    fit = _fit_problem(rbm, sample, data, method, len(shots), seed)
    if fit:
        found.append(fit)
    elif _small(rbm) and misses_structure(rbm, shots, data) and _misfit(rbm, data) > _MATERIAL:
        found.append(
            "the RBM misses structure that the shots evidently have: their frequencies exceed its "
            f"probabilities by {_misfit(rbm, data):.3g} nats per shot; {_way_out(rbm, method)}"
        )
    if method.chain_steps is not None and method.epochs > 0:
        memory = chain_memory(rbm, sample, method, seed)
        if memory > _FROZEN:
            found.append(
                f"the chains of the training have stopped mixing: after {method.chain_steps} Gibbs "
                f"steps their bits correlate by {memory:.2f} with the start, so averages over them "
                f"say little; {_way_out(rbm, method)}"
            )
    return found


def _fit_problem(
    rbm: RBM,
    sample: Shots,
    data: WeightedConfigurations,
    method: Method,
    shots: int,
    seed: int,
) -> str:
    if min(rbm.visible, rbm.hidden) <= _SUM_UNITS or method.CONVERGES:
        log_z, error = rbm.log_partition(), 0.0
    elif _COST * method.gibbs_steps(shots) >= _CHAINS * _TEMPERATURES:
        # Forward only: if it misses probability, log Z is too small and the RBM looks too good.
        seed = derive_seed(seed, Stream.LIKELIHOOD_CHECK)
        base, betas = base_of(rbm, sample.bits), np.linspace(0.0, 1.0, _TEMPERATURES + 1)
        log_weights, _ = anneal(rbm, base, base.draws(_CHAINS, seed), betas, seed)
        ratio, error, _ = log_mean(log_weights)
        log_z, error = base.log_partition + ratio, 4.0 * error
    else:
        return ""
    likelihood = _log_likelihood(rbm, data, log_z)
    product, mixture = baselines(data)
    best, name = max((product, "a product model"), (mixture, "a symmetric pair of product models"))
    if likelihood >= best - _WORSE - rbm.visible / len(sample) - error:
        return ""
    return (
        f"the RBM describes its training shots worse than {name}: {likelihood:.4g} against "
        f"{best:.4g} nats per shot; {_way_out(rbm, method)}"
    )


def chain_memory(rbm: RBM, shots: Shots, method: Method, seed: int) -> float:
    """Return how well chains remember their start after the Gibbs steps of one update.

    sum_i Cov(v_i(0), v_i(k)) / sum_i sqrt(Var v_i(0) Var v_i(k)) over chains that start at shots:
    1 where no chain has moved, 0 where all have forgotten, and 0 where no bit varies.
    """
    generator = generator_for(seed, Stream.MIXING_CHECK)
    start = shots.bits[generator.integers(0, len(shots), _MIXING_CHAINS)]
    chains = gibbs.start_chains(rbm.compiled, start, derive_seed(seed, Stream.MIXING_CHECK))
    assert method.chain_steps is not None
    advance = gibbs.step_with_flips if method.FLIPS else gibbs.step
    end = advance(chains, method.chain_steps).bits
    first, last = start.astype(np.float64), end.astype(np.float64)
    first, last = first - first.mean(axis=0), last - last.mean(axis=0)
    scale = np.sqrt((first**2).mean(axis=0) * (last**2).mean(axis=0)).sum()
    return float((first * last).mean(axis=0).sum() / scale) if scale > 0 else 0.0


def _log_likelihood(rbm: RBM, data: WeightedConfigurations, log_z: float) -> float:
    bits = np.ascontiguousarray(data.bits.T, dtype=np.uint8)
    return float(data.weight @ rbm.log_prob_unnormalized(bits)) - log_z


def _small(rbm: RBM) -> bool:
    return min(rbm.visible, rbm.hidden) <= EXACT_GRADIENT_UNITS


def _way_out(rbm: RBM, method: Method) -> str:
    """What to try instead of a method."""
    best = MethodBySize().for_size(rbm.visible, rbm.hidden)
    if best.method != method.method:
        return f"use method '{best.method}' instead of '{method.method}'"
    return "use more epochs, or more hidden units"
