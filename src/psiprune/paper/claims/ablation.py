"""What clusters of weights are for: Section III B."""

from __future__ import annotations

import numpy as np
import xarray as xr

from psiprune.paper.claims.base import (
    HOLDS,
    IN_PART,
    Claim,
    Datasets,
    Finding,
    InsufficientDataError,
    Number,
    number,
    verdict_of,
)
from psiprune.paper.claims.data import PHASES, Float64, phase, whole
from psiprune.paper.claims.structure import check_clusters
from psiprune.paper.claims.tests import (
    COMPARABLE,
    FEW,
    TWO_SIDED,
    Contrast,
    band,
    band_numbers,
    contrast,
    p_text,
)

#: How much worse a model without clusters is if they are crucial.
_CRUCIAL = 10.0
#: Gradual: no step does more of the whole damage than this; a fall of the median up to 10 % of the
#: whole damage is no improvement. With fewer steps than four an even fall comes near that itself.
_STEP, _SLACK, _STEPS = 0.5, 0.1, 4
#: Clusters elsewhere: so many of the units; and so many that moved unforced are "not fully" fixed.
_ELSEWHERE, _MOVED = 0.9, 0.05


def _broken(datasets: Datasets, ratio: float, start: str) -> xr.Dataset:
    """The first ablation at one field and start, of whole seeds and ordered by share."""
    here = phase(datasets, "ablation", ratio).sel(start=start).sortby("share")
    if float(here["share"][0]) != 0 or here.sizes["share"] < 2:
        raise InsufficientDataError("the ablation has no intact masks, or no others")
    return whole(here, TWO_SIDED, "broken_kl", "broken_infidelity")


def _gradually(datasets: Datasets) -> Finding:
    numbers: dict[str, Number] = {}
    worse, gradual, told = [], [], []
    seeds = datasets["ablation"].sizes["seed"]
    for name, ratio in PHASES.items():
        for start in datasets["ablation"]["start"].values:
            here = _broken(datasets, ratio, str(start))
            seeds = min(seeds, here.sizes["seed"])
            lost = here["broken_infidelity"].transpose("seed", "share").values
            against = contrast(lost[:, -1], lost[:, 0])
            worse.append(against.higher and against.ratio >= COMPARABLE)
            middle = np.median(lost, axis=0)
            rises, whole_damage = np.diff(middle), float(middle[-1] - middle[0])
            largest = float(rises.max()) / whole_damage if whole_damage > 0 else float("inf")
            steady = bool((rises >= -_SLACK * abs(whole_damage)).all())
            gradual.append(steady and largest <= _STEP)
            label = f"{name}_{start}"
            both = "ablation/broken_infidelity"
            numbers |= {
                f"{label}_ratio": number(
                    against.ratio, "median over seeds, all broken over none", both
                ),
                f"{label}_p": number(against.p, "signed ranks, two-sided, of the same", both),
                **{
                    f"{label}_{k}": number(value, f"median over seeds, {share:.0%} broken", both)
                    for k, (share, value) in enumerate(
                        zip(here["share"].values, middle, strict=True)
                    )
                },
                f"{label}_largest_step": number(
                    largest, "largest step of the median over shares, of the whole damage", both
                ),
            }
            told.append(
                f"{name}, from {start}: {' '.join(f'{value:.2g}' for value in middle)} "
                f"({against.ratio:.2g} times, {p_text(against.p)}; largest step {largest:.0%})"
            )
    steps = datasets["ablation"].sizes["share"] - 1
    if steps < _STEPS and 2 * sum(worse) >= len(worse):
        raise InsufficientDataError(
            f"broken clusters make it worse in {sum(worse)} of {len(worse)} cases, but whether bit "
            f"by bit takes {_STEPS + 1} shares, found {steps + 1}"
        )
    for k, share in enumerate(np.sort(datasets["ablation"]["share"].values)):
        numbers[f"share_{k}"] = number(share, f"share {k} of clusters broken", "ablation/share")
    cases = [a and b for a, b in zip(worse, gradual, strict=True)]
    verdict = HOLDS if all(cases) else IN_PART if all(worse) else verdict_of(cases)
    measured = (
        f"Median 1 - F of {seeds} seeds at "
        f"{', '.join(f'{s:.0%}' for s in sorted(datasets['ablation']['share'].values))} broken. "
        f"{'; '.join(told)}."
    )
    return Finding(verdict, measured, numbers, seeds)


def _crucial(datasets: Datasets) -> Finding:
    numbers: dict[str, Number] = {}
    tests, told = [], []
    seeds = datasets["ablation"].sizes["seed"]
    for name, ratio in PHASES.items():
        for start in datasets["ablation"]["start"].values:
            here = _broken(datasets, ratio, str(start))
            seeds = min(seeds, here.sizes["seed"])
            kl = here["broken_kl"].transpose("seed", "share").values
            against = contrast(kl[:, -1], kl[:, 0])
            tests.append(against.higher and against.ratio >= _CRUCIAL)
            told.append(f"{name}, from {start}: {against} times")
            numbers |= {
                f"{name}_{start}_ratio": number(
                    against.ratio, "median over seeds, most broken over none", "ablation/broken_kl"
                ),
                f"{name}_{start}_p": number(
                    against.p, "signed ranks, two-sided, of the same", "ablation/broken_kl"
                ),
            }
    measured = f"KL with all clusters broken over that with none, {seeds} seeds. {'; '.join(told)}."
    return Finding(verdict_of(tests), measured, numbers, seeds)


class _Moved:
    """Where the clusters of one kind of RBM are, against those of the dense RBMs."""

    def __init__(self, here: xr.Dataset, model: str) -> None:
        own, dense = here.sel(model=model), here.sel(model="dense")
        self.found = np.asarray(own["found"].values, bool)
        self.apart = np.asarray(own["overlap"].values) == 0
        self.before = np.asarray(dense["found"].values, bool)
        self.kl: Float64 = np.asarray(own["forbidden_kl"].values, np.float64)
        self.against: Contrast = contrast(self.kl, dense["forbidden_kl"].values)


def _reform(datasets: Datasets) -> Finding:
    ablation = datasets["ablation"]
    check_clusters(ablation)
    numbers: dict[str, Number] = {}
    formed, trained, told, seeds = [], [], [], ablation.sizes["seed"]
    for name, ratio in PHASES.items():
        here = whole(phase(datasets, "ablation", ratio), FEW, "forbidden_kl")
        seeds = min(seeds, here.sizes["seed"])
        moved = _Moved(here, "forbidden")
        elsewhere = float(np.mean(moved.found & moved.apart))
        formed.append(elsewhere >= _ELSEWHERE)
        trained.append(moved.against.ratio <= COMPARABLE)
        count = np.count_nonzero(moved.found & moved.apart)
        told.append(
            f"{name}: {count} of {moved.found.size} units "
            f"have a cluster elsewhere, KL {band(moved.kl)}, {moved.against} times the dense one"
        )
        numbers |= _kl_numbers(name, moved.against)
        numbers |= band_numbers(
            f"{name}_kl", moved.kl, "over seeds, forbidden", "ablation/forbidden_kl"
        )
        numbers[f"{name}_units"] = number(
            moved.found.size, "units of all seeds, forbidden", "ablation/found"
        )
        numbers[f"{name}_elsewhere_count"] = number(
            count, "units of the share elsewhere", "ablation/found", "ablation/overlap"
        )
        numbers[f"{name}_elsewhere"] = number(
            elsewhere,
            "share of units with a cluster that shares no site with the dense one, forbidden",
            "ablation/found",
            "ablation/overlap",
        )
    both = [a and b for a, b in zip(formed, trained, strict=True)]
    verdict = HOLDS if all(both) else IN_PART if all(formed) else verdict_of(both)
    measured = f"Clusters forbidden, {seeds} seeds. {'; '.join(told)}."
    return Finding(verdict, measured, numbers, seeds)


def _kl_numbers(name: str, against: Contrast) -> dict[str, Number]:
    how = "forbidden over dense"
    return {
        f"{name}_ratio": number(
            against.ratio, f"median over seeds of {how}", "ablation/forbidden_kl"
        ),
        f"{name}_p": number(against.p, f"signed ranks, two-sided, {how}", "ablation/forbidden_kl"),
    }


def _not_fixed(datasets: Datasets) -> Finding:
    ablation = datasets["ablation"]
    check_clusters(ablation)
    numbers: dict[str, Number] = {}
    forced: list[float] = []
    free: list[float] = []
    told, seeds = [], ablation.sizes["seed"]
    for name, ratio in PHASES.items():
        here = whole(phase(datasets, "ablation", ratio), FEW, "forbidden_kl")
        seeds = min(seeds, here.sizes["seed"])
        for model, shares in (("forbidden", forced), ("control", free)):
            moved = _Moved(here, model)
            clusters = moved.found & moved.before
            share = float(np.mean(moved.apart[clusters])) if clusters.any() else 0.0
            shares.append(share)
            numbers[f"{name}_{model}"] = number(
                share,
                f"share of clusters that share no site with the dense one, {model}",
                "ablation/found",
                "ablation/overlap",
            )
        told.append(
            f"{name}: {forced[-1]:.0%} of the clusters moved where their place was forbidden, "
            f"{free[-1]:.0%} where others were"
        )
    # Forced to move they cannot stay: only the control says that they need not.
    verdict = verdict_of(share >= _MOVED for share in free)
    measured = f"Same initial weights, {seeds} seeds. {'; '.join(told)}."
    return Finding(verdict, measured, numbers, seeds)


CLAIMS = (
    Claim(
        "broken-gradually",
        "III B",
        "Breaking up the clusters of the mask bit by bit, at the same number of weights, makes the "
        "model worse bit by bit.",
        "By 1 - F, from each start and in each phase. Worse: with all broken at least twice that "
        "with none (median ratio, two-sided signed ranks p <= 0.05). Bit by bit: no step of the "
        "share makes more than half of the whole increase of the median, and none undoes more than "
        "a tenth. Holds if both in all four cases; in part if worse in all, or both in two. With "
        "fewer than five shares only a failure can be told: where fewer than two cases are worse.",
        ("ablation",),
        _gradually,
    ),
    Claim(
        "clusters-crucial",
        "III B",
        "The cluster structure is crucial for the model to work.",
        "KL with all clusters broken must be at least 10 times that with none (median ratio, "
        "two-sided signed ranks p <= 0.05). Holds if so from each start in both phases; in part if "
        "in two or three of these four cases.",
        ("ablation",),
        _crucial,
    ),
    Claim(
        "clusters-re-form",
        "III B",
        "Where the clusters of the dense RBM are forbidden, the model can still be trained, and "
        "clusters form elsewhere.",
        "Formed: 90 % of the hidden units have a cluster (as above) that shares no site with that "
        "of the dense RBM. Trained: KL is at most twice the dense one (median ratio). Holds if "
        "both in both phases; in part if formed in both, or formed and trained in one. From 12 "
        "sites on.",
        ("ablation",),
        _reform,
    ),
    Claim(
        "positions-not-fixed",
        "III B",
        "Where clusters form is not fully determined by the initial weights.",
        "In the control a unit may not use as many positions beside its cluster. Holds if at least "
        "5 % of its clusters nevertheless share no site with those of the dense RBM from the same "
        "initial weights, in both phases; in part if in one. Where clusters were forbidden they "
        "could not stay, which says nothing of the weights. From 12 sites on.",
        ("ablation",),
        _not_fixed,
    ),
)
