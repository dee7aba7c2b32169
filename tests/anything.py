"""Hypothesis strategies for what must hold for any RBM."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from psiprune.rbm.model import RBM

#: Parameters that are not like others: none, one that saturates a unit, equal ones.
SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, 30.0, -30.0])
#: A bias.
BIASES = st.sampled_from(SPECIAL.tolist()) | st.floats(-30.0, 30.0)


@st.composite
def rbms(draw: Any, visible: int = 5, hidden: int = 4, least_visible: int = 1) -> RBM:
    """Any RBM of up to so many units, with parameters from -30 to 30, some special, any mask."""
    shape = draw(st.integers(1, hidden)), draw(st.integers(least_visible, visible))
    largest, special = draw(st.sampled_from([0.5, 3.0, 30.0])), draw(st.sampled_from([0, 0.3, 1]))
    density = draw(st.sampled_from([1.0, 0.6, 0.2, 0.0]))
    # One draw for all parameters: a hundred draws of one would take a hundred times as long.
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def values(*size: int) -> NDArray[np.float64]:
        plain = generator.uniform(-largest, largest, size)
        return np.where(generator.random(size) < special, generator.choice(SPECIAL, size), plain)

    mask = generator.random(shape) < density
    return RBM(values(*shape), values(shape[1]), values(shape[0]), mask)


def orders(count: int) -> st.SearchStrategy[NDArray[np.intp]]:
    """Any order of so many units."""
    return st.permutations(range(count)).map(lambda order: np.array(order, np.intp))


def bits_of(sites: int) -> st.SearchStrategy[NDArray[np.uint8]]:
    """Shots of so many sites, few enough for repeated ones."""
    return st.lists(st.integers(0, 2**sites - 1), min_size=1, max_size=6).map(
        lambda index: (np.array(index)[:, None] >> np.arange(sites) & 1).astype(np.uint8)
    )
