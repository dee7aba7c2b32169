"""Shared parts of figures: colours, bands, scales, saving."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from psiprune.core.statistics import band
from psiprune.io.netcdf import write_bytes
from psiprune.reporting.labels import field_label

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
KL, INFIDELITY, CORRELATION = "KL divergence (nat)", "infidelity 1 − F", "$C_{\\mathrm{MSE}}$"
PRUNED = "fraction of weights pruned"
#: In a panel without any value that a logarithmic axis can show.
NOTHING = "no value above 0\n(undefined where the reference is 0)"
#: Legend title of figures whose legend does not explain lines and bands.
BANDS = "lines: medians over seeds, bands: 16 to 84 % of the seeds"
#: Letters of usual size in an inch of a legend, and those that a handle takes.
_LETTERS, _HANDLE = 11.0, 6
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
    dataset: xr.Dataset, labels: Sequence[str], along: str, size: tuple[float, float]
) -> tuple[Figure, NDArray[np.object_]]:
    """Return axes with a row for each measure and a column for each field, labelled.

    `size` is the width of a column and the height of the figure.

    Returns:
        The figure and its axes, [measure, field].
    """
    fields = dataset["field"].values
    width, height = size
    figure = Figure(figsize=(1.2 + width * len(fields), height), layout="constrained")
    axes = figure.subplots(len(labels), len(fields), sharex=True, sharey="row", squeeze=False)
    for ax, field in zip(axes[0], fields, strict=True):
        ax.set_title(field_label(dataset, field))
    for ax in axes[-1]:
        ax.set_xlabel(along)
    for ax, label in zip(axes[:, 0], labels, strict=True):
        ax.set_ylabel(label)
    return figure, axes


def draw_band(
    ax: Axes,
    along: ArrayLike,
    values: xr.DataArray,
    line: str,
    *,
    alpha: float = 0.13,
    **style: Any,
) -> None:
    """Draw a line through the medians over `seed`, and a band of 16 to 84 % of the seeds behind it.

    Without any point, as after 0 epochs, the line appears only in the legend.
    """
    style = {"ms": 3.5, "lw": 1.2, **style}
    if not values.size:
        ax.plot([], [], line, **style)
        return
    low, middle, high = (quantile.values for quantile in band(values))
    ax.plot(along, middle, line, **style)
    ax.fill_between(along, low, high, color=style["color"], alpha=alpha, lw=0)


def without_sampling(study: xr.Dataset, name: str) -> xr.DataArray:
    """Return a measure by sums over all states if the study has it, else from samples."""
    return study[f"{name}_exact"] if f"{name}_exact" in study else study[name]


def pruned_scale(figure: Figure, axes: NDArray[np.object_], most: float) -> ScalarMappable:
    """Add a colour bar from 0 to a fraction pruned beside some axes, and return its colours."""
    colors = ScalarMappable(Normalize(0.0, most), PRUNED_MAP)
    figure.colorbar(colors, ax=axes, label=PRUNED, shrink=0.8, aspect=40)
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
    else:
        style: dict[str, Any] = {"ha": "center", "va": "center", "color": GREY}
        ax.text(0.5, 0.5, NOTHING, transform=ax.transAxes, **style)
    return positive


def round_ticks(axis: Axis) -> None:
    """Set ticks 1, 2, 5, 10, ... on a logarithmic axis of less than two decades."""
    low, high = axis.get_view_interval()
    if high < 100 * low:
        marks = [float(f"{m}e{e}") for e in range(-12, 7) for m in (1, 2, 5)]
        shown = [mark for mark in marks if low <= mark <= high]
        axis.set_ticks(shown, [f"{mark:g}" for mark in shown])
        axis.set_ticks([], minor=True)


def faint_grid(ax: Axes) -> None:
    """Draw a faint grid behind the data."""
    ax.grid(alpha=0.25, lw=0.5)


def legend_below(figure: Figure, ax: Axes, columns: int, **style: Any) -> None:
    """Draw the legend of one axes below all axes of the figure.

    It has at most so many columns, fewer where the figure is narrower than its labels.
    """
    handles, labels = ax.get_legend_handles_labels()
    columns = fitting_columns(figure, labels, columns, small=style.get("fontsize") == "small")
    figure.legend(
        handles, labels, loc="outside lower center", ncols=columns, frameon=False, **style
    )


def fitting_columns(
    figure: Figure, labels: Sequence[str], most: int, *, small: bool = False
) -> int:
    """Return how many columns of a legend fit the width of a figure, from 1 to `most`."""
    longest = max((len(line) for label in labels for line in label.split("\n")), default=0)
    letters = _LETTERS * (1.2 if small else 1.0) * figure.get_figwidth()
    return min(most, max(1, int(letters / (_HANDLE + longest))))


def panel_grid(
    count: int, columns: int, size: tuple[float, float], empty: str, **shared: Any
) -> tuple[Figure, NDArray[np.object_]]:
    """Return a figure with `count` panels [row, column] of a size in inches; others are hidden.

    Without any panel the figure says `empty`.
    """
    columns = max(1, min(columns, count))
    rows = max(1, -(-count // columns))
    width, height = size
    figure = Figure(figsize=(width * columns, 0.8 + height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **shared)
    for ax in axes.ravel()[count:]:
        ax.set_axis_off()
    if not count:
        axes[0, 0].text(0.5, 0.5, empty, ha="center", va="center", color=GREY, wrap=True)
    return figure, axes


def save_figure(figure: Figure, stem: str | os.PathLike[str]) -> list[Path]:
    """Write STEM.png (150 dpi) and STEM.svg atomically; equal figures give equal bytes."""
    written = []
    layout = figure.get_layout_engine()
    try:
        for suffix, metadata in ((".png", {"Software": None}), (".svg", {"Date": None})):
            buffer = io.BytesIO()
            with matplotlib.rc_context({"svg.hashsalt": "psiprune"}):
                figure.savefig(buffer, format=suffix[1:], dpi=150, metadata=metadata)
            written.append(write_bytes(Path(f"{stem}{suffix}"), buffer.getvalue()))
            figure.set_layout_engine("none")  # done; it takes as long as the drawing
    finally:
        figure.set_layout_engine(layout)
    return written


def save_figures(figures: Mapping[str, Figure], folder: Path) -> list[Path]:
    """Write figures under their names into a folder, and make it if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    return [file for name, figure in figures.items() for file in save_figure(figure, folder / name)]
