"""Shared parts of figures: colours, bands, scales, saving."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from matplotlib.ticker import LogFormatterSciNotation, MaxNLocator
from matplotlib.transforms import blended_transform_factory
from numpy.typing import ArrayLike

from psiprune.core.statistics import band
from psiprune.io.netcdf import write_bytes
from psiprune.reporting.labels import field_label
from psiprune.reporting.style import ONE_COLUMN, STYLE, TWO_COLUMNS, AxesArray

#: Okabe & Ito's colours, distinct for any colour vision.
BLACK, BLUE, ORANGE, GREEN = "#000000", "#0072B2", "#D55E00", "#009E73"
YELLOW, PURPLE, SKY, GREY = "#E69F00", "#CC79A7", "#56B4E9", "#707070"
#: Colour, marker and line of curves in order; they differ without colour as well.
LOOKS = (
    (BLUE, "o", "-"),
    (ORANGE, "s", "--"),
    (GREEN, "^", "-."),
    (PURPLE, "D", ":"),
    (BLACK, "v", (0, (6, 1, 1, 1, 1, 1))),
    (YELLOW, "P", (0, (1, 2))),
)
KL, INFIDELITY, CORRELATION = "KL (nat)", "infidelity 1 − F", "$C_{\\mathrm{MSE}}$"
PRUNED = "fraction pruned"
#: In a panel without any value that a logarithmic axis can show.
NOTHING = "no value above 0\n(undefined where the reference is 0)"
#: Legend title of figures whose legend does not explain lines and bands.
BANDS = "line: median over seeds, band: 16 to 84 % of them"
#: The most ticks with numbers of a logarithmic axis.
_MOST_TICKS = 5
#: The most columns of panels that fit one column of a journal.
_NARROW = 2
#: Inches of a row of panels.
_HEIGHT = 1.1
#: Measures by sums over all states where these are feasible, and their axis labels.
BIASES = (
    ("kl", KL),
    ("infidelity", INFIDELITY),
    ("energy_bias", "energy bias |ΔE/E|"),
    ("abs_magnetization_bias", "bias of ⟨|m|⟩"),
    ("correlation_mse", CORRELATION),
)
#: From nothing pruned to all: purple to yellow, uniform for any colour vision, and without the
#: yellow that is invisible on white.
PRUNED_MAP = ListedColormap(matplotlib.colormaps["viridis"](np.linspace(0.0, 0.93, 256)))


def measure_grid(
    dataset: xr.Dataset, labels: Sequence[str], along: str, height: float = _HEIGHT
) -> tuple[Figure, AxesArray]:
    """Return a figure and its axes, [measure, field], labelled and lettered."""
    figure, axes = new_grid(len(labels), dataset.sizes["field"], height)
    label_grid(axes, dataset, labels, along)
    return figure, axes


def new_grid(rows: int, columns: int, height: float = _HEIGHT) -> tuple[Figure, AxesArray]:
    """Return a figure and its axes, [row, column]; a row has one scale and a height in inches."""
    figure = Figure(figsize=grid_size(rows, columns, height), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, sharey="row", squeeze=False)
    return figure, axes


def grid_size(rows: int, columns: int, height: float = _HEIGHT) -> tuple[float, float]:
    """Return width and height in inches: one column of a journal for one or two, else two."""
    return ONE_COLUMN if columns <= _NARROW else TWO_COLUMNS, 0.4 + height * rows


def label_grid(axes: AxesArray, dataset: xr.Dataset, labels: Sequence[str], along: str) -> None:
    """Label axes with a row for each measure and a column for each field, and letter them."""
    for ax, field in zip(axes[0], dataset["field"].values, strict=True):
        ax.set_title(field_label(dataset, field))
    for ax in axes[-1]:
        ax.set_xlabel(along)
        ax.xaxis.set_major_formatter("{x:g}")  # the 0 of "0.00" may reach below the y axis
    for ax, label in zip(axes[:, 0], labels, strict=True):
        ax.set_ylabel(label)
    letter(axes)


def legend_rows(
    columns: int, lines: Sequence[int], height: float = _HEIGHT, *, share: bool = True
) -> tuple[Figure, AxesArray, list[Axes]]:
    """Return a figure of one column of a journal, each row of which has a legend of its own.

    Args:
        columns: panels side by side.
        lines: of the legend below each row, with its title.
        height: of a row of panels in inches, without its labels.
        share: whether a row has one scale.

    Returns:
        The figure, its lettered axes [row, column], and empty axes for each row's legend.
    """
    one = 1.6 * _points(matplotlib.rcParams["legend.fontsize"]) / 72
    heights = [inches for count in lines for inches in (height, max(0.05, one * count))]
    figure = Figure(figsize=(ONE_COLUMN, sum(heights) + 0.35 * len(lines)), layout="constrained")
    grid = figure.add_gridspec(len(heights), columns, height_ratios=heights)
    axes = np.empty((len(lines), columns), object)
    for row, column in np.ndindex(axes.shape):
        first: Axes | None = axes[row, 0] if column and share else None
        panel = figure.add_subplot(grid[2 * row, column], sharey=first)
        panel.tick_params(labelleft=first is None)
        axes[row, column] = panel
    words = [
        figure.add_subplot(grid[2 * row + 1, :], label="<legend>") for row in range(len(lines))
    ]
    for ax in words:
        ax.set_axis_off()
    letter(axes)
    return figure, axes, words


def fill_legend(words: Axes, ax: Axes, columns: int, title: str | None = None) -> None:
    """Draw the legend of one panel on axes of `legend_rows`."""
    handles, labels = ax.get_legend_handles_labels()
    figure = words.figure.get_figure(root=True)
    columns = fitting_columns(labels, columns, figure.get_figwidth())
    middle = blended_transform_factory(figure.transFigure, words.transAxes)
    style: dict[str, Any] = {"loc": "upper center", "borderaxespad": 0.0, "title": title}
    style |= {"bbox_to_anchor": (0.5, 1.0), "bbox_transform": middle}
    # It may be wider than the panels, which must not become narrower for it.
    words.legend(handles, labels, ncols=columns, **style).set_in_layout(False)


def letter(axes: ArrayLike) -> None:
    """Write (a), (b), ... above the left end of each panel; a single one needs none."""
    panels = [ax for ax in np.ravel(np.asarray(axes, object)) if ax.axison]
    for ax, name in zip(panels, ascii_lowercase, strict=False):
        if len(panels) > 1:
            ax.set_title(f"({name})", loc="left")


def draw_band(
    ax: Axes,
    along: ArrayLike,
    values: xr.DataArray,
    line: str,
    *,
    alpha: float = 0.15,
    **style: Any,
) -> None:
    """Draw a line through the medians over `seed`, and a band of 16 to 84 % of the seeds behind it.

    Without any point, as after 0 epochs, the line appears only in the legend.
    """
    if not values.size:
        ax.plot([], [], line, **style)
        return
    low, middle, high = (quantile.values for quantile in band(values))
    ax.plot(along, middle, *filter(None, [line]), **style)
    ax.fill_between(along, low, high, color=style["color"], alpha=alpha, lw=0)


def without_sampling(study: xr.Dataset, name: str) -> xr.DataArray:
    """Return a measure by sums over all states if the study has it, else from samples."""
    return study[f"{name}_exact"] if f"{name}_exact" in study else study[name]


def pruned_scale(figure: Figure, axes: AxesArray, most: float) -> ScalarMappable:
    """Add a colour bar from 0 to a fraction pruned below some axes, and return its colours."""
    colors = ScalarMappable(Normalize(0.0, most), PRUNED_MAP)
    figure.colorbar(colors, ax=axes, label=PRUNED, location="bottom", aspect=40, pad=0.01)
    return colors


def log_grid(ax: Axes) -> None:
    """Make the y axis logarithmic as in `log_y`, with a faint grid."""
    log_y(ax)
    faint_grid(ax)


def log_y(ax: Axes) -> bool:
    """Make the y axis logarithmic if a value above 0 is drawn already; return whether one is.

    Else the axis stays linear and the panel says so: a bias relative to 0 is undefined, such as
    that of <|m|> if m = 0 in every configuration. Without a value above 0 a logarithmic axis may
    have no limits, and then cannot be saved.
    """
    positive = bool(np.isfinite(ax.dataLim.minposy))
    if positive:
        ax.set_yscale("log")
        ax.yaxis.set_minor_formatter(_FewLabels(minor_thresholds=(1, 1)))
    else:
        style: dict[str, Any] = {"ha": "center", "va": "center", "color": GREY}
        ax.text(0.5, 0.5, NOTHING, transform=ax.transAxes, **style)
    return positive


class _FewLabels(LogFormatterSciNotation):
    """Labels of minor ticks that do not touch: 2 and 5, or all within a quarter of a decade."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Return the label of a tick."""
        assert self.axis is not None
        low, high = sorted(self.axis.get_view_interval())
        digit = round(x / 10.0 ** math.floor(math.log10(x) + 1e-9))
        return super().__call__(x, pos) if digit in (2, 5) or high < 1.8 * low else ""


def mark_beyond(ax: Axes, along: ArrayLike, values: ArrayLike, color: str) -> None:
    """Mark points outside the limits of the y axis by triangles at its ends.

    They include values that are not positive on a logarithmic axis; NaN is no point.
    """
    (low, high), x, y = ax.get_ylim(), np.asarray(along, float), np.asarray(values, float)
    for beyond, at, marker in ((y > high, 0.98, "^"), (y < low, 0.02, "v")):
        if beyond.any():
            place = ax.get_xaxis_transform()
            style: dict[str, Any] = {"ls": "none", "ms": 3.5, "color": color, "zorder": 3}
            ax.plot(x[beyond], np.full(beyond.sum(), at), marker, transform=place, **style)


def round_ticks(axis: Axis) -> None:
    """Set ticks 1, 2, 5, 10, ..., or fewer, on a logarithmic axis of less than two decades."""
    low, high = axis.get_view_interval()
    if high < 100 * low:
        shown = [mark for mark in MaxNLocator(4).tick_values(low, high) if low <= mark <= high]
        for digits in ((1, 2, 5), (1, 3), (1,)) if high > 4 * low else ():
            marks = [float(f"{m}e{e}") for e in range(-12, 7) for m in digits]
            shown = [mark for mark in marks if low <= mark <= high]
            if len(shown) <= _MOST_TICKS:
                break
        axis.set_ticks(shown, [f"{mark:g}" for mark in shown])
        axis.set_ticks([], minor=True)


def faint_grid(ax: Axes) -> None:
    """Draw a faint grid behind the data."""
    ax.grid(visible=True)


def legend_below(figure: Figure, ax: Axes, columns: int, **style: Any) -> None:
    """Draw the legend of one axes below all axes of the figure, which grows by as much.

    It has at most so many columns, fewer where the figure is narrower than its labels.
    """
    handles, labels = ax.get_legend_handles_labels()
    lines = legend_lines(labels, columns, figure.get_figwidth())
    columns = fitting_columns(labels, columns, figure.get_figwidth())
    lines += 1 if style.get("title") else 0
    spaced = 1.25 + matplotlib.rcParams["legend.labelspacing"]
    inches = lines * spaced * _points(matplotlib.rcParams["legend.fontsize"]) / 72
    figure.set_figheight(figure.get_figheight() + inches)
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, **style)


def legend_above(ax: Axes, columns: int = 2) -> None:
    """Draw the legend of the named curves of one panel above its right end, in a row."""
    handles, labels = ax.get_legend_handles_labels()
    style: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1.0, 1.0)}
    ax.legend(handles, labels, ncols=columns, borderaxespad=0.0, **style)


def legend_lines(labels: Sequence[str], most: int, width: float = ONE_COLUMN) -> int:
    """Return the lines of a legend without title, in as many columns of `most` as fit the width."""
    # Matplotlib fills the legend column by column.
    columns = np.array_split(labels, fitting_columns(labels, most, width))
    return max(sum(1 + name.count("\n") for name in one) for one in columns)


def fitting_columns(labels: Sequence[str], most: int, width: float) -> int:
    """Return how many columns of a legend fit a width in inches, from 1 to `most`."""
    spaces = ("handlelength", "handletextpad", "columnspacing")
    size = _points(matplotlib.rcParams["legend.fontsize"])
    parameters: Any = matplotlib.rcParams
    handle = size * sum(parameters[f"legend.{space}"] for space in spaces)
    widths = [max(map(_width, label.split("\n"))) + handle for label in labels]
    for columns in range(most, 1, -1):
        parts = np.array_split(widths, columns)
        if sum(part.max(initial=0.0) for part in parts) <= 72 * width:
            return columns
    return 1


@cache
def _width(text: str) -> float:
    """Return the width in points of a text in the style's legend."""
    size = _points(STYLE["legend.fontsize"])
    return float(TextPath((0, 0), text, size=size).get_extents().width) if text.strip() else 0.0


def _points(size: float | str) -> float:
    """Return a font size, which may be relative, in points."""
    return FontProperties(size=size).get_size_in_points()


def panel_grid(
    count: int, columns: int, height: float, empty: str, **shared: Any
) -> tuple[Figure, AxesArray]:
    """Return a figure with `count` lettered panels [row, column]; others are hidden.

    Up to two columns are as wide as one column of a journal, more as two; `height` is that of a
    row in inches. Without any panel the figure says `empty`.
    """
    columns = max(1, min(columns, count))
    rows = max(1, -(-count // columns))
    figure = Figure(figsize=grid_size(rows, columns, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **shared)
    for ax in axes.ravel()[count:]:
        ax.set_axis_off()
    if not count:
        axes[0, 0].text(0.5, 0.5, empty, ha="center", va="center", color=GREY, wrap=True)
    letter(axes)
    return figure, axes


def save_figure(figure: Figure, stem: str | os.PathLike[str]) -> list[Path]:
    """Write STEM.png (200 dpi) and STEM.svg atomically; equal figures give equal bytes."""
    written = []
    layout = figure.get_layout_engine()
    try:
        for suffix, metadata in ((".png", {"Software": None}), (".svg", {"Date": None})):
            buffer = io.BytesIO()
            with matplotlib.rc_context(STYLE):
                figure.savefig(buffer, format=suffix[1:], metadata=metadata)
            written.append(write_bytes(Path(f"{stem}{suffix}"), buffer.getvalue()))
            figure.set_layout_engine("none")  # done; it takes as long as the drawing
    finally:
        figure.set_layout_engine(layout)
    return written


def save_figures(figures: Mapping[str, Figure], folder: Path) -> list[Path]:
    """Write figures under their names into a folder, and make it if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    return [file for name, figure in figures.items() for file in save_figure(figure, folder / name)]
