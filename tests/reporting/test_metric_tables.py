"""Tables and JSON say what a report on shots holds."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

import psiprune as pp
from machines import random_rbm
from psiprune.data.diagnostics import describe_shots
from psiprune.reporting.metric_tables import (
    assumed_numbers,
    assumed_text,
    modelled_sentence,
    shots_report_numbers,
    shots_report_text,
)

LIKELIHOODS = ["log_likelihood", "product_log_likelihood", "log_likelihood_gain"]
SCALARS = [*LIKELIHOODS, "abs_magnetization_roe", "magnetization", "abs_magnetization"]


def report_of(sites: int, copies: int = 1) -> pp.ShotsReport:
    rbm = random_rbm(sites, 3)
    bits = np.repeat(rbm.sample_exact(500, seed=1), copies, axis=0)
    return pp.evaluate_on_shots(rbm, bits, draws=600, seed=3)


@pytest.fixture(scope="module")
def report() -> pp.ShotsReport:
    return report_of(12)


def test_as_text(report: pp.ShotsReport) -> None:
    text, _, note = shots_report_text(report).partition("\nnote: ")
    # With their methods the lines take more than 100 columns, so these continue below.
    (head, *lines), (below, *methods) = (part.splitlines() for part in text.split("\n\n"))
    assert head.split() == [
        *("measure", "value", "error", "shots", "error", "sigmas", "floor", "ESS")
    ]
    assert below.split() == ["measure", "method"]
    worst = int(np.argmax(np.abs(report.correlation.sigmas)))
    shown = sorted({1, 2, 4, 6, worst})
    names = [*SCALARS, "neighbours", *(f"correlation d={d}" for d in shown)]
    assert [line.split("  ")[0].strip() for line in lines] == names
    for line, method, name in zip(lines, methods, [*SCALARS, "neighbours"], strict=False):
        cells = line.split()[1:]
        each = getattr(report, name)
        assert float(cells[0]) == pytest.approx(float(each.value), rel=1e-4)
        assert float(cells[1]) == pytest.approx(float(each.error), rel=0.1)
        assert float(cells[6]) == round(each.effective_sample_size)
        assert method.split(maxsplit=1) == [name, each.method]
        if isinstance(each, pp.Measure):
            assert cells[2:5] == ["-"] * 3
            assert (cells[5] == "-") == np.isnan(each.floor)
        else:
            assert float(cells[2]) == pytest.approx(float(each.shots_value), rel=1e-4)
            assert float(cells[3]) == pytest.approx(float(each.shots_error), rel=0.1)
            assert float(cells[4]) == pytest.approx(float(each.sigmas), abs=0.05)
    values = np.asarray(report.correlation.value)
    for line, d in zip(lines[7:], shown, strict=True):
        assert float(line.split()[2]) == pytest.approx(values[d], rel=1e-4)
    assert max(map(len, note.splitlines())) <= 100
    for fact in ("500", f"about {report.training_excess:.2g} nat (parameters / shots)"):
        assert fact in " ".join(note.split())
    few = dataclasses.replace(report, training_excess=float("nan"))
    assert "nan" not in shots_report_text(few).partition("\nnote: ")[2]


def test_as_numbers(report: pp.ShotsReport) -> None:
    found = json.loads(json.dumps(shots_report_numbers(report)))
    others = ["training_excess", "effective_shots", "block", "shots_warnings"]
    others += ["readout_warning", "training_note", "boundary_note", "note"]
    assert list(found) == ["shots", *SCALARS, "neighbours", "correlation", *others]
    assert found["shots"] == 500
    for name, each in report:
        for key, value in vars(each).items():
            assert found[name][key] == pytest.approx(value, nan_ok=True), (name, key)
    assert found["correlation"]["sigmas"] == report.correlation.sigmas.tolist()
    assert len(found["correlation"]["shots_error"]) == 7
    assert found["training_excess"] == report.training_excess


def test_shots_that_are_not_independent(report: pp.ShotsReport) -> None:
    """The warnings are those of `info`, and notes state the number of independent shots."""
    assert "count as" not in shots_report_text(report)
    bits = np.repeat(random_rbm(12, 3).sample_exact(500, seed=1), 2, axis=0)
    twice = report_of(12, copies=2)
    text = shots_report_text(twice)
    assert max(map(len, text.partition("\nwarning: ")[2].splitlines())) <= 100
    text = " ".join(text.split())
    said = {each.name: each.line for each in describe_shots(pp.Shots(bits)).warnings}
    lines = [f"repetition: {said['repetition']}"]
    assert f"warning: {lines[0]} note: " in text
    assert "note: 1000 shots count as 500 independent ones; errors are those of blocks of 2" in text
    assert "(parameters / independent shots)" in text
    found = json.loads(json.dumps(shots_report_numbers(twice)))
    assert (found["shots"], found["effective_shots"], found["block"]) == (1000, 500, 2)
    assert [f"{each['name']}: {each['line']}" for each in found["shots_warnings"]] == lines


def test_what_is_assumed() -> None:
    readout = pp.readout_sensitivity(random_rbm(12, 3))
    assert assumed_text(readout).replace("\n  ", " ") == readout.sentence
    found = json.loads(json.dumps(assumed_numbers(readout)))["assumed"]["readout"]
    assert found["sentence"] == readout.sentence
    assert found["flip"] == readout.flip
    for name in ("infidelity", "kl"):
        assert found[name]["value"] == getattr(readout, name).value
    doubted = dataclasses.replace(readout.kl, warning="from stuck chains")
    text = assumed_text(dataclasses.replace(readout, kl=doubted, infidelity=doubted))
    assert text.splitlines()[-1] == "warning: readout infidelity, readout kl: from stuck chains"


def test_rates_assumed_at_0_are_named() -> None:
    measured = pp.ReadoutError.from_rates([0.01] * 12, errors=([1e-3] * 12, [1e-3] * 12))
    perfect = pp.ReadoutError.from_rates([0.0] * 12)
    sentence = modelled_sentence(pp.ReadoutError((*measured.groups[:3], *perfect.groups[3:])))
    assert "assumed at 9 of 12 sites (3, 4, 5, 6, 7, 8, 9, 10, ...);" in sentence
    assert "errors of the true bits allow for their statistical error, and" in sentence
    assert sentence.endswith(
        "with 1% flips at 9 sites assumed at about 0 (3, 4, 5, 6, 7, 8, 9, 10, ...)"
    )
    assert modelled_sentence(perfect).endswith("F and <ZZ> would change with 1% flips")
    assert "psiprune reconstruct states" not in modelled_sentence(measured)


def test_one_site_and_warnings() -> None:
    report = report_of(1)
    lines = shots_report_text(report).splitlines()
    assert lines[7].split()[:6] == ["neighbours", "-", "-", "-", "-", "-"]
    assert lines[8].startswith("correlation d=0 ")
    assert "warning" not in shots_report_text(report)
    warned = dataclasses.replace(
        report,
        magnetization=dataclasses.replace(report.magnetization, warning="rests on sand"),
        correlation=dataclasses.replace(report.correlation, warning="rests on sand"),
    )
    assert "\nwarning: magnetization, correlation: rests on sand\n" in shots_report_text(warned)
