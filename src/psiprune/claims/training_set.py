"""The training set, and what a dense RBM learns of it: Sections II B and III A."""

from __future__ import annotations

import numpy as np

from psiprune.claims.access import PAPER_SITES, PHASES, QCP, fractions, phase, series, whole
from psiprune.claims.compare import COMPARABLE, FEW, MATTERS, band, contrast
from psiprune.claims.finding import (
    FAILS,
    HOLDS,
    IN_PART,
    Claim,
    Datasets,
    Finding,
    Number,
    Undecided,
    number,
    verdict_of,
)

#: The paper's <|m|>, maxima of P(m), and ratio n(v) / n(-v) with its spread.
_ABS_M, _PEAK, _RATIO, _SPREAD = 0.5, 0.75, 0.98, 0.19
#: How near to 0 a magnetization is nearly 0, and to each other two ratios are equal.
_SMALL, _RATIO_NEAR = 0.02, 0.05
#: A proportion is significant if it is at least so much of the highest.
_SIGNIFICANT = 0.5
#: How far the samples of a dense RBM may be off in <|m|>, relative, and in total variation of P(m).
_CLOSE_M, _CLOSE_P = 0.02, 0.05
#: The paper's epochs, and the variants of the frontier trained as in the paper and exactly.
_EPOCHS = 500
_PAPER, _BEST = "magnitude-cd", "surgeon"


def _at_paper_size(datasets: Datasets) -> None:
    sites = datasets["study"].attrs["sites"]
    if sites != PAPER_SITES:
        raise Undecided(f"the paper's number is for N = {PAPER_SITES}, the study has N = {sites}")


def _of_data(datasets: Datasets, name: str) -> np.ndarray:
    here = phase(datasets, "study", QCP)
    if name not in here:
        raise Undecided(f"the data has no {name}")
    return np.asarray(here[name].values, np.float64)


def _abs_m(datasets: Datasets) -> Finding:
    _at_paper_size(datasets)
    data = float(_of_data(datasets, "abs_magnetization_data"))
    exact = float(_of_data(datasets, "abs_magnetization_reference"))
    verdict = HOLDS if round(data, 1) == _ABS_M else FAILS
    measured = f"<|m|> = {data:.4f} in the training set (one set), {exact:.4f} in the exact state."
    numbers = {
        "data": number(data, "at the QCP", "study/abs_magnetization_data"),
        "exact": number(exact, "at the QCP", "study/abs_magnetization_reference"),
    }
    return Finding(verdict, measured, numbers, 1)


def _m(datasets: Datasets) -> Finding:
    data = float(_of_data(datasets, "magnetization_data"))
    verdict = HOLDS if abs(data) <= _SMALL else FAILS
    measured = f"<m> = {data:+.4f} in the training set (one set); it is 0 in the exact state."
    return Finding(
        verdict, measured, {"data": number(data, "at the QCP", "study/magnetization_data")}, 1
    )


def _peaks(datasets: Datasets) -> Finding:
    _at_paper_size(datasets)
    name = "magnetization_distribution"
    data, exact = _of_data(datasets, f"{name}_data"), _of_data(datasets, f"{name}_reference")
    sites = len(data) - 1
    m = 1 - 2 * np.arange(sites + 1) / sites
    right, left = m > 0, m < 0
    maxima = (float(m[right][data[right].argmax()]), float(m[left][data[left].argmax()]))
    centre = float(data[np.abs(m).argmin()])
    highest = float(min(data[right].max(), data[left].max()))
    double = highest > centre
    asymmetry = float(np.abs(data - data[::-1]).sum() / 2)
    symmetric = asymmetry <= _CLOSE_P
    # Grid values of m lie 2 / N apart; one is the nearest to that of the paper.
    step = 2 / sites
    off = max(abs(abs(place) - _PEAK) for place in maxima)
    if double and symmetric and off <= step / 2:
        verdict = HOLDS
    else:
        verdict = IN_PART if double and symmetric else FAILS
    top = float(np.abs(m[exact.argmax()]))
    measured = (
        f"Maxima of P(m) in the training set at m = {maxima[1]:+.3f} and {maxima[0]:+.3f}, "
        f"{highest:.4f} against {centre:.4f} at m = 0; in the exact state at {top:.3f}. The two "
        f"halves differ by {asymmetry:.2%} of all shots (one set)."
    )
    data_name = f"study/{name}_data"
    numbers = {
        "left": number(maxima[1], "m < 0 of the highest P(m)", data_name),
        "right": number(maxima[0], "m > 0 of the highest P(m)", data_name),
        "exact": number(top, "|m| of the highest P(m)", f"study/{name}_reference"),
        "highest": number(highest, "lower one of the two maxima", data_name),
        "centre": number(centre, "P(m) nearest to m = 0", data_name),
        "asymmetry": number(asymmetry, "half of the sum of |P(m) - P(-m)|", data_name),
    }
    return Finding(verdict, measured, numbers, 1)


def _middle(datasets: Datasets) -> Finding:
    data = _of_data(datasets, "magnetization_distribution_data")
    centre = float(data[(len(data) - 1) // 2])
    share = centre / float(data.max())
    verdict = HOLDS if share >= _SIGNIFICANT else FAILS
    measured = f"P(m = 0) = {centre:.4f} in the training set, {share:.0%} of the highest P(m)."
    name = "study/magnetization_distribution_data"
    numbers = {
        "centre": number(centre, "P(m) nearest to m = 0", name),
        "share": number(share, "the same over the highest P(m)", name),
    }
    return Finding(verdict, measured, numbers, 1)


def _symmetry(datasets: Datasets) -> Finding:
    here = phase(datasets, "symmetry", QCP)
    ratio, spread = here["ratio"].values, here["ratio_spread"].values
    known = np.flatnonzero(np.isfinite(ratio) & np.isfinite(spread))
    if not len(known):
        raise Undecided("no configuration occurs with its partner")
    # The paper does not say how many configurations it took: the one that comes nearest.
    off = np.abs(ratio - _RATIO) + np.abs(spread - _SPREAD)
    best = int(known[off[known].argmin()])
    symmetric = abs(ratio[known[0]] - 1) <= _RATIO_NEAR
    same = max(abs(ratio[best] - _RATIO), abs(spread[best] - _SPREAD)) <= _RATIO_NEAR
    most = here["most"].values
    told = "; ".join(f"K = {most[k]:g}: {ratio[k]:.2f} ± {spread[k]:.2f}" for k in known)
    measured = (
        f"Ratio over the K most frequent configurations with a partner (the paper does not state "
        f"K), mean and standard deviation: {told}. Nearest to 0.98 ± 0.19: K = {most[best]:g}."
    )
    numbers: dict[str, Number] = {"nearest_most": number(most[best], "K", "symmetry/most")}
    for k in known:
        at = f"most = {most[k]:g}, at the QCP"
        numbers[f"ratio_{most[k]:g}"] = number(ratio[k], at, "symmetry/ratio")
        numbers[f"spread_{most[k]:g}"] = number(spread[k], at, "symmetry/ratio_spread")
    return Finding(verdict_of((symmetric, same)), measured, numbers, 1)


def _resembles(datasets: Datasets) -> Finding:
    name = "magnetization_distribution"
    here = whole(phase(datasets, "study", QCP), FEW, "abs_magnetization", name)
    data_m = float(_of_data(datasets, "abs_magnetization_data"))
    data_p = _of_data(datasets, f"{name}_data")
    m = series(here, "abs_magnetization", "level")[:, 0]
    p = series(here, name, "level", "ones")[:, 0]
    off = np.abs(m / data_m - 1)
    apart = np.abs(p - data_p).sum(axis=1) / 2
    tests = (np.median(off) <= _CLOSE_M, np.median(apart) <= _CLOSE_P)
    seeds = here.sizes["seed"]
    measured = (
        f"Samples of {seeds} dense RBMs differ from the training set by {band(off)} in <|m|>, "
        f"relative, and by {band(apart)} in total variation of P(m)."
    )
    numbers = {
        "abs_magnetization_off": number(
            float(np.median(off)),
            "median over seeds, level 0, of the relative difference",
            "study/abs_magnetization",
            "study/abs_magnetization_data",
        ),
        "distribution_off": number(
            float(np.median(apart)),
            "median over seeds, level 0, of half the sum of differences",
            f"study/{name}",
            f"study/{name}_data",
        ),
    }
    return Finding(verdict_of(bool(test) for test in tests), measured, numbers, seeds)


def _equilibrated(datasets: Datasets) -> Finding:
    frontier = datasets["frontier"]
    epochs = float(datasets["study"]["epoch"].max())
    for variant in (_PAPER, _BEST):
        if variant not in frontier["variant"].values:
            raise Undecided(f"frontier has no {variant}")
    # The history goes on through fine-tuning in no study; its last epoch is that of training.
    if epochs > _EPOCHS:
        raise Undecided(f"the dense RBMs were trained for {epochs:g} epochs, not {_EPOCHS}")
    total = frontier.attrs["sites"] * frontier.attrs["hidden"]
    worst, told, numbers, seeds = [], [], {}, frontier.sizes["seed"]
    for name, ratio in PHASES.items():
        here = phase(datasets, "frontier", ratio).sel(count=total)
        paper, best = (here["kl"].sel(variant=v).values for v in (_PAPER, _BEST))
        known = np.isfinite(paper) & np.isfinite(best)
        if known.sum() < FEW:
            raise Undecided(f"the rule needs at least {FEW} seeds, found {int(known.sum())}")
        against = contrast(paper[known], best[known])
        worst.append(against.ratio)
        seeds = min(seeds, int(known.sum()))
        told.append(f"{against.ratio:.2f} at the {name} ({band(paper[known])})")
        numbers[f"{name}_ratio"] = number(
            against.ratio,
            f"median over seeds of KL of {_PAPER} over {_BEST}, dense",
            "frontier/kl",
        )
    verdict = verdict_of(ratio <= MATTERS for ratio in worst)
    if verdict == FAILS and max(worst) <= COMPARABLE:
        verdict = IN_PART
    measured = (
        f"After {epochs:g} epochs KL is that of the maximum-likelihood RBM on the same shots times "
        f"{' and '.join(told)}; {seeds} seeds."
    )
    return Finding(verdict, measured, numbers, seeds)


def _table1(datasets: Datasets) -> Finding:
    here = datasets["study"].isel(field=0)
    kept = np.asarray(here["weights_kept"].transpose("seed", "level").values, np.float64)
    total = float(here.attrs["sites"] * here.attrs["hidden"])
    levels = np.arange(min(kept.shape[1], 19))
    if len(levels) < 19:
        raise Undecided(f"Table I has 18 steps, the study {kept.shape[1] - 1}")
    # The paper's percentages are 0.9^n to a tenth; a count cannot be nearer than half a weight.
    off = np.abs(kept[:, levels] - total * 0.9**levels).max()
    verdict = HOLDS if off <= 0.5 else FAILS
    measured = (
        f"The study keeps {', '.join(f'{k:g}' for k in kept[0, levels])} of {total:g} weights: "
        f"within {off:.2g} of 0.9^n times all ({1 - fractions(here)[18]:.1%} after step 18)."
    )
    numbers = {
        "largest_difference": number(
            float(off), "largest |kept - 0.9^level all|, levels 0 to 18", "study/weights_kept"
        ),
        "kept_18": number(float(np.median(kept[:, 18])), "level 18", "study/weights_kept"),
    }
    return Finding(verdict, measured, numbers, kept.shape[0])


CLAIMS = (
    Claim(
        "data-abs-m",
        "III A, Fig. 3",
        "The training set at the critical point has <|m|> of about 0.5.",
        "<|m|> of the training set rounds to 0.5; for N = 18 only, the paper's size.",
        ("study",),
        _abs_m,
    ),
    Claim(
        "data-m",
        "III A, Fig. 3",
        "The training set at the critical point has <m> of about 0.",
        "|<m>| of the training set is at most 0.02.",
        ("study",),
        _m,
    ),
    Claim(
        "data-two-peaks",
        "III A, Fig. 3",
        "The distribution of m in that set is symmetric, with two peaks at m = -0.75 and 0.75.",
        "Holds if P(m) and P(-m) differ by at most 5 % in total variation, the highest P(m) on "
        "either side is above P(0), and both lie at the value of m nearest to 0.75 (they are 2/N "
        "apart); in part if all but the last is so. For N = 18 only.",
        ("study",),
        _peaks,
    ),
    Claim(
        "data-middle",
        "III A, Fig. 3",
        "A significant proportion of that set has m = 0.",
        "P(m = 0) of the training set is at least half of its highest P(m).",
        ("study",),
        _middle,
    ),
    Claim(
        "data-z2",
        "II B, III A",
        "The training set is mostly Z2-symmetric: a configuration and its flipped partner occur in "
        "the ratio 0.98 ± 0.19.",
        "Holds if the mean ratio over the fewest configurations looked at is within 0.05 of 1, and "
        "for some number K of most frequent configurations (the paper does not state K) mean and "
        "standard deviation are within 0.05 of 0.98 and 0.19; in part if one of both is so.",
        ("symmetry",),
        _symmetry,
    ),
    Claim(
        "dense-resembles-data",
        "III A, Fig. 3",
        "Samples of the trained RBM closely resemble the training set.",
        "Of the dense RBMs at the critical point. Holds if their samples differ from the training "
        "set by at most 2 % in <|m|> and 5 % in total variation of P(m), median over seeds; in "
        "part if in one of both.",
        ("study",),
        _resembles,
    ),
    Claim(
        "equilibrated-500",
        "III A",
        "Training converges within the first 500 epochs.",
        "Training minimises KL, whose least value for the same shots is that of the RBM of maximum "
        "likelihood. Holds if the KL of the dense RBM after at most 500 epochs of contrastive "
        "divergence is at most 10 % above it in both phases (median over seeds); in part if in one "
        "phase, or in both at most twice as large.",
        ("study", "frontier"),
        _equilibrated,
    ),
    Claim(
        "table-1",
        "Appendix A, Table I",
        "The share of weights that each of 18 pruning steps of 10 % leaves.",
        "Every RBM keeps 0.9^n of its weights at level n, to half a weight.",
        ("study",),
        _table1,
    ),
)
