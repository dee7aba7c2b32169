"""The Fisher matrix of an RBM under its distribution, for pruning by curvature."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.lapack import cholesky_in_place, inverse_in_place
from psiprune.core.limits import EXACT_SITES, FISHER_PARAMETERS
from psiprune.core.random import Stream, derive_seed
from psiprune.core.threads import map_threads, single_blas_thread
from psiprune.data.shots import Shots, without_readout_error
from psiprune.inference.log_partition import independent_draws
from psiprune.kernels import enumeration
from psiprune.rbm import gibbs
from psiprune.rbm.likelihood import WeightedConfigurations, hidden_means, unique_configurations
from psiprune.rbm.model import RBM, Data

Float64 = NDArray[np.float64]
#: Fewest samples of a caller per parameter: with fewer, F is mostly noise or rank-deficient.
SAMPLES_PER_PARAMETER = 8
_CHAINS, _BURN_IN, _THIN = 2016, 1000, 50
_LEAST = 1e-10  # damping above the rounding error of the sums in F
_MOST = 1.0  # far above any rounding error, as all derivatives lie between 0 and 1
_PIECE = 1 << 14  # states or samples at a time
_BLOCK = 512  # parameters at a time
_ROWS = 96  # the same of `fisher_matrix`
_SCORES = 1024  # samples at a time


@single_blas_thread()
def model_fisher(
    rbm: RBM, *, draws: int, seed: int, samples: WeightedConfigurations | None = None
) -> Float64:
    """Return F = Cov_p(v) of d log p~(v) / d theta, [parameter, parameter].

    The parameters are the weights of the mask row by row, the visible and the hidden biases; the
    derivatives are s_j v_i, v_i and s_j with s_j = p(h_j = 1 | v) (Amari, Neural Comput. 10, 251
    (1998)). A change delta of the parameters costs KL(p || p') = delta.F.delta / 2 nats to second
    order.

    Args:
        draws: samples above 20 sites; up to 20 the average is a sum over all states.
        seed: of the samples.
        samples: average over these instead, at any number of sites.

    Raises:
        InputError: more than 20,000 parameters.
    """
    if rbm.number_of_parameters > FISHER_PARAMETERS:
        raise InputError(
            f"rbm: a Fisher matrix is limited to {FISHER_PARAMETERS:,} parameters, found "
            f"{rbm.number_of_parameters:,}; prune by 'damage' or 'magnitude' first"
        )
    if samples is None and rbm.visible <= EXACT_SITES:
        return basis_fisher(rbm)
    return sample_fisher(rbm, samples or model_configurations(rbm, draws, seed))


def weight_variances(
    rbm: RBM, *, draws: int, seed: int, samples: WeightedConfigurations | None = None
) -> Float64:
    """Return the diagonal of F, Var_p(v) of s_j v_i, also for pruned weights, [hidden, visible].

    Arguments as for `model_fisher`, for any number of parameters.
    """
    mean, square = np.zeros(rbm.mask.shape), np.zeros(rbm.mask.shape)
    for piece in _model_pieces(rbm, draws, seed, samples):
        hidden, _ = hidden_means(rbm, piece)
        weighted = hidden * piece.weight
        mean += weighted @ piece.bits.T
        weighted *= hidden
        square += weighted @ piece.bits.T
    return np.maximum(square - mean**2, 0.0)


def model_configurations(rbm: RBM, draws: int, seed: int) -> WeightedConfigurations:
    """Return the unique configurations of `draws` samples of p(v), with their weights.

    Independent draws where `independent_draws` gives them, else the states of 2016 Gibbs chains
    with flips of all bits: after 1000 steps from random bits, then every 50 steps.
    """
    return unique_configurations(sample_bits(rbm, draws, seed))


def sample_bits(rbm: RBM, draws: int, seed: int) -> NDArray[np.uint8]:
    """Return the samples of `model_configurations` themselves, uint8 [draw, site]."""
    seed = derive_seed(seed, Stream.FISHER_DRAWS)
    independent = independent_draws(rbm, draws, seed=seed)
    if independent is not None:
        return independent
    start = gibbs.random_start(min(draws, _CHAINS), rbm.visible, seed)
    chains = gibbs.start_chains(rbm.compiled, start, seed)
    chains = gibbs.step_with_flips(chains, _BURN_IN)
    records = [chains.bits]
    while len(records) * len(start) < draws:
        chains = gibbs.step_with_flips(chains, _THIN)
        records.append(chains.bits)
    return np.concatenate(records)[:draws]


def check_samples(rbm: RBM, samples: Data) -> NDArray[np.uint8]:
    """Return the bits [shot, site] of a caller's samples, enough for a Fisher matrix of the RBM.

    Raises:
        InputError: they are not bits of the RBM's sites, carry readout errors, or are fewer than
            eight per parameter.
    """
    if isinstance(samples, Shots):
        without_readout_error(samples, "the Fisher matrix of given samples")
    bits = rbm.check_bits(samples)
    if len(bits) < (least := SAMPLES_PER_PARAMETER * rbm.number_of_parameters):
        raise InputError(
            f"samples: must be at least {least:,}, {SAMPLES_PER_PARAMETER} for each parameter of "
            f"the RBM, found {len(bits):,}; give more, or none to draw them from the RBM"
        )
    return bits


def basis_fisher(rbm: RBM, prob: Float64 | None = None) -> Float64:
    """Return `model_fisher` by a sum over all 2^N states, or the same under other probabilities.

    With s_0 = v_0 = 1 every entry is an average of s_a s_c v_b v_d. A state is a row (its high
    bits) and a column (its low bits) of the matrix G = p s_a s_c. With a 1 and the bits of all rows
    as the columns of X, and the same for columns in Y, the averages are X^T G Y (a bit of each),
    X^T diag(G 1) X and Y^T diag(1^T G) Y: N / 2 operations per state and pair of hidden units,
    instead of one per state and pair of parameters.
    """
    low = rbm.visible // 2
    rows, columns = _bits_of(rbm.visible - low), _bits_of(low)
    if prob is None:
        prob = np.exp(rbm.log_prob_all() - rbm.log_partition())
    prob = prob.reshape(len(rows), len(columns))
    from_rows = rbm.weights[:, low:] @ rows[:, 1:].T + rbm.hidden_bias[:, None]
    from_columns = rbm.weights[:, :low] @ columns[:, 1:].T
    units, sites = rbm.hidden + 1, rbm.visible + 1
    across = np.zeros((units, units, rows.shape[1], columns.shape[1]))
    by_row, by_column = (np.zeros((units, units, len(bits))) for bits in (rows, columns))
    step = max(1, _PIECE // len(columns))
    for first in range(0, len(rows), step):
        part = slice(first, first + step)
        weight = prob[part]
        hidden = (from_rows[:, part, None] + from_columns[:, None, :]).reshape(rbm.hidden, -1)
        enumeration.sigmoid_in_place(hidden, weight.ravel())
        s = np.concatenate([np.ones((1, weight.size)), hidden]).reshape(units, *weight.shape)
        for a in range(units):
            g = s[: a + 1] * (s[a] * weight)
            folded = g @ columns
            across[a, : a + 1] += rows[part].T @ folded
            by_row[a, : a + 1, part] = folded[:, :, 0]
            by_column[a, : a + 1] += g.sum(axis=1)
    # The mean of s_a s_c v_b v_d at [a, c, b, d], for c <= a.
    above, below = np.r_[0, low + 1 : sites], np.r_[0, 1 : low + 1]
    mean = np.zeros((units, units, sites, sites))
    mean[:, :, above[:, None], below] = across
    mean[:, :, below[:, None], above] = across.swapaxes(2, 3)
    for a in range(units):
        mean[a][:, above[:, None], above] = (by_row[a][:, None, :] * rows.T) @ rows
        mean[a][:, below[:, None], below] = (by_column[a][:, None, :] * columns.T) @ columns
    unit, site = factors_of_parameters(rbm)
    larger, smaller = np.maximum(unit[:, None], unit), np.minimum(unit[:, None], unit)
    single = mean[unit, 0, site, 0]
    return mean[larger, smaller, site[:, None], site] - single[:, None] * single


def sample_fisher(rbm: RBM, data: WeightedConfigurations) -> Float64:
    """Return `model_fisher` over weighted configurations, in float32 blocks in threads."""
    s, v = factors_of_scores(rbm, data.bits)
    root = np.sqrt(data.weight).astype(np.float32)
    unit, site = factors_of_parameters(rbm)
    mean = ((s * root**2) @ v.T)[unit, site]

    def derivatives(part: slice) -> NDArray[np.float32]:
        block = s[unit[part]] * v[site[part]]
        block -= mean[part, None]
        block *= root
        return block

    return fill_symmetric(len(unit), derivatives)


def fill_symmetric(
    size: int, rows: Callable[[slice], NDArray[np.floating]], block: int = _BLOCK
) -> Float64:
    """Return A A^T in blocks, in threads; `rows` returns some rows of A, at most `block`."""
    product = np.empty((size, size))

    def fill(corner: tuple[int, int]) -> None:
        i, j = (slice(first, first + block) for first in corner)
        one = rows(i)
        other = one if i == j else rows(j)
        product[i, j] = one @ other.T
        product[j, i] = product[i, j].T

    blocks = range(0, size, block)
    # The least work last: on the diagonal half of a block is computed.
    corners = [(i, j) for i in blocks for j in blocks if i < j]
    map_threads(fill, corners + [(i, i) for i in blocks])
    return product


def damped_factor(matrix: Float64, damping: float) -> tuple[Float64, float]:
    """Return the Cholesky factor of F + lambda 1, overwriting F in Fortran order, and lambda.

    lambda is the damping given, multiplied by 4 until the factorisation succeeds: F is a sum over
    samples in float32, with a rounding error that scales with its largest eigenvalue, which is that
    of all sites together in an ordered state.

    Raises:
        LinAlgError: no damping that rounding could require is enough.
    """
    diagonal = matrix.diagonal().copy()
    places = np.diag_indices(len(matrix))
    while True:
        matrix[places] = diagonal + damping
        try:
            return cholesky_in_place(matrix), damping
        except np.linalg.LinAlgError:
            if damping > _MOST:
                raise
        damping *= 4.0
        _fill_upper(matrix.T)  # restores the lower triangle


def absolute_damping(fisher: Float64, damping: float) -> float:
    """Return lambda = damping * mean of the diagonal of F.

    It is at least 1e-10, so that rounding cannot make the matrix indefinite where p(v) hardly
    depends on the parameters: F has differences of numbers up to 1. A mean of 0 counts as 1.
    """
    mean = float(np.trace(fisher)) / len(fisher)
    return max(_LEAST, damping * (mean if mean > 0 else 1.0))


def damped_inverse(fisher: Float64, damping: float) -> Float64:
    """Return (F + lambda 1)^-1 by Cholesky; see `absolute_damping` and `damped_factor`."""
    factor, _ = damped_factor(np.array(fisher, order="F"), absolute_damping(fisher, damping))
    inverse = inverse_in_place(factor)
    _fill_upper(inverse)
    return inverse


def _fill_upper(matrix: Float64) -> None:
    """Copy the lower triangle to the upper one, in blocks, without a second matrix."""
    for first in range(0, len(matrix), _BLOCK):
        part, rest = slice(first, first + _BLOCK), slice(first + _BLOCK, None)
        corner = np.tril(matrix[part, part])
        matrix[part, part] = corner + np.tril(corner, -1).T
        matrix[part, rest] = matrix[rest, part].T


def _model_pieces(
    rbm: RBM, draws: int, seed: int, samples: WeightedConfigurations | None
) -> Iterator[WeightedConfigurations]:
    """Yield, in pieces, all states with their p(v) up to 20 sites, or samples."""
    if samples is not None or rbm.visible > EXACT_SITES:
        bits, weight = samples or model_configurations(rbm, draws, seed)
        for first in range(0, len(weight), _PIECE):
            part = slice(first, first + _PIECE)
            yield WeightedConfigurations(bits[:, part], weight[part])
        return
    prob = np.exp(rbm.log_prob_all() - rbm.log_partition())
    for first in range(0, len(prob), _PIECE):
        states = np.arange(first, min(first + _PIECE, len(prob)))
        basis = (states >> np.arange(rbm.visible)[:, None]) & 1
        yield WeightedConfigurations(basis.astype(np.float64), prob[first : first + _PIECE])


def factors_of_parameters(rbm: RBM) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (a, b) of each parameter with d log p~ / d theta = s_a v_b, where s_0 = v_0 = 1."""
    hidden, visible = np.nonzero(rbm.mask)
    n, m = rbm.visible, rbm.hidden
    unit = np.concatenate([hidden + 1, np.zeros(n, np.int64), np.arange(1, m + 1)])
    site = np.concatenate([visible + 1, np.arange(1, n + 1), np.zeros(m, np.int64)])
    return unit, site


def factors_of_scores(
    rbm: RBM, bits: NDArray[Any]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return s [1 + unit, sample] and v [1 + site, sample] of configurations, with s_0 = v_0 = 1.

    `bits` are of any type, [site, sample]; in pieces, in threads.
    """
    sites, count = bits.shape
    s, v = (np.ones((1 + units, count), np.float32) for units in (rbm.hidden, sites))

    def fill(first: int) -> None:
        part = slice(first, first + _SCORES)
        some = bits[:, part].astype(np.float64)
        s[1:, part], _ = hidden_means(rbm, WeightedConfigurations(some, np.ones(some.shape[1])))
        v[1:, part] = some

    map_threads(fill, range(0, count, _SCORES))
    return s, v


def _bits_of(sites: int) -> Float64:
    """Return 1 and the bits of every configuration, [2^sites, 1 + site]."""
    bits = (np.arange(1 << sites)[:, None] >> np.arange(sites)) & 1
    return np.concatenate([np.ones((len(bits), 1)), bits], axis=1).astype(np.float64)


def fisher_matrix(rbm: RBM, data: WeightedConfigurations) -> Float64:
    """Return F = Cov_v of d log p~(v) / d theta over configurations, [parameter, parameter].

    With s_j = p(h_j = 1 | v) the derivatives are s_j v_i for each weight of the mask (row by row),
    v_i for each visible bias and s_j for each hidden bias, in that order. Over configurations of
    the model this is its Fisher information (Amari, Neural Comput. 10, 251 (1998)).
    """
    given, _ = hidden_means(rbm, data)
    ones = np.ones((1, len(data.weight)))
    s, v = (np.concatenate([ones, factor]) for factor in (given, data.bits))
    unit, site = factors_of_parameters(rbm)
    features, root = np.empty((len(unit), len(data.weight))), np.sqrt(data.weight)

    def fill(first: int) -> None:
        part = slice(first, first + _ROWS)
        rows = np.multiply(s[unit[part]], v[site[part]], out=features[part])
        rows -= (rows @ data.weight)[:, None]
        rows *= root

    map_threads(fill, range(0, len(features), _ROWS))
    return fill_symmetric(len(features), lambda part: features[part], _ROWS)
