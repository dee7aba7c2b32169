"""Check whether a trained RBM describes its training shots, at a few percent of the cost."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.limits import CHECK_UNITS, EXACT_GRADIENT_UNITS, EXACT_SITES
from psiprune.core.random import Stream, derive_seed, generator_for
from psiprune.data.readout_error import ReadoutError
from psiprune.data.readout_range import contradicted_rates, frequency_range
from psiprune.data.shots import Shots
from psiprune.inference.ais import anneal, base_of, log_mean
from psiprune.inference.log_partition import LogPartition
from psiprune.inference.recorded import recorded_log_prob
from psiprune.rbm import gibbs
from psiprune.rbm.likelihood import WeightedConfigurations, unique_configurations
from psiprune.rbm.model import RBM
from psiprune.training.method import Method
from psiprune.training.methods import MethodBySize
from psiprune.training.symmetry import contradicted_symmetry, symmetry_of

Float64 = NDArray[np.float64]
#: Chains and temperatures of the annealing run for larger RBMs.
_CHAINS, _TEMPERATURES = 200, 500
#: Maximum cost of annealing, and of the mixing check, as a fraction of the Gibbs steps of the
#: training.
_COST = 0.04
#: Maximum number of shots used by the checks, and steps of the mixture's fit.
_SHOTS, _FIT_STEPS = 20_000, 8
#: The same of records whose likelihood is annealed.
_RECORDS = 10_000
#: Deficit to a baseline, in nats per shot, that counts as worse: a relevant loss of fidelity. Added
#: to it is twice the gain of a product model from fitting the noise of n shots, N / (2 n).
_WORSE = 0.01
#: The same with readout errors: they blur the records of states that differ much.
_WORSE_RECORDS = 0.001
#: Fewest and most chains of the mixing check, and the largest accepted correlation with their
#: initial states, which 100 chains measure to 0.02 where it is 0.9.
_FEWEST_CHAINS, _MOST_CHAINS, _FROZEN = 100, 1000, 0.9
#: Threshold of `misses_structure`: twice the log-likelihood gain of a saturated model per distinct
#: configuration.
_MISFIT = 4.0
#: Misfit that is worth a warning, in nats per shot; the noise of CD leaves up to a fifth of it.
_MATERIAL = 0.05
#: Largest fraction of shots measured only once at which a saturated model is meaningful.
_SEEN_ONCE = 0.1


class Baselines(NamedTuple):
    """Log-likelihoods of two simple models of the shots, in nats per shot.

    Attributes:
        product: independent bits, each with its mean over the shots.
        mixture: equal mixture of a product model and its image under a flip of all bits.
    """

    product: float
    mixture: float


def baselines(data: WeightedConfigurations, readout: ReadoutError | None = None) -> Baselines:
    """Fit both baselines by maximum likelihood; the mixture by 8 steps of expectation-maximisation.

    With readout errors over the product models of records that true bits can produce: each mean
    lies between p(1|0) and 1 - p(0|1).

    The product model is p(v) = prod_i a_i^v_i (1 - a_i)^(1 - v_i), the mixture
    (p(v) + p(1 - v)) / 2. The fit of the mixture starts with the shots assigned to the nearer of
    the most frequent configuration and its flip.
    """
    bits, weight = data.bits, data.weight
    frequent = bits[:, np.argmax(weight)]
    near = np.abs(bits - frequent[:, None]).sum(axis=0) <= len(bits) / 2
    mean = bits @ weight
    least, most = np.zeros(len(mean)), np.ones(len(mean))
    if readout is not None:
        least, most = frequency_range(readout)
    both_possible = np.maximum(least, 1.0 - most), np.minimum(most, 1.0 - least)
    one, zero = _logs(np.clip(mean, least, most))
    product = float(mean @ one + (1.0 - mean) @ zero)
    share = near.astype(np.float64)
    for _ in range(_FIT_STEPS):
        means = bits @ (weight * (2.0 * share - 1.0)) + weight @ (1.0 - share)
        one, zero = _logs(np.clip(means, *both_possible))
        slope = (one - zero) @ bits
        as_is, flipped = zero.sum() + slope, one.sum() - slope
        both = np.logaddexp(as_is, flipped)
        share = np.exp(as_is - both)
    return Baselines(product, float(weight @ both) - np.log(2.0))


def _logs(mean: Float64) -> tuple[Float64, Float64]:
    """Return log a and log(1 - a) for each mean a, clipped so that 0 log 0 = 0."""
    tiny = 1e-12
    return np.log(np.maximum(mean, tiny)), np.log(np.maximum(1.0 - mean, tiny))


def _checked_shots(shots: Shots) -> Shots:
    """Return at most 20,000 shots, evenly spaced, since shots from counts are sorted.

    Or 10,000 where the likelihood of each takes an annealing.
    """
    annealed = shots.readout is not None and shots.sites > EXACT_SITES
    most = _RECORDS if annealed else _SHOTS
    if len(shots) <= most:
        return shots
    evenly = np.linspace(0, len(shots) - 1, most).astype(np.intp)
    return Shots(shots.bits[evenly], readout=shots.readout)


def misses_structure(rbm: RBM, shots: Shots) -> bool:
    """Return whether an RBM clearly misses structure of its training shots, as in a poor optimum.

    The criterion is 2 n (L_saturated - L) > 4 K, with n shots, K distinct configurations, and L the
    mean log-likelihood of the RBM; a correct model stays far below this threshold. If more than a
    tenth of the shots are configurations measured only once, a saturated model is meaningless and
    the result is False. For RBMs with a layer of at most 18 units; uses at most 20,000 shots.
    """
    sample = _checked_shots(shots)
    data, count = unique_configurations(sample), len(sample)
    if (data.weight * count < 1.5).sum() > _SEEN_ONCE * count:
        return False
    return 2.0 * count * _misfit(rbm, sample) > _MISFIT * len(data.weight)


def _misfit(rbm: RBM, shots: Shots) -> float:
    """L_saturated - L, the KL divergence of the RBM from the frequencies, in nats per shot."""
    data = unique_configurations(shots)
    saturated = float(data.weight @ np.log(data.weight))
    return saturated - _log_likelihood(rbm, data, rbm.log_partition(), shots.readout)


def training_problems(rbm: RBM, shots: Shots, method: Method, seed: int) -> list[str]:
    """Return the problems of a trained RBM, each as one line with a figure and a remedy.

    1. It describes the shots worse than a product model, or worse than a symmetric mixture of two
       product models (the chains of the training have lost a symmetry sector). log Z is an exact
       sum if a layer has at most 16 units; above, it is annealed if that costs less than 4 % of the
       training.
    2. It misses structure that the shots evidently have, see `misses_structure`.
    3. They contradict the symmetry that its parameters are tied to.
    4. The chains of the training have stopped mixing: after `steps` Gibbs steps their bits
       correlate with their initial values by more than 0.9.

    With readout errors the likelihood is that of the records, and the first line states whether
    the shots contradict these errors; no RBM then describes all of their structure.
    """
    sample = _checked_shots(shots)
    data = unique_configurations(sample)
    contradiction = contradicted_rates(shots)
    problems = [contradiction] if contradiction else []
    if shots.readout is None:
        asymmetry = contradicted_symmetry(sample.bits, symmetry_of(method, shots.positions))
        problems += [asymmetry] if asymmetry else []
    fit = _fit_problem(rbm, sample, data, method, len(shots), seed)
    if fit:
        problems.append(fit)
    elif (
        not contradiction
        and _small(rbm)
        and misses_structure(rbm, sample)
        and _misfit(rbm, sample) > _MATERIAL
    ):
        problems.append(
            "the RBM misses structure that the shots evidently have: their frequencies exceed its "
            f"probabilities by {_misfit(rbm, sample):.3g} nats per shot; "
            f"{_remedy(rbm, method, shots.readout)}"
        )
    if method.chain_steps is not None and method.epochs > 0:
        affordable = int(_COST * method.gibbs_steps(len(shots)) / method.chain_steps)
        count = min(max(affordable, _FEWEST_CHAINS), _MOST_CHAINS)
        correlation = chain_correlation(rbm, sample, method, seed, count)
        if correlation > _FROZEN:
            problems.append(
                "the Gibbs chains of the training have stopped mixing: the correlation with their "
                f"initial state after {method.chain_steps} steps is {correlation:.2f}, so averages "
                f"over them are unreliable; {_remedy(rbm, method, shots.readout)}"
            )
    return problems


def _fit_problem(
    rbm: RBM,
    sample: Shots,
    data: WeightedConfigurations,
    method: Method,
    shots: int,
    seed: int,
) -> str:
    if min(rbm.visible, rbm.hidden) <= CHECK_UNITS or method.CONVERGES:
        log_z, error = rbm.log_partition(), 0.0
    elif _COST * method.gibbs_steps(shots) >= _CHAINS * _TEMPERATURES:
        # Forward annealing may miss probability; log Z is then too small and the RBM looks better.
        seed = derive_seed(seed, Stream.LIKELIHOOD_CHECK)
        base, betas = base_of(rbm, sample.bits), np.linspace(0.0, 1.0, _TEMPERATURES + 1)
        log_weights, _ = anneal(rbm, base, base.draws(_CHAINS, seed), betas, seed)
        ratio, error, _ = log_mean(log_weights)
        log_z, error = base.log_partition + ratio, 4.0 * error
    else:
        return ""
    likelihood = _log_likelihood(rbm, data, log_z, sample.readout)
    product, mixture = baselines(data, sample.readout)
    best, name = max((product, "a product model"), (mixture, "a symmetric pair of product models"))
    worse = _WORSE if sample.readout is None else _WORSE_RECORDS
    if likelihood >= best - worse - rbm.visible / len(sample) - error:
        return ""
    return (
        f"the RBM describes its training shots worse than {name}: log-likelihood {likelihood:.4g} "
        f"against {best:.4g} nats per shot; {_remedy(rbm, method, sample.readout)}"
    )


def chain_correlation(
    rbm: RBM, shots: Shots, method: Method, seed: int, count: int = _MOST_CHAINS
) -> float:
    """Return the correlation of chains with their initial state after the steps of one update.

    sum_i Cov(v_i(0), v_i(k)) / sum_i sqrt(Var v_i(0) Var v_i(k)) over chains that start at shots:
    1 if no chain has moved, 0 if all are decorrelated or no bit varies.
    """
    generator = generator_for(seed, Stream.MIXING_CHECK)
    start = shots.bits[generator.integers(0, len(shots), count)]
    chains = gibbs.start_chains(rbm.compiled, start, derive_seed(seed, Stream.MIXING_CHECK))
    assert method.chain_steps is not None
    advance = gibbs.step_with_flips if method.FLIPS else gibbs.step
    end = advance(chains, method.chain_steps).bits
    first, last = start.astype(np.float64), end.astype(np.float64)
    first, last = first - first.mean(axis=0), last - last.mean(axis=0)
    scale = np.sqrt((first**2).mean(axis=0) * (last**2).mean(axis=0)).sum()
    return float((first * last).mean(axis=0).sum() / scale) if scale > 0 else 0.0


def _log_likelihood(
    rbm: RBM, data: WeightedConfigurations, log_z: float, readout: ReadoutError | None
) -> float:
    if readout is not None:
        records = np.ascontiguousarray(data.bits.T, dtype=np.uint8)
        of_z = LogPartition(log_z, 0.0, "")
        found = recorded_log_prob(rbm, records, readout, of_z, 0, exact_seconds=0.0)
        return float(data.weight @ found.values)
    bits = np.ascontiguousarray(data.bits.T, dtype=np.uint8)
    return float(data.weight @ rbm.log_prob_unnormalized(bits)) - log_z


def _small(rbm: RBM) -> bool:
    return min(rbm.visible, rbm.hidden) <= EXACT_GRADIENT_UNITS


def _remedy(rbm: RBM, method: Method, readout: ReadoutError | None) -> str:
    """Return the advice that ends a warning."""
    best = MethodBySize().for_size(
        rbm.visible, rbm.hidden, readout=readout is not None, weights=rbm.number_of_weights
    )
    if best.method != method.method:
        return f"use method '{best.method}' instead of '{method.method}'"
    return "use more epochs, or more hidden units"
