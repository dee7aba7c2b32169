"""The five numbers of a summary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from psiprune.claims.access import MEASURES, PM, QCP, has_phase, phase
from psiprune.claims.compare import FEW
from psiprune.claims.finding import (
    FAILS,
    HOLDS,
    IN_PART,
    UNDECIDED,
    Datasets,
    Number,
    Undecided,
    number,
)
from psiprune.claims.judge import Judged, counts
from psiprune.claims.thresholds import floors_known, reach
from psiprune.tables.frontier import frontier_numbers

_SURGEON = "surgeon"


class Headline(NamedTuple):
    """One number of a summary, with its words.

    Attributes:
        label: what it is.
        text: the number as it is shown.
        number: the same with its source.
    """

    label: str
    text: str
    number: Number


def headlines(datasets: Datasets, judged: Sequence[Judged]) -> list[Headline]:
    """Up to five numbers; one whose dataset is missing is left out."""
    found = [
        _paper(datasets, QCP, "at the critical point"),
        _paper(datasets, PM, "in the paramagnetic phase"),
        _surgeon(datasets),
        _smallest(datasets),
        _claims(judged),
    ]
    return [each for each in found if each is not None]


def _paper(datasets: Datasets, ratio: float, where: str) -> Headline | None:
    """The last level up to which all five measures stay within the dense RBMs."""
    if "study" not in datasets or not has_phase(datasets, "study", ratio):
        return None
    try:
        here = floors_known(phase(datasets, "study", ratio), FEW)
    except Undecided:
        return None
    within = min(reach(here, name).within for name in MEASURES)
    how = (
        "last fraction pruned up to which the medians over seeds of KL, 1 - F, eROE, mROE and "
        "C_MSE are not above the largest dense value, or twice the noise floor"
    )
    variables = [f"study/{name}{end}" for name in MEASURES for end in ("", "_floor")]
    return Headline(
        f"weights that the paper's method can prune {where} with no measure worse than dense",
        f"{within:.0%}",
        number(within, how, *variables, "study/fraction_pruned"),
    )


def _surgeon(datasets: Datasets) -> Headline | None:
    """The same for KL by surgeon, at the critical point."""
    if "frontier" not in datasets or not has_phase(datasets, "frontier", QCP):
        return None
    here = phase(datasets, "frontier", QCP)
    if _SURGEON not in here["variant"].values:
        return None
    kl = here["kl"].sel(variant=_SURGEON).dropna("count", how="all").dropna("seed")
    if kl.sizes["seed"] < FEW:
        return None
    kl = kl.sortby("count", ascending=False).transpose("seed", "count")
    limit = 2 * float(kl.isel(count=0).median())
    harmed = np.flatnonzero(kl.median("seed").values > limit)
    last = int(harmed[0]) - 1 if len(harmed) else kl.sizes["count"] - 1
    total = here.attrs["sites"] * here.attrs["hidden"]
    fraction = 1 - float(kl["count"][last]) / total
    return Headline(
        "weights that the surgeon can prune at the critical point within twice the dense KL",
        f"{fraction:.0%}",
        number(
            fraction,
            "1 - count / (N N_h) of the last count up to which the median over seeds of variant "
            "surgeon is at most twice that of its dense RBM",
            "frontier/kl",
            "frontier/count",
        ),
    )


def _smallest(datasets: Datasets) -> Headline | None:
    """The smallest RBM by any method with KL and mROE within limits, at the critical point."""
    if "frontier" not in datasets or not has_phase(datasets, "frontier", QCP):
        return None
    frontier = datasets["frontier"]
    if _SURGEON not in frontier["variant"].values:
        return None
    here = phase(datasets, "frontier", QCP)
    best = frontier_numbers(frontier)[f"h={float(here['field']):g}"]["best"]["within_both"]
    if best is None:
        return None
    total = frontier.attrs["sites"] * frontier.attrs["hidden"]
    limit = float(frontier.attrs["limit"])
    return Headline(
        f"weights of the smallest model with KL within twice the dense one and mROE below "
        f"{limit:.0%} at the critical point",
        f"{best['count']} of {total} ({best['method']})",
        number(
            best["count"],
            "smallest count of any variant whose medians over seeds are within both limits",
            "frontier/kl",
            "frontier/abs_magnetization_roe",
        ),
    )


def _claims(judged: Sequence[Judged]) -> Headline | None:
    if not judged:
        return None
    found = counts(judged)
    return Headline(
        "claims of the paper that hold",
        f"{found[HOLDS]} of {len(judged)} ({found[IN_PART]} in part, {found[FAILS]} not, "
        f"{found[UNDECIDED]} undecided)",
        number(found[HOLDS], "number of claims by verdict", "claims/verdict"),
    )
