"""Entanglement entropies across a cut of the sites: of an RBM, an MPS or a vector.

With a state psi(a, b) of the sites a left and b right of the cut, the Schmidt values s_k are the
singular values of the matrix psi, and with lambda_k = s_k^2, in nats,

    S = -sum_k lambda_k ln lambda_k,      S_2 = -ln sum_k lambda_k^2 = -ln Tr rho_a^2.

An RBM stands for psi = sqrt(p) >= 0. The state that was measured may differ from that by a product
of rotations of single sites, such as the signs of an antiferromagnet. They are rotations of a and
of b alone, which leave the Schmidt values and so the entropies as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.limits import EXACT_SITES
from psiprune.core.progress import progress_bar
from psiprune.core.random import Stream, derive_seed
from psiprune.core.repr import notebook_table
from psiprune.core.threads import single_blas_thread
from psiprune.core.validation import check_count, check_number, check_seed
from psiprune.inference.log_partition import FEWEST_EFFECTIVE
from psiprune.metrics.draws import Draws, draw, draw_from_data
from psiprune.metrics.measure import Measure
from psiprune.metrics.observables import chain_mean
from psiprune.rbm import gibbs
from psiprune.rbm.model import RBM, Data
from psiprune.rbm.vertex_cut import check_cut
from psiprune.states.mps import MPS

Float64 = NDArray[np.float64]
_NO_FLOOR = float("nan")


@notebook_table("cut", "entropy", "renyi2")
@dataclass(frozen=True, eq=False, repr=False)
class Entanglement:
    """The entanglement of the first `cut` sites with the others, in nats (natural logarithm).

    Attributes:
        cut: number of sites on the left.
        entropy: the von Neumann entropy S; None for an RBM of more than 20 sites.
        renyi2: the Renyi-2 entropy S_2 <= S.
        schmidt: the Schmidt values in decreasing order, their squares sum to 1; None for an RBM of
            more than 20 sites.
    """

    cut: int
    entropy: Measure | None
    renyi2: Measure
    schmidt: Float64 | None

    def __repr__(self) -> str:
        """Return cut and entropies in one line."""
        exact = "" if self.entropy is None else f"entropy={self.entropy.value:.5g}, "
        error = f" +- {self.renyi2.error:.1g}" if self.renyi2.error else ""
        return f"Entanglement(cut={self.cut}, {exact}renyi2={self.renyi2.value:.5g}{error})"

    def bond_dimension(self, discarded: float = 1e-6) -> int:
        """Return the smallest number of Schmidt values that leaves out at most this weight.

        It is the bond dimension at the cut of an MPS with infidelity `discarded`; the weight of a
        Schmidt value is its square.

        Raises:
            InputError: the Schmidt values are unknown, or `discarded` is not in (0, 1).
        """
        limit = check_number("discarded", discarded, "between 0 and 1", lambda x: 0 < x < 1)
        if self.schmidt is None:
            raise InputError(
                f"bond_dimension: Schmidt values of an RBM are known up to {EXACT_SITES} sites; "
                "use renyi2, whose exponential is a lower bound"
            )
        left_out = np.cumsum(self.schmidt[::-1] ** 2)[::-1]  # with this value and all smaller ones
        return max(1, int((left_out > limit).sum()))


@single_blas_thread()
def entanglement(
    state: MPS | RBM | ArrayLike,
    cut: int | None = None,
    *,
    draws: int = 100_000,
    seed: int = 0,
    data: Data | None = None,
    progress: bool = True,
) -> Entanglement:
    """Return the entanglement entropies of the first `cut` sites with the others, in nats.

    Exact for an MPS, by its Schmidt values at that bond; for a vector and for an RBM of up to 20
    sites, by a singular value decomposition of the amplitudes. For larger RBMs S_2 is estimated by
    `swap_estimate`, and S is not known. See the module for formulas and signs.

    Args:
        state: an MPS; an RBM, for psi = sqrt(p); or amplitudes [2^N], real or complex and of any
            norm, at index sum_i bit_i 2^i, with N up to 20.
        cut: number of sites on the left, 0 .. N (default: N // 2); 0 where a side is empty.
        draws: samples of an RBM of more than 20 sites, at least 100; this and the rest are for
            those only. Each pair of them is a draw of the estimate.
        seed: of the samples.
        data: measured bits where half of the Gibbs chains start, if chains are needed (default:
            random bits).
        progress: show a progress bar with the time left, in terminals and notebooks.

    Raises:
        InputError: an argument is out of range, or the vector is not one of a state.
    """
    if isinstance(state, MPS):
        cut = check_cut(cut, state.sites)
        return _exact(_schmidt_of_mps(state, cut), cut, "Schmidt values of the MPS")
    if not isinstance(state, RBM):
        vector = _as_vector(state)
        cut = check_cut(cut, vector.size.bit_length() - 1)
        return _exact(_schmidt_of_vector(vector, cut), cut, "Schmidt values of the vector")
    cut = check_cut(cut, state.visible)
    if state.visible <= EXACT_SITES:
        return exact_entanglement(state, cut)
    draws, seed = check_count("draws", draws, 100), check_seed(seed)
    with progress_bar(None, "sampling the RBM", "Gibbs steps", progress):
        if data is None:
            start_seed = derive_seed(seed, Stream.SWAP_START)
            drawn = draw(
                state,
                lambda number: gibbs.random_start(number, state.visible, start_seed),
                draws,
                derive_seed(seed, Stream.SWAP_DRAWS),
            )
        else:
            drawn = draw_from_data(
                state, state.check_bits(data), draws, seed, Stream.SWAP_START, Stream.SWAP_DRAWS
            )
    return Entanglement(cut, None, swap_estimate(state, drawn, cut), None)


def exact_entanglement(rbm: RBM, cut: int | None = None) -> Entanglement:
    """Return the entropies of an RBM of up to 20 sites from all its amplitudes."""
    log_p = rbm.log_prob_all()
    cut = check_cut(cut, rbm.visible)
    values = _schmidt_of_vector(np.exp(0.5 * (log_p - log_p.max())), cut)
    return _exact(values, cut, "sum over all states")


def swap_estimate(rbm: RBM, drawn: Draws, cut: int) -> Measure:
    """Return S_2 of an RBM from samples, by swapping the left sites of two replicas.

    The purity is a mean over two independent draws (a, b) and (a', b') of p, with psi = sqrt(p):

        Tr rho_a^2 = E[w],      w = psi(a', b) psi(a, b') / (psi(a, b) psi(a', b')),

    where Z cancels. Hastings, Gonzalez, Kallin & Melko, Phys. Rev. Lett. 104, 157201 (2010).

    Replicas are the first and the second half of the chains, so pairs of chains are independent,
    and the spread of their means gives the error for any autocorrelation. As p > 0 everywhere,
    E[w^2] = 1 exactly: n independent pairs have the relative variance (exp(2 S_2) - 1) / n, which
    the error is never below. `effective_sample_size` is 1 / relative variance, at most n; from
    fewer than 30, less than 6 standard errors of the purity, there is a warning.

    Args:
        rbm: the RBM.
        drawn: samples of it, bits [chain, draw, site], at least 4 chains.
        cut: number of sites on the left, 0 .. N.
    """
    half = len(drawn.bits) // 2
    first, second = (part.reshape(-1, rbm.visible) for part in np.split(drawn.bits[: 2 * half], 2))
    left = np.arange(rbm.visible) < cut
    swapped = np.where(left, second, first), np.where(left, first, second)
    log_p = rbm.log_prob_unnormalized
    log_w = 0.5 * (sum(map(log_p, swapped)) - log_p(first) - log_p(second)).reshape(half, -1)
    top = log_w.max()  # a w may exceed the range of floats
    mean = chain_mean(np.exp(log_w - top))
    value = 0.0 - float(top + np.log(mean.value))  # 0, not -0, of a product state
    least = np.sqrt(max(0.0, np.expm1(2.0 * value)) / log_w.size)
    error = max(float(mean.error / mean.value), float(least))
    size = log_w.size if error == 0 else min(log_w.size, error**-2)
    warning = drawn.warning or few_pairs(error)
    return Measure(value, error, _NO_FLOOR, f"swapped replicas, {drawn.method}", warning, size)


def few_pairs(error: float) -> str:
    """Return the warning of a `swap_estimate` with this error, "" if it can be trusted."""
    if error <= FEWEST_EFFECTIVE**-0.5:
        return ""
    return (
        f"estimated from only {error**-2:.1f} effective pairs of draws, so neither value nor error "
        f"can be trusted: the relative variance grows as exp(2 S_2); use more draws"
    )


def _exact(schmidt: Float64, cut: int, method: str) -> Entanglement:
    """Return the entropies of Schmidt values, of any norm."""
    from scipy.special import entr

    schmidt = schmidt / np.linalg.norm(schmidt)
    weights = schmidt**2
    entropy, purity = float(entr(weights).sum()), float((weights**2).sum())
    renyi2 = max(0.0, -float(np.log(purity)))  # rounding may make the purity of 1 larger
    return Entanglement(
        cut,
        Measure(entropy, 0.0, _NO_FLOOR, method),
        Measure(renyi2, 0.0, _NO_FLOOR, method),
        schmidt,
    )


def _schmidt_of_vector(vector: NDArray[Any], cut: int) -> Float64:
    # Site 0 is the least significant bit of an index, so columns are the sites on the left.
    return _singular_values(vector.reshape(-1, 1 << cut))


def _schmidt_of_mps(state: MPS, cut: int) -> Float64:
    """Return the singular values of psi = Q R B: Q and B are isometries of the left and right."""
    rest = np.ones((1, 1))
    for tensor in state.tensors[:cut]:
        grown = np.tensordot(rest, tensor, axes=1)
        _, rest = np.linalg.qr(grown.reshape(-1, tensor.shape[2]))
    return _singular_values(rest)


def _singular_values(matrix: NDArray[Any]) -> Float64:
    return np.asarray(np.linalg.svd(matrix, compute_uv=False), np.float64)


def _as_vector(amplitudes: ArrayLike) -> NDArray[Any]:
    """Return the amplitudes of a state as float64 or complex128, scaled to at most 1."""
    try:
        vector = np.asarray(amplitudes)
    except ValueError:  # rows of different lengths
        vector = np.empty(0, object)
    sites = vector.size.bit_length() - 1
    if (
        vector.ndim != 1
        or vector.dtype.kind not in "biufc"
        or vector.size != 1 << max(sites, 0)
        or not 1 <= sites <= EXACT_SITES
    ):
        raise InputError(
            f"state: must be an MPS, an RBM, or 2^N amplitudes with N from 1 to {EXACT_SITES}, "
            f"found {_described(amplitudes, vector)}"
        )
    if not np.isfinite(vector).all() or not vector.any():
        raise InputError("state: needs finite amplitudes that are not all 0")
    return vector / np.abs(vector).max()


def _described(amplitudes: object, vector: NDArray[Any]) -> str:
    if isinstance(amplitudes, np.ndarray | list | tuple):
        return f"an array of {vector.dtype}, shape {vector.shape}"
    return type(amplitudes).__name__
