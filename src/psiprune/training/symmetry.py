"""Parameters tied to symmetries of the state: all bits flipped, the order of sites reversed.

log p~(v) = b.v + sum_j log(1 + exp(c_j + W_j.v)) is that of 1 - v if b_i = -sum_j W_ji / 2 and
c_j = -sum_i W_ji / 2: then no field acts on the spins 1 - 2 v. It is that of v reversed if
reversing sites and hidden units leaves the parameters. Such parameters are a linear subspace with
the projector P. The gradient in it, P^T g, is that of data and model with all their images.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.rbm.likelihood import from_vector, to_vector
from psiprune.rbm.model import RBM
from psiprune.training.method import Method, Symmetry, SymmetryChoice

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Float64 = NDArray[np.float64]
AnyMethod = TypeVar("AnyMethod", bound=Method)
#: Standard errors that shots of a symmetric state exceed in one of 10,000 sets, at 200 averages.
_CONTRADICTED = 5.0


def projector(mask: NDArray[np.bool_], symmetry: Symmetry | None) -> csr_array | None:
    """Return P [parameter, parameter], in the order of `fisher_matrix`; None without a symmetry.

    The image of the weight of unit j and site i is that of N_h - 1 - j and N - 1 - i.

    Raises:
        InputError: the mask [hidden, visible] is not the same with sites and hidden units reversed.
    """
    if symmetry is None:
        return None
    from scipy.sparse import csr_array, eye_array

    hidden, visible = mask.shape
    unit, site = np.nonzero(mask)
    weight, total = np.arange(len(unit)), len(unit) + visible + hidden
    result = eye_array(total, format="csr")
    if symmetry != "flip":
        alone = int(np.count_nonzero(mask & ~mask[::-1, ::-1]))
        if alone:
            raise InputError(
                "symmetry: 'mirror' needs a mask that is the same with sites and hidden units "
                f"reversed, found {alone} weights without their image; use 'flip', a "
                "scale-free mask of an even number of weights (--weights), or in Python "
                "mask | mask[::-1, ::-1]"
            )
        layers = np.split(np.arange(total), [len(unit), len(unit) + visible])
        image = np.concatenate([places[::-1] for places in layers])
        result = (result + result[image]) / 2.0
    if symmetry != "mirror":
        row = np.concatenate([weight, len(unit) + site, len(unit) + visible + unit])
        value = np.repeat([1.0, -0.5, -0.5], len(unit))
        result = csr_array((value, (row, np.tile(weight, 3))), shape=(total, total)) @ result
    return result


def images_of(weights: int, symmetry: Symmetry | None) -> NDArray[np.intp]:
    """Return the places of the weights' images [weight]: without a mirror each is its own."""
    place = np.arange(weights)
    return place if symmetry in (None, "flip") else place[::-1]


def free_parameters(mask: NDArray[np.bool_], symmetry: Symmetry | None) -> int:
    """Return the number of parameters that a training varies independently, the rank of P."""
    tie = projector(mask, symmetry)
    return int(mask.sum()) + sum(mask.shape) if tie is None else round(tie.trace())


def symmetry_of(method: Method) -> Symmetry | None:
    """Return the symmetry to which a method ties parameters; None for one without the field.

    Raises:
        InputError: it is "found", but nothing has looked for it.
    """
    symmetry: SymmetryChoice | None = getattr(method, "symmetry", None)
    if symmetry == "found":
        raise InputError(
            "symmetry: 'found' works in train, and in pruning of an RBM trained so; name the "
            "symmetry: flip, mirror or flip-mirror"
        )
    return symmetry


def with_symmetry_of(method: AnyMethod, rbm: RBM) -> AnyMethod:
    """Return a method with the symmetry that an RBM was trained with in place of "found"."""
    if getattr(method, "symmetry", None) != "found":
        return method
    trained = rbm.provenance.get("symmetry")
    update = {"symmetry": trained if trained in get_args(Symmetry) else None}
    return method.model_copy(update=update)


def tied(rbm: RBM, symmetry: Symmetry | None) -> RBM:
    """Return the RBM with the parameters P theta, which have the symmetry.

    Raises:
        InputError: the mask does not have it; see `projector`.
    """
    tie = projector(rbm.mask, symmetry)
    if tie is None:
        return rbm
    return replace(from_vector(rbm, tie @ to_vector(rbm)), provenance=rbm.provenance)


def restricted(matrix: Float64, tie: csr_array | None) -> Float64:
    """Return P^T M P + Q^T Q, with Q = 1 - P, for a symmetric M [parameter, parameter].

    Its solution x for a right side P^T b is in the subspace, P x = x, and there solves M x = b.
    """
    if tie is None:
        return matrix
    from scipy.sparse import eye_array

    off = eye_array(len(matrix), format="csr") - tie
    return np.ascontiguousarray(tie.T @ (tie.T @ matrix).T + off.T @ off)


def contradicted_symmetry(bits: NDArray[np.uint8], symmetry: Symmetry | None) -> str:
    """Return a line about the average over bits [shot, site] that a symmetry excludes, else "".

    Tested are <Z_i> = 0 for a flip, and <Z_i> and <Z_i Z_i+1> against their mirror images, each for
    independent shots; the line states the largest deviation above 5 standard errors.
    """
    if symmetry is None:
        return ""
    spins = 1.0 - 2.0 * bits.astype(np.float32)
    bonds = spins[:, :-1] * spins[:, 1:]
    site, bond, image = "<Z> of site {0}", "<Z Z> of sites {0} and {1}", "its mirror image"
    zero = [(site, "0", spins)] if symmetry != "mirror" else []
    if symmetry != "flip":
        zero += [(site, image, spins - spins[:, ::-1]), (bond, image, bonds - bonds[:, ::-1])]
    most, line = _CONTRADICTED, ""
    for name, expected, values in zero:
        # The variance of a bit that changed in no shot, were it to change in the next one.
        spread = np.sqrt(values.var(axis=0) + 1.0 / len(bits))
        deviation = np.abs(values.mean(axis=0)) / spread * np.sqrt(len(bits))
        for k in np.flatnonzero(deviation == deviation.max(initial=0.0))[:1]:
            if deviation[k] > most:
                most = float(deviation[k])
                line = (
                    f"the shots contradict symmetry {symmetry!r}: {name.format(k, k + 1)} differs "
                    f"from {expected} by {most:.1f} standard errors; train without it"
                )
    return line
