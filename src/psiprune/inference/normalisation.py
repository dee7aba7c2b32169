"""log Z of RBMs in a training: a sum over all states, or its change by draws that are reweighted.

With draws of p(v) = p~(v) / Z, log Z' of an RBM near this one is log Z + log mean(p~'(v) / p~(v)).
Its gradient is the mean score with these ratios as weights. So the likelihoods of RBMs tried in one
step are compared over the same draws, without noise between them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.limits import SUMMED_UNITS
from psiprune.core.random import Stream, generator_for
from psiprune.core.threads import map_threads, single_blas_thread
from psiprune.rbm.likelihood import flatten, model_moments, unique_configurations
from psiprune.rbm.model import RBM
from psiprune.rbm.scores import ScoredStates

Float64 = NDArray[np.float64]
_PIECE = 8192  # configurations per task; fixed, so that sums are the same on any number of cores
#: Largest log of a ratio, below the overflow of its square.
_LARGEST = 300.0


class Normalisation(NamedTuple):
    """log Z of an RBM.

    Attributes:
        log_z: log Z, or its change since the draws.
        slope: its gradient, [parameter].
        effective: (mean w)^2 / mean w^2 of the ratios w, the share of draws that count; 1 in sums.
    """

    log_z: float
    slope: Float64
    effective: float


class Summed:
    """log Z by sums over all states of the smaller layer."""

    def of(self, rbm: RBM) -> Normalisation:
        """Return log Z of an RBM."""
        log_z, moments = model_moments(rbm, SUMMED_UNITS)
        return Normalisation(log_z, flatten(rbm.mask, moments), 1.0)


class Reweighted:
    """The change of log Z over draws of an RBM."""

    @single_blas_thread()
    def __init__(self, rbm: RBM, draws: NDArray[np.uint8]) -> None:
        """Take draws of an RBM, uint8 [draw, site]."""
        self._draws = len(draws)
        bits, weight = unique_configurations(draws)
        cuts = range(0, len(weight), _PIECE)
        self._pieces = [(bits[:, k : k + _PIECE], weight[k : k + _PIECE]) for k in cuts]
        self._before = map_threads(lambda piece: ScoredStates(rbm, piece[0]).log_prob, self._pieces)

    @single_blas_thread()
    def of(self, rbm: RBM) -> Normalisation:
        """Return the change of log Z from the RBM of the draws to another one."""

        def sums(k: int) -> tuple[float, float, Float64]:
            bits, weight = self._pieces[k]
            states = ScoredStates(rbm, bits)
            ratio = np.exp(np.minimum(states.log_prob - self._before[k], _LARGEST))
            return float(weight @ ratio), float(weight @ ratio**2), states.slope(weight * ratio)

        first, second, slope = (
            np.sum(each, axis=0)
            for each in zip(*map_threads(sums, range(len(self._pieces))), strict=True)
        )
        if not first > 0:  # no draw has any probability any more
            return Normalisation(-np.inf, slope, 0.0)
        return Normalisation(float(np.log(first)), slope / first, float(first**2 / second))

    @single_blas_thread()
    def moved_to(self, rbm: RBM, seed: int) -> NDArray[np.uint8]:
        """Return as many draws of another RBM, by drawing again in proportion to the ratios.

        Systematic resampling, in random order. It moves draws to the new distribution at once,
        where Gibbs chains that mix slowly would lag behind.

        Source: O. Cappe, S. J. Godsill and E. Moulines, Proc. IEEE 95, 899 (2007).
        """
        generator = generator_for(seed, Stream.PHASE_RESAMPLING)

        def ratios(k: int) -> Float64:
            bits, weight = self._pieces[k]
            log = ScoredStates(rbm, bits).log_prob - self._before[k]
            return np.asarray(weight * np.exp(np.minimum(log, _LARGEST)))

        total = np.cumsum(np.concatenate(map_threads(ratios, range(len(self._pieces)))))
        place = (np.arange(self._draws) + generator.random()) / self._draws * total[-1]
        drawn = generator.permutation(np.searchsorted(total, place, side="right"))
        bits = np.concatenate([bits.T.astype(np.uint8) for bits, _ in self._pieces])
        return np.ascontiguousarray(bits[np.minimum(drawn, len(bits) - 1)])


def normalisation_of(rbm: RBM, draws: NDArray[np.uint8]) -> Summed | Reweighted:
    """Return what gives log Z of RBMs near one: sums, where a layer has at most 20 units, or draws.

    Args:
        rbm: the RBM of the draws.
        draws: configurations, uint8 [draw, site].
    """
    return Summed() if is_summed(rbm) else Reweighted(rbm, draws)


def is_summed(rbm: RBM) -> bool:
    """Return whether log Z in a training is a sum over all states of a layer."""
    return min(rbm.visible, rbm.hidden) <= SUMMED_UNITS
