"""P-values of Monte Carlo results against exact diagonalisation."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import chi2, norm

import psiprune as pp
from psiprune.states.diagonalise import Lowest, lowest_states
from psiprune.states.signs import positive_frame
from psiprune.states.spin_models import SpinModel

#: P-value below which a distribution or a mean counts as wrong: a false alarm in 10^4 seeds.
WRONG = 1e-4
#: Expected shots of a bin; rarer configurations share one.
LEAST = 8


def ground_state(model: SpinModel | pp.Hamiltonian) -> Lowest:
    hamiltonian = model if isinstance(model, pp.Hamiltonian) else model.hamiltonian()
    return lowest_states(positive_frame(hamiltonian))


def p_of_distribution(model: SpinModel | pp.Hamiltonian, bits: np.ndarray[Any, Any]) -> float:
    """Return the p-value of chi-squared over all configurations, with the rare ones in one bin."""
    sites = bits.shape[1]
    counts = np.bincount(bits.astype(int) @ (1 << np.arange(sites)), minlength=2**sites)
    expected = len(bits) * ground_state(model).vector ** 2
    often = expected >= LEAST
    counts = np.append(counts[often], counts[~often].sum())
    expected = np.append(expected[often], expected[~often].sum())
    some = expected > 0
    statistic = ((counts - expected)[some] ** 2 / expected[some]).sum()
    return float(chi2.sf(statistic, some.sum() - 1))


def p_of_energy(sample: pp.QMCSample, exact: float) -> float:
    return float(2 * norm.sf(abs(sample.energy - exact) / sample.energy_error))
