"""The figure of a pruning path shows the measures of its levels."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import psiprune as pp
from psiprune.rbm.init import initial_rbm
from refusals import refuses

NAMES = (
    *("kl", "fidelity", "energy_roe", "energy_bias"),
    *("abs_magnetization_roe", "abs_magnetization_bias", "correlation_mse"),
    *("energy", "energy_variance", "entropy_loss", "renyi2_loss"),
)
COUNTS = (72, 58, 46, 37, 30, 24, 19, 15)


def invented(counts: tuple[int, ...] = COUNTS, *, error: float = 0.1) -> list[pp.Level]:
    """A path of 12 sites and 6 hidden units whose measures grow with the weights pruned."""
    dense = initial_rbm(12, 6, seed=1)
    levels = []
    for step, count in enumerate(counts):
        mask = (np.arange(72) < count).reshape(6, 12)
        values = {
            name: pp.Measure(1e-3 * (1 + k) * 1.8**step, error * 1e-3, 5e-4 * (1 + k), "invented")
            for k, name in enumerate(NAMES)
        }
        values["renyi2_loss"] = pp.Measure(-1e-2, 0.0, 0.0, "invented")  # entropy gained
        values["fidelity"] = pp.Measure(1.0 - 2e-3 * 1.8**step, 0.0, 1.0 - 1e-3, "invented")
        observables = SimpleNamespace()
        report = pp.Report(**values, observables=observables, exact=None)  # type: ignore[arg-type]
        levels.append(pp.Level(step, dense.with_mask(mask), report))
    return levels


def lines(ax: Axes) -> dict[object, list[list[float]]]:
    """What is drawn with error bars, by its label."""
    return {bar.get_label(): np.asarray(bar[0].get_xydata()).tolist() for bar in ax.containers}


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].texts]


def test_lines_are_the_measures_against_the_weights() -> None:
    levels = invented()
    axes = pp.plot_path(levels).get_axes()
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
            np.testing.assert_allclose(line, np.column_stack([COUNTS, values[key]]))
    assert [(ax.get_xscale(), ax.get_yscale()) for ax in axes] == [("log", "log")] * 6
    assert {ax.get_xlabel() for ax in axes[4:]} == {"number of weights"}


def test_floors_and_the_limit_of_a_connected_graph() -> None:
    figure = pp.plot_path(invented())
    floor = np.column_stack([COUNTS, [5e-4] * len(COUNTS)])
    drawn = [np.asarray(line.get_xydata()) for line in figure.get_axes()[0].lines]
    assert any(line.shape == floor.shape and np.allclose(line, floor) for line in drawn)
    # 12 + 6 units are connected by 17 weights.
    titles = legend(figure)
    assert len(titles) == 2
    assert any(title.startswith("17 weights") for title in titles)
    assert any("floor" in title for title in titles)
    assert not any("connect" in text for text in legend(pp.plot_path(invented(COUNTS[:4]))))


def test_what_a_logarithmic_axis_cannot_show_is_left_out() -> None:
    levels = invented()
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
    axes = pp.plot_path(levels).get_axes()
    assert list(lines(axes[5])) == ["Rényi-2"]
    (kl,) = lines(axes[0]).values()
    for drawn in (kl, lines(axes[2])["energy"]):
        assert np.isnan(drawn[0][1])
        assert np.isfinite(drawn[1:]).all()


def test_levels_that_were_not_measured_are_refused() -> None:
    levels = invented()
    assert len(pp.plot_path(levels[:1]).get_axes()) == 6
    levels[2] = pp.Level(2, levels[2].rbm)
    with refuses("levels", "level 2", "reference="):
        pp.plot_path(levels)
    with refuses("levels", "none"):
        pp.plot_path([])
