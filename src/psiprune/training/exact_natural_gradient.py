"""Natural gradient of the exact likelihood: sums over all states, tens of damped Fisher steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from psiprune.core.exceptions import InputError
from psiprune.core.limits import EXACT_GRADIENT_UNITS, FISHER_PARAMETERS
from psiprune.training.method import SYMMETRY, WEIGHT_DECAY, Initial, Method, SymmetryChoice

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    from psiprune.data.shots import Shots
    from psiprune.rbm.likelihood import Moments, WeightedConfigurations
    from psiprune.rbm.model import RBM
    from psiprune.rbm.observed import Records

#: Configurations used to estimate the Fisher matrix, which affects only the path to the optimum.
_FISHER_SAMPLE = 8192
#: Training ends when a step is predicted to gain less than this in log-likelihood (nats per shot),
#: far below the statistical uncertainty of any fit, parameters / (2 shots).
_CONVERGED = 1e-9
_FIRST_DAMPING, _LARGEST_DAMPING = 1e-3, 1e6


@dataclass(frozen=True, eq=False)
class ExactState:
    """The state after a step.

    Attributes:
        data: the training set as weighted configurations, or as records with readout errors.
        seed: random seed of the training.
        epoch: steps done.
        rbm: the current RBM.
        log_likelihood: mean log-likelihood minus the L2 penalty, in nats per shot; NaN before the
            first step.
        slope: its gradient [parameter]; None before the first step and after a restore.
        true: the distribution of the true bits of the training set: `data` itself, or with readout
            errors the posterior given the records, at the current RBM, None where `slope` is.
        damping: lambda of the next step.
        done: whether training has converged.
        tie: the projector on parameters that have the symmetry, if any.
    """

    data: WeightedConfigurations | Records
    seed: int
    epoch: int
    rbm: RBM
    log_likelihood: float
    slope: NDArray[np.float64] | None
    true: WeightedConfigurations | None
    damping: float
    done: bool
    tie: csr_array | None = None

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that a checkpoint stores."""
        import numpy as np

        from psiprune.rbm.likelihood import to_vector

        return {
            "parameters": to_vector(self.rbm),
            "log_likelihood": np.array(self.log_likelihood),
            "damping": np.array(self.damping),
            "done": np.array(int(self.done)),
        }

    def restore(self, epoch: int, arrays: Mapping[str, NDArray[Any]]) -> ExactState:
        """Return the state stored in these arrays; `self` is the state before the first step."""
        from psiprune.rbm.likelihood import from_vector

        return replace(
            self,
            epoch=epoch,
            rbm=from_vector(self.rbm, arrays["parameters"]),
            log_likelihood=float(arrays["log_likelihood"]),
            damping=float(arrays["damping"]),
            done=bool(arrays["done"]),
        )


class ExactInfo(NamedTuple):
    """Diagnostics of a step.

    Attributes:
        log_likelihood: value after the step, minus the L2 penalty, in nats per shot.
        promised: gain in log-likelihood predicted by the quadratic model of the step.
        accepted: whether the step was taken.
        damping: lambda of the step.
    """

    log_likelihood: float
    promised: float
    accepted: bool
    damping: float


class ExactNaturalGradient(Method):
    """Maximum likelihood by natural gradient, with sums over all states of the smaller layer.

    A step is (F + lambda 1)^-1 g, with g the exact gradient of the log-likelihood of the shots and
    F the Fisher matrix over the shots (Amari, Neural Comput. 10, 251 (1998)). lambda adapts as in
    the Levenberg-Marquardt algorithm: a step that does not increase the likelihood is rejected and
    repeated with more damping. Training ends when a step is predicted to gain less than 1e-9 nats
    per shot. With readout errors g is the gradient of the likelihood of the records, and F is over
    the posterior of the true bits, an upper bound of the information in the records: as in the EM
    algorithm, steps are shorter in directions that the errors hide. The default where a layer has
    at most 18 units: no chains, no noise, no learning rate.

    Raises:
        InputError: a value is invalid, or the method has no such field.
    """

    method: Literal["exact"] = "exact"
    epochs: int = Field(
        default=500, ge=0, description="maximum number of steps; training ends at the optimum"
    )
    # Not 0, so that the optimum is finite if some configurations were never measured.
    weight_decay: float = Field(default=1e-6, ge=0, description=WEIGHT_DECAY)
    symmetry: SymmetryChoice | None = Field(default=None, description=SYMMETRY)

    SUMMARY: ClassVar[str] = "natural gradient with sums over all states"
    FINE_TUNING: ClassVar[Mapping[str, float]] = {"epochs": 30}
    CONVERGES: ClassVar[bool] = True
    INITIAL: ClassVar[tuple[Initial, ...]] = ("local", "coded", "random")

    def check_size(
        self, visible: int, hidden: int, *, readout: bool = False, weights: int | None = None
    ) -> None:
        """Raise InputError unless a layer has at most 18 units; with readout errors, 20 sites."""
        from psiprune.rbm.observed import check_exact_sites

        if readout:
            check_exact_sites(visible)
        if min(visible, hidden) > EXACT_GRADIENT_UNITS:
            raise InputError(
                f"method: 'exact' needs a layer of at most {EXACT_GRADIENT_UNITS} units, found "
                f"{visible} visible and {hidden} hidden; use 'natural', 'pcd' or 'cd', or omit "
                "the method"
            )

    def init(self, rbm: RBM, shots: Shots | WeightedConfigurations, seed: int) -> ExactState:
        """Return the state before the first step; see `Method.init`.

        The data may also be weighted configurations, that is, a distribution.
        """
        import numpy as np

        from psiprune.data.shots import Shots
        from psiprune.rbm.likelihood import unique_configurations
        from psiprune.rbm.observed import records_of
        from psiprune.training.symmetry import projector, symmetry_of, tied

        self.check_size(rbm.visible, rbm.hidden)
        if rbm.number_of_parameters > FISHER_PARAMETERS:
            raise InputError(
                f"method: 'exact' supports at most {FISHER_PARAMETERS:,} parameters, found "
                f"{rbm.number_of_parameters:,}; use 'pcd', or give a mask"
            )
        data: WeightedConfigurations | Records
        if isinstance(shots, Shots) and shots.readout is not None:
            data, true = records_of(shots), None
        else:
            data = true = unique_configurations(shots) if isinstance(shots, Shots) else shots
        symmetry = symmetry_of(self, shots.positions if isinstance(shots, Shots) else None)
        rbm, tie = tied(rbm, symmetry), projector(rbm.mask, symmetry)
        return ExactState(data, seed, 0, rbm, np.nan, None, true, _FIRST_DAMPING, False, tie)

    def step(self, state: ExactState) -> tuple[ExactState, ExactInfo]:
        """Return the state after one step; see `Method.step`."""
        import numpy as np

        from psiprune.core.lapack import cholesky_in_place, solve
        from psiprune.inference.fisher import fisher_matrix
        from psiprune.rbm.likelihood import flatten, from_vector, to_vector
        from psiprune.training.symmetry import restricted

        rbm, data, damping, epoch = state.rbm, state.data, state.damping, state.epoch + 1
        x, tie = to_vector(rbm), state.tie
        decay = np.zeros(len(x))
        decay[: rbm.number_of_weights] = self.weight_decay

        def objective(
            x: NDArray[np.float64],
        ) -> tuple[float, NDArray[np.float64], WeightedConfigurations]:
            value, gradient, true = _likelihood(from_vector(rbm, x), data)
            slope = flatten(rbm.mask, gradient) - decay * x
            slope = slope if tie is None else tie.T @ slope
            return value - 0.5 * float(decay @ x**2), slope, true

        if state.slope is None or state.true is None:
            value, slope, true = objective(x)
        else:
            value, slope, true = state.log_likelihood, state.slope, state.true
        fisher = fisher_matrix(rbm, _sample(true, state.seed, epoch))
        diagonal = np.diag_indices_from(fisher)
        fisher[diagonal] += decay
        while True:
            damped = fisher.copy()
            damped[diagonal] += damping
            step = solve(cholesky_in_place(restricted(damped, tie).T), slope)
            promised = float(slope @ step - 0.5 * step @ fisher @ step)
            new_value, new_slope, new_true = objective(x + step)
            # At the optimum, rounding decides whether a step goes up: stop at the predicted gain.
            if promised < _CONVERGED or new_value > value or damping > _LARGEST_DAMPING:
                break
            damping *= 4.0
        done = promised < _CONVERGED or damping > _LARGEST_DAMPING
        accepted, used = new_value > value, damping
        if accepted:
            fulfilled = (new_value - value) / promised
            x, value, slope, true = x + step, new_value, new_slope, new_true
            if fulfilled > 0.75:
                damping = max(damping / 3.0, 1e-9)
            elif fulfilled < 0.25:
                damping *= 2.0
        after = replace(
            state,
            epoch=epoch,
            rbm=from_vector(rbm, x),
            log_likelihood=value,
            slope=slope,
            true=true,
            damping=damping,
            done=done,
        )
        return after, ExactInfo(value, promised, accepted, used)


def _likelihood(
    rbm: RBM, data: WeightedConfigurations | Records
) -> tuple[float, Moments, WeightedConfigurations]:
    """Return the log-likelihood, its gradient and the distribution of the true bits."""
    from psiprune.rbm.likelihood import WeightedConfigurations, log_likelihood
    from psiprune.rbm.observed import observe

    if isinstance(data, WeightedConfigurations):
        return (*log_likelihood(rbm, data), data)
    return observe(rbm, data)


def _sample(data: WeightedConfigurations, seed: int, epoch: int) -> WeightedConfigurations:
    """Return a sample of the data for a Fisher matrix, or all of it if it is small."""
    import numpy as np

    from psiprune.core.random import Stream, generator_for
    from psiprune.core.threads import map_threads
    from psiprune.rbm.likelihood import WeightedConfigurations

    if len(data.weight) <= _FISHER_SAMPLE:
        return data
    generator = generator_for(seed, Stream.FISHER_SUBSET, epoch)
    cumulative = np.cumsum(data.weight)
    where = generator.random(_FISHER_SAMPLE) * cumulative[-1]

    def draw(part: NDArray[np.float64]) -> NDArray[np.float64]:
        return data.bits[:, np.searchsorted(cumulative, part)]

    bits = np.concatenate(map_threads(draw, np.array_split(where, 8)), axis=1)
    return WeightedConfigurations(bits, np.full(_FISHER_SAMPLE, 1.0 / _FISHER_SAMPLE))
