"""Claims and findings: the data types of this package."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import xarray as xr

from psiprune.core.exceptions import PsipruneError
from psiprune.reporting.traced import Number

#: Datasets by name, as `psiprune paper` makes them: "study", "sparse", "size-50", ...
Datasets = Mapping[str, xr.Dataset]
HOLDS = "holds"
IN_PART = "holds in part"
FAILS = "does not hold"
UNDECIDED = "cannot be decided with this data"
#: All verdicts, the best for the paper first.
VERDICTS = (HOLDS, IN_PART, FAILS, UNDECIDED)


class InsufficientDataError(PsipruneError):
    """The data cannot decide a claim; the message says in one line what is missing."""


class Finding(NamedTuple):
    """What the data says about a claim.

    Attributes:
        verdict: one of `VERDICTS`.
        measured: one or two sentences with the numbers, or why the data cannot decide.
        numbers: every number behind the verdict, by name.
        seeds: number of seeds behind the verdict, the smallest where datasets differ; 1 for a
            training set or an exact state, 0 if the data was not used.
    """

    verdict: str
    measured: str
    numbers: Mapping[str, Number]
    seeds: int


Judge = Callable[[Datasets], Finding]


@dataclass(frozen=True)
class Claim:
    """A statement of the paper, and the rule that decides it.

    Attributes:
        key: its short name.
        section: where the paper says it.
        statement: what the paper says, in our words.
        rule: the decision rule in words.
        needs: the datasets that the rule uses; "size-*" stands for at least one such dataset.
        judge: applies the rule. It may raise `InsufficientDataError`.
    """

    key: str
    section: str
    statement: str
    rule: str
    needs: tuple[str, ...]
    judge: Judge


def verdict_of(tests: Iterable[bool]) -> str:
    """Verdict of tests of equal weight: holds if all pass, in part if at least half do."""
    passed = list(tests)
    if all(passed):
        return HOLDS
    return IN_PART if 2 * sum(passed) >= len(passed) else FAILS


def verdict_on(main: bool, sides: Iterable[bool]) -> str:
    """Verdict of a main statement and secondary ones, which cannot save it if it fails."""
    if not main:
        return FAILS
    return HOLDS if all(sides) else IN_PART


def graded(value: float, holds: float, in_part: float) -> str:
    """Verdict of a number by the least values at which the claim holds, and holds in part."""
    return HOLDS if value >= holds else IN_PART if value >= in_part else FAILS


def listed(words: Sequence[str], nothing: str = "none") -> str:
    """Join words: "a, b and c"."""
    if len(words) < 2:
        return words[0] if words else nothing
    return f"{', '.join(words[:-1])} and {words[-1]}"
