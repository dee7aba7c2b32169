"""What `reconstruct` returns, and the command: tables, figures, page, and reading a run back."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from markupsafe import escape

import psiprune as pp
import tiny
from outcomes import json_of, text_of
from psiprune.io.netcdf import read_dataset, write_dataset
from psiprune.reconstruction.inputs import split_shots
from refusals import refuses


@pytest.fixture(scope="module")
def loose(shots: pp.Shots, tmp_path_factory: pytest.TempPathFactory) -> pp.Reconstruction:
    """A run without a folder, which leaves nothing behind."""
    temporary = tmp_path_factory.mktemp("temporary")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tempfile, "tempdir", str(temporary))
        made = pp.reconstruct(shots, settings=tiny.reconstruct_settings())
    assert list(temporary.iterdir()) == []
    return made


def test_without_a_folder_all_is_in_memory(
    loose: pp.Reconstruction, done: tuple[Path, pp.Reconstruction], tmp_path: Path
) -> None:
    made = done[1]
    assert loose.report is None
    assert loose.request.folder is None
    np.testing.assert_array_equal(made.rbm.weights, loose.rbm.weights)
    assert [each.loss for each in made.levels] == [each.loss for each in loose.levels]
    page = loose.save_report(tmp_path / "page.html").read_text()
    assert page == loose.to_html()
    assert made.report is not None
    assert made.report.read_text().count("<section") == page.count("<section")


def test_a_run_is_read_back(done: tuple[Path, pp.Reconstruction], tmp_path: Path) -> None:
    made, again = done[1], pp.load_reconstruction(done[0] / "run")
    xr.testing.assert_equal(again.dataset, made.dataset)
    assert made.dataset.attrs.items() <= again.dataset.attrs.items()
    assert (str(again), repr(again)) == (str(made), repr(made))
    assert repr(again.checks) == repr(made.checks)
    assert again.to_html() == made.to_html()
    assert made.report is not None
    pages = (made.report.read_text(), made.to_html())
    assert len({re.sub('src="data:[^"]*"', "", page) for page in pages}) == 1
    with refuses(tmp_path, "reconstruct.nc", "psiprune reconstruct"):
        pp.load_reconstruction(tmp_path)


@pytest.mark.parametrize("lost", ["training_loss", "trial_loss", "inefficiency", "tolerance"])
def test_a_run_of_another_version_is_refused(
    lost: str, done: tuple[Path, pp.Reconstruction], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(done[0] / "run", folder)
    dataset = read_dataset(folder / "reconstruct.nc", "reconstruct").drop_vars(
        lost, errors="ignore"
    )
    dataset.attrs.pop(lost, None)
    write_dataset(folder / "reconstruct.nc", dataset, "reconstruct")
    with refuses("reconstruct.nc", "another version", "another folder"):
        pp.load_reconstruction(folder)


def test_checks_and_levels_are_tables(loose: pp.Reconstruction) -> None:
    checks, levels = loose.checks, loose.levels
    assert {each.answer for each in checks} <= {"pass", "fail", "undecided"}
    lines = repr(checks).splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0].split() == ["check", "answer", "loss", "at", "most", "found"]
    for each in checks:
        assert sum(line.startswith(f"{each.name} ") for line in lines) == 1
    table = checks.to_pandas()
    assert list(table["name"]) == [each.name for each in checks]
    assert list(table.columns) == list(checks[0]._fields)
    assert all(str(escape(each.found)) in checks._repr_html_() for each in checks)
    rows = [line.split() for line in repr(levels).splitlines()[1:]]
    assert [int(row[0]) for row in rows] == [each.weights for each in levels]
    assert [row[-1] == "yes" for row in rows] == [each.accepted for each in levels]
    assert "rbm" not in levels.to_pandas()
    assert [each.rbm.number_of_weights for each in levels] == [each.weights for each in levels]
    smallest = min(each.weights for each in levels if each.accepted)
    assert loose.rbm.number_of_weights == smallest
    with pytest.raises(TypeError):
        checks[0] = checks[1]  # type: ignore[index]


def test_the_page_states_the_tolerance_as_it_is(loose: pp.Reconstruction) -> None:
    """0.05 with one digit would be 0.1, which is twice as much."""
    page = loose.to_html()
    assert "at most 0.05 nats per shot" in page
    assert "interval ends below 0.1," in page


def test_the_answer_is_printed(loose: pp.Reconstruction) -> None:
    assert "\n" not in repr(loose)
    assert f"{loose.rbm.number_of_weights} of 8 weights" in repr(loose)
    assert loose.verdict in repr(loose)
    assert str(loose).lower().startswith(loose.verdict)
    assert len({ax.figure for ax in loose.plot()}) == 1


# ---- the command and its page


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
    printed = json_of(tiny.call(*command, *options, "--json"))
    dataset = done[1].dataset
    assert printed["weights"] == dataset.attrs["weights"]
    assert printed["test"]["loss"] == float(dataset["test_loss"])
    assert printed["verdict"] == done[1].verdict
    assert [each["answer"] for each in printed["checks"]] == [x.answer for x in done[1].checks]
    assert len(printed["trials"]) == dataset.sizes["trial"]
    assert set(printed["observables"]) >= {"walls", "correlation"}
    out = text_of(tiny.call(*command, *options))
    lines = out.splitlines()
    assert lines[0] == printed["reason"]
    assert lines[0].lower().startswith(printed["verdict"])
    assert max(len(line) for line in lines if not line.startswith("  psiprune ")) <= 100
    assert lines[-1] == f"  {printed['next'][-1]['command']}"
    assert sum(printed["next"][0]["command"] in line for line in lines) == 1
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
def test_shots_of_any_format_and_output_of_custom_code(shots: pp.Shots, tmp_path: Path) -> None:
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
    first = split_shots(pp.Shots(shots.bits[:, ::-1]), 0.4, 0).test.bits[:, 0]
    assert printed["observables"]["first"]["shots"] == pytest.approx(first.mean())
    page = (tmp_path / "run/report.html").read_text()
    assert "shots.b8 --format stim-b8 --qubits 4 --order reversed --hidden 2 " in page
