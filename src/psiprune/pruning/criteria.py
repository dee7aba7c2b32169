"""Pruning criteria: saliency of each weight, selection of the top k, bias compensation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.random import Stream, generator_for
from psiprune.core.threads import single_blas_thread
from psiprune.core.validation import check_count, check_number, check_seed
from psiprune.data.readout_error import ReadoutError
from psiprune.inference.fisher import check_samples, damped_inverse, model_fisher, weight_variances
from psiprune.inference.observed_fisher import observed_fisher, observed_variances
from psiprune.rbm.likelihood import WeightedConfigurations, to_vector, unique_configurations
from psiprune.rbm.model import RBM, Data
from psiprune.training.symmetry import Symmetry, orbits_of

Float64 = NDArray[np.float64]
#: Model samples of an average above 20 sites.
DRAWS = 20_000
#: lambda in F + lambda 1, in units of the mean of the diagonal of F.
DAMPING = 1e-3


def magnitude(rbm: RBM) -> Float64:
    """Return |W_ji| (the paper's criterion, Golubeva & Melko 2022, Section II)."""
    return np.abs(rbm.weights)


def magnitude_by_unit(rbm: RBM) -> Float64:
    """Return the rank of |W_ji| among the weights of hidden unit j, relative to their number.

    With r weights of the unit smaller than this one of n_j it is (r + 1/2) / n_j, so every hidden
    unit loses the same share of its weights, up to rounding. Ties between units go to the larger
    |W|: the values returned are 1, 2, ... in the order of relative rank and magnitude. Of equal
    weights the one of higher index has the lower rank.
    """
    unit, site = np.nonzero(rbm.mask)
    size = np.abs(rbm.weights[unit, site])
    index = np.arange(len(unit))
    by_unit = np.lexsort((-index, size, unit))  # within each unit in ascending order
    number = rbm.mask.sum(axis=1)
    begins = np.cumsum(number) - number
    rank = np.empty(len(unit))
    rank[by_unit] = index - begins[unit[by_unit]]
    order = np.lexsort((-index, size, (rank + 0.5) / number[unit]))
    saliency = np.zeros(rbm.mask.shape)
    saliency[unit[order], site[order]] = index + 1.0
    return saliency


def random_saliency(rbm: RBM, seed: int) -> Float64:
    """Return random numbers, the baseline for every criterion."""
    generator = generator_for(check_seed(seed), Stream.RANDOM_PRUNING)
    return generator.random(rbm.weights.shape) * rbm.mask


@single_blas_thread()
def damage(
    rbm: RBM,
    *,
    samples: Data | None = None,
    draws: int = DRAWS,
    seed: int = 0,
    readout: ReadoutError | None = None,
) -> Float64:
    """Return W_ji^2 F_kk / 2, F_kk = Var_p(v)(s_j v_i): optimal brain damage.

    The cost of removing this weight alone in KL(p || p'), in nats, to second order, with all other
    parameters unchanged. LeCun, Denker & Solla, NIPS 2, 598 (1989); the Hessian of the
    log-likelihood of an RBM's marginal, averaged over the model, is its Fisher matrix.

    Args:
        rbm: the RBM.
        samples: average over these, Shots or bits [shot, site]: samples of the RBM, or the shots it
            was fitted to, which follow p(v) as well as the fit is good.
        draws: without samples, model samples above 20 sites; up to 20 the average is over all
            states.
        seed: of the model samples.
        readout: the cost is that in the distribution of records with these readout errors; needs no
            samples, but draws at any number of sites. See `psiprune.inference.observed_fisher`.

    Raises:
        InputError: samples and readout are both given. Or the samples are not bits, do not have the
            RBM's number of sites, or are fewer than eight per parameter.
    """
    draws, seed = check_count("draws", draws, 1), check_seed(seed)
    data = _configurations(rbm, samples, readout)
    if readout is None:
        variances = weight_variances(rbm, draws=draws, seed=seed, samples=data)
    else:
        variances = observed_variances(rbm, readout, draws=draws, seed=seed)
    return 0.5 * rbm.weights**2 * variances


@single_blas_thread()
def surgeon(
    rbm: RBM,
    *,
    samples: Data | None = None,
    draws: int = DRAWS,
    seed: int = 0,
    damping: float = DAMPING,
    readout: ReadoutError | None = None,
) -> Float64:
    """Return W_ji^2 / (2 [F^-1]_kk): optimal brain surgeon.

    The cost of removing this weight alone in KL(p || p'), in nats, to second order, with all other
    parameters adjusted. Hassibi & Stork, NIPS 5, 164 (1993). F is the Fisher matrix of
    `model_fisher` with damping * (mean of its diagonal) added to the diagonal.

    Args:
        rbm: the RBM.
        samples: as in `damage`.
        draws: as in `damage`.
        seed: as in `damage`.
        damping: the factor above.
        readout: as in `damage`.

    Raises:
        InputError: more than 20,000 parameters, samples invalid as in `damage`, or a number out of
            range.
    """
    draws, seed = check_count("draws", draws, 1), check_seed(seed)
    damping = check_number("damping", damping, "a number of at least 0", lambda x: x >= 0)
    data = _configurations(rbm, samples, readout)
    if readout is None:
        fisher = model_fisher(rbm, draws=draws, seed=seed, samples=data)
    else:
        fisher = observed_fisher(rbm, readout, draws=draws, seed=seed)
    inverse = damped_inverse(fisher, damping)
    count = rbm.number_of_weights
    saliency = np.zeros(rbm.mask.shape)
    saliency[rbm.mask] = to_vector(rbm)[:count] ** 2 / (2.0 * inverse.diagonal()[:count])
    return saliency


def _configurations(
    rbm: RBM, samples: Data | None, readout: ReadoutError | None
) -> WeightedConfigurations | None:
    """Return the samples as weighted configurations, None if there are none."""
    if samples is None:
        return None
    if readout is not None:
        raise InputError("samples: cannot be combined with readout, which simulates its records")
    return unique_configurations(check_samples(rbm, samples))


def top_k_mask(
    mask: NDArray[np.bool_],
    saliency: NDArray[np.float64],
    count: int,
    symmetry: Symmetry | None = None,
) -> NDArray[np.bool_]:
    """Return the mask of the `count` weights of greatest saliency among those of `mask`.

    Ties go to the lower index (row by row), so the count is exact. Under a symmetry of the sites a
    weight and its images go together, by the saliency of the one with the lowest index; where that
    requires it, fewer weights remain: by one under a mirror, by up to seven on a square lattice.

    Raises:
        InputError: the saliency has another shape than the mask or is NaN at a weight, or the count
            is not an integer of at least 0.
    """
    count = check_count("count", count, 0)
    if np.shape(saliency) != np.shape(mask):
        raise InputError(
            f"saliency: must have shape [hidden, visible] = {list(np.shape(mask))} as the mask, "
            f"found {list(np.shape(saliency))}"
        )
    if np.isnan(saliency[mask]).any():
        raise InputError("saliency: must be a number at every weight of the mask, found nan")
    existing = np.flatnonzero(mask)
    first = orbits_of(mask, symmetry)
    order = np.lexsort((first, -saliency.ravel()[existing[first]]))
    result = np.zeros(mask.size, bool)
    result[existing[np.isin(first, first[order[count:]], invert=True)]] = True
    return result.reshape(mask.shape)


def absorb_into_biases(rbm: RBM, mask: NDArray[np.bool_]) -> RBM:
    """Return the RBM with the weights of a mask, half of each removed W_ji added to b_i and c_j.

    In spins z = 1 - 2 v and t = 1 - 2 h a weight is W v h = W / 4 (z t - z - t + 1). This removes
    the term z t only and leaves the fields unchanged, which preserves a symmetry p(v) = p(1 - v).
    """
    removed = np.where(mask, 0.0, rbm.weights) / 2.0
    return replace(
        rbm,
        mask=mask & rbm.mask,
        visible_bias=rbm.visible_bias + removed.sum(axis=0),
        hidden_bias=rbm.hidden_bias + removed.sum(axis=1),
    )
