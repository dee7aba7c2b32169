"""Which kind of sparse RBM is best, and which worst: Section III B and Fig. 5."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from psiprune.core.statistics import paired
from psiprune.paper.claims.base import listed
from psiprune.paper.claims.data import PHASES, PM, QCP, TITLES, require_seeds
from psiprune.paper.claims.evidence import Evidence, claim
from psiprune.paper.claims.sparse import KINDS, SPARSE, Kinds, name_of, values_of
from psiprune.paper.claims.tests import ALPHA, COMPARABLE, FEW, MATTERS, TWO_SIDED

#: Close: within a quarter.
_CLOSE = 1.25
#: Seeds of a two-sided test with three times four comparisons: 2 / 2^9 < 0.05 / 12.
_CORRECTED = 9
#: The same with three comparisons: 2 / 2^7 < 0.05 / 3.
_SEVEN = 7


@claim("sparse-differ-by-phase", "III B, Fig. 5", "sparse")
def _differences(evidence: Evidence) -> str:
    """The differences between sparse RBMs can be substantial, and depend on the phase.

    Substantial: in at least one phase KL of the worst of sp/ss, sp/os and sc (by median) is at
    least twice that of the best (median ratio, two-sided signed ranks p <= 0.05 / 2). Depends on
    the phase: the ratio of some two of them differs between the critical point and the paramagnetic
    phase, seed by seed, by 10 % or more (signed ranks p <= 0.05 / 3). Holds if both; in part if the
    differences are substantial, but the same in both phases.
    """
    substantial, data = [], {}
    for name, ratio in PHASES.items():
        kinds = Kinds(evidence, ratio, TWO_SIDED)
        data[name] = kinds.data
        order = sorted(SPARSE, key=lambda kind: float(np.median(values_of(data[name], kind))))
        against = kinds.compare(name, order[-1], order[0])
        # One phase suffices, so there are two chances.
        clear = against.higher and against.p <= ALPHA / len(PHASES)
        substantial.append(clear and against.ratio >= COMPARABLE)
        evidence.case(f"{name}: {' < '.join(order)}, the last {against} times the first")
    both = [seed for seed in data["QCP"]["seed"].values if seed in data["PM"]["seed"].values]
    require_seeds(len(both), _SEVEN)
    depends = []
    pairs = list(combinations(SPARSE, 2))
    for a, b in pairs:
        qcp, pm = (
            np.log(values_of(here, a) / values_of(here, b))
            for here in (data[name].sel(seed=both) for name in PHASES)
        )
        of = evidence.using("sparse/kl", prefix=f"{name_of(a)}_to_{name_of(b)}_phases")
        how = f"median over seeds of {a} over {b} at the QCP over the same in the PM phase"
        apart = of.note("", np.exp(np.median(qcp - pm)), how)
        how = "two-sided signed-rank test of the logarithms of the same"
        p = of.note("p", paired(qcp, pm).p, how)
        if p <= ALPHA / len(pairs) and max(apart, 1 / apart) >= MATTERS:
            depends.append(f"{a} over {b}")
    evidence.decide(any(substantial) and bool(depends), any(substantial))
    return (
        f"By median KL of {evidence.seeds} seeds. {evidence.text}. Ratios that differ between the "
        f"phases: {listed(depends)}."
    )


def _extreme(evidence: Evidence, ratio: float, kind: str, among: Sequence[str], sign: int) -> str:
    """Whether one kind is the best (sign -1) or the worst (+1) among these."""
    kinds = Kinds(evidence, ratio, TWO_SIDED)
    others = [other for other in among if other != kind]
    first = []
    for measure, title in TITLES.items():
        medians = {
            other: sign * kinds.median(other, measure, f"{measure}_{name_of(other)}")
            for other in among
        }
        if all(medians[kind] > medians[other] for other in others):
            first.append(title)
    shown = kinds.band(kind, f"kl_{name_of(kind)}")
    compared = {other: kinds.compare(f"to_{name_of(other)}", kind, other) for other in others}
    clear = [found.higher if sign > 0 else found.lower for found in compared.values()]
    most = 2 * len(first) > len(TITLES) and 2 * sum(clear) >= len(clear)
    ratios = listed([f"{found} of {other}" for other, found in compared.items()])
    evidence.decide(TITLES["kl"] in first and most and all(clear), TITLES["kl"] in first and most)
    return (
        f"KL of {kind}: {shown}, {evidence.seeds} seeds; ratio {ratios}. It has the "
        f"{'highest' if sign > 0 else 'lowest'} median of {listed(first)}."
    )


@claim("pm-ss-best", "III B, Fig. 5", "sparse")
def _pm_ss_best(evidence: Evidence) -> str:
    """In the paramagnetic phase sp/ss attains the smallest errors.

    Of dense, pruned, sp/ss, sp/os and sc. Holds if it has the lowest median of KL and of at least
    three of the five exact measures, and its KL is lower than that of each other kind by 10 % or
    more (median ratio, two-sided signed ranks p <= 0.05); in part if that is so against half of
    them.
    """
    return _extreme(evidence, PM, "sp/ss", KINDS, -1)


@claim("pm-ss-beats-dense", "III B, Fig. 5", "sparse")
def _beats_dense(evidence: Evidence) -> str:
    """In the paramagnetic phase sp/ss is better than even the dense RBM.

    Holds if its KL is lower by 10 % or more (median ratio, two-sided signed ranks p <= 0.05) and no
    other exact measure is higher by the same test; in part if KL is lower and another measure
    higher.
    """
    kinds = Kinds(evidence, PM, TWO_SIDED)
    found = {measure: kinds.compare(measure, "sp/ss", "dense", measure) for measure in TITLES}
    lower = kinds.values("sp/ss") < kinds.values("dense")
    wins = kinds.evidence.note("wins", lower.sum(), "seeds with the lower KL")
    ratios = listed([f"{TITLES[measure]} {against}" for measure, against in found.items()])
    evidence.decide(
        found["kl"].lower and not any(against.higher for against in found.values()),
        found["kl"].lower,
    )
    return f"sp/ss over dense: {ratios}; lower KL in {wins:g} of {evidence.seeds} seeds."


@claim("pm-os-worst", "III B, Fig. 5", "sparse")
def _pm_os_worst(evidence: Evidence) -> str:
    """In the paramagnetic phase sp/os is the worst sparsity pattern.

    Of sp/ss, sp/os and sc. Holds if it has the highest median of KL and of at least three of the
    five exact measures, and its KL is higher than that of each other by 10 % or more (median ratio,
    two-sided signed ranks p <= 0.05); in part if that is so against half of them.
    """
    return _extreme(evidence, PM, "sp/os", SPARSE, 1)


@claim("qcp-none-beats-pruned", "III B, Fig. 5", "sparse")
def _none_beats_pruned(evidence: Evidence) -> str:
    """At the critical point no sparse RBM is better than the pruned one.

    Fails if the KL of sp/ss, sp/os or sc is lower than that of pruned by 10 % or more (median
    ratio, two-sided signed ranks p <= 0.05 / 3); holds in part if another exact measure is
    (p <= 0.05 / 12); else holds.
    """
    kl_beaten, better = False, []
    kinds = Kinds(evidence, QCP, _CORRECTED)
    others = len(SPARSE) * (len(TITLES) - 1)
    for kind in SPARSE:
        for measure, title in TITLES.items():
            against = kinds.compare(f"{name_of(kind)}_{measure}", kind, "pruned", measure)
            # KL of the three kinds is the main statement, the other comparisons are secondary.
            if measure == "kl":
                kl_beaten |= against.lower and against.p <= ALPHA / len(SPARSE)
                evidence.case(f"{kind} {against}")
            elif against.lower and against.p <= ALPHA / others:
                better.append(f"{kind} in {title}")
    evidence.decide(not kl_beaten and not better, not kl_beaten)
    return (
        f"KL over that of pruned, median of {evidence.seeds} seeds: {listed(evidence.cases)}. "
        f"Better in another measure: {listed(better)}."
    )


@claim("qcp-ss-close", "III B, Fig. 5", "sparse")
def _close(evidence: Evidence) -> str:
    """At the critical point sp/ss comes close to the pruned RBM.

    Holds if its KL is at most 1.25 times that of pruned (median of the ratio over seeds), and no
    further from it than sp/os and sc; in part if at most twice.
    """
    kinds = Kinds(evidence, QCP, FEW)
    found = {kind: kinds.compare(name_of(kind), kind, "pruned") for kind in SPARSE}
    ratio = found["sp/ss"].ratio
    away = {kind: abs(np.log(against.ratio)) for kind, against in found.items()}
    nearest = away["sp/ss"] <= min(away["sp/os"], away["sc"])
    evidence.decide(ratio <= _CLOSE and nearest, ratio <= COMPARABLE)
    return (
        f"KL over that of pruned, median of {evidence.seeds} seeds: "
        f"{listed([f'{kind} {against}' for kind, against in found.items()])}."
    )


@claim("qcp-sc-worst", "III B, Fig. 5", "sparse")
def _qcp_sc_worst(evidence: Evidence) -> str:
    """At the critical point sc is the worst sparsity pattern.

    Of sp/ss, sp/os and sc. Holds if it has the highest median of KL and of at least three of the
    five exact measures, and its KL is higher than that of each other by 10 % or more (median ratio,
    two-sided signed ranks p <= 0.05); in part if that is so against half of them.
    """
    return _extreme(evidence, QCP, "sc", SPARSE, 1)
