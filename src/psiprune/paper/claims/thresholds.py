"""Where damage begins, by phase and by schedule: the abstract, Section III A and appendix A."""

from __future__ import annotations

import numpy as np
import xarray as xr

from psiprune.core.statistics import crossing
from psiprune.paper.claims.base import Datasets, InsufficientDataError, listed
from psiprune.paper.claims.data import (
    PHASES,
    QCP,
    Float64,
    exact_name,
    fractions,
    has_phase,
    nearest,
    phase,
    require_seeds,
    resolution,
    series,
)
from psiprune.paper.claims.evidence import Evidence, claim
from psiprune.paper.claims.readings import by_measure
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
    ratios = {}
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
        ratios[title] = now / dense
        floor = factor * float(here[floor_name].isel(level=level).median("seed"))
        evidence.note(f"{name}_floor", floor, f"{factor:g} times, at {at}", f"study/{floor_name}")
        if p <= ALPHA / len(_PHYSICAL) and ratio >= MATTERS:
            rising.append(title)
            if ratio >= COMPARABLE and np.median(now) > floor:
                lost.append(title)
        evidence.case(f"{title} {shown}, {ratio:.2g} times ({p_text(p)}; floor {floor:.2g})")
    pruned = evidence.note("level", levels[level], at, "study/fraction_pruned")
    worst = max(ratios, key=lambda title: float(np.median(ratios[title])))
    evidence.effect(f"{worst} at {pruned:.1%} pruned over dense", ratios[worst])
    evidence.decide(bool(lost), 2 * len(rising) >= len(_PHYSICAL))
    return (
        f"At {pruned:.1%} pruned, exact values of {evidence.seeds} seeds and their ratio to dense: "
        f"{listed(evidence.cases)}. Lost: {listed(lost)}."
    )


@claim("threshold-differs", "Abstract, III A", "study")
@by_measure
def _phases_differ(evidence: Evidence, measure: str) -> str:
    """Where accuracy starts to degrade differs much between the phases, and comes earlier at the
    critical point.

    The fraction pruned at which the measure of each RBM has doubled; if it never has, the last
    level. Holds if that of the paramagnetic phase lies at least 10 points higher in the median over
    seeds, two-sided signed ranks p <= 0.05; in part if significantly higher, but by less.
    """
    studies = dict(evidence.phases("study", TWO_SIDED, "fraction_pruned"))
    doubled = {}
    for name, here in studies.items():
        variable = exact_name(here, measure)
        known = evidence.complete(here, TWO_SIDED, variable)
        values = xr.DataArray(
            _doubled_at(evidence.datasets, "study", PHASES[name], measure, known), dims="seed"
        )
        doubled[name] = values.assign_coords(seed=known["seed"])
        both = f"study/{variable}", "study/fraction_pruned"
        shown = _when(evidence, f"{name}_doubled", doubled[name].values, known, *both)
        evidence.case(f"{shown} at the {name}")
    qcp, pm = xr.align(doubled["QCP"], doubled["PM"])
    require_seeds(qcp.size, TWO_SIDED)
    evidence.count_seeds(qcp.size)
    # It lies beyond the last level where it never has: as a lower limit that is safe for the PM.
    ends = {name: float(fractions(here)[-1]) for name, here in studies.items()}
    early, late = np.minimum(qcp.values, ends["QCP"]), np.minimum(pm.values, ends["PM"])
    of = evidence.using(f"study/{exact_name(studies['QCP'], measure)}")
    p = contrast(late, early).p
    of.note("p", p, "two-sided signed-rank test of PM against QCP")
    apart = of.note("apart", np.median(late - early), "median over seeds of PM less QCP")
    evidence.effect("fraction pruned at which it has doubled, PM less QCP", late - early)
    higher = p <= ALPHA and apart > 0
    evidence.decide(higher and apart >= _APART, higher)
    return (
        f"Doubled {listed(evidence.cases)}; {apart:.0%} apart ({p_text(p)}, {evidence.seeds} "
        "seeds)."
    )


def _doubled_at(
    datasets: Datasets, key: str, ratio: float, measure: str, here: xr.Dataset
) -> Float64:
    """The fraction pruned at which a measure has first doubled, [seed]; infinite if it never has.

    |m| biases below what the training set resolves count as that. Within the first step there is no
    RBM, so it has doubled there at the first level.
    """
    least = resolution(datasets, ratio, measure)
    values = np.maximum(series(here, exact_name(here, measure), "level"), least)
    levels = fractions(here)
    found = [crossing(levels, row, COMPARABLE * row[0]) for row in values]
    return np.maximum(found, levels[1])


def _when(
    evidence: Evidence, name: str, doubled: Float64, here: xr.Dataset, *variables: str
) -> str:
    """Record the median of when it has doubled, and return it as text: "at 52%"."""
    how = "median over seeds of the fraction pruned at which it first exceeds twice its dense value"
    middle = evidence.note(name, np.median(doubled), f"{how}, interpolated", *variables)
    if np.isfinite(middle):
        return f"at {middle:.0%}"
    last = evidence.note(f"{name}_end", fractions(here)[-1], "last level", "study/fraction_pruned")
    return f"not up to {last:.0%}"


@claim("schedules-alike", "Appendix A", "study", "schedule-*")
@by_measure
def _schedules(evidence: Evidence, measure: str) -> str:
    """Removing 10 to 40 % in the first step and 5 % in later steps makes no qualitative difference.

    The fraction pruned at which the measure has doubled, median over seeds, as far as the shortest
    schedule goes. Holds if for every schedule and phase it lies within 10 points of that of the
    main study, or both have not doubled; in part if for at least half of them.
    """
    datasets = evidence.datasets
    keys = ["study", *sorted(key for key in datasets if key.startswith("schedule-"))]
    apart: dict[str, float] = {}
    for name, ratio in PHASES.items():
        if not all(has_phase(datasets, key, ratio) for key in keys):
            continue
        studies = {}
        for key in keys:
            variable = exact_name(phase(datasets, key, ratio), measure)
            studies[key] = evidence.at(ratio, key, FEW, variable)
        # All schedules are compared as far as the shortest of them goes.
        last = min(float(fractions(here)[-1]) for here in studies.values())
        middle, shown = {}, {}
        for key, here in studies.items():
            doubled = _doubled_at(datasets, key, ratio, measure, here)
            doubled = np.where(doubled <= last, doubled, np.inf)
            middle[key] = float(np.median(doubled))
            sources = f"{key}/{exact_name(here, measure)}", f"{key}/fraction_pruned"
            shown[key] = _when(evidence, f"{name}_{key}", doubled, here, *sources)
            if key != "study":
                both = middle[key] == middle["study"]
                apart[f"{key}, {name}"] = 0.0 if both else abs(middle[key] - middle["study"])
        evidence.case(
            f"{name} {shown.pop('study')} (others {listed(list(shown.values()))})",
            *(value < _APART for case, value in apart.items() if case.endswith(f", {name}")),
        )
    if not evidence.tests:
        raise InsufficientDataError("study and schedules have no phase of the paper in common")
    largest = max(apart, key=lambda case: apart[case])
    evidence.effect(f"largest difference from the main study ({largest})", apart[largest])
    return (
        f"Fraction pruned at which it has doubled, median over {evidence.seeds} seeds or more: "
        f"{listed(evidence.cases)}."
    )
