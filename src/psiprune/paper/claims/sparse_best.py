"""Which kind of sparse RBM is best, and which worst: Section III B and Fig. 5."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import combinations

import numpy as np

from psiprune.core.statistics import paired
from psiprune.paper.claims.base import (
    FAILS,
    HOLDS,
    IN_PART,
    Claim,
    Datasets,
    Finding,
    InsufficientDataError,
    Number,
    listed,
    number,
    verdict_on,
)
from psiprune.paper.claims.data import PHASES, PM, QCP
from psiprune.paper.claims.kinds import (
    KINDS,
    SPARSE,
    TITLES,
    against,
    bands_of_kind,
    label_of,
    median_of,
    of_kinds,
    values_of,
)
from psiprune.paper.claims.tests import ALPHA, COMPARABLE, FEW, MATTERS, TWO_SIDED, band, contrast

#: Close: within a quarter.
_CLOSE = 1.25
#: Seeds of a two-sided test with three times four comparisons: 2 / 2^9 < 0.05 / 12.
_CORRECTED = 9
#: The same with three comparisons: 2 / 2^7 < 0.05 / 3.
_SEVEN = 7


def _differences(datasets: Datasets) -> Finding:
    numbers: dict[str, Number] = {}
    substantial, told, seeds = [], [], datasets["sparse"].sizes["seed"]
    here = {name: of_kinds(datasets, ratio, TWO_SIDED, KINDS) for name, ratio in PHASES.items()}
    for name, own in here.items():
        seeds = min(seeds, own.sizes["seed"])
        order = sorted(SPARSE, key=lambda kind: float(np.median(values_of(own, kind))))
        found = contrast(values_of(own, order[-1]), values_of(own, order[0]))
        # One phase is enough, so there are two chances.
        clear = found.higher and found.p <= ALPHA / len(PHASES)
        substantial.append(clear and found.ratio >= COMPARABLE)
        told.append(f"{name}: {' < '.join(order)}, the last {found} times the first")
        numbers |= against(name, order[-1], order[0], found, "kl")
    both = [seed for seed in here["QCP"]["seed"].values if seed in here["PM"]["seed"].values]
    if len(both) < _SEVEN:
        raise InsufficientDataError(f"the rule needs at least {_SEVEN} seeds, found {len(both)}")
    depends = []
    pairs = list(combinations(SPARSE, 2))
    for a, b in pairs:
        one, other = (
            np.log(values_of(own, a) / values_of(own, b))
            for own in (here[name].sel(seed=both) for name in PHASES)
        )
        p, apart = paired(one, other).p, float(np.exp(np.median(one - other)))
        if p <= ALPHA / len(pairs) and max(apart, 1 / apart) >= MATTERS:
            depends.append(f"{a} over {b}")
        label = f"{label_of(a)}_to_{label_of(b)}"
        how = f"median over seeds of {a} over {b} at the QCP over the same in the PM phase"
        numbers[f"{label}_phases"] = number(apart, how, "sparse/kl")
        numbers[f"{label}_phases_p"] = number(
            p, "signed ranks, two-sided, of the logarithms of the same", "sparse/kl"
        )
    verdict = verdict_on(any(substantial), [bool(depends)])
    measured = (
        f"By median KL of {seeds} seeds. {'; '.join(told)}. Ratios that differ between the phases: "
        f"{listed(depends)}."
    )
    return Finding(verdict, measured, numbers, seeds)


def _extreme(ratio: float, kind: str, kinds: Sequence[str], sign: int, data: Datasets) -> Finding:
    """Whether one kind is the best (sign -1) or the worst (+1) of these."""
    here = of_kinds(data, ratio, TWO_SIDED, KINDS)
    others = [other for other in kinds if other != kind]
    numbers: dict[str, Number] = {}
    first = []
    for name in TITLES:
        medians = {other: median_of(here, other, name) for other in kinds}
        numbers |= {f"{name}_{label_of(other)}": value for other, value in medians.items()}
        if all(sign * medians[kind].value > sign * medians[other].value for other in others):
            first.append(name)
    numbers |= bands_of_kind(f"kl_{label_of(kind)}", here, kind)
    compared = {other: contrast(values_of(here, kind), values_of(here, other)) for other in others}
    clear = [found.higher if sign > 0 else found.lower for found in compared.values()]
    for other, found in compared.items():
        numbers |= against(f"to_{label_of(other)}", kind, other, found, "kl")
    verdict = verdict_on(
        "kl" in first and 2 * len(first) > len(TITLES) and 2 * sum(clear) >= len(clear), clear
    )
    ends = "highest" if sign > 0 else "lowest"
    ratios = listed([f"{found} of {other}" for other, found in compared.items()])
    measured = (
        f"KL of {kind}: {band(values_of(here, kind))}, {here.sizes['seed']} seeds; ratio {ratios}. "
        f"It has the {ends} median of {listed([TITLES[name] for name in first])}."
    )
    return Finding(verdict, measured, numbers, here.sizes["seed"])


def _beats_dense(datasets: Datasets) -> Finding:
    here = of_kinds(datasets, PM, TWO_SIDED, KINDS)
    found = {
        name: contrast(values_of(here, "sp/ss", name), values_of(here, "dense", name))
        for name in TITLES
    }
    verdict = verdict_on(found["kl"].lower, [not each.higher for each in found.values()])
    wins = int((values_of(here, "sp/ss") < values_of(here, "dense")).sum())
    seeds = here.sizes["seed"]
    ratios = listed([f"{TITLES[name]} {found[name]}" for name in TITLES])
    measured = f"sp/ss over dense: {ratios}; lower KL in {wins} of {seeds} seeds."
    numbers: dict[str, Number] = {"wins": number(wins, "seeds with the lower KL", "sparse/kl")}
    for name, each in found.items():
        numbers |= against(name, "sp/ss", "dense", each, name)
    return Finding(verdict, measured, numbers, seeds)


def _none_beats_pruned(datasets: Datasets) -> Finding:
    here = of_kinds(datasets, QCP, _CORRECTED, KINDS)
    numbers: dict[str, Number] = {}
    told, beaten = [], {}
    for kind in SPARSE:
        found = {
            name: contrast(values_of(here, kind, name), values_of(here, "pruned", name))
            for name in TITLES
        }
        # KL of the three kinds is the main statement, the other twelve comparisons a side of it.
        beaten[kind] = (
            found["kl"].lower and found["kl"].p <= ALPHA / len(SPARSE),
            [
                name
                for name, each in found.items()
                if name != "kl" and each.lower and each.p <= ALPHA / 12
            ],
        )
        told.append(f"{kind} {found['kl']}")
        for name, each in found.items():
            numbers |= against(f"{label_of(kind)}_{name}", kind, "pruned", each, name)
    verdict = verdict_on(
        not any(kl for kl, _ in beaten.values()), [not others for _, others in beaten.values()]
    )
    better = [f"{kind} in {TITLES[name]}" for kind in SPARSE for name in beaten[kind][1]]
    measured = (
        f"KL over that of pruned, median of {here.sizes['seed']} seeds: {listed(told)}. "
        f"Better in another measure: {listed(better)}."
    )
    return Finding(verdict, measured, numbers, here.sizes["seed"])


def _close(datasets: Datasets) -> Finding:
    here = of_kinds(datasets, QCP, FEW, KINDS)
    found = {kind: contrast(values_of(here, kind), values_of(here, "pruned")) for kind in SPARSE}
    ratio = found["sp/ss"].ratio
    away = {kind: abs(np.log(each.ratio)) for kind, each in found.items()}
    nearest = away["sp/ss"] <= min(away["sp/os"], away["sc"])
    verdict = FAILS
    if ratio <= COMPARABLE:
        verdict = HOLDS if ratio <= _CLOSE and nearest else IN_PART
    measured = (
        f"KL over that of pruned, median of {here.sizes['seed']} seeds: "
        f"{listed([f'{kind} {each}' for kind, each in found.items()])}."
    )
    numbers: dict[str, Number] = {}
    for kind, each in found.items():
        numbers |= against(label_of(kind), kind, "pruned", each, "kl")
    return Finding(verdict, measured, numbers, here.sizes["seed"])


CLAIMS = (
    Claim(
        "sparse-differ-by-phase",
        "III B, Fig. 5",
        "The differences between sparse RBMs can be substantial, and depend on the phase.",
        "Substantial: in at least one phase KL of the worst of sp/ss, sp/os and sc (by median) is "
        "at least twice that of the best (median ratio, two-sided signed ranks p <= 0.05 / 2). "
        "Depends on the phase: the ratio of some two of them is another at the critical point "
        "than in the paramagnetic phase, seed by seed, by 10 % or more (signed ranks "
        "p <= 0.05 / 3). Holds if both; in part if the differences are substantial, but the same "
        "in both phases.",
        ("sparse",),
        _differences,
    ),
    Claim(
        "pm-ss-best",
        "III B, Fig. 5",
        "In the paramagnetic phase sp/ss attains the smallest errors.",
        "Of dense, pruned, sp/ss, sp/os and sc. Holds if it has the lowest median of KL and of at "
        "least three of the five exact measures, and its KL is lower than that of each other kind "
        "by 10 % or more (median ratio, two-sided signed ranks p <= 0.05); in part if it is so "
        "against half of them.",
        ("sparse",),
        partial(_extreme, PM, "sp/ss", KINDS, -1),
    ),
    Claim(
        "pm-ss-beats-dense",
        "III B, Fig. 5",
        "In the paramagnetic phase sp/ss is better than even the dense RBM.",
        "Holds if its KL is lower by 10 % or more (median ratio, two-sided signed ranks p <= 0.05) "
        "and no other exact measure is higher by the same test; in part if KL is lower and "
        "another measure higher.",
        ("sparse",),
        _beats_dense,
    ),
    Claim(
        "pm-os-worst",
        "III B, Fig. 5",
        "In the paramagnetic phase sp/os is the worst sparsity pattern.",
        "Of sp/ss, sp/os and sc. Holds if it has the highest median of KL and of at least three of "
        "the five exact measures, and its KL is higher than that of each other by 10 % or more "
        "(median ratio, two-sided signed ranks p <= 0.05); in part if that is so against "
        "half of them.",
        ("sparse",),
        partial(_extreme, PM, "sp/os", SPARSE, 1),
    ),
    Claim(
        "qcp-none-beats-pruned",
        "III B, Fig. 5",
        "At the critical point no sparse RBM is better than the pruned one.",
        "Fails if the KL of sp/ss, sp/os or sc is lower than that of pruned by 10 % or more "
        "(median ratio, two-sided signed ranks p <= 0.05 / 3); holds in part if another exact "
        "measure is (p <= 0.05 / 12); else holds.",
        ("sparse",),
        _none_beats_pruned,
    ),
    Claim(
        "qcp-ss-close",
        "III B, Fig. 5",
        "At the critical point sp/ss comes close to the pruned RBM.",
        "Holds if its KL is at most 1.25 times that of pruned (median of the ratio over seeds), "
        "and no further from it than sp/os and sc; in part if at most twice.",
        ("sparse",),
        _close,
    ),
    Claim(
        "qcp-sc-worst",
        "III B, Fig. 5",
        "At the critical point sc is the worst sparsity pattern.",
        "Of sp/ss, sp/os and sc. Holds if it has the highest median of KL and of at least three of "
        "the five exact measures, and its KL is higher than that of each other by 10 % or more "
        "(median ratio, two-sided signed ranks p <= 0.05); in part if that is so against "
        "half of them.",
        ("sparse",),
        partial(_extreme, QCP, "sc", SPARSE, 1),
    ),
)
