"""Tables and JSON say what the reports and datasets hold."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
import xarray as xr

import psiprune as pp
from psiprune.experiments.tables import table_numbers, table_text
from psiprune.reporting.metric_tables import report_numbers, report_text
from psiprune.reporting.tables import align, table
from psiprune.reporting.traced import Number, listed, percent, plural, say, significant, whole

MEASURES = [
    *("kl", "fidelity", "energy_roe", "energy_bias"),
    *("abs_magnetization_roe", "abs_magnetization_bias", "correlation_mse"),
    *("energy", "energy_variance"),
    *("entropy", "entropy_loss", "renyi2", "renyi2_loss"),
]


@pytest.fixture(scope="module")
def report(stages: Path) -> pp.Report:
    rbm, state = pp.load_rbm(stages / "rbm.nc"), pp.load_mps(stages / "state.nc")
    return pp.evaluate(rbm, state, draws=500, seed=3)


def test_columns_are_aligned() -> None:
    rows = [["a", "100", "x"], ["long name", "1", ""]]
    assert align(rows) == "a          100  x\nlong name    1"


def test_a_narrow_terminal_has_the_columns_below_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [["name", "one", "two", "method"], ["m", "1", "2", "by a sum over all of its states"]]
    assert align(rows).count("\n") == 1
    monkeypatch.setenv("COLUMNS", "22")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    below = "name: method\nm: by a sum over all\n  of its states"
    assert align(rows) == f"name  one  two\nm       1    2\n\n{below}"
    assert align([["a name without values"], ["x"]]) == "a name without values\nx"
    assert align([]) == ""


def test_a_report_as_text(report: pp.Report) -> None:
    head, *lines = report_text(report).splitlines()
    assert head.split() == ["measure", "value", "error", "floor", "reference", "ESS", "method"]
    assert [line.split()[0] for line in lines] == MEASURES
    for line, (_, measure) in zip(lines, report, strict=True):
        name, value, error, floor, reference, size, *method = line.split()
        assert float(value) == pytest.approx(measure.value, rel=1e-5)
        if name in ("energy", "entropy", "renyi2"):  # `floor` is the value of the reference
            floor, reference = reference, floor
        assert reference == "-"
        if math.isnan(measure.floor):  # of an unknown number of training shots
            assert floor == "-"
        else:
            assert float(floor) == pytest.approx(measure.floor, rel=1e-3)
        assert " ".join(method) == measure.method
        if method == ["sum", "over", "all", "states"]:
            assert (error, size) == ("exact", "-")
        else:
            assert size == "500"
            assert float(error) == pytest.approx(measure.error, rel=0.1)
    # KL, fidelity and the entropies are sums; of the rest nothing is.
    exact = [True] * 2 + [False] * 7 + [True] * 4
    assert [line.split()[2] == "exact" for line in lines] == exact


def test_doubtful_measures(report: pp.Report) -> None:
    """Samples without spread are not exact, what is not finite is a dash, warnings are joined."""
    nan, inf = float("nan"), float("inf")
    assert "warning" not in report_text(report)
    kl = dataclasses.replace(report.kl, value=inf, floor=nan, warning="is odd")
    roe = dataclasses.replace(report.energy_roe, error=0.0, warning="rests on sand")
    bias = dataclasses.replace(
        report.energy_bias, value=nan, error=nan, floor=-inf, warning="rests on sand"
    )
    changed = dataclasses.replace(report, kl=kl, energy_roe=roe, energy_bias=bias)
    lines = report_text(changed).splitlines()
    assert lines[1].split()[:4] == ["kl", "-", "exact", "-"]
    assert (lines[3].split()[0], lines[3].split()[2]) == ("energy_roe", "0.0e+00")
    assert lines[4].split()[:4] == ["energy_bias", "-", "-", "-"]
    assert "nan" not in "".join(lines)
    assert lines[14:] == ["warning: kl: is odd", "warning: energy_roe, energy_bias: rests on sand"]


def test_a_report_as_numbers(report: pp.Report) -> None:
    numbers = json.loads(json.dumps(report_numbers(report)))
    assert list(numbers) == MEASURES
    for name, measure in report:
        assert numbers[name] == {
            "value": measure.value,
            "error": measure.error,
            "floor": pytest.approx(measure.floor, nan_ok=True),
            "method": measure.method,
            "warning": measure.warning,
            "effective_sample_size": measure.effective_sample_size,
        }


def test_a_study_as_text(study: xr.Dataset) -> None:
    blocks = table_text("study", study).split("\n\n")
    assert [block.splitlines()[0] for block in blocks] == ["h/J = 1", "h/J = 2"]
    for block, field in zip(blocks, (1.0, 2.0), strict=True):
        head, *lines = block.splitlines()[1:]
        assert head.split()[:3] == ["pruned", "weights", "parts"]
        assert [line.split()[0] for line in lines] == ["0.0%", "33.3%", "50.0%", "66.7%"]
        here = study.sel(field=field, seed=0)
        for line, kept, parts, kl, correlation_mse in zip(
            lines,
            here["weights_kept"].values,
            here["components"].values,
            here["kl"].values,
            here["correlation_mse"].values,
            strict=True,
        ):
            cells = line.split()
            assert cells[1:3] == [str(kept), str(parts)]
            assert float(cells[3]) == pytest.approx(kl, rel=0.05)
            assert float(cells[-1]) == pytest.approx(correlation_mse, rel=0.05)
    assert table_text("study", study.assign_attrs(coupling=0.5)).startswith("h/J = 2\n")
    for value in (float("inf"), float("nan")):
        text = table_text("study", study.assign(kl=xr.full_like(study["kl"], value)))
        assert text.splitlines()[2].split()[3] == "-"


def test_a_level_that_removed_no_weight_is_not_shown(study: xr.Dataset) -> None:
    kept = study["weights_kept"].copy()
    kept[{"level": 1}] = kept.isel(level=0)
    blocks = table_text("study", study.assign(weights_kept=kept)).split("\n\n")
    assert len(blocks[0].splitlines()) == 2 + study.sizes["level"] - 1


def test_a_study_of_several_seeds_shows_medians(study: xr.Dataset) -> None:
    more = [
        study.assign(kl=study["kl"] * scale).assign_coords(seed=[seed])
        for seed, scale in enumerate((1.0, 10.0, 1000.0))
    ]
    joined = xr.concat(more, dim="seed", data_vars="minimal").assign_attrs(study.attrs)
    numbers = table_numbers("study", joined)["levels"]["h=1"]
    for level, entry in enumerate(numbers):
        middle = 10 * float(study["kl"].sel(field=1.0, seed=0, level=level))
        assert entry["kl"] == pytest.approx(middle)


def test_a_study_as_numbers(study: xr.Dataset) -> None:
    numbers = json.loads(json.dumps(table_numbers("study", study)["levels"]))
    assert list(numbers) == ["h=1", "h=2"]
    for key, field in (("h=1", 1.0), ("h=2", 2.0)):
        assert len(numbers[key]) == 4
        for level, entry in enumerate(numbers[key]):
            here = study.sel(field=field, seed=0, level=level)
            assert entry == {name: float(here[name]) for name in entry}
            assert {"fraction_pruned", "weights_kept", "components", "kl"} < set(entry)


def test_a_wide_table_continues_below_with_its_keys() -> None:
    columns = [(name, name, ".1f") for name in ("key", *(f"column {k}" for k in range(20)))]
    rows = [{name: 10.0 * line for name, _, _ in columns} for line in (1, 2)]
    parts = [part.splitlines() for part in table(columns, rows).split("\n\n")]
    assert len(parts) == 3
    assert all(len(line) <= 100 for part in parts for line in part)
    assert {part[0].split()[0] for part in parts} == {"key"}
    assert [line.split()[0] for part in parts for line in part[1:]] == ["10.0", "20.0"] * 3
    shown = [heading for part in parts for heading in part[0].split("  column ")[1:]]
    assert shown == [str(k) for k in range(20)]


# ---- numbers and words in sentences


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        *((0.0, "0"), (-0.0, "0"), (1.0, "1.00"), (-12.34, "−12.3"), (0.125, "0.125")),
        *((1.125, "1.13"), (-1.125, "−1.13"), (0.9996, "1.00"), (99.96, "100"), (1234.0, "1230")),
        *((1235.0, "1240"), (123456.0, "123000"), (999499.0, "999000")),
        *((999500.0, "1.00\u202f×\u202f10⁶"), (0.001, "0.00100"), (0.0009996, "0.00100")),
        *((0.0009994, "9.99\u202f×\u202f10⁻⁴"), (-4.5678e-12, "−4.57\u202f×\u202f10⁻¹²")),
        *((math.nan, "–"), (math.inf, "–")),
    ],
)
def test_three_digits(value: float, shown: str) -> None:
    assert significant(value) == shown


def test_words() -> None:
    a, b = Number(1, "1", "x: a"), Number(2, "2", "x: b")
    assert plural(a, "seed").text == "1 seed"
    assert plural(b, "seed").text == "2 seeds"
    assert plural(b, "axis", "axes").text == "2 axes"
    assert listed([]).text == ""
    assert listed([a]).text == "1"
    assert listed([a, b]).text == "1 and 2"
    assert listed([a, "x", b], "or").text == "1, x or 2"
    said = say("{a} of {b}: {c}.", a=a, b=plural(b, "seed"), c="all")
    assert said.text == "1 of 2 seeds: all."
    assert said.numbers == (a, b)
    assert percent(0.0625) == "6.3\xa0%"
    assert percent(math.nan) == whole(math.nan) == "–"
    assert whole(2.5) == "2.5"
