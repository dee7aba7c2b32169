"""Readout errors: confusion matrices of the qubits, p(y) = sum_v p(v) C(y | v).

v are the true bits and y the recorded ones. C is a product over groups of qubits, in most cases
over single ones; see `psiprune.data.confusion`.
"""

from __future__ import annotations

import hashlib
import json
import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.random import Stream, generator_for
from psiprune.core.repr import notebook_table
from psiprune.core.validation import check_seed
from psiprune.data.bit_order import order_of_sites, qubits_of
from psiprune.data.confusion import (
    Confusion,
    checked,
    contract_blocks,
    in_line,
    joined,
    marginal,
    near,
    pooled,
    scaled,
    with_unseen,
)
from psiprune.data.formats.base import brief
from psiprune.data.formats.bits import as_bits
from psiprune.data.readout_rates import groups_of_rates

Float64 = NDArray[np.float64]
Bits = NDArray[np.uint8]
#: Relative standard deviation of rates that were given without an error.
ASSUMED_UNCERTAINTY = 0.1


@notebook_table("sites", "rates", "source", "bit_order")
@dataclass(frozen=True, eq=False, repr=False)
class ReadoutError:
    """The readout errors of a device: p(y) = sum_v p(v) prod_g C_g(y_g | v_g).

    Attributes:
        groups: a `Confusion` for each group of sites; every site is in exactly one.
        source: the origin of the rates, for messages: "rates", "calibration shots", a file.
        bit_order: format and order of the bits of the calibration shots, as in
            `data.bit_order`; "" if not known. Shots of the same format must have the same.
        alike: whether all sites have one pair of measured rates, whose error they share; otherwise
            the errors of measured rates are independent at each group.

    Raises:
        InputError: a site is missing or in two groups, a group has more than 6 sites, a matrix has
            another shape, a probability lies outside 0 to 1, a row does not sum to 1, a qubit is
            misread with a probability of 0.5 or more, a matrix is nearly singular, or sites that
            share their rates have different ones.

    Examples:
        >>> error = ReadoutError.from_rates(0.01, 0.03, sites=2)
        >>> error.rates.tolist()
        [[0.01, 0.03], [0.01, 0.03]]
    """

    groups: tuple[Confusion, ...]
    source: str = "rates"
    bit_order: str = ""
    alike: bool = False

    def __post_init__(self) -> None:
        """Check the groups and sort them by their first site."""
        groups: Any = self.groups
        if not isinstance(groups, Sequence) or not all(isinstance(g, Confusion) for g in groups):
            raise InputError(
                "readout: groups must be of psiprune.Confusion, found "
                f"{in_line(self.groups)}; see ReadoutError.from_rates"
            )
        groups = tuple(sorted((checked(group) for group in self.groups), key=lambda g: g.sites))
        found = sorted(site for group in groups for site in group.sites)
        if found != list(range(len(found))) or not found:
            raise InputError(
                f"readout: each site from 0 on must be in exactly one group, found {found}"
            )
        named = qubits_of(self.bit_order)
        if named and len(named) != len(found):
            raise InputError(
                f"readout: bit_order must name a qubit for each of the {len(found)} sites, found "
                f"{len(named)}"
            )
        if self.alike and any(
            len(group.sites) > 1
            or (group.prepared is None or groups[0].prepared is None)
            or not np.array_equal(group.matrix, groups[0].matrix)
            or not np.array_equal(group.prepared, groups[0].prepared)
            for group in groups
        ):
            raise InputError(
                "readout: alike = true needs the same matrix and prepared shots at every site, "
                "found different ones or none; omit it"
            )
        object.__setattr__(self, "groups", groups)

    def __repr__(self) -> str:
        """Return sites, mean rates and source in one line."""
        zero, one = self.rates.mean(axis=0)
        return (
            f"ReadoutError(sites={self.sites}, mean p(1|0)={zero:.4g}, mean p(0|1)={one:.4g}, "
            f"source={self.source!r})"
        )

    @classmethod
    def from_rates(
        cls,
        flip_zero: ArrayLike,
        flip_one: ArrayLike | None = None,
        *,
        errors: tuple[ArrayLike, ArrayLike] | None = None,
        sites: int | None = None,
        source: str = "rates",
    ) -> ReadoutError:
        """Return independent errors of each site.

        Args:
            flip_zero: p(1 | 0), the probability to record 1 for a qubit in 0: a number, or one per
                site.
            flip_one: p(0 | 1); by default equal to `flip_zero`.
            errors: standard errors of p(1 | 0) and of p(0 | 1), each a number or one per site. Each
                is kept as that of a calibration by p (1 - p) / error^2 shots, to the nearest
                integer. Where all rates and errors are single numbers, the error is one that all
                sites share. Without errors rates are assumed, with a standard deviation of 10 %.
            sites: number of sites; needed where both rates are numbers.
            source: the origin of the rates.

        Raises:
            InputError: a rate is no number or lies outside [0, 0.5), an error is not above 0 or
                above sqrt(p (1 - p)), the lengths differ, or sites is no number of sites.
        """
        one = flip_zero if flip_one is None else flip_one
        groups = groups_of_rates(flip_zero, one, errors, sites)
        given = [flip_zero, one, *([] if errors is None else errors)]
        numbers = all(np.ndim(each) == 0 for each in given)
        return cls(groups, source, alike=errors is not None and numbers)

    @property
    def sites(self) -> int:
        """The number of sites, N."""
        return sum(len(group.sites) for group in self.groups)

    @property
    def is_measured(self) -> bool:
        """Whether calibration shots give the statistical error of all rates."""
        return all(group.prepared is not None for group in self.groups)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the groups and matrices, all that an RBM of these records depends on."""
        return _sha256([[group.sites, group.matrix.tolist()] for group in self.groups])

    @cached_property
    def full_digest(self) -> str:
        """SHA-256 of the same and of the prepared shots and `alike`, so also of the errors."""
        return _sha256([self.to_json()["groups"], self.alike])

    @cached_property
    def rates(self) -> Float64:
        """p(1 | 0) and p(0 | 1) of each site, [site, 2]; in a group, averaged over the others."""
        rates = np.empty((self.sites, 2))
        for group in self.groups:
            for position, site in enumerate(group.sites):
                matrix = marginal(group.matrix, position)
                rates[site] = matrix[0, 1], matrix[1, 0]
        return rates

    @cached_property
    def rate_errors(self) -> Float64:
        """Standard errors of `rates`, [site, 2].

        Binomial for rates from calibration shots, as of half a misread shot where there was none;
        those of rates given without an error are 10 % of the rate.
        """
        errors = np.empty((self.sites, 2))
        for group in map(with_unseen, self.groups):
            states = np.arange(len(group.matrix))
            for position, site in enumerate(group.sites):
                flipped = ((states[:, None] ^ states) >> position) & 1
                rate = (group.matrix * flipped).sum(axis=1)
                if group.prepared is None:
                    variance = (ASSUMED_UNCERTAINTY * rate) ** 2
                else:
                    variance = rate * (1 - rate) / group.prepared
                for value in (0, 1):
                    rows = (states >> position) & 1 == value
                    errors[site, value] = np.sqrt(variance[rows].sum()) / rows.sum()
        return errors

    def apply(self, prob: Float64) -> Float64:
        """Return C p, the distribution of the recorded bits, [2^N] at index sum_i v_i 2^i."""
        return self._contract(prob, transpose=False)

    def apply_transposed(self, values: Float64) -> Float64:
        """Return C^T f: sum_y C(y | v) f(y) of each v, [2^N]."""
        return self._contract(values, transpose=True)

    def misread(self, bits: ArrayLike, seed: int) -> Bits:
        """Return recorded bits y ~ C(y | v) for true bits v, uint8 [shot, site].

        Raises:
            InputError: the bits are not zeros and ones [shot, site], or are of another number of
                sites, or the seed is out of range.
        """
        bits = as_bits(bits, "bits")
        if bits.shape[1] != self.sites:
            raise InputError(
                f"bits: must have {self.sites} columns, as the readout errors describe "
                f"{self.sites} sites ({self.source}), found {bits.shape[1]}; give the errors of "
                "these sites, see ReadoutError.of_sites"
            )
        generator = generator_for(check_seed(seed), Stream.READOUT_SIMULATION)
        out = np.empty_like(bits)
        for group in self.groups:
            places = np.arange(len(group.sites))
            states = bits[:, group.sites] @ (1 << places)
            cumulative = np.cumsum(group.matrix, axis=1)[states, :-1]
            drawn = (generator.random((len(bits), 1)) > cumulative).sum(axis=1)
            out[:, group.sites] = (drawn[:, None] >> places) & 1
        return out

    def resampled(self, seed: int) -> ReadoutError:
        """Return the error model with its rates drawn again within their uncertainty.

        Rows with calibration shots are drawn from the multinomial distribution of as many shots,
        once for all sites if they share their rates (`alike`); states that no shot showed have the
        probabilities of `allowing_unseen`.
        Rates that nobody measured are likely to be wrong alike at all sites: p(1|0) is multiplied
        by 1 + 0.1 x and p(0|1) by 1 + 0.1 y with the same two normal numbers at all sites (in a
        group each row by the mean over its true bits). A matrix that would be invalid is moved
        towards that of this model until it is valid; so rates near 0.5 vary less than their errors.

        Raises:
            InputError: the seed is out of range.
        """
        generator = generator_for(check_seed(seed), Stream.READOUT_RATES)
        by_bit = 1 + ASSUMED_UNCERTAINTY * generator.normal(size=2)
        groups = []
        for group in self.groups[:1] if self.alike else self.groups:
            if group.prepared is None:
                states = np.arange(len(group.matrix))[:, None]
                bits = (states >> np.arange(len(group.sites))) & 1
                matrix = scaled(group.matrix, by_bit[bits].mean(axis=1))
            else:
                rows = zip(group.prepared, with_unseen(group).matrix, strict=True)
                counts = np.stack([generator.multinomial(n, row) for n, row in rows])
                matrix = near(counts / counts.sum(axis=1, keepdims=True), group.matrix)
            groups.append(Confusion(group.sites, matrix, group.prepared))
        if self.alike:
            groups = [replace(groups[0], sites=group.sites) for group in self.groups]
        return replace(self, groups=tuple(groups))

    def allowing_unseen(self) -> ReadoutError:
        """Return the error model with a part of a misread shot where calibration shots had none.

        Matrices around which `resampled` draws; see `psiprune.data.confusion.with_unseen`.
        """
        return replace(self, groups=tuple(map(with_unseen, self.groups)))

    def of_sites(self, sites: Sequence[int]) -> ReadoutError:
        """Return the errors of some sites in the given order, which become sites 0, 1, ...

        A group of which only some sites remain is averaged over the others, in 0 or 1 with equal
        probability. `bit_order` becomes that of the sites in the given order; it is "" where no
        name describes that.

        Raises:
            InputError: a site is named twice or does not exist.
        """
        try:
            place = {operator.index(site): new for new, site in enumerate(sites)}
            valid = len(place) == len(sites) and place.keys() <= set(range(self.sites))
        except TypeError:
            valid = False
        if not valid:
            raise InputError(
                f"sites: must be different numbers from 0 to {self.sites - 1}, found "
                f"{in_line(sites)}"
            )
        groups = []
        for group in self.groups:
            kept = [position for position, site in enumerate(group.sites) if site in place]
            if not kept:
                continue
            whole = len(kept) == len(group.sites)
            matrix = group.matrix if whole else marginal(group.matrix, *kept)
            prepared = group.prepared
            if prepared is not None and not whole:
                prepared = pooled(prepared, len(group.sites), kept)
            groups.append(Confusion(tuple(place[group.sites[k]] for k in kept), matrix, prepared))
        order = order_of_sites(self.bit_order, sites)
        return ReadoutError(tuple(groups), self.source, order, self.alike)

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads: the groups with sites, matrix and prepared shots."""
        groups = []
        for group in self.groups:
            entry: dict[str, Any] = {"sites": list(group.sites), "matrix": group.matrix.tolist()}
            if group.prepared is not None:
                entry["prepared"] = group.prepared.tolist()
            groups.append(entry)
        order = {"bit_order": self.bit_order} if self.bit_order else {}
        alike = {"alike": True} if self.alike else {}
        return {"source": self.source, **order, **alike, "groups": groups}

    @classmethod
    def from_json(cls, content: Any, place: str = "readout") -> ReadoutError:
        """Return the error model that `to_json` wrote.

        Raises:
            InputError: the content is not of this form, or a matrix is invalid.
        """
        try:
            groups = tuple(
                Confusion(
                    tuple(_whole(entry["sites"])),
                    np.array(entry["matrix"], np.float64),
                    np.array(_whole(entry["prepared"])) if "prepared" in entry else None,
                )
                for entry in content["groups"]
            )
        except (TypeError, KeyError, ValueError, OverflowError):
            raise InputError(
                f'{place}: must be {{"groups": [{{"sites": [0], "matrix": [[0.99, 0.01], [0.03, '
                "0.97]]}, ...]}, rows for the true states, each with the probabilities of the "
                "recorded ones"
            ) from None
        source, order = content.get("source", place), content.get("bit_order", "")
        alike = content.get("alike", False)
        for name, value, kind, words in (
            ("source", source, str, "text"),
            ("bit_order", order, str, "text"),
            ("alike", alike, bool, "true or false"),
        ):
            if not isinstance(value, kind):
                raise InputError(f"{place}: {name} must be {words}, found {brief(value)}; omit it")
        return cls(groups, source, order, alike)

    @cached_property
    def _blocks(self) -> list[tuple[tuple[int, ...], Float64]]:
        return joined(self.groups)

    def _contract(self, values: Float64, *, transpose: bool) -> Float64:
        try:
            values = np.asarray(values, np.float64)
            found = f"shape {values.shape}"
        except (TypeError, ValueError):
            found = in_line(values)
        if found != f"shape {(1 << self.sites,)}":
            raise InputError(
                f"readout: needs one number for each of the 2^{self.sites} states, found {found}"
            )
        return contract_blocks(self._blocks, values, transpose=transpose)


def _sha256(content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _whole(values: Any) -> list[int]:
    """Return a list of integers, or raise TypeError."""
    if not isinstance(values, list) or any(type(value) is not int for value in values):
        raise TypeError
    return values
