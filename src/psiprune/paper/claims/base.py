"""What a claim is and what is found about it: the nouns of this package."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, SupportsFloat

import xarray as xr

from psiprune.core.exceptions import PsipruneError

#: Datasets by name, as `psiprune paper` makes them: "study", "sparse", "size-50", ...
Datasets = Mapping[str, xr.Dataset]
HOLDS = "holds"
IN_PART = "holds in part"
FAILS = "does not hold"
UNDECIDED = "cannot be decided with this data"
#: All verdicts, from the best for the paper on.
VERDICTS = (HOLDS, IN_PART, FAILS, UNDECIDED)


class InsufficientDataError(PsipruneError):
    """The data cannot decide a claim; told in one line with what it would take."""


class Number(NamedTuple):
    """A number with the way back to the data.

    Attributes:
        value: the number; infinite or NaN where there is none.
        how: how it is made from the variables.
        variables: what it is made from, as "dataset/variable", or "dataset/@attribute".
    """

    value: float
    how: str
    variables: tuple[str, ...]


class Finding(NamedTuple):
    """What the data says of a claim.

    Attributes:
        verdict: one of `VERDICTS`.
        measured: one or two sentences with the numbers, or why the data cannot decide.
        numbers: every number behind the verdict, by name.
        seeds: number of seeds that it rests on, the fewest where datasets differ; 1 for a training
            set or an exact state, 0 if the data was not looked at.
    """

    verdict: str
    measured: str
    numbers: Mapping[str, Number]
    seeds: int


@dataclass(frozen=True)
class Claim:
    """A statement of the paper, and the rule that decides it.

    Attributes:
        key: its short name.
        section: where the paper says it.
        statement: what it says, in our words.
        rule: the test that decides, in words.
        needs: the datasets of the test; "size-*" stands for at least one such.
        judge: the test. It may raise `Undecided`.
    """

    key: str
    section: str
    statement: str
    rule: str
    needs: tuple[str, ...]
    judge: Callable[[Datasets], Finding]


def verdict_of(tests: Iterable[bool]) -> str:
    """Of tests that weigh the same: all passed, holds; half or more, in part; fewer, not."""
    passed = list(tests)
    if all(passed):
        return HOLDS
    return IN_PART if 2 * sum(passed) >= len(passed) else FAILS


def verdict_on(main: bool, sides: Iterable[bool]) -> str:
    """Of a main statement with sides to it: without the main one no side saves a claim."""
    if not main:
        return FAILS
    return HOLDS if all(sides) else IN_PART


def number(value: SupportsFloat, how: str, *variables: str) -> Number:
    """A number made from variables named as "dataset/variable"."""
    return Number(float(value), how, variables)


def listed(words: Sequence[str], nothing: str = "none") -> str:
    """The words as an enumeration: "a, b and c"."""
    if len(words) < 2:
        return words[0] if words else nothing
    return f"{', '.join(words[:-1])} and {words[-1]}"
