"""A run folder belongs to one configuration and one process, and says what made its numbers."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

import psiprune as pp
import tiny
from psiprune.core.settings import Settings
from psiprune.experiments.path_settings import PathSettings
from psiprune.io import provenance
from psiprune.io.provenance import (
    LATER,
    arithmetic,
    code_changes,
    describe_machine,
    facts_of,
    other_stages,
    same_start,
    why_not_same_bits,
)
from psiprune.io.run import _FOLDERS, default_folder, open_run
from refusals import refuses


def test_a_new_folder_holds_configuration_and_provenance(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "run"
    with open_run(folder, pp.StudySettings()) as path:
        assert path == folder
        assert tiny.names(folder) == {"config.toml", "provenance.json"}
    found = json.loads((folder / "provenance.json").read_text())
    assert found["python"] == platform.python_version()
    for name in ("psiprune", "numpy", "scipy", "numba", "physics-tenpy", "xarray", "matplotlib"):
        assert found[name] == version(name)
    assert platform.machine() in found["machine"]
    assert found["git"]


def start(folder: Path, settings: Settings | None = None) -> None:
    """Open a run and leave it."""
    with open_run(folder, settings or pp.StudySettings()):
        pass


def test_the_same_run_is_resumed_also_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), open_run(tmp_path, pp.StudySettings(seed=3)):
        raise ZeroDivisionError
    (tmp_path / "level.nc").write_text("kept")
    before = tiny.contents(tmp_path, but=(".lock", "provenance.json"))
    with open_run(tmp_path, pp.StudySettings(seed=3)):
        assert tiny.contents(tmp_path, but=(".lock", "provenance.json")) == before


@pytest.mark.parametrize(
    ("other", "facts"),
    [
        (pp.StudySettings(seed=4), ("seed = 3", 4)),
        (pp.StudySettings(seed=3, hidden=5), ("hidden = (none)", 5)),
        (pp.StudySettings(seed=3, train=pp.CD(epochs=7)), ("train.epochs = 500", 7)),
        # Of several differences the first by name is reported.
        (pp.StudySettings(seed=4, fields=(0.5,)), ("fields = [1.0, 2.0]", [0.5])),
        (PathSettings(rbm="a", shots="b", seed=3), ("coupling", "another command")),
    ],
)
def test_another_configuration_is_refused(
    tmp_path: Path, other: pp.StudySettings, facts: tuple[object, ...]
) -> None:
    start(tmp_path, pp.StudySettings(seed=3))
    before = tiny.contents(tmp_path)
    with refuses("config.toml", *facts, "another folder"):
        start(tmp_path, other)
    assert tiny.contents(tmp_path) == before


def test_what_a_start_stopped_at_once_leaves_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / ".config.toml.0123abcd.draft").write_text("sites =")
    with open_run(tmp_path, pp.StudySettings()):
        assert (tmp_path / "config.toml").exists()


def test_default_folders_tell_configurations_apart() -> None:
    first = default_folder("study", pp.StudySettings())
    assert first == default_folder("study", pp.StudySettings(seed=0))
    assert first.parent == Path("runs")
    assert first.name.startswith("study-")
    assert first != default_folder("study", pp.StudySettings(seed=1))
    assert first != default_folder("study", pp.StudySettings(train=pp.CD(epochs=501)))


def test_a_run_of_another_version_is_refused(tmp_path: Path) -> None:
    start(tmp_path)
    file = tmp_path / "provenance.json"
    machine = json.loads(file.read_text())
    for other, facts in (
        ({**machine, "psiprune": "0.0.7"}, ("0.0.7", version("psiprune"))),
        ([], ("cannot be read",)),
        ({**machine, "later starts": 3}, ("cannot be read",)),
    ):
        file.write_text(json.dumps(other))
        with refuses(file, *facts):
            start(tmp_path)


def test_other_code_that_resumes_a_run_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "provenance.json"

    def again(**changed: str) -> list[str]:
        machine = {**describe_machine(), "numpy": "2.2.1", "git": "abc", **changed}
        monkeypatch.setattr("psiprune.io.run.describe_machine", lambda: machine)
        caplog.clear()
        start(tmp_path)
        return [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]

    assert again() == []
    first = file.read_bytes()
    assert again() == []
    assert file.read_bytes() == first
    (line,) = again(numpy="2.3.0", git="def")
    assert line.startswith(f"{tmp_path}: ")
    assert "numpy 2.2.1, now 2.3.0; git abc, now def" in line
    second = file.read_bytes()
    assert len(again(numpy="2.3.0", git="def")) == 1
    assert file.read_bytes() == second
    assert again(machine="another") == []
    assert again() == []
    kept = json.loads(file.read_bytes())
    later = kept.pop("later starts")
    assert kept == json.loads(first)
    assert [(each["numpy"], each["git"]) for each in later] == [
        *(("2.3.0", "def"), ("2.2.1", "abc"), ("2.2.1", "abc"))
    ]
    facts = facts_of({**kept, "later starts": later})
    assert facts["later start 1"] == "numpy 2.2.1, now 2.3.0; git abc, now def"
    assert facts["later start 2"].endswith(", now another")
    assert facts["later start 3"] == "same as the first"


def test_a_folder_without_a_processor_is_resumed_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "provenance.json"
    machine = {**describe_machine(), "processor": "A"}

    def again(**changed: str) -> bytes:
        monkeypatch.setattr("psiprune.io.run.describe_machine", lambda: {**machine, **changed})
        start(tmp_path)
        return file.read_bytes()

    again()
    older = {name: value for name, value in machine.items() if name != "processor"}
    file.write_text(json.dumps(older))
    assert json.loads(again()) == older
    again(numpy="0.1")
    kept = json.loads(again(processor="B"))
    assert [each["processor"] for each in kept["later starts"]] == ["A", "B"]
    warnings = [each for each in caplog.records if each.levelname == "WARNING"]
    assert len(warnings) == 1  # of numpy, and of no processor


def test_the_command_warns_of_other_code(stages: Path, tmp_path: Path) -> None:
    files = (stages / "rbm.nc", stages / "shots.nc", "--levels=1", "--no-fine-tune")
    command = ("prune", *files, "--out", tmp_path / "path")
    assert tiny.errors(tiny.call(*command)) == []
    assert tiny.errors(tiny.call(*command)) == []
    file = tmp_path / "path" / "provenance.json"
    file.write_text(file.read_text().replace(f'"numpy": "{version("numpy")}"', '"numpy": "0.1"'))
    outcome = tiny.call(*command)
    assert outcome.status == 0
    assert outcome.err.count("\n") == 1
    path = tmp_path / "path"
    now = f"numpy 0.1, now {version('numpy')}"
    assert outcome.err.startswith(f"psiprune: warning: {path}: ")
    assert now in outcome.err
    info = tiny.call("info", path).out
    assert f"later start 1  {now}\n" in info


def test_a_resumed_run_deletes_only_what_killed_starts_of_psiprune_have_left(
    tmp_path: Path,
) -> None:
    ours = (".a.nc.0123abcd.draft", "h=1/seed-0/.b.nc.0123abcd.draft", "path/.c.0123abcd.draft")
    foreign = (".x.draft", "notes/.thesis.draft", "notes/.thesis.0123abcd.draft", "h=1/mine.txt")
    start(tmp_path)
    for name in (*foreign, *ours):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("half")
    (tmp_path / "figures").symlink_to(tmp_path / "notes")
    elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere"
    (elsewhere / "seed-0").mkdir(parents=True)
    (elsewhere / "seed-0/.thesis.0123abcd.draft").write_text("half")
    (tmp_path / "h=2").symlink_to(elsewhere)
    with open_run(tmp_path, pp.StudySettings()):
        assert all((tmp_path / name).exists() for name in foreign)
        assert (elsewhere / "seed-0/.thesis.0123abcd.draft").exists()
        assert not any((tmp_path / name).exists() for name in ours)


@pytest.mark.slow
def test_every_folder_of_a_run_is_known(
    finished: Path, ablation_run: Path, observable_run: Path, paper_run: Path
) -> None:
    for top in (finished, ablation_run, observable_run, paper_run):
        runs = {config.parent for config in top.rglob("config.toml")}
        known = runs | {made for run in runs for each in _FOLDERS for made in run.glob(each)}
        assert not [made for made in top.rglob("*") if made.is_dir() and made not in known]


# ---- drafts of commands that were killed as they wrote


SLOW = pytest.mark.slow  # all write in the same way; two commands are enough at first


@pytest.mark.parametrize(
    ("name", "rest"),
    [
        ("train", "{in}/shots.nc --hidden 2 --epochs 2"),
        ("export", "numpy {in}/shots.nc"),
        pytest.param("ground-state", "--sites 2", marks=SLOW),
        pytest.param("sample", "{in}/state.nc --shots 10", marks=SLOW),
        pytest.param("import", "text {in}/shots.txt", marks=SLOW),
        pytest.param("mask", "random --hidden 2 --sites 4 --count 3", marks=SLOW),
    ],
)
def test_no_draft_of_a_killed_start_stays(
    stages: Path, tmp_path: Path, name: str, rest: str
) -> None:
    out = tmp_path / {"export": "a.npz", "mask": "a.txt"}.get(name, "a.nc")
    words = (name, *rest.replace("{in}", str(stages)).split(), "--out", out)
    tiny.kill_as_it_writes(1, *words)
    assert any(tmp_path.glob(".*.draft"))
    other = tiny.write(tmp_path / f".{out.name}.old.0123abcd.draft", "of somebody else")
    assert tiny.call(*words).status == 0
    assert {*tmp_path.iterdir()} == {out, other}


# ---- what is said to stand behind numbers


def git(folder: Path, *arguments: str) -> str:
    fingerprint = ("-c", "user.name=a", "-c", "user.email=a@b")
    command = ["git", "-C", str(folder), *fingerprint, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the module that takes itself for the one in use, in a checkout that ignores it."""
    copy = tmp_path / "env" / "provenance.py"
    copy.parent.mkdir()
    shutil.copy(provenance.__file__, copy)
    monkeypatch.setattr(provenance, "__file__", str(copy))
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "of another project")
    return copy


def test_git_is_not_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert describe_machine()["git"] == "not a checkout"


def test_the_revision_is_that_of_the_checkout(installed: Path, tmp_path: Path) -> None:
    assert describe_machine()["git"] == "not a checkout"  # of another project around ours
    git(tmp_path, "add", str(installed))
    git(tmp_path, "commit", "--quiet", "--message", "ours")
    revision = git(tmp_path, "rev-parse", "--short", "HEAD")
    assert describe_machine()["git"] == revision
    installed.write_text("changed")
    assert describe_machine()["git"] == f"{revision}-dirty"


def test_stages_by_other_code_are_told_with_what_differs() -> None:
    run = {"numpy": "2.2", "git": "abc", "machine": "m", LATER: [{"numpy": "2.3", "git": "abc"}]}
    same = {"numpy": "2.2", "git": "abc", "machine": "another", "processor": "p"}
    stages: dict[str, dict[str, Any]] = {
        "study": same,
        "sparse": {**same, "git": "def"},
        "frontier": {**same, LATER: [{**same, "numpy": "2.3", "git": "ghi"}]},
        "graph": {"git": "abc"},
    }
    assert other_stages(run, stages) == {
        "sparse": "git def",
        "frontier": "as the run; later start: numpy 2.3, git ghi",
        "graph": "numpy unknown",
    }


SAME = {"numpy": "2.2", "git": "abc", "vector instructions": "znver4, AVX-512"}


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({**SAME, "numpy": "2.3"}, "numpy: 2.2 and 2.3"),
        ({**SAME, "vector instructions": "haswell, AVX2"}, "znver4, AVX-512 and haswell, AVX2"),
        ({**SAME, LATER: [{**SAME, "git": "def"}]}, "git: abc and def"),
        ({"numpy": "2.2", "git": "abc"}, "vector instructions: znver4, AVX-512 and not recorded"),
    ],
)
def test_why_runs_need_not_agree_to_the_bit(other: dict[str, Any], reason: str) -> None:
    (found,) = why_not_same_bits(SAME, other)
    assert reason in found
    assert len(why_not_same_bits(other, SAME)) == 1
    assert why_not_same_bits(SAME, {**SAME, "machine": "64 cores", "processor": "another"}) == ()
    dirty = {**SAME, "git": "abc-dirty"}  # unknown code
    assert "unknown" in why_not_same_bits(dirty, dirty)[0]


def test_a_resumed_run_notices_another_cpu_family_but_not_a_folder_without_the_record() -> None:
    here = describe_machine()
    assert "vector instructions" in code_changes({**here, "vector instructions": "power10"}, here)
    old = {name: value for name, value in here.items() if name not in arithmetic()}
    assert code_changes(old, here) == ""
    assert same_start(old, here)
