"""An RBM with the interface of scikit-learn's density estimators; needs scikit-learn."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from psiprune.core.random import Stream, generator_for
from psiprune.core.validation import check_count
from psiprune.data.shots import Shots, as_shots
from psiprune.inference.log_partition import log_partition
from psiprune.metrics.draws import draw
from psiprune.training.method import Initial
from psiprune.training.methods import MethodLike
from psiprune.training.train import train

if TYPE_CHECKING:
    from psiprune.inference.log_partition import LogPartition
    from psiprune.rbm.model import RBM

try:
    from sklearn.base import BaseEstimator, DensityMixin
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.utils import check_random_state
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError:
    raise ImportError(
        "psiprune.sklearn needs scikit-learn 1.6 or later; pip install 'psiprune[sklearn]'"
    ) from None
#: Configurations of the training set at which half of the chains start, where `sample` needs any.
_STARTS = 500


class RBMDensity(DensityMixin, BaseEstimator):  # type: ignore[misc]
    """The distribution of measured bits as an RBM, like `sklearn.neighbors.KernelDensity`.

    X is [shot, site] and holds 0 and 1 alone. scikit-learn's BernoulliRBM learns features and gives
    pseudo-likelihoods; this one gives normalised log-probabilities.

    Args:
        hidden: number of hidden units, N_h; half the number of sites if None.
        method: training method, such as `psiprune.CD(epochs=100)`, or its name; see
            `psiprune.train`. If None, the best one for the size.
        initial: initial weights, see `psiprune.train`.
        random_state: an integer is the seed of `psiprune.train`, which gives the same RBM to the
            last bit; with None or a RandomState a seed is drawn.

    Attributes:
        rbm_: the RBM.
        log_partition_: its log Z with error and method, see `psiprune.log_partition`.
        n_features_in_: number of sites.
        feature_names_in_: names of the columns, where X had any.

    Example:
        >>> import numpy as np
        >>> from psiprune.sklearn import RBMDensity
        >>> X = np.random.default_rng(0).integers(0, 2, (1000, 4))
        >>> RBMDensity(hidden=2, random_state=1).fit(X).score_samples(X[:3]).shape
        (3,)
    """

    def __init__(
        self,
        hidden: int | None = None,
        *,
        method: MethodLike | None = None,
        initial: Initial | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        """Keep the parameters as they are; `fit` checks them."""
        self.hidden = hidden
        self.method = method
        self.initial = initial
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Train the RBM on bits [shot, site], and find its log Z; y is not used.

        Raises:
            InputError: X holds something but 0 and 1, or a parameter breaks its rule.
            DivergenceError: a parameter of the RBM is no longer finite.

        Warns:
            ConvergenceWarning: log Z was annealed and is not to be trusted.
        """
        shots = self._shots(X, reset=True)
        seed = _seed(self.random_state)
        self.rbm_: RBM = train(
            shots, hidden=self.hidden, method=self.method, initial=self.initial, seed=seed
        )
        self.log_partition_: LogPartition = log_partition(self.rbm_, data=shots, seed=seed)
        _warn(self.log_partition_.warning)
        evenly = np.linspace(0, len(shots) - 1, _STARTS).astype(int)
        self._likely: NDArray[np.uint8] = shots.bits[evenly]
        return self

    def score_samples(self, X: ArrayLike) -> NDArray[np.float64]:
        """log p(v) = log p~(v) - log Z in nat, normalised, for bits [shot, site] -> [shot]."""
        check_is_fitted(self)
        shots = self._shots(X, reset=False)
        return self.rbm_.log_prob_unnormalized(shots) - self.log_partition_.value

    def score(self, X: ArrayLike, y: object = None) -> float:
        """The mean of log p(v) over the shots, in nat; y is not used."""
        return float(self.score_samples(X).mean())

    def sample(
        self, n_samples: int = 1, random_state: int | np.random.RandomState | None = None
    ) -> NDArray[np.uint8]:
        """Draw from p(v): uint8 [shot, site].

        Independent draws where possible (up to 25 units in the smaller layer), else Gibbs chains
        paced by their autocorrelation time: up to 1000 are independent.

        Raises:
            InputError: n_samples is not an integer of at least 1.

        Warns:
            ConvergenceWarning: the chains have not converged.
        """
        check_is_fitted(self)
        number, seed = check_count("n_samples", n_samples, 1), _seed(random_state)
        drawn = draw(self.rbm_, lambda chains: self._likely[:chains], number, seed)
        _warn(drawn.warning)
        bits = drawn.bits.reshape(-1, self.rbm_.visible)
        # Neighbours may be of one chain, and chains of one half began alike.
        return generator_for(seed, Stream.ESTIMATOR_ORDER).permutation(bits)[:number]

    def _shots(self, X: ArrayLike, *, reset: bool) -> Shots:
        return as_shots(validate_data(self, X, reset=reset))

    def __sklearn_tags__(self) -> Any:
        """X is 0 or 1; scikit-learn's tags come no nearer than not negative and categorical."""
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.input_tags.categorical = True
        return tags


def _seed(random_state: int | np.random.RandomState | None) -> int:
    """An integer as it is; a seed drawn from anything else that scikit-learn takes."""
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))


def _warn(warning: str) -> None:
    if warning:
        warnings.warn(warning, ConvergenceWarning, stacklevel=3)
