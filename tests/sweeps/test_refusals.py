"""Bad input to a sweep: one line with the argument and the value, and nothing is written."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiny
from psiprune.experiments.settings import StudySettings
from psiprune.pruning.settings import PruneSettings
from psiprune.sweeps.api import sweep
from psiprune.sweeps.cluster import connected
from psiprune.sweeps.grid import GridSettings
from psiprune.sweeps.plan import plan
from psiprune.sweeps.points import points_of
from psiprune.sweeps.settings import QueueSettings, SweepSettings
from psiprune.training.exact_natural_gradient import ExactNaturalGradient
from psiprune.training.natural_gradient import NaturalGradient
from refusals import refuses

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
    assert line.startswith("grid.0.product.sites.0: ")
    assert "found {'a': 4}" in line


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
    with refuses("product.shots.1", Fraction(3)):
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
    assert line.startswith("grid.0.train: ")
    assert "train.epochs" in line


#: Settings that cannot work together, with the argument and the numbers that the error names.
IMPOSSIBLE: list[tuple[dict[str, Any], str, tuple[str, ...]]] = [
    ({"sites": 50, "train.method": "exact"}, "train.method", ("18", "50", "25")),
    ({"sites": 40, "fine_tune.method": "exact"}, "fine_tune.method", ("18", "40", "20")),
    ({"sites": 200, "train.method": "natural"}, "train.method", ("20,000", "20,300")),
    ({"sites": 200, "prune.criterion": "surgeon"}, "prune.criterion", ("20,000", "20,300")),
]


@pytest.mark.parametrize(("values", "argument", "facts"), IMPOSSIBLE)
def test_impossible_settings_are_refused_before_anything_is_written(
    values: dict[str, Any], argument: str, facts: tuple[str, ...], tmp_path: Path
) -> None:
    product = ", ".join(f"'{key}' = [{value!r}]" for key, value in values.items())
    line = refused(tmp_path, f"{STUDY}[[grid]]\nproduct = {{{product}}}\n", "--scheduler=serial")
    assert line.startswith("grid.0: ")
    for fact in (*(f"{key} = {value}" for key, value in values.items()), argument, *facts):
        assert fact in line
    options = [f"--{key.replace('_', '-')}={value}" for key, value in values.items()]
    line = tiny.refusal(tiny.call("study", "--out", tmp_path / "run", *options))
    assert line.startswith(f"{argument}: ")
    assert all(fact in line for fact in facts)
    assert not (tmp_path / "run").exists()


def test_what_does_work_at_the_limits() -> None:
    StudySettings(sites=18, hidden=100, train=ExactNaturalGradient())
    StudySettings(sites=100, hidden=18, fine_tune=ExactNaturalGradient.for_fine_tuning())
    surgeon = PruneSettings(criterion="surgeon")
    StudySettings(sites=198, hidden=99, train=NaturalGradient(), prune=surgeon)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("n_qubits", ""), ("train.lr", "train"), ("train.epoch", "train.epochs"), ("site", "sites")],
)
def test_a_study_names_the_nearest_setting(name: str, nearest: str, tmp_path: Path) -> None:
    line = refused(tmp_path, f"[study]\n{name} = 1\n")
    assert line.startswith(f"study.{name}: ")
    assert nearest in line.removeprefix(f"study.{name}: ")


def test_one_pair_of_brackets(tmp_path: Path) -> None:
    line = refused(tmp_path, f"{STUDY}[grid]\nproduct = {{sites = [4, 6]}}\n")
    assert line.startswith("grid: ")
    assert "[[grid]]" in line


# ---- arguments in Python


@pytest.mark.parametrize(
    ("folder", "scheduler", "argument"),
    [
        (None, "serial", "folder"),
        (3, "serial", "folder"),
        ("run", None, "scheduler"),
        ("run", 8786, "scheduler"),
        ("run", "", "scheduler"),
    ],
)
def test_arguments_of_another_type(
    folder: object,
    scheduler: object,
    argument: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    own = SweepSettings(study=tiny.settings())
    value = folder if argument == "folder" else scheduler
    with refuses(argument, repr(value)):
        sweep(own, folder, scheduler)  # type: ignore[arg-type]
    assert tiny.names(tmp_path) == set()


def test_no_plan_of_no_folder() -> None:
    with refuses("folder", None):
        plan(SweepSettings(study=StudySettings(sites=4)), None)  # type: ignore[arg-type]


def test_a_scheduler_of_an_unset_variable(tmp_path: Path) -> None:
    line = refused(tmp_path, STUDY, "--scheduler", "")
    assert line.startswith("scheduler: ")
    assert "found ''" in line


# ---- queueing systems


def test_memory_of_a_few_bytes(tmp_path: Path) -> None:
    for memory in ("1KB", "0.0001 MB"):
        line = refused(tmp_path, f'{STUDY}[slurm]\nmemory = "{memory}"\n', "--slurm")
        assert line.startswith("slurm.memory: ")
        assert f"found '{memory}'" in line


@pytest.mark.parametrize(("engine", "submit"), [("slurm", "sbatch"), ("pbs", "qsub")])
def test_a_network_interface_that_is_not_here(
    engine: str, submit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / submit).write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / submit).chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    queue = {engine: QueueSettings(interface="nosuch0")}
    with (
        refuses(f"{engine}.interface", "'nosuch0'", "'lo'"),
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


@pytest.mark.slow
def test_a_program_without_a_guard(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(program(tmp_path, "if True"))
    done = subprocess.run(
        [sys.executable, "own.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    line = last_line(done)
    assert "InputError: scheduler: " in line
    assert '`if __name__ == "__main__":`' in line
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
    line = last_line(done)
    assert "InputError: scheduler: " in line
    assert "<stdin>" in line
    assert not (tmp_path / "run").exists()


# ---- files of a sweep


def test_damaged_records_of_a_sweep(done: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(done, tmp_path / "run"))
    damaged: dict[str, list[object]] = {
        "failures.json": [{"a": 1}, [1], [{"point": "x"}], 3],
        "provenance.json": [[], {"later starts": [1]}, "x"],
    }
    for name, contents in damaged.items():
        file = folder / name
        text = file.read_text()
        for content in contents:
            file.write_text(json.dumps(content))
            assert f"{file}: " in tiny.refusal(tiny.call("report", folder))
        file.write_text(text)
    assert not (folder / "report.html").exists()
