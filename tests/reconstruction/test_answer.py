"""The text of the answer: numbers with enough digits, lines within 100 columns."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import xarray as xr

import psiprune as pp
from psiprune.reconstruction.advice import Step
from psiprune.reconstruction.checks import Check
from psiprune.reconstruction.command import Request
from psiprune.reconstruction.settings import ReconstructSettings
from psiprune.reconstruction.summary import plus_minus, summarize
from psiprune.reconstruction.text import answer_text, checks_table, levels_table, reconstruct_text


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


def test_a_long_command_can_be_pasted(observable_run: Path, tmp_path: Path) -> None:
    dataset = xr.load_dataset(observable_run / "reconstruct.nc")
    file = tmp_path / "a name of 30 letters and spaces.nc"
    file.touch()
    settings = ReconstructSettings(hidden=tuple(range(1, 60)), seed=3)
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
    made = pp.load_reconstruction(observable_run)
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
