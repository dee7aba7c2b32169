"""Where damage begins, by phase and by schedule: the abstract, Section III A and appendix A."""

from __future__ import annotations

import numpy as np
import xarray as xr

from psiprune.core.statistics import crossing
from psiprune.paper.claims.base import (
    FAILS,
    HOLDS,
    IN_PART,
    Claim,
    Datasets,
    Finding,
    InsufficientDataError,
    Number,
    listed,
    number,
    verdict_of,
)
from psiprune.paper.claims.data import (
    PHASES,
    QCP,
    Float64,
    fractions,
    has_phase,
    nearest,
    phase,
    series,
    whole,
)
from psiprune.paper.claims.tests import (
    ALPHA,
    COMPARABLE,
    FEW,
    MATTERS,
    TWO_SIDED,
    band,
    band_numbers,
    contrast,
    p_above,
    p_text,
)

#: The paper's physical quantities by sums over all states: name, title, variable, that of its
#: floor, and by what to multiply that. Floors of relative errors are half-widths of the paper's
#: 99 % interval; the others are means.
_PHYSICAL = (
    ("infidelity", "1 - F", "infidelity_exact", "infidelity_floor", 2.0),
    ("energy", "energy bias", "energy_bias_exact", "energy_roe_floor", 1.0),
    ("order", "|m| bias", "abs_magnetization_bias_exact", "abs_magnetization_roe_floor", 1.0),
    ("correlation", "C_MSE", "correlation_mse_exact", "correlation_mse_floor", 2.0),
)
#: Seeds of a one-sided test with four comparisons: 2^-7 < 0.05 / 4.
_CORRECTED = 7
#: How far two thresholds lie apart, in fraction pruned, if that matters.
_APART = 0.1


def _small_amount(datasets: Datasets) -> Finding:
    names = [name for _, _, *variables, _ in _PHYSICAL for name in variables]
    here = whole(phase(datasets, "study", QCP), _CORRECTED, *names)
    levels = fractions(here)
    level = nearest(levels, 1 / 3)
    numbers: dict[str, Number] = {}
    lost, rising, told = [], [], []
    for name, title, variable, floor_name, factor in _PHYSICAL:
        values = series(here, variable, "level")
        now, dense = values[:, level], values[:, 0]
        ratio, p = float(np.median(now / dense)), p_above(now, dense)
        floor = factor * float(here[floor_name].isel(level=level).median("seed"))
        significant = p <= ALPHA / len(_PHYSICAL)
        if significant and ratio >= MATTERS:
            rising.append(title)
            if ratio >= COMPARABLE and np.median(now) > floor:
                lost.append(title)
        told.append(f"{title} {band(now)}, {ratio:.2g} times ({p_text(p)}; floor {floor:.2g})")
        at = f"at level {level}"
        numbers |= {
            **band_numbers(name, now, f"over seeds {at}", f"study/{variable}"),
            f"{name}_ratio": number(ratio, f"median of {at} over level 0", f"study/{variable}"),
            f"{name}_p": number(p, "signed ranks, one-sided, of the same", f"study/{variable}"),
            f"{name}_floor": number(floor, f"{factor:g} times, {at}", f"study/{floor_name}"),
        }
    numbers["level"] = number(float(levels[level]), f"level {level}", "study/fraction_pruned")
    verdict = HOLDS if lost else IN_PART if 2 * len(rising) >= len(_PHYSICAL) else FAILS
    seeds = here.sizes["seed"]
    measured = (
        f"At {levels[level]:.1%} pruned, exact values of {seeds} seeds and their ratio to dense: "
        f"{listed(told)}. Lost: {listed(lost)}."
    )
    return Finding(verdict, measured, numbers, seeds)


def _phases_differ(datasets: Datasets) -> Finding:
    numbers: dict[str, Number] = {}
    found, told = {}, []
    study = datasets["study"]
    ratios = {name: phase(datasets, "study", ratio) for name, ratio in PHASES.items()}
    known = [whole(here, TWO_SIDED, "kl")["seed"].values for here in ratios.values()]
    seeds = [seed for seed in study["seed"].values if all(seed in each for each in known)]
    if len(seeds) < TWO_SIDED:
        raise InsufficientDataError(
            f"the rule needs at least {TWO_SIDED} seeds, found {len(seeds)}"
        )
    for name, here in ratios.items():
        own = here.sel(seed=seeds)
        found[name] = doubled_at(own, "kl")
        told.append(f"{band(found[name], '.0%')} at the {name}")
        of = "over seeds of the fraction pruned at which it first exceeds twice its dense value, "
        of += "interpolated; at most the last level"
        numbers |= band_numbers(
            f"{name}_doubled", found[name], of, "study/kl", "study/fraction_pruned"
        )
    against = contrast(found["PM"], found["QCP"])
    apart = float(np.median(found["PM"] - found["QCP"]))
    holds = against.p <= ALPHA and apart >= _APART
    numbers["apart"] = number(apart, "median over seeds of PM less QCP", "study/kl")
    numbers["p"] = number(against.p, "signed ranks, two-sided, of the same", "study/kl")
    verdict = HOLDS if holds else IN_PART if against.p <= ALPHA and apart > 0 else FAILS
    measured = (
        f"KL has doubled at {listed(told)} of the weights pruned; {apart:.0%} apart "
        f"({p_text(against.p)}, {len(seeds)} seeds)."
    )
    return Finding(verdict, measured, numbers, len(seeds))


def doubled_at(here: xr.Dataset, name: str) -> Float64:
    """The fraction pruned at which a measure has first doubled, [seed]; at most the last level."""
    levels, values = fractions(here), series(here, name, "level")
    found = [crossing(levels, row, COMPARABLE * row[0]) for row in values]
    return np.minimum(found, levels[-1])


def _schedules(datasets: Datasets) -> Finding:
    keys = sorted(key for key in datasets if key.startswith("schedule-"))
    numbers: dict[str, Number] = {}
    tests, told = [], []
    seeds = datasets["study"].sizes["seed"]
    for name, ratio in PHASES.items():
        if not all(has_phase(datasets, key, ratio) for key in ("study", *keys)):
            continue
        for variable, title in (("kl", "KL"), ("correlation_mse_exact", "C_MSE")):
            shown = []
            pieces = {
                key: whole(phase(datasets, key, ratio), FEW, variable) for key in ("study", *keys)
            }
            # All schedules are looked at as far as the shortest of them goes.
            last = min(float(fractions(piece)[-1]) for piece in pieces.values())
            own = {
                key: float(np.median(np.minimum(doubled_at(piece, variable), last)))
                for key, piece in pieces.items()
            }
            for key in keys:
                tests.append(abs(own[key] - own["study"]) < _APART)
                seeds = min(seeds, pieces[key].sizes["seed"])
                shown.append(f"{own[key]:.0%}")
            told.append(f"{title} at the {name} {own['study']:.0%} (others {listed(shown)})")
            for key, value in own.items():
                numbers[f"{name}_{variable}_{key}"] = number(
                    value,
                    "median over seeds of the fraction pruned at which it has doubled",
                    f"{key}/{variable}",
                    f"{key}/fraction_pruned",
                )
    if not tests:
        raise InsufficientDataError("study and schedules have no phase of the paper in common")
    measured = (
        f"Fraction pruned at which a measure has doubled, median over {seeds} seeds or more: "
        f"{listed(told)}."
    )
    return Finding(verdict_of(tests), measured, numbers, seeds)


CLAIMS = (
    Claim(
        "qcp-small-amount",
        "Abstract, IV",
        "At the critical point even a small amount of pruning can cost much accuracy in the "
        "physical properties.",
        "Small: at most a third of the weights, that is the level nearest to it, since the paper "
        "itself takes a quarter for harmless. Exact values. Holds if at least one of 1 - F, "
        "energy bias, |m| bias and C_MSE has doubled (one-sided signed ranks p <= 0.05 / 4) and "
        "its median is above what the paper's samples resolve (the half-width of their 99 % "
        "interval, twice the noise floor of 1 - F and C_MSE); in part if two have risen "
        "significantly by 10 %.",
        ("study",),
        _small_amount,
    ),
    Claim(
        "threshold-differs",
        "Abstract, III A",
        "Where accuracy starts to degrade differs much between the phases, and comes earlier at "
        "the critical point.",
        "The fraction pruned at which each RBM has twice its dense KL. Holds if that of the "
        "paramagnetic phase lies at least 10 points higher in the median over seeds, two-sided "
        "signed ranks p <= 0.05; in part if significantly higher, but by less.",
        ("study",),
        _phases_differ,
    ),
    Claim(
        "schedules-alike",
        "Appendix A",
        "Removing 10 to 40 % in the first step and 5 % in those after makes no qualitative "
        "difference.",
        "The fraction pruned at which KL, and exact C_MSE, has doubled, median over seeds, as far "
        "as the shortest schedule goes. Holds if that of every schedule lies within 10 points of "
        "that of the main study, in every phase; in part if at least half do.",
        ("study", "schedule-*"),
        _schedules,
    ),
)
