"""`psiprune paper --judge`: a run or its copy judged again, and copies that are small."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import tiny
from outcomes import json_of
from psiprune.io.netcdf import read_dataset, write_dataset
from psiprune.paper.banner import banner
from psiprune.paper.judging import differences, judge_datasets, keep_paper, write_claims
from psiprune.paper.kept import narrowed, read_paper
from psiprune.paper.settings import PaperSettings
from psiprune.paper.stages import TIMES
from refusals import refused


@pytest.fixture(scope="module")
def copy(paper_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a tiny run, judged from what it keeps."""
    run = Path(shutil.copytree(paper_run, tmp_path_factory.mktemp("whole") / "run"))
    paper = read_paper(run)
    write_claims(run, paper.settings, judge_datasets(paper.datasets))
    folder = tmp_path_factory.mktemp("copy")
    assert keep_paper(run, folder) == []
    return folder


@pytest.fixture
def changed(copy: Path, tmp_path: Path) -> Path:
    """A copy that may be changed."""
    return Path(shutil.copytree(copy, tmp_path / "paper"))


def test_a_copy_is_judged_without_shots_and_rbms(copy: Path) -> None:
    outcome = tiny.call("paper", "--judge", copy)
    assert outcome.status == 0, outcome.err
    answer, _, head, *_ = outcome.out.splitlines()
    assert answer == f"{copy / 'claims.json'}: the same verdicts and numbers"
    assert head == "run: with other settings than the defaults"
    assert not list(copy.rglob("seed-*"))
    first = (copy / "claims.md").read_text().splitlines()[0]
    assert first.startswith("**run** with other settings than the defaults; **qubits** 4 (1 seeds)")


def test_a_changed_number_is_reported(changed: Path) -> None:
    file = changed / "claims.json"
    content = json.loads(file.read_text())
    verdict, number = content["claims"][0]["verdict"], content["table1"]["steps"][1]
    content["claims"][0]["verdict"] = "wrong"
    percent = number["percent"]
    number["percent"] *= 1.001
    file.write_text(json.dumps(content))
    found = json_of(tiny.call("paper", "--judge", changed, "--json"))
    key = content["claims"][0]["key"]
    assert found["equal"] is False
    assert found["differences"] == [
        f'claims/{key}/verdict: "wrong" before, now "{verdict}"',
        f"table1/steps/1/percent: {number['percent']!r} before, now {percent!r}",
    ]
    outcome = tiny.call("paper", "--judge", changed)
    assert f"{file}: 2 differences" in outcome.out


def test_equal_within_what_is_kept_of_a_number() -> None:
    kept = {"a": [1.0, None, "x"], "b": 0.0}
    assert not list(differences({"a": [1.0 + 5e-5, None, "x"], "b": 0.0}, kept))
    assert list(differences({"a": [1.0 + 2e-4, None, "x"], "b": 0.0}, kept)) == [
        "a/0: 1.0 before, now 1.0002"
    ]
    assert list(differences({"a": [1.0, 2.0]}, kept)) == [
        *("a/1: null before, now 2.0", 'a/2: "x" before, now null', "b: 0.0 before, now null")
    ]


def test_a_copy_has_numbers_of_24_bits_and_no_unread_variables(paper_run: Path, copy: Path) -> None:
    whole = read_dataset(paper_run / "study" / "study.nc")
    kept = read_paper(copy).datasets["study"]
    assert {str(name) for name in whole} - {str(name) for name in kept} >= {"fidelity", "entropy"}
    for name in ("kl", "history_kl", "components", "weights_kept"):
        assert kept[name].dtype == whole[name].dtype
        np.testing.assert_allclose(kept[name], whole[name], rtol=6e-8)
    assert (kept["kl"] != whole["kl"]).any()
    assert kept.attrs["train"] == whole.attrs["train"]


def test_no_integer_is_narrowed_too_far() -> None:
    values = {"small": [-128, 127], "large": [0, 128], "huge": [-(2**40), 2**40], "one": [5, 5]}
    dataset = xr.Dataset({name: ("level", each) for name, each in values.items()})
    kept = narrowed("study", dataset)
    assert kept.equals(dataset)
    assert [kept[name].dtype.itemsize for name in values] == [2, 2, 8, 2]


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda run: shutil.rmtree(run), r"holds no run \(no config.toml\)"),
        (
            lambda run: (run / "derived" / "decay.nc").unlink(),
            r"derived/decay.nc: is missing, and claims need the dataset decay; finish the run",
        ),
        (
            lambda run: (run / "sparse" / "sparse.nc").write_bytes(b""),
            r"sparse/sparse.nc: the file is empty",
        ),
        (
            lambda run: (run / "config.toml").write_text("sites = 6\nmedians = 3\n"),
            r"config.toml: not a run of psiprune paper by this version \(medians: no such setting",
        ),
        (lambda run: (run / "claims.json").write_text("{"), r"claims.json: cannot be read"),
        (lambda run: (run / "timing.json").unlink(), r"timing.json: cannot be read"),
        (lambda run: (run / TIMES).write_text("[]"), r"times.json: cannot be read"),
    ],
)
def test_what_cannot_be_judged_is_named(
    changed: Path, spoil: Callable[[Path], object], problem: str
) -> None:
    spoil(changed)
    outcome = tiny.call("paper", "--judge", changed)
    assert outcome.status == 2
    assert len(outcome.err.splitlines()) == 1
    assert outcome.err.startswith(f"psiprune: {changed}")
    assert re.search(problem, outcome.err)


def test_a_run_of_another_version_is_judged_and_that_is_said(changed: Path) -> None:
    file = changed / "provenance.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "psiprune": "0.0.9"}))
    lines = tiny.call("paper", "--judge", changed).out.splitlines()
    assert lines[6].startswith("version: made by psiprune 0.0.9, judged by ")
    study = changed / "study" / "study.nc"
    write_dataset(study, read_dataset(study).drop_vars("components"), "study")
    outcome = tiny.call("paper", "--judge", changed)
    assert outcome.status == 2
    assert f"{changed}: a dataset lacks \"No variable named 'components'" in outcome.err
    assert "made by psiprune 0.0.9, this is " in outcome.err


def test_the_banner_says_what_was_run() -> None:
    full, quick = PaperSettings(), PaperSettings(**PaperSettings.quick())
    facts = banner(full, {}, {})
    assert facts["run"] == "full (all defaults)"
    assert facts["qubits"] == "18 (10 seeds), 50 (10 seeds), 100 (3 seeds)"
    assert facts["time"] == "not recorded"
    assert banner(quick, {}, {})["run"] == "quick (--quick)"
    times = {"study": 3000.0, "graph": 60.0, "gone": 1e6}
    machine = {"machine": "Linux, 2 cores", "processor": "AMD"}
    part = banner(full, times, machine)["time"]
    assert part == "51 min for 2 of 14 stages (Linux, 2 cores, AMD)"
    assert banner(full, {"study": 9000.0}, {})["time"].startswith("2.5 h for 1 of 14")


def test_a_stage_of_other_settings_is_refused(paper_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(paper_run, tmp_path / "run"))
    config = run / "size-4" / "config.toml"
    config.write_text(config.read_text().replace("seeds = 1", "seeds = 7"))
    problem = r"size-4/config.toml: the existing run has seeds = 7, this one 1"
    refused(problem, tiny.paper, run, ["sizes"])
