"""The metric of natural gradient over chains: solve (F + lambda 1) x = g with an F that is reused.

A small F is formed and factorised. For a large one conjugate gradients find x; F is only known by
its products with vectors, and the directions found for one g also serve the next ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from psiprune.core.lapack import solve
from psiprune.inference.fisher import damped_factor, sample_fisher
from psiprune.inference.natural_direction import (
    Conjugate,
    DampedFisher,
    conjugate_gradients,
    damped_fisher,
    sample_scores,
)
from psiprune.inference.observed_fisher import record_scores, records_fisher
from psiprune.inference.sparse_direction import sparse_damped_fisher
from psiprune.rbm.edges import is_sparse, product_work
from psiprune.rbm.likelihood import from_vector, to_vector, unique_configurations
from psiprune.rbm.model import RBM
from psiprune.rbm.posterior import TrueBits
from psiprune.training.symmetry import restricted

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Float64 = NDArray[np.float64]
#: With readout errors F is over this many records, and draws of the true bits of each. The share
#: 1/REPEATS of what the errors hide that remains in F bounds steps in directions that they hide.
RECORDS, REPEATS = 5_000, 4
#: Most products with F for the first g, and for each other one.
FIRST_PRODUCTS, MORE_PRODUCTS = 20, 4
# F is recomputed once the distribution has changed by this much, or after this many steps.
_STALE, _OLD = 1.0, 50
#: Conjugate directions that are known after so many steps.
MOST_DIRECTIONS = FIRST_PRODUCTS + (_OLD - 1) * MORE_PRODUCTS
# F is formed up to this many squared parameters per multiply-add of a product; see `forms_fisher`.
_SQUARED_PARAMETERS = 1000


@dataclass(frozen=True, eq=False)
class Factor:
    """The Cholesky factor of F + lambda 1, lower triangle [parameter, parameter]."""

    lower: Float64

    def solve(self, gradient: Float64) -> tuple[Float64, Factor]:
        """Return x, and what solves the next system."""
        return solve(self.lower, gradient), self


@dataclass(frozen=True, eq=False)
class Search:
    """F + lambda 1 by its products with vectors, and the conjugate directions known so far."""

    matrix: DampedFisher
    known: Conjugate

    def solve(self, gradient: Float64) -> tuple[Float64, Search]:
        """Return x, approximately, and what solves the next system."""
        most = MORE_PRODUCTS if len(self.known.directions) else FIRST_PRODUCTS
        x, known = conjugate_gradients(self.matrix, gradient, self.known, most)
        return x, replace(self, known=known)


@dataclass(frozen=True, eq=False)
class Metric:
    """What solves (F + lambda 1) x = g, and the arrays from which to recompute it.

    Attributes:
        solver: the large matrix, or what stands for it.
        parameters: parameters of the RBM at which F was computed, [parameter].
        chains: the configurations that F averages over, uint8 [chain, site]; with readout errors
            the true bits of some records, from which chains go on.
        damping: lambda.
        steps: Gibbs steps that the chains of true bits had taken.
        moved: change of the distribution since then, the sum of sqrt(step.F.step).
        age: steps since then.
    """

    solver: Factor | Search
    parameters: Float64
    chains: NDArray[np.uint8]
    damping: float
    steps: int = 0
    moved: float = 0.0
    age: int = 0

    @property
    def stale(self) -> bool:
        """Whether F should be computed again."""
        return self.moved > _STALE or self.age >= _OLD

    def solve(self, gradient: Float64) -> tuple[Float64, Metric]:
        """Return x, and the metric for the next g."""
        x, solver = self.solver.solve(gradient)
        return x, replace(self, solver=solver)

    def after(self, length: float) -> Metric:
        """Return the metric after a step that changes the distribution by sqrt(step.F.step)."""
        return replace(self, moved=self.moved + length, age=self.age + 1)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that a checkpoint stores, without a large matrix."""
        names = "parameters", "chains", "damping", "steps", "moved", "age"
        arrays = {f"fisher_{name}": np.asarray(getattr(self, name)) for name in names}
        if isinstance(self.solver, Search):
            for name, array in self.solver.known._asdict().items():
                arrays[f"fisher_{name}"] = array
        return arrays


def new_metric(
    rbm: RBM,
    bits: NDArray[np.uint8],
    damping: float,
    true: TrueBits | None,
    seed: int,
    tie: csr_array | None = None,
) -> Metric:
    """Return the metric over model configurations, or over records with chains of their true bits.

    Args:
        rbm: the RBM.
        bits: configurations of the model, [chain, site]; without use if there are records.
        damping: lambda; larger where rounding in F requires it (`damped_factor`).
        true: some records with readout errors, and true bits of them.
        seed: of the chains of true bits.
        tie: the projector on parameters with a symmetry, if any; see `psiprune.training.symmetry`.
    """
    chains, steps = (bits, 0) if true is None else (true.bits, true.steps)
    solver: Factor | Search
    sizes = rbm.number_of_weights, rbm.visible, rbm.hidden
    if forms_fisher(rbm.number_of_parameters, product_work(*sizes)):
        if true is None:
            matrix = sample_fisher(rbm, unique_configurations(bits))
        else:
            matrix = records_fisher(rbm, true, REPEATS, seed)
        # The transpose of the symmetric matrix is in LAPACK's memory order, which avoids a copy.
        factor, damping = damped_factor(restricted(matrix, tie).T, damping)
        solver = Factor(factor)
    else:
        if true is not None:
            fisher = damped_fisher(rbm, record_scores(rbm, true, REPEATS, seed), damping)
        elif is_sparse(*sizes):
            fisher = sparse_damped_fisher(rbm, bits, damping)
        else:
            fisher = damped_fisher(rbm, sample_scores(rbm, bits), damping)
        known = Conjugate.none(rbm.number_of_parameters)
        solver = Search(fisher if tie is None else fisher.within(tie), known)
    return Metric(solver, to_vector(rbm), chains, damping, steps)


def restored_metric(
    rbm: RBM,
    arrays: Mapping[str, NDArray[Any]],
    true: TrueBits | None,
    seed: int,
    tie: csr_array | None = None,
) -> Metric:
    """Return the metric stored in these arrays.

    Args:
        rbm: any RBM of the same mask.
        arrays: those of a checkpoint.
        true: as given to `new_metric`, except for the states of the chains.
        seed: as given to `new_metric`.
        tie: the same.
    """
    earlier, chains = from_vector(rbm, arrays["fisher_parameters"]), arrays["fisher_chains"]
    if true is not None:
        true = replace(true, bits=chains, steps=int(arrays["fisher_steps"]))
    metric = new_metric(earlier, chains, float(arrays["fisher_damping"]), true, seed, tie)
    if isinstance(metric.solver, Search):
        known = Conjugate(arrays["fisher_directions"], arrays["fisher_images"])
        metric = replace(metric, solver=replace(metric.solver, known=known))
    return replace(metric, moved=float(arrays["fisher_moved"]), age=int(arrays["fisher_age"]))


def forms_fisher(parameters: int, work: int) -> bool:
    """Return whether F of so many parameters is formed: P^2 <= 1000 work.

    `work` is `product_work`, N N_h or three times the weights of a sparse mask. Over K samples
    forming takes P^2 K / 2 multiply-adds and factorising P^3 / 6, about every 16th step; conjugate
    gradients take about 10 K work in each step.
    """
    return parameters**2 <= _SQUARED_PARAMETERS * work
