"""Solve (F + lambda 1) x = g over samples by conjugate gradients, without forming F.

The Fisher matrix F of P parameters over K samples takes P^2 numbers, and P^2 K / 2 multiply-adds to
form. All derivatives of log p~(v) are products s_a v_b, with s_j = p(h_j = 1 | v) and s_0 = v_0 = 1
(`factors_of_parameters`). So with a vector x as a matrix x_ab, 0 where there is no parameter,

    u = sum_ab x_ab s_a v_b - its mean,    (F x)_ab = mean of u s_a v_b:

two matrix products of K N N_h multiply-adds each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.threads import map_threads, single_blas_thread
from psiprune.inference.fisher import factors_of_parameters, factors_of_scores
from psiprune.rbm.model import RBM

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
#: A function of a vector [parameter].
Linear = Callable[[Float64], Float64]
#: The search ends when an iteration adds less than this share to x.(F + lambda 1).x.
_NEGLIGIBLE = 1e-10
_PIECE = 1024  # samples per task; fixed, so that sums are the same on any number of cores


class Scores(NamedTuple):
    """Factors s_a and v_b of the scores of an RBM over samples, with s_0 = v_0 = 1.

    The score of a sample is the mean of s_a v_b over its draws: one, or with readout errors several
    of the true bits of a record.

    Attributes:
        hidden: s, float32 [draw, 1 + unit, sample].
        bits: v, float32 [draw, 1 + site, sample].
    """

    hidden: Float32
    bits: Float32


class DampedFisher(NamedTuple):
    """A = F + lambda 1 by its products with vectors.

    Attributes:
        product: returns A x.
        precondition: returns B x, with a symmetric positive B near the inverse of A.
    """

    product: Linear
    precondition: Linear

    def within(self, tie: csr_array) -> DampedFisher:
        """Return P^T A and P B, which keep a search within the subspace of a projector P."""
        image = tie.T.tocsr()
        return DampedFisher(lambda x: image @ self.product(x), lambda x: tie @ self.precondition(x))


class Conjugate(NamedTuple):
    """Directions d with d.A.d' = 1 for equal ones, else 0, and their products with A.

    Attributes:
        directions: d, [direction, parameter].
        images: A d, [direction, parameter].
    """

    directions: Float64
    images: Float64

    @classmethod
    def none(cls, parameters: int) -> Conjugate:
        """Return no directions, to begin with."""
        empty = np.empty((0, parameters))
        return cls(empty, empty)


def sample_scores(rbm: RBM, bits: NDArray[np.uint8]) -> Scores:
    """Return the factors of the scores of configurations [sample, site]."""
    return Scores(*(factor[None] for factor in factors_of_scores(rbm, bits.T)))


@single_blas_thread()
def damped_fisher(rbm: RBM, scores: Scores, damping: float) -> DampedFisher:
    """Return A = F + lambda 1, with F the covariance of the scores over samples.

    The preconditioner is the inverse of A if s and v, means over draws, were independent: then
    E[s_a s_c v_b v_d] is a Kronecker product, whose inverse with damping follows from the
    eigenvectors of its factors (Martens & Grosse, ICML 37, 2408 (2015)). The inverse of a
    covariance is that of second moments without the row and the column of the constant s_0 v_0.

    Args:
        rbm: the RBM, whose mask names the parameters, in the order of `fisher_matrix`.
        scores: its scores over samples.
        damping: lambda.
    """
    place = factors_of_parameters(rbm)
    fisher = _fisher_product(scores, place)
    (s, s_axes), (v, v_axes) = map_threads(_second_moments, scores)
    spectrum = np.outer(s, v) + damping

    def precondition(x: Float64) -> Float64:
        full = np.zeros(spectrum.shape)
        full[place] = x
        turned: Float64 = s_axes @ (s_axes.T @ full @ v_axes / spectrum) @ v_axes.T
        return turned[place]

    return DampedFisher(lambda x: fisher(x) + damping * x, precondition)


@single_blas_thread()
def conjugate_gradients(
    matrix: DampedFisher, target: Float64, known: Conjugate, most: int
) -> tuple[Float64, Conjugate]:
    """Return x with A x = b, approximately, and the conjugate directions that span it.

    In the span of directions already known the solution takes no product with A. Each iteration
    adds one direction and maximises b.x - x.A.x / 2 over the span, so that x.A.x = b.x grows. The
    search ends when it grows by less than a share of 1e-10. Each direction is made conjugate to
    all others, as rounding in A, which may be in float32, soon spoils the recursion by which it is
    usually conjugate to the last one alone.

    Source: M. R. Hestenes and E. Stiefel, J. Res. Natl. Bur. Stand. 49, 409 (1952).

    Args:
        matrix: A, symmetric and positive.
        target: b.
        known: conjugate directions, such as those of an earlier search with the same A.
        most: largest number of products with A.
    """
    count = len(known.directions)
    directions, images = (np.concatenate([a, np.empty((most, len(target)))]) for a in known)
    along = known.directions @ target
    x, residual = along @ known.directions, target - along @ known.images
    for _ in range(most):
        search = matrix.precondition(residual)
        search -= (images[:count] @ search) @ directions[:count]
        image = matrix.product(search)
        curvature = float(search @ image)
        if curvature <= 0:
            break
        search /= np.sqrt(curvature)
        image /= np.sqrt(curvature)
        directions[count], images[count] = search, image
        count += 1
        step = float(search @ residual)
        x += step * search
        residual -= step * image
        if step**2 < _NEGLIGIBLE * (target @ x):
            break
    return x, Conjugate(directions[:count], images[:count])


def _fisher_product(scores: Scores, place: tuple[NDArray[np.int64], NDArray[np.int64]]) -> Linear:
    """Return the function x -> F x over samples, in pieces, in threads."""
    draws, units, count = scores.hidden.shape
    shape = units, scores.bits.shape[1]
    pieces = [slice(first, first + _PIECE) for first in range(0, count, _PIECE)]

    def mean_of(weigh: Callable[[Float32, Float32], Float32]) -> Float64:
        """Return the mean of w s_a v_b, with w s [draw, unit, sample] from s and v."""

        def sums(part: slice) -> Float64:
            s, v = scores.hidden[..., part], scores.bits[..., part]
            return (weigh(s, v) @ v.swapaxes(1, 2)).sum(axis=0, dtype=np.float64)

        total: Float64 = sum(map_threads(sums, pieces), np.zeros(()))
        return total[place] / (draws * count)

    mean = mean_of(lambda s, _: s)

    def product(x: Float64) -> Float64:
        matrix, offset = np.zeros(shape, np.float32), np.float32(mean @ x)
        matrix[place] = x

        def weigh(s: Float32, v: Float32) -> Float32:
            along = matrix @ v
            along *= s
            u = along.sum(axis=(0, 1)) / np.float32(draws) - offset
            return np.multiply(s, u, out=along)

        return mean_of(weigh)

    return product


def _second_moments(factor: Float32) -> tuple[Float64, Float64]:
    """Return eigenvalues and axes of E[x x^T], with x the mean over draws [draw, unit, sample]."""
    factor = factor.mean(axis=0)
    values, axes = np.linalg.eigh((factor @ factor.T).astype(np.float64) / factor.shape[1])
    return np.maximum(values, 0.0), axes
