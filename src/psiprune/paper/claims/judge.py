"""Judge all claims; report them as a table, as Markdown and as plain numbers."""

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

#: Where the claims are, in the order of a table.
_MODULES = (
    *(unharmed, thresholds, training_set, order, sensitivity, decay, structure),
    *(sparse, sparse_best, sparse_masks, ablation),
)
#: All claims of the paper.
CLAIMS = tuple(
    value for module in _MODULES for value in vars(module).values() if isinstance(value, Claim)
)


class Judged(NamedTuple):
    """A claim and its finding."""

    claim: Claim
    finding: Finding


def judge(datasets: Datasets, claims: Sequence[Claim] = CLAIMS) -> list[Judged]:
    """Judge claims by their rules.

    A claim is undecided if a dataset is missing or has too few seeds, levels or sites for the rule;
    the finding then gives the reason instead of what was measured.

    Args:
        datasets: by name, as `psiprune paper` makes them; any may be missing.
        claims: which to judge, all by default.
    """
    return [Judged(claim, _judged(claim, datasets)) for claim in claims]


def _judged(claim: Claim, datasets: Datasets) -> Finding:
    missing = [need for need in claim.needs if not any(fnmatch(key, need) for key in datasets)]
    if missing:
        return Finding(UNDECIDED, f"Not run: {', '.join(missing)}.", 0, {})
    try:
        return claim.judge(datasets)
    except InsufficientDataError as reason:
        text = str(reason)
        return Finding(UNDECIDED, f"{text[0].upper()}{text[1:]}.", 0, {})


def counts(judged: Sequence[Judged]) -> dict[str, int]:
    """Count the claims by verdict, including verdicts that no claim has."""
    found = Counter(each.finding.verdict for each in judged)
    return {verdict: found[verdict] for verdict in VERDICTS}


def claims_numbers(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """Return one JSON object per claim.

    numbers maps names to values, null where not finite; sources maps the same names to the
    variables that a number is computed from, and how.
    """
    return [
        {
            **{name: getattr(claim, name) for name in ("key", "section", "statement", "rule")},
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
    """Format one line per claim with its verdict, and the counts at the end."""
    rows = [["verdict", "claim", "section", "seeds"]]
    rows += [
        [finding.verdict, claim.key, claim.section, str(finding.seeds)] for claim, finding in judged
    ]
    return f"{align(rows)}\n\n{len(judged)} claims: {_total(judged)}"


def claims_markdown(judged: Sequence[Judged]) -> str:
    """Format a Markdown table: what the paper says, the verdict, and what was measured."""
    rows = [
        (f"{claim.statement} ({claim.section})", finding.verdict, finding.measured)
        for claim, finding in judged
    ]
    # Markdown would render <m> as an HTML tag.
    lines = [
        " | ".join(cell.replace("|", "\\|").replace("<", "&lt;") for cell in row) for row in rows
    ]
    table = ["| The paper | Verdict | Measured |", "| --- | --- | --- |"]
    table += [f"| {line} |" for line in lines]
    return "\n".join([f"{len(judged)} claims: {_total(judged)}.", "", *table, ""])


def _total(judged: Sequence[Judged]) -> str:
    return ", ".join(f"{count} {verdict}" for verdict, count in counts(judged).items())
