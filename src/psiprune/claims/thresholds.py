"""How many weights can go: Section III A, the abstract, the Discussion and appendix A."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import xarray as xr

from psiprune.claims.access import (
    MEASURES,
    PHASES,
    PM,
    QCP,
    Float64,
    fractions,
    has_phase,
    nearest,
    phase,
    series,
    whole,
)
from psiprune.claims.compare import (
    ALPHA,
    COMPARABLE,
    FEW,
    MATTERS,
    ONE_SIDED,
    TWO_SIDED,
    band,
    contrast,
    p_above,
    p_text,
)
from psiprune.claims.finding import (
    FAILS,
    HOLDS,
    IN_PART,
    Claim,
    Datasets,
    Finding,
    Number,
    Undecided,
    listed,
    number,
    verdict_of,
)
from psiprune.crossing import crossing

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

_UNHARMED = (
    "A measure is harmed at a level if it is higher than in the dense RBMs of the same seeds by "
    "10 % or more (median ratio, one-sided signed ranks p < 0.05), and its median is above twice "
    "the noise floor. {} Holds if none of KL, 1 - F, eROE, mROE and C_MSE, as the paper samples "
    "them, is harmed up to there; in part if KL and some others are not."
)


class Reach(NamedTuple):
    """How far a measure stays as it is in the dense RBMs.

    Attributes:
        leaves: the first fraction pruned at which it is harmed; infinite if it never is.
        level: the level of `leaves`; the number of levels if it never is.
        growth: median over seeds of its ratio to the dense RBM, [level].
    """

    leaves: float
    level: int
    growth: Float64


def reach(here: xr.Dataset, name: str) -> Reach:
    """How far a sampled measure is unharmed, with all seeds of a study at one field."""
    levels, values = fractions(here), series(here, name, "level")
    floor = np.nan_to_num(np.asarray(here[f"{name}_floor"].median("seed").values, np.float64))
    dense = values[:, 0]
    growth = np.median(values / dense[:, None], axis=0)
    matters = (growth >= MATTERS) & (np.median(values, axis=0) > 2 * floor)
    harmed = [k for k in np.flatnonzero(matters) if p_above(values[:, k], dense) < ALPHA]
    first = int(harmed[0]) if harmed else len(levels)
    leaves = float(levels[first]) if harmed else float("inf")
    return Reach(leaves, first, growth)


def floors_known(here: xr.Dataset, least: int) -> xr.Dataset:
    """A study at one field with the five measures of the paper of at least so many seeds."""
    for name in MEASURES:
        if f"{name}_floor" not in here:
            raise Undecided(f"the data has no {name}_floor")
    return whole(here, least, *MEASURES)


def _reach_number(name: str, found: Reach) -> Number:
    how = (
        "first fraction pruned at which it is 10 % above dense or more (median ratio, one-sided "
        "signed ranks p < 0.05) and its median above twice the noise floor"
    )
    return number(found.leaves, how, f"study/{name}", f"study/{name}_floor")


def _told(found: dict[str, Reach]) -> str:
    """Where each measure leaves: "KL at 77 %, ..."."""
    parts = [
        f"{title} {'never' if np.isinf(found[name].leaves) else f'at {found[name].leaves:.0%}'}"
        for name, title in MEASURES.items()
    ]
    return listed(parts)


def _up_to(fraction: float, levels: Float64) -> int:
    """The last level up to a fraction."""
    places = np.flatnonzero(levels <= fraction)
    if places[-1] == 0:
        raise Undecided(f"no pruned level up to {fraction:.0%} pruned")
    return int(places[-1])


def _beyond(fraction: float, levels: Float64) -> int:
    """The first level beyond a fraction."""
    places = np.flatnonzero(levels > fraction)
    if not len(places):
        raise Undecided(f"no level beyond {fraction:.0%} pruned")
    return int(places[0])


def _near(fraction: float, levels: Float64) -> int:
    return nearest(levels, fraction)


def _unharmed(ratio: float, last: Callable[[Float64], int], datasets: Datasets) -> Finding:
    here = floors_known(phase(datasets, "study", ratio), ONE_SIDED)
    levels = fractions(here)
    level = last(levels)
    found = {name: reach(here, name) for name in MEASURES}
    unharmed = {name: found[name].level > level for name in MEASURES}
    verdict = verdict_of(unharmed.values())
    if verdict == IN_PART and not (unharmed["kl"] and sum(unharmed.values()) > 1):
        verdict = FAILS
    seeds = here.sizes["seed"]
    growth = {name: float(found[name].growth[level]) for name in MEASURES}
    grown = [f"{MEASURES[name]} {growth[name]:.2f}" for name in MEASURES]
    measured = (
        f"Unharmed at every level up to {levels[level]:.1%} pruned: "
        f"{listed([MEASURES[name] for name in MEASURES if unharmed[name]])}. "
        f"First harmed: {_told(found)}. Over dense at {levels[level]:.1%}, median ratio of {seeds} "
        f"seeds: {listed(grown)}."
    )
    numbers = {f"{name}_leaves": _reach_number(name, found[name]) for name in MEASURES}
    how = f"median over seeds of level {level} over level 0"
    for name in MEASURES:
        numbers[f"{name}_growth"] = number(growth[name], how, f"study/{name}")
    how = "fraction pruned at the level that stands for the claim"
    numbers["up_to"] = number(float(levels[level]), how, "study/fraction_pruned")
    return Finding(verdict, measured, numbers, seeds)


def _damaged_beyond(datasets: Datasets) -> Finding:
    here = floors_known(phase(datasets, "study", QCP), TWO_SIDED)
    levels = fractions(here)
    level = nearest(levels, 0.5)
    found = {name: reach(here, name) for name in MEASURES}
    # What was harmed early may have come back.
    limits = {name: _above(here, name, level) for name in MEASURES}
    kl = series(here, "kl", "level")
    against = contrast(kl[:, level], kl[:, 0])
    doubled = against.higher and against.ratio >= COMPARABLE
    harmed = [MEASURES[name] for name in MEASURES if limits[name]]
    verdict = FAILS
    if doubled and limits["kl"]:
        verdict = HOLDS if len(harmed) == len(MEASURES) else IN_PART
    seeds = here.sizes["seed"]
    measured = (
        f"At {levels[level]:.1%} pruned KL is {against} times the dense one, median over {seeds} "
        f"seeds; harmed: {listed(harmed)}. First harmed: {_told(found)}."
    )
    numbers = {f"{name}_leaves": _reach_number(name, found[name]) for name in MEASURES}
    numbers["kl_ratio"] = number(
        against.ratio, f"median over seeds of level {level} over level 0", "study/kl"
    )
    numbers["kl_p"] = number(against.p, "signed ranks, two-sided, of the same", "study/kl")
    return Finding(verdict, measured, numbers, seeds)


def _above(here: xr.Dataset, name: str, level: int) -> bool:
    """Whether a measure is harmed at one level."""
    return reach(here.isel(level=[0, level]), name).level == 1


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
        significant = p < ALPHA / len(_PHYSICAL)
        if significant and ratio >= MATTERS:
            rising.append(title)
            if ratio >= COMPARABLE and np.median(now) > floor:
                lost.append(title)
        told.append(f"{title} {band(now)}, {ratio:.2g} times ({p_text(p)}; floor {floor:.2g})")
        at = f"at level {level}"
        numbers |= {
            name: number(float(np.median(now)), f"median over seeds {at}", f"study/{variable}"),
            f"{name}_ratio": number(ratio, f"median of {at} over level 0", f"study/{variable}"),
            f"{name}_p": number(p, "signed ranks, one-sided, of the same", f"study/{variable}"),
            f"{name}_floor": number(floor, f"{factor:g} times, {at}", f"study/{floor_name}"),
        }
    verdict = HOLDS if lost else IN_PART if rising else FAILS
    seeds = here.sizes["seed"]
    measured = (
        f"At {levels[level]:.1%} pruned, exact values of {seeds} seeds and their ratio to dense: "
        f"{listed(told)}. Lost: {listed(lost)}."
    )
    return Finding(verdict, measured, numbers, seeds)


def _phases_differ(datasets: Datasets) -> Finding:
    found, numbers, told = {}, {}, []
    study = datasets["study"]
    ratios = {name: phase(datasets, "study", ratio) for name, ratio in PHASES.items()}
    known = [whole(here, TWO_SIDED, "kl")["seed"].values for here in ratios.values()]
    seeds = [seed for seed in study["seed"].values if all(seed in each for each in known)]
    if len(seeds) < TWO_SIDED:
        raise Undecided(f"the rule needs at least {TWO_SIDED} seeds, found {len(seeds)}")
    for name, here in ratios.items():
        own = here.sel(seed=seeds)
        found[name] = doubled_at(own, "kl")
        told.append(f"{band(found[name], '.0%')} at the {name}")
        how = "median over seeds of the fraction pruned at which it first exceeds twice its dense "
        how += "value, interpolated; at most the last level"
        numbers[f"{name}_doubled"] = number(
            float(np.median(found[name])), how, "study/kl", "study/fraction_pruned"
        )
    against = contrast(found["PM"], found["QCP"])
    apart = float(np.median(found["PM"] - found["QCP"]))
    holds = against.p < ALPHA and apart >= _APART
    numbers["apart"] = number(apart, "median over seeds of PM less QCP", "study/kl")
    numbers["p"] = number(against.p, "signed ranks, two-sided, of the same", "study/kl")
    verdict = HOLDS if holds else IN_PART if against.p < ALPHA and apart > 0 else FAILS
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
        raise Undecided("study and schedules have no phase of the paper in common")
    measured = (
        f"Fraction pruned at which a measure has doubled, median over {seeds} seeds or more: "
        f"{listed(told)}."
    )
    return Finding(verdict_of(tests), measured, numbers, seeds)


CLAIMS = (
    Claim(
        "pm-unharmed-75",
        "III A",
        "In the paramagnetic phase no error measure rises before about 75 % of the weights are "
        "pruned.",
        _UNHARMED.format("It must be so at every level up to the one nearest to 75 % pruned."),
        ("study",),
        partial(_unharmed, PM, partial(_near, 0.75)),
    ),
    Claim(
        "pm-over-half",
        "Abstract",
        "In the gapped phase over half of the weights can go while physical observables are still "
        "reproduced accurately.",
        _UNHARMED.format("It must be so at every level up to the first beyond 50 % pruned."),
        ("study",),
        partial(_unharmed, PM, partial(_beyond, 0.5)),
    ),
    Claim(
        "pm-up-to-50",
        "IV",
        "In the paramagnetic phase up to 50 % of the weights can go without significant loss of "
        "accuracy.",
        _UNHARMED.format("It must be so at every level up to 50 % pruned."),
        ("study",),
        partial(_unharmed, PM, partial(_up_to, 0.5)),
    ),
    Claim(
        "qcp-unharmed-25",
        "III A",
        "At the critical point about 25 % of the weights can go.",
        _UNHARMED.format("It must be so at every level up to the one nearest to 25 % pruned."),
        ("study",),
        partial(_unharmed, QCP, partial(_near, 0.25)),
    ),
    Claim(
        "qcp-damaged-beyond-25",
        "III A",
        "At the critical point pruning further than 25 % does significant damage.",
        "At the level nearest to 50 % pruned. Holds if KL is at least twice the dense one (median "
        "over seeds of the ratio, two-sided signed ranks p < 0.05), and the medians of KL, 1 - F, "
        "eROE, mROE and C_MSE are all above the largest dense value and twice their noise floor; "
        "in part if KL is so and not all others.",
        ("study",),
        _damaged_beyond,
    ),
    Claim(
        "qcp-small-amount",
        "Abstract, IV",
        "At the critical point even a small amount of pruning can cost much accuracy in the "
        "physical properties.",
        "Small: at most a third of the weights, that is the level nearest to it, since the paper "
        "itself takes a quarter for harmless. Exact values. Holds if at least one of 1 - F, energy "
        "bias, |m| bias and C_MSE has doubled (one-sided signed ranks p < 0.05 / 4) and its median "
        "is above what the paper's samples resolve (the half-width of their 99 % interval, twice "
        "the noise floor of 1 - F and C_MSE); in part if one has risen significantly by 10 %.",
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
        "signed ranks p < 0.05; in part if significantly higher, but by less.",
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
        "that of the main study, in every phase; in part if some do.",
        ("study", "schedule-*"),
        _schedules,
    ),
)
