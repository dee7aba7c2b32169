"""Render a report as one self-contained HTML page: sections, tables, SVG figures."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import matplotlib
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from psiprune.core.text import escape
from psiprune.io.netcdf import write_bytes
from psiprune.reporting.style import STYLE
from psiprune.reporting.traced import Number, Sentence

#: Verdicts in the order of the counts, each with a symbol, so that no colour is needed.
VERDICTS: Mapping[str, str] = {
    "holds": "✓",
    "holds in part": "◐",
    "does not hold": "✗",
    "cannot be decided with this data": "?",
}


class Row(NamedTuple):
    """A claim with the rule that decides it, its verdict, and what was measured.

    `effects` are texts: what decides, with its uncertainty and n. `others` maps other ways to judge
    to their verdicts.
    """

    key: str
    section: str
    statement: str
    rule: str
    verdict: str
    measured: str
    seeds: int
    numbers: Mapping[str, Number]
    effects: Sequence[str] = ()
    others: Mapping[str, str] = MappingProxyType({})


class Headline(NamedTuple):
    """One of the numbers to read first, and what it means."""

    number: Number
    meaning: Sentence

    @property
    def numbers(self) -> tuple[Number, ...]:
        """All numbers in it."""
        return (self.number, *self.meaning.numbers)


class Summary(NamedTuple):
    """The start of a page: sentences, the main numbers, and the claims with their verdicts."""

    sentences: Sequence[Sentence] = ()
    headlines: Sequence[Headline] = ()
    claims: Sequence[Row] = ()


class Table(NamedTuple):
    """A table; the first cell of each row is its header."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str | Number]]

    @property
    def alignment(self) -> list[str]:
        """The class of each column: "words" if most of its cells begin with a letter, else ""."""
        columns = list(zip(*self.rows, strict=True)) or [()] * len(self.head)
        return [
            "words" if 2 * sum(str(cell)[:1].isalpha() for cell in column) > len(column) else ""
            for column in (
                [cell.shown if isinstance(cell, Number) else cell for cell in cells]
                for cells in columns
            )
        ]


class Section(NamedTuple):
    """A figure or a table with sentences about it; `name` is its anchor."""

    name: str
    title: str
    picture: Picture | None = None
    sentences: Sequence[Sentence] = ()
    table: Table | None = None


class Explorer(NamedTuple):
    """The levels that the slider shows: data for the page's script, and the same as tables."""

    data: Mapping[str, Any]
    tables: Sequence[Table]


class Provenance(NamedTuple):
    """How the numbers were computed.

    Attributes:
        facts: name -> value, of the run.
        configuration: as text.
        stages: stages computed by other versions of the code -> what differs.
    """

    facts: Mapping[str, str]
    configuration: str = ""
    stages: Mapping[str, str] = MappingProxyType({})


class Report(NamedTuple):
    """The content of a page; `banner` says above everything else what it is of, name -> text."""

    title: str
    introduction: Sequence[str]
    summary: Summary
    sections: Sequence[Section]
    explorer: Explorer | None
    provenance: Provenance
    command: str
    banner: Mapping[str, str] = MappingProxyType({})


def render(report: Report) -> str:
    """Return the report as one HTML page that needs no network and no other file.

    A content security policy in the page forbids loading anything, and running any script except
    the page's own, which is identified by its hash.
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
    """Write a report as one HTML file, atomically.

    Raises:
        OSError: the file cannot be written.
    """
    return write_bytes(file, render(report).encode())


def _counts(claims: Sequence[Row]) -> list[tuple[str, int]]:
    """Count the claims by verdict; verdicts without a claim are left out."""
    found = Counter(row.verdict for row in claims)
    order = [*VERDICTS, *sorted(set(found) - set(VERDICTS))]
    return [(verdict, found[verdict]) for verdict in order if found[verdict]]


def _escaped(value: Any) -> Any:
    """Escape control characters in text, which may come from files; markup is psiprune's."""
    foreign = isinstance(value, str) and not isinstance(value, Markup)
    return escape(value, keep="\n") if foreign else value


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("psiprune.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_escaped,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["sourced"] = lambda part: isinstance(part, Number)
    return environment


@cache
def _text(name: str) -> str:
    """Return a template file unchanged."""
    environment = _environment()
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


_WIDTH = re.compile(r"<svg\b[^>]*?\swidth=\"([0-9.]+)(pt|px)?\"")
_COORDINATES = re.compile(r"(?<=\s)(?:d|x|y)=\"[^\"]*\"")
_LONG = re.compile(r"(\.\d\d)\d+")
_METADATA = re.compile(r"<metadata>.*?</metadata>\s*|<!--.*?-->\s*", re.DOTALL)


class Picture(NamedTuple):
    """An SVG embedded in a page.

    As an image, not as elements of the page: so ids and styles of several pictures cannot collide,
    and nothing in it can run or be loaded.

    Attributes:
        uri: data URI.
        width: natural width in px, None where the SVG does not give one.
        alt: alternative text.
    """

    uri: str
    width: float | None
    alt: str


def picture(figure: Figure | str, alt: str) -> Picture:
    """Embed a figure, or the text of an SVG; coordinates are rounded to 0.01 points."""
    svg = figure if isinstance(figure, str) else _svg(figure)
    svg = _COORDINATES.sub(lambda found: _LONG.sub(r"\1", found[0]), _METADATA.sub("", svg))
    found = _WIDTH.search(svg)
    width = float(found[1]) * (4 / 3 if found[2] == "pt" else 1.0) if found else None
    code = base64.b64encode(svg.encode()).decode()
    return Picture(f"data:image/svg+xml;base64,{code}", width, alt)


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
