"""How a rule becomes a claim, and how it records what its verdict rests on."""

from __future__ import annotations

from collections.abc import Callable
from typing import SupportsFloat

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from psiprune.core.statistics import QUANTILES
from psiprune.paper.claims.base import Claim, Datasets, Finding
from psiprune.paper.claims.data import Float64
from psiprune.paper.claims.tests import Contrast, contrast, p_above
from psiprune.reporting.traced import Number, significant


class Evidence:
    """What a rule used: its numbers by name, the text and the seeds of each case.

    Attributes:
        numbers: every number, with its provenance.
        cases: one text for each case: a phase, a size, a kind of RBM.
    """

    def __init__(self) -> None:
        """Begin with nothing recorded."""
        self.numbers: dict[str, Number] = {}
        self.cases: list[str] = []
        self._seeds: list[int] = []

    def note(self, name: str, value: SupportsFloat, how: str, *variables: str) -> float:
        """Record and return a number computed from variables named as "dataset/variable"."""
        number = float(value)
        self.numbers[name] = Number(number, significant(number), how, variables)
        return number

    def noting(
        self, *variables: str, prefix: str = "", suffix: str = ""
    ) -> Callable[[str, SupportsFloat, str], float]:
        """Return a `note(name, value, how)` for numbers computed from the same variables."""
        return lambda name, value, how: self.note(f"{prefix}{name}{suffix}", value, how, *variables)

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
        how = f"one-sided signed-rank test of {of}"
        return (
            self.note(
                f"{name}_ratio",
                np.median(values / others),
                f"median over seeds of {of}",
                *variables,
            ),
            self.note(f"{name}_p", p_above(values, others), how, *variables),
        )

    def count_seeds(self, here: xr.Dataset | Float64) -> None:
        """Record how many seeds a case rests on."""
        self._seeds.append(here.sizes["seed"] if isinstance(here, xr.Dataset) else len(here))

    @property
    def seeds(self) -> int:
        """The smallest number of seeds of a case; 1 for a training set or an exact state."""
        return min(self._seeds, default=1)

    @property
    def text(self) -> str:
        """The texts of all cases."""
        return "; ".join(self.cases)

    def finding(self, verdict: str, measured: str) -> Finding:
        """Return the finding with all numbers recorded."""
        return Finding(verdict, measured, self.numbers, self.seeds)


Rule = Callable[[Datasets, Evidence], Finding]


def claim(key: str, section: str, *needs: str, terms: str = "") -> Callable[[Rule], Claim]:
    """Turn a function that applies a rule into a claim.

    The first paragraph of the function's docstring is the statement of the paper, the rest is the
    rule. `terms` precedes the rule: definitions that several rules share.
    """

    def claim_of(rule: Rule) -> Claim:
        statement, _, words = (rule.__doc__ or "").partition("\n\n")
        statement, words = (" ".join(text.split()) for text in (statement, f"{terms} {words}"))
        return Claim(key, section, statement, words, needs, lambda data: rule(data, Evidence()))

    return claim_of
