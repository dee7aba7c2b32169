"""`psiprune paper`: figures, claims and the report of a tiny run."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

import psiprune as pp
import tiny
from outcomes import json_of, text_of
from psiprune.core.exceptions import InputError
from psiprune.paper import api
from psiprune.paper.api import DRAWINGS
from psiprune.paper.claims.judge import CLAIMS
from psiprune.paper.judging import Judgement
from psiprune.paper.settings import PaperSettings
from psiprune.training.methods import as_method

FEW = ("fig1", "fig2", "timing")


@pytest.fixture
def run(paper_run: Path, tmp_path: Path) -> Path:
    """A finished run that may be changed."""
    return Path(shutil.copytree(paper_run, tmp_path / "run"))


@pytest.fixture
def few_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three figures instead of twelve, each of which has tests of its own."""
    drawings = {name: DRAWINGS[name] for name in FEW}
    monkeypatch.setattr(api, "DRAWINGS", drawings)


@pytest.mark.usefixtures("few_figures")
@pytest.mark.slow
def test_a_whole_run_has_claims_and_a_report_again_the_same(run: Path) -> None:
    printed = json_of(tiny.call("paper", "--out", run, "--json", *tiny.paper_options()))
    claims = json.loads((run / "claims.json").read_text())
    assert [claim["key"] for claim in claims["claims"]] == [claim.key for claim in CLAIMS]
    assert claims["claims"] == printed["claims"]
    assert sum(claims["counts"].values()) == len(CLAIMS)
    assert claims["provenance"] == json.loads((run / "provenance.json").read_text())
    drawn = {file.name for file in (run / "figures").iterdir()}
    assert drawn == {f"{name}.{suffix}" for name in FEW for suffix in ("svg", "png")}
    page = (run / "report.html").read_text()
    for claim in CLAIMS:
        assert claim.key in page
    # Once more, and nothing is another file.
    before = {name: data for name, (data, _) in tiny.contents(run).items()}
    tiny.call("paper", "--out", run, *tiny.paper_options())
    assert {name: data for name, (data, _) in tiny.contents(run).items()} == before


@pytest.mark.usefixtures("few_figures")
@pytest.mark.slow
def test_the_report_names_the_code_of_stages_that_were_copied_in(run: Path) -> None:
    file = run / "sparse" / "provenance.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "git": "1234abc"}))
    command = ("paper", "--out", run, *tiny.paper_options())
    assert tiny.call(*command).status == 0
    page = (run / "report.html").read_text()
    assert "<dt>sparse</dt><dd>git 1234abc</dd>" in page
    assert "<dt>study</dt>" not in page
    assert "With the versions named above, each stage with its own, this gives" in page
    file.write_text("{")
    outcome = tiny.call(*command)
    assert outcome.status == 2
    assert f"{file}: cannot be read" in outcome.err


@pytest.mark.slow
def test_one_figure_alone_runs_what_it_needs(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    options = ("--only", "fig1", "table1", *tiny.paper_options())
    outcome = tiny.call("paper", "--out", folder, *options)
    assert outcome.status == 0
    # No terminal, so a line a stage is all that is told.
    line = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d %s: about 1 min, 1 min to the end"
    for found, stage in zip(tiny.errors(outcome), ("study", "graph"), strict=True):
        assert re.fullmatch(line % stage, found)
    assert {file.name for file in (folder / "figures").iterdir()} == {"fig1.png", "fig1.svg"}
    stages = {file.parent.name for file in folder.glob("*/config.toml")}
    assert stages == {"graph", "study"}
    assert not (folder / "report.html").exists()
    assert re.search(r"remaining.*\n0 +18 ", outcome.out)
    files = f"{folder}: figures/fig1.png, figures/fig1.svg"
    assert outcome.out.splitlines()[-2:] == [files, f"next: psiprune info {folder}"]
    numbers = json.loads(tiny.call("paper", "--out", folder, "--json", *options).out)
    assert numbers["table1"]["steps"][1]["weights_kept"] == 16
    # Those of the first time, though all stages were finished.
    warned = [f"psiprune: warning: {text}" for text in numbers["training_warnings"]]
    told = [line for line in outcome.err.splitlines() if line.startswith("psiprune: warning")]
    assert sorted(warned) == sorted(told) != []
    assert set(numbers["methods"]) == {"train", "fine_tune"}
    for name, method in numbers["methods"].items():
        assert f"{name}: {as_method(method)}" in outcome.out.splitlines()


def test_initial_weights_are_those_of_every_experiment() -> None:
    paper = PaperSettings(initial="local")
    experiments = (
        *(paper.graph(), paper.study(), paper.size(50), paper.schedule(0.1)),
        *(paper.sparse(), paper.ablation(), paper.frontier()),
    )
    assert {experiment.initial for experiment in experiments} == {"local"}


def test_quick_is_a_smaller_configuration_that_options_change() -> None:
    quick = PaperSettings(**PaperSettings.quick())
    assert (quick.sites, quick.other_sites, quick.seeds) == (18, (10,), 3)
    full = PaperSettings()
    assert (full.sites, full.other_sites, full.seeds, full.other_seeds) == (
        *(18, (50, 100), 10, (10, 3)),
    )
    assert [(full.size(n).seeds, full.size(n).prune.levels) for n in (50, 100)] == [
        *((10, 29), (3, 36)),  # Table I passes the tree bound by two steps at N = 18, too
    ]
    assert PaperSettings(other_sites=(30, 40, 50)).size(50).seeds == 3
    assert quick.size(10).prune.levels == quick.levels == 20
    # Both do the same experiments, by the paper's way of training.
    for settings in (quick, full):
        assert settings.study().train.method == "cd"
        assert settings.study().prune.criterion == "magnitude"
        assert settings.size(50).hidden_units == 25
        assert settings.schedule(0.3).prune.first_fraction == 0.3
        assert settings.schedule(0.3).prune.fraction == 0.05


@pytest.mark.slow
def test_claims_and_report_are_written_under_the_lock(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = []

    def judge_and_look(*_: object) -> Judgement:
        with pytest.raises(InputError, match="another process writes to this run"):
            api.reproduce(tiny.paper_settings(), run, ["table1"])
        refused.append(True)
        return Judgement([], [], {"robustness": []})

    monkeypatch.setattr(api, "judge_datasets", judge_and_look)
    monkeypatch.setattr(api, "DRAWINGS", {})
    api.reproduce(tiny.paper_settings(), run)
    assert refused == [True]
    assert (run / "report.html").exists()


@pytest.mark.slow
def test_all_figures_of_a_tiny_run(run: Path) -> None:
    text_of(tiny.call("paper", "--out", run, *tiny.paper_options()))
    drawn = {file.stem for file in (run / "figures").glob("*.svg")}
    assert drawn == set(DRAWINGS)


def test_robustness_runs_change_the_training_alone() -> None:
    paper = PaperSettings(train=pp.CD(epochs=40), seeds=2)
    for how in paper.robust:
        study = paper.trained_otherwise(how)
        changed = {"train", "fine_tune", "history_every"}
        assert study.model_dump(exclude=changed) == paper.study().model_dump(exclude=changed)
    constant, single, both, exact = map(paper.trained_otherwise, paper.robust)
    assert constant.train == pp.CD(epochs=40, learning_rate=0.01, learning_rate_decay=1.0)
    assert constant.fine_tune == pp.CD(epochs=30, learning_rate=0.01, learning_rate_decay=1.0)
    assert single.train == pp.CD(epochs=40, steps=1)
    assert single.fine_tune == pp.CD.for_fine_tuning(steps=1)
    assert both.train == pp.CD(epochs=40, steps=1, learning_rate=0.01, learning_rate_decay=1.0)
    assert exact.train == pp.ExactNaturalGradient()
    assert exact.fine_tune == pp.ExactNaturalGradient.for_fine_tuning()
