"""Claims and findings: the data types of this package."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from types import MappingProxyType
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


class Effect(NamedTuple):
    """What a verdict rests on, with its uncertainty.

    Attributes:
        what: in words, as in "KL at the QCP, 52.5% pruned over dense".
        value: a median over seeds, a share of seeds, or a single value.
        low, high: its 68 % confidence interval; NaN for a single value.
        n: number of seeds, pairs or units; 1 for a single value.
    """

    what: str
    value: float
    low: float
    high: float
    n: int

    @property
    def shown(self) -> str:
        """Value and interval, as "2.1 (2 to 2.2)"."""
        interval = f" ({self.low:.3g} to {self.high:.3g})" if self.low == self.low else ""
        return f"{self.value:.3g}{interval}"

    def __str__(self) -> str:
        """As "KL over dense: 2.1 (2 to 2.2), n = 10"."""
        number = f", n = {self.n}" if self.n > 1 else ""
        return f"{self.what}: {self.shown}{number}"


class Finding(NamedTuple):
    """What the data says about a claim.

    Attributes:
        verdict: one of `VERDICTS`.
        measured: one or two sentences with the numbers, or why the data cannot decide.
        seeds: number of seeds behind the verdict, the smallest where datasets differ; 1 for a
            training set or an exact state, 0 if the data was not used.
        numbers: every number behind the verdict, by name.
        effects: what decides, the most important first; empty if undecided.
        readings: the verdict by each measure, or by each way to read the claim; empty if there is
            one way only.
        schedules: the verdict for RBMs trained otherwise, by the name of their study.
    """

    verdict: str
    measured: str
    seeds: int
    numbers: Mapping[str, Number]
    effects: tuple[Effect, ...] = ()
    readings: Mapping[str, str] = MappingProxyType({})
    schedules: Mapping[str, str] = MappingProxyType({})


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


class Judged(NamedTuple):
    """A claim and its finding."""

    claim: Claim
    finding: Finding


def find(claim: Claim, datasets: Datasets) -> Finding:
    """Apply a claim's rule; undecided, with the reason, if the data does not suffice."""
    missing = [need for need in claim.needs if not any(fnmatch(key, need) for key in datasets)]
    if missing:
        return Finding(UNDECIDED, f"Not run: {', '.join(missing)}.", 0, {})
    try:
        return claim.judge(datasets)
    except InsufficientDataError as reason:
        text = str(reason)
        return Finding(UNDECIDED, f"{text[0].upper()}{text[1:]}.", 0, {})


def listed(words: Sequence[str], nothing: str = "none") -> str:
    """Join words: "a, b and c"."""
    if len(words) < 2:
        return words[0] if words else nothing
    return f"{', '.join(words[:-1])} and {words[-1]}"
