"""Figures as pictures in a page."""

from __future__ import annotations

import base64
import io
import re
from typing import NamedTuple

import matplotlib
from matplotlib.figure import Figure

_WIDTH = re.compile(r"<svg\b[^>]*?\swidth=\"([0-9.]+)(pt|px)?\"")
_COORDINATES = re.compile(r"(?<=\s)(?:d|x|y)=\"[^\"]*\"")
_LONG = re.compile(r"(\.\d\d)\d+")
_METADATA = re.compile(r"<metadata>.*?</metadata>\s*|<!--.*?-->\s*", re.DOTALL)


class Picture(NamedTuple):
    """An SVG that a page holds in itself.

    As an image, not as elements of the page: so neither ids nor styles of several can meet, and
    nothing in it can run or be loaded.

    Attributes:
        uri: data URI.
        width: natural width in px, None where the SVG does not say.
        alt: what is to be seen.
    """

    uri: str
    width: float | None
    alt: str


def picture(figure: Figure | str, alt: str) -> Picture:
    """A figure, or the text of an SVG, as a picture; coordinates to a hundredth of a point."""
    svg = figure if isinstance(figure, str) else _svg(figure)
    svg = _COORDINATES.sub(lambda found: _LONG.sub(r"\1", found[0]), _METADATA.sub("", svg))
    found = _WIDTH.search(svg)
    width = float(found[1]) * (4 / 3 if found[2] == "pt" else 1.0) if found else None
    code = base64.b64encode(svg.encode()).decode()
    return Picture(f"data:image/svg+xml;base64,{code}", width, alt)


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "psiprune"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
