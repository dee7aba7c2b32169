"""The parts of a report, and the one HTML page they become; what is shown is up to the caller."""

from __future__ import annotations

import base64
import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from psiprune.files import write_bytes
from psiprune.report.numbers import Number, Sentence
from psiprune.report.picture import Picture

#: Verdicts in the order of the counts, each with a symbol, so that no colour is needed.
VERDICTS: Mapping[str, str] = {
    "holds": "✓",
    "holds in part": "◐",
    "does not hold": "✗",
    "cannot be decided with this data": "?",
}


class Row(NamedTuple):
    """A claim with the rule that decides it, its verdict, and what was measured."""

    key: str
    section: str
    statement: str
    rule: str
    verdict: str
    measured: str
    seeds: int
    numbers: Mapping[str, Number]


class Headline(NamedTuple):
    """One of the numbers to read first, and what it is."""

    number: Number
    meaning: Sentence


class Summary(NamedTuple):
    """What stands first: sentences, the numbers to remember, and the claims with their verdicts."""

    sentences: Sequence[Sentence] = ()
    headlines: Sequence[Headline] = ()
    claims: Sequence[Row] = ()


class Table(NamedTuple):
    """A table; the first cell of each row is the row's head."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str | Number]]


class Section(NamedTuple):
    """A figure or a table with what its numbers say; `name` is its anchor."""

    name: str
    title: str
    picture: Picture | None = None
    sentences: Sequence[Sentence] = ()
    table: Table | None = None


class Explorer(NamedTuple):
    """What the slider steps through: data for the page's script, and the same levels as tables."""

    data: Mapping[str, Any]
    tables: Sequence[Table]


class Provenance(NamedTuple):
    """Where the numbers come from: name -> value, and the configuration as text.

    Attributes:
        facts: of the run as a whole.
        configuration: as text.
        stages: those that other code made -> what of theirs differs.
    """

    facts: Mapping[str, str]
    configuration: str = ""
    stages: Mapping[str, str] = MappingProxyType({})


class Report(NamedTuple):
    """All that a page shows."""

    title: str
    introduction: Sequence[str]
    summary: Summary
    sections: Sequence[Section]
    explorer: Explorer | None
    provenance: Provenance
    command: str


def render(report: Report) -> str:
    """The report as one HTML page that needs nothing else: no network, no other file.

    A content security policy in the page forbids loading anything, and running any script but the
    page's own, which is named by its hash.
    """
    script = Markup(_text("explorer.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        _environment()
        .get_template("page.html")
        .render(
            **report._asdict(),
            counts=_counts(report.summary.claims),
            symbols=VERDICTS,
            style=Markup(_text("style.css")),
            script=script,
            digest=digest,
        )
    )


def write_report(file: str | os.PathLike[str], report: Report) -> Path:
    """Write a report as one HTML file, whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    return write_bytes(file, render(report).encode())


def _counts(claims: Sequence[Row]) -> list[tuple[str, int]]:
    """How many claims have each verdict, those without a claim left out."""
    found = Counter(row.verdict for row in claims)
    order = [*VERDICTS, *sorted(set(found) - set(VERDICTS))]
    return [(verdict, found[verdict]) for verdict in order if found[verdict]]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("psiprune.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["sourced"] = lambda part: isinstance(part, Number)
    return environment


@cache
def _text(name: str) -> str:
    """A file of the templates as it is."""
    environment = _environment()
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]
