"""The command `reconstruct` and its page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from markupsafe import escape

import psiprune as pp
import tiny
from psiprune.data.shots import Shots
from psiprune.reconstruction.inputs import split_shots


def test_the_page_says_what_the_dataset_says(done: tuple[Path, pp.Reconstruction]) -> None:
    page = (done[0] / "run/report.html").read_text()
    dataset = done[1].dataset
    weights, dense = dataset.attrs["weights"], dataset.attrs["dense_weights"]
    assert f">{weights}</data> of " in page
    assert f">{dense}</data> weights" in page
    for each in done[1].checks:
        assert each.name in page
        assert str(escape(each.found)) in page
    assert "walls" in page
    assert "psiprune reconstruct" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


@pytest.mark.usefixtures("undrawn")
def test_the_command(done: tuple[Path, pp.Reconstruction], stages: Path, tmp_path: Path) -> None:
    place = f"{done[0] / 'mine.py'}:walls"
    command = ("reconstruct", stages / "shots.txt", *tiny.reconstruct_options())
    options = ("--observable", place, "--out", tmp_path / "run")
    outcome = tiny.call(*command, *options, "--json")
    assert (outcome.status, tiny.errors(outcome)) == (0, [])
    printed = json.loads(outcome.out)
    dataset = done[1].dataset
    assert printed["weights"] == dataset.attrs["weights"]
    assert printed["test"]["loss"] == float(dataset["test_loss"])
    assert printed["verdict"] == done[1].verdict
    assert [each["answer"] for each in printed["checks"]] == [x.answer for x in done[1].checks]
    assert len(printed["trials"]) == dataset.sizes["trial"]
    assert set(printed["observables"]) >= {"walls", "correlation"}
    outcome = tiny.call(*command, *options)
    assert (outcome.status, tiny.errors(outcome)) == (0, [])
    lines = outcome.out.splitlines()
    assert lines[0] == printed["reason"]
    assert lines[0].lower().startswith(printed["verdict"])
    assert max(map(len, lines)) <= 100
    assert any(line.startswith("walls ") for line in lines)
    assert str(done[1]).splitlines()[0] == lines[0]
    # Also `info` shows the answer first.
    informed = tiny.call("info", tmp_path / "run").out.splitlines()
    assert informed[1:5] == lines[:4]
    # The page names a command that gives the same, and so does the configuration.
    config = ("--config", tmp_path / "run/config.toml", "--out", tmp_path / "again")
    outcome = tiny.call("reconstruct", stages / "shots.txt", *config, "--json")
    again = json.loads(outcome.out)
    for each in (again, printed):  # what differs from folder to folder, and from time to time
        assert Path(each.pop("report")).parent == Path(each.pop("folder"))
        assert each["estimate"].pop("seconds") > 0
    assert again == printed


@pytest.mark.usefixtures("undrawn")
def test_shots_of_any_format_and_output_of_custom_code(shots: Shots, tmp_path: Path) -> None:
    pp.export_shots(shots, tmp_path / "shots.b8", "stim-b8")
    (tmp_path / "mine.py").write_text(
        "print('loaded')\ndef first(bits):\n    print('called')\n    return bits[:, 0]\n"
    )
    command = ("reconstruct", tmp_path / "shots.b8", *tiny.reconstruct_options())
    assert "give --qubits N" in tiny.refusal(tiny.call(*command, "--out", tmp_path / "run"))
    own = ("--observable", f"{tmp_path / 'mine.py'}:first", "--out", tmp_path / "run")
    reading = ("--format", "stim-b8", "--qubits", 4, "--order", "reversed")
    outcome = tiny.call(*command, *reading, *own, "--json")
    assert outcome.status == 0, outcome
    printed = json.loads(outcome.out)  # nothing else stands there
    assert "loaded" in outcome.err
    assert "called" in outcome.err
    first = split_shots(Shots(shots.bits[:, ::-1]), 0.4, 0).test.bits[:, 0]
    assert printed["observables"]["first"]["shots"] == pytest.approx(first.mean())
    page = (tmp_path / "run/report.html").read_text()
    assert "shots.b8 --format stim-b8 --qubits 4 --order reversed --hidden 2 " in page
