"""The answer in text and figures: digits, lines within 100 columns, few and many sites."""

from __future__ import annotations

import io
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import LineCollection
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

import psiprune as pp
from psiprune.reconstruction.advice import Step
from psiprune.reconstruction.checks import Check
from psiprune.reconstruction.command import Request
from psiprune.reconstruction.figures import plot_answer, plot_observables
from psiprune.reconstruction.summary import plus_minus, summarize
from psiprune.reconstruction.text import answer_text, checks_table, levels_table, reconstruct_text
from psiprune.reporting.graph_figure import draw_graph


def loaded(folder: str | Path) -> pp.Reconstruction:
    found = pp.load_reconstruction(folder)
    assert isinstance(found, pp.Reconstruction)
    return found


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        *((0.123456, 0.0346, "0.123 ± 0.035"), (-0.123456, 0.00996, "-0.123 ± 0.010")),
        *((12.3, 4.56, "12.3 ± 4.6"), (1234.5, 120.0, "1234 ± 120"), (0.5, 1e-12, "0.5 ± 1.0e-12")),
        *((-0.5, 0.0, "-0.500"), (0.25, float("nan"), "0.250")),
    ],
)
def test_a_value_with_its_error(value: float, error: float, text: str) -> None:
    assert plus_minus(value, error) == text


def test_an_accepted_loss_looks_smaller_than_what_is_allowed() -> None:
    table = levels_table([("a", 3, 0.012344, 1e-5, 0.012346, True), ("b", 2, 0.5, 0.1, 0.1, False)])
    loss, _, allowed, accepted = table.splitlines()[1].split()[1:]
    assert loss == "+0.01234"
    assert allowed == "0.01235"
    assert accepted == "yes"


def test_long_texts_stay_within_100_columns() -> None:
    nan = float("nan")
    words = "many words that say what was found, " * 9
    checks = [Check("sites and pairs", "undecided", 0.123, 0.456, words, 1e4)]
    lines = checks_table(checks).splitlines()
    assert len(lines) > 4
    assert max(map(len, lines)) <= 100
    assert " ".join(line[42:].strip() for line in lines[1:]).split()[-1] == "found,"
    assert "nan" not in checks_table([Check("drift", "pass", nan, nan, "none", nan)])


@pytest.mark.parametrize("width", [40, 60])
def test_the_answer_fits_a_narrow_terminal(
    observable_run: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    made = loaded(observable_run)
    wide = reconstruct_text(made.dataset, made.request)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    text = reconstruct_text(made.dataset, made.request)
    long = [line for line in text.splitlines() if len(line) > width]
    assert long == [line for line in long if "/" in line]  # a file's name
    for each in summarize(made.dataset, made.request).checks:
        assert each.name in text
    assert set(re.findall(r"\d\.\d+", wide)) == set(re.findall(r"\d\.\d+", text))


def test_a_long_command_can_be_pasted(observable_run: Path, tmp_path: Path) -> None:
    dataset = xr.load_dataset(observable_run / "reconstruct.nc")
    file = tmp_path / "a name of 30 letters and spaces.nc"
    file.touch()
    settings = pp.ReconstructSettings(hidden=tuple(range(1, 60)), seed=3)
    request = Request(settings, 4, 300, str(file))
    summary = summarize(dataset, request)._replace(steps=[Step("again", request.command())])
    lines = answer_text(summary).splitlines()
    shown = "\n".join(lines).partition("again:\n")[2]
    assert shown.count("\\\n") >= 2
    assert shlex.split(shown.replace("\\\n", "")) == shlex.split(request.command())
    assert request.command().endswith(" 59 --seed 3")
    assert max(len(line) for line in lines if str(file) not in line) <= 100


def test_the_three_verdicts(observable_run: Path) -> None:
    """The first line and the table follow from the checks, and never contradict them."""
    made = loaded(observable_run)
    far = made.dataset.assign(likelihood_loss=9.0)
    assert summarize(far, made.request).reason.text.startswith("Not trusted: fails")
    shots = 0.5 * made.dataset["pairs_shots_value"]
    same = {f"{kind}pairs_{x}": shots for kind in ("", "dense_") for x in ("value", "shots_value")}
    loss = {"likelihood_loss": 0.06, "likelihood_error": 0.05}
    few = made.dataset.assign({**same, **loss}).assign_attrs(warnings="")
    for dataset in (far, few, made.dataset):
        summary = summarize(dataset, made.request)
        lines = reconstruct_text(dataset, made.request).splitlines()
        assert max(map(len, lines)) <= 100
        answers = {"Trusted": "pass", "Undecided": "undecided", "Not trusted": "FAIL"}
        deciding = answers[lines[0].split(":")[0]]
        named = [each.name for each in summary.checks if each.answer.lower() == deciding.lower()]
        for name in named if deciding != "pass" else ():
            assert name in " ".join(lines[:2])
        table = lines[lines.index(next(line for line in lines if line.startswith("check "))) :]
        assert sum(f" {deciding} " in line for line in table[:20]) >= len(named)


# ---- figures


@pytest.mark.parametrize(("sites", "hidden", "kept"), [(1, 1, 1), (5, 2, 4), (100, 20, 300)])
def test_the_graph_has_a_line_for_each_weight(sites: int, hidden: int, kept: int) -> None:
    random = np.random.default_rng(0)
    mask = np.zeros(hidden * sites, bool)
    mask[random.permutation(hidden * sites)[:kept]] = True
    weights = np.where(mask, random.normal(size=hidden * sites), 0.0).reshape(hidden, sites)
    rbm = pp.RBM(weights, np.zeros(sites), np.zeros(hidden), mask.reshape(hidden, sites))
    ax = Figure().subplots()
    draw_graph(ax, rbm)
    lines = next(each for each in ax.collections if isinstance(each, LineCollection))
    ends = np.array(lines.get_segments())
    assert len(ends) == kept
    assert ends[:, 1, 0].min() >= -0.5
    assert ends[:, 1, 0].max() <= sites - 0.5
    sizes = np.sort(np.abs(weights[weights != 0]))
    widths = np.array(lines.get_linewidth())
    assert (np.diff(widths) >= 0).all()  # the strongest on top
    np.testing.assert_allclose(
        (widths - widths[0]) * (sizes[-1] - sizes[0]),
        (widths[-1] - widths[0]) * (sizes - sizes[0]),
        atol=1e-9,
    )
    assert len({tuple(color[:3]) for color in np.atleast_2d(lines.get_color())}) == len(
        set(np.sign(weights[weights != 0]))
    )
    assert len(ax.get_xticks()) <= 20


def test_the_graph_of_independent_bits_says_so() -> None:
    rbm = pp.RBM(np.zeros((2, 3)), np.zeros(3), np.zeros(2), np.zeros((2, 3), bool))
    ax = Figure().subplots()
    draw_graph(ax, rbm)
    assert [text.get_text() for text in ax.texts] == ["no weights: independent bits"]


def points(container: object) -> Line2D:
    """Return the points of an error bar plot."""
    assert isinstance(container, ErrorbarContainer)
    line = container.lines[0]
    assert line is not None
    return line


def test_every_expectation_value_is_drawn(observable_run: object) -> None:
    made = loaded(str(observable_run))
    dataset = made.dataset
    ax = plot_observables(dataset).axes[0]
    drawn = [np.array(points(each).get_xydata()) for each in ax.containers]
    pairs, singles, decay = drawn
    i, j = np.triu_indices(4, 1)
    np.testing.assert_array_equal(pairs[:, 0], dataset["pairs_shots_value"].values[i, j])
    np.testing.assert_array_equal(pairs[:, 1], dataset["pairs_value"].values[i, j])
    np.testing.assert_array_equal(singles[:, 1], np.diag(dataset["pairs_value"].values))
    np.testing.assert_array_equal(decay[:, 0], dataset["correlation_shots"].values[1:])
    assert ax.get_xlim() == ax.get_ylim()
    low, high = ax.get_xlim()
    assert all((low < each).all() and (each < high).all() for each in drawn)


def test_the_figure_of_the_answer_is_drawn(observable_run: object) -> None:
    made = loaded(str(observable_run))
    axes = plot_answer(made.dataset, made.rbm, "a title")
    axes[0].figure.savefig(io.BytesIO(), dpi=30)
    assert axes[0].figure.get_suptitle() == "a title"
    search = axes[1]
    assert search.get_ylabel() == "change of abs_magnetization"
    found = sum(len(np.asarray(points(each).get_xdata())) for each in search.containers)
    assert found == len(made.levels)
