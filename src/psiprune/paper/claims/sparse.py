"""RBMs that are sparse before training, and whether they can be trained: Section III B, Fig. 5."""

from __future__ import annotations

import numpy as np
import xarray as xr

from psiprune.paper.claims.base import (
    Claim,
    Datasets,
    Finding,
    InsufficientDataError,
    Number,
    listed,
    number,
    verdict_of,
)
from psiprune.paper.claims.data import PHASES, Float64
from psiprune.paper.claims.kinds import (
    CONTROL,
    KINDS,
    SPARSE,
    TITLES,
    against,
    bands_of_kind,
    control_of,
    label_of,
    median_of,
    of_kinds,
    values_of,
)
from psiprune.paper.claims.tests import COMPARABLE, FEW, MATTERS, TWO_SIDED, band, contrast

#: Training has done its work if KL has fallen by so much, in nearly all seeds.
_TRAINED, _NEARLY_ALL = 10.0, 0.9
#: Fewest entries of a history that a level at the end rests on.
_ENTRIES = 3


def _trainable(datasets: Datasets) -> Finding:
    numbers: dict[str, Number] = {}
    tests, told, seeds = [], [], datasets["sparse"].sizes["seed"]
    by_chance = []
    for name, ratio in PHASES.items():
        here = of_kinds(datasets, ratio, FEW, KINDS)
        seeds = min(seeds, here.sizes["seed"])
        for kind in SPARSE:
            factor, share, own = _divided(here, kind, name)
            numbers |= own
            tests.append(share >= _NEARLY_ALL)
            told.append(f"{kind} at the {name} {factor:.3g}")
        control = control_of(datasets, ratio, here)
        if control is not None:
            factor, share, own = _divided(control, CONTROL, name)
            numbers |= own
            by_chance.append(f"{factor:.3g} at the {name} (at least 10 in {share:.0%} of seeds)")
    measured = f"Training divides KL by ({seeds} seeds, medians): {listed(told)}."
    if by_chance:  # a reader sees how much of it any mask reaches
        measured += f" The random control, which decides nothing: {listed(by_chance)}."
    return Finding(verdict_of(tests), measured, numbers, seeds)


def _divided(here: xr.Dataset, kind: str, name: str) -> tuple[float, float, dict[str, Number]]:
    """By what training divides KL, median over seeds; in which share by enough; both as numbers."""
    start = here["history_kl"].sel(variant=kind).isel(epoch=0).values
    factors = start / values_of(here, kind)
    factor, share = float(np.median(factors)), float(np.mean(factors >= _TRAINED))
    label, both = f"{name}_{label_of(kind)}", ("sparse/history_kl", "sparse/kl")
    how = f"median over seeds of KL before training over after it, {kind}, {name}"
    return (
        factor,
        share,
        {
            label: number(factor, how, *both),
            f"{label}_share": number(share, "share of seeds of at least 10", *both),
        },
    )


def _comparable(datasets: Datasets) -> Finding:
    numbers: dict[str, Number] = {}
    tests, told, seeds = [], [], datasets["sparse"].sizes["seed"]
    for name, ratio in PHASES.items():
        here = of_kinds(datasets, ratio, FEW, KINDS)
        seeds = min(seeds, here.sizes["seed"])
        pruned = median_of(here, "pruned")
        numbers[f"{name}_pruned"] = pruned
        shown = []
        for kind in SPARSE:
            own = median_of(here, kind)
            tests.append(own.value <= COMPARABLE * pruned.value)
            numbers |= bands_of_kind(f"{name}_{label_of(kind)}", here, kind)
            within = float(np.mean(values_of(here, kind) <= COMPARABLE * pruned.value))
            numbers[f"{name}_{label_of(kind)}_share"] = number(
                within, f"share of seeds of {kind} within twice the median of pruned", "sparse/kl"
            )
            shown.append(f"{kind} {band(values_of(here, kind))}, {within:.0%} within twice")
        told.append(f"{name}: pruned {pruned.value:.2g}, {', '.join(shown)}")
    measured = (
        f"KL, median (16 to 84 %) of {seeds} seeds, and the share of seeds within twice the median "
        f"of pruned. {'; '.join(told)}."
    )
    return Finding(verdict_of(tests), measured, numbers, seeds)


def _faster(datasets: Datasets) -> Finding:
    numbers: dict[str, Number] = {}
    by_phase, told, seeds = [], [], datasets["sparse"].sizes["seed"]
    for name, ratio in PHASES.items():
        here = of_kinds(datasets, ratio, TWO_SIDED, ("dense", "sp/ss"))
        seeds = min(seeds, here.sizes["seed"])
        earlier = []
        for measure, title in TITLES.items():
            epochs = {kind: epochs_to_level(here, kind, measure) for kind in ("sp/ss", "dense")}
            found = contrast(epochs["sp/ss"], epochs["dense"])
            if found.lower:
                earlier.append(title)
            label, variable = f"{name}_{measure}", f"history_{measure}"
            numbers |= against(label, "sp/ss", "dense", found, variable)
            for kind, values in epochs.items():
                numbers[f"{label}_{label_of(kind)}"] = number(
                    float(np.median(values)),
                    f"median over seeds of the epoch, interpolated, {kind}",
                    f"sparse/{variable}",
                )
            if measure == "kl":
                told.append(
                    f"{name}: KL after {np.median(epochs['sp/ss']):.3g} epochs against "
                    f"{np.median(epochs['dense']):.3g}, ratio {found}"
                )
        told[-1] += f"; significantly earlier: {listed(earlier)}"
        control = control_of(datasets, ratio, here)
        if control is not None:
            shown, own = _control_epochs(control, here, name)
            told[-1] += f"; the random control, which decides nothing, {shown}"
            numbers |= own
        by_phase.append(TITLES["kl"] in earlier and 2 * len(earlier) > len(TITLES))
    measured = (
        f"Epochs until a measure is within 10 % of its own level at the end, {seeds} seeds, sp/ss "
        f"against dense. {'. '.join(told)}."
    )
    return Finding(verdict_of(by_phase), measured, numbers, seeds)


def _control_epochs(
    control: xr.Dataset, here: xr.Dataset, name: str
) -> tuple[str, dict[str, Number]]:
    """When KL of the random control is at its own level, and that over the dense RBM's epoch."""
    epochs = epochs_to_level(control, CONTROL, "kl")
    found = contrast(epochs, epochs_to_level(here.sel(seed=control["seed"]), "dense", "kl"))
    label, middle = f"{name}_{CONTROL}", float(np.median(epochs))
    how = f"median over seeds of the epoch, interpolated, {CONTROL}"
    numbers = {f"{label}_epoch": number(middle, how, "sparse/history_kl")}
    numbers |= against(label, CONTROL, "dense", found, "history_kl")
    return f"after {middle:.3g}, ratio {found}", numbers


def epochs_to_level(here: xr.Dataset, kind: str, measure: str) -> Float64:
    """The epoch at which a measure first is at most 10 % above its own level at the end, [seed].

    That level is the median over the last fifth of the RBM's own training, so a model that ends
    badly is held against where it ends, and one that is noisy not against its luckiest epoch.
    Interpolated between entries of the history, and at least 1, so that ratios exist.

    Raises:
        Undecided: fewer than three entries in the last fifth.
    """
    name = f"history_{measure}"
    if name not in here:
        raise InsufficientDataError(f"the data has no {name}")
    own = here[name].sel(variant=kind).transpose("seed", "epoch").dropna("epoch")
    epochs = own["epoch"].values.astype(float)
    late = epochs > 0.8 * epochs[-1]
    if late.sum() < _ENTRIES:
        raise InsufficientDataError(
            f"a history has {int(late.sum())} entries in its last fifth, not 3"
        )
    found = []
    for row in own.values:
        limit = MATTERS * np.median(row[late])
        k = int(np.argmax(row <= limit))  # one of the last entries is, as their median
        epoch = epochs[k]
        if k > 0:
            over = (row[k] - limit) / (row[k] - row[k - 1])
            epoch += over * (epochs[k - 1] - epochs[k])
        found.append(max(1.0, epoch))
    return np.array(found)


CLAIMS = (
    Claim(
        "sparse-trainable",
        "Abstract, III B",
        "RBMs that are sparse from the start can be trained.",
        "Training must divide KL by at least 10, in 90 % of the seeds. Holds if so for sp/ss, "
        "sp/os and sc in both phases; in part if for at least half.",
        ("sparse",),
        _trainable,
    ),
    Claim(
        "sparse-comparable",
        "III B, Fig. 5",
        "In every case a sparse RBM comes out comparable with one that was trained dense and "
        "pruned.",
        "The median KL over seeds must be at most twice that of pruned. Holds if so for sp/ss, "
        "sp/os and sc in both phases; in part if for at least half.",
        ("sparse",),
        _comparable,
    ),
    Claim(
        "ss-converges-faster",
        "III B, Fig. 5",
        "In both phases sp/ss converges to its least errors faster than the dense RBM.",
        "The epoch at which a measure first is within 10 % of its own level at the end (median "
        "over the last fifth of the training of that RBM), so each is held against what it itself "
        "reaches. In a phase sp/ss is faster if KL, and at least three of KL, 1 - F, energy bias, "
        "|m| bias and C_MSE, get there earlier by 10 % or more (median ratio, two-sided signed "
        "ranks p <= 0.05). Holds if it is faster in both phases; in part if in one.",
        ("sparse",),
        _faster,
    ),
)
