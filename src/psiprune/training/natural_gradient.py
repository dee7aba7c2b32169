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
from psiprune.training.method import WEIGHT_DECAY, Initial, Method, decayed

if TYPE_CHECKING:
    from psiprune.data.shots import Shots
    from psiprune.rbm.likelihood import Moments
    from psiprune.rbm.model import RBM
    from psiprune.rbm.posterior import TrueBits

# Maximum change of the distribution in one step, sqrt(step.F.step).
_TRUST = 0.3
# F is recomputed once the distribution has changed by this much, or after this many steps.
_STALE, _OLD = 1.0, 50
# lambda of F + lambda 1, in the first and the last step. Where each step has an F of other chains,
# whose noise a small lambda amplifies, lambda ends higher.
_DAMPING, _LAST_DAMPING, _LAST_UNFORMED = 1e-2, 1e-4, 2e-3
# With readout errors F is over this many records, and draws of the true bits of each. The share
# 1/REPEATS of what the errors hide that remains in F bounds steps in directions that they hide.
RECORDS, REPEATS = 10_000, 8
_PIECE = 8192  # configurations per task; fixed, so that sums are the same on any number of cores
# F is formed up to this many squared parameters per pair of units; see `forms_fisher`.
_SQUARED_PARAMETERS = 2000


@dataclass(frozen=True, eq=False)
class FisherFactor:
    """The factorised Fisher matrix, and the much smaller arrays from which to recompute it.

    Attributes:
        factor: Cholesky factor of F + lambda 1, lower triangle [parameter, parameter].
        parameters: parameters of the RBM at which F was computed, [parameter].
        chains: the configurations that F averages over, uint8 [chain, site]; with readout errors
            the true bits of some records, from which chains go on.
        damping: lambda.
        steps: Gibbs steps that the chains of true bits had taken.
        moved: change of the distribution since then, the sum of sqrt(step.F.step).
        age: steps since then.
    """

    factor: NDArray[np.float64]
    parameters: NDArray[np.float64]
    chains: NDArray[np.uint8]
    damping: float
    steps: int = 0
    moved: float = 0.0
    age: int = 0


@dataclass(frozen=True, eq=False)
class NaturalState:
    """The state after a step.

    Attributes:
        data: the shots in pieces, float32 [site, configuration].
        seed: random seed of the training.
        epoch: steps done; each uses all shots.
        rbm: the current RBM.
        chains: visible configurations of the persistent chains, uint8 [chain, site].
        fisher: None before the first step, and where F is not formed.
        true: chains of the true bits, where the shots carry readout errors; `data` is then unused.
    """

    data: Sequence[NDArray[np.float32]]
    seed: int
    epoch: int
    rbm: RBM
    chains: NDArray[np.uint8]
    fisher: FisherFactor | None
    true: TrueBits | None = None

    #: Stochastic steps never converge exactly.
    done: ClassVar[bool] = False

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that a checkpoint stores, without the large Fisher matrix."""
        from psiprune.rbm.likelihood import to_vector

        arrays: dict[str, NDArray[Any]] = {"parameters": to_vector(self.rbm), "chains": self.chains}
        if self.true is not None:
            arrays |= self.true.to_arrays()
        if self.fisher is not None:
            for name in ("parameters", "chains", "damping", "steps", "moved", "age"):
                arrays[f"fisher_{name}"] = np.asarray(getattr(self.fisher, name))
        return arrays

    def restore(self, epoch: int, arrays: Mapping[str, NDArray[Any]]) -> NaturalState:
        """Return the state stored in these arrays; `self` is the state before the first step."""
        from psiprune.rbm.likelihood import from_vector

        rbm = from_vector(self.rbm, arrays["parameters"])
        true = None if self.true is None else self.true.restore(arrays)
        fisher = None
        if "fisher_age" in arrays:
            earlier = from_vector(self.rbm, arrays["fisher_parameters"])
            chains, some = arrays["fisher_chains"], None
            if self.true is not None:
                some = self.true.evenly(RECORDS)
                some = replace(some, bits=chains, steps=int(arrays["fisher_steps"]))
            fisher_seed = derive_seed(
                self.seed, Stream.RECORDS_FISHER, epoch - int(arrays["fisher_age"])
            )
            fisher = replace(
                _factor(earlier, chains, float(arrays["fisher_damping"]), some, fisher_seed),
                moved=float(arrays["fisher_moved"]),
                age=int(arrays["fisher_age"]),
            )
        return replace(
            self, epoch=epoch, rbm=rbm, chains=arrays["chains"], fisher=fisher, true=true
        )


class NaturalInfo(NamedTuple):
    """Diagnostics of a step.

    Attributes:
        learning_rate: learning rate of the step.
        length: change of the distribution, sqrt(step.F.step), after shortening.
        shortened: factor by which the step was shortened, 1 if it was not.
        fisher_age: steps since the Fisher matrix was computed, 0 where it is not formed.
    """

    learning_rate: float
    length: float
    shortened: float
    fisher_age: int


class NaturalGradient(Method):
    """Natural gradient with model averages over persistent Markov chains.

    A step is theta += rate (F + lambda 1)^-1 g with g = <s>_data - <s>_model and s = d log p~ /
    d theta. The first average is over all shots, the second over chains that take `steps` Gibbs
    steps with global flips before each step. F = Cov_model(s) (Amari, Neural Comput. 10, 251
    (1998)). Where it has few parameters (`forms_fisher`) it is formed over the same chains,
    factorised and reused until the distribution has changed; else conjugate gradients find the
    step without it, over the chains as they were before the step
    (`psiprune.inference.natural_direction`). A step is shortened where sqrt(step.F.step) would
    exceed 0.3. With readout errors the first average is over chains of the true bits given the
    records, one for each shot, and F is that of the records
    (`psiprune.inference.observed_fisher`): steps are longer where the errors hide much. The noise
    of the chains adds about rate/2 * parameters / (2 chains) to the KL; the decaying rate removes
    it. The default where both layers have more than 18 units, up to 20,000 parameters.

    Raises:
        InputError: a value is invalid, or the method has no such field.
    """

    method: Literal["natural"] = "natural"
    epochs: int = Field(default=150, ge=0, description="steps; each uses all shots")
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

    def check_size(self, visible: int, hidden: int, *, readout: bool = False) -> None:
        """Raise InputError above 20,000 parameters."""
        _check_parameters((visible + 1) * (hidden + 1) - 1)

    def init(self, rbm: RBM, shots: Shots, seed: int) -> NaturalState:
        """Return the state before the first step, with chains that start at shots.

        Raises:
            InputError: more than 20,000 parameters.
        """
        from psiprune.rbm.posterior import start_true_bits

        _check_parameters(rbm.number_of_parameters)
        generator = generator_for(seed, Stream.NATURAL_START)
        chosen = generator.integers(0, len(shots), self.chains)
        true = None if shots.readout is None else start_true_bits(shots)
        pieces = _pieces(shots.bits) if true is None else []
        return NaturalState(pieces, seed, 0, rbm, shots.bits[chosen], None, true)

    def step(self, state: NaturalState) -> tuple[NaturalState, NaturalInfo]:
        """Return the state after one step; see `Method.step`.

        Raises:
            DivergenceError: the step is not finite.
        """
        import scipy.linalg

        from psiprune.inference.natural_direction import natural_direction, sample_scores
        from psiprune.rbm import gibbs
        from psiprune.rbm.likelihood import Moments, flatten, from_vector, to_vector
        from psiprune.rbm.posterior import TRUE_STEPS

        rbm = state.rbm
        seed = derive_seed(state.seed, Stream.NATURAL_STEP, state.epoch)
        chains = gibbs.start_chains(rbm.compiled, state.chains, seed)
        bits = gibbs.step_with_flips(chains, self.steps).bits
        true, data = state.true, state.data
        if true is not None:
            true = true.advanced(rbm.compiled, TRUE_STEPS, state.seed)
            data = _pieces(true.bits)
        scores = zip(mean_scores(rbm, data), mean_scores(rbm, _pieces(bits)), strict=True)
        gradient = flatten(rbm.mask, Moments(*(data - model for data, model in scores)))
        x = to_vector(rbm)
        gradient[: rbm.number_of_weights] -= self.weight_decay * x[: rbm.number_of_weights]
        elapsed = state.epoch / max(1, self.epochs - 1)
        readout = true is not None
        formed = forms_fisher(rbm.number_of_parameters, rbm.visible, rbm.hidden, readout=readout)
        last = _LAST_DAMPING if formed else _LAST_UNFORMED
        damping = _DAMPING * (last / _DAMPING) ** elapsed
        fisher = state.fisher
        if formed:
            if fisher is None or fisher.moved > _STALE or fisher.age >= _OLD:
                some = None if true is None else true.evenly(RECORDS)
                fisher_seed = derive_seed(state.seed, Stream.RECORDS_FISHER, state.epoch)
                fisher = _factor(rbm, bits, damping, some, fisher_seed)
            direction = scipy.linalg.cho_solve((fisher.factor, True), gradient, check_finite=False)
        else:
            # Of the chains before the step: noise that F and g share makes steps worse.
            samples = sample_scores(rbm, state.chains)
            direction = natural_direction(rbm, samples, gradient, damping)
        if not np.isfinite(direction).all():
            raise DivergenceError(
                f"training diverged in epoch {state.epoch + 1} (the step is not finite): start "
                "from smaller weights, or use method 'pcd'"
            )
        rate = decayed(self.learning_rate, self.learning_rate_decay, state.epoch, self.epochs)
        length = rate * float(np.sqrt(gradient @ direction))
        shortened = min(1.0, _TRUST / length) if length > 0 else 1.0
        moved = shortened * length
        after = replace(
            state,
            epoch=state.epoch + 1,
            rbm=from_vector(rbm, x + rate * shortened * direction),
            chains=bits,
            true=true,
            fisher=fisher and replace(fisher, moved=fisher.moved + moved, age=fisher.age + 1),
        )
        age = 0 if fisher is None else fisher.age
        return after, NaturalInfo(rate, moved, shortened, age)


def forms_fisher(parameters: int, sites: int, hidden: int, *, readout: bool = False) -> bool:
    """Return whether F of so many parameters is formed: P^2 <= 2000 N N_h, or readout errors.

    Over K samples forming takes P^2 K / 2 multiply-adds, about every twentieth step, and conjugate
    gradients take 20 K N N_h in each step. Through readout errors they would need new draws of
    the true bits of all records in each step: 1.9 times the processor time at 50 x 25.
    """
    return readout or parameters**2 <= _SQUARED_PARAMETERS * sites * hidden


def mean_scores(rbm: RBM, pieces: Sequence[NDArray[np.float32]]) -> Moments:
    """Return the averages of s_j v_i [hidden, visible], v_i and s_j, with s_j = p(h_j = 1 | v).

    `pieces` of configurations are float32 [site, configuration]. Products are in float32, sums over
    pieces in float64.
    """
    from scipy.special import expit

    from psiprune.core.threads import map_threads
    from psiprune.rbm.likelihood import Moments

    weights, bias = rbm.weights.astype(np.float32), rbm.hidden_bias.astype(np.float32)

    def sums_over(bits: NDArray[np.float32]) -> Moments:
        hidden = expit(weights @ bits + bias[:, None])
        sums = hidden @ bits.T, bits.sum(axis=1), hidden.sum(axis=1)
        return Moments(*(total.astype(np.float64) for total in sums))

    parts = map_threads(sums_over, pieces)
    count = sum(bits.shape[1] for bits in pieces)
    return Moments(*(np.sum(totals, axis=0) / count for totals in zip(*parts, strict=True)))


def _factor(
    rbm: RBM, bits: NDArray[np.uint8], damping: float, true: TrueBits | None, seed: int
) -> FisherFactor:
    """Return F over model configurations, or over records with chains of their true bits."""
    from psiprune.inference.fisher import damped_factor, sample_fisher
    from psiprune.inference.observed_fisher import records_fisher
    from psiprune.rbm.likelihood import to_vector, unique_configurations

    if true is None:
        matrix, steps = sample_fisher(rbm, unique_configurations(bits)), 0
    else:
        matrix = records_fisher(rbm, true, REPEATS, seed)
        bits, steps = true.bits, true.steps
    # The transpose of the symmetric matrix is in LAPACK's memory order, which avoids a copy.
    factor, damping = damped_factor(matrix.T, damping)
    return FisherFactor(factor, to_vector(rbm), bits, damping, steps)


def _pieces(bits: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    return [
        np.ascontiguousarray(bits[first : first + _PIECE].T, dtype=np.float32)
        for first in range(0, len(bits), _PIECE)
    ]


def _check_parameters(parameters: int) -> None:
    if parameters > FISHER_PARAMETERS:
        raise InputError(
            f"method: 'natural' supports at most {FISHER_PARAMETERS:,} parameters, found "
            f"{parameters:,}; use 'pcd', or give a mask"
        )
