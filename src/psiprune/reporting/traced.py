"""Numbers with their provenance, and sentences that contain them."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from string import Formatter
from typing import NamedTuple

import xarray as xr

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class Number(NamedTuple):
    """A number with the way back to the data.

    Attributes:
        value: as it is in the dataset, or computed from what is there; infinite or NaN if unknown.
        shown: as it is printed.
        how: how it is computed; with dataset, variable and position unless `variables` names them.
        variables: what it is computed from, as "dataset/variable" or "dataset/@attribute".
    """

    value: float
    shown: str
    how: str
    variables: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """How it is computed, and from which variables, in words."""
        return f"{self.how} ({', '.join(self.variables)})" if self.variables else self.how

    @property
    def known(self) -> bool:
        """Whether it is finite."""
        return math.isfinite(self.value)


class Sentence(NamedTuple):
    """Text that contains numbers."""

    parts: tuple[str | Number, ...]

    @property
    def text(self) -> str:
        """The sentence as plain text."""
        return "".join(p if isinstance(p, str) else p.shown for p in self.parts)

    @property
    def numbers(self) -> tuple[Number, ...]:
        """The numbers in the sentence, in order."""
        return tuple(part for part in self.parts if isinstance(part, Number))


class Named(NamedTuple):
    """A dataset and the name of its file, with which sources begin."""

    name: str
    data: xr.Dataset


def significant(value: float) -> str:
    """Format three significant digits, ties away from 0: "0.00345", "−12.3", "4.57 × 10⁻⁵".

    From 0.001 to below a million as a plain decimal; "–" if not finite. The page's script rounds by
    the same rule.
    """
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    exact = abs(Decimal(value))
    rounded = exact.quantize(Decimal(1).scaleb(exact.adjusted() - 2), ROUND_HALF_UP)
    exponent = rounded.adjusted()
    sign = "−" if value < 0 else ""
    if -3 <= exponent < 6:
        return sign + f"{rounded:.{max(0, 2 - exponent)}f}"
    power = str(exponent).translate(_SUPERSCRIPTS)
    return f"{sign}{rounded.scaleb(-exponent):.2f}\u202f×\u202f10{power}"


def whole(value: float) -> str:
    """Format a count; with one decimal if it is not whole, as a median of two counts can be."""
    if not math.isfinite(value):
        return "–"
    return f"{value:.0f}" if value == round(value) else f"{value:.1f}"


def percent(value: float) -> str:
    """Format a share as a percentage with one decimal and a no-break space, ties away from 0."""
    if not math.isfinite(value):
        return "–"
    return f"{Decimal(100 * value).quantize(Decimal('0.1'), ROUND_HALF_UP)}\N{NO-BREAK SPACE}%"


def count(value: float, how: str) -> Number:
    """Return a count and how it is computed."""
    return Number(float(value), whole(float(value)), how)


Show = Callable[[float], str]
Where = Mapping[str, Hashable]


def one(of: Named, variable: str, where: Where, show: Show = significant) -> Number:
    """Return the entry of a variable at this position."""
    value = float(of.data[variable].sel(where))
    return Number(value, show(value), f"{of.name}: {variable}{position(where)}")


def median(of: Named, variable: str, where: Where, show: Show = significant) -> Number:
    """Return the median of a variable over seeds (without NaN) at this position."""
    value = float(of.data[variable].sel(where).median("seed"))
    source = f"{of.name}: median over seed of {variable}{position(where)}"
    return Number(value, show(value), source)


def attribute(of: Named, name: str) -> Number:
    """Return a count from the attributes of the dataset: sites, hidden."""
    return count(of.data.attrs[name], f"{of.name}: attribute {name}")


def size(of: Named, dimension: str) -> Number:
    """Return the number of seeds, levels or other entries along a dimension."""
    return count(of.data.sizes[dimension], f"{of.name}: number of entries along {dimension}")


def ratio(number: Number, other: Number, show: Show = significant) -> Number:
    """Divide one number by another; NaN if that is 0."""
    value = number.value / other.value if other.value else math.nan
    return Number(value, show(value), f"({number.source}) / ({other.source})")


def say(template: str, **parts: Number | Sentence | str) -> Sentence:
    """Fill in a sentence: each {name} becomes the number, sentence or text given."""
    found: list[str | Number] = []
    for text, name, _, _ in Formatter().parse(template):
        found.append(text)
        if name is not None:
            part = parts[name]
            found += part.parts if isinstance(part, Sentence) else (part,)
    return Sentence(tuple(part for part in found if part))


def listed(items: Sequence[str | Number | Sentence], last: str = "and") -> Sentence:
    """Join items as in a sentence: "a", "a and b", "a, b and c"."""
    found: list[str | Number] = []
    for k, item in enumerate(items):
        if k:
            found.append(f" {last} " if k == len(items) - 1 else ", ")
        found += item.parts if isinstance(item, Sentence) else (item,)
    return Sentence(tuple(found))


def plural(number: Number, one_of: str, many: str = "") -> Sentence:
    """Put a noun after a count: "1 seed", "10 seeds"."""
    return Sentence((number, f" {one_of if number.value == 1 else many or one_of + 's'}"))


def position(where: Where) -> str:
    """Format a position in a variable as in sources: "[field=1, level=5]"."""
    inside = ", ".join(
        f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in where.items()
    )
    return f"[{inside}]" if inside else ""
