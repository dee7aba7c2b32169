"""What masks are worth with other weights and by rule: Section III B and the Discussion."""

from __future__ import annotations

import numpy as np

from psiprune.paper.claims.base import (
    FAILS,
    HOLDS,
    IN_PART,
    Claim,
    Datasets,
    Finding,
    InsufficientDataError,
    Number,
    number,
)
from psiprune.paper.claims.data import PHASES, Float64
from psiprune.paper.claims.kinds import (
    KINDS,
    all_of_kinds,
    bands_of_kind,
    median_of,
    of_kinds,
    values_of,
)
from psiprune.paper.claims.tests import ALPHA, COMPARABLE, FEW, MATTERS, band, p_above, p_text

#: What most seeds are, and from where on some are too many to be exceptions.
_MOST, _SOME = 0.8, 0.2
#: Pairs of a one-sided test with two chances: 2^-6 < 0.05 / 2.
_PAIRS = 6


def _carry_over(datasets: Datasets) -> Finding:
    numbers: dict[str, Number] = {}
    shares, told, seeds = [], [], datasets["sparse"].sizes["seed"]
    for name, ratio in PHASES.items():
        here = of_kinds(datasets, ratio, FEW, KINDS)
        own, pruned = values_of(here, "sp/os"), median_of(here, "pruned")
        shares.append(float(np.mean(own <= COMPARABLE * pruned.value)))
        seeds = min(seeds, len(own))
        told.append(
            f"{name}: {np.count_nonzero(own <= COMPARABLE * pruned.value)} of {len(own)} seeds "
            f"(KL {band(own)}; pruned {pruned.value:.2g})"
        )
        numbers |= {
            f"{name}_share": number(
                shares[-1], "share of seeds of sp/os within twice the median of pruned", "sparse/kl"
            ),
            f"{name}_pruned": pruned,
            f"{name}_count": number(
                np.count_nonzero(own <= COMPARABLE * pruned.value),
                "seeds of sp/os within twice the median of pruned",
                "sparse/kl",
            ),
            **bands_of_kind(f"{name}_sp_os", here, "sp/os"),
        }
    if min(shares) >= _MOST:
        verdict = HOLDS
    else:
        verdict = IN_PART if max(shares) >= _MOST or min(shares) >= 0.5 else FAILS
    measured = f"sp/os within twice the KL of pruned. {'; '.join(told)}."
    return Finding(verdict, measured, numbers, seeds)


def _start_matters(datasets: Datasets) -> Finding:
    numbers: dict[str, Number] = {}
    strongly, at_all, told, seeds = [], [], [], datasets["sparse"].sizes["seed"]
    for name, ratio in PHASES.items():
        found = _factors(datasets, ratio)
        start, dense = found["start"], found["dense"]
        seeds = min(seeds, len(start))
        p = p_above(start, dense)
        far = {kind: float(np.mean(each > np.log(COMPARABLE))) for kind, each in found.items()}
        # One phase is enough, so there are two chances.
        clear = p <= ALPHA / len(PHASES)
        strongly.append(clear and far["start"] >= _SOME)
        at_all.append(clear and float(np.median(start)) >= np.log(MATTERS))
        factors = {kind: float(np.exp(np.median(each))) for kind, each in found.items()}
        told.append(
            f"{name}: one mask, two starts {factors['start']:.2f} times ({far['start']:.0%} beyond "
            f"twice); no mask, the same starts {factors['dense']:.2f} times ({p_text(p)}, "
            f"one-sided); one start, two masks {factors['mask']:.2f} times ({far['mask']:.0%})"
        )
        for kind, how in _COMPARED.items():
            numbers[f"{name}_{kind}"] = number(
                factors[kind], f"median of the larger KL over the smaller, {how}", "sparse/kl"
            )
            numbers[f"{name}_{kind}_far"] = number(
                far[kind], f"share of more than twice, {how}", "sparse/kl"
            )
        numbers[f"{name}_p"] = number(
            p, "signed ranks, one-sided, of the logarithms, start against dense", "sparse/kl"
        )
    verdict = HOLDS if any(strongly) else IN_PART if any(at_all) else FAILS
    measured = f"Larger over smaller KL of two RBMs, median over {seeds} pairs. {'; '.join(told)}."
    return Finding(verdict, measured, numbers, seeds)


#: The pairs that tell the influence of the start from that of the mask.
_COMPARED = {
    "start": "mask of one seed: from its own initial weights and from those of the seed before",
    "mask": "initial weights of one seed: with its own mask and with that of the next seed",
    "dense": "no mask: from the initial weights of one seed and of the seed before",
}


def _factors(datasets: Datasets, ratio: float) -> dict[str, Float64]:
    """|ln| of the ratio of both KL of each pair of `_COMPARED`, [pair].

    sp/os of a seed has the mask of the next one (of the first for the last). So it has one mask
    with sp/ss of that seed, and one start with sp/ss of its own.
    """
    # All seeds, since neighbours must stay neighbours; what is not known is left out as a pair.
    here = all_of_kinds(datasets, ratio, KINDS)
    own, other, dense = (np.log(values_of(here, kind)) for kind in ("sp/ss", "sp/os", "dense"))
    found = {
        "start": np.abs(other - np.roll(own, -1)),
        "mask": np.abs(other - own),
        "dense": np.abs(dense - np.roll(dense, -1)),
    }
    known = np.all([np.isfinite(each) for each in found.values()], axis=0)
    if known.sum() < _PAIRS:
        raise InsufficientDataError(
            f"the rule needs at least {_PAIRS} seeds, found {int(known.sum())}"
        )
    return {kind: each[known] for kind, each in found.items()}


def _rules_poor(datasets: Datasets) -> Finding:
    numbers: dict[str, Number] = {}
    told, poor, seeds = [], [], datasets["sparse"].sizes["seed"]
    for name, ratio in PHASES.items():
        here = of_kinds(datasets, ratio, FEW, KINDS)
        own, pruned = values_of(here, "sc"), median_of(here, "pruned")
        off = own > COMPARABLE * pruned.value
        poor += list(off)
        seeds = min(seeds, len(own))
        told.append(
            f"{name}: {np.count_nonzero(off)} of {len(own)} seeds (KL {band(own)}; pruned "
            f"{pruned.value:.2g})"
        )
        numbers |= {
            f"{name}_share": number(
                float(off.mean()),
                "share of seeds of sc above twice the median of pruned",
                "sparse/kl",
            ),
            f"{name}_count": number(
                np.count_nonzero(off), "seeds of sc above twice the median of pruned", "sparse/kl"
            ),
            **bands_of_kind(f"{name}_sc", here, "sc"),
            f"{name}_pruned": pruned,
        }
    share = float(np.mean(poor))
    verdict = HOLDS if share >= 0.5 else IN_PART if share >= 0.25 else FAILS
    measured = f"sc with more than twice the KL of pruned. {'; '.join(told)}."
    return Finding(verdict, measured, numbers, seeds)


CLAIMS = (
    Claim(
        "masks-carry-over",
        "III B",
        "A mask found with one seed works reasonably well with others.",
        "KL of sp/os is at most twice the median of pruned. Holds if so in 80 % of the seeds in "
        "both phases; in part if in one phase, or in half of the seeds in both.",
        ("sparse",),
        _carry_over,
    ),
    Claim(
        "start-matters",
        "IV",
        "How good an RBM with a mask from pruning gets can depend strongly on its initial weights.",
        "One mask, two starts: KL of sp/os of a seed against that of sp/ss of the next seed, which "
        "have the same mask, from the initial weights of the one and of the other. Held against "
        "the dense RBMs of the same two seeds, which have the same two starts and no mask; beside "
        "it stands one start with two masks, sp/os against sp/ss of the same seed. Holds if in "
        "some phase the two starts differ by more than twice for at least 20 % of the masks, and "
        "by more than without a mask (one-sided signed ranks of |ln ratio|, p <= 0.05 / 2); in "
        "part if significantly more, and by 10 % in the median.",
        ("sparse",),
        _start_matters,
    ),
    Claim(
        "rules-often-poor",
        "IV",
        "Masks made by rules of spatial locality before training often give poor accuracy.",
        "Poor: KL of sc above twice the median of pruned. Holds if so in half of the RBMs of both "
        "phases together; in part if in a quarter.",
        ("sparse",),
        _rules_poor,
    ),
)
