"""The RBMs that `reconstruct` chooses from."""

from __future__ import annotations

from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.pruning.settings import global_units_for
from psiprune.training.method import Method
from psiprune.training.methods import MethodBySize

if TYPE_CHECKING:
    from psiprune.rbm.masks import Mask
    from psiprune.training.estimate import Size


class Architecture(NamedTuple):
    """Hidden units and links of an RBM.

    Attributes:
        hidden: number of hidden units, with links those of all sites among them.
        scale_free: whether they have the links of `scale_free_mask`.
        links: sites of each unit by `nearest_mask`, two fifths of them far ones; 0 for all sites.
    """

    hidden: int
    scale_free: bool = False
    links: int = 0

    def mask(self, sites: int, positions: NDArray[np.float64] | None = None) -> Mask | None:
        """Return the links, bool [hidden, site], of a chain or at positions; None for all."""
        from psiprune.rbm.near_masks import FAR, nearest_mask
        from psiprune.rbm.scale_free import scale_free_mask

        if self.scale_free:
            return scale_free_mask(sites, self.hidden, positions=positions)
        if not self.links:
            return None
        far = round(FAR * self.links)
        wide = self.global_units(sites)
        make = partial(nearest_mask, links=self.links - far, far=far, positions=positions)
        return make(sites, self.hidden - wide, global_units=wide)

    def global_units(self, sites: int) -> int:
        """Return how many of the hidden units are linked to all sites, beside those with links."""
        return min(global_units_for(sites), (self.hidden - 1) // 2) if self.links else 0

    def which(self, sites: int) -> str:
        """Its kind of links in words, with a space before; "" for all."""
        if self.links:
            wide = self.global_units(sites)
            return f" with {self.links} links each{f', {wide} of them with all' if wide else ''}"
        return " with scale-free links" if self.scale_free else ""

    def size(self, sites: int, shots: int, readout: bool = False) -> Size:
        """Return the size of a training on so many shots, with readout errors or without.

        Sparse links are counted as those of a chain, scale-free ones as the most that so many shots
        support, and without shots as those of `scale_free_mask`.
        """
        from psiprune.rbm.mask_for_shots import most_weights
        from psiprune.training.estimate import Size

        dense = Size.dense(sites, self.hidden, shots, readout)
        if self.scale_free and shots:
            return dense._replace(weights=most_weights(sites, self.hidden, shots))
        return dense._replace(weights=_weights(sites, self))

    def method(self, given: Method | MethodBySize, sites: int, readout: bool) -> Method:
        """Return the method for this size.

        Raises:
            InputError: the RBM is too large for it.
        """
        weights = self.size(sites, 0).weights
        return given.for_size(sites, self.hidden, readout=readout, weights=weights)


@lru_cache(maxsize=64)
def _weights(sites: int, architecture: Architecture) -> int:
    mask = architecture.mask(sites)
    return sites * architecture.hidden if mask is None else int(mask.sum())


class Model(NamedTuple):
    """An RBM to try.

    Attributes:
        architecture: its hidden units and links.
        training: method, with its learning rate.
    """

    architecture: Architecture
    training: Method

    @property
    def file(self) -> Path:
        """Its file in the folder of a run."""
        return choice_file(
            *self.architecture, self.training.method, learning_rate_of(self.training)
        )


def learning_rate_of(method: Method) -> float:
    """Return the learning rate of a method, NaN for one that has none."""
    return float(getattr(method, "learning_rate", np.nan))


def choice_file(
    hidden: int, scale_free: bool, links: int, method: str | None, learning_rate: float
) -> Path:
    """Name the file of a candidate; one trained by the exact method has no learning rate."""
    kind = f"-links-{links}" if links else "-scale-free" if scale_free else ""
    rate = "" if method == "exact" else f"-rate-{learning_rate:g}"
    return Path("choice") / f"hidden-{hidden}{kind}{rate}.nc"
