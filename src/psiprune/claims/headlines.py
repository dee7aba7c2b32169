"""The five numbers of a summary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from psiprune.claims.access import PM, QCP, has_phase, phase
from psiprune.claims.compare import FEW
from psiprune.claims.finding import (
    FAILS,
    HOLDS,
    IN_PART,
    UNDECIDED,
    Datasets,
    Number,
    number,
)
from psiprune.claims.judge import Judged, counts
from psiprune.tables.frontier import frontier_numbers

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
    found = [
        _prunable(datasets, QCP, _PAPER, "the paper's method", "at the critical point"),
        _prunable(datasets, PM, _PAPER, "the paper's method", "in the paramagnetic phase"),
        _prunable(datasets, QCP, _SURGEON, "the surgeon", "at the critical point"),
        _smallest(datasets),
        _claims(judged),
    ]
    return [each for each in found if each is not None]


def _numbers(datasets: Datasets, ratio: float) -> dict[str, Any] | None:
    """What the frontier says of a phase, if it is there with the RBMs that limits come from."""
    if "frontier" not in datasets or not has_phase(datasets, "frontier", ratio):
        return None
    if _SURGEON not in datasets["frontier"]["variant"].values:
        return None
    field = float(phase(datasets, "frontier", ratio)["field"])
    return dict(frontier_numbers(datasets["frontier"])[f"h={field:g}"])


def _prunable(
    datasets: Datasets, ratio: float, variant: str, who: str, where: str
) -> Headline | None:
    """How much a method can prune; one limit for all, so that methods can be compared."""
    numbers = _numbers(datasets, ratio)
    if numbers is None or variant not in numbers["methods"]:
        return None
    method = numbers["methods"][variant]
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


def _smallest(datasets: Datasets) -> Headline | None:
    """The smallest RBM by any method with KL and mROE within limits, at the critical point."""
    numbers = _numbers(datasets, QCP)
    best = None if numbers is None else numbers["best"]["within_both"]
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
    return Headline(
        "claims of the paper that hold",
        f"{found[HOLDS]} of {len(judged)} ({found[IN_PART]} in part, {found[FAILS]} not, "
        f"{found[UNDECIDED]} undecided)",
        number(found[HOLDS], "number of claims by verdict", "claims/verdict"),
    )
