"""Figures show the dataset they are given, labelled, and are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import tiny
from psiprune.experiments.figures.study import disconnected_at, plot_study
from psiprune.pruning.schedule import weights_kept
from psiprune.reporting.figures import save_figure

LABELS = ["KL divergence (nat)", "infidelity 1 − F", "eROE", "mROE", "$C_{\\mathrm{MSE}}$"]
SHOWN = ["kl", "infidelity", "energy_roe", "abs_magnetization_roe", "correlation_mse"]
EXACT = [
    "kl",  # KL and infidelity have no other, exact line
    "infidelity",
    "energy_bias_exact",
    "abs_magnetization_bias_exact",
    "correlation_mse_exact",
]
FLOORS = [f"{name.removesuffix('_exact')}_floor" for name in SHOWN]


def counted(
    *,
    sites: int = 18,
    hidden: int = 9,
    levels: int = 20,
    fields: tuple[float, ...] = (1.0, 2.0),
    seeds: int = 1,
    coupling: float = 1.0,
) -> xr.Dataset:
    """A study with the paper's counts of weights and invented measures."""
    total = sites * hidden
    kept = np.array([weights_kept(total, 0.1, step) for step in range(levels + 1)])
    shape = (len(fields), seeds, levels + 1)
    generator = np.random.default_rng(0)
    names = sorted({*SHOWN, *EXACT, *FLOORS, "kl_exact"})
    values = {name: (("field", "seed", "level"), generator.random(shape)) for name in names}
    study = xr.Dataset(
        values,
        coords={"field": list(fields), "seed": range(seeds), "level": range(levels + 1)},
        attrs={"sites": sites, "hidden": hidden, "coupling": coupling},
    )
    return study.assign(
        weights_kept=(("field", "seed", "level"), np.broadcast_to(kept, shape)),
        fraction_pruned=(("field", "seed", "level"), np.broadcast_to(1 - kept / total, shape)),
    )


def grid(figure: Figure, columns: int) -> list[list[Axes]]:
    axes = figure.get_axes()
    return [axes[k : k + columns] for k in range(0, len(axes), columns)]


def test_the_graph_falls_apart_at_85_percent() -> None:
    apart = disconnected_at(counted())
    assert apart == 1 - 24 / 162  # 26 weights connect 27 units; steps 17 and 18 keep 27 and 24
    assert f"{apart:.0%}" == "85%"


@pytest.mark.parametrize(
    ("sites", "hidden", "levels", "left"),
    [(18, 9, 17, None), (18, 9, 18, 24), (4, 3, 1, None), (4, 3, 7, None), (4, 3, 8, 5)],
)
def test_below_the_weights_of_a_tree(
    sites: int, hidden: int, levels: int, left: int | None
) -> None:
    study = counted(sites=sites, hidden=hidden, levels=levels)
    expected = None if left is None else 1 - left / (sites * hidden)
    assert disconnected_at(study) == expected


@pytest.mark.parametrize("fields", [(1.0,), (1.0, 2.0), (0.5, 1.0, 2.0)])
def test_a_row_a_measure_and_a_column_a_field(fields: tuple[float, ...]) -> None:
    study = counted(fields=fields)
    axes = grid(plot_study(study), len(fields))
    assert [len(row) for row in axes] == [len(fields)] * 5
    assert [ax.get_title() for ax in axes[0]] == [f"h/J = {field:g}" for field in fields]
    assert [row[0].get_ylabel() for row in axes] == LABELS
    assert {ax.get_xlabel() for ax in axes[-1]} == {"fraction of weights pruned"}
    assert {ax.get_yscale() for row in axes for ax in row} == {"log"}


def test_the_field_is_told_in_units_of_the_coupling() -> None:
    axes = grid(plot_study(counted(fields=(1.0,), coupling=0.5)), 1)
    assert axes[0][0].get_title() == "h/J = 2"


def test_lines_are_the_data() -> None:
    study = counted()
    axes = grid(plot_study(study), 2)
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


def test_the_line_where_the_graph_falls_apart() -> None:
    figure = plot_study(counted())
    for ax in figure.get_axes():
        assert [1 - 24 / 162] * 2 in [np.asarray(line.get_xdata()).tolist() for line in ax.lines]
    labels = [text.get_text() for text in figure.legends[0].texts]
    assert any(label.startswith("floor ") for label in labels)
    assert any("85%: " in label and "apart" in label for label in labels)
    whole = plot_study(counted(levels=10))
    assert not any("apart" in text.get_text() for text in whole.legends[0].texts)


def test_several_seeds_make_a_median_and_a_band() -> None:
    study = counted(seeds=5)
    figure = plot_study(study)
    ax = figure.get_axes()[0]
    here = study["kl"].sel(field=1.0)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), here.median("seed"))
    heights = ax.collections[0].get_paths()[0].vertices[:, 1]  # type: ignore[index]
    for quantile in (0.16, 0.84):
        assert np.isin(here.quantile(quantile, "seed").values, heights).all()
    texts = [text.get_text() for text in figure.legends[0].texts]
    assert any("median of 5 seeds" in text for text in texts)
    assert "16 to 84 % of seeds" in texts
    assert not plot_study(counted()).get_axes()[0].collections


def test_files_are_the_same_to_the_byte(tmp_path: Path) -> None:
    study = counted(fields=(1.0,))
    first = save_figure(plot_study(study), tmp_path / "a")
    second = save_figure(plot_study(study), tmp_path / "b")
    assert [file.name for file in first] == ["a.png", "a.svg"]
    assert first[0].read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert first[1].read_text().startswith("<?xml")
    for a, b in zip(first, second, strict=True):
        assert a.read_bytes() == b.read_bytes()
    assert tiny.names(tmp_path) == {"a.png", "a.svg", "b.png", "b.svg"}


def test_a_full_disk_leaves_the_old_figure(tmp_path: Path) -> None:
    figure = Figure()
    save_figure(figure, tmp_path / "a")
    before = tiny.contents(tmp_path)
    figure.subplots()
    with tiny.full_disk(), pytest.raises(OSError, match=r"a\.png"):
        save_figure(figure, tmp_path / "a")
    assert tiny.contents(tmp_path) == before


def test_above_20_sites_there_is_no_exact_line() -> None:
    study = counted()
    large = study.drop_vars([name for name in study if str(name).endswith("_exact")])
    figure = plot_study(large)
    assert not any("without sampling" in text.get_text() for text in figure.legends[0].texts)
