"""Figures show the dataset they are given, labelled, and are written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import invented
import tiny
from psiprune.experiments.figures.study import disconnected_at, study_figure
from psiprune.reporting.figures import (
    fitting_columns,
    legend_below,
    panel_grid,
    save_figure,
)
from psiprune.reporting.style import STYLE

LABELS = ["KL (nat)", "infidelity 1 − F", "eROE", "mROE", "$C_{\\mathrm{MSE}}$"]
SHOWN = ["kl", "infidelity", "energy_roe", "abs_magnetization_roe", "correlation_mse"]
#: KL and infidelity have no other, exact line.
EXACT = [
    *("kl", "infidelity", "energy_bias_exact", "abs_magnetization_bias_exact"),
    "correlation_mse_exact",
]
FLOORS = [f"{name.removesuffix('_exact')}_floor" for name in SHOWN]


def counted(levels: int = 20, **changes: Any) -> xr.Dataset:
    """A study with the paper's counts of weights and invented measures."""
    return invented.study(levels=levels, fraction=0.1, **{"seeds": 1, **changes})


def grid(figure: Figure, columns: int) -> list[list[Axes]]:
    axes = figure.get_axes()
    return [axes[k : k + columns] for k in range(0, len(axes), columns)]


@pytest.mark.parametrize(
    ("sites", "hidden", "levels", "left"),
    # 26 weights connect 27 units; steps 17 and 18 keep 27 and 24.
    [(18, 9, 17, None), (18, 9, 18, 24), (18, 9, 20, 24), (4, 3, 7, None), (4, 3, 8, 5)],
)
def test_below_the_weights_of_a_tree(
    sites: int, hidden: int, levels: int, left: int | None
) -> None:
    study = counted(sites=sites, hidden=hidden, levels=levels)
    expected = None if left is None else 1 - left / (sites * hidden)
    assert disconnected_at(study) == expected


@pytest.fixture(scope="module")
def study() -> xr.Dataset:
    return counted()


@pytest.fixture(scope="module")
def figure(study: xr.Dataset) -> Figure:
    return study_figure(study)


def texts(figure: Figure) -> list[str]:
    """The legend."""
    return [text.get_text() for text in figure.legends[0].texts]


@pytest.mark.parametrize(("fields", "coupling"), [((1.0,), 0.5), ((0.5, 1.0, 2.0), 1.0)])
def test_a_row_a_measure_and_a_column_a_field(fields: tuple[float, ...], coupling: float) -> None:
    axes = grid(study_figure(counted(fields=fields, coupling=coupling)), len(fields))
    assert [len(row) for row in axes] == [len(fields)] * 5
    titles = [f"h/J = {field / coupling:g}" for field in fields]
    assert [ax.get_title() for ax in axes[0]] == titles
    assert [row[0].get_ylabel() for row in axes] == LABELS
    assert {ax.get_xlabel() for ax in axes[-1]} == {"fraction pruned"}
    assert {ax.get_yscale() for row in axes for ax in row} == {"log"}


def test_lines_are_the_data(study: xr.Dataset, figure: Figure) -> None:
    axes = grid(figure, 2)
    for row, (shown, exact, floor) in enumerate(zip(SHOWN, EXACT, FLOORS, strict=True)):
        for column, field in enumerate((1.0, 2.0)):
            here = study.sel(field=field, seed=0)
            drawn = [np.asarray(line.get_ydata()) for line in axes[row][column].lines]
            for name in {shown, exact, floor}:
                expected = here[name].values
                assert any(np.array_equal(line, expected) for line in drawn), (field, name)
            points = axes[row][column].lines[0]
            np.testing.assert_array_equal(points.get_ydata(), here[shown])
            np.testing.assert_array_equal(points.get_xdata(), here["fraction_pruned"])


def test_lines_are_named_only_where_they_are_drawn(study: xr.Dataset, figure: Figure) -> None:
    for ax in figure.get_axes():
        assert [1 - 24 / 162] * 2 in [np.asarray(line.get_xdata()).tolist() for line in ax.lines]
        assert not ax.collections  # no band of one seed
    names = ("floor: ", "85%: ", "apart", "sums over all states")
    assert all(any(name in text for text in texts(figure)) for name in names)
    # Connected graphs of more than 20 sites, where there is no exact line.
    large = study.isel(level=slice(11)).drop_vars([n for n in study if str(n).endswith("_exact")])
    others = texts(study_figure(large))
    assert [any(name in text for text in others) for name in names] == [True, False, False, False]


def test_several_seeds_make_a_median_and_a_band() -> None:
    study = counted(seeds=5, fields=(1.0,))
    figure = study_figure(study)
    ax = figure.get_axes()[0]
    here = study["kl"].sel(field=1.0)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), here.median("seed"))
    heights = ax.collections[0].get_paths()[0].vertices[:, 1]  # type: ignore[index]
    for quantile in (0.16, 0.84):
        assert np.isin(here.quantile(quantile, "seed").values, heights).all()
    assert any("median of 5 seeds" in text for text in texts(figure))
    assert "16 to 84 % of seeds" in texts(figure)


def test_files_are_the_same_to_the_byte_and_whole(tmp_path: Path) -> None:
    def drawn() -> Figure:
        figure = Figure(figsize=(2, 1))
        figure.subplots().semilogy([1, 20], label="$C$")
        figure.legend()
        return figure

    first, second = (save_figure(drawn(), tmp_path / name) for name in ("a", "b"))
    assert [file.name for file in first] == ["a.png", "a.svg"]
    assert first[0].read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert first[1].read_text().startswith("<?xml")
    for a, b in zip(first, second, strict=True):
        assert a.read_bytes() == b.read_bytes()
    before = tiny.contents(tmp_path)
    assert set(before) == {"a.png", "a.svg", "b.png", "b.svg"}
    with tiny.full_disk(), pytest.raises(OSError, match=r"a\.png"):
        save_figure(Figure(), tmp_path / "a")
    assert tiny.contents(tmp_path) == before


@pytest.mark.parametrize("width", [2.4, 3.4, 9.0])
@matplotlib.rc_context(STYLE)
def test_a_legend_fits_the_width(width: float) -> None:
    """Six labels in at most three columns; in a narrow figure all of it is still inside."""
    figure = Figure(figsize=(width, 5.0), layout="constrained")
    ax = figure.subplots()
    for label in ("pruned by surgeon", "pruned by magnitude", "scale-free mask") * 2:
        ax.plot([0, 1], label=label)
    legend_below(figure, ax, columns=3)
    assert figure.get_figheight() > 5.0  # the panels keep their height
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1
    labels = ax.get_legend_handles_labels()[1]
    assert fitting_columns(labels, 3, width) == {2.4: 1, 3.4: 2, 9.0: 3}[width]


def test_a_grid_without_panels_says_so(tmp_path: Path) -> None:
    figure, axes = panel_grid(0, 4, 2.8, "no masks", sharex=True)
    assert axes.shape == (1, 1)
    assert [text.get_text() for text in axes[0, 0].texts] == ["no masks"]
    assert len(save_figure(figure, tmp_path / "none")) == 2
    figure, axes = panel_grid(5, 4, 2.8, "no masks")
    assert axes.shape == (2, 4)
    assert sum(ax.axison for ax in axes.ravel()) == 5
