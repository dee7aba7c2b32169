"""The figure of a pruning path shows the measures of its levels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import invented
import psiprune as pp
from refusals import refuses


def lines(ax: Axes) -> dict[object, list[list[float]]]:
    """What is drawn with error bars, by its label."""
    return {bar.get_label(): np.asarray(bar[0].get_xydata()).tolist() for bar in ax.containers}


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].texts]


def test_lines_are_the_measures_against_the_weights() -> None:
    levels = invented.path()
    axes = pp.plot_path(levels).ravel().tolist()
    reports = [level.metrics for level in levels if level.metrics is not None]
    expected: tuple[dict[object, list[float]], ...] = (
        {None: [report.kl.value for report in reports]},
        {None: [1 - report.fidelity.value for report in reports]},
        {
            "energy": [report.energy_bias.value for report in reports],
            "⟨|m|⟩": [report.abs_magnetization_bias.value for report in reports],
        },
        {None: [report.correlation_mse.value for report in reports]},
        {None: [report.energy_variance.value for report in reports]},
        {
            "von Neumann": [loss.value for r in reports if (loss := r.entropy_loss) is not None],
            "Rényi-2": [abs(loss.value) for r in reports if (loss := r.renyi2_loss) is not None],
        },
    )
    for ax, values in zip(axes, expected, strict=True):
        drawn = {None if len(values) == 1 else key: line for key, line in lines(ax).items()}
        assert list(drawn) == list(values)
        for key, line in drawn.items():
            np.testing.assert_allclose(line, np.column_stack([invented.PATH_COUNTS, values[key]]))
    assert [(ax.get_xscale(), ax.get_yscale()) for ax in axes] == [("log", "log")] * 6
    assert {ax.get_xlabel() for ax in axes[4:]} == {"number of weights"}


def test_floors_and_the_limit_of_a_connected_graph() -> None:
    figure = pp.plot_path(invented.path())[0, 0].figure
    floor = np.column_stack([invented.PATH_COUNTS, [5e-4] * len(invented.PATH_COUNTS)])
    drawn = [np.asarray(line.get_xydata()) for line in figure.get_axes()[0].lines]
    assert any(line.shape == floor.shape and np.allclose(line, floor) for line in drawn)
    # 12 + 6 units are connected by 17 weights.
    titles = legend(figure)
    assert len(titles) == 2
    assert any(title.startswith("17 weights") for title in titles)
    assert any("floor" in title for title in titles)
    assert not any(
        "connect" in text
        for text in legend(pp.plot_path(invented.path(invented.PATH_COUNTS[:4]))[0, 0].figure)
    )


def test_what_a_logarithmic_axis_cannot_show_is_left_out() -> None:
    levels = invented.path()
    first = levels[0].metrics
    assert first is not None
    values = {**vars(first), "kl": pp.Measure(-1e-4, 1e-3, 1e-3, "drawn")}
    values["energy_bias"] = pp.Measure(float("nan"), float("nan"), float("nan"), "no Hamiltonian")
    levels[0] = pp.Level(0, levels[0].rbm, pp.Report(**values))
    # Above 20 sites there is no von Neumann entropy.
    levels = [
        replace(level, metrics=replace(level.metrics, entropy_loss=None))  # type: ignore[type-var]
        for level in levels
    ]
    axes = pp.plot_path(levels).ravel().tolist()
    assert list(lines(axes[5])) == ["Rényi-2"]
    (kl,) = lines(axes[0]).values()
    for drawn in (kl, lines(axes[2])["energy"]):
        assert np.isnan(drawn[0][1])
        assert np.isfinite(drawn[1:]).all()


def test_levels_that_were_not_measured_are_refused() -> None:
    levels = invented.path()
    assert pp.plot_path(levels[:1]).shape == (3, 2)
    levels[2] = pp.Level(2, levels[2].rbm)
    with refuses("levels", "level 2", "reference="):
        pp.plot_path(levels)
    with refuses("levels", "none"):
        pp.plot_path([])
