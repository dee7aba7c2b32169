"""The five numbers of a summary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from psiprune.experiments.tables import table_numbers
from psiprune.paper.claims.base import FAILS, HOLDS, IN_PART, UNDECIDED, Datasets, Number, number
from psiprune.paper.claims.data import PM, QCP, has_phase, phase
from psiprune.paper.claims.judge import Judged, counts
from psiprune.paper.claims.tests import FEW

_PAPER, _SURGEON = "magnitude-cd", "surgeon"


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
    frontier = _numbers(datasets)
    found = [
        _prunable(datasets, frontier, QCP, _PAPER, "the paper's method", "at the critical point"),
        _prunable(
            datasets, frontier, PM, _PAPER, "the paper's method", "in the paramagnetic phase"
        ),
        _prunable(datasets, frontier, QCP, _SURGEON, "the surgeon", "at the critical point"),
        _smallest(datasets, frontier),
        _claims(judged),
    ]
    return [each for each in found if each is not None]


def _numbers(datasets: Datasets) -> dict[float, dict[str, Any]]:
    """What the frontier says by h/J, if it has the RBMs that limits come from."""
    if "frontier" not in datasets:
        return {}
    frontier = datasets["frontier"]
    if _SURGEON not in frontier["variant"].values:
        return {}
    numbers = table_numbers("frontier", frontier)["frontier"]
    return {
        ratio: numbers[f"h={float(phase(datasets, 'frontier', ratio)['field']):g}"]
        for ratio in (QCP, PM)
        if has_phase(datasets, "frontier", ratio)
    }


def _prunable(
    datasets: Datasets,
    numbers: dict[float, dict[str, Any]],
    ratio: float,
    variant: str,
    who: str,
    where: str,
) -> Headline | None:
    """How much a method can prune; one limit for all, so that methods can be compared."""
    if ratio not in numbers or variant not in numbers[ratio]["methods"]:
        return None
    method = numbers[ratio]["methods"][variant]
    if method["seeds"] < FEW or method["within_kl"] is None:
        return None
    frontier = datasets["frontier"]
    fraction = 1 - method["within_kl"]["count"] / (
        frontier.attrs["sites"] * frontier.attrs["hidden"]
    )
    return Headline(
        f"weights that {who} can prune {where} with KL at most twice that of a dense RBM of "
        "maximum likelihood",
        f"{fraction:.0%}",
        number(
            fraction,
            f"1 - count / (N N_h) of the smallest count at which the median over seeds of variant "
            f"{variant} is at most twice that of the dense RBM of variant {_SURGEON}",
            "frontier/kl",
            "frontier/count",
        ),
    )


def _smallest(datasets: Datasets, numbers: dict[float, dict[str, Any]]) -> Headline | None:
    """The smallest RBM by any method with KL and mROE within limits, at the critical point."""
    best = numbers[QCP]["best"]["within_both"] if QCP in numbers else None
    if best is None:
        return None
    frontier = datasets["frontier"]
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
    behind = {
        name
        for _, finding in judged
        for each in finding.numbers.values()
        for name in each.variables
    }
    return Headline(
        "claims of the paper that hold",
        f"{found[HOLDS]} of {len(judged)} ({found[IN_PART]} in part, {found[FAILS]} not, "
        f"{found[UNDECIDED]} undecided)",
        number(
            found[HOLDS],
            "number of claims that hold, each by the numbers of its row, made from these",
            *sorted(behind),
        ),
    )
