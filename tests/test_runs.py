"""A run folder belongs to one configuration and one process at a time."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from pathlib import Path

import pytest
from filelock import FileLock

import tiny
from psiprune.config import PathSettings, StudySettings, TrainSettings
from psiprune.inputs import InputError
from psiprune.runs import default_folder, open_run


def test_a_new_folder_holds_configuration_and_provenance(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "run"
    with open_run(folder, StudySettings()) as path:
        assert path == folder
        assert tiny.names(folder) == {"config.toml", "provenance.json"}
    found = json.loads((folder / "provenance.json").read_text())
    assert found["python"] == platform.python_version()
    for name in ("psiprune", "numpy", "scipy", "numba", "physics-tenpy", "xarray", "matplotlib"):
        assert found[name] == version(name)
    assert platform.machine() in found["machine"]
    assert found["git"]


def test_the_same_run_is_taken_up_again(tmp_path: Path) -> None:
    with open_run(tmp_path, StudySettings(seed=3)):
        (tmp_path / "level.nc").write_text("kept")
    before = tiny.contents(tmp_path, but=(".lock", "provenance.json"))
    with open_run(tmp_path, StudySettings(seed=3)):
        assert tiny.contents(tmp_path, but=(".lock", "provenance.json")) == before


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (StudySettings(seed=4), "seed = 3, this one 4"),
        (StudySettings(seed=3, hidden=5), r"hidden = \(none\), this one 5"),
        (StudySettings(seed=3, train=TrainSettings(epochs=7)), "train.epochs = 500, this one 7"),
        # Of several differences the first by name is told.
        (StudySettings(seed=4, fields=(0.5,)), r"fields = \[1.0, 2.0\], this one \[0.5\]"),
        (PathSettings(rbm="a", shots="b", seed=3), "coupling = 1.0, this one .none."),
    ],
)
def test_another_configuration_is_refused(
    tmp_path: Path, other: StudySettings, difference: str
) -> None:
    with open_run(tmp_path, StudySettings(seed=3)):
        pass
    before = tiny.contents(tmp_path)
    with (
        pytest.raises(InputError, match=rf"config\.toml: the run there has {difference};"),
        open_run(tmp_path, other),
    ):
        pytest.fail("opened")
    assert tiny.contents(tmp_path) == before


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with (
        pytest.raises(InputError, match=r"holds files but no run .*; give another folder"),
        open_run(tmp_path, StudySettings()),
    ):
        pytest.fail("opened")
    assert tiny.names(tmp_path) == {"thesis.tex"}
    with (
        pytest.raises(InputError, match=r"thesis\.tex: is a file, but a run needs a folder"),
        open_run(tmp_path / "thesis.tex", StudySettings()),
    ):
        pytest.fail("opened")
    assert (tmp_path / "thesis.tex").read_text() == "mine"


def test_what_a_start_stopped_at_once_leaves_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / ".config.toml.1234.draft").write_text("sites =")
    with open_run(tmp_path, StudySettings()):
        assert (tmp_path / "config.toml").exists()


@pytest.mark.parametrize("content", [b"sites = \n", b"\xff\xfe", b"= 3"])
def test_a_damaged_configuration_is_named_and_kept(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.toml").write_bytes(content)
    with (
        pytest.raises(InputError, match=r"config\.toml: cannot be read: "),
        open_run(tmp_path, StudySettings()),
    ):
        pytest.fail("opened")
    assert (tmp_path / "config.toml").read_bytes() == content
    assert tiny.names(tmp_path) == {"config.toml"}


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    with open_run(tmp_path, StudySettings()):
        before = tiny.contents(tmp_path)
        with (
            pytest.raises(InputError, match="another process writes to this run"),
            open_run(tmp_path, StudySettings()),
        ):
            pytest.fail("opened")
        assert tiny.contents(tmp_path) == before
    lock = FileLock(tmp_path / ".lock")
    with open_run(tmp_path, StudySettings()), pytest.raises(TimeoutError):
        lock.acquire(timeout=0)
    lock.acquire(timeout=0)  # given back at the end
    lock.release()


def test_the_lock_is_given_back_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), open_run(tmp_path, StudySettings()):
        raise ZeroDivisionError
    with open_run(tmp_path, StudySettings()):
        pass


def test_default_folders_tell_configurations_apart() -> None:
    first = default_folder("study", StudySettings())
    assert first == default_folder("study", StudySettings(seed=0))
    assert first.parent == Path("runs")
    assert first.name.startswith("study-")
    assert first != default_folder("study", StudySettings(seed=1))
    assert first != default_folder("study", StudySettings(train=TrainSettings(epochs=501)))


def test_a_run_of_another_version_is_refused(tmp_path: Path) -> None:
    with open_run(tmp_path, StudySettings()):
        pass
    file = tmp_path / "provenance.json"
    file.write_text(file.read_text().replace(version("psiprune"), "0.0.7", 1))
    with (
        pytest.raises(InputError, match=r"made by psiprune 0\.0\.7, this is"),
        open_run(tmp_path, StudySettings()),
    ):
        pass
    file.write_text("[]")
    with (
        pytest.raises(InputError, match=r"provenance\.json: cannot be read"),
        open_run(tmp_path, StudySettings()),
    ):
        pass


def test_drafts_of_a_killed_start_are_cleared(tmp_path: Path) -> None:
    with open_run(tmp_path, StudySettings()):
        pass
    (tmp_path / "h=1").mkdir()
    draft = tmp_path / "h=1" / ".level-03.nc.123.draft"
    draft.write_text("half")
    with open_run(tmp_path, StudySettings()):
        assert not draft.exists()
