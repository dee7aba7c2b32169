"""All claims judged, and what is told of them in a table and as plain numbers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatch
from typing import Any, NamedTuple

from psiprune.paper.claims import (
    ablation,
    decay,
    order,
    sensitivity,
    sparse,
    sparse_best,
    sparse_masks,
    structure,
    thresholds,
    training_set,
    unharmed,
)
from psiprune.paper.claims.base import (
    UNDECIDED,
    VERDICTS,
    Claim,
    Datasets,
    Finding,
    InsufficientDataError,
)
from psiprune.reporting.tables import align

#: All claims of the paper, in the order of a table.
CLAIMS: tuple[Claim, ...] = (
    *unharmed.CLAIMS,
    *thresholds.CLAIMS,
    *training_set.CLAIMS,
    *order.CLAIMS,
    *sensitivity.CLAIMS,
    *decay.CLAIMS,
    *structure.CLAIMS,
    *sparse.CLAIMS,
    *sparse_best.CLAIMS,
    *sparse_masks.CLAIMS,
    *ablation.CLAIMS,
)


class Judged(NamedTuple):
    """A claim with what was found."""

    claim: Claim
    finding: Finding


def judge(datasets: Datasets, claims: Sequence[Claim] = CLAIMS) -> list[Judged]:
    """Judge claims by their rules.

    A claim whose datasets are not all there, or hold too few seeds, levels or sites for its rule,
    is undecided, with the reason in the place of what was measured.

    Args:
        datasets: by name, as `psiprune paper` makes them; any may be missing.
        claims: which to judge, all by default.
    """
    return [Judged(claim, _judged(claim, datasets)) for claim in claims]


def _judged(claim: Claim, datasets: Datasets) -> Finding:
    missing = [need for need in claim.needs if not any(fnmatch(key, need) for key in datasets)]
    if missing:
        return Finding(UNDECIDED, f"Not run: {', '.join(missing)}.", {}, 0)
    try:
        return claim.judge(datasets)
    except InsufficientDataError as reason:
        told = str(reason)
        return Finding(UNDECIDED, f"{told[0].upper()}{told[1:]}.", {}, 0)


def counts(judged: Sequence[Judged]) -> dict[str, int]:
    """How many claims have each verdict, all verdicts named."""
    found = Counter(each.finding.verdict for each in judged)
    return {verdict: found[verdict] for verdict in VERDICTS}


def claims_numbers(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """For JSON, one object a claim.

    numbers holds each number by name, null where it is not finite; sources holds under the same
    name the variables that it is made from, and how.
    """
    return [
        {
            "key": claim.key,
            "section": claim.section,
            "statement": claim.statement,
            "rule": claim.rule,
            "needs": list(claim.needs),
            "verdict": finding.verdict,
            "measured": finding.measured,
            "seeds": int(finding.seeds),
            "numbers": {
                name: each.value if math.isfinite(each.value) else None
                for name, each in finding.numbers.items()
            },
            "sources": {
                name: {"variables": list(each.variables), "how": each.how}
                for name, each in finding.numbers.items()
            },
        }
        for claim, finding in judged
    ]


def claims_text(judged: Sequence[Judged]) -> str:
    """A line a claim with its verdict; the counts at the end."""
    rows = [["verdict", "claim", "section", "seeds"]]
    rows += [
        [finding.verdict, claim.key, claim.section, str(finding.seeds)] for claim, finding in judged
    ]
    return f"{align(rows)}\n\n{len(judged)} claims: {_total(judged)}"


def claims_markdown(judged: Sequence[Judged]) -> str:
    """A Markdown table of what the paper says, the verdict, and what was measured."""
    rows = [
        (f"{claim.statement} ({claim.section})", finding.verdict, finding.measured)
        for claim, finding in judged
    ]
    # <m> would be taken for a tag of HTML.
    lines = [
        " | ".join(cell.replace("|", "\\|").replace("<", "&lt;") for cell in row) for row in rows
    ]
    table = ["| The paper | Verdict | Measured |", "| --- | --- | --- |"]
    table += [f"| {line} |" for line in lines]
    return "\n".join([f"{len(judged)} claims: {_total(judged)}.", "", *table, ""])


def _total(judged: Sequence[Judged]) -> str:
    return ", ".join(f"{count} {verdict}" for verdict, count in counts(judged).items())
