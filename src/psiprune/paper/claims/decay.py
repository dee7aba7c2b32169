"""The correlation function and the size of the system: Sections II B and III A, Fig. 4."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from math import comb

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from psiprune.core.statistics import crossing
from psiprune.paper.claims.base import (
    Claim,
    Datasets,
    Finding,
    InsufficientDataError,
    Number,
    number,
    verdict_of,
)
from psiprune.paper.claims.data import (
    PHASES,
    QCP,
    Float64,
    all_sizes,
    connectable,
    fractions,
    has_phase,
    nearest,
    other_sizes,
    phase,
    series,
    whole,
)
from psiprune.paper.claims.tests import ALPHA, FEW, growth, p_larger, p_text

#: A difference of two AIC that says something.
_TELLING = 2.0
#: Share of seeds that "the RBMs" are, and levels at the end of pruning that are looked at.
_MOST, _LAST = 2 / 3, 3
#: Relative damages of C(d) at which sizes are compared, and the difference that matters.
_DAMAGES, _APART = (0.1, 0.2, 0.4), 0.02
#: The measures that the paper computes at all sizes, and the fraction pruned at which it looks.
_LARGE = ("energy_roe", "abs_magnetization_roe", "correlation_mse")
_LATE = 0.8


def _exact_decay(datasets: Datasets) -> Finding:
    decay = datasets["decay"]
    numbers: dict[str, Number] = {}
    tests, told = [], []
    for name, sign in (("QCP", -1), ("PM", 1)):
        here = phase(datasets, "decay", PHASES[name])
        for size in decay["size"].values:
            delta = float(here["delta_aic_reference"].sel(size=size))
            if not np.isfinite(delta):  # too small for a fit
                continue
            tests.append(sign * delta > _TELLING)
            told.append(f"{name}, N = {size:g}: {delta:+.1f}")
            numbers[f"{name}_{size:g}"] = number(
                delta, f"size {size:g}, {name}", "decay/delta_aic_reference"
            )
    if not tests:
        raise InsufficientDataError("no size has three distances within a quarter of the chain")
    measured = (
        f"AIC of the power law less that of the exponential for the exact states: "
        f"{', '.join(told)}."
    )
    return Finding(verdict_of(tests), measured, numbers, 1)


def _to_exponential(datasets: Datasets) -> Finding:
    here = phase(datasets, "decay", QCP)
    numbers: dict[str, Number] = {}
    tests, told, counts = [], [], []
    for size in here["size"].values:
        own = here.sel(size=size)
        delta = np.asarray(own["delta_aic"].transpose("seed", "level").values, np.float64)
        last = _last_levels(np.asarray(own["fraction_pruned"].values, np.float64), float(size))
        late = np.array([_known_median(row) for row in delta[:, last]])
        known = np.isfinite(delta[:, 0]) & np.isfinite(late)
        if known.sum() < FEW:
            continue
        algebraic = float(np.mean(delta[known, 0] < -_TELLING))
        exponential = float(np.mean(late[known] > _TELLING))
        tests.append(algebraic >= _MOST and exponential >= _MOST)
        counts.append(int(known.sum()))
        exact = float(own["delta_aic_reference"])
        told.append(
            f"N = {size:g} ({counts[-1]} seeds, {_basis(own)}): power law in {algebraic:.0%} of "
            f"the dense RBMs (median difference {np.median(delta[known, 0]):+.1f}; exact state "
            f"{exact:+.1f}), exponential in {exponential:.0%} at the end "
            f"({np.median(late[known]):+.1f})"
        )
        how = f"share of seeds, size {size:g}, at the QCP, "
        numbers |= {
            f"algebraic_{size:g}": number(algebraic, how + "level 0 below -2", "decay/delta_aic"),
            f"exponential_{size:g}": number(
                exponential,
                how + "median of the last three levels that can be connected above 2",
                "decay/delta_aic",
            ),
            f"dense_{size:g}": number(
                float(np.median(delta[known, 0])),
                f"median over seeds, size {size:g}, at the QCP, level 0",
                "decay/delta_aic",
            ),
            f"late_{size:g}": number(
                float(np.median(late[known])),
                f"median over seeds, size {size:g}, at the QCP, of the median of the last three "
                "levels that can be connected",
                "decay/delta_aic",
            ),
            f"exact_{size:g}": number(exact, f"size {size:g}", "decay/delta_aic_reference"),
        }
    if not tests:
        raise InsufficientDataError(
            f"no size has {FEW} seeds whose decays can be told apart, dense and at the end"
        )
    measured = f"Difference of AIC, below 0 for a power law. {'; '.join(told)}."
    return Finding(verdict_of(tests), measured, numbers, min(counts))


def _basis(own: xr.Dataset) -> str:
    return "samples" if float(own["sampled"]) else "sums over all states"


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

    Against the dense RBM of the same seed, not the exact state: a larger RBM may be less accurate
    from the start, which pruning is not to blame for.
    """
    c = series(here, "correlation", "level", "distance")
    changed = np.sqrt(np.mean((c - c[:, :1]) ** 2, axis=2) / np.mean(c[:, :1] ** 2, axis=2))
    levels = fractions(here)
    return np.array([crossing(levels, row, damage) for row in changed])


def _apart_at(here: xr.Dataset, _: float = 0.0) -> Float64:
    """The fraction pruned at which the graph is in parts, [seed]; infinite if it never is."""
    components = series(here, "components", "level")
    levels = fractions(here)
    return np.array([crossing_at(levels, row) for row in components])


def crossing_at(levels: Float64, components: Float64) -> float:
    """The first fraction pruned with more than one part."""
    places = np.flatnonzero(components > 1)
    return float(levels[places[0]]) if len(places) else float("inf")


def _larger_later(
    at: Callable[[xr.Dataset, float], Float64],
    conditions: tuple[float, ...],
    variable: str,
    what: str,
    datasets: Datasets,
) -> Finding:
    """Whether something happens to larger systems later, under each condition."""
    keys = all_sizes(datasets)
    pieces = {key: whole(phase(datasets, key, QCP), FEW, variable) for key in keys}
    sizes = {key: int(datasets[key].attrs["sites"]) for key in keys}
    tests: list[bool] = []
    numbers: dict[str, Number] = {}
    told = []
    for condition in conditions:
        found = {key: at(piece, condition) for key, piece in pieces.items()}
        label = f"{condition:g}_" if condition else ""
        shown = []
        for key in keys:
            middle = float(np.median(found[key]))
            shown.append(f"N = {sizes[key]} {'never' if np.isinf(middle) else f'at {middle:.0%}'}")
            numbers[f"{label}{sizes[key]}"] = number(
                middle,
                f"median over seeds of {what}",
                f"{key}/{variable}",
                f"{key}/fraction_pruned",
            )
        for small, large in pairwise(keys):
            a, b = found[small], found[large]
            if np.isinf(a).all():  # not even the smaller one gets there
                continue
            p = p_larger(b, a)
            least = 1 / comb(len(a) + len(b), len(a))
            tests.append(p <= ALPHA and bool(np.median(b) >= np.median(a) + _APART))
            shown[keys.index(large)] += f" ({p_text(p)}, at least {least:.2g})"
            numbers[f"{label}{sizes[large]}_p"] = number(
                p,
                f"rank sums, one-sided, that it is not later than at N = {sizes[small]}",
                f"{large}/{variable}",
                f"{small}/{variable}",
            )
            numbers[f"{label}{sizes[large]}_least_p"] = number(
                least,
                f"the least p of {len(b)} seeds against {len(a)}: 1 / C({len(a) + len(b)}, "
                f"{len(a)})",
                f"{large}/{variable}",
                f"{small}/{variable}",
            )
        told.append(f"{f'{condition:.0%}: ' if condition else ''}{', '.join(shown)}")
    if not tests:
        raise InsufficientDataError(f"no size reaches {what}")
    seeds = min(piece.sizes["seed"] for piece in pieces.values())
    measured = f"{what[0].upper()}{what[1:]}, medians, {seeds} seeds or more. {'; '.join(told)}."
    return Finding(verdict_of(tests), measured, numbers, seeds)


def _alike(datasets: Datasets) -> Finding:
    numbers: dict[str, Number] = {}
    tests, told, seeds = [], [], datasets["study"].sizes["seed"]
    for name, ratio in PHASES.items():
        keys = [key for key in ("study", *other_sizes(datasets)) if has_phase(datasets, key, ratio)]
        if keys[:1] != ["study"]:
            continue
        looks = {}
        for key in keys:
            here = whole(phase(datasets, key, ratio), FEW, *_LARGE)
            harmed, order, factors = _look(here)
            looks[key] = (harmed, order)
            sites = here.attrs["sites"]
            seeds = min(seeds, here.sizes["seed"])
            numbers |= {
                f"{name}_{sites}_{variable}": number(
                    factor, "growth over dense, geometric mean over levels", f"{key}/{variable}"
                )
                for variable, factor in factors.items()
            }
            numbers[f"{name}_{sites}_harmed"] = number(
                sum(harmed),
                "measures whose median over seeds at the level nearest to 80 % pruned is above the "
                "largest dense value",
                *(f"{key}/{variable}" for variable in _LARGE),
                f"{key}/fraction_pruned",
            )
            told.append(
                f"{name}, N = {sites}: eROE {factors['energy_roe']:.2g}, mROE "
                f"{factors['abs_magnetization_roe']:.2g}, C_MSE {factors['correlation_mse']:.2g} "
                f"({sum(harmed)} of {len(harmed)} harmed)"
            )
        for key in keys[1:]:
            tests += [looks[key][0] == looks["study"][0], looks[key][1] == looks["study"][1]]
    if not tests:
        raise InsufficientDataError("no two sizes have a phase of the paper in common")
    measured = (
        f"Growth over the dense RBM (geometric mean over levels; harmed at {_LATE:.0%} pruned), "
        f"{seeds} seeds or more. {'; '.join(told)}."
    )
    return Finding(verdict_of(tests), measured, numbers, seeds)


def _look(here: xr.Dataset) -> tuple[tuple[bool, ...], tuple[str, ...], dict[str, float]]:
    """Which measures are harmed late, their order by growth, and the growths."""
    level = nearest(fractions(here), _LATE)
    levels = connectable(here)
    levels[0] = True
    values = {name: series(here, name, "level") for name in _LARGE}
    harmed = tuple(bool(np.median(v[:, level]) > v[:, 0].max()) for v in values.values())
    factors = {name: float(np.exp(np.median(growth(v[:, levels])))) for name, v in values.items()}
    return harmed, tuple(sorted(factors, key=factors.__getitem__)), factors


CLAIMS = (
    Claim(
        "exact-decay",
        "II B",
        "C(d) decays algebraically at the critical point and exponentially in the gapped phase.",
        "Fits of ln C(d) of the exact state over the quarter of the chain around its middle, away "
        "from the open ends. Holds if AIC prefers the power law at the critical point and the "
        "exponential in the paramagnetic phase, by more than 2, at every size; in part if in at "
        "least half of these cases.",
        ("decay",),
        _exact_decay,
    ),
    Claim(
        "decay-turns-exponential",
        "III A, Fig. 4",
        "At the critical point pruning turns the decay of C(d) from algebraic to exponential.",
        "The same fits of C(d), by sums over all states up to 20 sites and else weighted by the "
        "errors of the samples. Holds if AIC prefers the power law by more than 2 in two thirds of "
        "the dense RBMs, and the exponential by more than 2 (median of the last three levels at "
        "which the graph can be connected) in two thirds of the pruned ones, at every size that "
        "can tell; in part if at half of the sizes or more. A perfect model of the critical state "
        "with 10^5 draws is taken for no power law in less than 5 % of all cases.",
        ("study", "decay"),
        _to_exponential,
    ),
    Claim(
        "larger-stand-more",
        "III A, Fig. 4",
        "A larger system stands more pruning for the same damage to the correlation function.",
        "Damage: change of C(d) from that of the dense RBM of the same seed, root of the mean "
        "square over that of C(d), at the critical point. For 10, 20 and 40 % of it and each size "
        "with the next smaller one: the fraction pruned at which it is reached must be at least 2 "
        "points higher in the median over seeds, by rank sums with one-sided p <= 0.05 (the least "
        "that 3 seeds against 3 can reach). Holds if all are so; in part if at least half.",
        ("study", "size-*"),
        partial(
            _larger_later,
            _damage_at,
            _DAMAGES,
            "correlation",
            "fraction pruned at which C(d) has changed by so much",
        ),
    ),
    Claim(
        "smaller-disconnect-first",
        "III A",
        "At the same share of weights the graph of a smaller RBM is more likely to be in parts.",
        "At the critical point. Each size with the next smaller one: the fraction pruned at which "
        "the graph first is in parts must be at least 2 points higher in the median over seeds, by "
        "rank sums with one-sided p <= 0.05 (the least that 3 seeds against 3 can reach). Holds if "
        "all are so; in part if at least half.",
        ("study", "size-*"),
        partial(
            _larger_later,
            _apart_at,
            (0.0,),
            "components",
            "fraction pruned at which the graph is in parts",
        ),
    ),
    Claim(
        "larger-alike",
        "III A",
        "eROE, mROE and the correlations of larger systems behave as those of the smaller one.",
        "For each other size and phase two tests: the same of eROE, mROE and C_MSE as at the main "
        "size are harmed at the level nearest to 80 % pruned (median over seeds above the largest "
        "dense value), and they grow over the dense RBM in the same order (geometric mean over "
        "levels at which the graph can be connected). Holds if all are passed; in part if at least "
        "half.",
        ("study", "size-*"),
        _alike,
    ),
)
