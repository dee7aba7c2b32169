"""Where damage begins, by phase and by schedule: the abstract, Section III A and appendix A."""

from __future__ import annotations

import numpy as np
import xarray as xr

from psiprune.core.statistics import crossing
from psiprune.paper.claims.base import InsufficientDataError, listed
from psiprune.paper.claims.data import (
    PHASES,
    QCP,
    Float64,
    fractions,
    has_phase,
    nearest,
    require_seeds,
    series,
)
from psiprune.paper.claims.evidence import Evidence, claim
from psiprune.paper.claims.tests import ALPHA, COMPARABLE, FEW, MATTERS, TWO_SIDED, contrast, p_text

#: The paper's physical quantities by sums over all states: name, title, variable, that of its
#: floor, and the factor of the floor. Floors of relative errors are half-widths of the paper's
#: 99 % interval; the others are means.
_PHYSICAL = (
    ("infidelity", "1 - F", "infidelity_exact", "infidelity_floor", 2.0),
    ("energy", "energy bias", "energy_bias_exact", "energy_roe_floor", 1.0),
    ("order", "|m| bias", "abs_magnetization_bias_exact", "abs_magnetization_roe_floor", 1.0),
    ("correlation", "C_MSE", "correlation_mse_exact", "correlation_mse_floor", 2.0),
)
#: Seeds of a one-sided test with four comparisons: 2^-7 < 0.05 / 4.
_CORRECTED = 7
#: The smallest distance between two thresholds, in fraction pruned, that matters.
_APART = 0.1


@claim("qcp-small-amount", "Abstract, IV", "study")
def _small_amount(evidence: Evidence) -> str:
    """At the critical point even a small amount of pruning can cost much accuracy in the physical
    properties.

    Small: a third of the weights, by the level nearest to it, since the paper itself considers a
    quarter harmless. Exact values. Holds if at least one of 1 - F, energy bias, |m| bias and C_MSE
    has doubled (one-sided signed ranks p <= 0.05 / 4) and its median is above what the paper's
    samples resolve (the half-width of their 99 % interval, twice the noise floor of 1 - F and
    C_MSE); in part if two have risen significantly by 10 %.
    """
    names = [name for _, _, *variables, _ in _PHYSICAL for name in variables]
    here = evidence.at(QCP, "study", _CORRECTED, *names)
    levels = fractions(here)
    level = nearest(levels, 1 / 3)
    at = f"level {level}"
    lost, rising = [], []
    for name, title, variable, floor_name, factor in _PHYSICAL:
        values, source = series(here, variable, "level"), f"study/{variable}"
        now, dense = values[:, level], values[:, 0]
        shown = evidence.band(name, now, f"over seeds at {at}", source)
        ratio, p = evidence.compare_above(name, now, dense, f"{at} over level 0", source)
        floor = factor * float(here[floor_name].isel(level=level).median("seed"))
        evidence.note(f"{name}_floor", floor, f"{factor:g} times, at {at}", f"study/{floor_name}")
        if p <= ALPHA / len(_PHYSICAL) and ratio >= MATTERS:
            rising.append(title)
            if ratio >= COMPARABLE and np.median(now) > floor:
                lost.append(title)
        evidence.case(f"{title} {shown}, {ratio:.2g} times ({p_text(p)}; floor {floor:.2g})")
    pruned = evidence.note("level", levels[level], at, "study/fraction_pruned")
    evidence.decide(bool(lost), 2 * len(rising) >= len(_PHYSICAL))
    return (
        f"At {pruned:.1%} pruned, exact values of {evidence.seeds} seeds and their ratio to dense: "
        f"{listed(evidence.cases)}. Lost: {listed(lost)}."
    )


@claim("threshold-differs", "Abstract, III A", "study")
def _phases_differ(evidence: Evidence) -> str:
    """Where accuracy starts to degrade differs much between the phases, and comes earlier at the
    critical point.

    The fraction pruned at which the KL of each RBM has doubled. Holds if that of the paramagnetic
    phase lies at least 10 points higher in the median over seeds, two-sided signed ranks p <= 0.05;
    in part if significantly higher, but by less.
    """
    studies = dict(evidence.phases("study", TWO_SIDED, "kl"))
    seeds = np.intersect1d(studies["QCP"]["seed"].values, studies["PM"]["seed"].values)
    require_seeds(len(seeds), TWO_SIDED)
    evidence.count_seeds(len(seeds))
    of = (
        "over seeds of the fraction pruned at which it first exceeds twice its dense value, "
        "interpolated; at most the last level"
    )
    doubled = {}
    for name, here in studies.items():
        doubled[name] = doubled_at(here.sel(seed=seeds), "kl")
        both = "study/kl", "study/fraction_pruned"
        shown = evidence.band(f"{name}_doubled", doubled[name], of, *both, form=".0%")
        evidence.case(f"{shown} at the {name}")
    kl = evidence.using("study/kl")
    p = contrast(doubled["PM"], doubled["QCP"]).p
    kl.note("p", p, "two-sided signed-rank test of PM against QCP")
    difference = np.median(doubled["PM"] - doubled["QCP"])
    apart = kl.note("apart", difference, "median over seeds of PM less QCP")
    higher = p <= ALPHA and apart > 0
    evidence.decide(higher and apart >= _APART, higher)
    return (
        f"KL has doubled at {listed(evidence.cases)} of the weights pruned; {apart:.0%} apart "
        f"({p_text(p)}, {evidence.seeds} seeds)."
    )


def doubled_at(here: xr.Dataset, name: str) -> Float64:
    """The fraction pruned at which a measure has first doubled, [seed]; at most the last level."""
    levels, values = fractions(here), series(here, name, "level")
    crossings = [crossing(levels, row, COMPARABLE * row[0]) for row in values]
    return np.minimum(crossings, levels[-1])


@claim("schedules-alike", "Appendix A", "study", "schedule-*")
def _schedules(evidence: Evidence) -> str:
    """Removing 10 to 40 % in the first step and 5 % in later steps makes no qualitative difference.

    The fraction pruned at which KL, and exact C_MSE, has doubled, median over seeds, as far as the
    shortest schedule goes. Holds if that of every schedule lies within 10 points of that of the
    main study, in every phase; in part if at least half do.
    """
    datasets = evidence.datasets
    keys = ["study", *sorted(key for key in datasets if key.startswith("schedule-"))]
    for name, ratio in PHASES.items():
        if not all(has_phase(datasets, key, ratio) for key in keys):
            continue
        for variable, title in (("kl", "KL"), ("correlation_mse_exact", "C_MSE")):
            studies = {key: evidence.at(ratio, key, FEW, variable) for key in keys}
            # All schedules are compared as far as the shortest of them goes.
            last = min(float(fractions(here)[-1]) for here in studies.values())
            doubled = []
            for key, here in studies.items():
                how = "median over seeds of the fraction pruned at which it has doubled"
                middle = np.median(np.minimum(doubled_at(here, variable), last))
                sources = f"{key}/{variable}", f"{key}/fraction_pruned"
                doubled.append(evidence.note(f"{name}_{variable}_{key}", middle, how, *sources))
            evidence.case(
                f"{title} at the {name} {doubled[0]:.0%} (others "
                f"{listed([f'{other:.0%}' for other in doubled[1:]])})",
                *(abs(other - doubled[0]) < _APART for other in doubled[1:]),
            )
    if not evidence.tests:
        raise InsufficientDataError("study and schedules have no phase of the paper in common")
    return (
        f"Fraction pruned at which a measure has doubled, median over {evidence.seeds} seeds or "
        f"more: {listed(evidence.cases)}."
    )
