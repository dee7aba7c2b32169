"""The correlation function and the size of the system: Sections II B and III A, Fig. 4."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from math import comb
from operator import eq

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from psiprune.core.statistics import crossing
from psiprune.paper.claims.base import InsufficientDataError, listed
from psiprune.paper.claims.data import (
    PHASES,
    QCP,
    Float64,
    all_sizes,
    connectable,
    fractions,
    has_phase,
    nearest,
    phase,
    require,
    series,
)
from psiprune.paper.claims.evidence import Evidence, claim
from psiprune.paper.claims.tests import ALPHA, FEW, growth, p_larger, p_text

#: The smallest conclusive difference of two AIC.
_CONCLUSIVE = 2.0
#: Share of seeds that "the RBMs" are, and number of levels examined at the end of pruning.
_MOST, _LAST = 2 / 3, 3
#: Relative damages of C(d) at which sizes are compared, and the difference that matters.
_DAMAGES, _APART = (0.1, 0.2, 0.4), 0.02
#: The measures that the paper computes at all sizes, and the fraction pruned at which to compare.
_LARGE = {"energy_roe": "eROE", "abs_magnetization_roe": "mROE", "correlation_mse": "C_MSE"}
_LATE = 0.8


@claim("exact-decay", "II B", "decay")
def _exact_decay(evidence: Evidence) -> str:
    """C(d) decays algebraically at the critical point and exponentially in the gapped phase.

    Fits of ln C(d) of the exact state over the quarter of the chain around its middle, away from
    the open ends. Holds if AIC prefers the power law at the critical point and the exponential in
    the paramagnetic phase, by more than 2, at every size; in part if in at least half of these
    cases.
    """
    of = evidence.using("decay/delta_aic_reference")
    for name, sign in (("QCP", -1), ("PM", 1)):
        here = phase(evidence.datasets, "decay", PHASES[name])["delta_aic_reference"].dropna("size")
        for size in here["size"].values:  # those that are large enough for a fit
            delta = of.note(f"{name}_{size:g}", here.sel(size=size), f"size {size:g}, {name}")
            evidence.effect(f"difference of AIC at the {name}, N = {size:g}", delta)
            evidence.case(f"{name}, N = {size:g}: {delta:+.1f}", sign * delta > _CONCLUSIVE)
    if not evidence.tests:
        raise InsufficientDataError("no size has three distances within a quarter of the chain")
    return (
        "AIC of the power law less that of the exponential for the exact states: "
        f"{', '.join(evidence.cases)}."
    )


@claim("decay-turns-exponential", "III A, Fig. 4", "study", "decay")
def _to_exponential(evidence: Evidence) -> str:
    """At the critical point pruning turns the decay of C(d) from algebraic to exponential.

    Fits of ln C(d) over the quarter of the chain around its middle, by sums over all states up to
    20 sites and otherwise weighted by the errors of the samples. Holds if AIC prefers the power law
    by more than 2 in two thirds of the dense RBMs, and the exponential by more than 2 (median of
    the last three levels at which the graph can be connected) in two thirds of the pruned ones, at
    every size with enough data; in part if at half of the sizes or more. Reported next to it: from
    where on most are exponential, and whether the graphs are connected there and at the end. For a
    perfect model of the critical state with 10^5 draws the power law is rejected in less than 5 %
    of all cases.
    """
    here = phase(evidence.datasets, "decay", QCP)
    for size in here["size"].values:
        study = here.sel(size=size)
        delta = series(study, "delta_aic", "level")
        last = _last_levels(np.asarray(study["fraction_pruned"].values, np.float64), float(size))
        late = np.array([_known_median(row) for row in delta[:, last]])
        known = np.isfinite(delta[:, 0]) & np.isfinite(late)
        if known.sum() < FEW:
            continue
        before, after = delta[known, 0], late[known]
        evidence.count_seeds(len(before))
        of = evidence.using("decay/delta_aic", suffix=f"{size:g}")
        at = f"size {size:g}, at the QCP"
        end = "median of the last three levels that can be connected"
        how = f"share of seeds, {at}, level 0 below -2"
        algebraic = of.note("algebraic", np.mean(before < -_CONCLUSIVE), how)
        how = f"share of seeds, {at}, {end} above 2"
        exponential = of.note("exponential", np.mean(after > _CONCLUSIVE), how)
        dense = of.note("dense", np.median(before), f"median over seeds, {at}, level 0")
        pruned = of.note("late", np.median(after), f"median over seeds, {at}, of the {end}")
        exact = of.note("exact", study["delta_aic_reference"], at, "decay/delta_aic_reference")
        evidence.effect(f"RBMs with an exponential at the end, N = {size:g}", after > _CONCLUSIVE)
        beside = _connectivity(evidence, float(size), delta, last)
        basis = "samples" if float(study["sampled"]) else "sums over all states"
        evidence.case(
            f"N = {size:g} ({len(before)} seeds, {basis}): power law in {algebraic:.0%} of the "
            f"dense RBMs (median difference {dense:+.1f}; exact state {exact:+.1f}), exponential "
            f"in {exponential:.0%} at the end ({pruned:+.1f}){beside}",
            algebraic >= _MOST and exponential >= _MOST,
        )
    if not evidence.tests:
        raise InsufficientDataError(
            f"no size has {FEW} seeds whose decays can be told apart, dense and at the end"
        )
    return f"Difference of AIC, below 0 for a power law. {evidence.text}."


def _connectivity(evidence: Evidence, size: float, delta: Float64, last: NDArray[np.intp]) -> str:
    """From where on most decays are exponential, and how connected the graphs are, as text.

    Args:
        evidence: to record in.
        size: N.
        delta: difference of AIC, [seed, level].
        last: the levels that "the end" is.
    """
    keys = [
        key for key in all_sizes(evidence.datasets) if evidence.datasets[key].attrs["sites"] == size
    ]
    if not keys:
        return ""
    here = phase(evidence.datasets, keys[0], QCP)
    require(here, "components")
    parts, levels = series(here, "components", "level"), fractions(here)
    if last[-1] >= len(levels):  # the decays are those of a longer path
        return ""
    of = evidence.using(f"{keys[0]}/components", suffix=f"{size:g}")
    connected = of.note("connected", np.mean(parts[:, last] == 1), "share of graphs at the end")
    pieces = of.note("pieces", np.median(parts[:, last]), "median of the components at the end")
    text = f", where {connected:.0%} of the graphs are connected ({pieces:g} components, median)"
    known = delta[:, : len(levels)]
    turned = [k for k in range(1, last[-1] + 1) if _mostly(known[:, k] > _CONCLUSIVE, known[:, k])]
    if not turned:
        return text
    first = turned[0]
    of_delta = evidence.using("decay/delta_aic", f"{keys[0]}/fraction_pruned", suffix=f"{size:g}")
    how = "first fraction pruned at which two thirds of the RBMs are above 2"
    pruned = of_delta.note("turns", levels[first], how)
    then = of.note("connected_then", np.mean(parts[:, first] == 1), f"share at level {first}")
    return f"{text}; in most from {pruned:.0%} pruned on, with {then:.0%} connected"


def _mostly(exponential: NDArray[np.bool_], delta: Float64) -> bool:
    """Whether two thirds of the decays that can be told apart are exponential."""
    known = np.isfinite(delta)
    return bool(known.sum() >= FEW and exponential[known].mean() >= _MOST)


def _last_levels(levels: Float64, sites: float) -> NDArray[np.intp]:
    """The last levels at which a graph of N and N/2 units can be connected."""
    hidden = sites // 2
    there = np.isfinite(levels) & (levels <= 1 - (sites + hidden - 1) / (sites * hidden))
    there[0] = False
    return np.flatnonzero(there)[-_LAST:]


def _known_median(values: Float64) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


def _damage_at(here: xr.Dataset, damage: float) -> Float64:
    """The fraction pruned at which C(d) has changed so much, [seed]; infinite if it never has.

    Relative to the dense RBM of the same seed, not to the exact state: a larger RBM may be less
    accurate from the start, which is not an effect of pruning.
    """
    levels = fractions(here)
    return np.array([crossing(levels, row, damage) for row in _changes(here)])


def _changes(here: xr.Dataset) -> Float64:
    """Relative change of C(d) since the dense RBM, by roots of mean squares, [seed, level]."""
    c = series(here, "correlation", "level", "distance")
    change = np.sqrt(np.mean((c - c[:, :1]) ** 2, axis=2) / np.mean(c[:, :1] ** 2, axis=2))
    return np.asarray(change, np.float64)


def _disconnected_at(here: xr.Dataset, _: float) -> Float64:
    """The first fraction pruned at which the graph is disconnected, [seed]; infinite if never."""
    parts = series(here, "components", "level") > 1
    levels = fractions(here)
    return np.array([levels[row.argmax()] if row.any() else np.inf for row in parts])


def _larger_later(
    evidence: Evidence,
    at: Callable[[xr.Dataset, float], Float64],
    conditions: Sequence[float],
    variable: str,
    what: str,
) -> str:
    """Whether something happens to larger systems at a larger fraction pruned.

    Args:
        evidence: to record in.
        at: (study, condition) -> the fraction pruned at which it happens, [seed].
        conditions: each is tested; 0 stands for none.
        variable: that `at` uses.
        what: `at` in words.
    """
    keys = all_sizes(evidence.datasets)
    studies = {key: evidence.at(QCP, key, FEW, variable) for key in keys}
    sizes = {key: int(here.attrs["sites"]) for key, here in studies.items()}
    for condition in conditions:
        happens = {key: at(here, condition) for key, here in studies.items()}
        label = f"{condition:g}" if condition else ""
        shown, middle, passed = {}, {}, []
        for key in keys:
            of = evidence.using(f"{key}/{variable}", f"{key}/fraction_pruned", prefix=label)
            how = f"median over seeds of {what}"
            middle[key] = of.note(f"{sizes[key]}", np.median(happens[key]), how)
            when = f"at {middle[key]:.0%}"
            if np.isinf(middle[key]):
                end = fractions(studies[key])[-1]
                when = f"not up to {of.note(f'{sizes[key]}_end', end, 'last level'):.0%}"
            shown[key] = f"N = {sizes[key]} {when}"
        for small, large in pairwise(keys):
            a, b = happens[small], happens[large]
            # Nothing is known where it does not happen to most of the smaller ones, nor where the
            # path of the larger ones ends before.
            if middle[small] >= fractions(studies[large])[-1]:
                continue
            of = evidence.using(f"{large}/{variable}", f"{small}/{variable}", prefix=label)
            how = f"one-sided rank-sum test that it is not later than at N = {sizes[small]}"
            p = of.note(f"{sizes[large]}_p", p_larger(b, a), how)
            total, few = len(a) + len(b), len(a)
            how = f"smallest possible p of {len(b)} seeds against {few}: 1 / C({total}, {few})"
            least = of.note(f"{sizes[large]}_least_p", 1 / comb(total, few), how)
            passed.append(p <= ALPHA and middle[large] >= middle[small] + _APART)
            evidence.effect(
                f"RBMs of N = {sizes[large]} later than the median of N = {sizes[small]}"
                f"{f', {condition:.0%}' if condition else ''}",
                b > np.median(a),
            )
            shown[large] += f" ({p_text(p)}, at least {least:.2g})"
        prefix = f"{condition:.0%}: " if condition else ""
        evidence.case(f"{prefix}{', '.join(shown.values())}", *passed)
    if not evidence.tests:
        raise InsufficientDataError(f"no size reaches {what}")
    return f"{what[0].upper()}{what[1:]}, medians, {evidence.seeds} seeds or more. {evidence.text}."


@claim("larger-stand-more", "III A, Fig. 4", "study", "size-*")
def _larger_stand_more(evidence: Evidence) -> str:
    """A larger system tolerates more pruning for the same damage to the correlation function.

    Damage: change of C(d) from that of the dense RBM of the same seed, root of the mean square over
    that of C(d), at the critical point. For 10, 20 and 40 % of it and each size with the next
    smaller one: the fraction pruned at which it is reached must be at least 2 points higher in the
    median over seeds, by rank sums with one-sided p <= 0.05 (the least that 3 seeds against 3 can
    reach). Holds if all are so; in part if at least half; pairs of which most of the smaller RBMs
    never reach it do not count.
    """
    what = "fraction pruned at which C(d) has changed by so much"
    return _larger_later(evidence, _damage_at, _DAMAGES, "correlation", what)


@claim("smaller-disconnect-first", "III A", "study", "size-*")
def _smaller_disconnect_first(evidence: Evidence) -> str:
    """At the same share of weights the graph of a smaller RBM is more likely to be disconnected.

    At the critical point. Each size with the next smaller one: the fraction pruned at which the
    graph first is disconnected must be at least 2 points higher in the median over seeds, by rank
    sums with one-sided p <= 0.05 (the least that 3 seeds against 3 can reach). Holds if all are so;
    in part if at least half.
    """
    what = "fraction pruned at which the graph is disconnected"
    return _larger_later(evidence, _disconnected_at, (0.0,), "components", what)


@claim("larger-stay-connected", "III A", "study", "size-*")
def _stay_connected(evidence: Evidence) -> str:
    """Larger systems tolerate more pruning because their graphs stay connected for longer.

    Then damage comes with the loss of connection. At the critical point, for each size and 10, 20
    and 40 % of damage to C(d): in most of the RBMs that reach it, the graph is disconnected at the
    first level with so much. Holds if so in all cases; in part if in half. Reported next to it: by
    which count of weights the sizes are most alike at that damage, by the largest over the smallest
    median.
    """
    keys = all_sizes(evidence.datasets)
    studies = {
        key: evidence.at(QCP, key, FEW, "correlation", "components", "weights_kept") for key in keys
    }
    for damage in _DAMAGES:
        shown = []
        for key, here in studies.items():
            changed, parts = _changes(here), series(here, "components", "level")
            first = [int(np.argmax(row > damage)) for row in changed]
            reached = np.array([bool(row.max() > damage) for row in changed])
            if reached.sum() < FEW:
                continue
            apart = np.array([parts[k, level] > 1 for k, level in enumerate(first)])[reached]
            at, size = f"{damage:g}_{here.attrs['sites']}", f"N = {here.attrs['sites']}"
            of = evidence.using(f"{key}/correlation", f"{key}/components")
            how = (
                f"share of the RBMs of size {here.attrs['sites']} whose graph is disconnected then"
            )
            share = of.note(f"{at}_apart", apart.mean(), how)
            evidence.effect(f"disconnected at {damage:.0%} damage, {size}", apart)
            shown.append(f"{size} in {share:.0%}")
            evidence.tests.append(bool(share > 0.5))
        if shown:
            alike = _alike_by(evidence, studies, damage)
            evidence.case(f"{damage:.0%}: {', '.join(shown)}{alike}")
    if not evidence.tests:
        raise InsufficientDataError(f"no size has {FEW} RBMs that reach 10% of damage")
    return (
        "RBMs whose graph is disconnected once C(d) has changed by so much, "
        f"{evidence.seeds} seeds or more. {evidence.text}."
    )


#: Counts of weights by which sizes are compared: weights, N and N_h -> count.
_COUNTS: Mapping[str, Callable[[Float64, int, int], Float64]] = {
    "weights over all": lambda kept, sites, hidden: kept / (sites * hidden),
    "weights per hidden unit": lambda kept, sites, hidden: kept / hidden,
    "weights beyond a tree per hidden unit": lambda kept, sites, hidden: (
        (kept - (sites + hidden - 1)) / hidden
    ),
}


def _alike_by(evidence: Evidence, studies: Mapping[str, xr.Dataset], damage: float) -> str:
    """How far sizes are apart at a damage by each count of weights, as text; "" for one size."""
    middles: dict[str, list[float]] = {name: [] for name in _COUNTS}
    for here in studies.values():
        pruned = np.median(_damage_at(here, damage))
        sites, hidden = int(here.attrs["sites"]), int(here.attrs["hidden"])
        if np.isfinite(pruned):
            kept = np.asarray((1 - pruned) * sites * hidden)
            for name, count in _COUNTS.items():
                middles[name].append(float(count(kept, sites, hidden)))
    if len(middles["weights over all"]) < 2:
        return ""
    of = evidence.using(*(f"{key}/correlation" for key in studies), prefix=f"{damage:g}")
    parts = []
    for name, values in middles.items():
        how = f"largest over smallest median of {name} at {damage:.0%} of damage, over sizes"
        apart = max(values) / min(values) if min(values) > 0 else float("inf")
        factor = of.note(name.replace(" ", "_"), apart, how)
        parts.append(f"{name} {factor:.2g}" if np.isfinite(factor) else f"{name} undefined")
    return f" (largest over smallest median: {listed(parts)})"


@claim("larger-alike", "III A", "study", "size-*")
def _alike(evidence: Evidence) -> str:
    """eROE, mROE and the correlations of larger systems behave as those of the smaller one.

    For each other size and phase two tests: the same of eROE, mROE and C_MSE as at the main size
    are harmed at the level nearest to 80 % pruned (median over seeds above the largest dense
    value), and they grow over the dense RBM in the same order (geometric mean over levels at which
    the graph can be connected). Holds if all are passed; in part if at least half.
    """
    how = (
        "measures whose median over seeds at the level nearest to 80 % pruned is above the largest "
        "dense value"
    )
    for name, ratio in PHASES.items():
        sizes = sorted(all_sizes(evidence.datasets), key=lambda key: key != "study")
        keys = [key for key in sizes if has_phase(evidence.datasets, key, ratio)]
        if keys[:1] != ["study"]:
            continue
        patterns = {}
        for key in keys:
            here = evidence.at(ratio, key, FEW, *_LARGE)
            harmed, factors = _pattern(here)
            patterns[key] = harmed, sorted(factors, key=factors.__getitem__)
            label = f"{name}_{here.attrs['sites']}"
            worst = max(factors, key=factors.__getitem__)
            evidence.effect(
                f"growth of {_LARGE[worst]}, {name}, N = {here.attrs['sites']}", factors[worst]
            )
            for variable, factor in factors.items():
                of = evidence.using(f"{key}/{variable}", prefix=label)
                of.note(variable, factor, "growth over dense, geometric mean over levels")
            names = (*_LARGE, "fraction_pruned")
            of = evidence.using(*(f"{key}/{variable}" for variable in names), prefix=label)
            count = of.note("harmed", sum(harmed), how)
            grown = ", ".join(f"{_LARGE[each]} {factor:.2g}" for each, factor in factors.items())
            evidence.case(
                f"{name}, N = {here.attrs['sites']}: {grown} ({count:g} of {len(harmed)} harmed)",
                *map(eq, patterns[key], patterns["study"] if key != "study" else ()),
            )
    if not evidence.tests:
        raise InsufficientDataError("no two sizes have a phase of the paper in common")
    return (
        f"Growth over the dense RBM (geometric mean over levels; harmed at {_LATE:.0%} pruned), "
        f"{evidence.seeds} seeds or more. {evidence.text}."
    )


def _pattern(here: xr.Dataset) -> tuple[list[bool], dict[str, float]]:
    """Which measures are harmed late, and by which factor each grows."""
    level = nearest(fractions(here), _LATE)
    levels = connectable(here)
    levels[0] = True
    values = {name: series(here, name, "level") for name in _LARGE}
    harmed = [bool(np.median(v[:, level]) > v[:, 0].max()) for v in values.values()]
    factors = {name: float(np.exp(np.median(growth(v[:, levels])))) for name, v in values.items()}
    return harmed, factors
