"""Observables of the true bits estimated from records alone, by inverting the confusion matrices.

With p(y) = sum_v C(y | v) p(v), any f(v) of one group of sites has the unbiased estimate
f'(y) = sum_v C^-1(v | y) f(v): E[f'(y)] = <f>, and for sites of different groups the product of
their estimates. For one site Z' = (Z - a) / b with b = 1 - p(1|0) - p(0|1) and
a = p(0|1) - p(1|0). Unlike a fit it assumes no model, but its variance grows with 1/b^2 for each
site (Bravyi et al., Phys. Rev. A 103, 042605 (2021)).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.random import Stream, derive_seed
from psiprune.data.dependence import Blocks
from psiprune.data.readout_error import ReadoutError
from psiprune.metrics.bootstrap import at_least_one_shot, bootstrap_means
from psiprune.metrics.observables import Estimate
from psiprune.states.hamiltonian import Hamiltonian
from psiprune.states.tfim import midpoint

Float64 = NDArray[np.float64]
Bits = NDArray[np.uint8]
#: What is estimated; names as in `ShotsReport`.
STATE_OBSERVABLES = ("magnetization", "neighbours", "correlation")
#: Resamples of the calibration; the error from it is accurate to 7 %.
_RATES = 100
#: Sites of all groups that a string touches, and strings of a sum. Memory: 2^14 numbers for each
#: string, and an index of each shot.
_MOST_BITS, _MOST_TERMS = 14, 400


@dataclass(frozen=True, eq=False, kw_only=True)
class CorrectedEstimate(Estimate):
    """An estimate from records with both parts of its `error`.

    Attributes:
        sampling_error: from the noise of the shots.
        rates_error: from that of the calibration.
    """

    sampling_error: Float64 | np.float64
    rates_error: Float64 | np.float64


class Inverted(NamedTuple):
    """Estimates from records, and the errors of all sites and pairs behind them.

    Errors [2, ...] are those from the noise of the shots and from that of the calibration.

    Attributes:
        estimates: by name.
        pairs: two sites each, neighbours first, then the site in the middle with all to its right.
        z: errors of <Z_i>, [2, site].
        products: errors of <Z_i Z_j>, [2, pair].
        joint: errors of `joint_prob`, [2, pair, 4].
    """

    estimates: dict[str, CorrectedEstimate]
    pairs: NDArray[np.intp]
    z: Float64
    products: Float64
    joint: Float64


def joint_prob(one: Float64, other: Float64, product: Float64) -> Float64:
    """Return p of bits 00, 10, 01, 11 of two sites by <Z_i>, <Z_j> and <Z_i Z_j>, [..., 4]."""
    signs = [(1, 1), (-1, 1), (1, -1), (-1, -1)]
    return np.stack([1 + a * one + b * other + a * b * product for a, b in signs], axis=-1) / 4


def corrected_estimates(
    bits: Bits,
    readout: ReadoutError,
    seed: int,
    blocks: Blocks,
    sums: Mapping[str, Hamiltonian] = MappingProxyType({}),
) -> dict[str, CorrectedEstimate]:
    """Return the estimates of `invert_records`."""
    return invert_records(bits, readout, seed, blocks, sums).estimates


def invert_records(
    bits: Bits,
    readout: ReadoutError,
    seed: int,
    blocks: Blocks,
    sums: Mapping[str, Hamiltonian] = MappingProxyType({}),
) -> Inverted:
    """Return <m>, the mean of <Z_i Z_{i+1}> and C(d) of the true bits, estimated from records.

    Further sums of Z strings follow by name, except those with a string over many groups of sites,
    whose joint records would not fit in memory.

    Names and shapes as in `ShotsReport`. Errors combine the bootstrap of the shots with that of the
    calibration: rates drawn again within their uncertainty (`ReadoutError.resampled`), also where
    no calibration shots but an assumed relative uncertainty says how large it is.

    Args:
        bits: records [shot, site].
        readout: their readout errors.
        seed: of the resamples.
        blocks: shots that are resampled together.
        sums: further sums of strings of Z, by name.
    """
    sites = bits.shape[1]
    middle = max(0, midpoint(sites))  # -1 for a single site
    products = [
        *((i,) for i in range(sites)),
        *((i, i + 1) for i in range(sites - 1)),
        *((middle, j) for j in range(middle + 1, sites)),
    ]
    records = recorded_states(bits, readout)
    estimators: list[_Estimator | _Sum] = [_Estimator(records, readout, each) for each in products]
    inverted = {name: each for name, each in sums.items() if _fits(each, readout)}
    estimators += [_Sum(records, readout, each) for each in inverted.values()]
    last = len(products)

    def observables(means: Float64) -> dict[str, Float64]:
        single, bonds, far = np.split(means[..., :last], [sites, 2 * sites - 1], axis=-1)
        one = single[..., middle:]
        square = np.ones((*means.shape[:-1], 1))  # Z^2 of the site in the middle
        return {
            "magnetization": single.mean(axis=-1),
            "neighbours": bonds.mean(axis=-1) if sites > 1 else np.full(means.shape[:-1], np.nan),
            "correlation": np.concatenate([square, far], axis=-1) - one[..., :1] * one,
            **{name: means[..., last + k] for k, name in enumerate(inverted)},
        }

    centre = np.empty(len(estimators))
    table = np.empty((len(bits), len(estimators)), np.float32)
    for k, each in enumerate(estimators):
        values = each.by_shot()
        centre[k] = values.mean()
        table[:, k] = values - centre[k]  # so that float32 is accurate enough
    again = (readout.resampled(derive_seed(seed, Stream.CALIBRATION, k)) for k in range(_RATES))
    means = (
        centre + bootstrap_means(table, seed, blocks.length),
        np.array([[each.mean(errors) for each in estimators] for errors in again]),
    )
    of_shots, of_rates = (observables(each) for each in means)
    size = blocks.effective(len(bits))
    found = {}
    for name, value in observables(centre).items():
        sampling = at_least_one_shot(of_shots[name].std(axis=0, ddof=1), value, size)
        rates = of_rates[name].std(axis=0, ddof=1)
        found[name] = CorrectedEstimate(
            value,
            np.hypot(sampling, rates),
            np.full(np.shape(value), np.nan),
            sampling_error=sampling,
            rates_error=rates,
        )
    pairs = np.array(products[sites:], np.intp).reshape(-1, 2)

    def joint(means: Float64) -> Float64:
        one, other = means[:, pairs.T].swapaxes(0, 1)
        return joint_prob(one, other, means[:, sites:])

    def errors(function: Callable[[Float64], Float64]) -> Float64:
        return np.stack([function(each[:, :last]).std(axis=0, ddof=1) for each in means])

    return Inverted(
        found,
        pairs,
        errors(lambda each: each[:, :sites]),
        errors(lambda each: each[:, sites:]),
        errors(joint),
    )


def recorded_states(bits: Bits, readout: ReadoutError) -> list[NDArray[np.uint8]]:
    """Return the recorded state of each group of sites, sum_i y_i 2^i, [shot] each."""
    return [
        bits[:, group.sites] @ (1 << np.arange(len(group.sites), dtype=np.uint8))
        for group in readout.groups
    ]


def inverted_signs(readout: ReadoutError, sites: Collection[int]) -> list[tuple[int, Float64]]:
    """Return f'(y) for the product of Z over those of some sites that each group has, [2^k].

    Groups that have none are left out; the numbers are those of the others in `readout.groups`.
    """
    found = []
    for number, group in enumerate(readout.groups):
        places = [group.sites.index(site) for site in sites if site in group.sites]
        if places:
            states = np.arange(len(group.matrix))
            product = np.prod([1.0 - 2.0 * ((states >> k) & 1) for k in places], axis=0)
            # Rows are true states: f'(y) with sum_y C(y | v) f'(y) = f(v).
            found.append((number, np.linalg.solve(group.matrix, product)))
    return found


def _fits(operator: Hamiltonian, readout: ReadoutError) -> bool:
    """Return whether the joint records of each string's groups, and all strings, fit in memory."""
    if len(operator.terms) > _MOST_TERMS:
        return False
    sizes = [sum(1 << site for site in group.sites) for group in readout.groups]
    entries = (
        sum(mask.bit_count() for mask in sizes if mask & term.signs) for term in operator.terms
    )
    return max(entries) <= _MOST_BITS


class _Sum:
    """The estimate of a sum of Z strings; methods as of `_Estimator`."""

    def __init__(
        self, records: Sequence[Bits], readout: ReadoutError, operator: Hamiltonian
    ) -> None:
        self._terms = [
            (
                term.coefficient,
                _Estimator(records, readout, tuple(term.letters)) if term.signs else None,
            )
            for term in operator.terms
        ]
        self._shots = len(records[0])

    def by_shot(self) -> Float64:
        """Return the estimate from each record, [shot]."""
        total = np.zeros(self._shots)
        for coefficient, string in self._terms:
            total += coefficient if string is None else coefficient * string.by_shot()
        return total

    def mean(self, readout: ReadoutError) -> float:
        """Return the mean over the records with other confusion matrices of the same groups."""
        return sum(
            coefficient if string is None else coefficient * string.mean(readout)
            for coefficient, string in self._terms
        )


class _Estimator:
    """The estimate of prod Z_i over one site or two, from `recorded_states` of their groups."""

    def __init__(
        self, records: Sequence[Bits], readout: ReadoutError, sites: tuple[int, ...]
    ) -> None:
        self._readout, self._sites = readout, sites
        found = inverted_signs(readout, sites)
        self._records = [records[number] for number, _ in found]
        shape = [len(values) for _, values in found]
        joint = np.ravel_multi_index(tuple(self._records), shape)
        counts = np.bincount(joint, minlength=int(np.prod(shape)))
        self._frequency = counts.reshape(shape) / counts.sum()

    def by_shot(self) -> Float64:
        """Return the estimate from each record, [shot]."""
        value = np.ones(len(self._records[0]))
        for (_, estimate), index in zip(
            inverted_signs(self._readout, self._sites), self._records, strict=True
        ):
            value *= estimate[index]
        return value

    def mean(self, readout: ReadoutError) -> float:
        """Return the mean over the records with other confusion matrices of the same groups."""
        total = self._frequency
        for _, estimate in inverted_signs(readout, self._sites):
            total = np.tensordot(estimate, total, axes=1)
        return float(total)
