"""Which measure notices pruning first: Section III A, the Discussion, appendix B and Fig. 6."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import xarray as xr

from psiprune.core.statistics import paired
from psiprune.paper.claims.base import InsufficientDataError, listed
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
from psiprune.paper.claims.readings import as_printed
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


def _cases(evidence: Evidence) -> Iterator[tuple[str, str, dict[str, Float64]]]:
    """Iterate over phase, kind of measures ("sampled", "exact"), and their sensitivities."""
    for name, ratio in PHASES.items():
        for kind in _KINDS:
            grown = sensitivities(phase(evidence.datasets, "study", ratio), kind)
            evidence.count_seeds(len(grown["kl"]))
            yield name, kind, grown


def _more(evidence: Evidence, *pairs: tuple[str, str]) -> str:
    """Whether the first measure of each pair is more sensitive than the second."""
    mean, ratios = "geometric mean over levels", {}
    for name, kind, grown in _cases(evidence):
        passed, ps, factors = [], [], []
        for pair in pairs:
            one, other = (grown[short] for short in pair)
            label = f"{name}_{kind}_{'_to_'.join(pair)}"
            of = evidence.using(*(f"study/{_KINDS[kind][short]}" for short in pair), prefix=label)
            apart = float(np.median(one - other))
            titles = " over that of ".join(_TITLES[short] for short in pair)
            ratios[f"growth of {titles}, {name}, {kind}"] = np.exp(one - other)
            how = f"median over seeds of the ratio of both growths ({mean})"
            of.note("", np.exp(apart), how)
            ps.append(of.note("p", paired(one, other).p, "two-sided signed-rank test of both"))
            passed.append(ps[-1] <= ALPHA and apart >= np.log(MATTERS))
        for short in dict.fromkeys(short for pair in pairs for short in pair):
            of = evidence.using(f"study/{_KINDS[kind][short]}", prefix=f"{name}_{kind}")
            middle, how = np.median(grown[short]), f"growth over dense: {mean}, median over seeds"
            text = f"{_TITLES[short]} {of.note(short, np.exp(middle), how):.2g}"
            if short == _SQUARED:
                how = f"growth of its root over dense: {mean}"
                text += f" (its root {of.note(f'root_{short}', np.exp(middle / 2), how):.2g})"
            factors.append(text)
        p_shown = f"{'p' if len(pairs) == 1 else 'largest p'} = {max(ps):.2g}"
        evidence.case(f"{name}, {kind}: {listed(factors)} ({p_shown})", all(passed))
    least = min(ratios, key=lambda each: float(np.median(ratios[each])))
    evidence.effect(least, ratios[least])
    return (
        f"Growth over the dense RBM (geometric mean over levels), median of {evidence.seeds} "
        f"seeds. {evidence.text}."
    )


@claim("sensitivity-varies", "Abstract, IV", "study", terms=_WITH_SQUARE)
@as_printed
def _varies(evidence: Evidence) -> str:
    """Measures of quality differ strongly in how sensitive they are to pruning.

    Rule: of all five measures the most sensitive has grown at least twice as much as the least.
    """
    for name, kind, grown in _cases(evidence):
        low, *_, high = sorted(grown, key=lambda short: float(np.median(grown[short])))
        both = (f"study/{_KINDS[kind][short]}" for short in (high, low))
        of = evidence.using(*both, prefix=f"{name}_{kind}")
        how = "ratio of the largest growth to the smallest, median over seeds"
        factor = of.note("factor", np.exp(np.median(grown[high] - grown[low])), how)
        what = f"growth of {_TITLES[high]} over that of {_TITLES[low]}, {name}, {kind}"
        evidence.effect(what, np.exp(grown[high] - grown[low]))
        how = "two-sided signed-rank test of the largest growth against the smallest"
        p = of.note("p", paired(grown[high], grown[low]).p, how)
        shown = f"{_TITLES[high]} over {_TITLES[low]} {factor:.2g} ({p_text(p)})"
        if high == _SQUARED:
            how = "the same with the root of the largest, a mean square"
            ratio = np.exp(np.median(grown[high] / 2 - grown[low]))
            shown += f", its root {of.note('root_factor', ratio, how):.2g}"
        evidence.case(f"{name}, {kind}: {shown}", p <= ALPHA and factor >= COMPARABLE)
    return (
        "Largest growth over the dense RBM over the smallest (geometric means over levels), median "
        f"of {evidence.seeds} seeds. {evidence.text}."
    )


@claim("order-most-sensitive", "III A", "study", terms=_WITH_SQUARE)
@as_printed
def _order_most(evidence: Evidence) -> str:
    """The order parameter is the observable most sensitive to pruning.

    Rule: mROE is more sensitive than the other observables, eROE and C_MSE.
    """
    return _more(evidence, ("order", "energy"), ("order", "correlation"))


@claim("energy-least-sensitive", "IV", "study", terms=_WITH_SQUARE)
@as_printed
def _energy_least(evidence: Evidence) -> str:
    """Of all physical observables the energy is the least sensitive to pruning.

    Rule: mROE and C_MSE are more sensitive than eROE.
    """
    return _more(evidence, ("order", "energy"), ("correlation", "energy"))


@claim("order-more-than-kl", "Appendix B, Fig. 6", "study", terms=_SENSITIVITY)
@as_printed
def _order_more(evidence: Evidence) -> str:
    """mROE is significantly more sensitive to pruning than KL.

    Rule: mROE is more sensitive than KL.
    """
    return _more(evidence, ("order", "kl"))


@claim("correlation-more-than-kl", "Appendix B, Fig. 6", "study", terms=_WITH_SQUARE)
@as_printed
def _correlation_more(evidence: Evidence) -> str:
    """C_MSE is significantly more sensitive to pruning than KL.

    Rule: C_MSE is more sensitive than KL.
    """
    return _more(evidence, ("correlation", "kl"))


@claim("energy-less-than-kl", "Appendix B, Fig. 6", "study", terms=_SENSITIVITY)
@as_printed
def _energy_less(evidence: Evidence) -> str:
    """eROE is less sensitive to pruning than KL.

    Rule: KL is more sensitive than eROE.
    """
    return _more(evidence, ("kl", "energy"))


@claim("energy-accurate-order-not", "IV", "study")
def _energy_accurate(evidence: Evidence) -> str:
    """A pruned RBM can have a rather accurate energy while order and correlations are far off.

    Exact medians over seeds at the critical point. Holds if at some level the energy is off by at
    most 1 % and <|m|> by at least 10 %, and at some level the energy by at most 1 % and C(d) by at
    least 10 % (root of C_MSE over that of the mean of C(d)^2); in part if only one of these is so.
    """
    energy, order, mse = (_KINDS["exact"][short] for short in ("energy", "order", "correlation"))
    here = evidence.at(QCP, "study", FEW, energy, order, mse)
    reference = np.asarray(here["correlation_reference"].values, np.float64)
    root = np.sqrt(series(here, mse, "level")) / np.sqrt(np.mean(reference**2))
    energy_off, order_off, correlation_off = (
        np.median(values, axis=0)
        for values in (series(here, energy, "level"), series(here, order, "level"), root)
    )
    accurate = energy_off <= _ACCURATE
    # The last such level shows the strongest deviations that occur with an accurate energy.
    level = int(np.flatnonzero(accurate)[-1]) if accurate.any() else 0
    how = f"median over seeds at level {level}"
    evidence.note("energy", energy_off[level], how, f"study/{energy}")
    evidence.note("order", order_off[level], how, f"study/{order}")
    of = evidence.using(f"study/{mse}", "study/correlation_reference")
    how = f"{how} of its root over that of the mean of C(d)^2"
    of.note("correlation", correlation_off[level], how)
    of = evidence.using(f"study/{energy}", "study/fraction_pruned")
    how = "last level with an energy within 1 %, else 0"
    pruned = of.note("level", fractions(here)[level], how)
    which = "last level with an energy within 1 %" if accurate.any() else "dense; at no level 1 %"
    evidence.effect(f"<|m|> off at {pruned:.0%} pruned", series(here, order, "level")[:, level])
    evidence.effect(f"C(d) off at {pruned:.0%} pruned", root[:, level])
    evidence.effect(f"energy off at {pruned:.0%} pruned", series(here, energy, "level")[:, level])
    strong = [bool((accurate & (off >= _STRONG)).any()) for off in (order_off, correlation_off)]
    evidence.decide(all(strong), any(strong))
    return (
        f"At {pruned:.0%} pruned ({which}) the energy is off by {energy_off[level]:.2%}, <|m|> by "
        f"{order_off[level]:.1%} and C(d) by {correlation_off[level]:.1%} (exact, medians of "
        f"{evidence.seeds} seeds)."
    )


def _rank_cases(evidence: Evidence, least: int) -> Iterator[tuple[str, xr.DataArray]]:
    """Iterate over phases: name, and rank correlations over seed, part and measure there."""
    names = [name for name, ratio in PHASES.items() if has_phase(evidence.datasets, "ranks", ratio)]
    if not names:
        raise InsufficientDataError("ranks has no phase of the paper")
    for name in names:
        here = evidence.at(PHASES[name], "ranks", least, "rank_correlation")
        yield name, here["rank_correlation"].transpose("seed", "part", "measure")


@claim("measures-follow-kl", "III A, appendix B, Fig. 6", "ranks")
def _correlated(evidence: Evidence) -> str:
    """Every measure is positively correlated with KL, through training and through pruning.

    Spearman's rank correlation of each of 1 - F, energy bias, |m| bias and C_MSE with KL. Holds if
    all are above 0 over seeds (one-sided signed ranks p <= 0.05) with a median of at least 0.3, in
    both parts and each phase; in part if at least half are.
    """
    ranked = evidence.using("ranks/rank_correlation")
    by_case = {}
    for name, ranks in _rank_cases(evidence, ONE_SIDED):
        for part in ranks["part"].values:
            shown, passed = [], []
            for measure in ranks["measure"].values:
                values = ranks.sel(part=part, measure=measure).values
                by_case[f"rank correlation of {_title(measure)} with KL, {name}, {part}"] = values
                label, how = f"{name}_{part}_{measure}", f"median over seeds, {part}, {measure}"
                middle = ranked.note(label, np.median(values), how)
                how = "one-sided signed-rank test of the same against 0"
                p = ranked.note(f"{label}_p", p_above(values), how)
                passed.append(p <= ALPHA and middle >= _CORRELATED)
                shown.append(f"{middle:.2f}")
            evidence.case(f"{name}, {part}: {', '.join(shown)}", *passed)
    least = min(by_case, key=lambda each: float(np.median(by_case[each])))
    evidence.effect(least, by_case[least])
    titles = listed([_title(measure) for measure in evidence.datasets["ranks"]["measure"].values])
    positive, total = sum(evidence.tests), len(evidence.tests)
    ranked.note("positive", positive, "how many of all are significantly positive")
    ranked.note("all", total, "phases, parts and measures examined")
    return (
        f"Spearman's correlation with KL of {titles} (medians of {evidence.seeds} seeds): "
        f"{evidence.text}. {positive} of {total} are significantly positive."
    )


def _title(measure: str) -> str:
    """A measure of the rank correlations as other claims call it."""
    return EXACT.get(f"{measure}_exact", measure)


@claim("correlation-depends-on-stage", "III A, appendix B, Fig. 6", "ranks")
def _by_stage(evidence: Evidence) -> str:
    """How well a measure follows KL differs from measure to measure, and between training and
    pruning.

    Spearman's rank correlations with KL. In each phase two tests: some measure differs between
    training and pruning by at least 0.2, and two measures differ by as much in training or in
    pruning (median over seeds, two-sided signed ranks p <= 0.05). Holds if all are passed; in part
    if half or more.
    """
    for name, ranks in _rank_cases(evidence, TWO_SIDED):
        by_part = [ranks.sel(part=part) for part in ranks["part"].values]
        stages = {
            str(measure): max(
                _apart(*(part.sel(measure=measure) for part in two)) for two in pairwise(by_part)
            )
            for measure in ranks["measure"].values
        }
        spread = []
        for part in by_part:
            middle = part.median("seed").values
            spread.append(_apart(part[:, int(middle.argmax())], part[:, int(middle.argmin())]))
        largest = max(stages, key=lambda measure: stages[measure])
        first, last = (part.sel(measure=largest).values for part in (by_part[0], by_part[-1]))
        what = f"rank correlation of {_title(largest)} in pruning less that in training, {name}"
        evidence.effect(what, last - first)
        of = evidence.using("ranks/rank_correlation", prefix=name)
        clear = "0 where it is not significant"
        how = f"largest median over seeds of the difference between training and pruning, {clear}"
        between_stages = of.note("stages", stages[largest], how)
        how = f"median over seeds of the largest less the smallest, {clear}"
        between_measures = of.note("measures", max(spread), how)
        evidence.case(
            f"{name}: up to {between_stages:.2f} between stages ({_title(largest)}), up to "
            f"{between_measures:.2f} between measures",
            between_stages >= _DIFFERENT,
            between_measures >= _DIFFERENT,
        )
    return f"Significant differences of rank correlations, {evidence.seeds} seeds. {evidence.text}."


def _apart(a: xr.DataArray, b: xr.DataArray) -> float:
    """Median size of the difference over seeds, or 0 where it is not significant."""
    significant = paired(a.values, b.values).p <= ALPHA
    return abs(float(np.median(a.values - b.values))) if significant else 0.0
