"""RBMs that are sparse before training, and whether they can be trained: Section III B, Fig. 5."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from psiprune.core.statistics import QUANTILES
from psiprune.paper.claims.base import Datasets, InsufficientDataError, listed
from psiprune.paper.claims.data import PHASES, TITLES, Float64, phase, require, resolution
from psiprune.paper.claims.evidence import Evidence, claim
from psiprune.paper.claims.readings import by_measure
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
    """One measure of the kinds of RBM at one field, for the seeds that have all measures.

    Values below what the training set resolves (`resolution`) count as that.

    Attributes:
        data: the dataset.
        evidence: the record, for numbers computed from the measure.
    """

    def __init__(
        self,
        evidence: Evidence,
        ratio: float,
        least: int,
        measure: str,
        kinds: Sequence[str] = KINDS,
        prefix: str = "",
    ) -> None:
        """Select the seeds and count them; `prefix` begins the names of all numbers."""
        data = evidence.complete(of_kinds(evidence.datasets, ratio, kinds), least, *TITLES)
        self.evidence = evidence.using(f"sparse/{measure}", prefix=prefix)
        self.least = resolution(evidence.datasets, ratio, measure)
        self.data, self._measure = data, measure
        if self.least:
            how = "standard error of <|m|> of the training set over <|m|> of the exact state"
            variables = "study/magnetization_distribution_reference", "symmetry/shots"
            self.evidence.note("resolved", self.least, how, *variables)

    def values(self, kind: str) -> Float64:
        """The measure of one kind, [seed]."""
        return np.maximum(values_of(self.data, kind, self._measure), self.least)

    def median(self, kind: str) -> float:
        """Record and return the median over seeds."""
        middle, how = np.median(self.values(kind)), f"median over seeds, {kind}"
        return self.evidence.note(name_of(kind), middle, how)

    def band(self, kind: str) -> str:
        """Record the median and the band over seeds, and return them as text."""
        values = self.values(kind)
        shown = self.evidence.band(name_of(kind), values, f"over seeds, {kind}")
        resolved = np.quantile(values, QUANTILES[-1]) > self.least
        return shown if resolved else f"at most {self.least:.2g}"

    def compare(self, label: str, kind: str, other: str) -> Contrast:
        """Record and return the comparison of two kinds."""
        of = f"{kind} over {other}"
        return self.evidence.compare(label, self.values(kind), self.values(other), of)

    def effect(self, kind: str, other: str, where: str) -> None:
        """Record the ratio of two kinds as what decides."""
        self.evidence.effect(f"{kind} over {other}{where}", self.values(kind) / self.values(other))


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
@by_measure
def _trainable(evidence: Evidence, measure: str) -> str:
    """RBMs that are sparse from the start can be trained.

    Training must divide the measure by at least 10, in 90 % of the seeds. Holds if so for sp/ss,
    sp/os and sc in both phases; in part if for at least half.
    """
    by_chance, trained = [], []
    for name, ratio in PHASES.items():
        kinds = Kinds(evidence, ratio, FEW, measure)
        for kind in SPARSE:
            factor, factors = _divided(evidence, kinds.data, kind, name, measure, kinds.least)
            trained.append(factors >= _TRAINED)
            evidence.case(f"{kind} at the {name} {factor:.3g}", trained[-1].mean() >= _NEARLY_ALL)
        control = _control(evidence, ratio, kinds.data["seed"])
        if control is not None:
            factor, factors = _divided(evidence, control, CONTROL, name, measure, kinds.least)
            share = float(np.mean(factors >= _TRAINED))
            by_chance.append(f"{factor:.3g} at the {name} (at least 10 in {share:.0%} of seeds)")
    evidence.effect("RBMs of which training divides it by 10", np.concatenate(trained))
    measured = (
        f"Training divides it by ({evidence.seeds} seeds, medians): {listed(evidence.cases)}."
    )
    if by_chance:  # shows how much of it any mask reaches
        measured += f" The random control, which decides nothing: {listed(by_chance)}."
    return measured


def _divided(
    evidence: Evidence, here: xr.Dataset, kind: str, name: str, measure: str, least: float
) -> tuple[float, Float64]:
    """Record by which factor training divides a measure: its median, and all factors [seed]."""
    start = here[f"history_{measure}"].sel(variant=kind).isel(epoch=0).values
    factors = start / np.maximum(values_of(here, kind, measure), least)
    sources = f"sparse/history_{measure}", f"sparse/{measure}"
    of = evidence.using(*sources, prefix=f"{name}_{name_of(kind)}")
    how = f"median over seeds of the value before training over that after it, {kind}, {name}"
    of.note("share", np.mean(factors >= _TRAINED), "share of seeds of at least 10")
    return of.note("", np.median(factors), how), factors


@claim("sparse-comparable", "III B, Fig. 5", "sparse")
@by_measure
def _comparable(evidence: Evidence, measure: str) -> str:
    """In every case a sparse RBM comes out comparable with one that was trained dense and pruned.

    The median over seeds must be at most twice that of pruned. Holds if so for sp/ss, sp/os and
    sc in both phases; in part if for at least half.
    """
    ratios = {}
    for name, ratio in PHASES.items():
        kinds = Kinds(evidence, ratio, FEW, measure, prefix=name)
        pruned = kinds.median("pruned")
        shown, passed = [], []
        for kind in SPARSE:
            values = kinds.values(kind)
            passed.append(bool(np.median(values) <= COMPARABLE * pruned))
            share = float(np.mean(values <= COMPARABLE * pruned))
            how = f"share of seeds of {kind} within twice the median of pruned"
            kinds.evidence.note(f"{name_of(kind)}_share", share, how)
            ratios[f"{kind} at the {name} over the median of pruned"] = values / pruned
            shown.append(f"{kind} {kinds.band(kind)}, {share:.0%} within twice")
        evidence.case(f"{name}: pruned {pruned:.2g}, {', '.join(shown)}", *passed)
    worst = max(ratios, key=lambda each: float(np.median(ratios[each])))
    evidence.effect(worst, ratios[worst])
    return (
        f"Median (16 to 84 %) of {evidence.seeds} seeds, and the share of seeds within twice "
        f"the median of pruned. {evidence.text}."
    )


@claim("ss-converges-faster", "III B, Fig. 5", "sparse")
@by_measure
def _faster(evidence: Evidence, measure: str) -> str:
    """In both phases sp/ss converges to its least errors faster than the dense RBM.

    The epoch at which the measure first is within 10 % of its final level (median over the last
    fifth of the training of that RBM), so each is compared with what it itself reaches. In a phase
    sp/ss is faster if it gets there earlier by 10 % or more (median ratio, two-sided signed ranks
    p <= 0.05). Holds if it is faster in both phases; in part if in one.
    """
    how = "median over seeds of the epoch, interpolated, {}"
    for name, ratio in PHASES.items():
        data = Kinds(evidence, ratio, TWO_SIDED, measure, ("dense", "sp/ss")).data
        of = evidence.using(f"sparse/history_{measure}", prefix=name)
        sparse, dense = (epochs_to_level(data, kind, measure) for kind in ("sp/ss", "dense"))
        against = of.compare("", sparse, dense, "sp/ss over dense")
        evidence.effect(f"epochs of sp/ss over those of dense at the {name}", sparse / dense)
        one = of.note("sp_ss", np.median(sparse), how.format("sp/ss"))
        other = of.note("dense", np.median(dense), how.format("dense"))
        shown = f"{name}: after {one:.3g} epochs against {other:.3g}, ratio {against}"
        control = _control(evidence, ratio, data["seed"])
        if control is not None:
            epochs = epochs_to_level(control, CONTROL, measure)
            dense = epochs_to_level(data.sel(seed=control["seed"]), "dense", measure)
            chance = evidence.using(f"sparse/history_{measure}", prefix=f"{name}_{CONTROL}")
            middle = chance.note("epoch", np.median(epochs), how.format(CONTROL))
            with_chance = chance.compare("", epochs, dense, f"{CONTROL} over dense")
            shown += (
                f"; the random control, which decides nothing, after {middle:.3g}, ratio "
                f"{with_chance}"
            )
        evidence.case(shown, against.lower)
    return (
        f"Epochs until within 10 % of its level at the end, {evidence.seeds} seeds, sp/ss against "
        f"dense. {'. '.join(evidence.cases)}."
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
