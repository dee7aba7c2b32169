"""The training set, and what a dense RBM learns from it: Sections II B and III A."""

from __future__ import annotations

import numpy as np

from psiprune.core.statistics import QUANTILES
from psiprune.paper.claims.base import InsufficientDataError
from psiprune.paper.claims.data import (
    QCP,
    TITLES,
    Float64,
    fractions,
    phase,
    require,
    require_paper_sizes,
    series,
)
from psiprune.paper.claims.evidence import Evidence, claim
from psiprune.paper.claims.tests import ALPHA, FEW, MATTERS, p_text

#: The paper's <|m|>, maxima of P(m), and ratio n(v) / n(-v) with its spread.
_ABS_M, _PEAK, _RATIO, _SPREAD = 0.5, 0.75, 0.98, 0.19
#: A magnetization up to this is nearly 0; two ratios up to this far apart are equal.
_SMALL, _RATIO_NEAR = 0.02, 0.05
#: A proportion is significant if it is at least this share of the highest.
_SIGNIFICANT = 0.5
#: Largest deviation of a dense RBM's samples in <|m|>, relative, and in total variation of P(m).
_CLOSE_M, _CLOSE_P = 0.02, 0.05
#: The paper's epochs; the fewest entries of a history that a level rests on.
_EPOCHS, _ENTRIES = 500, 3
#: Steps of Table I.
_STEPS = 18
_P = "magnetization_distribution"
_ABS_M_NAMES = ("abs_magnetization_data", "abs_magnetization_reference")


def _of_data(evidence: Evidence, name: str) -> np.ndarray:
    here = phase(evidence.datasets, "study", QCP)
    require(here, name)
    return np.asarray(here[name].values, np.float64)


@claim("data-abs-m", "III A, Fig. 3", "study")
def _abs_m(evidence: Evidence) -> str:
    """The training set at the critical point has <|m|> of about 0.5.

    <|m|> of the training set rounds to 0.5; for N = 18 only, the paper's size.
    """
    require_paper_sizes(evidence.datasets["study"])
    data, exact = (
        evidence.note(label, _of_data(evidence, name), "at the QCP", f"study/{name}")
        for label, name in zip(("data", "exact"), _ABS_M_NAMES, strict=True)
    )
    evidence.effect("<|m|> of the training set", data)
    evidence.decide(round(data, 1) == _ABS_M)
    return f"<|m|> = {data:.4f} in the training set (one set), {exact:.4f} in the exact state."


@claim("data-m", "III A, Fig. 3", "study")
def _m(evidence: Evidence) -> str:
    """The training set at the critical point has <m> of about 0.

    |<m>| of the training set is at most 0.02.
    """
    value, source = _of_data(evidence, "magnetization_data"), "study/magnetization_data"
    data = evidence.note("data", value, "at the QCP", source)
    evidence.effect("<m> of the training set", data)
    evidence.decide(abs(data) <= _SMALL)
    return f"<m> = {data:+.4f} in the training set (one set); it is 0 in the exact state."


@claim("data-two-peaks", "III A, Fig. 3", "study", "symmetry")
def _peaks(evidence: Evidence) -> str:
    """The distribution of m in that set is symmetric, with two peaks at m = -0.75 and 0.75.

    Symmetric: P(m) and P(-m) differ by at most 5 % in total variation. Two peaks: the highest
    P(m) + P(-m) lies away from m = 0 and is above that at 0 by more than the noise of the shots
    (one-sided p <= 0.05 / (N/2), as it is the highest of N/2 places). At 0.75: no other place
    exceeds the value of m nearest to 0.75 by as much (they are 2/N apart). Holds if all three are
    so; in part if only the place is another. For N = 18 only.
    """
    from scipy.stats import norm

    require_paper_sizes(evidence.datasets["study"])
    data, exact = _of_data(evidence, f"{_P}_data"), _of_data(evidence, f"{_P}_reference")
    shots = float(phase(evidence.datasets, "symmetry", QCP)["shots"])
    sites = len(data) - 1
    # |m| from 0 outwards; both signs together, so that noise on one side alone does not count.
    m = np.abs(1 - 2 * np.arange(sites // 2 + 1) / sites)[::-1]
    both = (data + data[::-1])[: sites // 2 + 1][::-1].copy()
    both[m == 0] /= 2  # m = 0 is its own mirror image
    height = np.where(m == 0, both, both / 2)
    top, paper = int(height.argmax()), int(np.abs(m - _PEAK).argmin())
    # Which place is the highest is partly chance: correct for as many comparisons as places.
    critical = float(norm.isf(ALPHA / (len(m) - 1)))
    double = top > 0 and _higher(both, m, top, 0, shots) > critical

    evidence.note("shots", shots, "at the QCP", "symmetry/shots")
    of = evidence.using(f"study/{_P}_data")
    paper_place = of.note("paper_place", m[paper], "the |m| nearest to 0.75")
    place = of.note("place", m[top], "|m| of the highest P(m) + P(-m)")
    highest = of.note("highest", height[top], "half of the highest P(m) + P(-m)")
    at_paper = of.note("at_paper", height[paper], "the same at the |m| nearest to 0.75")
    centre = of.note("centre", height[0], "P(m) nearest to m = 0")
    found, mean = _asymmetry(data, shots)
    asymmetry = of.note("asymmetry", found, "half of the sum of |P(m) - P(-m)|")
    of = evidence.using(f"study/{_P}_data", "symmetry/shots")
    expected = of.note("expected_asymmetry", mean, "its mean under exact symmetry")
    difference = _higher(both, m, top, paper, shots) if top != paper else 0.0
    how = "highest less that nearest to 0.75, in standard errors"
    elsewhere = of.note("elsewhere", difference, how)
    of.note("limit", critical, "critical value in standard errors: p = 0.05 / (N / 2)")
    place_of, source = abs(1 - 2 * exact.argmax() / sites), f"study/{_P}_reference"
    exact_place = evidence.note("exact", place_of, "|m| of the highest P(m)", source)
    evidence.effect("|m| of the highest P(m)", place)
    evidence.effect("P(m) less at the |m| nearest to 0.75, in standard errors", elsewhere)
    symmetric = asymmetry <= _CLOSE_P and double
    evidence.decide(symmetric and elsewhere <= critical, symmetric)
    return (
        f"P(m) of the training set ({shots:g} shots), both signs together, is highest at "
        f"|m| = {place:.3f} with {highest:.4f}, against {at_paper:.4f} at {paper_place:.3f} "
        f"({elsewhere:.1f} standard errors less) and {centre:.4f} at m = 0; in the exact state it "
        f"is highest at {exact_place:.3f}. The two halves differ by {asymmetry:.2%} of all shots; "
        f"exact symmetry gives {expected:.2%} on average."
    )


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


@claim("data-middle", "III A, Fig. 3", "study")
def _middle(evidence: Evidence) -> str:
    """A significant proportion of that set has m = 0.

    P(m = 0) of the training set is at least half of its highest P(m).
    """
    data, of = _of_data(evidence, f"{_P}_data"), evidence.using(f"study/{_P}_data")
    centre = of.note("centre", data[(len(data) - 1) // 2], "P(m) nearest to m = 0")
    how = "P(m) nearest to m = 0 over the highest P(m)"
    share = of.note("share", centre / data.max(), how)
    evidence.effect("P(m = 0) over the highest P(m)", share)
    evidence.decide(share >= _SIGNIFICANT)
    return f"P(m = 0) = {centre:.4f} in the training set, {share:.0%} of the highest P(m)."


@claim("data-z2", "II B, III A", "symmetry")
def _symmetry(evidence: Evidence) -> str:
    """The training set is mostly Z2-symmetric: a configuration and its flipped partner occur in the
    ratio 0.98 ± 0.19.

    The K most frequent configurations are selected in the same shots, so their mean ratio is above
    1 even if the state is symmetric; redistributing each pair with probability 1/2 shows by how
    much. Symmetric: at each of several K the mean ratio is within 0.05 of this expected value, or
    not significantly off (p > 0.05 / number of K). Holds if symmetric, and for some K (the paper
    does not state it) mean and standard deviation are within 0.05 of 0.98 and 0.19; in part if
    symmetric, but with other numbers.
    """
    here = phase(evidence.datasets, "symmetry", QCP)
    names = ("ratio", "ratio_spread", "expected_ratio", "expected_spread", "ratio_p")
    ratio, spread, expected, noise, p = (here[name].values for name in names)
    known = np.flatnonzero(np.isfinite(ratio) & np.isfinite(spread) & np.isfinite(expected))
    if not len(known):
        raise InsufficientDataError("no configuration occurs with its partner")
    # The paper does not state the number of configurations: take the one that comes nearest.
    off = np.maximum(np.abs(ratio - _RATIO), np.abs(spread - _SPREAD))
    best = int(known[off[known].argmin()])
    # Neither noise of the mean nor a small difference is an asymmetry.
    small = np.abs(ratio - expected)[known] <= _RATIO_NEAR
    symmetric = small | (p[known] > ALPHA / len(known))
    most = here["most"].values
    evidence.note("nearest_most", most[best], "K", "symmetry/most")
    evidence.effect(f"ratio over the {most[best]:g} most frequent", ratio[best])
    for k in known:
        at = f"most = {most[k]:g}, at the QCP"
        for name in names:
            value = here[name].values[k]
            evidence.note(f"{name}_{most[k]:g}", value, at, f"symmetry/{name}")
        evidence.case(
            f"K = {most[k]:g}: {ratio[k]:.2f} ± {spread[k]:.2f}, under exact symmetry "
            f"{expected[k]:.2f} ± {noise[k]:.2f} ({p_text(p[k])})"
        )
    evidence.decide(bool(symmetric.all() and off[best] <= _RATIO_NEAR), bool(symmetric.all()))
    return (
        f"Ratio over the K most frequent configurations with a partner (the paper does not state "
        f"K), mean and standard deviation: {evidence.text}. Nearest to 0.98 ± 0.19: "
        f"K = {most[best]:g}."
    )


@claim("dense-resembles-data", "III A, Fig. 3", "study")
def _resembles(evidence: Evidence) -> str:
    """Samples of the trained RBM closely resemble the training set.

    Of the dense RBMs at the critical point. Holds if their samples differ from the training set by
    at most 2 % in <|m|> and 5 % in total variation of P(m), median over seeds; in part if only one
    of these is so.
    """
    name = "abs_magnetization"
    dense = evidence.at(QCP, "study", FEW, name, _P).isel(level=0)
    off = np.abs(series(dense, name) / _of_data(evidence, f"{name}_data") - 1)
    apart = np.abs(series(dense, _P, "ones") - _of_data(evidence, f"{_P}_data")).sum(axis=1) / 2
    of = "over seeds, level 0, of the relative difference"
    m_off = evidence.band(f"{name}_off", off, of, f"study/{name}", f"study/{name}_data")
    of = "over seeds, level 0, of half the sum of differences"
    p_off = evidence.band("distribution_off", apart, of, f"study/{_P}", f"study/{_P}_data")
    evidence.effect("difference of <|m|>, relative", off)
    evidence.effect("total variation of P(m)", apart)
    evidence.tests.extend([bool(np.median(off) <= _CLOSE_M), bool(np.median(apart) <= _CLOSE_P)])
    return (
        f"Samples of {evidence.seeds} dense RBMs differ from the training set by {m_off} in <|m|>, "
        f"relative, and by {p_off} in total variation of P(m)."
    )


@claim("equilibrated-500", "III A", "study")
def _equilibrated(evidence: Evidence) -> str:
    """All measures converge to equilibrated values within the first 500 training epochs.

    A plateau, not an optimum: of the dense RBMs up to epoch 500, the median over the last fifth of
    training less that over the fifth before it. A measure has equilibrated if the median of this
    change over seeds is at most half of the spread of the seeds (16 to 84 %), or below 10 %, of its
    value. Holds if KL, 1 - F, energy bias, |m| bias and C_MSE all have in both phases; in part if
    KL and at least two of the others have in both.
    """
    flat_by_phase = []
    how = (
        "median over seeds of the change from the last but one fifth of training (up to 500 "
        "epochs) to the last, over the median of the last fifth"
    )
    for name, study in evidence.phases("study", FEW):
        if "epoch" not in study.dims:
            raise InsufficientDataError("the study has no history")
        history = study.sel(epoch=study["epoch"] <= _EPOCHS)
        here = evidence.complete(history, FEW, *(f"history_{measure}" for measure in TITLES))
        epochs = here["epoch"].values.astype(float)
        last = epochs > 0.8 * epochs[-1]
        before = (epochs > 0.6 * epochs[-1]) & ~last
        if min(last.sum(), before.sum()) < _ENTRIES:
            raise InsufficientDataError(f"a fifth of the history has fewer than {_ENTRIES} entries")
        flat, shown = [], []
        for measure, title in TITLES.items():
            of = evidence.using(f"study/history_{measure}", prefix=f"{name}_{measure}")
            values = series(here, f"history_{measure}", "epoch")
            early, late = (np.median(values[:, part], axis=1) for part in (before, last))
            low, middle, high = np.quantile(late, QUANTILES)
            if measure == "kl":
                evidence.effect(f"change of KL at the {name}", (late - early) / middle)
            change = of.note("change", np.median(late - early) / middle, how)
            spread = (high - low) / 2 / middle
            of.note(
                "spread",
                spread,
                "half of 16 to 84 % of the seeds in the last fifth, over their median",
            )
            flat.append(abs(change) <= max(spread, MATTERS - 1))
            shown.append(f"{title} {change:+.1%} (seeds ± {spread:.1%})")
        evidence.note(f"{name}_epochs", epochs[-1], "last epoch used, up to 500", "study/epoch")
        flat_by_phase.append(flat)
        evidence.case(f"{name}, {epochs[-1]:g} epochs: {', '.join(shown)}")
    evidence.decide(
        all(map(all, flat_by_phase)),
        all(flat[0] and 2 * sum(flat) > len(flat) for flat in flat_by_phase),
    )
    return (
        f"Change of the medians of {evidence.seeds} seeds from the last but one fifth of training "
        f"to the last. {evidence.text}."
    )


@claim("table-1", "Appendix A, Table I", "study")
def _table_one(evidence: Evidence) -> str:
    """The share of weights that each of 18 pruning steps of 10 % leaves.

    Every RBM keeps 0.9^n of its weights at level n, to half a weight.
    """
    here = evidence.datasets["study"].isel(field=0)
    evidence.count_seeds(here.sizes["seed"])
    kept = series(here, "weights_kept", "level")
    if kept.shape[1] <= _STEPS:
        raise InsufficientDataError(f"Table I has {_STEPS} steps, the study {kept.shape[1] - 1}")
    levels, of = np.arange(_STEPS + 1), evidence.using("study/weights_kept")
    product = float(here.attrs["sites"] * here.attrs["hidden"])
    total = evidence.note("all", product, "N N_h", "study/@sites", "study/@hidden")
    # The paper's percentages are 0.9^n to a tenth; a count cannot be nearer than half a weight.
    difference = np.abs(kept[:, levels] - total * 0.9**levels).max()
    how = "largest |kept - 0.9^level all|, levels 0 to 18"
    off = of.note("largest_difference", difference, how)
    how = "1 - median over seeds, level 18"
    left = evidence.note("left_18", 1 - fractions(here)[_STEPS], how, "study/fraction_pruned")
    for level in levels:
        of.note(f"kept_{level}", kept[0, level], f"level {level}, first field and seed")
    evidence.effect("largest difference from 0.9^n, in weights", off)
    evidence.decide(off <= 0.5)
    return (
        f"The study keeps {', '.join(f'{k:g}' for k in kept[0, levels])} of {total:g} weights: "
        f"within {off:.2g} of 0.9^n times all ({left:.1%} after step 18)."
    )
