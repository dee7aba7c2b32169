"""Natural gradient with averages over Markov chains, for RBMs too large for exact likelihoods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from psiprune.core.exceptions import DivergenceError, InputError
from psiprune.core.limits import FISHER_PARAMETERS
from psiprune.core.random import Stream, derive_seed, generator_for
from psiprune.training.method import (
    SYMMETRY,
    WEIGHT_DECAY,
    Initial,
    Method,
    SymmetryChoice,
    decayed,
    number_of_parameters,
)

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from psiprune.data.shots import Shots
    from psiprune.rbm.likelihood import Moments
    from psiprune.rbm.model import RBM
    from psiprune.rbm.posterior import TrueBits
    from psiprune.training.natural_metric import Metric

# Maximum change of the distribution in one step, sqrt(step.F.step).
_TRUST = 0.3
# lambda of F + lambda 1, in the first and the last step.
_DAMPING, _LAST_DAMPING = 1e-2, 1e-4
# The gradient is an average with weights momentum^age, momentum = 1 - 4 rate or 0. Then the average
# decays faster than the error of the parameters, and does not make them oscillate.
_MOMENTUM_PER_RATE = 4.0
# Model averages are over the chains after each third of their Gibbs steps: most averages of local
# terms forget the states of the chains in fewer steps.
VISITS = 3
# Shots of a step, per chain: their noise is less than that of the chains. Parts of the shots are
# few enough for the last steps, whose average counts, to use each several times.
_SHOTS_PER_CHAIN, _MOST_PARTS = 2, 10
_PIECE = 8192  # configurations per task; fixed, so that sums are the same on any number of cores

Bits = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class NaturalState:
    """The state after a step.

    Attributes:
        data: parts of the shots, of which each step uses one, uint8 [shot, site].
        seed: random seed of the training.
        epoch: steps done.
        rbm: the current RBM.
        chains: visible configurations of the persistent chains, uint8 [chain, site].
        gradient: average of the gradients so far, [parameter]; None before the first step.
        fisher: None before the first step.
        true: chains of the true bits, where the shots carry readout errors; `data` is then unused.
        tie: the projector on parameters that have the symmetry, if any.
    """

    data: Sequence[Bits]
    seed: int
    epoch: int
    rbm: RBM
    chains: Bits
    gradient: NDArray[np.float64] | None
    fisher: Metric | None
    true: TrueBits | None = None
    tie: csr_array | None = None

    #: Stochastic steps never converge exactly.
    done: ClassVar[bool] = False

    @property
    def part(self) -> slice:
        """Which records the next step uses; as with `data`, from the whole set."""
        assert self.true is not None
        parts = parts_of(len(self.true.bits), len(self.chains))
        return slice(self.epoch % parts, None, parts)

    def records_of_fisher(self) -> tuple[TrueBits | None, int]:
        """Return some chains of the true bits for F in the next step, and a seed for more draws."""
        from psiprune.training.natural_metric import RECORDS

        some = None if self.true is None else self.true.evenly(RECORDS, self.part)
        return some, derive_seed(self.seed, Stream.RECORDS_FISHER, self.epoch)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that a checkpoint stores, without the large Fisher matrix."""
        from psiprune.rbm.likelihood import to_vector

        arrays: dict[str, NDArray[Any]] = {"parameters": to_vector(self.rbm), "chains": self.chains}
        if self.true is not None:
            arrays |= self.true.to_arrays()
        if self.gradient is not None:
            arrays["gradient"] = self.gradient
        if self.fisher is not None:
            arrays |= self.fisher.to_arrays()
        return arrays

    def restore(self, epoch: int, arrays: Mapping[str, NDArray[Any]]) -> NaturalState:
        """Return the state stored in these arrays; `self` is the state before the first step."""
        from psiprune.rbm.likelihood import from_vector
        from psiprune.training.natural_metric import restored_metric

        rbm = from_vector(self.rbm, arrays["parameters"])
        true = None if self.true is None else self.true.restore(arrays)
        fisher = None
        if "fisher_age" in arrays:
            of_fisher = replace(self, epoch=epoch - int(arrays["fisher_age"]))
            fisher = restored_metric(rbm, arrays, *of_fisher.records_of_fisher(), self.tie)
        return replace(
            self,
            epoch=epoch,
            rbm=rbm,
            chains=arrays["chains"],
            gradient=arrays.get("gradient"),
            fisher=fisher,
            true=true,
        )


class NaturalInfo(NamedTuple):
    """Diagnostics of a step.

    Attributes:
        learning_rate: learning rate of the step.
        length: change of the distribution, sqrt(step.F.step), after shortening.
        shortened: factor by which the step was shortened, 1 if it was not.
        fisher_age: steps since the Fisher matrix was computed.
    """

    learning_rate: float
    length: float
    shortened: float
    fisher_age: int


class NaturalGradient(Method):
    """Natural gradient with model averages over persistent Markov chains.

    A step is theta += rate (F + lambda 1)^-1 g. With s = d log p~ / d theta, g averages
    `<s>_data - <s>_model` over this and earlier steps, with weights (1 - 4 rate)^age. `<s>_data` is
    over a part of the shots, the next one in each step: twice as many as chains, or a tenth of all.
    `<s>_model` is over persistent chains, after each third of the `steps` Gibbs steps that they
    take; a third begins with a global flip or none.

    F = Cov_model(s) over the same chains (Amari, Neural Comput. 10, 251 (1998)) is reused until the
    distribution has changed. Where it has few parameters (`natural_metric.forms_fisher`) it is
    factorised, else conjugate gradients find the step without forming it. A step is shortened where
    sqrt(step.F.step) would exceed 0.3.

    With readout errors `<s>_data` is over chains of the true bits given the records, one for each
    shot, which advance in the steps that use it, and F is that of the records
    (`psiprune.inference.observed_fisher`): steps are longer where the errors hide much. The noise
    of the chains adds up to about rate/2 * parameters / (2 chains) to the KL; the decaying rate
    removes it. The default where both layers have more than 18 units, up to 20,000 parameters.

    Raises:
        InputError: a value is invalid, or the method has no such field.
    """

    method: Literal["natural"] = "natural"
    epochs: int = Field(default=150, ge=0, description="steps")
    chains: int = Field(default=10_000, ge=1, description="number of persistent Gibbs chains")
    steps: int = Field(default=30, ge=1, description="Gibbs steps of the chains before each step")
    learning_rate: float = Field(
        default=0.3, gt=0, le=1000, description="learning rate in the first step"
    )
    learning_rate_decay: float = Field(
        default=0.05,
        gt=0,
        le=1,
        description="ratio of the learning rate in the last step to that in the first",
    )
    weight_decay: float = Field(default=0.0, ge=0, description=WEIGHT_DECAY)
    symmetry: SymmetryChoice | None = Field(default=None, description=SYMMETRY)

    SUMMARY: ClassVar[str] = "natural gradient with averages over Gibbs chains"
    FINE_TUNING: ClassVar[Mapping[str, float]] = {
        "epochs": 20,
        "learning_rate": 0.2,
        "learning_rate_decay": 0.1,
    }
    FOLD_STEPS: ClassVar[int] = 5  # a log Z by annealing takes as long as some steps
    FLIPS: ClassVar[bool] = True
    INITIAL: ClassVar[tuple[Initial, ...]] = ("local",)

    @property
    def chain_steps(self) -> int:
        """Gibbs steps of the chains before each step."""
        return self.steps

    def gibbs_steps(self, shots: int) -> float:
        """Return epochs * chains * steps."""
        return float(self.epochs) * self.chains * self.steps

    def check_size(
        self, visible: int, hidden: int, *, readout: bool = False, weights: int | None = None
    ) -> None:
        """Raise InputError above 20,000 parameters."""
        _check_parameters(number_of_parameters(visible, hidden, weights))

    def init(self, rbm: RBM, shots: Shots, seed: int) -> NaturalState:
        """Return the state before the first step, with chains that start at shots.

        Raises:
            InputError: more than 20,000 parameters.
        """
        from psiprune.rbm.posterior import start_true_bits
        from psiprune.training.symmetry import projector, symmetry_of, tied

        _check_parameters(rbm.number_of_parameters)
        generator = generator_for(seed, Stream.NATURAL_START)
        chosen = generator.integers(0, len(shots), self.chains)
        true = None if shots.readout is None else start_true_bits(shots)
        data: list[Bits] = []
        if true is None:  # each part has shots from the whole set, which may be sorted
            parts = parts_of(len(shots), self.chains)
            data = [np.ascontiguousarray(shots.bits[first::parts]) for first in range(parts)]
        symmetry = symmetry_of(self, shots.positions)
        start, tie = tied(rbm, symmetry), projector(rbm.mask, symmetry)
        return NaturalState(data, seed, 0, start, shots.bits[chosen], None, None, true, tie)

    def step(self, state: NaturalState) -> tuple[NaturalState, NaturalInfo]:
        """Return the state after one step; see `Method.step`.

        Raises:
            DivergenceError: the step is not finite.
        """
        from psiprune.rbm.likelihood import Moments, flatten, from_vector, to_vector
        from psiprune.rbm.posterior import TRUE_STEPS
        from psiprune.training.natural_metric import new_metric

        rbm, true = state.rbm, state.true
        visited = self.visits(
            rbm, state.chains, derive_seed(state.seed, Stream.NATURAL_STEP, state.epoch)
        )
        if true is None:
            data = state.data[state.epoch % len(state.data)]
        else:
            true = true.advanced(rbm.compiled, TRUE_STEPS, state.seed, state.part)
            data = true.bits[state.part]
        scores = zip(*mean_scores(rbm, [data], visited), strict=True)
        gradient = flatten(rbm.mask, Moments(*(data - model for data, model in scores)))
        x, tie = to_vector(rbm), state.tie
        gradient[: rbm.number_of_weights] -= self.weight_decay * x[: rbm.number_of_weights]
        if tie is not None:
            gradient = tie.T @ gradient
        rate = decayed(self.learning_rate, self.learning_rate_decay, state.epoch, self.epochs)
        if state.gradient is not None:
            momentum = max(0.0, 1.0 - _MOMENTUM_PER_RATE * rate)
            gradient += momentum * (state.gradient - gradient)
        fisher = state.fisher
        if fisher is None or fisher.stale:
            elapsed = state.epoch / max(1, self.epochs - 1)
            damping = _DAMPING * (_LAST_DAMPING / _DAMPING) ** elapsed
            some = replace(state, true=true).records_of_fisher()
            fisher = new_metric(rbm, visited[-1], damping, *some, tie)
        age = fisher.age
        direction, fisher = fisher.solve(gradient)
        if tie is not None:  # damping acts on all parameters
            direction = tie @ direction
        if not np.isfinite(direction).all():
            raise DivergenceError(
                f"training diverged in epoch {state.epoch + 1} (the step is not finite): start "
                "from smaller weights, or use method 'pcd'"
            )
        length = rate * float(np.sqrt(gradient @ direction))
        shortened = min(1.0, _TRUST / length) if length > 0 else 1.0
        moved = shortened * length
        after = replace(
            state,
            epoch=state.epoch + 1,
            rbm=from_vector(rbm, x + rate * shortened * direction),
            chains=visited[-1],
            gradient=gradient,
            fisher=fisher.after(moved),
            true=true,
        )
        return after, NaturalInfo(rate, moved, shortened, age)

    def visits(self, rbm: RBM, start: Bits, seed: int) -> list[Bits]:
        """Return the states of chains after each third of their Gibbs steps, [chain, site]."""
        from psiprune.rbm import gibbs

        ends = np.linspace(0, self.steps, min(VISITS, self.steps) + 1).astype(int)
        return gibbs.visited(rbm.compiled, start, seed, np.diff(ends).tolist())


def parts_of(shots: int, chains: int) -> int:
    """Return into how many parts shots are divided; each step uses the next one."""
    return min(_MOST_PARTS, max(1, shots // (_SHOTS_PER_CHAIN * chains)))


def mean_scores(rbm: RBM, *samples: Sequence[Bits]) -> list[Moments]:
    """Return the averages of s_j v_i [hidden, visible], v_i and s_j, with s_j = p(h_j = 1 | v).

    For sparse masks s_j v_i is 0 where there is no weight. Each of the `samples` is one or several
    arrays of configurations [configuration, site]. Products are in float32, sums over pieces of
    the arrays in float64.
    """
    from psiprune.core.threads import map_threads
    from psiprune.rbm.edges import edges_of, is_sparse, sigmoid
    from psiprune.rbm.likelihood import Moments

    weights, bias = rbm.weights.astype(np.float32), rbm.hidden_bias.astype(np.float32)
    sparse, edges = is_sparse(rbm.number_of_weights, rbm.visible, rbm.hidden), edges_of(rbm.mask)
    if sparse:
        weights = weights[rbm.mask]
    pieces = [
        (number, bits[first : first + _PIECE])
        for number, arrays in enumerate(samples)
        for bits in arrays
        for first in range(0, len(bits), _PIECE)
    ]
    sums: list[Moments | None] = [None] * len(pieces)

    def sum_piece(k: int) -> None:
        if sparse:
            v = np.ascontiguousarray(pieces[k][1].T, dtype=np.float32)
            hidden = sigmoid(edges.inputs(weights, bias, v))
            both = edges.products(hidden, v)
        else:
            v = pieces[k][1].astype(np.float32).T
            hidden = weights @ v
            hidden += bias[:, None]
            hidden = sigmoid(hidden)
            both = hidden @ v.T
        totals = both, v.sum(axis=1), hidden.sum(axis=1)
        sums[k] = Moments(*(total.astype(np.float64) for total in totals))

    # Large ones first, lest a thread begins one when the others have nothing left to do.
    map_threads(sum_piece, sorted(range(len(pieces)), key=lambda k: -len(pieces[k][1])))

    def means_of(number: int) -> Moments:
        count = sum(len(bits) for bits in samples[number])
        parts = (each for each, (of, _) in zip(sums, pieces, strict=True) if of == number)
        means = Moments(*(np.sum(totals, axis=0) / count for totals in zip(*parts, strict=True)))
        if sparse:
            both = np.zeros(rbm.mask.shape)
            both[rbm.mask] = means.visible_hidden
            means = means._replace(visible_hidden=both)
        return means

    return [means_of(number) for number in range(len(samples))]


def _check_parameters(parameters: int) -> None:
    if parameters > FISHER_PARAMETERS:
        raise InputError(
            f"method: 'natural' supports at most {FISHER_PARAMETERS:,} parameters, found "
            f"{parameters:,}; use 'pcd', or give a mask"
        )
