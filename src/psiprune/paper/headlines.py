"""The five numbers of a summary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psiprune.experiments.tables import table_numbers
from psiprune.paper.claims.base import FAILS, HOLDS, IN_PART, UNDECIDED, Datasets, Judged
from psiprune.paper.claims.data import PM, QCP, has_phase, phase
from psiprune.paper.claims.judge import counts
from psiprune.paper.claims.tests import FEW
from psiprune.reporting.page import Headline
from psiprune.reporting.traced import Number, Sentence

_PAPER, _SURGEON = "magnitude-cd", "surgeon"


def headlines(datasets: Datasets, judged: Sequence[Judged]) -> list[Headline]:
    """Return up to five numbers; one whose dataset is missing is left out."""
    frontier = _numbers(datasets)
    at_qcp, in_pm = "at the critical point", "in the paramagnetic phase"
    found = [
        _prunable(datasets, frontier, QCP, _PAPER, f"the paper's method can prune {at_qcp}"),
        _prunable(datasets, frontier, PM, _PAPER, f"the paper's method can prune {in_pm}"),
        _prunable(datasets, frontier, QCP, _SURGEON, f"the surgeon can prune {at_qcp}"),
        _smallest(datasets, frontier),
        _claims(judged),
    ]
    return [headline for headline in found if headline is not None]


def headlines_numbers(found: Sequence[Headline]) -> list[dict[str, Any]]:
    """Return one JSON object per headline."""
    return [
        {
            "label": each.meaning.text,
            "value": each.number.value,
            "variables": list(each.number.variables),
            "how": each.number.how,
        }
        for each in found
    ]


def _headline(
    value: float, shown: str, meaning: str, how: str, variables: Sequence[str]
) -> Headline:
    return Headline(Number(value, shown, how, tuple(variables)), Sentence((meaning,)))


def _numbers(datasets: Datasets) -> dict[float, dict[str, Any]]:
    """The numbers of the frontier by h/J, if it has the RBMs that the limits refer to."""
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
) -> Headline | None:
    """How much a method can prune; one limit for all, so that methods can be compared."""
    method = numbers.get(ratio, {"methods": {}})["methods"].get(variant)
    if method is None or method["seeds"] < FEW or method["within_kl"] is None:
        return None
    attributes = datasets["frontier"].attrs
    fraction = 1 - method["within_kl"]["count"] / (attributes["sites"] * attributes["hidden"])
    return _headline(
        fraction,
        f"{fraction:.0%}",
        f"weights that {who} with KL at most twice that of a dense RBM of maximum likelihood",
        "1 - count / (N N_h) of the smallest count at which the median over seeds of variant "
        f"{variant} is at most twice that of the dense RBM of variant {_SURGEON}",
        ("frontier/kl", "frontier/count"),
    )


def _smallest(datasets: Datasets, numbers: dict[float, dict[str, Any]]) -> Headline | None:
    """The smallest RBM by any method with KL and mROE within limits, at the critical point."""
    best = numbers[QCP]["best"]["within_both"] if QCP in numbers else None
    if best is None:
        return None
    attributes = datasets["frontier"].attrs
    return _headline(
        best["count"],
        f"{best['count']} of {attributes['sites'] * attributes['hidden']}",
        "weights of the smallest model with KL within twice the dense one and mROE below "
        f"{attributes['limit']:.0%} at the critical point ({best['method']})",
        "smallest count of any variant whose medians over seeds are within both limits",
        ("frontier/kl", "frontier/abs_magnetization_roe"),
    )


def _claims(judged: Sequence[Judged]) -> Headline | None:
    if not judged:
        return None
    found = counts(judged)
    return _headline(
        found[HOLDS],
        f"{found[HOLDS]} of {len(judged)}",
        f"claims of the paper that hold ({found[IN_PART]} in part, {found[FAILS]} not, "
        f"{found[UNDECIDED]} undecided)",
        "number of claims that hold, each by the numbers of its row, computed from these",
        sorted({v for _, each in judged for n in each.numbers.values() for v in n.variables}),
    )
