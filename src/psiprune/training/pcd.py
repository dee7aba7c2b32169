"""Persistent contrastive divergence: Gibbs chains that continue from update to update."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from psiprune.core.random import Stream, generator_for
from psiprune.training.contrastive_divergence import ContrastiveDivergence


class PCD(ContrastiveDivergence):
    """Persistent contrastive divergence (Tieleman, ICML 2008).

    Like CD, but the chains start at random bits and continue from update to update. RBMs may be
    of any size; PCD is the default above 20,000 parameters.

    Raises:
        InputError: a value is invalid, or PCD has no such field.
    """

    method: Literal["pcd"] = "pcd"

    SUMMARY: ClassVar[str] = "contrastive divergence with persistent chains"

    def start_chains(self, visible: int, lanes: int, seed: int) -> NDArray[np.float32]:
        """Return persistent chains [tile, visible, lane] of fair random bits."""
        shape = -(-self.batch_size // lanes), visible, lanes
        generator = generator_for(seed, Stream.PERSISTENT_CHAINS)
        return generator.integers(0, 2, shape).astype(np.float32)
