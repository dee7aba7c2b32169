"""Every rule of `psiprune.paper.claims` on invented data for which its verdict is known."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from invented import LEVELS, SEEDS, WRONG, two_peaks, world
from psiprune.paper.claims.base import FAILS, HOLDS, IN_PART, UNDECIDED
from psiprune.paper.claims.judge import CLAIMS
from spoiled import (
    ALL,
    EXACT,
    KINDS,
    PM,
    QCP,
    Change,
    ablated,
    all_of,
    as_qcp,
    as_slow,
    asymmetric,
    attribute,
    bad_seeds,
    broken,
    components,
    correlation_off,
    dense_off,
    distribution,
    falling,
    few,
    flat,
    found,
    grow,
    harmed,
    higher_at,
    kl,
    late,
    mixed,
    named,
    other_start,
    peaks_at,
    put,
    ranks,
    rare,
    removal,
    same_in_both_phases,
    scaled,
    second_clusters,
    seeds_apart,
    set_to,
    skewed,
    stages,
    steeper,
    taken,
    unlike,
    unmoved,
    weights_of,
    without,
    without_variable,
    worse,
    worse_history,
)

#: The levels nearest to 25, 33, 50 and 75 % pruned, and the first beyond half.
QUARTER, THIRD, HALF, THREE_QUARTERS = 3, 4, 7, 13

#: Five of ten seeds that point the other way make a difference insignificant.
UNSURE = np.array([1.5, 1.5, 1.5, 1.5, 1.5, 0.2, 0.2, 0.2, 0.2, 0.2])

#: The studies of all sizes.
SIZES = ("study", "size-50")

#: Dataset, number of seeds, and the claims that its first seeds alone leave undecided.
FEW = {
    ("ablation", 2): "one-cluster-of-three positions-not-fixed",
    ("ablation", 5): "broken-gradually clusters-crucial",
    ("decay", 2): "decay-turns-exponential",
    ("ranks", 4): "measures-follow-kl",
    ("ranks", 5): "correlation-depends-on-stage",
    ("size-50", 2): "larger-stand-more smaller-disconnect-first larger-alike",
    ("sparse", 2): (
        "sparse-trainable sparse-comparable qcp-ss-close masks-carry-over rules-often-poor"
    ),
    ("sparse", 5): "ss-converges-faster pm-ss-best pm-ss-beats-dense qcp-sc-worst start-matters",
    ("sparse", 6): "sparse-differ-by-phase qcp-none-beats-pruned",
    ("study", 2): (
        "pm-up-to-50 dense-resembles-data equilibrated-500 two-peaks-to-one "
        "energy-accurate-order-not"
    ),
    ("study", 4): "pm-unharmed-75 order-rises-at-once",
    ("study", 5): (
        "qcp-damaged-beyond-25 threshold-differs sensitivity-varies order-most-sensitive "
        "correlation-more-than-kl"
    ),
    ("study", 6): "qcp-small-amount",
    ("sums", 4): "hard-configurations-lose-most",
}

#: Claim, verdict, and the changes to a world in which the paper is right.
CASES: list[tuple[Any, ...]] = [
    # Thresholds.
    ("pm-unharmed-75", FAILS, harmed("kl", PM, THREE_QUARTERS)),
    ("pm-unharmed-75", IN_PART, harmed("correlation_mse", PM, THREE_QUARTERS)),
    ("pm-unharmed-75", IN_PART, harmed("correlation_mse", PM, 1)),
    ("pm-unharmed-75", HOLDS, harmed("correlation_mse", PM, THREE_QUARTERS + 1)),
    ("pm-unharmed-75", FAILS, *(harmed(name, PM, 9) for name in KINDS[1:])),
    ("pm-unharmed-75", IN_PART, *(harmed(name, PM, 9) for name in KINDS[3:])),
    ("pm-unharmed-75", FAILS, *(harmed(name, PM, 9) for name in KINDS[2:])),
    ("pm-unharmed-75", UNDECIDED, taken("study", level=slice(0, 9))),
    ("pm-unharmed-75", UNDECIDED, taken("study", field=[0])),
    ("pm-over-half", HOLDS, harmed("kl", PM, HALF)),  # no physical property
    ("pm-over-half", FAILS, *(harmed(name, PM, HALF) for name in KINDS[1:3])),
    ("pm-over-half", IN_PART, harmed("energy_roe", PM, HALF)),
    ("pm-over-half", HOLDS, harmed("energy_roe", PM, HALF + 1)),
    ("pm-over-half", UNDECIDED, taken("study", level=slice(0, HALF))),
    ("pm-up-to-50", FAILS, *(harmed(name, PM, HALF - 1) for name in KINDS[3:])),
    ("pm-up-to-50", IN_PART, harmed("energy_roe", PM, HALF - 1)),
    ("pm-up-to-50", HOLDS, harmed("energy_roe", PM, HALF)),
    ("qcp-unharmed-25", FAILS, harmed("kl", QCP, QUARTER)),
    ("qcp-unharmed-25", IN_PART, harmed("infidelity", QCP, QUARTER)),
    ("qcp-unharmed-25", HOLDS, harmed("kl", PM, QUARTER)),
    ("qcp-unharmed-25", UNDECIDED, taken("study", field=[1])),
    # Twice the noise floor is no harm.
    ("qcp-unharmed-25", HOLDS, harmed("kl", QCP, 2), scaled("study", "kl_floor", 30.0)),
    ("qcp-damaged-beyond-25", FAILS, mixed("kl", QCP, HALF, [*[3.0] * 5, *[0.1] * 5])),
    ("qcp-damaged-beyond-25", IN_PART, flat(("abs_magnetization_roe",), QCP)),
    ("qcp-damaged-beyond-25", IN_PART, flat(KINDS[3:], QCP)),
    ("qcp-damaged-beyond-25", FAILS, flat(KINDS[2:], QCP)),
    ("qcp-damaged-beyond-25", FAILS, mixed("kl", QCP, HALF, [1.2] * SEEDS)),
    ("qcp-small-amount", IN_PART, scaled("study", "abs_magnetization_roe_floor", 1000.0)),
    (
        "qcp-small-amount",
        FAILS,
        flat(EXACT[1:], QCP),
        scaled("study", "infidelity_exact", 1.3, field=QCP, level=THIRD),
    ),
    (
        "qcp-small-amount",
        IN_PART,
        flat(EXACT[1:], QCP),
        scaled("study", "infidelity_exact", 1.3, field=QCP, level=THIRD),
        scaled("study", "energy_bias_exact", 1.3, field=QCP, level=THIRD),
    ),
    ("qcp-small-amount", UNDECIDED, without_variable("study", "energy_bias_exact")),
    ("threshold-differs", FAILS, flat(EXACT, QCP)),
    ("threshold-differs", IN_PART, flat(("kl_exact",), QCP)),
    ("threshold-differs", UNDECIDED, taken("study", field=[0])),
    ("schedules-alike", FAILS, late(3.0)),
    ("schedules-alike", IN_PART, scaled("schedule-0.2", "kl_exact", 3.0, field=QCP, level=[2, 3])),
    # What has doubled at no level is alike, and unlike what has.
    ("schedules-alike", HOLDS, *(flat(EXACT, QCP, key) for key in ("study", "schedule-0.2"))),
    ("schedules-alike", IN_PART, flat(EXACT, QCP, "schedule-0.2")),
    ("schedules-alike", UNDECIDED, few("schedule-0.2")),
    ("schedules-alike", UNDECIDED, without("schedule-0.2")),
    # The training set.
    ("data-abs-m", UNDECIDED, attribute("study", "sites", 10)),
    ("data-m", FAILS, put("study", "magnetization_data", -0.03, field=QCP)),
    ("data-m", UNDECIDED, taken("study", field=[1])),
    ("data-two-peaks", IN_PART, distribution((3, 0.2), (15, 0.2))),
    ("data-two-peaks", FAILS, distribution((9, 0.3))),
    # A place that is the highest by noise, and by more.
    ("data-two-peaks", HOLDS, higher_at(3, 0.0005)),
    ("data-two-peaks", IN_PART, higher_at(3, 0.003)),
    ("data-two-peaks", FAILS, distribution((9, float(two_peaks(18)[1].max()) - 0.001))),
    ("data-two-peaks", UNDECIDED, attribute("study", "sites", 10)),
    ("data-two-peaks", UNDECIDED, without("symmetry")),
    ("data-middle", UNDECIDED, without_variable("study", "magnetization_distribution_data")),
    ("data-z2", FAILS, asymmetric(1.3)),
    ("data-z2", FAILS, asymmetric(1.3, most=10)),
    # As far off, but no farther than chance and the choice of the most frequent take it.
    ("data-z2", HOLDS, put("symmetry", "ratio", 1.3, field=QCP, most=10)),
    ("data-z2", IN_PART, put("symmetry", "ratio", 1.3, field=QCP)),
    ("data-z2", IN_PART, asymmetric(1.3), put("symmetry", "expected_ratio", 1.3, field=QCP)),
    ("data-z2", IN_PART, put("symmetry", "ratio_spread", 0.5, field=QCP)),
    ("data-z2", UNDECIDED, put("symmetry", "ratio", np.nan, field=QCP)),
    (
        "dense-resembles-data",
        FAILS,
        put("study", "abs_magnetization", 0.55, level=0),
        put("study", "magnetization_distribution", 1 / 19, level=0),
    ),
    ("equilibrated-500", FAILS, falling("kl", 0.2, PM)),
    ("equilibrated-500", IN_PART, falling("energy_bias", 0.2)),
    (
        "equilibrated-500",
        FAILS,
        *(falling(name, -0.3) for name in ("energy_bias", "infidelity", "correlation_mse")),
    ),
    # What seeds differ by as much is no trend.
    ("equilibrated-500", HOLDS, unlike(0.5), falling("kl", 0.2)),
    ("equilibrated-500", HOLDS, without("frontier")),
    ("equilibrated-500", UNDECIDED, taken("study", epoch=slice(None, None, 5))),
    ("equilibrated-500", UNDECIDED, taken("study", field=[0])),
    ("table-1", FAILS, put("study", "weights_kept", 140, level=1)),
    ("table-1", UNDECIDED, taken("study", level=slice(0, 18))),
    # The order parameter.
    ("order-rises-at-once", FAILS, flat((EXACT[3],), QCP), removal(1 / 1.2)),
    ("order-rises-at-once", FAILS, flat((EXACT[3],), QCP), without("sums")),
    ("order-rises-at-once", FAILS, mixed(EXACT[3], QCP, 1, list(UNSURE)), without("sums")),
    # Fine-tuning undoes what removal has done, and the other way round.
    ("order-rises-at-once", IN_PART, flat((EXACT[3],), QCP)),
    ("order-rises-at-once", IN_PART, removal(1 / 1.2)),
    ("order-rises-at-once", HOLDS, without("sums")),
    (
        "order-rises-at-once",
        IN_PART,
        flat((EXACT[3],), QCP),
        harmed("abs_magnetization_roe", QCP, 1),
        without("sums"),
    ),
    ("two-peaks-to-one", FAILS, peaks_at(ALL)),
    ("two-peaks-to-one", IN_PART, peaks_at(slice(1, 19))),
    ("two-peaks-to-one", IN_PART, peaks_at(LEVELS - 1, slice(0, 4))),
    # P(m = 0) rises steadily before, but that alone is no single peak.
    ("two-peaks-to-one", FAILS, peaks_at(LEVELS - 1, slice(0, 5))),
    (
        "two-peaks-to-one",
        FAILS,
        put("study", "magnetization_distribution", 1 / 19, field=QCP, level=0),
    ),
    # Sensitivities.
    ("sensitivity-varies", FAILS, *(flat((*KINDS, *EXACT), h) for h in (QCP, PM))),
    ("sensitivity-varies", IN_PART, flat((*KINDS, *EXACT), PM)),
    ("order-most-sensitive", FAILS, grow("abs_magnetization", 0.5)),
    ("order-most-sensitive", IN_PART, grow("abs_magnetization", 0.5, (PM,))),
    ("order-most-sensitive", IN_PART, steeper((KINDS[3],), QCP, 0.5)),
    ("energy-least-sensitive", FAILS, grow("energy", 40)),
    ("energy-least-sensitive", IN_PART, grow("energy", 40, (QCP,))),
    ("energy-least-sensitive", UNDECIDED, taken("study", field=[0])),
    ("order-more-than-kl", FAILS, grow("abs_magnetization", 0.2)),
    ("order-more-than-kl", IN_PART, grow("abs_magnetization", 0.2, (PM,))),
    ("order-more-than-kl", UNDECIDED, without_variable("study", EXACT[3])),
    ("correlation-more-than-kl", FAILS, grow("correlation_mse", 0.5)),
    ("correlation-more-than-kl", IN_PART, grow("correlation_mse", 0.5, (QCP,))),
    ("energy-less-than-kl", FAILS, grow("energy", 40)),
    ("energy-less-than-kl", IN_PART, grow("energy", 40, (PM,))),
    ("energy-less-than-kl", UNDECIDED, put("study", "energy_roe", 0.0, level=3)),
    ("measures-follow-kl", IN_PART, ranks(0.1, part="pruning", measure="energy_bias")),
    ("measures-follow-kl", IN_PART, ranks(-0.9, part="pruning")),
    (
        "measures-follow-kl",
        FAILS,
        ranks(-0.9, part="pruning"),
        ranks(0.1, part="training", measure="energy_bias"),
    ),
    ("correlation-depends-on-stage", IN_PART, ranks(0.9, field=PM)),
    # Correlations and sizes.
    ("exact-decay", FAILS, scaled("decay", "delta_aic_reference", -1.0)),
    ("exact-decay", IN_PART, put("decay", "delta_aic_reference", 0.0, size=18, field=QCP)),
    ("exact-decay", HOLDS, put("decay", "delta_aic_reference", np.nan, size=18)),
    ("exact-decay", UNDECIDED, put("decay", "delta_aic_reference", np.nan)),
    ("decay-turns-exponential", IN_PART, put("decay", "delta_aic", -5.0, size=50)),
    ("decay-turns-exponential", HOLDS, put("decay", "delta_aic", np.nan, size=50)),
    ("larger-stand-more", FAILS, scaled("size-50", "correlation", 0.5, level=slice(1, None))),
    ("larger-stand-more", IN_PART, scaled("size-50", "correlation", 0.85, level=slice(10, None))),
    # What most of the smaller ones never reach says nothing.
    ("larger-stand-more", UNDECIDED, put("study", "correlation", 0.1)),
    ("larger-stand-more", HOLDS, scaled("study", "correlation", 1.4, level=slice(18, None))),
    ("larger-stand-more", UNDECIDED, without("size-50")),
    ("larger-stay-connected", FAILS, *(put(key, "components", 1) for key in SIZES)),
    ("larger-stay-connected", IN_PART, put("size-50", "components", 1)),
    ("larger-stay-connected", UNDECIDED, *(put(key, "correlation", 0.1) for key in SIZES)),
    ("smaller-disconnect-first", FAILS, components([10] * 3, "size-50")),
    # 11 of the 286 ways to deal out these 13 values are as far apart: p = 0.038.
    ("smaller-disconnect-first", HOLDS, components([LEVELS] * 2 + [5], "size-50")),
    ("smaller-disconnect-first", FAILS, components([LEVELS] + [5] * 2, "size-50")),
    ("smaller-disconnect-first", UNDECIDED, components([LEVELS] * SEEDS)),
    ("larger-alike", FAILS, *(flat(KINDS, h, "size-50") for h in (QCP, PM))),
    ("larger-alike", IN_PART, flat(("energy_roe",), PM, "size-50")),
    # The graph and its weights.
    ("disconnected-at-18", FAILS, put("study", "weights_kept", 20, level=17)),
    ("disconnected-at-18", FAILS, put("study", "components", 1)),
    ("disconnected-at-18", UNDECIDED, attribute("study", "hidden", 10)),
    ("disconnected-at-18", UNDECIDED, taken("study", level=slice(0, 18))),
    ("falls-apart-at-85", UNDECIDED, attribute("study", "sites", 10)),
    ("few-large-weights", HOLDS, without("ablation")),
    ("few-large-weights", UNDECIDED, without("graph")),
    ("one-cluster-of-three", IN_PART, put("ablation", "share_of_unit", 0.4)),
    ("one-cluster-of-three", IN_PART, put("clusters", "best_width", 5, field=PM)),
    (
        "one-cluster-of-three",
        FAILS,
        put("clusters", "second_p_value", 0.01),
        put("clusters", "best_width", 4),
    ),
    ("one-cluster-of-three", UNDECIDED, without("clusters")),
    ("one-cluster-of-three", UNDECIDED, attribute("ablation", "sites", 10)),
    ("one-cluster-of-three", UNDECIDED, attribute("ablation", "width", 2)),
    ("one-cluster-of-three", UNDECIDED, attribute("ablation", "threshold", 1.0)),
    ("clusters-re-form", UNDECIDED, attribute("ablation", "threshold", 1.0)),
    # Sparse from the start.
    ("sparse-comparable", FAILS, *(worse("pruned", field, 0.1) for field in (QCP, PM))),
    ("sparse-differ-by-phase", HOLDS, worse("sp/os", PM, 0.7)),  # substantial at the QCP
    ("sparse-differ-by-phase", IN_PART, same_in_both_phases()),
    ("sparse-differ-by-phase", FAILS, worse("sp/os", PM, 0.7), worse("sc", QCP, 0.7)),
    (
        "sparse-differ-by-phase",
        FAILS,
        *(
            set_to(0.001 + 0.0001 * k, variant=variant)
            for k, variant in enumerate(("sp/ss", "sp/os", "sc"))
        ),
    ),
    ("ss-converges-faster", FAILS, as_slow("sp/ss", (QCP, PM))),
    ("ss-converges-faster", IN_PART, as_slow("sp/ss", (PM,))),
    ("ss-converges-faster", HOLDS, as_slow("sp/ss", (QCP, PM), ("infidelity",))),
    ("ss-converges-faster", IN_PART, as_slow("sp/ss", (QCP, PM), ("kl",))),
    # A worse end is no slower way there, and a better one no faster.
    ("ss-converges-faster", HOLDS, worse_history("sp/ss")),
    ("ss-converges-faster", FAILS, as_slow("sp/ss", (QCP, PM)), worse_history("sp/ss")),
    ("ss-converges-faster", UNDECIDED, taken("sparse", epoch=slice(None, None, 5))),
    ("pm-ss-best", FAILS, worse("sp/ss", PM, 2.0)),
    ("pm-ss-best", IN_PART, worse("sc", PM, 0.8)),
    ("pm-ss-best", FAILS, worse("sp/ss", PM, 1.2 * UNSURE)),
    ("pm-ss-best", HOLDS, worse("sp/ss", QCP, 9.0)),
    ("pm-ss-beats-dense", IN_PART, kl("sp/ss", PM, 9.0)),
    ("pm-ss-beats-dense", IN_PART, kl("sp/ss", PM, 9.0, "energy_bias")),
    ("pm-ss-beats-dense", HOLDS, kl("sp/ss", PM, 9.0, "correlation_mse")),
    # Of two |m| biases that the training set cannot tell apart none is lower.
    ("pm-ss-beats-dense", HOLDS, kl(ALL, PM, 0.1, "abs_magnetization_bias")),
    ("pm-ss-best", HOLDS, kl(ALL, PM, 0.1, "abs_magnetization_bias")),
    ("pm-os-worst", FAILS, worse("sp/os", PM, 0.3)),
    ("pm-os-worst", IN_PART, worse("sc", PM, 1.6)),
    ("pm-os-worst", UNDECIDED, taken("sparse", variant=[0, 1, 2])),
    ("qcp-none-beats-pruned", IN_PART, kl("sc", ALL, 0.1, "energy_bias")),
    ("qcp-sc-worst", IN_PART, kl("sc", QCP, 0.3)),
    ("qcp-none-beats-pruned", HOLDS, worse("sp/ss", QCP, UNSURE)),
    ("qcp-ss-close", IN_PART, worse("sc", QCP, 0.5)),
    ("qcp-ss-close", HOLDS, worse("sc", QCP, 0.2)),
    ("qcp-sc-worst", FAILS, worse("sc", QCP, 0.6)),
    ("qcp-sc-worst", IN_PART, worse("sc", QCP, 0.67)),
    ("masks-carry-over", IN_PART, worse("sp/os", PM, 3.0)),
    ("start-matters", HOLDS, other_start(1.0, QCP)),
    # Two masks from one start may be as far apart as they like.
    ("start-matters", FAILS, other_start(1.0), seeds_apart(3.0)),
    ("rules-often-poor", HOLDS, worse("sc", QCP, 3.0), worse("sc", PM, 3.0)),
    ("rules-often-poor", IN_PART, worse("sc", QCP, 1.01)),
    ("rules-often-poor", FAILS),
    ("rules-often-poor", IN_PART, kl("sc", ALL, 3.0, "abs_magnetization_bias")),
    ("superfluous-weights-help", HOLDS, bad_seeds("sp/ss", 0.05, 6)),
    ("superfluous-weights-help", UNDECIDED, bad_seeds("sp/ss", 0.05, 3)),
    ("superfluous-weights-help", FAILS, *(bad_seeds(kind, 0.05, 3) for kind in ("sp/ss", "dense"))),
    ("hard-configurations-lose-most", FAILS, rare(1.0, QCP, PM)),
    ("hard-configurations-lose-most", IN_PART, rare(1.0, PM)),
    ("hard-configurations-lose-most", UNDECIDED, without("sums")),
    ("hard-configurations-lose-most", UNDECIDED, put("sums", "kl", 0.001)),
    # Clusters.
    ("broken-gradually", IN_PART, broken([0.01, 0.05, 0.1, 0.05, 0.1], start="dense")),
    ("broken-gradually", IN_PART, broken([0.01] * 5, field=PM)),
    ("broken-gradually", UNDECIDED, taken("ablation", share=[0, 2, 4])),
    ("broken-gradually", UNDECIDED, taken("ablation", share=[0, 4])),
    ("broken-gradually", UNDECIDED, taken("ablation", share=[1, 2, 3, 4])),
    # Three shares can tell that nothing gets worse.
    ("broken-gradually", FAILS, broken([0.01] * 5), taken("ablation", share=[0, 2, 4])),
    ("clusters-crucial", IN_PART, ablated("broken", 0.05, share=1.0, field=PM)),
    (
        "clusters-re-form",
        FAILS,
        put("ablation", "overlap", 1, model="forbidden"),
        ablated("forbidden", 9.0, model="forbidden"),
    ),
    ("clusters-re-form", FAILS, put("ablation", "found", False, model="forbidden")),
    ("clusters-re-form", IN_PART, put("ablation", "found", False, model="forbidden", field=PM)),
    ("clusters-re-form", UNDECIDED, attribute("ablation", "sites", 10)),
    ("positions-not-fixed", IN_PART, put("ablation", "overlap", 3, model="control", field=PM)),
    ("positions-not-fixed", FAILS, put("ablation", "overlap", 3)),
    *((key, UNDECIDED, few(*seeds)) for seeds, keys in FEW.items() for key in keys.split()),
]


# ---- thresholds

#: Levels of the exponential part.
LATE = slice(10, 20)

#: Dataset, number of seeds, and the claims that these seeds are just enough for.
ENOUGH = {
    ("study", 5): "pm-unharmed-75 order-rises-at-once",
    ("study", 6): "threshold-differs",
    ("study", 7): "qcp-small-amount",
    ("study", 3): "larger-stand-more",
}
aic = partial(put, "decay", "delta_aic", size=18)
lost = partial(put, "ablation", "found", False)
moved = partial(put, "ablation", "overlap", 1, model="forbidden", hidden=0)
forbidden = partial(ablated, "forbidden", model="forbidden")

#: Claim, a value at which it holds, one at which it fails, and the change to that value.
FAILING: list[tuple[str, Any, Any, Callable[[Any], Change]]] = [
    ("qcp-damaged-beyond-25", 2.05, 1.95, lambda x: mixed("kl", QCP, HALF, [x] * SEEDS)),
    ("data-abs-m", 0.549, 0.551, lambda x: put("study", "abs_magnetization_data", x, field=QCP)),
    ("data-m", -0.019, 0.021, lambda x: put("study", "magnetization_data", x, field=QCP)),
    ("data-two-peaks", 0.045, 0.055, skewed),
    ("data-middle", 0.51, 0.49, lambda x: distribution((9, x * float(two_peaks(18)[1].max())))),
    ("data-z2", 0.96, 0.94, asymmetric),
    ("equilibrated-500", 0.095, 0.105, lambda x: falling("kl", x)),
    ("energy-accurate-order-not", 0.0099, 0.0101, lambda x: put("study", EXACT[2], x, field=QCP)),
    ("measures-follow-kl", 0.36, 0.34, ranks),
    ("correlation-depends-on-stage", 0.69, 0.71, stages),
    ("decay-turns-exponential", -2.1, -1.9, lambda x: put("decay", "delta_aic", x, level=0)),
    ("decay-turns-exponential", 2.1, 1.9, lambda x: put("decay", "delta_aic", x, level=LATE)),
    ("few-large-weights", 2 / 5.1, 2 / 4.9, weights_of),
    ("sparse-trainable", 0.19, 0.21, lambda x: set_to(x)),
    ("pm-ss-beats-dense", 1.5, 1.53, lambda x: worse("sp/ss", PM, x)),
    ("qcp-none-beats-pruned", 0.93, 0.92, lambda x: worse("sp/ss", QCP, x)),
    ("broken-gradually", 0.021, 0.0195, lambda x: broken([0.01, 0.013, 0.016, 0.018, x])),
    ("clusters-crucial", 0.11, 0.095, lambda x: ablated("broken", x, share=1.0)),
    ("positions-not-fixed", 5, 4, unmoved),
    ("hard-configurations-lose-most", 2.05, 1.95, lambda x: rare(x, QCP, PM)),
]
#: The same where it holds in part at the second value.
PARTIAL: list[tuple[str, Any, Any, Callable[[Any], Change]]] = [
    ("threshold-differs", 0.5, 0.8, as_qcp),
    ("qcp-small-amount", 2.05, 1.95, lambda x: mixed(EXACT[3], QCP, THIRD, [x] * SEEDS)),
    ("order-rises-at-once", 1.11, 1.09, lambda x: mixed(EXACT[3], QCP, 1, [x] * SEEDS)),
    ("dense-resembles-data", 0.045, 0.055, dense_off),
    ("dense-resembles-data", 1.019, 1.021, lambda x: put("study", "abs_magnetization", 0.516 * x)),
    ("energy-accurate-order-not", 0.101, 0.099, lambda x: put("study", EXACT[3], x, field=QCP)),
    ("energy-accurate-order-not", 0.101, 0.099, correlation_off),
    ("exact-decay", -2.1, -1.9, lambda x: put("decay", "delta_aic_reference", x, field=QCP)),
    ("decay-turns-exponential", [17, 18], [16, 17], lambda x: aic(-5.0, level=x)),
    ("decay-turns-exponential", 2, 3, lambda x: aic(1.0, level=0, seed=slice(0, x))),
    ("few-large-weights", 0, [0, 1], lambda x: put("ablation", "weights", 1.0, seed=x)),
    ("falls-apart-at-85", 1, 5, lambda x: components([18] * (SEEDS - x) + [12] * x)),
    ("one-cluster-of-three", 3, 4, lambda x: lost(hidden=0, seed=slice(0, x))),
    ("one-cluster-of-three", 8, 10, second_clusters),
    ("one-cluster-of-three", 4, 5, lambda x: put("clusters", "best_width", 2, hidden=slice(0, x))),
    ("sparse-trainable", 1, 2, lambda x: bad_seeds("sc", 1.0, x, PM)),
    ("sparse-comparable", 1.5, 1.6, lambda x: worse("sp/os", PM, x)),
    ("qcp-ss-close", 1.26, 1.28, lambda x: worse("sp/ss", QCP, x)),
    ("masks-carry-over", 2, 3, lambda x: bad_seeds("sp/os", 0.01, x)),
    ("start-matters", 2, 1, lambda x: other_start(np.array([2.1] * x + [1.2] * (SEEDS - x)))),
    ("broken-gradually", 0.05, 0.06, lambda x: broken([0.01, x, x + 0.01, 0.08, 0.1])),
    ("broken-gradually", 0.045, 0.039, lambda x: broken([0.01, 0.05, x, 0.07, 0.1])),
    ("clusters-re-form", 1.7, 1.9, lambda x: forbidden(x)),
]

#: Cases just this side of a threshold, and just the other.
THRESHOLDS: list[tuple[Any, ...]] = [
    *(
        (key, verdict, change(value))
        for beyond, cases in ((FAILS, FAILING), (IN_PART, PARTIAL))
        for key, within, outside, change in cases
        for verdict, value in ((HOLDS, within), (beyond, outside))
    ),
    *((key, HOLDS, few(*seeds)) for seeds, keys in ENOUGH.items() for key in keys.split()),
    ("qcp-small-amount", FAILS, flat(EXACT[1:], QCP), mixed(EXACT[3], QCP, THIRD, [1.09] * SEEDS)),
    # One level is 1.3 points of pruning at this end, two are 2.6.
    ("smaller-disconnect-first", FAILS, components([19] * 3, "size-50")),
    ("falls-apart-at-85", FAILS, components([18] * 4 + [12] * 6)),
    ("one-cluster-of-three", FAILS, lost(hidden=slice(0, 5))),
    ("one-cluster-of-three", HOLDS, put("ablation", "share_of_unit", 0.51)),
    ("qcp-ss-close", FAILS, worse("sp/ss", QCP, 2.1)),
    ("masks-carry-over", FAILS, bad_seeds("sp/os", 0.01, 6)),
    ("start-matters", FAILS, other_start(1.09)),
    ("clusters-re-form", HOLDS, moved(seed=slice(0, 7))),
    ("clusters-re-form", FAILS, moved()),
]


@pytest.mark.parametrize("key", [claim.key for claim in CLAIMS])
def test_in_a_world_where_the_paper_is_right(key: str) -> None:
    finding = found(world(), key)
    assert finding.verdict == (FAILS if key in WRONG else HOLDS), finding.measured
    assert finding.numbers
    assert finding.effects
    for effect in finding.effects:
        assert effect.n > 1 or np.isnan(effect.low)
        assert np.isnan(effect.low) or effect.low <= effect.value <= effect.high
    assert finding.seeds >= 1
    assert finding.measured.endswith(".")
    words = {word.strip("(),.;:") for word in finding.measured.split()}
    assert not words & {"nan", "inf", "-inf", "nan%", "inf%"}
    # Measures are called by their titles.
    assert set(re.findall(r"\w+_\w+", finding.measured)) <= {"C_MSE", "N_h"}


@pytest.mark.parametrize("case", [*CASES, *THRESHOLDS], ids=named([*CASES, *THRESHOLDS]))
def test_a_rule(case: tuple[Any, ...]) -> None:
    key, verdict, *changes = case
    finding = found(all_of(*changes)(world()), key)
    assert finding.verdict == verdict, finding.measured
    assert bool(finding.numbers) == (verdict != UNDECIDED)


def test_every_rule_is_seen_to_fail_and_to_hold() -> None:
    verdicts: dict[str, set[str]] = {claim.key: set() for claim in CLAIMS}
    for key, verdict, *_ in (*CASES, *THRESHOLDS):
        verdicts[key].add(verdict)
    for key, found_verdicts in verdicts.items():
        assert FAILS in found_verdicts, key
        # In the world all others hold: `test_in_a_world_where_the_paper_is_right`.
        assert HOLDS in found_verdicts or key not in WRONG
