"""Every number in the text of a finding is among its numbers, with its variables."""

from __future__ import annotations

import math
import re

import pytest

from invented import world
from psiprune.paper.claims.base import Claim
from psiprune.paper.claims.judge import CLAIMS, Judged, judge

_TOKEN = re.compile(r"(?<![\w.])[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?%?")
#: What is no measurement: names, sizes and seeds that the data is of, and the rule's thresholds.
_NO_NUMBERS = (
    r"1 - F|3 N_h|Fig\. 1|0\.9\^n|16 to 84 %|m = 0\b|below 0\b",  # names
    r"N = \d+|K = \d+|\d+ units has|step 18\b|have \d\b",  # of what: sizes, steps, widths
    r"\d+ (dense )?(seeds|RBMs|pairs)",
    r"\d+%: (?=N =)|harmed at 80%|of 3 harmed|within 10? %|at least (5 times|10 in)",  # rules
    r"0\.98 ± 0\.19|it is 0 in",  # what the paper says, and what is exact
)


def untraced(judged: Judged) -> list[str]:
    """The numbers in the words of a finding that none of its numbers rounds to."""
    finding = judged.finding
    text = re.sub("|".join(_NO_NUMBERS), "", finding.measured)
    values = [each.value for each in finding.numbers.values() if math.isfinite(each.value)]
    return [token for token in _TOKEN.findall(text) if not any(_is(token, v) for v in values)]


def _is(token: str, value: float) -> bool:
    """Whether a value, or its percentage, reads like this."""
    digits_shown = token.rstrip("%")
    scale = 100.0 if token.endswith("%") else 1.0
    mantissa, _, power = digits_shown.partition("e")
    digits = len(mantissa.partition(".")[2])
    half = 0.5 * 10.0 ** (int(power or 0) - digits)
    return abs(float(digits_shown) - scale * value) <= half * (1 + 1e-6)


@pytest.mark.parametrize("claim", CLAIMS, ids=[claim.key for claim in CLAIMS])
def test_every_number_in_the_text_has_its_variables(claim: Claim) -> None:
    (judged,) = judge(world(), [claim])
    assert not untraced(judged), judged.finding.measured


def test_a_number_without_variables_is_noticed() -> None:
    (judged,) = judge(world(), [claim for claim in CLAIMS if claim.key == "table-1"])
    finding = judged.finding
    for wrong in ("5 % of 17 weights", "-0.03", "1e-07", "99.2%"):
        spoilt = finding._replace(measured=f"{finding.measured} {wrong}")
        assert untraced(Judged(judged.claim, spoilt))
    lost = {name: each for name, each in finding.numbers.items() if name != "kept_7"}
    assert untraced(Judged(judged.claim, finding._replace(numbers=lost))) == ["77"]
