"""The resume command that `psiprune info` prints works from any folder."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

import psiprune as pp
import tiny
from psiprune.core.settings import Settings
from psiprune.experiments.path_settings import PathSettings, RewirePathSettings, UntilSettings
from psiprune.inspect.contents import contents_of
from psiprune.inspect.descriptions import RunDescription
from psiprune.pruning.settings import RewireSettings


def resume_of(folder: Path) -> str:
    found = pp.describe(folder)
    assert isinstance(found, RunDescription)
    return found.resume


@pytest.mark.parametrize(
    ("settings", "command", "file"),
    [
        (
            PathSettings(rbm="0", shots="0", until=UntilSettings(measure="kl")),
            "prune RBM SHOTS --out 'a b'",
            "smallest.nc",
        ),
        (
            RewirePathSettings(rbm="0", shots="0", rewire=RewireSettings(rounds=2)),
            "rewire RBM SHOTS --out 'a b'",
            "level-02.nc",
        ),
        (
            tiny.reconstruct_settings().for_sites(4),
            "reconstruct SHOTS --config 'a b/config.toml' --out 'a b'",
            "report.html",
        ),
    ],
)
def test_of_every_command_the_folder_is_quoted(settings: Settings, command: str, file: str) -> None:
    found = contents_of(Path("a b"), settings.model_dump(mode="json", exclude_none=True))
    assert found is not None
    assert found.command == command.split()[0]
    assert found.resume.startswith(f"psiprune {command}, with the same ")
    assert file in map(str, found.files)


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_custom_observables_are_found_in_the_run(
    stages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, elsewhere = tmp_path / "lab", tmp_path / "elsewhere"
    for folder in (lab, elsewhere):
        folder.mkdir()
    (lab / "obs.py").write_text(tiny.OWN)
    monkeypatch.chdir(lab)
    options = (*tiny.reconstruct_options(), "--observable", "obs.py:walls", "--out", "run")
    assert tiny.call("reconstruct", stages / "shots.nc", *options).status == 0
    before = (lab / "run/reconstruct.nc").read_bytes()
    (lab / "run/reconstruct.nc").unlink()
    monkeypatch.chdir(elsewhere)
    words = shlex.split(resume_of(Path("../lab/run")).partition(", with")[0])
    outcome = tiny.call(*[stages / "shots.nc" if word == "SHOTS" else word for word in words[1:]])
    assert outcome.status == 0, outcome
    assert tiny.errors(outcome) == []  # no recomputation: the copy is what the run used
    assert (lab / "run/reconstruct.nc").read_bytes() == before
    assert [file.name for file in (lab / "run/observables").glob("*.py")] == ["1-obs.py"]
