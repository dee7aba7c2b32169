"""Judge all claims; report them as a table, as Markdown and as plain numbers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from psiprune.paper.claims import (
    ablation,
    decay,
    order,
    rare,
    sensitivity,
    sparse,
    sparse_best,
    sparse_masks,
    structure,
    stuck,
    thresholds,
    training_set,
    unharmed,
)
from psiprune.paper.claims.base import VERDICTS, Claim, Datasets, Effect, Judged, find
from psiprune.paper.claims.robust import with_trainings
from psiprune.reporting.tables import align

#: Where the claims are, in the order of a table.
_MODULES = (
    *(unharmed, thresholds, training_set, order, sensitivity, decay, structure),
    *(sparse, sparse_best, sparse_masks, stuck, ablation, rare),
)
#: Effects that a table shows of a claim, one for each measure.
_EFFECTS = 3
#: All claims of the paper.
CLAIMS = tuple(
    value for module in _MODULES for value in vars(module).values() if isinstance(value, Claim)
)


def judge(datasets: Datasets, claims: Sequence[Claim] = CLAIMS) -> list[Judged]:
    """Judge claims by their rules.

    A claim is undecided if a dataset is missing or has too few seeds, levels or sites for the rule;
    the finding then gives the reason instead of what was measured. Claims of Fig. 2 are judged for
    each training of `TRAININGS` as well.

    Args:
        datasets: by name, as `psiprune paper` makes them; any may be missing.
        claims: which to judge, all by default.
    """
    return [
        Judged(claim, with_trainings(claim, find(claim, datasets), datasets)) for claim in claims
    ]


def counts(judged: Sequence[Judged]) -> dict[str, int]:
    """Count the claims by verdict, including verdicts that no claim has."""
    found = Counter(each.finding.verdict for each in judged)
    return {verdict: found[verdict] for verdict in VERDICTS}


def claims_numbers(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """Return one JSON object per claim.

    numbers maps names to values, null where not finite; sources maps the same names to the
    variables that a number is computed from, and how. effects are what decides, with a 68 %
    confidence interval, null where there is none; readings and schedules map other ways to judge,
    and other trainings, to their verdicts.
    """
    return [
        {
            **{name: getattr(claim, name) for name in ("key", "section", "statement", "rule")},
            "needs": list(claim.needs),
            "verdict": finding.verdict,
            "measured": finding.measured,
            "seeds": int(finding.seeds),
            "effects": [_effect_numbers(effect) for effect in finding.effects],
            "readings": dict(finding.readings),
            "schedules": dict(finding.schedules),
            "numbers": {name: _finite(each.value) for name, each in finding.numbers.items()},
            "sources": {
                name: {"variables": list(each.variables), "how": each.how}
                for name, each in finding.numbers.items()
            },
        }
        for claim, finding in judged
    ]


def _effect_numbers(effect: Effect) -> dict[str, Any]:
    bounds = {name: _finite(getattr(effect, name)) for name in ("value", "low", "high")}
    return {"what": effect.what, **bounds, "n": effect.n}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def claims_text(judged: Sequence[Judged]) -> str:
    """Format one line per claim: verdict, main effect with its interval; the counts at the end."""
    rows = [["verdict", "claim", "section", "effect", "n"]]
    rows += [
        [finding.verdict, claim.key, claim.section, *_first_effect(finding.effects)]
        for claim, finding in judged
    ]
    return f"{align(rows)}\n\n{len(judged)} claims: {_total(judged)}"


def _first_effect(effects: Sequence[Effect]) -> tuple[str, str]:
    if not effects:
        return "", ""
    return effects[0].shown, str(effects[0].n)


def claims_markdown(judged: Sequence[Judged]) -> str:
    """Format a Markdown table: what the paper says, verdict, effects, and what was measured."""
    rows = [
        (
            f"{claim.statement} ({claim.section})",
            finding.verdict,
            "; ".join(map(str, finding.effects[:_EFFECTS])),
            finding.measured,
        )
        for claim, finding in judged
    ]
    # Markdown would render <m> as an HTML tag.
    lines = [
        " | ".join(cell.replace("|", "\\|").replace("<", "&lt;") for cell in row) for row in rows
    ]
    table = ["| The paper | Verdict | Effect | Measured |", "| --- | --- | --- | --- |"]
    table += [f"| {line} |" for line in lines]
    return "\n".join([f"{len(judged)} claims: {_total(judged)}.", "", *table, ""])


def _total(judged: Sequence[Judged]) -> str:
    return ", ".join(f"{count} {verdict}" for verdict, count in counts(judged).items())
