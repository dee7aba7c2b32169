"""The graph and the weights: Sections II A and III B, Fig. 2, Table I."""

from __future__ import annotations

from math import comb

import numpy as np
import xarray as xr

from psiprune.paper.claims.base import (
    FAILS,
    HOLDS,
    IN_PART,
    Claim,
    Datasets,
    Finding,
    InsufficientDataError,
    Number,
    listed,
    number,
    verdict_on,
)
from psiprune.paper.claims.data import PAPER_HIDDEN, PAPER_SITES, PHASES, Float64, phase
from psiprune.paper.claims.tests import ALPHA, FEW, band, band_numbers

#: Weights of a cluster, and the step at which the paper's graph must fall apart.
_WIDTH, _STEP = 3, 18
#: Large weights are at least so many times as large as the others; weights drawn from one normal
#: distribution have 3.2 by the same count, whatever the size.
_LARGE = 5.0
#: "Each", but for the share of units that pass the test by chance; and most.
_EACH, _MOST = 0.95, 0.5
#: Units with one cluster only; in 5 % of them chance makes a second one.
_ALONE = 0.9


def _components(datasets: Datasets) -> tuple[Float64, Float64]:
    """Parts of the graph [RBM, level], of all phases and seeds, and weights kept [level]."""
    study = datasets["study"]
    if (study.attrs["sites"], study.attrs["hidden"]) != (PAPER_SITES, PAPER_HIDDEN):
        raise InsufficientDataError(
            f"the paper's number is for {PAPER_SITES} x {PAPER_HIDDEN} units, the study has "
            f"{study.attrs['sites']} x {study.attrs['hidden']}"
        )
    if study.sizes["level"] <= _STEP:
        raise InsufficientDataError(
            f"the study has {study.sizes['level'] - 1} pruning steps, not {_STEP}"
        )
    parts = study["components"].transpose("field", "seed", "level").values
    kept = study["weights_kept"].isel(field=0, seed=0).values
    return parts.reshape(-1, parts.shape[-1]).astype(float), kept.astype(float)


def _necessarily(datasets: Datasets) -> Finding:
    parts, kept = _components(datasets)
    needed = PAPER_SITES + PAPER_HIDDEN - 1
    total = PAPER_SITES * PAPER_HIDDEN
    # The first count that no connected graph can have, from the counts that the schedule leaves.
    first = int(np.flatnonzero(kept < needed)[0]) if (kept < needed).any() else len(kept)
    agrees = bool((parts[:, first:] > 1).all())
    verdict = HOLDS if first == _STEP and agrees else FAILS
    last = min(first, len(kept) - 1)
    in_parts = np.count_nonzero(parts[:, _STEP] > 1)
    measured = (
        f"A connected graph of {PAPER_SITES + PAPER_HIDDEN} units has {needed} weights or more, "
        f"{needed / total:.2%} of {total}; step {first - 1} leaves {kept[first - 1]:g}, step "
        f"{first} {kept[last]:g}. At step {_STEP} the graph is in parts in {in_parts} of "
        f"{len(parts)} RBMs."
    )
    numbers = {
        "needed": number(needed, "N + N_h - 1", "study/@sites", "study/@hidden"),
        "needed_share": number(
            needed / total, "the same over N N_h", "study/@sites", "study/@hidden"
        ),
        "all": number(total, "N N_h", "study/@sites", "study/@hidden"),
        "first": number(first, "first level with fewer weights", "study/weights_kept"),
        "before": number(first - 1, "the level before it", "study/weights_kept"),
        "kept_before": number(kept[first - 1], f"level {first - 1}", "study/weights_kept"),
        "kept_first": number(kept[last], f"level {last}", "study/weights_kept"),
        "in_parts_count": number(in_parts, f"RBMs at level {_STEP}", "study/components"),
        "rbms": number(len(parts), "RBMs of all phases and seeds", "study/components"),
        "in_parts": number(
            float(np.mean(parts[:, _STEP] > 1)),
            f"share of RBMs at level {_STEP}",
            "study/components",
        ),
    }
    return Finding(verdict, measured, numbers, datasets["study"].sizes["seed"])


def _where(datasets: Datasets) -> Finding:
    parts, _ = _components(datasets)
    first = np.array(
        [np.flatnonzero(row > 1)[0] if (row > 1).any() else parts.shape[1] for row in parts]
    )
    share = float(np.mean(first == _STEP))
    verdict = HOLDS if share >= 0.9 else IN_PART if share >= _MOST else FAILS
    levels = datasets["study"]["fraction_pruned"].isel(field=0, seed=0).values
    counts = [
        f"{np.count_nonzero(first == k)} at step {k} ({levels[k]:.1%} pruned)"
        for k in np.unique(first)
        if k < len(levels)
    ]
    numbers: dict[str, Number] = {}
    for k in np.unique(first[first < len(levels)]):
        numbers[f"count_{k}"] = number(
            np.count_nonzero(first == k), f"RBMs first in parts at level {k}", "study/components"
        )
        numbers[f"pruned_{k}"] = number(levels[k], f"level {k}", "study/fraction_pruned")
    never = np.count_nonzero(first == len(levels))
    if never:
        counts.append(f"{never} never")
        numbers["never"] = number(never, "RBMs never in parts", "study/components")
    measured = f"Of {len(parts)} RBMs in all phases the graph first is in parts: {listed(counts)}."
    numbers |= {
        "rbms": number(len(parts), "RBMs of all phases and seeds", "study/components"),
        "at_18": number(share, "share of RBMs first in parts at level 18", "study/components"),
        "median": number(
            float(np.median(first)), "median of the first level in parts", "study/components"
        ),
    }
    return Finding(verdict, measured, numbers, datasets["study"].sizes["seed"])


def _ratio(weights: Float64) -> float:
    """Median size of the 3 N_h largest weights over that of all others."""
    sizes = np.sort(np.abs(weights).ravel())[::-1]
    large = _WIDTH * weights.shape[0]
    if large >= sizes.size:
        raise InsufficientDataError("a model of three sites has no other weights")
    others = float(np.median(sizes[large:]))
    return float(np.median(sizes[:large])) / others if others > 0 else float("inf")


def _few_large(datasets: Datasets) -> Finding:
    graph = datasets["graph"]
    weights = [np.asarray(graph["weights"].isel(level=0).values, np.float64)]
    own = _ratio(weights[0])
    variables, seeds = ["graph/weights"], 1
    if "ablation" in datasets:
        dense = datasets["ablation"].sel(model="dense")["weights"]
        dense = dense.transpose("field", "seed", "hidden", "visible")
        weights += list(dense.values.reshape(-1, *dense.shape[2:]))
        variables.append("ablation/weights")
        seeds = dense.sizes["seed"]
    ratios = np.array([_ratio(each) for each in weights])
    share = float(np.mean(ratios >= _LARGE))
    verdict = HOLDS if share >= 0.9 else IN_PART if share >= _MOST else FAILS
    measured = (
        f"The 3 N_h largest weights are {own:.3g} times the others in the graph of Fig. 1, and "
        f"{band(ratios)} times in all {len(ratios)} dense RBMs (medians of |W|); at least "
        f"{_LARGE:g} times in {share:.0%}."
    )
    how = "median |W| of the 3 N_h largest weights over that of the others"
    numbers = {
        "graph": number(own, f"{how}, level 0", "graph/weights"),
        **band_numbers("all", ratios, f"over dense RBMs of the {how}", *variables),
        "share": number(share, "share of them with 5 or more", *variables),
    }
    return Finding(verdict, measured, numbers, seeds)


def check_clusters(ablation: xr.Dataset) -> None:
    """Raise `Undecided` where no cluster of three can be told from chance."""
    width, sites = int(ablation.attrs["width"]), int(ablation.attrs["sites"])
    if width != _WIDTH:
        raise InsufficientDataError(f"the ablation looked for clusters of {width}, not {_WIDTH}")
    # p of the strongest cluster there can be: all orders of the weights are as likely.
    least, threshold = (sites - _WIDTH + 1) / comb(sites, _WIDTH), ablation.attrs["threshold"]
    if least > ALPHA:
        raise InsufficientDataError(
            f"among {sites} sites no cluster of {_WIDTH} reaches p <= {ALPHA:g}; N >= 12 can"
        )
    # A run of few sites takes every unit's best window, by a threshold of 1.
    if threshold > ALPHA:
        raise InsufficientDataError(
            f"the ablation counts windows up to p = {threshold:g} as clusters"
        )


def _one_cluster(datasets: Datasets) -> Finding:
    ablation = datasets["ablation"]
    check_clusters(ablation)
    threshold = float(ablation.attrs["threshold"])
    told: list[str] = []
    numbers: dict[str, Number] = {}
    each, half, one, three = [], [], [], []
    seeds = ablation.sizes["seed"]
    if seeds < FEW:
        raise InsufficientDataError(f"the rule needs at least {FEW} seeds, found {seeds}")
    for name, ratio in PHASES.items():
        here = phase(datasets, "ablation", ratio).sel(model="dense")
        shape = phase(datasets, "clusters", ratio)
        order = ("seed", "hidden")
        found = np.asarray(here["found"].transpose(*order).values, bool)
        of_unit = here["share_of_unit"].transpose(*order).values[found]
        width = shape["best_width"].transpose(*order).values
        second = shape["second_p_value"].transpose(*order).values <= threshold
        share = float(found.mean())
        middle = float(np.median(of_unit)) if len(of_unit) else 0.0
        alone = float(np.mean(~second[found])) if found.any() else 0.0
        widths, count = np.unique(width, return_counts=True)
        wide = float(np.mean(width == _WIDTH))
        each.append(share >= _EACH and middle > _MOST)
        half.append(share >= _MOST)
        one.append(alone >= _ALONE)
        three.append(wide >= _MOST)
        shown = [f"{n} have {w}" for w, n in zip(widths, count, strict=True)]
        told.append(
            f"{name}: a window of three stands out in {np.count_nonzero(found)} of {found.size} "
            f"units, with {middle:.0%} of their |W|; no second one in {alone:.0%} of these; best "
            f"number of sites: {listed(shown)}"
        )
        numbers |= {
            f"{name}_found": number(share, "share of units, dense", "ablation/found"),
            f"{name}_found_count": number(
                np.count_nonzero(found), "units with a cluster, dense", "ablation/found"
            ),
            f"{name}_units": number(found.size, "units of all seeds", "ablation/found"),
            **{
                f"{name}_width_{w}": number(
                    n, f"units of all seeds whose best width is {w}", "clusters/best_width"
                )
                for w, n in zip(widths, count, strict=True)
            },
            f"{name}_share": number(
                middle,
                "median over found clusters, dense",
                "ablation/share_of_unit",
                "ablation/found",
            ),
            f"{name}_one": number(
                alone,
                f"share of the units with a cluster whose second one has p > {threshold:g}",
                "clusters/second_p_value",
                "ablation/found",
            ),
            f"{name}_three": number(
                wide, "share of units whose best width is 3", "clusters/best_width"
            ),
        }
    whole_claim = [*each, *one, *three]
    verdict = verdict_on(all(half) and (all(one) or all(three)), whole_claim)
    measured = f"Dense RBMs of {seeds} seeds. {'; '.join(told)}."
    return Finding(verdict, measured, numbers, seeds)


CLAIMS = (
    Claim(
        "disconnected-at-18",
        "Appendix A, Table I",
        "The graph is necessarily disconnected at the 18th step, with less than 26 weights "
        "(16.05 %).",
        "Arithmetic: a connected graph of n units has at least n - 1 weights. Holds if the first "
        "level of the study with less than N + N_h - 1 weights is the 18th, and the graph is in "
        "parts in every RBM from there on. For 18 x 9 units only.",
        ("study",),
        _necessarily,
    ),
    Claim(
        "falls-apart-at-85",
        "III A, Fig. 2",
        "The graph becomes disconnected at 85 % pruned.",
        "The first level at which each graph is in parts. Holds if that is the 18th (85 %) in 90 % "
        "of all RBMs; in part if in half of them. For 18 x 9 units only.",
        ("study",),
        _where,
    ),
    Claim(
        "few-large-weights",
        "II A, Fig. 1",
        "After training a small number of weights is large, and all others are much smaller.",
        "Small number: 3 N_h. The median size of so many largest weights must be at least 5 times "
        "that of the others (weights from one normal distribution: 3.2). Holds if so in 90 % of "
        "the dense RBMs, those of the ablation and the one of Fig. 1; in part if in half of them.",
        ("graph",),
        _few_large,
    ),
    Claim(
        "one-cluster-of-three",
        "III B",
        "In a trained RBM each hidden unit has one cluster of three weights that are significantly "
        "larger than the rest.",
        "Of the dense RBMs. A cluster: at most 5 % of random orders of the unit's weights have a "
        "window of three adjacent sites as strong; so in 95 % of the units, with more than half of "
        "a unit's |W| (median). One: away from it no second window is as rare among the weights "
        "there, in 90 % of the units that have one (chance alone leaves 95 %). Three: of windows "
        "of 1 to 6 sites, that of three divides |W| best into large and small, in half of the "
        "units. Holds if all three are so in both phases; in part if half of the units have a "
        "cluster in both, and it is one in both or three in both. From 12 sites on.",
        ("ablation", "clusters"),
        _one_cluster,
    ),
)
