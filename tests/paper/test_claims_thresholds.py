"""Every rule of `psiprune.paper.claims` just before and just beyond its thresholds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from invented import SEEDS, two_peaks, world
from psiprune.paper.claims.base import FAILS, HOLDS, IN_PART, UNDECIDED
from spoiled import (
    EXACT,
    PM,
    QCP,
    all_of,
    as_qcp,
    asymmetric,
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
    kl,
    mixed,
    named,
    other_start,
    put,
    ranks,
    scaled,
    second_clusters,
    skewed,
    stages,
    unmoved,
    weights_of,
)

#: The levels nearest to 33 and 50 % pruned.
THIRD, HALF = 4, 7

#: Claim, verdict and changes: just this side of a threshold, and just the other.
CASES: list[tuple[Any, ...]] = [
    ("pm-unharmed-75", HOLDS, few("study", 5)),
    ("order-rises-at-once", HOLDS, few("study", 5)),
    ("threshold-differs", HOLDS, few("study", 6)),
    ("qcp-small-amount", HOLDS, few("study", 7)),
    ("larger-stand-more", HOLDS, few("study", 3)),
    ("threshold-differs", IN_PART, as_qcp(0.8)),
    ("threshold-differs", HOLDS, as_qcp(0.5)),
    ("qcp-damaged-beyond-25", HOLDS, mixed("kl", QCP, HALF, [2.05] * SEEDS)),
    ("qcp-damaged-beyond-25", FAILS, mixed("kl", QCP, HALF, [1.95] * SEEDS)),
    ("qcp-small-amount", HOLDS, mixed(EXACT[3], QCP, THIRD, [2.05] * SEEDS)),
    ("qcp-small-amount", IN_PART, mixed(EXACT[3], QCP, THIRD, [1.95] * SEEDS)),
    ("qcp-small-amount", FAILS, flat(EXACT[1:], QCP), mixed(EXACT[3], QCP, THIRD, [1.09] * SEEDS)),
    ("order-rises-at-once", HOLDS, mixed(EXACT[3], QCP, 1, [1.11] * SEEDS)),
    ("order-rises-at-once", IN_PART, mixed(EXACT[3], QCP, 1, [1.09] * SEEDS)),
    ("data-abs-m", HOLDS, put("study", "abs_magnetization_data", 0.549, field=QCP)),
    ("data-abs-m", FAILS, put("study", "abs_magnetization_data", 0.551, field=QCP)),
    ("data-m", HOLDS, put("study", "magnetization_data", -0.019, field=QCP)),
    ("data-m", FAILS, put("study", "magnetization_data", 0.021, field=QCP)),
    ("data-two-peaks", HOLDS, skewed(0.045)),
    ("data-two-peaks", FAILS, skewed(0.055)),
    ("data-middle", HOLDS, distribution((9, 0.51 * float(two_peaks(18)[1].max())))),
    ("data-middle", FAILS, distribution((9, 0.49 * float(two_peaks(18)[1].max())))),
    ("data-z2", HOLDS, asymmetric(0.96)),
    ("data-z2", FAILS, asymmetric(0.94)),
    ("dense-resembles-data", HOLDS, dense_off(0.045)),
    ("dense-resembles-data", IN_PART, dense_off(0.055)),
    ("dense-resembles-data", HOLDS, put("study", "abs_magnetization", 0.516 * 1.019)),
    ("dense-resembles-data", IN_PART, put("study", "abs_magnetization", 0.516 * 1.021)),
    ("equilibrated-500", HOLDS, falling("kl", 0.095)),
    ("equilibrated-500", FAILS, falling("kl", 0.105)),
    ("energy-accurate-order-not", HOLDS, put("study", EXACT[2], 0.0099, field=QCP)),
    ("energy-accurate-order-not", FAILS, put("study", EXACT[2], 0.0101, field=QCP)),
    ("energy-accurate-order-not", HOLDS, put("study", EXACT[3], 0.101, field=QCP)),
    ("energy-accurate-order-not", IN_PART, put("study", EXACT[3], 0.099, field=QCP)),
    ("energy-accurate-order-not", HOLDS, correlation_off(0.101)),
    ("energy-accurate-order-not", IN_PART, correlation_off(0.099)),
    ("measures-follow-kl", HOLDS, ranks(0.36)),
    ("measures-follow-kl", FAILS, ranks(0.34)),
    ("correlation-depends-on-stage", HOLDS, stages(0.69)),
    ("correlation-depends-on-stage", FAILS, stages(0.71)),
    ("exact-decay", HOLDS, put("decay", "delta_aic_reference", -2.1, field=QCP)),
    ("exact-decay", IN_PART, put("decay", "delta_aic_reference", -1.9, field=QCP)),
    ("decay-turns-exponential", HOLDS, put("decay", "delta_aic", -2.1, level=0)),
    ("decay-turns-exponential", FAILS, put("decay", "delta_aic", -1.9, level=0)),
    ("decay-turns-exponential", HOLDS, put("decay", "delta_aic", 2.1, level=slice(10, 20))),
    ("decay-turns-exponential", FAILS, put("decay", "delta_aic", 1.9, level=slice(10, 20))),
    ("decay-turns-exponential", HOLDS, put("decay", "delta_aic", -5.0, level=[17, 18], size=18)),
    ("decay-turns-exponential", IN_PART, put("decay", "delta_aic", -5.0, level=[16, 17], size=18)),
    (
        "decay-turns-exponential",
        HOLDS,
        put("decay", "delta_aic", 1.0, level=0, size=18, seed=slice(0, 2)),
    ),
    (
        "decay-turns-exponential",
        IN_PART,
        put("decay", "delta_aic", 1.0, level=0, size=18, seed=slice(0, 3)),
    ),
    # One level is 1.3 points of pruning at this end, two are 2.6.
    ("smaller-disconnect-first", FAILS, components([19] * 3, "size-50")),
    ("few-large-weights", HOLDS, weights_of(2 / 5.1)),
    ("few-large-weights", FAILS, weights_of(2 / 4.9)),
    ("few-large-weights", HOLDS, put("ablation", "weights", 1.0, seed=0)),
    ("few-large-weights", IN_PART, put("ablation", "weights", 1.0, seed=[0, 1])),
    ("falls-apart-at-85", HOLDS, components([18] * 9 + [12])),
    ("falls-apart-at-85", IN_PART, components([18] * 5 + [12] * 5)),
    ("falls-apart-at-85", FAILS, components([18] * 4 + [12] * 6)),
    ("one-cluster-of-three", HOLDS, put("ablation", "found", False, seed=slice(0, 3), hidden=0)),
    ("one-cluster-of-three", IN_PART, put("ablation", "found", False, seed=slice(0, 4), hidden=0)),
    ("one-cluster-of-three", FAILS, put("ablation", "found", False, hidden=slice(0, 5))),
    ("one-cluster-of-three", HOLDS, put("ablation", "share_of_unit", 0.51)),
    ("one-cluster-of-three", HOLDS, second_clusters(8)),
    (
        "one-cluster-of-three",
        IN_PART,
        put("clusters", "second_p_value", 0.01, hidden=0),  # in 10 of 90 units
    ),
    ("one-cluster-of-three", HOLDS, put("clusters", "best_width", 2, hidden=slice(0, 4))),
    ("one-cluster-of-three", IN_PART, put("clusters", "best_width", 2, hidden=slice(0, 5))),
    ("sparse-trainable", HOLDS, put("sparse", "kl", 0.19)),
    ("sparse-trainable", FAILS, put("sparse", "kl", 0.21)),
    ("sparse-trainable", HOLDS, bad_seeds("sc", 1.0, 1)),
    ("sparse-trainable", IN_PART, bad_seeds("sc", 1.0, 2, PM)),
    ("sparse-comparable", HOLDS, kl("sp/os", PM, 1.5)),
    ("sparse-comparable", IN_PART, kl("sp/os", PM, 1.6)),
    ("pm-ss-beats-dense", HOLDS, kl("sp/ss", PM, 1.5)),
    ("pm-ss-beats-dense", FAILS, kl("sp/ss", PM, 1.53)),
    ("qcp-ss-close", HOLDS, kl("sp/ss", QCP, 1.26)),
    ("qcp-ss-close", IN_PART, kl("sp/ss", QCP, 1.28)),
    ("qcp-ss-close", FAILS, kl("sp/ss", QCP, 2.1)),
    ("qcp-none-beats-pruned", HOLDS, kl("sp/ss", QCP, 0.93)),
    ("qcp-none-beats-pruned", FAILS, kl("sp/ss", QCP, 0.92)),
    ("masks-carry-over", HOLDS, bad_seeds("sp/os", 0.01, 2)),
    ("masks-carry-over", IN_PART, bad_seeds("sp/os", 0.01, 3)),
    ("masks-carry-over", FAILS, bad_seeds("sp/os", 0.01, 6)),
    ("start-matters", HOLDS, other_start(np.array([2.1, 2.1, *[1.2] * 8]))),
    ("start-matters", IN_PART, other_start(np.array([2.1, *[1.2] * 9]))),
    ("start-matters", FAILS, other_start(1.09)),
    ("broken-gradually", HOLDS, broken([0.01, 0.05, 0.06, 0.08, 0.1])),
    ("broken-gradually", IN_PART, broken([0.01, 0.06, 0.07, 0.08, 0.1])),
    ("broken-gradually", HOLDS, broken([0.01, 0.05, 0.045, 0.07, 0.1])),
    ("broken-gradually", IN_PART, broken([0.01, 0.05, 0.039, 0.07, 0.1])),
    ("broken-gradually", HOLDS, broken([0.01, 0.013, 0.016, 0.018, 0.021])),
    ("broken-gradually", FAILS, broken([0.01, 0.013, 0.016, 0.018, 0.0195])),
    ("clusters-crucial", HOLDS, scaled("ablation", "broken_kl", 0.11, share=1.0)),
    ("clusters-crucial", FAILS, scaled("ablation", "broken_kl", 0.095, share=1.0)),
    (
        "clusters-re-form",
        HOLDS,
        put("ablation", "overlap", 1, model="forbidden", hidden=0, seed=slice(0, 7)),
    ),
    ("clusters-re-form", FAILS, put("ablation", "overlap", 1, model="forbidden", hidden=0)),
    ("clusters-re-form", HOLDS, scaled("ablation", "forbidden_kl", 1.7, model="forbidden")),
    ("clusters-re-form", IN_PART, scaled("ablation", "forbidden_kl", 1.9, model="forbidden")),
    ("positions-not-fixed", HOLDS, unmoved(5)),
    ("positions-not-fixed", FAILS, unmoved(4)),
]


@pytest.mark.parametrize("case", CASES, ids=named(CASES))
def test_a_threshold(case: tuple[Any, ...]) -> None:
    key, verdict, *changes = case
    finding = found(all_of(*changes)(world()), key)
    assert finding.verdict == verdict, finding.measured
    assert bool(finding.numbers) == (verdict != UNDECIDED)
