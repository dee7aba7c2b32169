"""Figures and report of a sweep show the medians of its grid, and nothing where it has no point."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import QuadMesh

from psiprune.figures import plot_multiples, plot_phase_diagram, plot_prunable
from psiprune.report.page import Provenance, render
from psiprune.report.sweep import sweep_report

RATIOS = [0.5, 0.7, 0.9, 1.0, 1.2, 1.5, 2.0, 3.0]


@pytest.fixture(scope="module")
def grid() -> xr.Dataset:
    """Two variants, sizes 10 and 50, the larger at every second field only, three seeds."""
    chance = np.random.default_rng(0)
    shape = (2, 2, len(RATIOS), 3)
    prunable = chance.uniform(0.3, 0.9, shape)
    prunable[:, 1, 1::2] = np.nan
    kl = chance.uniform(0.01, 0.1, (*shape, 4))
    kl[:, 1, 1::2] = np.nan
    pruned = np.broadcast_to([0.0, 0.2, 0.4, 0.6], kl.shape).copy()
    pruned[:, 1, 1::2] = np.nan
    dims = ("variant", "sites", "ratio", "seed")
    with np.errstate(divide="ignore"):
        length = 1 / np.abs(np.log(RATIOS))
    return xr.Dataset(
        {
            "prunable": (dims, prunable),
            "correlation_length": ("ratio", length),
            "kl": ((*dims, "level"), kl),
            "fraction_pruned": ((*dims, "level"), pruned),
        },
        {"variant": ["magnitude", "surgeon"], "sites": [10, 50], "ratio": RATIOS, "seed": range(3)},
    )


def test_the_fraction_prunable_by_field(grid: xr.Dataset) -> None:
    figure = plot_prunable(grid)
    panels = [ax for ax in figure.axes if ax.get_title()]
    assert [ax.get_title() for ax in panels] == ["10 sites", "50 sites"]
    for ax, sites in zip(panels, (10, 50), strict=True):
        lines = {line.get_label(): line for line in ax.get_lines()}
        for variant in ("magnitude", "surgeon"):
            median = (
                grid["prunable"].sel(variant=variant, sites=sites).median("seed").dropna("ratio")
            )
            np.testing.assert_array_equal(lines[variant].get_xdata(), median["ratio"])
            np.testing.assert_allclose(np.asarray(lines[variant].get_ydata()), median)


def test_the_phase_diagram(grid: xr.Dataset) -> None:
    figure = plot_phase_diagram(grid)
    (magnitude, surgeon) = (ax for ax in figure.axes if ax.get_title())
    meshes = [each for each in surgeon.get_children() if isinstance(each, QuadMesh)]
    expected = grid["prunable"].median("seed").sel(variant="surgeon")
    assert [mesh.get_array().size for mesh in meshes] == [8, 4]  # type: ignore[union-attr]
    for mesh, sites in zip(meshes, (10, 50), strict=True):
        shown = np.asarray(mesh.get_array()).ravel()
        np.testing.assert_allclose(shown, expected.sel(sites=sites).dropna("ratio"))
    assert [tick.get_text() for tick in magnitude.get_yticklabels()] == ["10", "50"]


def test_of_many_fields_six_are_shown(grid: xr.Dataset) -> None:
    figure = plot_multiples(grid)
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert titles == [f"h/J = {ratio:g}" for ratio in (0.5, 0.7, 1.0, 1.2, 2.0, 3.0)]
    assert len(figure.axes) == 12
    line = figure.axes[0].get_lines()[1]
    median = grid["kl"].sel(variant="surgeon", sites=10, ratio=0.5).median("seed")
    np.testing.assert_allclose(np.asarray(line.get_ydata()), median)
    # 50 sites have no point at h/J = 0.7.
    assert not figure.axes[7].get_lines()


def test_a_grid_of_one_point(grid: xr.Dataset) -> None:
    one = grid.isel(variant=[0], sites=[0], ratio=[0], seed=[0]).assign_coords(variant=[""])
    assert all(each(one).axes for each in (plot_prunable, plot_phase_diagram, plot_multiples))


def test_the_report_names_the_field_of_least(grid: xr.Dataset) -> None:
    failures = [{"point": "abc", "what": "10 sites, h = 1", "cause": "dense: it <diverged>"}]
    figures = {"phases": plot_phase_diagram(grid)}
    report = sweep_report(grid, 50, 36, failures, figures, Provenance({"psiprune": "1"}), "again")
    first, *least = (each.text for each in report.summary.sentences)
    assert first == "36 of 50 points are done, 1 failed in the last start."
    assert len(least) == 4
    median = grid["prunable"].median("seed").sel(variant="surgeon", sites=10)
    where = float(median["ratio"].values[median.values.argmin()])
    words = f"least can be pruned at h/J = {where:.3g}"[:36]
    assert words in least[1]
    assert f"{100 * float(median.min()):.1f}\N{NO-BREAK SPACE}%" in least[1]
    assert [section.name for section in report.sections] == ["phases", "numbers", "failures"]
    table = report.sections[1].table
    assert table is not None
    assert len(table.rows) == 2 * (8 + 4)
    page = render(report)
    assert "dense: it &lt;diverged&gt;" in page


def test_a_report_before_the_first_point() -> None:
    page = render(sweep_report(None, 5, 0, [], {}, Provenance({}), "again"))
    assert "5</data> points are done" in page
