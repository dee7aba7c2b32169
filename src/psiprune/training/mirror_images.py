"""Other states that give the same outcomes in all bases measured: mirror images of a state.

P psi* with a Pauli operator P_i on each site gives a Pauli string the mean of psi with a minus for
each letter that P K reverses: without P_i that is Y, for Z it is X, for X it is Z. Where each site
lacks such a letter in all bases, both states have the same outcomes in all of them. No small change
leads from one to the other, so the Fisher information does not show it, and independent fits do
only if they happen to find both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.rbm.phase_likelihood import BasisFrequencies, vector_log_likelihood

Complex128 = NDArray[np.complex128]


class Image(NamedTuple):
    """A mirror image of a state.

    Attributes:
        vector: its amplitudes [2^N].
        fidelity: with the state.
    """

    vector: Complex128
    fidelity: float


def mirror_images(psi: Complex128, bases: Sequence[str]) -> Iterator[Complex128]:
    """Yield states P psi* [2^N] that reverse a letter that the bases lack on each site.

    Where a site lacks none, Y, X or Z is reversed on all those sites: the outcomes are then the
    same for some states alone.
    """
    index = np.arange(len(psi))
    for letter in "YXZ":
        signs, flips = np.ones(len(psi)), 0
        for site, measured in enumerate(zip(*bases, strict=True)):
            reversed_letter = next((each for each in "YXZ" if each not in measured), letter)
            if reversed_letter == "X":
                signs *= 1.0 - 2.0 * (index >> site & 1)
            elif reversed_letter == "Z":
                flips |= 1 << site
        yield signs * psi.conj()[index ^ flips]


def likely_image(psi: Complex128, data: BasisFrequencies, nats: float) -> Image | None:
    """Return the image of least fidelity of those within so many nats of a state on all shots."""
    least = vector_log_likelihood(psi, data) - nats / data.shots.sum()
    likely = (
        Image(image, float(np.abs(np.vdot(psi, image)) ** 2))
        for image in mirror_images(psi, data.bases)
        if vector_log_likelihood(image, data) > least
    )
    return min(likely, key=lambda image: image.fidelity, default=None)
