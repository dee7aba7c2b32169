"""Ready-made observables by name: order parameters, S(k), walls, distributions, entropies.

Bit 0 is Z = +1, bit 1 is Z = -1; n_i = (1 - Z_i) / 2 is bit i, 1 in the Rydberg state. Sites are
those of an open chain.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.metrics.entropy_observable import EntropyObservable
from psiprune.metrics.pauli_observable import PauliObservable
from psiprune.states.hamiltonian import Hamiltonian

Float64 = NDArray[np.float64]
Bits = NDArray[np.uint8]
_CALL = re.compile(r"\s*([A-Za-z]\w*)\s*(?:\(\s*([^()]*?)\s*\))?\s*")
#: X0, Z_i: begins Pauli strings.
_LETTER = re.compile(r"[A-Za-z]_?(?:\d+|i)?")
_PI = re.compile(r"(\d*\.?\d*)\s*\*?\s*pi(?:\s*/\s*(\d+\.?\d*))?")


@dataclass(frozen=True)
class BitsObservable:
    """A function of bits whose mean is the observable.

    Attributes:
        function: bits [shot, site] and the mean of each bit [site] -> [shot] or [shot, value].
        dimension: what distinguishes the values, such as k; empty for a scalar.
        coordinates: of the values.
    """

    function: Callable[[Bits, Float64], Float64]
    dimension: str = ""
    coordinates: tuple[float, ...] = ()

    def __call__(self, bits: Bits) -> Float64:
        """Return the values of shots, bits [shot, site] -> [shot] or [shot, value]."""
        return self.function(bits, bits.mean(axis=0))


#: What a name stands for.
NamedObservable = BitsObservable | PauliObservable | EntropyObservable


def named_observable(text: str, sites: int) -> NamedObservable | None:
    """Return the observable of a name, or of name(argument); None if the text is neither.

    - staggered_magnetization: sum_i (-1)^i <Z_i> / N.
    - z2_order: <|sum_i (-1)^i Z_i|> / N, 1 in both states of perfect Z2 (Neel) order.
    - structure_factor, structure_factor(k): S(k) = <|sum_j e^(ikj) Z_j|^2> / N at k = 2 pi n / N
      from 0 to pi, or at one k, a number or such as pi, pi/2 or 0.3pi.
    - domain_wall_density, domain_wall_density(z2): mean over the bonds of the probability that
      neighbours differ; with z2, that they agree, which are the walls of Z2 order.
    - domain_wall_distribution, domain_wall_distribution(z2): P(number of these bonds), the full
      counting statistics.
    - blockade_violations, blockade_violations(r): <sum n_i n_j> over pairs with 1 <= j - i <= r;
      r = 1 if not given.
    - g2: mean over i of <n_i n_{i+d}> - <n_i><n_{i+d}>, at d = 1 .. N/2.
    - block_magnetization(L): P(number of 1 bits) in L neighbouring sites, mean over all such
      blocks; the magnetization of the block is 1 - 2 ones / L.
    - entropy, renyi2, entropy(c), renyi2(c): von Neumann and Renyi-2 entanglement entropy in nats
      of the first c sites with the others; c = N // 2 if not given.

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
        (nearest,) = difflib.get_close_matches(name, _NAMES, n=1, cutoff=0.0)
        raise InputError(
            f"observable: must be Pauli strings such as 'X0 X3', FILE.py:function, or one of "
            f"{', '.join(_NAMES)}, found {text.strip()!r}; did you mean {nearest}?"
        )
    if sites < 2:
        raise InputError(f"observable: {name} needs at least 2 sites, found {sites}")
    return _NAMES[name](name, argument or None, sites)


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


def _structure(name: str, argument: str | None, sites: int) -> BitsObservable:
    if argument is None:
        k = 2 * math.pi * np.arange(sites // 2 + 1) / sites
        return BitsObservable(_structure_factors, "k", tuple(k.tolist()))
    return BitsObservable(partial(_structure_factor, _wave_number(name, argument)))


def _structure_factors(bits: Bits, _: Float64) -> Float64:
    return np.abs(np.fft.rfft(1.0 - 2.0 * bits, axis=1)) ** 2 / bits.shape[1]


def _structure_factor(k: float, bits: Bits, _: Float64) -> Float64:
    sites, z = bits.shape[1], 1.0 - 2.0 * bits
    phases = k * np.arange(sites)
    return ((z @ np.cos(phases)) ** 2 + (z @ np.sin(phases)) ** 2) / sites


def _wave_number(name: str, argument: str) -> float:
    written = argument.removeprefix("k").removeprefix("=").strip() if "=" in argument else argument
    try:
        if (multiple := _PI.fullmatch(written)) is not None:
            return float(multiple[1] or 1) * math.pi / float(multiple[2] or 1)
        value = float(written)
    except (ValueError, ZeroDivisionError):
        value = math.nan
    if not math.isfinite(value):
        raise InputError(
            f"observable: {name}: k must be a number or such as pi/2, found {argument!r}"
        )
    return value


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


def _blockade(name: str, argument: str | None, sites: int) -> PauliObservable:
    reach = 1 if argument is None else _count(name, "r", argument, sites - 1)
    terms: list[tuple[float, dict[int, str]]] = []
    for d in range(1, reach + 1):
        for i in range(sites - d):
            terms += [(0.25, {}), (-0.25, {i: "Z"}), (-0.25, {i + d: "Z"})]
            terms.append((0.25, {i: "Z", i + d: "Z"}))
    return PauliObservable(Hamiltonian(terms, sites))


def _g2(name: str, argument: str | None, sites: int) -> BitsObservable:
    _no_argument(name, argument)
    return BitsObservable(_density_correlations, "d", tuple(map(float, range(1, sites // 2 + 1))))


def _density_correlations(bits: Bits, mean: Float64) -> Float64:
    """Return products of fluctuations, whose mean is the connected correlation."""
    fluctuation, sites = bits - mean, bits.shape[1]
    return np.column_stack(
        [
            np.einsum("si,si->s", fluctuation[:, :-d], fluctuation[:, d:]) / (sites - d)
            for d in range(1, sites // 2 + 1)
        ]
    )


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


_NAMES: dict[str, Callable[[str, str | None, int], NamedObservable]] = {
    "staggered_magnetization": _staggered,
    "z2_order": _z2_order,
    "structure_factor": _structure,
    "domain_wall_density": _density,
    "domain_wall_distribution": _walls,
    "blockade_violations": _blockade,
    "g2": _g2,
    "block_magnetization": _block,
    "entropy": _entropy,
    "renyi2": _entropy,
}
