"""Bad input to a sweep: one line with the argument and the value, and nothing is written."""

from __future__ import annotations

import json
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
from workers import fake_commands

STUDY = (
    "[study]\nsites = 4\nfields = [1.0]\nshots = 100\ntrain.epochs = 2\nfine_tune.epochs = 1\n"
    "prune.levels = 1\nmeasure.draws = 100\n"
)


# ---- values of a grid


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


@pytest.mark.parametrize("value", [Fraction(3), None])
def test_values_that_no_file_can_hold(value: object) -> None:
    with refuses("product.shots.1", value):
        GridSettings(product={"shots": (2, value)})


def test_what_does_work_at_the_limits() -> None:
    StudySettings(sites=18, hidden=100, train=ExactNaturalGradient())
    StudySettings(sites=100, hidden=18, fine_tune=ExactNaturalGradient.for_fine_tuning())
    surgeon = PruneSettings(criterion="surgeon")
    StudySettings(sites=198, hidden=99, train=NaturalGradient(), prune=surgeon)


# ---- arguments in Python


@pytest.mark.parametrize(
    ("folder", "scheduler", "argument"),
    [
        *((None, "serial", "folder"), (3, "serial", "folder"), ("run", None, "scheduler")),
        *(("run", 8786, "scheduler"), ("run", "", "scheduler")),
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
    with refuses("folder", None):
        plan(own, None)  # type: ignore[arg-type]
    assert tiny.names(tmp_path) == set()


# ---- queueing systems


@pytest.mark.parametrize(("engine", "submit"), [("slurm", "sbatch"), ("pbs", "qsub")])
def test_a_network_interface_that_is_not_here(
    engine: str, submit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_commands(tmp_path, monkeypatch, **{submit: "exit 1"})
    queue = {engine: QueueSettings(interface="nosuch0")}
    with (
        refuses(f"{engine}.interface", "'nosuch0'", "'lo'"),
        connected(engine, SweepSettings(study=tiny.settings(), **queue)),  # type: ignore[arg-type]
    ):
        pass


# ---- programs that workers cannot import


@pytest.mark.parametrize(
    ("name", "guard", "fact"),
    [
        pytest.param(
            *("own.py", "if True", '`if __name__ == "__main__":`'), marks=pytest.mark.slow
        ),
        ("-", "if __name__ == '__main__'", "<stdin>"),
    ],
)
def test_a_program_that_workers_cannot_import(
    name: str, guard: str, fact: str, tmp_path: Path
) -> None:
    """Without a guard, and in no file."""
    (tmp_path / "sweep.toml").write_text(f"{STUDY}[local]\nworkers = 1\n")
    program = (
        "import tomllib, psiprune as pp\nfrom pathlib import Path\n"
        f"{guard}:\n"
        "    text = Path('sweep.toml').read_text()\n"
        "    pp.sweep(pp.SweepSettings(**tomllib.loads(text)), 'run')\n"
    )
    (tmp_path / "own.py").write_text(program)
    command = [sys.executable, name]
    done = subprocess.run(command, input=program, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.count("Traceback") == 1, done.stderr
    line = done.stderr.splitlines()[-1]
    assert "InputError: scheduler: " in line
    assert fact in line
    assert not (tmp_path / "run").exists()


# ---- files of a sweep


def test_damaged_records_of_a_sweep(copy: Path) -> None:
    damaged: dict[str, list[object]] = {
        "failures.json": [{"a": 1}, [1], [{"point": "x"}], 3],
        "provenance.json": [[], {"later starts": [1]}, "x"],
    }
    for name, contents in damaged.items():
        file = copy / name
        text = file.read_text()
        for content in contents:
            file.write_text(json.dumps(content))
            assert f"{file}: " in tiny.refusal(tiny.call("report", copy))
        file.write_text(text)
    assert not (copy / "report.html").exists()
