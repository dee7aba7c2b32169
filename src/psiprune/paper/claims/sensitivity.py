"""Which measure notices pruning first: Section III A, the Discussion, appendix B and Fig. 6."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import xarray as xr

from psiprune.core.statistics import paired
from psiprune.paper.claims.base import Datasets, Finding, InsufficientDataError, listed, verdict_of
from psiprune.paper.claims.data import (
    EXACT,
    MEASURES,
    PHASES,
    QCP,
    Float64,
    complete_seeds,
    connectable,
    fractions,
    has_phase,
    phase,
    series,
)
from psiprune.paper.claims.evidence import Evidence, claim
from psiprune.paper.claims.tests import (
    ALPHA,
    COMPARABLE,
    FEW,
    MATTERS,
    ONE_SIDED,
    TWO_SIDED,
    growth,
    p_above,
    p_text,
)

#: The five measures by short names: as the paper samples them, and by sums over all states.
_SHORT = ("kl", "infidelity", "energy", "order", "correlation")
_KINDS = {
    "sampled": dict(zip(_SHORT, MEASURES, strict=True)),
    "exact": dict(zip(_SHORT, EXACT, strict=True)),
}
_TITLES = dict(zip(_SHORT, MEASURES.values(), strict=True))
#: The measure that is a mean square.
_SQUARED = "correlation"
#: Relative errors of an accurate energy and of a strong deviation.
_ACCURATE, _STRONG = 0.01, 0.1
#: The least rank correlation, and the least difference of two, that matters.
_CORRELATED, _DIFFERENT = 0.3, 0.2
_RANKS = "ranks/rank_correlation"
_SENSITIVITY = (
    "Sensitivity of a measure: the logarithm of its ratio to the dense RBM of the same seed, "
    "averaged over all levels at which the graph can be connected; it has no unit. Compared by "
    "two-sided signed ranks over seeds (p <= 0.05, and at least 10 % in the ratio), in both "
    "phases, each for the measures as the paper samples them and by sums over all states. Holds "
    "if the rule is met in all four cases; in part if in two or three."
)
_WITH_SQUARE = (
    f"{_SENSITIVITY} C_MSE is a mean square, and a square doubles the logarithm: next to its "
    "growth the growth of its root is reported, which decides nothing."
)


def sensitivities(here: xr.Dataset, kind: str) -> dict[str, Float64]:
    """Return the sensitivity of each measure by its short name, [seed]: see `growth`.

    Raises:
        InsufficientDataError: too few seeds, or a measure is not positive.
    """
    names = _KINDS[kind]
    complete = complete_seeds(here, TWO_SIDED, *names.values())
    levels = connectable(complete)
    levels[0] = True
    grown = {
        short: growth(series(complete, name, "level")[:, levels]) for short, name in names.items()
    }
    for short, values in grown.items():
        if not np.isfinite(values).all():
            raise InsufficientDataError(f"{names[short]} is not positive everywhere")
    return grown


def _cases(datasets: Datasets, evidence: Evidence) -> Iterator[tuple[str, str, dict[str, Float64]]]:
    """Iterate over phase, kind of measures ("sampled", "exact"), and their sensitivities."""
    for name, ratio in PHASES.items():
        for kind in _KINDS:
            grown = sensitivities(phase(datasets, "study", ratio), kind)
            evidence.count_seeds(grown["kl"])
            yield name, kind, grown


def _more(datasets: Datasets, evidence: Evidence, *pairs: tuple[str, str]) -> Finding:
    """Whether the first measure of each pair is more sensitive than the second."""
    tests = []
    mean = "geometric mean over levels"
    for name, kind, grown in _cases(datasets, evidence):
        sources = {short: f"study/{variable}" for short, variable in _KINDS[kind].items()}
        passed, ps = [], []
        for one, other in pairs:
            both, label = (sources[one], sources[other]), f"{name}_{kind}_{one}_to_{other}"
            apart = float(np.median(grown[one] - grown[other]))
            how = f"median over seeds of the ratio of both growths ({mean})"
            evidence.note(label, np.exp(apart), how, *both)
            p = paired(grown[one], grown[other]).p
            ps.append(evidence.note(f"{label}_p", p, "two-sided signed-rank test of both", *both))
            passed.append(p <= ALPHA and apart >= np.log(MATTERS))
        tests.append(all(passed))
        factors = []
        for short in dict.fromkeys(short for pair in pairs for short in pair):
            middle, label = np.median(grown[short]), f"{name}_{kind}_{short}"
            how = f"growth over dense: {mean}, median over seeds"
            factor = evidence.note(label, np.exp(middle), how, sources[short])
            text = f"{_TITLES[short]} {factor:.2g}"
            if short == _SQUARED:
                label, how = f"{name}_{kind}_root_{short}", f"growth of its root over dense: {mean}"
                root = evidence.note(label, np.exp(middle / 2), how, sources[short])
                text += f" (its root {root:.2g})"
            factors.append(text)
        p_shown = f"{'p' if len(pairs) == 1 else 'largest p'} = {max(ps):.2g}"
        evidence.cases.append(f"{name}, {kind}: {listed(factors)} ({p_shown})")
    return evidence.finding(
        verdict_of(tests),
        f"Growth over the dense RBM (geometric mean over levels), median of {evidence.seeds} "
        f"seeds. {evidence.text}.",
    )


@claim("sensitivity-varies", "Abstract, IV", "study", terms=_WITH_SQUARE)
def _varies(datasets: Datasets, evidence: Evidence) -> Finding:
    """Measures of quality differ strongly in how sensitive they are to pruning.

    Rule: of all five measures the most sensitive has grown at least twice as much as the least.
    """
    tests = []
    for name, kind, grown in _cases(datasets, evidence):
        low, *_, high = sorted(grown, key=lambda short: float(np.median(grown[short])))
        both = [f"study/{_KINDS[kind][short]}" for short in (high, low)]
        label = f"{name}_{kind}"
        how = "ratio of the largest growth to the smallest, median over seeds"
        ratio = np.exp(np.median(grown[high] - grown[low]))
        factor = evidence.note(f"{label}_factor", ratio, how, *both)
        how = "two-sided signed-rank test of the largest growth against the smallest"
        p = evidence.note(f"{label}_p", paired(grown[high], grown[low]).p, how, *both)
        tests.append(p <= ALPHA and factor >= COMPARABLE)
        shown = f"{_TITLES[high]} over {_TITLES[low]} {factor:.2g} ({p_text(p)})"
        if high == _SQUARED:
            how = "the same with the root of the largest, a mean square"
            ratio = np.exp(np.median(grown[high] / 2 - grown[low]))
            shown += f", its root {evidence.note(f'{label}_root_factor', ratio, how, *both):.2g}"
        evidence.cases.append(f"{name}, {kind}: {shown}")
    return evidence.finding(
        verdict_of(tests),
        "Largest growth over the dense RBM over the smallest (geometric means over levels), median "
        f"of {evidence.seeds} seeds. {evidence.text}.",
    )


@claim("order-most-sensitive", "III A", "study", terms=_WITH_SQUARE)
def _order_most(datasets: Datasets, evidence: Evidence) -> Finding:
    """The order parameter is the observable most sensitive to pruning.

    Rule: mROE is more sensitive than the other observables, eROE and C_MSE.
    """
    return _more(datasets, evidence, ("order", "energy"), ("order", "correlation"))


@claim("energy-least-sensitive", "IV", "study", terms=_WITH_SQUARE)
def _energy_least(datasets: Datasets, evidence: Evidence) -> Finding:
    """Of all physical observables the energy is the least sensitive to pruning.

    Rule: mROE and C_MSE are more sensitive than eROE.
    """
    return _more(datasets, evidence, ("order", "energy"), ("correlation", "energy"))


@claim("order-more-than-kl", "Appendix B, Fig. 6", "study", terms=_SENSITIVITY)
def _order_more(datasets: Datasets, evidence: Evidence) -> Finding:
    """mROE is significantly more sensitive to pruning than KL.

    Rule: mROE is more sensitive than KL.
    """
    return _more(datasets, evidence, ("order", "kl"))


@claim("correlation-more-than-kl", "Appendix B, Fig. 6", "study", terms=_WITH_SQUARE)
def _correlation_more(datasets: Datasets, evidence: Evidence) -> Finding:
    """C_MSE is significantly more sensitive to pruning than KL.

    Rule: C_MSE is more sensitive than KL.
    """
    return _more(datasets, evidence, ("correlation", "kl"))


@claim("energy-less-than-kl", "Appendix B, Fig. 6", "study", terms=_SENSITIVITY)
def _energy_less(datasets: Datasets, evidence: Evidence) -> Finding:
    """eROE is less sensitive to pruning than KL.

    Rule: KL is more sensitive than eROE.
    """
    return _more(datasets, evidence, ("kl", "energy"))


@claim("energy-accurate-order-not", "IV", "study")
def _energy_accurate(datasets: Datasets, evidence: Evidence) -> Finding:
    """A pruned RBM can have a rather accurate energy while order and correlations are far off.

    Exact medians over seeds at the critical point. Holds if at some level the energy is off by at
    most 1 % and <|m|> by at least 10 %, and at some level the energy by at most 1 % and C(d) by at
    least 10 % (root of C_MSE over that of the mean of C(d)^2); in part if only one of these is so.
    """
    energy, order, mse = (_KINDS["exact"][short] for short in ("energy", "order", "correlation"))
    here = complete_seeds(phase(datasets, "study", QCP), FEW, energy, order, mse)
    evidence.count_seeds(here)
    reference = np.asarray(here["correlation_reference"].values, np.float64)
    scale = np.sqrt(np.mean(reference**2))
    energy_off = np.median(series(here, energy, "level"), axis=0)
    order_off = np.median(series(here, order, "level"), axis=0)
    correlation_off = np.median(np.sqrt(series(here, mse, "level")) / scale, axis=0)
    accurate = energy_off <= _ACCURATE
    # The last such level shows the strongest deviations that occur with an accurate energy.
    level = int(np.flatnonzero(accurate)[-1]) if accurate.any() else 0
    how = f"median over seeds at level {level}"
    evidence.note("energy", energy_off[level], how, f"study/{energy}")
    evidence.note("order", order_off[level], how, f"study/{order}")
    note = evidence.noting(f"study/{mse}", "study/correlation_reference")
    note(
        "correlation", correlation_off[level], f"{how} of its root over that of the mean of C(d)^2"
    )
    note = evidence.noting(f"study/{energy}", "study/fraction_pruned")
    pruned = note("level", fractions(here)[level], "last level with an energy within 1 %, else 0")
    which = "last level with an energy within 1 %" if accurate.any() else "dense; at no level 1 %"
    tests = [bool((accurate & (off >= _STRONG)).any()) for off in (order_off, correlation_off)]
    return evidence.finding(
        verdict_of(tests),
        f"At {pruned:.0%} pruned ({which}) the energy is off by {energy_off[level]:.2%}, <|m|> by "
        f"{order_off[level]:.1%} and C(d) by {correlation_off[level]:.1%} (exact, medians of "
        f"{evidence.seeds} seeds).",
    )


def _rank_cases(
    datasets: Datasets, least: int, evidence: Evidence
) -> Iterator[tuple[str, xr.DataArray]]:
    """Iterate over phases: name, and rank correlations over seed, part and measure there."""
    names = [name for name, ratio in PHASES.items() if has_phase(datasets, "ranks", ratio)]
    if not names:
        raise InsufficientDataError("ranks has no phase of the paper")
    for name in names:
        here = phase(datasets, "ranks", PHASES[name])
        ranks = complete_seeds(here, least, "rank_correlation")["rank_correlation"]
        evidence.count_seeds(ranks.values)
        yield name, ranks.transpose("seed", "part", "measure")


@claim("measures-follow-kl", "III A, appendix B, Fig. 6", "ranks")
def _correlated(datasets: Datasets, evidence: Evidence) -> Finding:
    """Every measure is positively correlated with KL, through training and through pruning.

    Spearman's rank correlation of each of 1 - F, energy bias, |m| bias and C_MSE with KL. Holds if
    all are above 0 over seeds (one-sided signed ranks p <= 0.05) with a median of at least 0.3, in
    both parts and each phase; in part if at least half are.
    """
    tests = []
    for name, ranks in _rank_cases(datasets, ONE_SIDED, evidence):
        for part in ranks["part"].values:
            shown = []
            for measure in ranks["measure"].values:
                values = ranks.sel(part=part, measure=measure).values
                label, how = f"{name}_{part}_{measure}", f"median over seeds, {part}, {measure}"
                middle = evidence.note(label, np.median(values), how, _RANKS)
                how = "one-sided signed-rank test of the same against 0"
                p = evidence.note(f"{label}_p", p_above(values), how, _RANKS)
                tests.append(p <= ALPHA and middle >= _CORRELATED)
                shown.append(f"{middle:.2f}")
            evidence.cases.append(f"{name}, {part}: {', '.join(shown)}")
    titles = listed([_title(measure) for measure in datasets["ranks"]["measure"].values])
    evidence.note("positive", sum(tests), "how many of all are significantly positive", _RANKS)
    evidence.note("all", len(tests), "phases, parts and measures examined", _RANKS)
    return evidence.finding(
        verdict_of(tests),
        f"Spearman's correlation with KL of {titles} (medians of {evidence.seeds} seeds): "
        f"{evidence.text}. {sum(tests)} of {len(tests)} are significantly positive.",
    )


def _title(measure: str) -> str:
    """A measure of the rank correlations as other claims call it."""
    return EXACT.get(f"{measure}_exact", measure)


@claim("correlation-depends-on-stage", "III A, appendix B, Fig. 6", "ranks")
def _by_stage(datasets: Datasets, evidence: Evidence) -> Finding:
    """How well a measure follows KL differs from measure to measure, and between training and
    pruning.

    Spearman's rank correlations with KL. In each phase two tests: some measure differs between
    training and pruning by at least 0.2, and two measures differ by as much in training or in
    pruning (median over seeds, two-sided signed ranks p <= 0.05). Holds if all are passed; in part
    if half or more.
    """
    tests = []
    for name, ranks in _rank_cases(datasets, TWO_SIDED, evidence):
        by_part = [ranks.sel(part=part) for part in ranks["part"].values]
        stages = {
            measure: max(
                _apart(a.sel(measure=measure), b.sel(measure=measure)) for a, b in pairwise(by_part)
            )
            for measure in map(str, ranks["measure"].values)
        }
        spread = []
        for part in by_part:
            middle = part.median("seed").values
            spread.append(_apart(part[:, int(middle.argmax())], part[:, int(middle.argmin())]))
        largest = max(stages, key=lambda measure: stages[measure])
        note, clear = evidence.noting(_RANKS, prefix=f"{name}_"), "0 where it is not significant"
        how = "largest median over seeds of the difference between training and pruning"
        between_stages = note("stages", stages[largest], f"{how}, {clear}")
        how = "median over seeds of the largest less the smallest"
        between_measures = note("measures", max(spread), f"{how}, {clear}")
        tests += [between_stages >= _DIFFERENT, between_measures >= _DIFFERENT]
        evidence.cases.append(
            f"{name}: up to {between_stages:.2f} between stages ({_title(largest)}), up to "
            f"{between_measures:.2f} between measures"
        )
    return evidence.finding(
        verdict_of(tests),
        f"Significant differences of rank correlations, {evidence.seeds} seeds. {evidence.text}.",
    )


def _apart(a: xr.DataArray, b: xr.DataArray) -> float:
    """Median size of the difference over seeds, or 0 where it is not significant."""
    significant = paired(a.values, b.values).p <= ALPHA
    return abs(float(np.median(a.values - b.values))) if significant else 0.0
