"""The symmetry of a chain that measured shots support, to tie the parameters of an RBM to it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from psiprune.data.shots import Shots, ShotsLike, as_shots, without_readout_error
from psiprune.rbm.edges import sigmoid
from psiprune.rbm.init import local_rbm
from psiprune.rbm.masks import Mask
from psiprune.rbm.model import RBM
from psiprune.training.method import Symmetry
from psiprune.training.symmetry import AnyMethod, contradicted_symmetry, tied

Float64 = NDArray[np.float64]
Float32 = NDArray[np.float32]
#: Shots of the covariance matrix, and of one product of matrices.
_COVARIANCE, _PIECE = 20_000, 8_192
#: Added to the variances of the averages, which are of the order of 0.1.
_RIDGE = 1e-4


def find_symmetry(
    shots: ShotsLike, hidden: int | None = None, mask: Mask | None = None
) -> Symmetry | None:
    """Return the symmetry that the shots of a chain support, or None.

    Tied parameters cannot fit what averages differ from their images. With a the vector of those
    differences, p of them, T^2 = n a.C^-1.a with C their covariance in one shot (Hotelling) is p on
    average if the state has the symmetry, and exceeds p by 2 n times the KL that the ties cost if
    it has not. Ties save p / (2 n) of KL, the noise of p parameters. So a symmetry is supported if

        T^2 <= 2 p,

    as by Akaike's criterion, and no single average contradicts it by 5 standard errors
    (`contradicted_symmetry`). The averages are those that an RBM fits, `<s_j v_i>` of its weights,
    `<v_i>` and `<s_j>`, with s_j = p(h_j = 1 | v) of untrained local weights. A symmetry can be
    broken by less than the shots show.

    Args:
        shots: Shots, bits [shot, site] or counts {"0101": 12}; sites numbered along the chain.
        hidden: number of hidden units (default: those of the mask, else half of the sites).
        mask: bool [hidden, site]; default: all weights. One that is not its own image with sites
            and hidden units reversed supports no mirror symmetry.

    Returns:
        "flip", "mirror", "flip-mirror" or None.

    Raises:
        InputError: an argument is invalid, or the shots carry readout errors.

    Source: Hotelling, Ann. Math. Stat. 2, 360 (1931); Akaike, IEEE Trans. Autom. Control 19, 716
    (1974).
    """
    data = without_readout_error(as_shots(shots), "the search for a symmetry")
    if mask is not None:
        hidden = len(mask) if hidden is None else hidden
    rbm = local_rbm(data, max(1, data.sites // 2) if hidden is None else hidden, 0, mask)
    flip = _supported(rbm, data, "flip")
    mirror = np.array_equal(rbm.mask, rbm.mask[::-1, ::-1])
    mirror = mirror and _supported(rbm, data, "flip-mirror" if flip else "mirror")
    if flip:
        return "flip-mirror" if mirror else "flip"
    return "mirror" if mirror else None


def with_found_symmetry(
    method: AnyMethod, shots: Shots, hidden: int | None, mask: Mask | None
) -> AnyMethod:
    """Return a method with the symmetry that the shots support in place of "found"."""
    if getattr(method, "symmetry", None) != "found":
        return method
    return method.model_copy(update={"symmetry": find_symmetry(shots, hidden, mask)})


def _supported(rbm: RBM, shots: Shots, symmetry: Symmetry) -> bool:
    """Return whether shots support a symmetry, "flip-mirror" if they support "flip"."""
    if contradicted_symmetry(shots.bits, symmetry):
        return False
    rbm = tied(rbm, symmetry)
    total, step = 0.0, max(1, len(shots) // _COVARIANCE)
    squares: Float64 | float = 0.0
    for first in range(0, len(shots), _PIECE):
        each = _differences(rbm, shots.bits[first : first + _PIECE], symmetry)
        total = total + each.sum(axis=1, dtype=np.float64)
        some = each[:, -first % step :: step]
        squares = squares + (some @ some.T).astype(np.float64)
    mean = total / len(shots)
    covariance = squares / -(-len(shots) // step)
    values, vectors = np.linalg.eigh(covariance)
    values = np.maximum(values, 0.0)
    along = vectors.T @ mean
    statistic = len(shots) * float(np.sum(along**2 / (values + _RIDGE)))
    return statistic <= 2.0 * float(np.sum(values / (values + _RIDGE)))


def _differences(rbm: RBM, bits: NDArray[np.uint8], symmetry: Symmetry) -> Float32:
    """Return what is 0 on average in a state with the symmetry, [difference, shot]."""
    v = bits.T.astype(np.float32) - np.float32(0.5)
    weights, bias = rbm.weights.astype(np.float32), rbm.hidden_bias.astype(np.float32)
    s = sigmoid(weights @ v + (bias + weights.sum(axis=1) / 2)[:, None]) - np.float32(0.5)
    if symmetry == "flip":
        return np.concatenate([v, s])
    unit, site = np.nonzero(rbm.mask)
    one = np.arange(len(unit) // 2)  # the image of weight k is the k-th from the end
    parts = [s[unit[one]] * v[site[one]] - s[unit[-1 - one]] * v[site[-1 - one]]]
    if symmetry == "mirror":
        for layer in (v, s):
            half = len(layer) // 2
            parts.append(layer[:half] - layer[: -half - 1 : -1])
    return np.concatenate(parts)
