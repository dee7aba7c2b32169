"""Parameters tied to symmetries of the state: all bits flipped, sites in another order.

log p~(v) = b.v + sum_j log(1 + exp(c_j + W_j.v)) is that of 1 - v if b_i = -sum_j W_ji / 2 and
c_j = -sum_i W_ji / 2: then no field acts on the spins 1 - 2 v. It is that of v with permuted sites
if permuting sites and hidden units leaves the parameters. Such parameters are a linear subspace
with the projector P. The gradient in it, P^T g, is that of data and model with all their images.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar, cast, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from psiprune.core.exceptions import InputError
from psiprune.rbm.geometry import nearest_distances
from psiprune.rbm.isometries import isometries, unit_images
from psiprune.rbm.likelihood import from_vector, to_vector
from psiprune.rbm.model import RBM
from psiprune.training.method import Method, SymmetryChoice, SymmetryName

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Float64 = NDArray[np.float64]
AnyMethod = TypeVar("AnyMethod", bound=Method)
#: Standard errors that shots of a symmetric state exceed in one of 10,000 sets, at 200 averages.
_CONTRADICTED = 5.0
#: Sites within this fraction of the least distance are neighbours: positions may be rounded.
_NEAR = 0.01


@dataclass(frozen=True, eq=False)
class Symmetry:
    """A symmetry of a state, for states and RBMs of any size or on sites with positions.

    Attributes:
        name: its name.
        isometries: permutations of sites [isometry, site], the first of which is the identity,
            for a lattice, with hidden units on the sites (`unit_images`); None without.
        neighbours: pairs of nearest sites [pair, 2] of a lattice.
    """

    name: SymmetryName
    isometries: NDArray[np.intp] | None = None
    neighbours: NDArray[np.intp] | None = None

    def __str__(self) -> str:
        """Return the name."""
        return self.name

    @property
    def flips(self) -> bool:
        """Whether all bits can be flipped."""
        return self.name.startswith("flip")

    @property
    def permutes(self) -> bool:
        """Whether sites can be permuted."""
        return self.name != "flip"

    def permutations(self, hidden: int, visible: int) -> tuple[NDArray[np.intp], ...]:
        """Return those of units [image, unit] and of sites [image, site]; the first change nothing.

        Raises:
            InputError: fewer hidden units than sites, on a lattice, or the numbers of sites differ.
        """
        if self.isometries is None:
            steps = (1, -1) if self.permutes else (1,)
            units, sites = (np.arange(number) for number in (hidden, visible))
            return np.array([units[::k] for k in steps]), np.array([sites[::k] for k in steps])
        if self.isometries.shape[1] != visible:
            raise InputError(
                f"symmetry: {self.name!r} is that of {self.isometries.shape[1]} positions, found "
                f"{visible} sites; give shots of these sites"
            )
        if hidden < visible:
            raise InputError(
                f"symmetry: {self.name!r} needs hidden units on all {visible} sites, found "
                f"{hidden}; use {visible} or a multiple (--hidden), or 'mirror'"
            )
        return unit_images(self.isometries, hidden), self.isometries


def symmetry_named(name: SymmetryName | None, positions: ArrayLike | None) -> Symmetry | None:
    """Return the symmetry of a name, for sites at these positions [site, axis].

    Raises:
        InputError: it is that of a lattice, and there are no positions.
    """
    if name is None or not name.endswith("lattice"):
        return None if name is None else Symmetry(name)
    from scipy.spatial.distance import cdist

    if positions is None:
        raise InputError(
            f"symmetry: {name!r} needs shots with the positions of the sites, which these lack; "
            "use 'mirror' for the order of sites reversed, or in Python "
            "Shots(bits, provenance={'positions': [[0, 0], [0, 1], ...]})"
        )
    table, nearest = nearest_distances(positions, len(np.asarray(positions, object)))
    found = isometries(table)
    if len(found) == 1:
        raise InputError(
            f"symmetry: {name!r} needs positions that a rotation or reflection maps onto each "
            f"other, but none does so with these {found.shape[1]}; omit it, or use 'flip'"
        )
    spacing = float(np.min(nearest))
    pairs = np.argwhere(np.triu(cdist(table, table) < (1 + _NEAR) * spacing, 1))
    return Symmetry(name, found, pairs)


def weight_images(mask: NDArray[np.bool_], symmetry: Symmetry) -> NDArray[np.intp]:
    """Return the places of the weights' images [image, weight], in the order of the weights.

    Raises:
        InputError: a weight of the mask [hidden, visible] has no image in it.
    """
    unit, site = np.nonzero(mask)
    place = np.full(mask.shape, -1)
    place[mask] = np.arange(len(unit))
    units, sites = symmetry.permutations(*mask.shape)
    images: NDArray[np.intp] = place[units[:, unit], sites[:, site]]
    alone = int(np.count_nonzero((images < 0).any(axis=0)))
    if not alone:
        return images
    if symmetry.isometries is None:
        raise InputError(
            "symmetry: 'mirror' needs a mask that is the same with sites and hidden units "
            f"reversed, found {alone} weights without their image; use 'flip', a "
            "scale-free mask of an even number of weights (--weights), or in Python "
            "mask | mask[::-1, ::-1]"
        )
    raise InputError(
        f"symmetry: {symmetry.name!r} needs a mask that is the same under its {len(images)} "
        f"permutations of sites, found {alone} weights without all their images; use a mask of "
        "near sites with --links and the positions (psiprune mask nearest), all weights, or 'flip'"
    )


def projector(mask: NDArray[np.bool_], symmetry: Symmetry | None) -> csr_array | None:
    """Return P [parameter, parameter], in the order of `fisher_matrix`; None without a symmetry.

    Raises:
        InputError: a weight of the mask [hidden, visible] has no image in it.
    """
    if symmetry is None:
        return None
    from scipy.sparse import csr_array, eye_array

    hidden, visible = mask.shape
    unit, site = np.nonzero(mask)
    weight, total = np.arange(len(unit)), len(unit) + visible + hidden
    result = eye_array(total, format="csr")
    if symmetry.permutes:
        units, sites = symmetry.permutations(hidden, visible)
        layers = weight_images(mask, symmetry), len(unit) + sites, len(unit) + visible + units
        image = np.hstack(layers)
        row = np.broadcast_to(np.arange(total), image.shape)
        value = np.full(image.size, 1.0 / len(image))
        result = csr_array((value, (row.ravel(), image.ravel())), shape=(total, total))
    if symmetry.flips:
        row = np.concatenate([weight, len(unit) + site, len(unit) + visible + unit])
        value = np.repeat([1.0, -0.5, -0.5], len(unit))
        result = csr_array((value, (row, np.tile(weight, 3))), shape=(total, total)) @ result
    return result


def orbits_of(mask: NDArray[np.bool_], symmetry: Symmetry | None) -> NDArray[np.intp]:
    """Return the lowest place of an image of each weight, the same for all its images, [weight]."""
    if symmetry is None:
        return np.arange(np.count_nonzero(mask))
    lowest: NDArray[np.intp] = weight_images(mask, symmetry).min(axis=0)
    return lowest


def free_parameters(mask: NDArray[np.bool_], symmetry: Symmetry | None) -> int:
    """Return the number of parameters that a training varies independently, the rank of P."""
    tie = projector(mask, symmetry)
    return int(mask.sum()) + sum(mask.shape) if tie is None else round(tie.trace())


def trained_parameters(rbm: RBM, positions: ArrayLike | None) -> int:
    """Return the number of parameters that the training of an RBM varied independently.

    Those of hidden units without weights do not count. It is that of all parameters of the others
    unless the training tied them, which the provenance of the RBM says.

    Args:
        rbm: with the provenance of its training.
        positions: of the sites, [site, axis], where they are known.
    """
    name = rbm.provenance.get("symmetry")
    if name not in get_args(SymmetryName):
        return rbm.compact().number_of_parameters
    symmetry = symmetry_named(cast(SymmetryName, name), positions)
    tie = projector(rbm.mask, symmetry)
    assert tie is not None
    linked = rbm.mask.any(axis=1)
    counts = np.concatenate([np.ones(rbm.number_of_weights + rbm.visible), linked])
    return round(float(tie.diagonal() @ counts))


def symmetry_of(method: Method, positions: ArrayLike | None) -> Symmetry | None:
    """Return the symmetry to which a method ties parameters; None for one without the field.

    Args:
        method: the method.
        positions: of the sites of the shots, [site, axis], where they are known.

    Raises:
        InputError: it is "found", but nothing has looked for it, or it requires positions.
    """
    name: SymmetryChoice | None = getattr(method, "symmetry", None)
    if name == "found":
        raise InputError(
            "symmetry: 'found' works in train and reconstruct, and in pruning afterwards; name the "
            "symmetry: flip, mirror, flip-mirror, lattice or flip-lattice"
        )
    return symmetry_named(name, positions)


def with_symmetry_of(method: AnyMethod, rbm: RBM) -> AnyMethod:
    """Return a method with the symmetry that an RBM was trained with in place of "found"."""
    if getattr(method, "symmetry", None) != "found":
        return method
    trained = rbm.provenance.get("symmetry")
    update = {"symmetry": trained if trained in get_args(SymmetryName) else None}
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

    Tested are <Z_i> = 0 for a flip, and <Z_i> and <Z_i Z_k> of neighbours (on a lattice nearest
    sites, else i and i + 1) against the mean of their images, for independent shots; the line
    states the largest deviation above 5 standard errors.
    """
    if symmetry is None:
        return ""
    spins = 1.0 - 2.0 * bits.astype(np.float32)
    neighbours = symmetry.neighbours
    if neighbours is None:
        neighbours = np.arange(spins.shape[1] - 1)[:, None] + np.arange(2)
    site = [f"<Z> of site {k}" for k in range(spins.shape[1])]
    bond = ["<Z Z> of sites {} and {}".format(*pair) for pair in neighbours]
    zero = [(site, "0", spins)] if symmetry.flips else []
    if symmetry.permutes:
        _, sites = symmetry.permutations(spins.shape[1], spins.shape[1])
        image = "its mirror image" if symmetry.isometries is None else "the mean of its images"
        # One image after the other, as all of them may not fit in memory.
        one, other = neighbours.T
        bonds = (spins[:, to[one]] * spins[:, to[other]] for to in [sites[0], *sites])
        zero.append((site, image, len(sites) * spins - sum(spins[:, to] for to in sites)))
        zero.append((bond, image, len(sites) * next(bonds) - sum(bonds)))
    most, line = _CONTRADICTED, ""
    for names, expected, values in zero:
        # The variance of a bit that changed in no shot, were it to change in the next one.
        spread = np.sqrt(values.var(axis=0) + 1.0 / len(bits))
        deviation = np.abs(values.mean(axis=0)) / spread * np.sqrt(len(bits))
        for k in np.flatnonzero(deviation == deviation.max(initial=0.0))[:1]:
            if deviation[k] > most:
                most = float(deviation[k])
                line = (
                    f"the shots contradict symmetry {symmetry.name!r}: {names[k]} "
                    f"differs from {expected} by {most:.1f} standard errors; train without it"
                )
    return line
