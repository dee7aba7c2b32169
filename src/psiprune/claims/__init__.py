"""The claims of the paper, each judged by a rule that stands in code before any run.

Datasets -> findings: `judge`. A file holds the claims of one theme, each with its words, its rule
in words, and the function that is this rule; `finding.py` says what a claim is, `compare.py` has
the thresholds that all of them share.
"""

from psiprune.claims.finding import (
    FAILS,
    HOLDS,
    IN_PART,
    UNDECIDED,
    VERDICTS,
    Claim,
    Finding,
    Number,
)
from psiprune.claims.headlines import Headline, headlines
from psiprune.claims.judge import (
    CLAIMS,
    Judged,
    claims_markdown,
    claims_numbers,
    claims_text,
    counts,
    judge,
)

__all__ = [
    "CLAIMS",
    "FAILS",
    "HOLDS",
    "IN_PART",
    "UNDECIDED",
    "VERDICTS",
    "Claim",
    "Finding",
    "Headline",
    "Judged",
    "Number",
    "claims_markdown",
    "claims_numbers",
    "claims_text",
    "counts",
    "headlines",
    "judge",
]
