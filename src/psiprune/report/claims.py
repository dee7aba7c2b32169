"""Claims and headlines -> the parts of a report that show them."""

from __future__ import annotations

from collections.abc import Iterable

from psiprune import claims
from psiprune.report.numbers import Number, Sentence, significant
from psiprune.report.page import Headline, Row


def claim_rows(judged: Iterable[claims.Judged]) -> list[Row]:
    """A row for each claim; each of its numbers with how it is made and of which variables."""
    return [
        Row(
            key=claim.key,
            section=claim.section,
            statement=claim.statement,
            rule=claim.rule,
            verdict=finding.verdict,
            measured=finding.measured,
            seeds=finding.seeds,
            numbers={
                name: _number(number, significant(number.value))
                for name, number in finding.numbers.items()
            },
        )
        for claim, finding in judged
    ]


def headline_cards(headlines: Iterable[claims.Headline]) -> list[Headline]:
    """The numbers to read first; what their texts add in brackets comes after the words."""
    cards = []
    for each in headlines:
        shown, bracket, rest = each.text.partition(" (")
        words = Sentence((f"{each.label}{bracket}{rest}",))
        cards.append(Headline(_number(each.number, shown), words))
    return cards


def _number(number: claims.Number, shown: str) -> Number:
    return Number(number.value, shown, f"{number.how} ({', '.join(number.variables)})")
