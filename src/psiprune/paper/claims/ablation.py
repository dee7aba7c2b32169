"""What clusters of weights are for: Section III B."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import xarray as xr

from psiprune.paper.claims.base import InsufficientDataError
from psiprune.paper.claims.data import PHASES, Float64, phase, resolution, series
from psiprune.paper.claims.evidence import Evidence, claim
from psiprune.paper.claims.readings import by_measure
from psiprune.paper.claims.structure import check_clusters
from psiprune.paper.claims.tests import COMPARABLE, FEW, TWO_SIDED, p_text

#: How much worse a model without clusters is if they are crucial.
_CRUCIAL = 10.0
#: Gradual: no step does more of the total damage than this; a fall of the median by up to 10 % of
#: the total damage is no improvement. With fewer steps than four an even fall comes close to that.
_STEP, _SLACK, _STEPS = 0.5, 0.1, 4
#: Share of units with a cluster elsewhere; and share of moved clusters that is "not fully" fixed.
_ELSEWHERE, _MOVED = 0.9, 0.05


def _broken(evidence: Evidence, measure: str) -> Iterator[tuple[str, str, Float64]]:
    """Iterate over phases and starts: label, words, and a measure [seed, share] by share broken."""
    for name, ratio in PHASES.items():
        for start in evidence.datasets["ablation"]["start"].values:
            here = phase(evidence.datasets, "ablation", ratio).sel(start=start).sortby("share")
            if float(here["share"][0]) != 0 or here.sizes["share"] < 2:
                raise InsufficientDataError("the ablation has no intact masks, or no others")
            least = resolution(evidence.datasets, ratio, measure)
            variable = f"broken_{measure}"
            values = series(evidence.complete(here, TWO_SIDED, variable), variable, "share")
            yield f"{name}_{start}", f"{name}, from {start}", np.maximum(values, least)


@claim("broken-gradually", "III B", "ablation")
@by_measure
def _gradually(evidence: Evidence, measure: str) -> str:
    """Breaking up the clusters of the mask bit by bit, at the same number of weights, makes the
    model worse bit by bit.

    From each start and in each phase. Worse: with all broken at least twice that with
    none (median ratio, two-sided signed ranks p <= 0.05). Bit by bit: no step of the share makes
    more than half of the total increase of the median, and none undoes more than a tenth. Holds if
    both in all four cases; in part if worse in all, or both in two. With fewer than five shares
    only failure can be established: where fewer than two cases are worse.
    """
    worse, gradual, ratios = [], [], {}
    shares = np.sort(evidence.datasets["ablation"]["share"].values)
    for label, words, lost in _broken(evidence, measure):
        of = evidence.using(f"ablation/broken_{measure}", prefix=label)
        against = of.compare("", lost[:, -1], lost[:, 0], "all broken over none")
        ratios[words] = lost[:, -1] / lost[:, 0]
        worse.append(against.higher and against.ratio >= COMPARABLE)
        middle = np.median(lost, axis=0)
        rises, total = np.diff(middle), float(middle[-1] - middle[0])
        largest = rises.max() / total if total > 0 else np.inf
        how = "largest step of the median over shares, of the total damage"
        of.note("largest_step", largest, how)
        gradual.append(bool((rises >= -_SLACK * abs(total)).all()) and largest <= _STEP)
        for k, (share, value) in enumerate(zip(shares, middle, strict=True)):
            of.note(f"{k}", value, f"median over seeds, {share:.0%} broken")
        evidence.case(
            f"{words}: {' '.join(f'{value:.2g}' for value in middle)} ({against.ratio:.2g} times, "
            f"{p_text(against.p)}; largest step {largest:.0%})",
            worse[-1] and gradual[-1],
        )
    steps = len(shares) - 1
    if steps < _STEPS and 2 * sum(worse) >= len(worse):
        raise InsufficientDataError(
            f"broken clusters make it worse in {sum(worse)} of {len(worse)} cases, but whether bit "
            f"by bit takes {_STEPS + 1} shares, found {steps + 1}"
        )
    _least(evidence, ratios)
    for k, share in enumerate(shares):
        evidence.note(f"share_{k}", share, f"share {k} of clusters broken", "ablation/share")
    evidence.decide(in_part=all(worse))
    return (
        f"Median of {evidence.seeds} seeds at {', '.join(f'{s:.0%}' for s in shares)} "
        f"broken. {evidence.text}."
    )


def _least(evidence: Evidence, ratios: Mapping[str, Float64]) -> None:
    """Record the smallest of these ratios, by case, as what decides."""
    words = min(ratios, key=lambda each: float(np.median(ratios[each])))
    evidence.effect(f"all broken over none, {words}", ratios[words])


@claim("clusters-crucial", "III B", "ablation")
@by_measure
def _crucial(evidence: Evidence, measure: str) -> str:
    """The cluster structure is crucial for the model to work.

    With all clusters broken it must be at least 10 times that with none (median ratio, two-sided
    signed ranks p <= 0.05). Holds if so from each start in both phases; in part if in two or three
    of these four cases.
    """
    ratios = {}
    for label, words, lost in _broken(evidence, measure):
        of, source = "all broken over none", f"ablation/broken_{measure}"
        against = evidence.compare(label, lost[:, -1], lost[:, 0], of, source)
        ratios[words] = lost[:, -1] / lost[:, 0]
        crucial = against.higher and against.ratio >= _CRUCIAL
        evidence.case(f"{words}: {against} times", crucial)
    _least(evidence, ratios)
    return f"With all clusters broken over that with none, {evidence.seeds} seeds. {evidence.text}."


def _moved(here: xr.Dataset, model: str) -> tuple[np.ndarray, np.ndarray]:
    """Which units have a cluster, and whose strongest window shares no site with the dense one."""
    own = here.sel(model=model)
    return np.asarray(own["found"].values, bool), np.asarray(own["overlap"].values) == 0


@claim("clusters-re-form", "III B", "ablation")
@by_measure
def _reform(evidence: Evidence, measure: str) -> str:
    """Where the clusters of the dense RBM are forbidden, the model can still be trained, and
    clusters form elsewhere.

    A cluster: at most 5 % of random orders of the unit's weights have a window of three adjacent
    sites as strong. Formed: 90 % of the hidden units have a cluster that shares no site with that
    of the dense RBM. Trained: the measure is at most twice the dense one (median ratio). Holds if
    both in both phases; in part if formed in both, or formed and trained in one. For N >= 12 only.
    """
    check_clusters(evidence.datasets["ablation"])
    formed, variable = [], f"forbidden_{measure}"
    for name, here in evidence.phases("ablation", FEW, variable):
        clusters, apart = _moved(here, "forbidden")
        elsewhere = clusters & apart
        least = resolution(evidence.datasets, PHASES[name], measure)
        lost, dense = (
            np.maximum(here[variable].sel(model=m).values, least) for m in ("forbidden", "dense")
        )
        of = evidence.using(f"ablation/{variable}")
        against = of.compare(name, lost, dense, "forbidden over dense")
        shown = of.band(f"{name}_forbidden", lost, "over seeds, forbidden")
        evidence.effect(f"forbidden over dense at the {name}", lost / dense)
        of = evidence.using("ablation/found", prefix=name)
        units = of.note("units", elsewhere.size, "units of all seeds, forbidden")
        of = evidence.using("ablation/found", "ablation/overlap", prefix=name)
        count = of.note("elsewhere_count", elsewhere.sum(), "units of the share elsewhere")
        how = "share of units with a cluster that shares no site with the dense one, forbidden"
        formed.append(of.note("elsewhere", elsewhere.mean(), how) >= _ELSEWHERE)
        evidence.case(
            f"{name}: {count:g} of {units:g} units have a cluster elsewhere, {shown}, {against} "
            "times the dense one",
            formed[-1] and against.ratio <= COMPARABLE,
        )
    evidence.decide(in_part=all(formed))
    return f"Clusters forbidden, {evidence.seeds} seeds. {evidence.text}."


@claim("positions-not-fixed", "III B", "ablation")
def _not_fixed(evidence: Evidence) -> str:
    """Where clusters form is not fully determined by the initial weights.

    In the control a unit is forbidden as many positions outside its cluster. Holds if at least
    5 % of its clusters nevertheless share no site with those of the dense RBM from the same
    initial weights, in both phases; in part if in one. Where clusters were forbidden they could
    not stay, which is no evidence about the initial weights. For N >= 12 only.
    """
    check_clusters(evidence.datasets["ablation"])
    for name, here in evidence.phases("ablation", FEW, "forbidden_kl"):
        of = evidence.using("ablation/found", "ablation/overlap", prefix=name)
        before, _ = _moved(here, "dense")
        shares = {}
        for model in ("forbidden", "control"):
            clusters, apart = _moved(here, model)
            moved = apart[clusters & before]
            how = f"share of clusters that share no site with the dense one, {model}"
            shares[model] = of.note(model, moved.mean() if moved.size else 0.0, how)
            if model == "control" and moved.size:
                evidence.effect(f"clusters of the control that moved at the {name}", moved)
        evidence.case(
            f"{name}: {shares['forbidden']:.0%} of the clusters moved where their place was "
            f"forbidden, {shares['control']:.0%} where others were",
            # Forbidden clusters cannot stay: only the control shows that they need not.
            shares["control"] >= _MOVED,
        )
    return f"Same initial weights, {evidence.seeds} seeds. {evidence.text}."
