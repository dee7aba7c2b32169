"""The graph and the weights: Sections II A and III B, Fig. 2, Table I."""

from __future__ import annotations

from math import comb

import numpy as np
import xarray as xr

from psiprune.paper.claims.base import InsufficientDataError, listed
from psiprune.paper.claims.data import (
    PAPER_HIDDEN,
    PAPER_SITES,
    PHASES,
    Float64,
    phase,
    require_paper_sizes,
    require_seeds,
)
from psiprune.paper.claims.evidence import Evidence, claim
from psiprune.paper.claims.tests import ALPHA, FEW

#: Weights of a cluster, and the step at which the paper's graph must be disconnected.
_WIDTH, _STEP = 3, 18
#: The smallest ratio of large weights to the others; weights from one normal distribution have 3.2
#: by the same definition, whatever the size.
_LARGE = 5.0
#: "Each", apart from the share of units that pass the test by chance; nearly all; and most.
_EACH, _NEARLY_ALL, _MOST = 0.95, 0.9, 0.5


def _components(evidence: Evidence) -> tuple[Float64, Float64, Float64]:
    """Components of the graph [RBM, level], of all phases and seeds; weights and share [level]."""
    study = evidence.datasets["study"]
    require_paper_sizes(study, hidden=True)
    if study.sizes["level"] <= _STEP:
        raise InsufficientDataError(
            f"the study has {study.sizes['level'] - 1} pruning steps, not {_STEP}"
        )
    evidence.count_seeds(study.sizes["seed"])
    parts = study["components"].transpose("field", "seed", "level").values
    first = study.isel(field=0, seed=0)
    counts = parts.reshape(-1, parts.shape[-1]).astype(float)
    evidence.note("rbms", len(counts), "RBMs of all phases and seeds", "study/components")
    return counts, first["weights_kept"].values.astype(float), first["fraction_pruned"].values


@claim("disconnected-at-18", "Appendix A, Table I", "study")
def _necessarily(evidence: Evidence) -> str:
    """The graph is necessarily disconnected at the 18th step, with less than 26 weights (16.05 %).

    Arithmetic: a connected graph of n units has at least n - 1 weights. Holds if the first level of
    the study with less than N + N_h - 1 weights is the 18th, and the graph is disconnected in every
    RBM from there on. For 18 x 9 units only.
    """
    parts, kept, _ = _components(evidence)
    of = evidence.using("study/@sites", "study/@hidden")
    needed = of.note("needed", PAPER_SITES + PAPER_HIDDEN - 1, "N + N_h - 1")
    total = of.note("all", PAPER_SITES * PAPER_HIDDEN, "N N_h")
    share = of.note("needed_share", needed / total, "(N + N_h - 1) / (N N_h)")
    # The first count that no connected graph can have, among those that the schedule leaves.
    first = int(np.flatnonzero(kept < needed)[0]) if (kept < needed).any() else len(kept)
    last = min(first, len(kept) - 1)
    of = evidence.using("study/weights_kept")
    of.note("first", first, "first level with fewer weights")
    of.note("before", first - 1, "the level before it")
    before = of.note("kept_before", kept[first - 1], f"level {first - 1}")
    after = of.note("kept_first", kept[last], f"level {last}")
    apart, of = parts[:, _STEP] > 1, evidence.using("study/components")
    count = of.note("in_parts_count", apart.sum(), f"RBMs at level {_STEP}")
    of.note("in_parts", apart.mean(), f"share of RBMs at level {_STEP}")
    evidence.effect("disconnected RBMs at step 18", apart)
    evidence.decide(first == _STEP and bool((parts[:, first:] > 1).all()))
    return (
        f"A connected graph of {PAPER_SITES + PAPER_HIDDEN} units has at least {needed:g} weights, "
        f"{share:.2%} of {total:g}; step {first - 1} leaves {before:g}, step {first} {after:g}. "
        f"At step {_STEP} the graph is disconnected in {count:g} of {len(parts)} RBMs."
    )


@claim("falls-apart-at-85", "III A, Fig. 2", "study")
def _where(evidence: Evidence) -> str:
    """The graph becomes disconnected at 85 % pruned.

    The first level at which each graph is disconnected. Holds if that is the 18th (85 %) in 90 % of
    all RBMs; in part if in half of them. For 18 x 9 units only.
    """
    parts, _, fractions = _components(evidence)
    apart, levels = parts > 1, parts.shape[1]
    first = np.where(apart.any(axis=1), apart.argmax(axis=1), levels)
    of = evidence.using("study/components")
    for k, count in zip(*np.unique(first[first < levels], return_counts=True), strict=True):
        of.note(f"count_{k}", count, f"RBMs first disconnected at level {k}")
        pruned = of.note(f"pruned_{k}", fractions[k], f"level {k}", "study/fraction_pruned")
        evidence.case(f"{count} at step {k} ({pruned:.1%} pruned)")
    never = int((first == levels).sum())
    if never:
        of.note("never", never, "RBMs never disconnected")
        evidence.case(f"{never} never")
    share = of.note(
        "at_18", (first == _STEP).mean(), "share of RBMs first disconnected at level 18"
    )
    of.note("median", np.median(first), "median of the first disconnected level")
    evidence.effect("RBMs first disconnected at step 18", first == _STEP)
    evidence.decide(share >= _NEARLY_ALL, share >= _MOST)
    return (
        f"Of {len(parts)} RBMs in all phases the graph first is disconnected: "
        f"{listed(evidence.cases)}."
    )


def _ratio(weights: Float64) -> float:
    """Median size of the 3 N_h largest weights over that of all others."""
    sizes = np.sort(np.abs(weights).ravel())[::-1]
    large = _WIDTH * weights.shape[0]
    if large >= sizes.size:
        raise InsufficientDataError("a model of three sites has no other weights")
    others = float(np.median(sizes[large:]))
    return float(np.median(sizes[:large])) / others if others > 0 else float("inf")


@claim("few-large-weights", "II A, Fig. 1", "graph")
def _few_large(evidence: Evidence) -> str:
    """After training a small number of weights is large, and all others are much smaller.

    Small number: 3 N_h. The median size of so many largest weights must be at least 5 times that of
    the others (weights from one normal distribution: 3.2). Holds if so in 90 % of the dense RBMs,
    those of the ablation and the one of Fig. 1; in part if in half of them.
    """
    datasets, of = evidence.datasets, evidence.using("graph/weights")
    weights = [np.asarray(datasets["graph"]["weights"].isel(level=0).values, np.float64)]
    if "ablation" in datasets:
        dense = datasets["ablation"].sel(model="dense")
        evidence.count_seeds(dense.sizes["seed"])
        stacked = (
            dense["weights"].stack(rbm=("field", "seed")).transpose("rbm", "hidden", "visible")
        )
        weights += list(stacked.values)
        of = evidence.using("graph/weights", "ablation/weights")
    ratios = np.array([_ratio(each) for each in weights])
    how = "median |W| of the 3 N_h largest weights over that of the others"
    graph = evidence.note("graph", ratios[0], f"{how}, level 0", "graph/weights")
    shown = of.band("all", ratios, f"over dense RBMs of the {how}")
    share = of.note("share", np.mean(ratios >= _LARGE), "share of the dense RBMs with 5 or more")
    evidence.effect("large weights over the others", ratios)
    evidence.decide(share >= _NEARLY_ALL, share >= _MOST)
    return (
        f"The 3 N_h largest weights are {graph:.3g} times the others in the graph of Fig. 1, and "
        f"{shown} times in all {len(ratios)} dense RBMs (medians of |W|); at least {_LARGE:g} "
        f"times in {share:.0%}."
    )


def check_clusters(ablation: xr.Dataset) -> None:
    """Raise `InsufficientDataError` where no cluster of three can be distinguished from chance."""
    width, sites = int(ablation.attrs["width"]), int(ablation.attrs["sites"])
    if width != _WIDTH:
        raise InsufficientDataError(f"the ablation looked for clusters of {width}, not {_WIDTH}")
    # p of the strongest possible cluster: all orders of the weights are equally likely.
    least, threshold = (sites - _WIDTH + 1) / comb(sites, _WIDTH), ablation.attrs["threshold"]
    if least > ALPHA:
        raise InsufficientDataError(
            f"among {sites} sites no cluster of {_WIDTH} reaches p <= {ALPHA:g}; N >= 12 can"
        )
    # A run of few sites accepts every unit's best window, by a threshold of 1.
    if threshold > ALPHA:
        raise InsufficientDataError(
            f"the ablation counts windows up to p = {threshold:g} as clusters"
        )


@claim("one-cluster-of-three", "III B", "ablation", "clusters")
def _one_cluster(evidence: Evidence) -> str:
    """In a trained RBM each hidden unit has one cluster of three weights that are significantly
    larger than the rest.

    Of the dense RBMs. A cluster: at most 5 % of random orders of the unit's weights have a window
    of three adjacent sites as strong; so in 95 % of the units, with more than half of a unit's |W|
    (median). One: away from it no second window is as rare among the weights there, in 90 % of the
    units that have one (chance alone leaves 95 %). Three: of windows of 1 to 6 sites, that of three
    divides |W| best into large and small, in half of the units. Holds if all three are so in both
    phases; in part if half of the units have a cluster in both, and it is one in both or three in
    both. For N >= 12 only.
    """
    ablation = evidence.datasets["ablation"]
    check_clusters(ablation)
    threshold = float(ablation.attrs["threshold"])
    require_seeds(ablation.sizes["seed"], FEW)
    evidence.count_seeds(ablation.sizes["seed"])
    half, one, three = [], [], []
    for name, ratio in PHASES.items():
        order = ("seed", "hidden")
        dense = (
            phase(evidence.datasets, "ablation", ratio).sel(model="dense").transpose(*order, ...)
        )
        shape = phase(evidence.datasets, "clusters", ratio).transpose(*order, ...)
        found = np.asarray(dense["found"].values, bool)
        alone = (shape["second_p_value"].values > threshold)[found]
        width = shape["best_width"].values
        of = evidence.using("ablation/found", prefix=name)
        share = of.note("found", found.mean(), "share of units, dense")
        count = of.note("found_count", found.sum(), "units with a cluster, dense")
        units = of.note("units", found.size, "units of all seeds")
        of = evidence.using("ablation/share_of_unit", "ablation/found", prefix=name)
        middle = np.median(dense["share_of_unit"].values[found]) if found.any() else 0.0
        middle = of.note("share", middle, "median over the clusters, dense")
        of = evidence.using("clusters/second_p_value", "ablation/found", prefix=name)
        how = f"share of the units with a cluster whose second one has p > {threshold:g}"
        single = of.note("one", alone.mean() if found.any() else 0.0, how)
        of = evidence.using("clusters/best_width", prefix=name)
        wide = of.note("three", np.mean(width == _WIDTH), "share of units whose best width is 3")
        widths = []
        for w, n in zip(*np.unique(width, return_counts=True), strict=True):
            of.note(f"width_{w}", n, f"units of all seeds whose best width is {w}")
            widths.append(f"{n} have {w}")
        evidence.effect(f"units with a cluster at the {name}", found.ravel())
        evidence.effect(f"units with a best width of 3 at the {name}", (width == _WIDTH).ravel())
        half.append(share >= _MOST)
        one.append(single >= _NEARLY_ALL)
        three.append(wide >= _MOST)
        evidence.case(
            f"{name}: a window of three stands out in {count:g} of {units:g} units, with "
            f"{middle:.0%} of their |W|; no second one in {single:.0%} of these; best number of "
            f"sites: {listed(widths)}",
            share >= _EACH and middle > _MOST,
        )
    main = all(half) and (all(one) or all(three))
    evidence.decide(main and all([*evidence.tests, *one, *three]), main)
    return f"Dense RBMs of {evidence.seeds} seeds. {evidence.text}."
