"""The symmetry that measured shots support, to tie the parameters of an RBM to it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.data.shots import Shots, ShotsLike, as_shots, without_readout_error
from psiprune.rbm.edges import sigmoid
from psiprune.rbm.init import local_rbm
from psiprune.rbm.masks import Mask
from psiprune.rbm.model import RBM
from psiprune.training.method import SymmetryName
from psiprune.training.symmetry import (
    AnyMethod,
    Symmetry,
    contradicted_symmetry,
    orbits_of,
    symmetry_named,
    tied,
)

Float64 = NDArray[np.float64]
Float32 = NDArray[np.float32]
#: Shots of the covariance matrix, of one product of matrices, and averages of one test.
_COVARIANCE, _PIECE, _AVERAGES = 20_000, 8_192, 4_000
#: Fewest shots of the covariance matrix for each average.
_SHOTS_PER_AVERAGE = 5
#: Added to the variances of the averages, which are of the order of 0.1.
_RIDGE = 1e-4


def find_symmetry(
    shots: ShotsLike, hidden: int | None = None, mask: Mask | None = None
) -> SymmetryName | None:
    """Return the symmetry that the shots support, or None.

    Tied parameters cannot fit what averages differ from their images. With a the vector of those
    differences, p of them, T^2 = n a.C^-1.a with C their covariance in one shot (Hotelling) is p on
    average if the state has the symmetry, and exceeds p by 2 n times the KL that the ties cost if
    it has not. Ties save p / (2 n) of KL, the noise of p parameters. So a symmetry is supported if

        T^2 <= 2 p,

    as by Akaike's criterion, and no single average contradicts it by 5 standard errors
    (`contradicted_symmetry`). The averages are those that an RBM fits, `<s_j v_i>` of its weights,
    `<v_i>` and `<s_j>`, with s_j = p(h_j = 1 | v) of untrained local weights; at most 4,000 of the
    differences count. C is that of m shots, and its inverse is too large by m / (m - p), which is
    corrected. A symmetry can be broken by less than the shots show.

    The flip is tested first, then all isometries of the positions that the shots carry, if the
    hidden units are on all sites; where these are not supported, the reversed order of sites.

    Args:
        shots: Shots, bits [shot, site] or counts {"0101": 12}; sites without positions numbered
            along a chain.
        hidden: number of hidden units (default: those of the mask, else half of the sites).
        mask: bool [hidden, site]; default: all weights. One that is not its own image supports no
            symmetry but the flip.

    Returns:
        "flip", "mirror", "lattice", "flip-mirror", "flip-lattice" or None.

    Raises:
        InputError: an argument is invalid, or the shots carry readout errors.

    Source: Hotelling, Ann. Math. Stat. 2, 360 (1931); Akaike, IEEE Trans. Autom. Control 19, 716
    (1974).
    """
    data = without_readout_error(as_shots(shots), "the search for a symmetry")
    if mask is not None:
        hidden = len(mask) if hidden is None else hidden
    rbm = local_rbm(data, max(1, data.sites // 2) if hidden is None else hidden, 0, mask)
    flip: SymmetryName | None = "flip" if _supported(rbm, data, "flip") else None
    names: list[SymmetryName] = ["lattice"] if data.positions is not None else []
    for name in [*names, "mirror"]:
        both: SymmetryName = f"flip-{name}" if flip else name  # type: ignore[assignment]
        if _supported(rbm, data, both):
            return both
    return flip


def with_found_symmetry(
    method: AnyMethod, shots: Shots, hidden: int | None, mask: Mask | None
) -> AnyMethod:
    """Return a method with the symmetry that the shots support in place of "found"."""
    if getattr(method, "symmetry", None) != "found":
        return method
    return method.model_copy(update={"symmetry": find_symmetry(shots, hidden, mask)})


def _supported(rbm: RBM, shots: Shots, name: SymmetryName) -> bool:
    """Return whether shots support a symmetry, one with a flip if they support "flip"."""
    try:
        symmetry = symmetry_named(name, shots.positions)
        rbm = tied(rbm, symmetry)
    except InputError:  # positions, mask or the number of hidden units have not the symmetry
        return False
    assert symmetry is not None
    if contradicted_symmetry(shots.bits, symmetry):
        return False
    total, step = 0.0, max(1, len(shots) // _COVARIANCE)
    used = -(-len(shots) // step)
    pairs = _pairs(rbm, symmetry, max(1, min(_AVERAGES, used // _SHOTS_PER_AVERAGE)))
    squares: Float64 | float = 0.0
    for first in range(0, len(shots), _PIECE):
        each = _differences(rbm, shots.bits[first : first + _PIECE], pairs)
        total = total + each.sum(axis=1, dtype=np.float64)
        some = each[:, -first % step :: step]
        squares = squares + (some @ some.T).astype(np.float64)
    mean = total / len(shots)
    covariance = squares / used
    values, vectors = np.linalg.eigh(covariance)
    values = np.maximum(values, 0.0)
    along = vectors.T @ mean
    statistic = len(shots) * float(np.sum(along**2 / (values + _RIDGE)))
    expected = float(np.sum(values / (values + _RIDGE)))
    return statistic * (1.0 - expected / used) <= 2.0 * expected


def _pairs(rbm: RBM, symmetry: Symmetry, most: int) -> list[NDArray[np.intp]]:
    """Return pairs of images [2, pair]: of weights, of sites and of units; at most so many.

    Without a flip of all bits the means of bits and hidden units differ from their images, too.
    """
    units, sites = symmetry.permutations(*rbm.mask.shape)
    lowest = [orbits_of(rbm.mask, symmetry), sites.min(axis=0), units.min(axis=0)]
    every = [np.array([np.arange(len(each)), each]) for each in lowest]
    some = [each[:, each[0] != each[1]] for each in every[: 1 if symmetry.flips else 3]]
    step = max(1, -(-sum(pairs.shape[1] for pairs in some) // most))
    return [pairs[:, ::step] for pairs in some]


def _differences(rbm: RBM, bits: NDArray[np.uint8], pairs: list[NDArray[np.intp]]) -> Float32:
    """Return what is 0 on average in a state with the symmetry, [difference, shot].

    Without pairs that are the bits and hidden units themselves, for a flip.
    """
    v = bits.T.astype(np.float32) - np.float32(0.5)
    weights, bias = rbm.weights.astype(np.float32), rbm.hidden_bias.astype(np.float32)
    s = sigmoid(weights @ v + (bias + weights.sum(axis=1) / 2)[:, None]) - np.float32(0.5)
    if not pairs[0].size:
        return np.concatenate([v, s])
    unit, site = np.nonzero(rbm.mask)
    (one, image), *rest = pairs
    parts = [s[unit[one]] * v[site[one]] - s[unit[image]] * v[site[image]]]
    parts += [layer[one] - layer[image] for layer, (one, image) in zip((v, s), rest, strict=False)]
    return np.concatenate(parts)
