"""Diagnostics of shots in several bases: means by basis, and whether the bases fit together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psiprune.data.basis_order import BasesOrder, find_bases_order, order_warnings
from psiprune.data.diagnostics import LEVEL, DataWarning
from psiprune.data.pauli_bases import LETTERS
from psiprune.data.readout_summary import ReadoutSummary, summarize_readout
from psiprune.data.shots import Shots

Float64 = NDArray[np.float64]
#: Comparisons of means, the largest ones, whose p-value is computed exactly.
_EXACT = 20


@dataclass(frozen=True, eq=False, repr=False)
class BasesDescription:
    """The result of `describe_bases`.

    Attributes:
        source, provenance: those of the shots.
        shots, sites: their numbers.
        bases: a letter for each site, [basis].
        shots_in: number of shots in each basis.
        means: of the measured operator, +1 for outcome 0, [basis, site].
        by_letter: <X>, <Y> and <Z> of each site over all bases that measure them, [letter, site];
            NaN where none does.
        comparisons: number of means of a site in a basis that other bases measure too.
        marginals_p_value: the smallest p-value of these comparisons, times their number.
        order: copies, memory from shot to shot, and drift.
        readout: the readout errors that the shots carry, if any.
        warnings: what to know before using the data.
    """

    source: str
    provenance: Mapping[str, Any]
    shots: int
    sites: int
    bases: tuple[str, ...]
    shots_in: NDArray[np.int64]
    means: Float64
    by_letter: Float64
    comparisons: int
    marginals_p_value: float
    order: BasesOrder
    readout: ReadoutSummary | None = None
    warnings: tuple[DataWarning, ...] = ()

    def __repr__(self) -> str:
        """Return the sizes and the names of the warnings in one short line."""
        names = ", ".join(warning.name for warning in self.warnings)
        sizes = f"shots={self.shots}, sites={self.sites}, bases={len(self.bases)}"
        return f"BasesDescription({sizes}, warnings=[{names}])"


def describe_bases(shots: Shots) -> BasesDescription:
    """Return means by basis, and warnings if they cannot be those of one state.

    The outcomes of a site do not depend on the bases of the other sites. So of all shots that
    measure a letter at a site, those in one basis are as good as any others: their number of ones
    is hypergeometric. And no qubit has <X>^2 + <Y>^2 + <Z>^2 > 1, which an error of the three means
    exceeds with a probability below that of chi-squared of three degrees of freedom. Copies, memory
    and drift are those of `psiprune.data.basis_order`. Each kind of warning appears in at most
    `LEVEL` of all data sets of independent shots (Bonferroni).
    """
    groups = shots.by_basis()
    letters = np.array([list(name) for name in groups])  # [basis, site]
    number = np.array([len(bits) for bits in groups.values()])
    ones = np.array([bits.sum(axis=0, dtype=np.int64) for bits in groups.values()])
    measured = letters == np.array(list(LETTERS))[:, None, None]  # [letter, basis, site]
    total = np.einsum("b,lbs->ls", number, measured)
    total_ones = np.einsum("bs,lbs->ls", ones, measured)
    with np.errstate(invalid="ignore"):
        by_letter = np.where(total > 0, 1 - 2 * total_ones / total, np.nan)
    found = BasesDescription(
        source=shots.source,
        provenance=shots.provenance,
        shots=len(shots),
        sites=shots.sites,
        bases=tuple(groups),
        shots_in=number,
        means=1 - 2 * ones / number[:, None],
        by_letter=by_letter,
        comparisons=0,
        marginals_p_value=1.0,
        order=find_bases_order(shots),
        readout=None if shots.readout is None else summarize_readout(shots.readout),
    )
    code = measured.argmax(axis=0)  # [basis, site]
    sites = np.arange(shots.sites)
    pool, pool_ones = total[code, sites], total_ones[code, sites]
    shared = pool > number[:, None]
    worst, p_value = _worst(ones, number[:, None] + 0 * ones, pool_ones, pool, shared)
    found = replace(found, comparisons=int(shared.sum()), marginals_p_value=p_value)
    warnings = [
        *_marginal_warning(found, worst, pool, pool_ones, ones),
        *_bloch_warning(found, total),
        *order_warnings(found.order, found.bases),
    ]
    if "Z" * shots.sites not in groups:
        warnings.append(
            DataWarning(
                "basis",
                "no shot was measured in Z on every site, from which the probabilities |psi|^2 "
                "follow; measure some",
            )
        )
    return replace(found, warnings=tuple(warnings))


def _worst(
    ones: NDArray[np.int64],
    number: NDArray[np.int64],
    pool_ones: NDArray[np.int64],
    pool: NDArray[np.int64],
    shared: NDArray[np.bool_],
) -> tuple[tuple[int, int], float]:
    """Return basis and site whose ones deviate most from those of the pool, and a p-value.

    The p-value is two-sided, times the number of comparisons. It is computed for the largest
    standardised differences alone, as scipy takes milliseconds for each.
    """
    if not shared.any():
        return (0, 0), 1.0
    share = pool_ones / np.maximum(pool, 1)
    variance = number * share * (1 - share) * (pool - number) / np.maximum(pool - 1, 1)
    sigmas = np.abs(ones - number * share) / np.sqrt(np.where(variance > 0, variance, np.inf))
    sigmas[~shared] = 0.0
    from scipy.stats import hypergeom  # imported where used: it takes half a second

    best, place = 2.0, (0, 0)
    for k in np.argsort(-sigmas, axis=None, kind="stable")[:_EXACT]:
        basis, site = np.unravel_index(k, sigmas.shape)
        at = (int(basis), int(site))
        drawn = hypergeom(pool[at], pool_ones[at], number[at])
        p_value = float(2 * min(drawn.cdf(ones[at]), drawn.sf(ones[at] - 1)))
        if p_value < best:
            best, place = p_value, at
    return place, min(1.0, best * int(shared.sum()))


def _marginal_warning(
    found: BasesDescription,
    worst: tuple[int, int],
    pool: NDArray[np.int64],
    pool_ones: NDArray[np.int64],
    ones: NDArray[np.int64],
) -> Iterator[DataWarning]:
    if found.marginals_p_value >= LEVEL:
        return
    basis, site = worst
    name = found.bases[basis]
    rest = pool[worst] - found.shots_in[basis]
    other = 1 - 2 * (pool_ones[worst] - ones[worst]) / rest
    yield DataWarning(
        "marginals",
        f"<{name[site]}> of site {site} is {found.means[worst]:+.4f} in basis {_short(name)}, but "
        f"{other:+.4f} in the other bases with {name[site]} there (p = "
        f"{found.marginals_p_value:.1g}): are these the bases of these shots, with the sites in "
        "the same order?",
    )


def _bloch_warning(found: BasesDescription, total: NDArray[np.int64]) -> Iterator[DataWarning]:
    """Yield a warning if the means of a site are those of no qubit."""
    known = total > 0
    length = np.sqrt(np.where(known, found.by_letter**2, 0).sum(axis=0))
    fewest = np.where(known, total, np.iinfo(np.int64).max).min(axis=0)
    # The variance of a mean of n values +-1 is at most 1/n.
    excess = np.maximum(length - 1, 0) ** 2 * fewest
    from scipy.special import chdtrc  # scipy.stats takes half a second to import

    p_values = found.sites * chdtrc(known.sum(axis=0), excess)
    site = int(np.argmin(p_values))
    if p_values[site] < LEVEL:
        means = ", ".join(
            f"<{letter}> = {mean:+.3f}"
            for letter, mean in zip(LETTERS, found.by_letter[:, site], strict=True)
            if np.isfinite(mean)
        )
        yield DataWarning(
            "bloch",
            f"site {site}: {means}, but no qubit has a sum of squares above 1 (p = "
            f"{p_values[site]:.1g}): are these the bases of these shots, or is the qubit dead?",
        )


def _short(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:40]}..."
