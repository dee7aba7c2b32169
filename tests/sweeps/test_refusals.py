"""What a sweep refuses: one line, which says where and what instead, and nothing is made."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiny
from psiprune.core.exceptions import InputError
from psiprune.experiments.settings import StudySettings
from psiprune.pruning.settings import PruneSettings
from psiprune.sweeps.api import sweep
from psiprune.sweeps.cluster import connected
from psiprune.sweeps.plan import plan
from psiprune.sweeps.points import points_of
from psiprune.sweeps.settings import GridSettings, QueueSettings, SweepSettings
from psiprune.training.exact_natural_gradient import ExactNaturalGradient
from psiprune.training.natural_gradient import NaturalGradient

STUDY = (
    "[study]\nsites = 4\nfields = [1.0]\nshots = 100\ntrain.epochs = 2\nfine_tune.epochs = 1\n"
    "prune.levels = 1\nmeasure.draws = 100\n"
)


def refused(folder: Path, text: str, *options: str) -> str:
    """The line of a sweep of this file, which must leave nothing."""
    config = folder / "sweep.toml"
    config.write_text(text)
    line = tiny.refusal(tiny.call("sweep", config, "--out", folder / "run", *options))
    assert not (folder / "run").exists()
    return line


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep of one point; copy it to change it."""
    folder = tmp_path_factory.mktemp("done") / "run"
    assert sweep(SweepSettings(study=tiny.settings(fields=(1.0,))), folder, "serial").done == 1
    return folder


# ---- values of a grid


def test_a_table_for_a_number(tmp_path: Path) -> None:
    line = refused(tmp_path, STUDY + "[[grid]]\nproduct = {sites = [{a = 4}]}\n")
    assert line.startswith("grid.0.product.sites.0: should be a valid integer, found {'a': 4}")


@pytest.mark.parametrize(
    ("product", "plain"),
    [
        ({"sites": list(np.arange(4, 7))}, {"sites": [4, 5, 6]}),
        ({"sites": np.arange(4, 7)}, {"sites": [4, 5, 6]}),
        ({"sites": range(4, 7)}, {"sites": [4, 5, 6]}),
        ({"fields": [np.float64(0.5), np.array([1.0, 2.0])]}, {"fields": [0.5, [1.0, 2.0]]}),
        ({"prune": [PruneSettings(levels=1)]}, {"prune": [{"levels": 1}]}),
        ({"prune": [{"levels": np.int64(1)}]}, {"prune": [{"levels": 1}]}),
    ],
    ids=["numbers", "array", "range", "arrays", "settings", "table"],
)
def test_values_made_in_python(
    product: dict[str, Any], plain: dict[str, Any], tmp_path: Path
) -> None:
    ours, theirs = (
        SweepSettings(study=tiny.settings(fields=(1.0,)), grid=(GridSettings(product=each),))
        for each in (product, plain)
    )
    assert [p.last.key for p in points_of(ours)] == [p.last.key for p in points_of(theirs)]
    assert ours.model_dump_json(exclude_unset=True) == theirs.model_dump_json(exclude_unset=True)


def test_values_that_no_file_can_hold() -> None:
    rule = r"shots\.1: must be a number, a text, a list or a table, found Fraction\(3, 1\)"
    with pytest.raises(InputError, match=rule):
        GridSettings(product={"shots": (2, Fraction(3))})


@pytest.mark.parametrize(
    "block",
    [
        "product = {train = [{epochs = 2}], 'train.epochs' = [4, 5]}",
        "product = {'train.epochs' = [4, 5], train = [{epochs = 2}]}",
        "product = {train = [{epochs = 2}]}\nzip = {'train.epochs' = [4, 5]}",
        "product = {train = [{method = 'cd'}]}\npoints = [{train = {epochs = 2}}]",
    ],
)
def test_a_setting_and_one_within_it(block: str, tmp_path: Path) -> None:
    line = refused(tmp_path, f"{STUDY}[[grid]]\n{block}\n")
    assert line.startswith("grid.0.train: stands in a block with train.epochs, and one would")


#: Settings that cannot work together, as a study and as a block of a grid.
IMPOSSIBLE = {
    "train.method: 'exact' needs a layer of at most 18 units, found 50 visible and 25 hidden": {
        "sites": 50,
        "train.method": "exact",
    },
    "fine_tune.method: 'exact' needs a layer of at most 18 units, found 40 visible and 20 hidden": {
        "sites": 40,
        "fine_tune.method": "exact",
    },
    "train.method: 'natural' holds a Fisher matrix of at most 20,000 parameters, found 20,300": {
        "sites": 200,
        "train.method": "natural",
    },
    "prune.criterion: 'surgeon' holds a Fisher matrix of at most 20,000 parameters, found 20,300": {
        "sites": 200,
        "prune.criterion": "surgeon",
    },
}


@pytest.mark.parametrize("rule", IMPOSSIBLE)
def test_what_cannot_work_is_refused_before_anything_is_made(rule: str, tmp_path: Path) -> None:
    values = IMPOSSIBLE[rule]
    product = ", ".join(f"'{key}' = [{value!r}]" for key, value in values.items())
    line = refused(tmp_path, f"{STUDY}[[grid]]\nproduct = {{{product}}}\n", "--scheduler=serial")
    told = ", ".join(f"{key} = {value}" for key, value in values.items())
    assert line.startswith(f"grid.0: {told} do not go together: {rule}")
    options = [f"--{key.replace('_', '-')}={value}" for key, value in values.items()]
    line = tiny.refusal(tiny.call("study", "--out", tmp_path / "run", *options))
    assert line.startswith(rule)
    assert not (tmp_path / "run").exists()


def test_what_does_work_at_the_limits() -> None:
    StudySettings(sites=18, hidden=100, train=ExactNaturalGradient())
    StudySettings(sites=100, hidden=18, fine_tune=ExactNaturalGradient.for_fine_tuning())
    surgeon = PruneSettings(criterion="surgeon")
    StudySettings(sites=198, hidden=99, train=NaturalGradient(), prune=surgeon)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("n_qubits = 4", "study.n_qubits: no such setting of a study; the nearest is "),
        ("train.lr = 0.1", "study.train.lr: no such setting of a study; the nearest is train"),
        ("train.epoch = 1", "the nearest is train.epochs"),
        ("site = 4", "study.site: no such setting of a study; the nearest is sites"),
    ],
)
def test_a_study_names_the_nearest_setting(text: str, words: str, tmp_path: Path) -> None:
    assert words in refused(tmp_path, f"[study]\n{text}\n")


def test_one_pair_of_brackets(tmp_path: Path) -> None:
    line = refused(tmp_path, f"{STUDY}[grid]\nproduct = {{sites = [4, 6]}}\n")
    assert line.startswith("grid: must be a list of blocks; write [[grid]], in two pairs of brack")


# ---- arguments in Python


@pytest.mark.parametrize(
    ("folder", "scheduler", "words"),
    [
        (None, "serial", "folder: must be a path, found None"),
        (3, "serial", "folder: must be a path, found 3"),
        ("run", None, "scheduler: must be local, serial, slurm, pbs or the address"),
        ("run", 8786, "found 8786; leave it out for local"),
        ("run", "", "found ''; leave it out for local"),
    ],
)
def test_arguments_of_another_type(
    folder: object, scheduler: object, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own = SweepSettings(study=tiny.settings())
    with pytest.raises(InputError, match=re.escape(words)):
        sweep(own, folder, scheduler)  # type: ignore[arg-type]
    assert tiny.names(tmp_path) == set()


def test_no_plan_of_no_folder() -> None:
    with pytest.raises(InputError, match="folder: must be a path, found None"):
        plan(SweepSettings(study=StudySettings(sites=4)), None)  # type: ignore[arg-type]


def test_a_scheduler_of_an_unset_variable(tmp_path: Path) -> None:
    line = refused(tmp_path, STUDY, "--scheduler", "")
    assert "such as tcp://10.0.0.1:8786, found ''; leave it out" in line


# ---- queueing systems


def test_memory_of_a_few_bytes(tmp_path: Path) -> None:
    for memory in ("1KB", "0.0001 MB"):
        line = refused(tmp_path, f'{STUDY}[slurm]\nmemory = "{memory}"\n', "--slurm")
        assert line.startswith("slurm.memory: must be a number with a unit, such as 16GB or 500MiB")
        assert f"and at least 1MB, found '{memory}'" in line


@pytest.mark.parametrize(("engine", "submit"), [("slurm", "sbatch"), ("pbs", "qsub")])
def test_a_network_interface_that_is_not_here(
    engine: str, submit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / submit).write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / submit).chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    queue = {engine: QueueSettings(interface="nosuch0")}
    rule = rf"{engine}\.interface: 'nosuch0' is not a valid network interface. Valid .*lo"
    with (
        pytest.raises(InputError, match=rule),
        connected(engine, SweepSettings(study=tiny.settings(), **queue)),  # type: ignore[arg-type]
    ):
        pass


# ---- programs that workers cannot import


def program(folder: Path, guard: str) -> str:
    (folder / "sweep.toml").write_text(f"{STUDY}[local]\nworkers = 1\n")
    return (
        "import tomllib, psiprune as pp\nfrom pathlib import Path\n"
        f"{guard}:\n"
        "    text = Path('sweep.toml').read_text()\n"
        "    pp.sweep(pp.SweepSettings(**tomllib.loads(text)), 'run')\n"
    )


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert done.stderr.count("Traceback") == 1, done.stderr
    return lines[-1]


def test_a_program_without_a_guard(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(program(tmp_path, "if True"))
    done = subprocess.run(
        [sys.executable, "own.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    line = last_line(done)
    assert "InputError: scheduler: local workers do not start" in line
    assert 'under `if __name__ == "__main__":`; or give serial' in line
    assert not (tmp_path / "run").exists()


def test_a_program_in_no_file(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-"],
        input=program(tmp_path, "if __name__ == '__main__'"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "the program, which is in no file (<stdin>); write it to one, or" in last_line(done)
    assert not (tmp_path / "run").exists()


# ---- files of a sweep


@pytest.mark.parametrize("content", [{"a": 1}, [1], [{"point": "x"}], 3])
def test_failures_of_another_shape(content: object, done: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(done, tmp_path / "run"))
    (folder / "failures.json").write_text(json.dumps(content))
    line = tiny.refusal(tiny.call("report", folder))
    assert line.startswith(f"{folder}/failures.json: cannot be read: ")
    assert line.endswith("; delete it")


@pytest.mark.parametrize("content", [[], {"later starts": [1]}, "x"])
def test_provenance_of_another_shape(content: object, done: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(done, tmp_path / "run"))
    (folder / "provenance.json").write_text(json.dumps(content))
    line = tiny.refusal(tiny.call("report", folder))
    assert f"holds no sweep that can be read: {folder}/provenance.json: cannot be read" in line
