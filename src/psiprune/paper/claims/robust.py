"""The claims of Fig. 2 judged again for RBMs that were trained otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from psiprune.paper.claims import order, sensitivity, structure, thresholds, training_set, unharmed
from psiprune.paper.claims.base import (
    UNDECIDED,
    Claim,
    Datasets,
    Finding,
    Judged,
    find,
    listed,
)
from psiprune.reporting.tables import align

#: The studies trained otherwise, and how.
TRAININGS: Mapping[str, str] = {
    "robust-constant": "CD-10 at a constant rate of 0.01",
    "robust-cd-1": "CD-1",
    "robust-cd-1-constant": "CD-1 at a constant rate of 0.01",
    "robust-exact": "exact natural gradient",
}
_MODULES = (unharmed, thresholds, training_set, order, sensitivity, structure)
#: Claims of the study alone that no training can change.
_FIXED = ("data-abs-m", "data-m", "data-middle", "table-1", "disconnected-at-18")
#: The claims that are judged again.
STUDIED = tuple(
    value
    for module in _MODULES
    for value in vars(module).values()
    if isinstance(value, Claim) and value.needs == ("study",) and value.key not in _FIXED
)


def with_trainings(claim: Claim, finding: Finding, datasets: Datasets) -> Finding:
    """Return the finding of a claim with the verdicts for all other trainings, if it has any.

    A sentence at its end says where the verdict is another one.
    """
    keys = [key for key in TRAININGS if key in datasets]
    if claim not in STUDIED or not keys:
        return finding
    # Sums over all states are of the main study alone.
    rest = {key: each for key, each in datasets.items() if key not in ("study", "sums")}
    found = {key: find(claim, {**rest, "study": datasets[key]}).verdict for key in keys}
    known = {key: verdict for key, verdict in found.items() if verdict != UNDECIDED}
    if not known:
        return finding
    measured = f"{finding.measured} Trained otherwise{_elsewhere(known, finding.verdict)}."
    return finding._replace(measured=measured, schedules=found)


def _elsewhere(found: Mapping[str, str], main: str) -> str:
    """Where the verdict is another one: ", it does not hold with CD-1 and holds with ..."."""
    others: dict[str, list[str]] = {each: [] for each in found.values() if each != main}
    for key, verdict in found.items():
        if verdict != main:
            others[verdict].append(TRAININGS[key])
    parts = [f"{verdict} with {listed(titles)}" for verdict, titles in others.items()]
    return f", it {listed(parts)}" if parts else ", the same"


def robustness_numbers(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """Return one JSON object per claim that was judged for several trainings.

    key, statement; verdicts: "study" for the main training, and the names of the other studies ->
    verdict; robust: whether all are the same.
    """
    return [
        {
            "key": claim.key,
            "statement": claim.statement,
            "verdicts": {"study": finding.verdict, **finding.schedules},
            "robust": set(finding.schedules.values()) <= {finding.verdict, UNDECIDED},
        }
        for claim, finding in judged
        if finding.schedules
    ]


def robustness_text(judged: Sequence[Judged]) -> str:
    """Format one line per claim, with a column for each training."""
    titles, rows = _table(judged)
    marks = [f"{letter}: {title}" for letter, title in zip("abcdefgh", titles, strict=False)]
    head = ["claim", *(mark[0] for mark in marks)]
    return "\n".join([align([head, *rows]), "", *marks, _total(judged)])


def robustness_markdown(judged: Sequence[Judged]) -> str:
    """Format the same as a Markdown table."""
    titles, rows = _table(judged)
    lines = ["| Claim | " + " | ".join(titles) + " |", "| --- |" + " --- |" * len(titles)]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([_total(judged), "", *lines, ""])


def _table(judged: Sequence[Judged]) -> tuple[list[str], list[list[str]]]:
    """Titles of the trainings, and for each claim its key and its verdicts."""
    rows, names = [], ["study"]
    for row in robustness_numbers(judged):
        names, main = list(row["verdicts"]), row["verdicts"]["study"]
        marked = [_shown(each, main) for each in row["verdicts"].values()]
        rows.append([row["key"], *marked])
    return ["CD-10 (main)", *(TRAININGS[name] for name in names[1:])], rows


def _shown(verdict: str, main: str) -> str:
    if verdict == UNDECIDED:
        return "–"
    return verdict if verdict == main else f"{verdict} *"


def _total(judged: Sequence[Judged]) -> str:
    rows = robustness_numbers(judged)
    same = sum(row["robust"] for row in rows)
    return f"{same} of {len(rows)} verdicts are the same for every training; * marks another one."
