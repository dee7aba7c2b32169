"""RBMs that are sparse before training, and whether they can be trained: Section III B, Fig. 5."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from psiprune.paper.claims.base import Datasets, InsufficientDataError, listed
from psiprune.paper.claims.data import PHASES, TITLES, Float64, phase, require
from psiprune.paper.claims.evidence import Evidence, claim
from psiprune.paper.claims.tests import COMPARABLE, FEW, MATTERS, TWO_SIDED, Contrast

#: The paper's kinds of RBM, and those of them that are sparse before training.
SPARSE = ("sp/ss", "sp/os", "sc")
KINDS = ("dense", "pruned", *SPARSE)
#: Random masks with as many weights, reported next to what a rule measures.
CONTROL = "random"
#: Training has succeeded if KL has fallen by this factor, in nearly all seeds.
_TRAINED, _NEARLY_ALL = 10.0, 0.9
#: Fewest entries of a history that a level at the end rests on.
_ENTRIES = 3


def of_kinds(datasets: Datasets, ratio: float, kinds: Sequence[str]) -> xr.Dataset:
    """Return the dataset at one field for these kinds, all seeds."""
    here = phase(datasets, "sparse", ratio)
    for kind in kinds:
        if kind not in here["variant"].values:
            raise InsufficientDataError(f"sparse has no {kind}")
    return here.sel(variant=list(kinds))


class Kinds:
    """The kinds of RBM at one field, for the seeds with all measures, and the record of a rule.

    Attributes:
        data: the dataset.
        evidence: the record, for numbers computed from KL.
    """

    def __init__(
        self,
        evidence: Evidence,
        ratio: float,
        least: int,
        kinds: Sequence[str] = KINDS,
        prefix: str = "",
    ) -> None:
        """Select the seeds and count them; `prefix` begins the names of all numbers."""
        self.data = evidence.complete(of_kinds(evidence.datasets, ratio, kinds), least, *TITLES)
        self.evidence = evidence.using("sparse/kl", prefix=prefix)

    def values(self, kind: str, measure: str = "kl") -> Float64:
        """A measure of one kind, [seed]."""
        return values_of(self.data, kind, measure)

    def median(self, kind: str, measure: str = "kl", label: str = "") -> float:
        """Record and return the median of a measure over seeds."""
        middle, how = np.median(self.values(kind, measure)), f"median over seeds, {kind}"
        return self.evidence.note(label or name_of(kind), middle, how, f"sparse/{measure}")

    def band(self, kind: str, label: str = "") -> str:
        """Record the median and the band of KL over seeds, and return them as text."""
        return self.evidence.band(label or name_of(kind), self.values(kind), f"over seeds, {kind}")

    def compare(self, label: str, kind: str, other: str, measure: str = "kl") -> Contrast:
        """Record and return the comparison of a measure of two kinds."""
        values, others = self.values(kind, measure), self.values(other, measure)
        return self.evidence.compare(
            label, values, others, f"{kind} over {other}", f"sparse/{measure}"
        )


def values_of(here: xr.Dataset, kind: str, measure: str = "kl") -> Float64:
    """A measure of one kind, [seed]."""
    return np.asarray(here[measure].sel(variant=kind).values, np.float64)


def name_of(kind: str) -> str:
    """A kind as a part of a number's name."""
    return kind.replace("/", "_")


def _control(evidence: Evidence, ratio: float, seeds: xr.DataArray) -> xr.Dataset | None:
    """The random control at the field for these seeds; None where the run has none.

    No verdict rests on it, so seeds without it count for the claim all the same.
    """
    if CONTROL not in evidence.datasets["sparse"]["variant"].values:
        return None
    control = of_kinds(evidence.datasets, ratio, (CONTROL,)).sel(seed=seeds)
    known = np.isfinite(values_of(control, CONTROL))
    return control.isel(seed=np.flatnonzero(known)) if known.any() else None


@claim("sparse-trainable", "Abstract, III B", "sparse")
def _trainable(evidence: Evidence) -> str:
    """RBMs that are sparse from the start can be trained.

    Training must divide KL by at least 10, in 90 % of the seeds. Holds if so for sp/ss, sp/os and
    sc in both phases; in part if for at least half.
    """
    by_chance = []
    for name, ratio in PHASES.items():
        data = Kinds(evidence, ratio, FEW).data
        for kind in SPARSE:
            factor, share = _divided(evidence, data, kind, name)
            evidence.case(f"{kind} at the {name} {factor:.3g}", share >= _NEARLY_ALL)
        control = _control(evidence, ratio, data["seed"])
        if control is not None:
            factor, share = _divided(evidence, control, CONTROL, name)
            by_chance.append(f"{factor:.3g} at the {name} (at least 10 in {share:.0%} of seeds)")
    measured = (
        f"Training divides KL by ({evidence.seeds} seeds, medians): {listed(evidence.cases)}."
    )
    if by_chance:  # shows how much of it any mask reaches
        measured += f" The random control, which decides nothing: {listed(by_chance)}."
    return measured


def _divided(evidence: Evidence, here: xr.Dataset, kind: str, name: str) -> tuple[float, float]:
    """Record the median factor by which training divides KL, and the share of seeds with 10."""
    start = here["history_kl"].sel(variant=kind).isel(epoch=0).values
    factors = start / values_of(here, kind)
    of = evidence.using("sparse/history_kl", "sparse/kl", prefix=f"{name}_{name_of(kind)}")
    how = f"median over seeds of KL before training over after it, {kind}, {name}"
    return (
        of.note("", np.median(factors), how),
        of.note("share", np.mean(factors >= _TRAINED), "share of seeds of at least 10"),
    )


@claim("sparse-comparable", "III B, Fig. 5", "sparse")
def _comparable(evidence: Evidence) -> str:
    """In every case a sparse RBM comes out comparable with one that was trained dense and pruned.

    The median KL over seeds must be at most twice that of pruned. Holds if so for sp/ss, sp/os and
    sc in both phases; in part if for at least half.
    """
    for name, ratio in PHASES.items():
        kinds = Kinds(evidence, ratio, FEW, prefix=name)
        pruned = kinds.median("pruned")
        shown, passed = [], []
        for kind in SPARSE:
            values = kinds.values(kind)
            passed.append(bool(np.median(values) <= COMPARABLE * pruned))
            share = float(np.mean(values <= COMPARABLE * pruned))
            how = f"share of seeds of {kind} within twice the median of pruned"
            kinds.evidence.note(f"{name_of(kind)}_share", share, how)
            shown.append(f"{kind} {kinds.band(kind)}, {share:.0%} within twice")
        evidence.case(f"{name}: pruned {pruned:.2g}, {', '.join(shown)}", *passed)
    return (
        f"KL, median (16 to 84 %) of {evidence.seeds} seeds, and the share of seeds within twice "
        f"the median of pruned. {evidence.text}."
    )


@claim("ss-converges-faster", "III B, Fig. 5", "sparse")
def _faster(evidence: Evidence) -> str:
    """In both phases sp/ss converges to its least errors faster than the dense RBM.

    The epoch at which a measure first is within 10 % of its final level (median over the last fifth
    of the training of that RBM), so each is compared with what it itself reaches. In a phase sp/ss
    is faster if KL, and at least three of KL, 1 - F, energy bias, |m| bias and C_MSE, get there
    earlier by 10 % or more (median ratio, two-sided signed ranks p <= 0.05). Holds if it is faster
    in both phases; in part if in one.
    """
    how = "median over seeds of the epoch, interpolated, {}"
    for name, ratio in PHASES.items():
        data = Kinds(evidence, ratio, TWO_SIDED, ("dense", "sp/ss")).data
        earlier, shown = [], ""
        for measure, title in TITLES.items():
            of = evidence.using(f"sparse/history_{measure}", prefix=f"{name}_{measure}")
            sparse, dense = (epochs_to_level(data, kind, measure) for kind in ("sp/ss", "dense"))
            against = of.compare("", sparse, dense, "sp/ss over dense")
            if against.lower:
                earlier.append(title)
            one = of.note("sp_ss", np.median(sparse), how.format("sp/ss"))
            other = of.note("dense", np.median(dense), how.format("dense"))
            if measure == "kl":
                shown = f"{name}: KL after {one:.3g} epochs against {other:.3g}, ratio {against}"
        shown += f"; significantly earlier: {listed(earlier)}"
        control = _control(evidence, ratio, data["seed"])
        if control is not None:
            epochs = epochs_to_level(control, CONTROL, "kl")
            dense = epochs_to_level(data.sel(seed=control["seed"]), "dense", "kl")
            of = evidence.using("sparse/history_kl", prefix=f"{name}_{CONTROL}")
            middle = of.note("epoch", np.median(epochs), how.format(CONTROL))
            against = of.compare("", epochs, dense, f"{CONTROL} over dense")
            shown += (
                f"; the random control, which decides nothing, after {middle:.3g}, ratio {against}"
            )
        evidence.case(shown, TITLES["kl"] in earlier and 2 * len(earlier) > len(TITLES))
    return (
        f"Epochs until a measure is within 10 % of its own level at the end, {evidence.seeds} "
        f"seeds, sp/ss against dense. {'. '.join(evidence.cases)}."
    )


def epochs_to_level(here: xr.Dataset, kind: str, measure: str) -> Float64:
    """The epoch at which a measure first is at most 10 % above its final level, [seed].

    That level is the median over the last fifth of the RBM's own training, so a model that ends
    badly is compared with where it ends, and a noisy one not with its luckiest epoch. Interpolated
    between entries of the history, and at least 1, so that ratios exist.

    Raises:
        InsufficientDataError: fewer than three entries in the last fifth.
    """
    name = f"history_{measure}"
    require(here, name)
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
