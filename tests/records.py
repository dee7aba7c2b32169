"""Records of shots whose dependence is known, for tests of what dependence is found."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

import exact
import psiprune as pp

Bits = NDArray[np.uint8]
#: Probabilities of the configurations of `exact.basis`, by name of the state.
STATES: dict[str, Callable[[int], NDArray[np.float64]]] = {
    "ghz": lambda n: np.eye(2**n)[[0, -1]].mean(axis=0),
    "w": lambda n: (exact.basis(n).sum(axis=1) == 1) / n,
    "product": lambda n: np.prod(np.where(exact.basis(n), 0.3, 0.7), axis=1),
    "ordered": lambda n: pp.ground_state(pp.TFIM(sites=n, field=0.5)).to_vector() ** 2,
    "paramagnet": lambda n: pp.ground_state(pp.TFIM(sites=n, field=2.0)).to_vector() ** 2,
}


@functools.cache
def probabilities(state: str, sites: int) -> NDArray[np.float64]:
    """Return p of each configuration, [2^N]."""
    p = STATES[state](sites)
    return np.asarray(p / p.sum())


def independent(state: str, sites: int, shots: int, generator: np.random.Generator) -> Bits:
    """Return independent shots of a state."""
    p = probabilities(state, sites)
    return exact.basis(sites)[generator.choice(len(p), shots, p=p)]


def sticky(bits: Bits, stay: float, generator: np.random.Generator) -> Bits:
    """Repeat the shot before with probability `stay`; inefficiency (1 + stay) / (1 - stay)."""
    fresh = generator.random(len(bits)) >= stay
    fresh[0] = True
    return bits[np.maximum.accumulate(np.where(fresh, np.arange(len(bits)), 0))]
