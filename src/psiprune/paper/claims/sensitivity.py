"""Which measure notices pruning first: Section III A, the Discussion, appendix B and Fig. 6."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np
import xarray as xr

from psiprune.core.statistics import paired
from psiprune.paper.claims.base import (
    Claim,
    Datasets,
    Finding,
    InsufficientDataError,
    listed,
    number,
    verdict_of,
)
from psiprune.paper.claims.data import (
    EXACT,
    MEASURES,
    PHASES,
    QCP,
    Float64,
    connectable,
    fractions,
    has_phase,
    phase,
    series,
    whole,
)
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
#: What an accurate energy and a strong deviation are, relative.
_ACCURATE, _STRONG = 0.01, 0.1
#: The least rank correlation, and the least difference of two, that matters.
_CORRELATED, _DIFFERENT = 0.3, 0.2
_SENSITIVITY = (
    "Sensitivity of a measure: the logarithm of its ratio to the dense RBM of the same seed, "
    "averaged over all levels at which the graph can be connected; it has no unit. {} Compared by "
    "two-sided signed ranks over seeds (p <= 0.05, and at least 10 % in the ratio), in both "
    "phases, each for the measures as the paper samples them and by sums over all states. Holds "
    "if it is so in all four; in part if in two or three."
)
_SQUARE = (
    " C_MSE is a mean square, and a square doubles the logarithm: beside its growth stands that of "
    "its root, which decides nothing."
)


def sensitivities(here: xr.Dataset, kind: str) -> dict[str, Float64]:
    """Sensitivity of each measure by its short name, [seed]: see `growth`.

    Raises:
        Undecided: too few seeds, or a measure is not positive.
    """
    names = _KINDS[kind]
    own = whole(here, TWO_SIDED, *names.values())
    levels = connectable(own)
    levels[0] = True
    found = {short: growth(series(own, name, "level")[:, levels]) for short, name in names.items()}
    for short, values in found.items():
        if not np.isfinite(values).all():
            raise InsufficientDataError(f"{names[short]} is not positive everywhere")
    return found


def _more(pairs: tuple[tuple[str, str], ...], datasets: Datasets) -> Finding:
    """Whether the first of each pair is more sensitive than the second."""
    tests, numbers, told, seeds = [], {}, [], datasets["study"].sizes["seed"]
    for name, ratio in PHASES.items():
        here = phase(datasets, "study", ratio)
        for kind, names in _KINDS.items():
            found = sensitivities(here, kind)
            passed = []
            for one, other in pairs:
                p = paired(found[one], found[other]).p
                apart = float(np.median(found[one] - found[other]))
                passed.append(p <= ALPHA and apart >= np.log(MATTERS))
                both = f"study/{names[one]}", f"study/{names[other]}"
                label = f"{name}_{kind}_{one}_to_{other}"
                how = "median over seeds of the ratio of both growths (geometric mean over levels)"
                numbers[label] = number(float(np.exp(apart)), how, *both)
                numbers[f"{label}_p"] = number(p, "signed ranks, two-sided, of the same", *both)
                seeds = min(seeds, len(found[one]))
            tests.append(all(passed))
            used = dict.fromkeys(short for pair in pairs for short in pair)
            factors = [_grown(short, found[short]) for short in used]
            if _SQUARED in used:
                numbers[f"{name}_{kind}_root_{_SQUARED}"] = number(
                    _root_growth(found[_SQUARED]),
                    "growth of its root over dense: geometric mean over levels, median over seeds",
                    f"study/{names[_SQUARED]}",
                )
            largest = max(
                numbers[f"{name}_{kind}_{one}_to_{other}_p"].value for one, other in pairs
            )
            told.append(
                f"{name}, {kind}: {listed(factors)} "
                f"({'p' if len(pairs) == 1 else 'largest p'} = {largest:.2g})"
            )
            for short in used:
                numbers[f"{name}_{kind}_{short}"] = number(
                    float(np.exp(np.median(found[short]))),
                    "growth over dense: geometric mean over levels, median over seeds",
                    f"study/{names[short]}",
                )
    measured = (
        f"Growth over the dense RBM (geometric mean over levels), median of {seeds} seeds. "
        f"{'; '.join(told)}."
    )
    return Finding(verdict_of(tests), measured, numbers, seeds)


def _grown(short: str, values: Float64) -> str:
    """A measure and the factor by which it grows, of a mean square that of its root too."""
    text = f"{_TITLES[short]} {np.exp(np.median(values)):.2g}"
    return f"{text} (its root {_root_growth(values):.2g})" if short == _SQUARED else text


def _root_growth(values: Float64) -> float:
    """By what factor the root of a mean square grows, median over seeds."""
    return float(np.exp(np.median(values) / 2))


def _varies(datasets: Datasets) -> Finding:
    tests, numbers, told, seeds = [], {}, [], datasets["study"].sizes["seed"]
    for name, ratio in PHASES.items():
        for kind, names in _KINDS.items():
            found = sensitivities(phase(datasets, "study", ratio), kind)
            order = sorted(found, key=lambda short: float(np.median(found[short])))
            low, high = order[0], order[-1]
            p = paired(found[high], found[low]).p
            factor = float(np.exp(np.median(found[high] - found[low])))
            tests.append(p <= ALPHA and factor >= COMPARABLE)
            seeds = min(seeds, len(found[low]))
            both = f"study/{names[high]}", f"study/{names[low]}"
            label = f"{name}_{kind}"
            shown = f"{_TITLES[high]} over {_TITLES[low]} {factor:.2g} ({p_text(p)})"
            if high == _SQUARED:
                root = float(np.exp(np.median(found[high] / 2 - found[low])))
                shown += f", its root {root:.2g}"
                numbers[f"{label}_root_factor"] = number(
                    root, "the same with the root of the largest, a mean square", *both
                )
            told.append(f"{name}, {kind}: {shown}")
            numbers[f"{label}_factor"] = number(
                factor, "ratio of the largest growth to the smallest, median over seeds", *both
            )
            numbers[f"{label}_p"] = number(p, "signed ranks, two-sided, of the same", *both)
    measured = (
        "Largest growth over the dense RBM over the smallest (geometric means over levels), median "
        f"of {seeds} seeds. {'; '.join(told)}."
    )
    return Finding(verdict_of(tests), measured, numbers, seeds)


def _energy_accurate(datasets: Datasets) -> Finding:
    energy, order, mse = (
        "energy_bias_exact",
        "abs_magnetization_bias_exact",
        "correlation_mse_exact",
    )
    here = whole(phase(datasets, "study", QCP), FEW, energy, order, mse)
    reference = np.asarray(here["correlation_reference"].values, np.float64)
    scale = float(np.sqrt(np.mean(reference**2)))
    off = {
        "energy": np.median(series(here, energy, "level"), axis=0),
        "order": np.median(series(here, order, "level"), axis=0),
        "correlation": np.median(np.sqrt(series(here, mse, "level")) / scale, axis=0),
    }
    accurate = off["energy"] <= _ACCURATE
    # The last such level shows the strongest deviations that a good energy goes with.
    level = int(np.flatnonzero(accurate)[-1]) if accurate.any() else 0
    tests = [bool((accurate & (off[name] >= _STRONG)).any()) for name in ("order", "correlation")]
    levels, seeds = fractions(here), here.sizes["seed"]
    which = "last level with an energy within 1 %" if accurate.any() else "dense; at no level 1 %"
    measured = (
        f"At {levels[level]:.0%} pruned ({which}) the energy is off by "
        f"{off['energy'][level]:.2%}, <|m|> by {off['order'][level]:.1%} and C(d) by "
        f"{off['correlation'][level]:.1%} (exact, medians of {seeds} seeds)."
    )
    how = f"median over seeds at level {level}"
    numbers = {
        "level": number(
            float(levels[level]),
            "last level with an energy within 1 %, else 0",
            f"study/{energy}",
            "study/fraction_pruned",
        ),
        "energy": number(float(off["energy"][level]), how, f"study/{energy}"),
        "order": number(float(off["order"][level]), how, f"study/{order}"),
        "correlation": number(
            float(off["correlation"][level]),
            f"{how} of its root over that of the mean of C(d)^2",
            f"study/{mse}",
            "study/correlation_reference",
        ),
    }
    return Finding(verdict_of(tests), measured, numbers, seeds)


def _ranks(datasets: Datasets, ratio: float, least: int) -> xr.DataArray:
    """Rank correlations at one field over seed, part and measure, of whole seeds."""
    here = phase(datasets, "ranks", ratio)
    return whole(here, least, "rank_correlation")["rank_correlation"]


def _correlated(datasets: Datasets) -> Finding:
    tests, numbers, told, seeds = [], {}, [], datasets["ranks"].sizes["seed"]
    for name in _phases_of(datasets):
        ranks = _ranks(datasets, PHASES[name], ONE_SIDED)
        seeds = min(seeds, ranks.sizes["seed"])
        for part in ranks["part"].values:
            shown = []
            for measure in ranks["measure"].values:
                values = ranks.sel(part=part, measure=measure).values
                middle, p = float(np.median(values)), p_above(values)
                tests.append(p <= ALPHA and middle >= _CORRELATED)
                label = f"{name}_{part}_{measure}"
                how = f"median over seeds, {part}, {measure}"
                numbers[label] = number(middle, how, "ranks/rank_correlation")
                numbers[f"{label}_p"] = number(
                    p, "signed ranks against 0, one-sided, of the same", "ranks/rank_correlation"
                )
                shown.append(f"{middle:.2f}")
            told.append(f"{name}, {part}: {', '.join(shown)}")
    titles = listed([_title(str(measure)) for measure in datasets["ranks"]["measure"].values])
    numbers["positive"] = number(
        sum(tests), "how many of all are significantly positive", "ranks/rank_correlation"
    )
    numbers["all"] = number(
        len(tests), "phases, parts and measures looked at", "ranks/rank_correlation"
    )
    measured = (
        f"Spearman's correlation with KL of {titles} (medians of {seeds} seeds): "
        f"{'; '.join(told)}. {sum(tests)} of {len(tests)} are significantly positive."
    )
    return Finding(verdict_of(tests), measured, numbers, seeds)


def _title(measure: str) -> str:
    """A measure of the rank correlations as other claims call it."""
    return EXACT.get(f"{measure}_exact", measure)


def _by_stage(datasets: Datasets) -> Finding:
    tests, numbers, told, seeds = [], {}, [], datasets["ranks"].sizes["seed"]
    for name in _phases_of(datasets):
        ranks = _ranks(datasets, PHASES[name], TWO_SIDED)
        seeds = min(seeds, ranks.sizes["seed"])
        middle = ranks.median("seed")
        parts, measures = list(ranks["part"].values), list(ranks["measure"].values)
        stage = {
            str(measure): max(
                _apart(ranks.sel(measure=measure, part=a), ranks.sel(measure=measure, part=b))
                for a, b in pairwise(parts)
            )
            for measure in measures
        }
        spread = []
        for part in parts:
            own = middle.sel(part=part).values
            ends = (measures[int(own.argmax())], measures[int(own.argmin())])
            spread.append(_apart(*(ranks.sel(part=part, measure=one) for one in ends)))
        tests += [max(stage.values()) >= _DIFFERENT, max(spread) >= _DIFFERENT]
        found = max(stage, key=lambda measure: stage[measure])
        told.append(
            f"{name}: up to {stage[found]:.2f} between stages ({_title(found)}), up to "
            f"{max(spread):.2f} between measures"
        )
        numbers[f"{name}_stages"] = number(
            stage[found],
            "largest median over seeds of the difference between training and pruning, 0 where it "
            "is not significant",
            "ranks/rank_correlation",
        )
        numbers[f"{name}_measures"] = number(
            max(spread),
            "median over seeds of the largest less the smallest, 0 where it is not significant",
            "ranks/rank_correlation",
        )
    measured = f"Significant differences of rank correlations, {seeds} seeds. {'; '.join(told)}."
    return Finding(verdict_of(tests), measured, numbers, seeds)


def _apart(a: xr.DataArray, b: xr.DataArray) -> float:
    """Median size of the difference over seeds, or 0 where it is not significant."""
    significant = paired(a.values, b.values).p <= ALPHA
    return abs(float(np.median(a.values - b.values))) if significant else 0.0


def _phases_of(datasets: Datasets) -> list[str]:
    found = [name for name, ratio in PHASES.items() if has_phase(datasets, "ranks", ratio)]
    if not found:
        raise InsufficientDataError("ranks has no phase of the paper")
    return found


def _rule(what: str, squared: bool = False) -> str:
    return _SENSITIVITY.format(what) + (_SQUARE if squared else "")


CLAIMS = (
    Claim(
        "sensitivity-varies",
        "Abstract, IV",
        "Measures of quality differ strongly in how sensitive they are to pruning.",
        _rule(
            "The most sensitive must have grown at least twice as much as the least, of all five.",
            squared=True,
        ),
        ("study",),
        _varies,
    ),
    Claim(
        "order-most-sensitive",
        "III A",
        "The order parameter is the observable most sensitive to pruning.",
        _rule(
            "That of mROE must be larger than those of the other observables, eROE and C_MSE.",
            squared=True,
        ),
        ("study",),
        partial(_more, (("order", "energy"), ("order", "correlation"))),
    ),
    Claim(
        "energy-least-sensitive",
        "IV",
        "Of all physical observables the energy is the least sensitive to pruning.",
        _rule("Those of mROE and C_MSE must be larger than that of eROE.", squared=True),
        ("study",),
        partial(_more, (("order", "energy"), ("correlation", "energy"))),
    ),
    Claim(
        "order-more-than-kl",
        "Appendix B, Fig. 6",
        "mROE is significantly more sensitive to pruning than KL.",
        _rule("That of mROE must be larger than that of KL."),
        ("study",),
        partial(_more, (("order", "kl"),)),
    ),
    Claim(
        "correlation-more-than-kl",
        "Appendix B, Fig. 6",
        "C_MSE is significantly more sensitive to pruning than KL.",
        _rule("That of C_MSE must be larger than that of KL.", squared=True),
        ("study",),
        partial(_more, (("correlation", "kl"),)),
    ),
    Claim(
        "energy-less-than-kl",
        "Appendix B, Fig. 6",
        "eROE is less sensitive to pruning than KL.",
        _rule("That of KL must be larger than that of eROE."),
        ("study",),
        partial(_more, (("kl", "energy"),)),
    ),
    Claim(
        "energy-accurate-order-not",
        "IV",
        "A pruned RBM can have a rather accurate energy while order and correlations are far off.",
        "Exact medians over seeds at the critical point. Holds if at some level the energy is off "
        "by at most 1 % and <|m|> by at least 10 %, and at some the energy by at most 1 % and "
        "C(d) by at least 10 % (root of C_MSE over that of the mean of C(d)^2); in part if one of "
        "both is so.",
        ("study",),
        _energy_accurate,
    ),
    Claim(
        "measures-follow-kl",
        "III A, appendix B, Fig. 6",
        "Every measure is positively correlated with KL, through training and through pruning.",
        "Spearman's rank correlation of each of 1 - F, energy bias, |m| bias and C_MSE with KL. "
        "Holds if all are above 0 over seeds (one-sided signed ranks p <= 0.05) with a median of "
        "at least 0.3, in both parts and each phase; in part if at least half are.",
        ("ranks",),
        _correlated,
    ),
    Claim(
        "correlation-depends-on-stage",
        "III A, appendix B, Fig. 6",
        "How well a measure follows KL differs from measure to measure, and between training and "
        "pruning.",
        "Rank correlations as above. In each phase two tests: some measure differs between "
        "training and pruning by at least 0.2, and two measures by as much in one of both (median "
        "over seeds, two-sided signed ranks p <= 0.05). Holds if all are passed; in part if half "
        "or more.",
        ("ranks",),
        _by_stage,
    ),
)
