"""Ready-made observables by wave vector or distance of sites: S(k), g2, blockade violations.

Sites are those of an open chain, at 0, 1, ..., or have positions [site, axis], whose unit is the
smallest distance of two sites.
"""

from __future__ import annotations

import math
import re
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.validation import as_count
from psiprune.metrics.bits_observable import BitsObservable
from psiprune.metrics.pauli_observable import PauliObservable
from psiprune.states.hamiltonian import Hamiltonian

Float64 = NDArray[np.float64]
Index = NDArray[np.intp]
Bits = NDArray[np.uint8]
_PI = re.compile(r"(-?\s*\d*\.?\d*)\s*\*?\s*pi(?:\s*/\s*(\d+\.?\d*))?")
_DECIMALS = 6  # distances that are equal but for rounding errors are one
#: Most distances of g2; sites without order have one for each pair.
_MOST_DISTANCES = 64
#: Shots at a time. Memory: a float64 for each of them and each pair of a distance.
_CHUNK = 4096


class Layout(NamedTuple):
    """Where sites are.

    Attributes:
        positions: [site, axis], in units of the smallest distance.
        chain: whether they are 0, 1, ..., N - 1 on one axis.
    """

    positions: Float64
    chain: bool

    @property
    def pairs(self) -> tuple[Index, Index, Float64]:
        """The sites i < j of all pairs and their distances, each [pair]."""
        i, j = np.triu_indices(len(self.positions), 1)
        squared = np.zeros(len(i))  # not [pair, axis]
        for axis in self.positions.T:
            squared += (axis[i] - axis[j]) ** 2
        return i, j, np.sqrt(squared).round(_DECIMALS)


def layout_of(sites: int, positions: tuple[tuple[float, ...], ...] | None) -> Layout:
    """Return where sites are: at the positions of their Hamiltonian, or in a chain."""
    from scipy.spatial.distance import pdist

    if positions is None or sites < 2:
        return Layout(np.arange(sites, dtype=np.float64)[:, None], True)
    table = np.array(positions, np.float64)
    return Layout(table / pdist(table).min(), False)  # before rounding, as it may be in metres


def structure_factor(name: str, argument: str | None, layout: Layout) -> BitsObservable:
    """Return S(k) at one k, or for a chain at k = 2 pi n / N from 0 to pi."""
    sites, axes = layout.positions.shape
    if argument is not None:
        written = argument.split("=")[-1] if re.match(r"\s*k\s*=", argument) else argument
        k = np.array([[_wave_number(name, part) for part in written.split(",")]])
        if k.shape[1] != axes:
            raise InputError(
                f"observable: {name} needs {axes} wave number{'s, kx,ky,' * (axes > 1)} for these "
                f"sites, found {argument!r}"
            )
        return _structure(layout.positions @ k.T, "", ())
    if axes > 1:
        raise InputError(
            f"observable: {name} needs a wave vector where sites have {axes} coordinates, such as "
            f"{name}(pi,0)"
        )
    along = 2 * math.pi * np.arange(sites // 2 + 1) / sites
    return _structure(layout.positions * along, "k", tuple(along.tolist()))


class _Waves(NamedTuple):
    """e^(ik.r), cosines and sines [site, k]; `several` if S(k) is an array."""

    cosines: Float64
    sines: Float64
    several: bool

    def of_bits(self, bits: Bits, _: Float64) -> Float64:
        z = 1.0 - 2.0 * bits
        return self._shaped(((z @ self.cosines) ** 2 + (z @ self.sines) ** 2) / bits.shape[1])

    def of_pairs(self, zz: Float64, _: Float64) -> Float64:
        products = self.cosines * (zz @ self.cosines) + self.sines * (zz @ self.sines)
        # Rounding may make an S(k) of 0 negative.
        return self._shaped(np.maximum(products.sum(axis=0), 0.0) / len(zz))

    def _shaped(self, values: Float64) -> Float64:
        return values if self.several else np.asarray(values[..., 0])


def _structure(phases: Float64, dimension: str, at: tuple[float, ...]) -> BitsObservable:
    """Return S(k) for the phases k.r [site, k]."""
    waves = _Waves(np.cos(phases), np.sin(phases), bool(dimension))
    return BitsObservable(waves.of_bits, dimension, at, waves.of_pairs)


def _wave_number(name: str, written: str) -> float:
    try:
        if (multiple := _PI.fullmatch(written.strip())) is not None:
            factor = multiple[1].replace(" ", "")
            value = float(factor + "1" if factor in ("", "-") else factor)
            return value * math.pi / float(multiple[2] or 1)
        value = float(written)
    except (ValueError, ZeroDivisionError):
        value = math.nan
    if not math.isfinite(value):
        raise InputError(
            f"observable: {name}: k must be a number or such as pi/2, found {written!r}"
        )
    return value


def g2(name: str, argument: str | None, layout: Layout) -> BitsObservable:
    """Return the density-density correlation by distance, to N / 2 or half the largest distance."""
    if argument is not None:
        raise InputError(f"observable: {name} takes no argument, found {argument!r}; omit it")
    i, j, distance = layout.pairs
    most = len(layout.positions) // 2 if layout.chain else max(1.0, distance.max() / 2)
    distances = np.unique(distance[distance <= most])[:_MOST_DISTANCES]
    pairs = [(i[distance == d], j[distance == d]) for d in distances]
    at = tuple(distances.tolist())
    return BitsObservable(partial(_g2_of_bits, pairs), "d", at, partial(_g2_of_pairs, pairs))


def _g2_of_bits(pairs: list[tuple[Index, Index]], bits: Bits, mean: Float64) -> Float64:
    """Return products of fluctuations, whose mean is the connected correlation."""
    values = np.empty((len(bits), len(pairs)))
    for first in range(0, len(bits), _CHUNK):
        rows = slice(first, first + _CHUNK)
        fluctuation = bits[rows] - mean
        for k, (i, j) in enumerate(pairs):
            products = np.einsum("sp,sp->s", fluctuation[:, i], fluctuation[:, j])
            values[rows, k] = products / len(i)
    return values


def _g2_of_pairs(pairs: list[tuple[Index, Index]], zz: Float64, z: Float64) -> Float64:
    connected = (zz - np.outer(z, z)) / 4  # n = (1 - Z) / 2
    return np.array([connected[i, j].mean() for i, j in pairs])


def blockade_violations(name: str, argument: str | None, layout: Layout) -> PauliObservable:
    """Return the number of excited pairs at a distance of up to r, 1 if not given."""
    i, j, distance = layout.pairs
    reach = 1.0 if argument is None else _reach(name, argument, layout, float(distance.max()))
    terms: list[tuple[float, dict[int, str]]] = []
    for a, b in zip(i[distance <= reach].tolist(), j[distance <= reach].tolist(), strict=True):
        terms += [(0.25, {}), (-0.25, {a: "Z"}), (-0.25, {b: "Z"}), (0.25, {a: "Z", b: "Z"})]
    return PauliObservable(Hamiltonian(terms, len(layout.positions)))


def _reach(name: str, argument: str, layout: Layout, most: float) -> float:
    try:
        value = float(argument)
    except ValueError:
        value = math.nan
    whole = not layout.chain or (value.is_integer() and as_count(int(value)) is not None)
    if not (math.isfinite(value) and 1 <= value <= most and whole):
        kind = "an integer" if layout.chain else "a number"
        raise InputError(
            f"observable: {name}: r must be {kind} from 1 to {most:.6g}, found {argument!r}"
        )
    return round(value, _DECIMALS)
