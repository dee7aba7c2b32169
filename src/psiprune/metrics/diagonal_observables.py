"""Ready-made observables by name: order parameters, S(k), walls, distributions, entropies.

Bit 0 is Z = +1, bit 1 is Z = -1; n_i = (1 - Z_i) / 2 is bit i, 1 in the Rydberg state. Sites are
those of an open chain; those of `spatial_observables` may have positions.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.metrics.bits_observable import BitsObservable
from psiprune.metrics.entropy_observable import EntropyObservable
from psiprune.metrics.pauli_observable import PauliObservable
from psiprune.metrics.spatial_observables import (
    Layout,
    blockade_violations,
    g2,
    layout_of,
    structure_factor,
)
from psiprune.states.hamiltonian import Hamiltonian, Positions

Float64 = NDArray[np.float64]
Bits = NDArray[np.uint8]
_CALL = re.compile(r"\s*([A-Za-z]\w*)\s*(?:\(\s*([^()]*?)\s*\))?\s*")
#: X0, Z_i: begins Pauli strings.
_LETTER = re.compile(r"[A-Za-z]_?(?:\d+|i)?")
#: X0Z1, Z_0Z_1: Pauli strings without blanks.
_JOINED = re.compile(r"(?:[XYZ]_?\d+){2,}")


#: What a name stands for.
NamedObservable = BitsObservable | PauliObservable | EntropyObservable


def named_observable(
    text: str, sites: int, positions: Positions | None = None
) -> NamedObservable | None:
    """Return the observable of a name, or of name(argument); None if the text is neither.

    - staggered_magnetization: sum_i (-1)^i <Z_i> / N.
    - z2_order: <|sum_i (-1)^i Z_i|> / N, 1 in both states of perfect Z2 (Neel) order.
    - structure_factor, structure_factor(k): S(k) = <|sum_j e^(ikj) Z_j|^2> / N at k = 2 pi n / N
      from 0 to pi, or at one k, a number or such as pi, pi/2 or 0.3pi; with positions r_j
      structure_factor(kx,ky), <|sum_j e^(ik.r_j) Z_j|^2> / N.
    - domain_wall_density, domain_wall_density(z2): mean over the bonds of the probability that
      neighbours differ; with z2, that they agree, which are the walls of Z2 order.
    - domain_wall_distribution, domain_wall_distribution(z2): P(number of these bonds), the full
      counting statistics.
    - blockade_violations, blockade_violations(r): <sum n_i n_j> over pairs at a distance of up to
      r; r = 1 if not given.
    - g2: mean of <n_i n_j> - <n_i><n_j> over pairs at a distance d, for d = 1 .. N/2; with
      positions up to half the largest distance.
    - block_magnetization(L): P(number of 1 bits) in L neighbouring sites, mean over all such
      blocks; the magnetization of the block is 1 - 2 ones / L.
    - entropy, renyi2, entropy(c), renyi2(c): von Neumann and Renyi-2 entanglement entropy in nats
      of the first c sites with the others; c = N // 2 if not given.

    Args:
        text: the name.
        sites: N.
        positions: of the sites, in any unit; distances are in units of the smallest one, and k in
            its inverse. None for a chain.

    Raises:
        InputError: the name is unknown, or the argument is missing or invalid.
    """
    call = _CALL.fullmatch(text)
    if call is None:
        return None
    name, argument = call[1], call[2]
    if name not in _NAMES:
        if _LETTER.fullmatch(name):
            return None
        if _JOINED.fullmatch(name):
            apart = re.sub(r"(?<=\d)(?=[XYZ])", " ", name)
            raise InputError(
                f"observable: letters need blanks between them, found {text.strip()!r}; write "
                f"{apart!r}"
            )
        (nearest,) = difflib.get_close_matches(name, _NAMES, n=1, cutoff=0.0)
        raise InputError(
            f"observable: must be Pauli strings such as 'X0 X3', FILE.py:function, or one of "
            f"{', '.join(_NAMES)}, found {text.strip()!r}; did you mean {nearest}?"
        )
    if sites < 2:
        raise InputError(f"observable: {name} needs at least 2 sites, found {sites}")
    if name in _IN_SPACE:
        return _IN_SPACE[name](name, argument or None, layout_of(sites, positions))
    return _IN_A_CHAIN[name](name, argument or None, sites)


def _staggered(name: str, argument: str | None, sites: int) -> PauliObservable:
    _no_argument(name, argument)
    terms = [((-1.0) ** i / sites, {i: "Z"}) for i in range(sites)]
    return PauliObservable(Hamiltonian(terms, sites))


def _z2_order(name: str, argument: str | None, sites: int) -> BitsObservable:
    _no_argument(name, argument)
    return BitsObservable(_abs_staggered)


def _abs_staggered(bits: Bits, _: Float64) -> Float64:
    signs = (-1.0) ** np.arange(bits.shape[1])
    return np.abs(signs.sum() - 2.0 * (bits @ signs)) / bits.shape[1]


def _density(name: str, argument: str | None, sites: int) -> PauliObservable:
    sign = -1.0 if _is_z2(name, argument) else 1.0
    bonds = [(-sign / (2 * (sites - 1)), {i: "Z", i + 1: "Z"}) for i in range(sites - 1)]
    return PauliObservable(Hamiltonian([(0.5, {}), *bonds], sites))


def _walls(name: str, argument: str | None, sites: int) -> BitsObservable:
    counted = _count_alike if _is_z2(name, argument) else _count_different
    return BitsObservable(counted, "walls", tuple(map(float, range(sites))))


def _count_different(bits: Bits, _: Float64) -> Float64:
    number = (bits[:, 1:] != bits[:, :-1]).sum(axis=1)
    return (number[:, None] == np.arange(bits.shape[1])).astype(np.float64)


def _count_alike(bits: Bits, _: Float64) -> Float64:
    number = (bits[:, 1:] == bits[:, :-1]).sum(axis=1)
    return (number[:, None] == np.arange(bits.shape[1])).astype(np.float64)


def _block(name: str, argument: str | None, sites: int) -> BitsObservable:
    if argument is None:
        raise InputError(f"observable: {name} needs the length of a block, such as {name}(4)")
    length = _count(name, "the length", argument, sites)
    return BitsObservable(
        partial(_ones_in_blocks, length), "ones", tuple(map(float, range(length + 1)))
    )


def _ones_in_blocks(length: int, bits: Bits, _: Float64) -> Float64:
    total = np.cumsum(np.pad(bits, ((0, 0), (1, 0))), axis=1, dtype=np.int32)
    ones = total[:, length:] - total[:, :-length]
    return np.stack([(ones == number).mean(axis=1) for number in range(length + 1)], axis=1)


def _entropy(name: str, argument: str | None, sites: int) -> EntropyObservable:
    cut = sites // 2 if argument is None else _count(name, "the cut", argument, sites - 1)
    return EntropyObservable("renyi2" if name == "renyi2" else "entropy", cut)


def _no_argument(name: str, argument: str | None) -> None:
    if argument is not None:
        raise InputError(f"observable: {name} takes no argument, found {argument!r}; omit it")


def _is_z2(name: str, argument: str | None) -> bool:
    if argument not in (None, "z2"):
        raise InputError(f"observable: {name} takes z2 or no argument, found {argument!r}")
    return argument == "z2"


def _count(name: str, what: str, argument: str, most: int) -> int:
    if not argument.isdecimal() or not 1 <= int(argument) <= most:
        raise InputError(
            f"observable: {name}: {what} must be an integer from 1 to {most}, found {argument!r}"
        )
    return int(argument)


_IN_A_CHAIN: dict[str, Callable[[str, str | None, int], NamedObservable]] = {
    "staggered_magnetization": _staggered,
    "z2_order": _z2_order,
    "domain_wall_density": _density,
    "domain_wall_distribution": _walls,
    "block_magnetization": _block,
    "entropy": _entropy,
    "renyi2": _entropy,
}
_IN_SPACE: dict[str, Callable[[str, str | None, Layout], NamedObservable]] = {
    "structure_factor": structure_factor,
    "blockade_violations": blockade_violations,
    "g2": g2,
}
_NAMES = (*_IN_A_CHAIN, *_IN_SPACE)
