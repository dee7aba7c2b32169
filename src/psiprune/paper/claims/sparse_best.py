"""Which kind of sparse RBM is best, and which worst: Section III B and Fig. 5."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from psiprune.core.statistics import paired
from psiprune.paper.claims.base import listed
from psiprune.paper.claims.data import PHASES, PM, QCP, require_seeds
from psiprune.paper.claims.evidence import Evidence, claim
from psiprune.paper.claims.readings import by_measure
from psiprune.paper.claims.sparse import KINDS, SPARSE, Kinds, name_of
from psiprune.paper.claims.tests import ALPHA, COMPARABLE, FEW, MATTERS, TWO_SIDED

#: Close: within a quarter.
_CLOSE = 1.25
#: Seeds of a two-sided test with three comparisons: 2 / 2^7 < 0.05 / 3.
_SEVEN = 7


@claim("sparse-differ-by-phase", "III B, Fig. 5", "sparse")
@by_measure
def _differences(evidence: Evidence, measure: str) -> str:
    """The differences between sparse RBMs can be substantial, and depend on the phase.

    Substantial: in at least one phase the worst of sp/ss, sp/os and sc (by median) is at least
    twice as high as the best (median ratio, two-sided signed ranks p <= 0.05 / 2). Depends on the
    phase: the ratio of some two of them differs between the critical point and the paramagnetic
    phase, seed by seed, by 10 % or more (signed ranks p <= 0.05 / 3). Holds if both; in part if the
    differences are substantial, but the same in both phases.
    """
    substantial, kinds = [], {}
    for name, ratio in PHASES.items():
        kinds[name] = Kinds(evidence, ratio, TWO_SIDED, measure)
        values = kinds[name].values
        order = sorted(SPARSE, key=lambda kind, of=values: float(np.median(of(kind))))
        against = kinds[name].compare(name, order[-1], order[0])
        kinds[name].effect(order[-1], order[0], f" at the {name}")
        # One phase suffices, so there are two chances.
        clear = against.higher and against.p <= ALPHA / len(PHASES)
        substantial.append(clear and against.ratio >= COMPARABLE)
        evidence.case(f"{name}: {' < '.join(order)}, the last {against} times the first")
    one, other = (here.data["seed"].values for here in kinds.values())
    both, *places = np.intersect1d(one, other, return_indices=True)
    require_seeds(len(both), _SEVEN)
    depends = []
    pairs = list(combinations(SPARSE, 2))
    for a, b in pairs:
        qcp, pm = (
            np.log(here.values(a) / here.values(b))[place]
            for here, place in zip(kinds.values(), places, strict=True)
        )
        of = evidence.using(f"sparse/{measure}", prefix=f"{name_of(a)}_to_{name_of(b)}_phases")
        how = f"median over seeds of {a} over {b} at the QCP over the same in the PM phase"
        apart = of.note("", np.exp(np.median(qcp - pm)), how)
        how = "two-sided signed-rank test of the logarithms of the same"
        p = of.note("p", paired(qcp, pm).p, how)
        if p <= ALPHA / len(pairs) and max(apart, 1 / apart) >= MATTERS:
            depends.append(f"{a} over {b}")
    evidence.decide(any(substantial) and bool(depends), any(substantial))
    return (
        f"By medians of {evidence.seeds} seeds. {evidence.text}. Ratios that differ between the "
        f"phases: {listed(depends)}."
    )


def _extreme(
    evidence: Evidence, ratio: float, measure: str, kind: str, among: Sequence[str], sign: int
) -> str:
    """Whether one kind is the best (sign -1) or the worst (+1) among these."""
    kinds = Kinds(evidence, ratio, TWO_SIDED, measure)
    others = [other for other in among if other != kind]
    medians = {other: sign * kinds.median(other) for other in among}
    first = max(medians, key=lambda each: medians[each])
    second = max(others, key=lambda each: medians[each])
    kinds.effect(kind, second, "")
    compared = {other: kinds.compare(f"to_{name_of(other)}", kind, other) for other in others}
    clear = [found.higher if sign > 0 else found.lower for found in compared.values()]
    ratios = listed([f"{found} of {other}" for other, found in compared.items()])
    is_first = medians[kind] > medians[second]
    evidence.decide(is_first and all(clear), is_first and 2 * sum(clear) >= len(clear))
    return (
        f"{kind} {kinds.band(kind)}, {evidence.seeds} seeds; ratio {ratios}; the "
        f"{'highest' if sign > 0 else 'lowest'} median is that of {first}."
    )


@claim("pm-ss-best", "III B, Fig. 5", "sparse")
@by_measure
def _pm_ss_best(evidence: Evidence, measure: str) -> str:
    """In the paramagnetic phase sp/ss attains the smallest errors.

    Of dense, pruned, sp/ss, sp/os and sc. Holds if it has the lowest median, and is lower than each
    other kind by 10 % or more (median ratio, two-sided signed ranks p <= 0.05); in part if that is
    so against half of them.
    """
    return _extreme(evidence, PM, measure, "sp/ss", KINDS, -1)


@claim("pm-ss-beats-dense", "III B, Fig. 5", "sparse")
@by_measure
def _beats_dense(evidence: Evidence, measure: str) -> str:
    """In the paramagnetic phase sp/ss is better than even the dense RBM.

    Holds if it is lower by 10 % or more (median ratio, two-sided signed ranks p <= 0.05).
    """
    kinds = Kinds(evidence, PM, TWO_SIDED, measure)
    found = kinds.compare("", "sp/ss", "dense")
    kinds.effect("sp/ss", "dense", "")
    lower = kinds.values("sp/ss") < kinds.values("dense")
    wins = kinds.evidence.note("wins", lower.sum(), "seeds in which sp/ss is lower")
    evidence.decide(found.lower)
    return f"sp/ss over dense {found}; lower in {wins:g} of {evidence.seeds} seeds."


@claim("pm-os-worst", "III B, Fig. 5", "sparse")
@by_measure
def _pm_os_worst(evidence: Evidence, measure: str) -> str:
    """In the paramagnetic phase sp/os is the worst sparsity pattern.

    Of sp/ss, sp/os and sc. Holds if it has the highest median, and is higher than each other by
    10 % or more (median ratio, two-sided signed ranks p <= 0.05); in part if that is so against
    half of them.
    """
    return _extreme(evidence, PM, measure, "sp/os", SPARSE, 1)


@claim("qcp-none-beats-pruned", "III B, Fig. 5", "sparse")
@by_measure
def _none_beats_pruned(evidence: Evidence, measure: str) -> str:
    """At the critical point no sparse RBM is better than the pruned one.

    Fails if sp/ss, sp/os or sc is lower than pruned by 10 % or more (median ratio, two-sided signed
    ranks p <= 0.05 / 3); else holds.
    """
    kinds = Kinds(evidence, QCP, _SEVEN, measure)
    found = {kind: kinds.compare(name_of(kind), kind, "pruned") for kind in SPARSE}
    kinds.effect(min(found, key=lambda kind: found[kind].ratio), "pruned", "")
    for kind, against in found.items():
        beats = against.lower and against.p <= ALPHA / len(SPARSE)
        evidence.case(f"{kind} {against}", not beats)
    evidence.decide(all(evidence.tests))
    return f"Over that of pruned, median of {evidence.seeds} seeds: {listed(evidence.cases)}."


@claim("qcp-ss-close", "III B, Fig. 5", "sparse")
@by_measure
def _close(evidence: Evidence, measure: str) -> str:
    """At the critical point sp/ss comes close to the pruned RBM.

    Holds if it is at most 1.25 times as high as pruned (median of the ratio over seeds), and no
    further from it than sp/os and sc; in part if at most twice.
    """
    kinds = Kinds(evidence, QCP, FEW, measure)
    found = {kind: kinds.compare(name_of(kind), kind, "pruned") for kind in SPARSE}
    kinds.effect("sp/ss", "pruned", "")
    ratio = found["sp/ss"].ratio
    away = {kind: abs(np.log(against.ratio)) for kind, against in found.items()}
    nearest = away["sp/ss"] <= min(away["sp/os"], away["sc"])
    evidence.decide(ratio <= _CLOSE and nearest, ratio <= COMPARABLE)
    return (
        f"Over that of pruned, median of {evidence.seeds} seeds: "
        f"{listed([f'{kind} {against}' for kind, against in found.items()])}."
    )


@claim("qcp-sc-worst", "III B, Fig. 5", "sparse")
@by_measure
def _qcp_sc_worst(evidence: Evidence, measure: str) -> str:
    """At the critical point sc is the worst sparsity pattern.

    Of sp/ss, sp/os and sc. Holds if it has the highest median, and is higher than each other by
    10 % or more (median ratio, two-sided signed ranks p <= 0.05); in part if that is so against
    half of them.
    """
    return _extreme(evidence, QCP, measure, "sc", SPARSE, 1)
