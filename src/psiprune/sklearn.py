"""An RBM as a density estimator of scikit-learn, which must be installed."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from psiprune.core.progress import no_progress_bars
from psiprune.core.random import Stream, generator_for
from psiprune.core.validation import check_count
from psiprune.data.shots import Shots, ShotsLike, as_shots, check_sites
from psiprune.inference.log_partition import log_partition
from psiprune.inference.recorded import shots_log_prob
from psiprune.metrics.draws import draw
from psiprune.metrics.rates_error import readout_warning
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
#: Configurations of the training set at which half of the Gibbs chains of `sample` start.
_STARTS = 500
#: Where log p(y) of records is annealed: a score depends on the RBM and the shots alone.
_ANNEALING_SEED = 0


class RBMDensity(DensityMixin, BaseEstimator):  # type: ignore[misc]
    """The distribution of measured bits as an RBM, like `sklearn.neighbors.KernelDensity`.

    X is [shot, site] with values 0 and 1; `Shots` or counts {"0101": 12} stand for their rows.
    scikit-learn's BernoulliRBM learns features and returns pseudo-likelihoods; this estimator
    returns normalised log-probabilities.

    Args:
        hidden: number of hidden units, N_h; None for half the number of sites.
        method: training method, such as `psiprune.CD(epochs=100)`, or its name; see
            `psiprune.train`; "auto" for the best one for the size.
        initial: initial weights, see `psiprune.train`.
        random_state: an integer is the seed of `psiprune.train` and gives a bit-identical RBM;
            with None or a RandomState a seed is drawn.

    Attributes:
        rbm_: the RBM.
        log_partition_: its log Z with error and method, see `psiprune.log_partition`.
        n_features_in_: number of sites.
        feature_names_in_: names of the columns, if X has any.

    Examples:
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
        method: MethodLike = "auto",
        initial: Initial | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        """Store the parameters unchanged, as scikit-learn requires; `fit` validates them."""
        self.hidden = hidden
        self.method = method
        self.initial = initial
        self.random_state = random_state

    def fit(self, X: ArrayLike | ShotsLike, y: object = None) -> Self:
        """Train the RBM on bits [shot, site] or counts and compute its log Z; y is ignored.

        Raises:
            InputError: X has values other than 0 and 1, or a parameter is invalid.
            DivergenceError: a parameter of the RBM is no longer finite.

        Warns:
            ConvergenceWarning: log Z was annealed and is unreliable.
        """
        shots = self._shots(X, reset=True)
        seed = _seed(self.random_state)
        with no_progress_bars():  # as of all estimators: a grid search fits many at once
            self.rbm_: RBM = train(
                shots, hidden=self.hidden, method=self.method, initial=self.initial, seed=seed
            )
            self.log_partition_: LogPartition = log_partition(self.rbm_, data=shots, seed=seed)
        _warn(self.log_partition_.warning)
        evenly = np.linspace(0, len(shots) - 1, _STARTS).astype(int)
        self._likely: NDArray[np.uint8] = shots.bits[evenly]
        return self

    def score_samples(self, X: ArrayLike | ShotsLike) -> NDArray[np.float64]:
        """Return log p(v) = log p~(v) - log Z in nats, [shot], for bits [shot, site].

        Of shots that carry readout errors it is log p(y) of the records, p(y) = sum_v C(y | v)
        p(v); see `psiprune.inference.recorded`, with the same random numbers at each call.

        Warns:
            UserWarning: the training set carried readout errors, and X carries others or none.
        """
        check_is_fitted(self)
        shots = self._shots(X, reset=False)
        if "readout" in self.rbm_.provenance and (warning := readout_warning(self.rbm_, shots)):
            warnings.warn(warning, UserWarning, stacklevel=2)
        return shots_log_prob(self.rbm_, shots, self.log_partition_, _ANNEALING_SEED).values

    def score(self, X: ArrayLike | ShotsLike, y: object = None) -> float:
        """Return the mean of `score_samples` over the shots, in nats per shot; y is ignored."""
        return float(self.score_samples(X).mean())

    def sample(
        self, n_samples: int = 1, random_state: int | np.random.RandomState | None = None
    ) -> NDArray[np.uint8]:
        """Draw samples from p(v), uint8 [shot, site].

        Draws are independent where the smaller layer has at most 25 units. Above, they come from
        Gibbs chains thinned by their autocorrelation time, see `psiprune.metrics.draws`; up to 1000
        are then independent.

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
        # Adjacent draws may belong to one chain, and half of the chains start at training shots.
        return generator_for(seed, Stream.ESTIMATOR_ORDER).permutation(bits)[:number]

    def _shots(self, X: ArrayLike | ShotsLike, *, reset: bool) -> Shots:
        readout = X.readout if isinstance(X, Shots) else None
        if isinstance(X, Shots | Mapping):
            shots = as_shots(X)
            X = check_sites(shots, shots.sites, "the RBM").bits
        return replace(as_shots(validate_data(self, X, reset=reset)), readout=readout)

    def __sklearn_tags__(self) -> Any:
        """Declare X as nonnegative and categorical; scikit-learn has no tag for binary data."""
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.input_tags.categorical = True
        return tags


def _seed(random_state: int | np.random.RandomState | None) -> int:
    """Return an integer as the seed; else draw a seed from the random state."""
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))


def _warn(warning: str) -> None:
    if warning:
        warnings.warn(warning, ConvergenceWarning, stacklevel=3)
