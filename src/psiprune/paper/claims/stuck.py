"""Whether superfluous weights help training: Section II A."""

from __future__ import annotations

import numpy as np

from psiprune.paper.claims.base import InsufficientDataError, listed
from psiprune.paper.claims.data import PHASES
from psiprune.paper.claims.evidence import Evidence, claim
from psiprune.paper.claims.sparse import SPARSE, Kinds, name_of
from psiprune.paper.claims.tests import ALPHA, FEW, p_more_often, p_text

#: A training is stuck if KL ends above so many times the median of the dense RBMs.
_STUCK = 3.0


@claim("superfluous-weights-help", "II A", "sparse")
def _help(evidence: Evidence) -> str:
    """Superfluous weights are needed for training to succeed: a common hypothesis.

    Stuck: KL ends above 3 times the median of the dense RBMs of that phase. RBMs of sp/ss, sp/os
    and sc, which lack the superfluous weights from the start, against dense ones of the same seeds,
    both phases together. Holds if they are stuck more often (Fisher's exact test, one-sided
    p <= 0.05); fails if no more often; undecided if more often, but not significantly.
    """
    stuck: dict[str, list[bool]] = {kind: [] for kind in ("dense", *SPARSE)}
    for ratio in PHASES.values():
        kinds = Kinds(evidence, ratio, FEW, "kl", ("dense", *SPARSE))
        limit = _STUCK * np.median(kinds.values("dense"))
        for kind, found in stuck.items():
            found += (kinds.values(kind) > limit).tolist()
    of, how = evidence.using("sparse/kl"), "{} of both phases above 3 times the dense median"
    counts = {
        kind: of.note(name_of(kind), sum(found), how.format(kind)) for kind, found in stuck.items()
    }
    number = of.note("rbms", len(stuck["dense"]), "RBMs of a kind in both phases")
    sparse = np.concatenate([stuck[kind] for kind in SPARSE])
    of_dense = int(counts["dense"]), int(number)
    p = of.note("p", p_more_often(int(sparse.sum()), sparse.size, *of_dense), "exact test of all")
    alone = of.note("p_ss", p_more_often(int(counts["sp/ss"]), *of_dense[1:], *of_dense), "sp/ss")
    evidence.effect("stuck RBMs that are sparse from the start", sparse)
    evidence.effect("stuck dense RBMs", np.array(stuck["dense"]))
    shown = listed([f"{counts[kind]:g} of {kind}" for kind in SPARSE])
    text = (
        f"Stuck of {number:g} each: {shown}, {counts['dense']:g} of dense ({p_text(p)} for all "
        f"three, {p_text(alone)} for sp/ss alone, one-sided)"
    )
    more = sparse.mean() > np.mean(stuck["dense"])
    if more and p > ALPHA:
        raise InsufficientDataError(f"{text}; more seeds would decide")
    evidence.decide(bool(more))
    return f"{text}."
