"""Other states that give the same outcomes in all bases measured: mirror images of a state.

P psi* with a Pauli operator P_i on each site gives a Pauli string the mean of psi with a minus for
each letter that P K reverses: without P_i that is Y, for Z it is X, for X it is Z. Where each site
lacks such a letter in all bases, both states have the same outcomes in all of them. No small change
leads from one to the other, so the Fisher information does not show it, and independent fits do
only if they happen to find both.

Of a state that is a product of two parts each part has such images on its own.
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
    for letter in "YXZ":
        lacks = (
            next((each for each in "YXZ" if each not in measured), letter)
            for measured in zip(*bases, strict=True)
        )
        yield _reversed(psi, "".join(lacks))


def _reversed(psi: Complex128, letters: str) -> Complex128:
    """Return P psi* [2^N], which reverses one letter on each site."""
    index, signs, flips = np.arange(len(psi)), np.ones(len(psi)), 0
    for site, letter in enumerate(letters):
        if letter == "X":
            signs *= 1.0 - 2.0 * (index >> site & 1)
        elif letter == "Z":
            flips |= 1 << site
    return np.asarray(signs * psi.conj()[index ^ flips])


def part_images(psi: Complex128, bases: Sequence[str]) -> Iterator[tuple[Complex128, int]]:
    """Yield images [2^N] of the product state next to a state, with one part of it reversed.

    The parts are single sites and the sites on each side of a cut, if the bases lack a letter on
    each of their sites. With each comes 2 (2^A - 1)(2^B - 1), by how many parameters the states of
    both parts, A and B sites, outnumber their products.
    """
    sites = len(bases[0])
    lacks = [next((x for x in "YXZ" if x not in each), "") for each in zip(*bases, strict=True)]
    parts: set[tuple[int, ...]] = {(site,) for site in range(sites)}
    for cut in range(1, sites):
        parts |= {tuple(range(cut)), tuple(range(cut, sites))}
    # Axes of the tensor: the last is site 0.
    tensor = psi.reshape((2,) * sites)
    for part in sorted(parts):
        if len(part) == sites or not all(lacks[site] for site in part):
            continue
        axes = [sites - 1 - site for site in part[::-1]]
        rest = [axis for axis in range(sites) if axis not in axes]
        table = tensor.transpose(axes + rest).reshape(2 ** len(part), -1)
        left, _, right = np.linalg.svd(table, full_matrices=False)
        letters = "".join(lacks[site] for site in part)
        image = np.outer(_reversed(left[:, 0], letters), right[0]).reshape((2,) * sites)
        order = np.argsort(axes + rest)
        yield image.transpose(order).ravel(), 2 * (2 ** len(part) - 1) * (len(right[0]) - 1)


def likely_image(
    psi: Complex128, data: BasisFrequencies, nats: float, parameters: int = 0
) -> Image | None:
    """Return the image of least fidelity of those as likely as a state on all shots.

    Images of the state are as likely within so many nats. A part of it has images if a product
    state is as likely as its fit: within the nats by which k more parameters raise the likelihood
    by chance, of mean k / 2 and variance k / 2 (Wilks), and three standard deviations.

    Args:
        psi: the state [2^N], fitted to the shots.
        data: the shots.
        nats: see above.
        parameters: of the fit, the most that k can be.
    """
    found, shots = vector_log_likelihood(psi, data), data.shots.sum()
    images = [(image, nats) for image in mirror_images(psi, data.bases)]
    for image, more in part_images(psi, data.bases):
        half = min(more, parameters) / 2
        images.append((image, nats + half + 3 * np.sqrt(half)))
    likely = (
        Image(image, float(np.abs(np.vdot(psi, image)) ** 2))
        for image, allowed in images
        if (found - vector_log_likelihood(image, data)) * shots < allowed
    )
    return min(likely, key=lambda image: image.fidelity, default=None)
