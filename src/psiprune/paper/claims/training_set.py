"""The training set, and what a dense RBM learns of it: Sections II B and III A."""

from __future__ import annotations

import numpy as np

from psiprune.paper.claims.base import (
    FAILS,
    HOLDS,
    Claim,
    Datasets,
    Finding,
    InsufficientDataError,
    Number,
    number,
    verdict_of,
    verdict_on,
)
from psiprune.paper.claims.data import (
    PAPER_SITES,
    PHASES,
    QCP,
    Float64,
    fractions,
    phase,
    series,
    whole,
)
from psiprune.paper.claims.tests import ALPHA, FEW, MATTERS, band, band_numbers, p_text

#: The paper's <|m|>, maxima of P(m), and ratio n(v) / n(-v) with its spread.
_ABS_M, _PEAK, _RATIO, _SPREAD = 0.5, 0.75, 0.98, 0.19
#: How near to 0 a magnetization is nearly 0, and to each other two ratios are equal.
_SMALL, _RATIO_NEAR = 0.02, 0.05
#: A proportion is significant if it is at least so much of the highest.
_SIGNIFICANT = 0.5
#: How far the samples of a dense RBM may be off in <|m|>, relative, and in total variation of P(m).
_CLOSE_M, _CLOSE_P = 0.02, 0.05
#: The paper's epochs; the fewest entries of a history that a level rests on.
_EPOCHS, _ENTRIES = 500, 3
#: The measures of a history by their titles.
_HISTORY = {
    "kl": "KL",
    "infidelity": "1 - F",
    "energy_bias": "energy bias",
    "abs_magnetization_bias": "|m| bias",
    "correlation_mse": "C_MSE",
}


def _at_paper_size(datasets: Datasets) -> None:
    sites = datasets["study"].attrs["sites"]
    if sites != PAPER_SITES:
        raise InsufficientDataError(
            f"the paper's number is for N = {PAPER_SITES}, the study has N = {sites}"
        )


def _of_data(datasets: Datasets, name: str) -> np.ndarray:
    here = phase(datasets, "study", QCP)
    if name not in here:
        raise InsufficientDataError(f"the data has no {name}")
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
    from scipy.stats import norm

    _at_paper_size(datasets)
    name = "magnetization_distribution"
    data, exact = _of_data(datasets, f"{name}_data"), _of_data(datasets, f"{name}_reference")
    shots = float(phase(datasets, "symmetry", QCP)["shots"])
    sites = len(data) - 1
    asymmetry, expected = _asymmetry(data, shots)
    # |m| from 0 outwards; both signs together, so that no noise of one side alone counts.
    m = np.abs(1 - 2 * np.arange(sites // 2 + 1) / sites)[::-1]
    both = (data + data[::-1])[: sites // 2 + 1][::-1].copy()
    both[m == 0] /= 2  # m = 0 is its own mirror image
    height = np.where(m == 0, both, both / 2)
    # The highest of several is the highest by chance too: as many comparisons as places.
    limit = float(norm.isf(ALPHA / (len(m) - 1)))
    top, paper = int(height.argmax()), int(np.abs(m - _PEAK).argmin())
    double = top > 0 and _higher(both, m, top, 0, shots) > limit
    elsewhere = float(_higher(both, m, top, paper, shots)) if top != paper else 0.0
    verdict = verdict_on(asymmetry <= _CLOSE_P and double, [elsewhere <= limit])
    exact_top = float(np.abs(1 - 2 * exact.argmax() / sites))
    measured = (
        f"P(m) of the training set ({shots:g} shots), both signs together, is highest at "
        f"|m| = {m[top]:.3f} with {height[top]:.4f}, against {height[paper]:.4f} at {m[paper]:.3f} "
        f"({elsewhere:.1f} standard errors less) and {height[0]:.4f} at m = 0; in the exact state "
        f"it is highest at {exact_top:.3f}. The two halves differ by {asymmetry:.2%} of all shots; "
        f"under exact symmetry {expected:.2%} are to be expected."
    )
    names = (f"study/{name}_data", "symmetry/shots")
    numbers = {
        "shots": number(shots, "at the QCP", "symmetry/shots"),
        "paper_place": number(m[paper], "the |m| nearest to 0.75", names[0]),
        "place": number(m[top], "|m| of the highest P(m) + P(-m)", names[0]),
        "highest": number(height[top], "half of that", names[0]),
        "at_paper": number(height[paper], "the same at the |m| nearest to 0.75", names[0]),
        "centre": number(height[0], "P(m) nearest to m = 0", names[0]),
        "elsewhere": number(elsewhere, "highest less that nearest to 0.75, in its errors", *names),
        "limit": number(limit, "standard errors that count: one-sided p = 0.05 / (N / 2)", *names),
        "exact": number(exact_top, "|m| of the highest P(m)", f"study/{name}_reference"),
        "asymmetry": number(asymmetry, "half of the sum of |P(m) - P(-m)|", names[0]),
        "expected_asymmetry": number(expected, "its mean under exact symmetry", *names),
    }
    return Finding(verdict, measured, numbers, 1)


def _asymmetry(p: Float64, shots: float) -> tuple[float, float]:
    """Half of the sum of |P(m) - P(-m)|, and its mean if both are as likely.

    Given the number T of shots with m or -m, that with m then is binomial(T, 1/2), and
    E|2 n - T| = T C(T - 1, floor(T / 2)) / 2^(T - 1).
    """
    from scipy.special import gammaln

    pairs = (p + p[::-1])[: len(p) // 2]
    total = np.round(shots * pairs[pairs > 0])
    half = np.floor(total / 2)
    choose = gammaln(total) - gammaln(half + 1) - gammaln(total - half)
    off = total * np.exp(choose - (total - 1) * np.log(2))
    return float(np.abs(p - p[::-1]).sum() / 2), float(off.sum() / shots)


def _higher(both: Float64, m: Float64, one: int, other: int, shots: float) -> float:
    """How much higher P(m) is at one |m| than at another, in standard errors of multinomial noise.

    both: shares of the shots with each |m|. Those with m != 0 are those of two values of m.
    """
    a, b = (1.0 if m[k] == 0 else 2.0 for k in (one, other))
    difference = both[one] / a - both[other] / b
    variance = both[one] / a**2 + both[other] / b**2 - difference**2
    return float(difference / np.sqrt(max(variance, 1 / shots) / shots))


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
    names = ("ratio", "ratio_spread", "expected_ratio", "expected_spread", "ratio_p")
    ratio, spread, expected, noise, p = (here[name].values for name in names)
    known = np.flatnonzero(np.isfinite(ratio) & np.isfinite(spread) & np.isfinite(expected))
    if not len(known):
        raise InsufficientDataError("no configuration occurs with its partner")
    # The paper does not say how many configurations it took: the one that comes nearest.
    off = np.maximum(np.abs(ratio - _RATIO), np.abs(spread - _SPREAD))
    best = int(known[off[known].argmin()])
    away = np.abs(ratio - expected)[known]
    # Noise of the mean is no asymmetry, nor is what is small.
    symmetric = (away <= _RATIO_NEAR) | (p[known] > ALPHA / len(known))
    verdict = verdict_on(bool(symmetric.all()), [bool(off[best] <= _RATIO_NEAR)])
    most = here["most"].values
    told = "; ".join(
        f"K = {most[k]:g}: {ratio[k]:.2f} ± {spread[k]:.2f}, under exact symmetry "
        f"{expected[k]:.2f} ± {noise[k]:.2f} ({p_text(p[k])})"
        for k in known
    )
    measured = (
        f"Ratio over the K most frequent configurations with a partner (the paper does not state "
        f"K), mean and standard deviation: {told}. Nearest to 0.98 ± 0.19: K = {most[best]:g}."
    )
    numbers: dict[str, Number] = {"nearest_most": number(most[best], "K", "symmetry/most")}
    for k in known:
        at = f"most = {most[k]:g}, at the QCP"
        for name, values in zip(names, (ratio, spread, expected, noise, p), strict=True):
            numbers[f"{name}_{most[k]:g}"] = number(values[k], at, f"symmetry/{name}")
    return Finding(verdict, measured, numbers, 1)


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
        **band_numbers(
            "abs_magnetization_off",
            off,
            "over seeds, level 0, of the relative difference",
            "study/abs_magnetization",
            "study/abs_magnetization_data",
        ),
        **band_numbers(
            "distribution_off",
            apart,
            "over seeds, level 0, of half the sum of differences",
            f"study/{name}",
            f"study/{name}_data",
        ),
    }
    return Finding(verdict_of(bool(test) for test in tests), measured, numbers, seeds)


def _equilibrated(datasets: Datasets) -> Finding:
    names = [f"history_{name}" for name in _HISTORY]
    numbers: dict[str, Number] = {}
    by_phase, told, seeds = [], [], datasets["study"].sizes["seed"]
    for name, ratio in PHASES.items():
        here = whole(phase(datasets, "study", ratio), FEW)
        if "epoch" not in here.dims:
            raise InsufficientDataError("the study has no history")
        here = whole(here.sel(epoch=here["epoch"] <= _EPOCHS), FEW, *names)
        epochs = here["epoch"].values.astype(float)
        last = epochs > 0.8 * epochs[-1]
        before = (epochs > 0.6 * epochs[-1]) & ~last
        if min(last.sum(), before.sum()) < _ENTRIES:
            raise InsufficientDataError(f"a fifth of the history has fewer than {_ENTRIES} entries")
        seeds = min(seeds, here.sizes["seed"])
        flat, shown = [], []
        for variable, title in _HISTORY.items():
            values = series(here, f"history_{variable}", "epoch")
            early, late = (np.median(values[:, part], axis=1) for part in (before, last))
            change = float(np.median(late - early) / np.median(late))
            low, high = np.quantile(late, (0.16, 0.84))
            spread = float((high - low) / 2 / np.median(late))
            flat.append(abs(change) <= max(spread, MATTERS - 1))
            shown.append(f"{title} {change:+.1%} (seeds ± {spread:.1%})")
            how = "last fifth of training (up to 500 epochs) against the fifth before it, {}, over "
            how += "the median of the last fifth"
            numbers |= {
                f"{name}_{variable}_change": number(
                    change, how.format("median over seeds"), f"study/history_{variable}"
                ),
                f"{name}_{variable}_spread": number(
                    spread,
                    "half of 16 to 84 % of the seeds in the last fifth, over their median",
                    f"study/history_{variable}",
                ),
            }
        numbers[f"{name}_epochs"] = number(
            epochs[-1], "last epoch looked at, up to 500", "study/epoch"
        )
        by_phase.append((flat[0], flat))
        told.append(f"{name}, {epochs[-1]:g} epochs: {', '.join(shown)}")
    # Half or more of five measures, KL among them, in both phases.
    most = all(kl and 2 * sum(flat) > len(flat) for kl, flat in by_phase)
    verdict = verdict_on(most, [all(flat) for _, flat in by_phase])
    measured = (
        f"Change of the medians of {seeds} seeds from the last but one fifth of training to the "
        f"last. {'; '.join(told)}."
    )
    return Finding(verdict, measured, numbers, seeds)


def _table1(datasets: Datasets) -> Finding:
    here = datasets["study"].isel(field=0)
    kept = np.asarray(here["weights_kept"].transpose("seed", "level").values, np.float64)
    total = float(here.attrs["sites"] * here.attrs["hidden"])
    levels = np.arange(min(kept.shape[1], 19))
    if len(levels) < 19:
        raise InsufficientDataError(f"Table I has 18 steps, the study {kept.shape[1] - 1}")
    # The paper's percentages are 0.9^n to a tenth; a count cannot be nearer than half a weight.
    off = np.abs(kept[:, levels] - total * 0.9**levels).max()
    left = 1 - float(fractions(here)[18])
    verdict = HOLDS if off <= 0.5 else FAILS
    measured = (
        f"The study keeps {', '.join(f'{k:g}' for k in kept[0, levels])} of {total:g} weights: "
        f"within {off:.2g} of 0.9^n times all ({left:.1%} after step 18)."
    )
    numbers = {
        "largest_difference": number(
            float(off), "largest |kept - 0.9^level all|, levels 0 to 18", "study/weights_kept"
        ),
        "all": number(total, "N N_h", "study/@sites", "study/@hidden"),
        "left_18": number(left, "1 - median over seeds, level 18", "study/fraction_pruned"),
        **{
            f"kept_{level}": number(
                kept[0, level], f"level {level}, first field and seed", "study/weights_kept"
            )
            for level in levels
        },
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
        "Symmetric: P(m) and P(-m) differ by at most 5 % in total variation. Two peaks: the "
        "highest P(m) + P(-m) lies away from m = 0 and is above that at 0 by more than the noise "
        "of the shots (one-sided p <= 0.05 / (N/2), as it is the highest of N/2 places). At 0.75: "
        "no other place is above the value of m nearest to 0.75 by as much (they are 2/N apart). "
        "Holds if all three are so; in part if only the place is another. For N = 18 only.",
        ("study", "symmetry"),
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
        "The K most frequent configurations are chosen in the same shots, so their mean ratio is "
        "above 1 even if the state is symmetric: pairs dealt anew with probability 1/2 say by how "
        "much. Symmetric: at each of several K the mean ratio is within 0.05 of what is expected "
        "so, or not significantly off (p > 0.05 / number of K). Holds if symmetric, and for some K "
        "(the paper does not state it) mean and standard deviation are within 0.05 of 0.98 and "
        "0.19; in part if symmetric, but with other numbers.",
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
        "All measures converge to equilibrated values within the first 500 training epochs.",
        "A plateau, not an optimum: of the dense RBMs up to epoch 500, the median over the last "
        "fifth of training less that over the fifth before it. A measure has equilibrated if the "
        "median of this change over seeds is at most half of the spread of the seeds (16 to 84 %), "
        "or below 10 %, of its value. Holds if KL, 1 - F, energy bias, |m| bias and C_MSE all have "
        "in both phases; in part if KL and at least two of the others have in both.",
        ("study",),
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
