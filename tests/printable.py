"""What can be asserted of a figure at the size at which a journal prints it."""

from __future__ import annotations

import io
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text

from psiprune.reporting.style import ONE_COLUMN, STYLE, TWO_COLUMNS

#: Points of the smallest text, inches of the highest page, and the most curves of a panel.
SMALLEST, HIGHEST, SERIES = 4.4, 9.7, 6
#: Labels of what is drawn to compare with, not to compare.
REFERENCES = (
    *("floor", "exact", "mROE", "parameters /", "dense RBM, no mask", "all dense", "neither"),
    *("the fits", "curves end", "one standard", "ρ", "1/d", "graph", "N = 18 must", "correlation"),
    *("pruned: dense", "proportional", "training set"),
)


def panels(figure: Figure) -> list[Axes]:
    """The axes of a figure that hold data."""
    return [ax for ax in figure.get_axes() if ax.axison and ax.get_label() != "<colorbar>"]


def legends_of(figure: Figure) -> list[Legend]:
    """The legends of a figure and of its axes."""
    own = (ax.get_legend() for ax in figure.get_axes())
    return [*figure.legends, *(legend for legend in own if legend is not None)]


def texts(figure: Figure) -> list[Text]:
    """All text that is drawn."""
    found: list[Any] = [*figure.texts]
    for legend in legends_of(figure):
        found += [*legend.get_texts(), legend.get_title()]
    axes: list[Any] = [ax for ax in figure.get_axes() if ax.axison]
    for ax in axes:
        found += [ax.title, ax._left_title, ax._right_title, *ax.texts]
        for axis in (each for each in (ax.xaxis, ax.yaxis) if each.get_visible()):
            found += [axis.label, axis.get_offset_text()]
            for tick in axis._update_ticks():
                found += [tick.label1, tick.label2]
    return [text for text in found if text.get_visible() and text.get_text().strip()]


def check_printable(figure: Figure) -> None:
    """One or two columns wide, all text inside, large enough, and not over other text or data."""
    width, height = figure.get_size_inches()
    assert any(width == pytest.approx(each) for each in (ONE_COLUMN, TWO_COLUMNS))
    assert height <= HIGHEST
    with matplotlib.rc_context(STYLE):
        figure.draw_without_rendering()
    found = texts(figure)
    boxes = np.array([text.get_window_extent().extents for text in found])
    names = [text.get_text() for text in found]
    low, high = boxes[:, :2], boxes[:, 2:]
    right, top = figure.bbox.max
    outside = (low < -1.0).any(axis=1) | (high > (right + 1.0, top + 1.0)).any(axis=1)
    assert not outside.any(), [names[k] for k in np.flatnonzero(outside)]
    assert min(float(text.get_fontsize()) for text in found) >= SMALLEST
    shared = np.minimum(high[:, None], high[None]) - np.maximum(low[:, None], low[None])
    over = np.triu((shared > 1.0).all(axis=2), 1)
    assert not over.any(), [(names[a], names[b]) for a, b in np.argwhere(over)]
    drawn = [np.asarray(ax.get_window_extent().extents) for ax in panels(figure)]
    for legend in legends_of(figure):
        box = np.asarray(legend.get_window_extent().extents)
        for panel in drawn:
            apart = (box[:2] >= panel[2:] - 1.0).any() or (panel[:2] >= box[2:] - 1.0).any()
            assert apart, [text.get_text() for text in legend.get_texts()]
    for ax in panels(figure):
        labels = ax.get_legend_handles_labels()[1]
        assert len({x for x in labels if not _is_reference(x)}) <= SERIES, labels


def _is_reference(label: str) -> bool:
    return any(word in label for word in REFERENCES) or label.endswith(("a tree", "fall apart"))


def check_text_is_text(figure: Figure) -> None:
    """The SVG holds text that can be searched, and no outlines of letters."""
    buffer = io.StringIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(buffer, format="svg")
    svg = buffer.getvalue()
    assert "<text" in svg
    assert "DejaVuSans-" not in svg
