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

import psiprune as pp
import tiny
from psiprune.core.exceptions import InputError
from psiprune.io.toml import read_toml
from psiprune.sweeps.cluster import connected
from psiprune.sweeps.grid import GridSettings
from psiprune.sweeps.plan import plan
from psiprune.sweeps.points import points_of
from psiprune.sweeps.report import report_on
from psiprune.sweeps.settings import QueueSettings, SweepSettings
from refusals import refused, refuses
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
        ({"prune": [pp.PruneSettings(levels=1)]}, {"prune": [{"levels": 1}]}),
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
    pp.StudySettings(sites=18, hidden=100, train=pp.ExactNaturalGradient())
    pp.StudySettings(sites=100, hidden=18, fine_tune=pp.ExactNaturalGradient.for_fine_tuning())
    surgeon = pp.PruneSettings(criterion="surgeon")
    pp.StudySettings(sites=198, hidden=99, train=pp.NaturalGradient(), prune=surgeon)


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
        pp.sweep(own, folder, scheduler)  # type: ignore[arg-type]
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


# ---- TOML files that settings cannot come from


GRID = "[study]\nsites = 4\n[[grid]]\n"
CASES = {
    "date": ("[study]\nsites = 2024-01-01\n", "study.sites: should be a valid integer, found 2024"),
    "time": ("[study]\nfields = [07:32:00]\n", "study.fields.0: should be a valid number, found"),
    "infinity": ("[study]\ncoupling = -inf\n", "study.coupling: should be a finite number"),
    "nan": (f"{GRID}product.fields = [nan]\n", "should be a finite number, found nan"),
    "date in a grid": (f"{GRID}product.sites = [2024-01-01]\n", "grid.0.product.sites.0: should"),
    "digits": (f"[study]\nshots = {'9' * 4000}\n", ": study.shots: must be an integer of at"),
    "more digits": (f"[study]\nseed = {'9' * 5000}\n", "found one of thousands of digits"),
    "hexadecimal": (f"[study]\nseed = 0x{'f' * 9999}\n", ": study.seed: must be an integer of at"),
    "digits in a grid": (f"{GRID}product.seed = [1{'0' * 99}]\n", ": grid.0.product.seed.0: must"),
    "lists": (f"a = {'[' * 9999}{']' * 9999}\n", "must be nested at most 20 levels deep"),
    "fewer lists": (f"a = {'[' * 30}{']' * 30}\n", "must be nested at most 20 levels deep"),
    "tables": (f"a = {'{a=' * 3000}1{'}' * 3000}\n", "must be nested at most 20 levels deep"),
    "dots": (f"study{'.a' * 3000} = 1\n", "must be nested at most 20 levels deep"),
    "points": (
        GRID
        + "".join(f"product.{key} = {[*range(1, 1001)]}\n" for key in ("shots", "seed", "hidden")),
        "grid: may have at most 100000 points, found 1000000000",
    ),
    "blocks": (
        "[study]\n" + 101 * f"[[grid]]\nproduct.seed = {[*range(1000)]}\n",
        "grid: may have at most 100000 points, found 101000",
    ),
    "RBMs": (
        f"{GRID}product.seeds = {[*range(9000, 9006)]}\n",
        "at most 100000 RBMs, one for each field and seed of each point, found 108030",
    ),
    "bytes": ("\udcff", "cannot be read as TOML: 'utf-8' codec can't decode byte 0xff"),
    "a long value": (f"[study]\nsites = '{'x' * 1000}'\n", "study.sites: should be a number"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_sweep_refuses_it_in_one_line(name: str, tmp_path: Path) -> None:
    text, words = CASES[name]
    file = tiny.write(tmp_path / "sweep.toml", text.encode(errors="surrogateescape"))
    line = tiny.refusal(tiny.call("sweep", file, "--dry-run", "--out", tmp_path / "out"))
    assert words in line
    assert len(line) < 300 + len(str(tmp_path))


def test_the_largest_integers_and_the_deepest_tables_are_read(tmp_path: Path) -> None:
    file = tiny.write(tmp_path / "good.toml", f"a = {2**64 - 1}\nb = {'[' * 20}1{']' * 20}\n")
    assert read_toml(file)["a"] == 2**64 - 1
    file.write_text(f"a = {2**64}\n")
    refused(r"good\.toml: a: must be an integer of at most 64 bits", read_toml, file)
    with pytest.raises(InputError, match=r"none\.toml: cannot be read as TOML: .*No such file"):
        read_toml(tmp_path / "none.toml")


def test_a_run_of_reconstruct_is_referred_to_its_own_page(tmp_path: Path) -> None:
    (tmp_path / "reconstruct.nc").touch()
    with refuses(tmp_path, "psiprune reconstruct", str(tmp_path / "report.html")):
        report_on(tmp_path)
