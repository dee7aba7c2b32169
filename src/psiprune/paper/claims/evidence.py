"""How a rule becomes a claim, and how it records what its verdict rests on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import SupportsFloat, TypeVar

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from psiprune.core.statistics import QUANTILES
from psiprune.paper.claims.base import (
    FAILS,
    HOLDS,
    IN_PART,
    Claim,
    Datasets,
    Effect,
    Finding,
    listed,
)
from psiprune.paper.claims.data import PHASES, Float64, complete_seeds, phase
from psiprune.paper.claims.tests import Contrast, contrast, interval_of, p_above
from psiprune.reporting.traced import Number, significant

Way = TypeVar("Way")


@dataclass(frozen=True)
class Evidence:
    """The datasets that a rule reads, and the record of what it used.

    Attributes:
        datasets: by name.
        numbers: every number, with its provenance.
        cases: one text for each case: a phase, a size, a kind of RBM.
        tests: whether each case passes its tests.
        verdicts: what the rule decides, if not by the tests of its cases.
        effects: what decides, each with its uncertainty.
        readings: the verdict by each measure or reading, if there are several.
        reading: name and title of the one that this record is of.
        stands_for: what is in the place of a variable, in the reading of this record.
        variables: what numbers are computed from, as "dataset/variable", unless stated otherwise.
        prefix, suffix: with which the names of numbers begin and end, joined by "_".
    """

    datasets: Datasets
    numbers: dict[str, Number] = field(default_factory=dict)
    cases: list[str] = field(default_factory=list)
    tests: list[bool] = field(default_factory=list)
    verdicts: list[str] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    readings: dict[str, str] = field(default_factory=dict)
    reading: tuple[str, str] = ("", "")
    stands_for: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    _seeds: list[int] = field(default_factory=list)
    variables: tuple[str, ...] = ()
    prefix: str = ""
    suffix: str = ""

    def using(self, *variables: str, prefix: str = "", suffix: str = "") -> Evidence:
        """Return the same record for numbers computed from these variables."""
        return replace(self, variables=variables, prefix=prefix, suffix=suffix)

    def at(self, ratio: float, key: str, least: int, *names: str) -> xr.Dataset:
        """Return `complete` of a dataset at h/J = ratio."""
        return self.complete(phase(self.datasets, key, ratio), least, *names)

    def complete(self, here: xr.Dataset, least: int, *names: str) -> xr.Dataset:
        """Return `complete_seeds` of a dataset, and record how many these are."""
        found = complete_seeds(here, least, *names)
        self.count_seeds(found.sizes["seed"])
        return found

    def phases(self, key: str, least: int, *names: str) -> Iterator[tuple[str, xr.Dataset]]:
        """Iterate over both phases: name, and the dataset there as `at` returns it."""
        for name, ratio in PHASES.items():
            yield name, self.at(ratio, key, least, *names)

    def note(self, name: str, value: SupportsFloat, how: str, *variables: str) -> float:
        """Record and return a number, and how it is computed from which variables.

        Prefix, name and suffix of the record are joined by "_"; without a prefix, give a name.
        """
        number = float(value)
        sources = [self.stands_for.get(each, (each,)) for each in variables or self.variables]
        recorded = Number(number, significant(number), how, tuple(chain(*sources)))
        parts = (self.reading[0], self.prefix, name.removeprefix("_"), self.suffix)
        self.numbers["_".join(part for part in parts if part)] = recorded
        return number

    def band(
        self, name: str, values: ArrayLike, of: str, *variables: str, form: str = ".2g"
    ) -> str:
        """Record NAME, NAME_low, NAME_high: median, 16 and 84 %; as "0.25 (0.24 to 0.26)".

        Args:
            name: of the median; its quantiles have suffixes.
            values: [seed].
            of: what the values are, as in "median over seeds, sc".
            variables: what they are computed from.
            form: format of the numbers.
        """
        low, middle, high = np.quantile(np.asarray(values, np.float64), QUANTILES)
        self.note(name, middle, f"median {of}", *variables)
        self.note(f"{name}_low", low, f"16 % quantile {of}", *variables)
        self.note(f"{name}_high", high, f"84 % quantile {of}", *variables)
        return f"{middle:{form}} ({low:{form}} to {high:{form}})"

    def compare(
        self, name: str, values: ArrayLike, others: ArrayLike, of: str, *variables: str
    ) -> Contrast:
        """Compare pair by pair (`contrast`), and record NAME_ratio and NAME_p.

        Args:
            name: prefix of both names.
            values, others: [seed] both.
            of: what is compared, as in "sc over pruned".
            variables: what both are computed from.
        """
        found = contrast(values, others)
        self.note(f"{name}_ratio", found.ratio, f"median over seeds of {of}", *variables)
        self.note(f"{name}_p", found.p, f"two-sided signed-rank test of {of}", *variables)
        return found

    def compare_above(
        self, name: str, values: Float64, others: Float64, of: str, *variables: str
    ) -> tuple[float, float]:
        """Record and return NAME_ratio, the median ratio, and NAME_p, the one-sided `p_above`."""
        ratio, how = np.median(values / others), f"one-sided signed-rank test of {of}"
        return (
            self.note(f"{name}_ratio", ratio, f"median over seeds of {of}", *variables),
            self.note(f"{name}_p", p_above(values, others), how, *variables),
        )

    def effect(self, what: str, values: ArrayLike) -> None:
        """Record an effect: the median of values [seed], the share of truths [seed], or a value."""
        found = np.asarray(values)
        title = self.reading[1]
        words = f"{title}: {what}" if title else what
        self.effects.append(Effect(words, *interval_of(found), found.size))

    def each(
        self, ways: Mapping[tuple[str, str], Way], rule: Callable[[Evidence, Way], str]
    ) -> str:
        """Apply a rule in several ways, and decide: as all of them where they agree, else in part.

        Args:
            ways: (name, title) -> what the rule gets; numbers of each way begin with its name.
            rule: records what it uses, decides, and returns what is measured in words.
        """
        texts, verdicts = [], []
        for reading, way in ways.items():
            own = self.separate(reading)
            texts.append(_capital(f"{reading[1]}: {rule(own, way)}"))
            self.readings[reading[1]] = own.verdict
            verdicts.append(own.verdict)
        agree = len(set(verdicts)) == 1
        self.verdicts.append(verdicts[0] if agree else IN_PART)
        return " ".join(texts if agree else [by_which(self.readings), *texts])

    def separate(self, reading: tuple[str, str]) -> Evidence:
        """Return a record with tests and verdict of its own, and the same numbers."""
        return replace(self, cases=[], tests=[], verdicts=[], reading=reading)

    @property
    def verdict(self) -> str:
        """What the rule decided, or else what its tests decide."""
        if not self.verdicts:
            self.decide()
        return self.verdicts[-1]

    def case(self, text: str, *passed: bool) -> None:
        """Record the text of a case, and whether it passes its tests."""
        self.cases.append(text)
        self.tests.extend(passed)

    def count_seeds(self, number: int) -> None:
        """Record how many seeds a case rests on."""
        self._seeds.append(number)

    @property
    def seeds(self) -> int:
        """The smallest number of seeds of a case; 1 for a training set or an exact state."""
        return min(self._seeds, default=1)

    @property
    def text(self) -> str:
        """The texts of all cases."""
        return "; ".join(self.cases)

    def decide(self, holds: bool | None = None, in_part: bool = False) -> None:
        """Decide the claim: by default by whether all cases pass their tests, or at least half."""
        if holds is None:
            holds, in_part = all(self.tests), in_part or 2 * sum(self.tests) >= len(self.tests)
        self.verdicts.append(HOLDS if holds else IN_PART if in_part else FAILS)


def by_which(readings: Mapping[str, str]) -> str:
    """Return the verdicts in a sentence: "KL and energy bias: does not hold; |m| bias: holds."."""
    by: dict[str, list[str]] = {}
    for title, verdict in readings.items():
        by.setdefault(verdict, []).append(title)
    return f"{_capital('; '.join(f'{listed(ways)}: {verdict}' for verdict, ways in by.items()))}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


#: Records what it uses in the evidence, decides the claim, and returns what is measured in words.
Rule = Callable[[Evidence], str]


def claim(key: str, section: str, *needs: str, terms: str = "") -> Callable[[Rule], Claim]:
    """Turn a function that applies a rule into a claim.

    The first paragraph of the function's docstring is the statement of the paper, the rest is the
    rule. `terms` precedes the rule: definitions that several rules share.
    """

    def claim_of(rule: Rule) -> Claim:
        statement, _, words = (rule.__doc__ or "").partition("\n\n")
        statement, words = (" ".join(text.split()) for text in (statement, f"{terms} {words}"))

        def judge(datasets: Datasets) -> Finding:
            evidence = Evidence(datasets)
            measured = rule(evidence)
            return Finding(
                evidence.verdict,
                measured,
                evidence.seeds,
                evidence.numbers,
                tuple(evidence.effects),
                evidence.readings,
            )

        return Claim(key, section, statement, words, needs, judge)

    return claim_of
