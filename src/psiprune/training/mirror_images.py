"""Other states that give the same outcomes in all bases measured: mirror images of a state.

P psi* with a Pauli operator P_i on each site gives a Pauli string the mean of psi with a minus for
each letter that P K reverses: without P_i that is Y, for Z it is X, for X it is Z. Where each site
lacks such a letter in all bases, both states have the same outcomes in all of them. No small change
leads from one to the other, so the Fisher information does not show it, and independent fits do
only if they happen to find both.

Where the state is a product of that of some sites and that of the others, the same holds for the
image of these sites alone. As a fit is never exactly a product, such an image is made of the
nearest one, max |<psi|a b>|, and fitted again, as a vector of 2^N amplitudes, like the state.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.rbm.phase_likelihood import (
    BasisFrequencies,
    vector_log_likelihood,
    vector_slope,
)
from psiprune.states.blocks import blocks, joined, nearest_product

Complex128 = NDArray[np.complex128]
#: Fidelity with a product state from which its images are fitted.
_PRODUCT = 0.8
#: Steps of these fits (L-BFGS).
_STEPS = 60
#: An image of so large a fidelity with the state is the same state.
_SAME = 0.9


class Image(NamedTuple):
    """A mirror image of a state.

    Attributes:
        vector: its amplitudes [2^N].
        fidelity: with the state.
        sites: of which it is the image; empty for all, or if it is no image.
    """

    vector: Complex128
    fidelity: float
    sites: tuple[int, ...] = ()


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
    """Return the image of least fidelity of those within so many nats of a state on all shots.

    Images of some sites are those of `partial_images`.
    """
    least = vector_log_likelihood(psi, data) - nats / data.shots.sum()
    likely = (
        Image(image, fidelity(psi, image))
        for image in mirror_images(psi, data.bases)
        if vector_log_likelihood(image, data) > least
    )
    images = [*likely, *partial_images(psi, data, nats)]
    return min(images, key=lambda image: image.fidelity, default=None)


def partial_images(psi: Complex128, data: BasisFrequencies, nats: float) -> Iterator[Image]:
    """Yield other states, of a fidelity below 0.9, that are images of some sites and as likely.

    The state is nearly a product of these sites and the others. Fits of the two differ by the noise
    of what no product has, in k = 2 (2^N - 1) - 2 (2^a - 1) - 2 (2^b - 1) directions for a and b
    sites: images count within sqrt(2 k) nats more, as half the difference of two chi-squared has a
    standard deviation of at most sqrt(k).
    """
    shots, sites = float(data.shots.sum()), len(data.bases[0])
    fitted: Complex128 | None = None
    for block in blocks(psi):
        inner, outer, product = nearest_product(psi, block)
        if fidelity(psi, product) < _PRODUCT:
            continue
        measured = ["".join(basis[site] for site in block) for basis in data.bases]
        of_others = 2.0 ** (sites - len(block))
        free = 2 * (2.0**sites - 2.0 ** len(block) - of_others + 1)
        margin = (nats + np.sqrt(2 * free)) / shots
        least = vector_log_likelihood(product, data) - margin
        for image in mirror_images(inner, measured):
            begin = joined(image, outer, block)
            if fidelity(begin, product) >= _SAME or vector_log_likelihood(begin, data) < least:
                continue
            fitted = likeliest_vector(psi, data) if fitted is None else fitted
            found = likeliest_vector(begin, data)
            below = vector_log_likelihood(fitted, data) - vector_log_likelihood(found, data)
            if below < margin and fidelity(fitted, found) < _SAME:
                yield Image(found, fidelity(fitted, found), block)


def likeliest_vector(psi: Complex128, data: BasisFrequencies) -> Complex128:
    """Return the amplitudes of most likelihood, [2^N], found from given ones uphill."""
    from scipy.optimize import minimize

    def objective(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        norm = float(np.linalg.norm(x))
        value, back = vector_slope(x.view(np.complex128) / norm, data)
        slope = 2 * (back - x.view(np.complex128) / norm) / norm
        return -value, -slope.view(np.float64)

    options = {"maxiter": _STEPS}
    found = minimize(objective, psi.view(np.float64), jac=True, method="L-BFGS-B", options=options)
    end: Complex128 = found.x.view(np.complex128)
    return end / np.linalg.norm(end)


def fidelity(one: Complex128, other: Complex128) -> float:
    """Return |<one|other>|^2 of normalised vectors."""
    return float(np.abs(np.vdot(one, other)) ** 2)
