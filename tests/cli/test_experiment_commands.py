"""Experiments on the command line: folders, tables, and options on top of a file."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from matplotlib.figure import Figure

import psiprune as pp
import tiny
from outcomes import chooser, json_of, text_of
from psiprune.experiments.settings import StudySettings
from psiprune.io.netcdf import read_dataset
from psiprune.pruning.settings import PruneSettings
from refusals import check_refusal


def test_study(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    command = ("study", *tiny.options(), "--fields", "1", "2", "--out", folder)
    found = json_of(tiny.call(*command, "--json"))
    assert found["folder"] == str(folder)
    assert {key: len(levels) for key, levels in found["levels"].items()} == {"h=1": 4, "h=2": 4}
    api = read_dataset(finished / "study.nc", "study")
    assert tiny.raw(read_dataset(folder / "study.nc", "study")) == tiny.raw(api)
    assert found["levels"]["h=2"][3]["kl"] == float(api["kl"].sel(field=2.0)[0, 3])
    assert tiny.names(folder) == tiny.names(finished) | {"figure.png", "figure.svg"}
    assert (folder / "figure.png").read_bytes().startswith(b"\x89PNG")
    # Started again, from its own configuration: nothing is left to do, the table is the same.
    before = tiny.contents(folder)
    monkeypatch.setattr("psiprune.experiments.figures.study.plot_study", lambda _: None)
    monkeypatch.setattr("psiprune.reporting.figures.save_figure", lambda *_: [Path("figure.png")])
    out = text_of(tiny.call("study", "--config", folder / "config.toml", "--out", folder))
    assert out.startswith("h/J = 1\npruned  weights")
    assert out.endswith(f"{folder}: study.nc, figure.png\n")
    after = tiny.contents(folder)
    made = [file for file in before if "h=" in file]
    assert {name: after[name] for name in made} == {name: before[name] for name in made}
    assert after["study.nc"][0] == before["study.nc"][0]


def test_study_goes_to_a_folder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "psiprune.experiments.study.run_study", lambda *_: read_dataset(finished / "study.nc")
    )
    monkeypatch.setattr("psiprune.experiments.figures.study.plot_study", lambda _: None)
    monkeypatch.setattr("psiprune.reporting.figures.save_figure", lambda *_: [])
    first, again, other = (
        json_of(tiny.call("study", "--seed", seed, "--json"))["folder"] for seed in (0, 0, 1)
    )
    assert first == again != other
    assert re.fullmatch(r"runs/study-[0-9a-f]{8}", first)


@pytest.mark.parametrize(
    ("command", "figures", "key"),
    [
        ("sparse", ["figure"], "variants"),
        pytest.param("ablation", ["broken", "forbidden"], "ablation", marks=pytest.mark.slow),
    ],
)
def test_sparse_and_ablation(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    command: str,
    figures: list[str],
    key: str,
) -> None:
    drawn: list[Path] = []

    def save(figure: Figure, stem: Path) -> list[Path]:
        assert figure.get_axes()
        drawn.append(stem)
        return [Path(f"{stem}.png")]

    monkeypatch.setattr("psiprune.reporting.figures.save_figure", save)
    done: Path = request.getfixturevalue(f"{command}_run")
    folder = Path(shutil.copytree(done, tmp_path / "run"))
    # From its own configuration: nothing is left to do but figures, JSON and table.
    again = (command, "--config", folder / "config.toml", "--out", folder)
    found = json_of(tiny.call(*again, "--json"))
    assert found["folder"] == str(folder)
    assert "h=1" in found[key]
    assert drawn == [folder / name for name in figures]
    assert tiny.names(folder) == tiny.names(done)
    assert (folder / f"{command}.nc").read_bytes() == (done / f"{command}.nc").read_bytes()
    module = f"psiprune.experiments.{command}.run_{command}"
    monkeypatch.setattr(module, lambda *_: read_dataset(folder / f"{command}.nc"))
    out = text_of(tiny.call(*again))
    assert out.startswith("h/J = 1")
    names = ", ".join(f"{name}.png" for name in figures)
    assert out.splitlines()[-1] == f"{folder}: {command}.nc, {names}"


def test_options_stand_on_top_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = chooser(monkeypatch, "study")
    file = tmp_path / "mine.toml"
    file.write_text("sites = 6\nfields = [0.5]\n[train]\nepochs = 7\nmomentum = 0.5\n")
    assert chosen() == StudySettings()
    found = chosen("--config", file)
    train = pp.CD(epochs=7, momentum=0.5)
    assert found == StudySettings(sites=6, fields=(0.5,), train=train)
    found = chosen("--config", file, "--train.epochs=8", "--prune.levels=3", "--fields=1")
    train = pp.CD(epochs=8, momentum=0.5)
    prune = PruneSettings(levels=3)
    assert found == StudySettings(sites=6, fields=(1.0,), train=train, prune=prune)
    # An option that says the default still wins over the file.
    assert chosen("--config", file, "--sites=18").sites == 18


def test_options_need_only_go_together_with_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = chooser(monkeypatch, "study")
    alone = ("--rewind-epoch", "900")
    line = tiny.refusal(tiny.call("study", *alone))
    check_refusal(line, "rewind_epoch", "train.epochs", 500, 900)
    file = tmp_path / "long.toml"
    file.write_text("[train]\nepochs = 1000\n")
    assert chosen("--config", file, *alone).rewind_epoch == 900
    line = tiny.refusal(tiny.call("study", "--config", file, "--rewind-epoch", "1001"))
    check_refusal(line, "rewind_epoch", "train.epochs", 1000, 1001)


@pytest.mark.parametrize(
    "spelling", [["--fields", "0.5", "1.5"], ["--fields", "0.5", "--fields", "1.5"]]
)
def test_several_fields(monkeypatch: pytest.MonkeyPatch, spelling: list[str]) -> None:
    chosen = chooser(monkeypatch, "study")
    assert chosen(*spelling, "--seed", "3").fields == (0.5, 1.5)


def test_what_the_command_line_gives_is_what_toml_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = chooser(monkeypatch, "study")
    arguments = [*tiny.options(), "--fields", "1", "2"]
    assert chosen(*arguments) == tiny.settings()
