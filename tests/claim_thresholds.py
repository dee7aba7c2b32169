"""Every rule of `psiprune.paper.claims` just before and just beyond its thresholds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from invented import SEEDS, two_peaks
from psiprune.paper.claims.base import FAILS, HOLDS, IN_PART
from spoiled import (
    EXACT,
    PM,
    QCP,
    Change,
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
    kl,
    mixed,
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
forbidden_kl = partial(scaled, "ablation", "forbidden_kl", model="forbidden")

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
    ("sparse-trainable", 0.19, 0.21, lambda x: put("sparse", "kl", x)),
    ("pm-ss-beats-dense", 1.5, 1.53, lambda x: kl("sp/ss", PM, x)),
    ("qcp-none-beats-pruned", 0.93, 0.92, lambda x: kl("sp/ss", QCP, x)),
    ("broken-gradually", 0.021, 0.0195, lambda x: broken([0.01, 0.013, 0.016, 0.018, x])),
    ("clusters-crucial", 0.11, 0.095, lambda x: scaled("ablation", "broken_kl", x, share=1.0)),
    ("positions-not-fixed", 5, 4, unmoved),
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
    ("sparse-comparable", 1.5, 1.6, lambda x: kl("sp/os", PM, x)),
    ("qcp-ss-close", 1.26, 1.28, lambda x: kl("sp/ss", QCP, x)),
    ("masks-carry-over", 2, 3, lambda x: bad_seeds("sp/os", 0.01, x)),
    ("start-matters", 2, 1, lambda x: other_start(np.array([2.1] * x + [1.2] * (SEEDS - x)))),
    ("broken-gradually", 0.05, 0.06, lambda x: broken([0.01, x, x + 0.01, 0.08, 0.1])),
    ("broken-gradually", 0.045, 0.039, lambda x: broken([0.01, 0.05, x, 0.07, 0.1])),
    ("clusters-re-form", 1.7, 1.9, lambda x: forbidden_kl(x)),
]

#: Cases as in paper/test_claims_rules.py: just this side of a threshold, and just the other.
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
    ("qcp-ss-close", FAILS, kl("sp/ss", QCP, 2.1)),
    ("masks-carry-over", FAILS, bad_seeds("sp/os", 0.01, 6)),
    ("start-matters", FAILS, other_start(1.09)),
    ("clusters-re-form", HOLDS, moved(seed=slice(0, 7))),
    ("clusters-re-form", FAILS, moved()),
]
