"""`psiprune info` on every file and folder that a command writes, and on two runs."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

import psiprune as pp
import tiny
from outcomes import run_of, text_of
from psiprune.inspect.compare import compare_runs
from psiprune.io.netcdf import read_dataset, write_dataset
from psiprune.io.run import open_run
from refusals import refused

FAST = "--fine-tune.method cd --fine-tune.epochs 1"
#: Each command that writes files, in its smallest form; {out} is the folder.
COMMANDS = (
    "ground-state --sites 4 --out {out}/state.nc",
    "sample {out}/state.nc --shots 200 --out {out}/shots.nc",
    "export text {out}/shots.nc --out {out}/shots.txt",
    "export numpy {out}/shots.nc --out {out}/shots.npz",
    "export qiskit {out}/shots.nc --out {out}/shots.json",
    "import text {out}/shots.txt --out {out}/imported.nc",
    "train {out}/shots.nc --hidden 2 --method pcd --epochs 10 --keep-epochs 0 5 "
    "--state {out}/state.nc --history {out}/history.nc --out {out}/rbm.nc",
    f"prune {{out}}/rbm.nc {{out}}/shots.nc --levels 2 {FAST} --state {{out}}/state.nc "
    "--out {out}/pruned",
    f"prune {{out}}/rbm.nc {{out}}/shots.nc --levels 1 {FAST} --rewind {{out}}/rbm-epoch-0005.nc "
    "--out {out}/rewound",
    f"prune {{out}}/rbm.nc {{out}}/shots.nc --levels 20 --until kl {FAST} "
    "--state {out}/state.nc --out {out}/searched",
    f"rewire {{out}}/pruned/level-02.nc {{out}}/shots.nc --rounds 1 {FAST} --out {{out}}/rewired",
)
#: What `info` describes; other files that commands write are for people or other programs.
DESCRIBED = (".nc", ".npz", ".txt")
OTHERS = (".html", ".json", ".png", ".svg", ".toml", ".lock", ".parquet", ".csv")


def check(folder: Path) -> None:
    """Run `info` on all files in a folder and on the runs among its folders."""
    # One of each kind: seed-1/level-02.nc stands for all seeds and levels.
    kinds = {re.sub(r"\d+", "#", str(file.relative_to(folder))): file for file in folder.rglob("*")}
    for file in kinds.values():
        run = file.is_dir() and (file / "config.toml").exists()
        form = ("--format", "qiskit") if file.name == "shots.json" else ()
        if run or form or file.suffix in DESCRIBED:
            outcome = tiny.call("info", file, *form)
            assert (outcome.status, outcome.err) == (0, ""), outcome
            assert outcome.out.startswith(f"{file}: ")
            assert "warning: damaged" not in outcome.out
            assert json.loads(tiny.call("info", file, *form, "--json").out)["source"]
        elif file.is_file():
            assert file.suffix in OTHERS or file.name == ".lock", file
            assert str(file) in tiny.refusal(tiny.call("info", file))


@pytest.mark.usefixtures("undrawn")
def test_files_of_all_stages(tmp_path: Path) -> None:
    for command in COMMANDS:
        text_of(tiny.call(*command.format(out=tmp_path).split()))
    assert (tmp_path / "rewired/level-01.nc").exists()
    imported = tiny.call("info", tmp_path / "imported.nc").out
    assert imported.count("shots.txt") == 1  # as the file, not as the source once more
    check(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "fixture", ["finished", "sparse_run", "ablation_run", "observable_run", "paper_run"]
)
def test_files_of_runs(fixture: str, request: pytest.FixtureRequest) -> None:
    check(request.getfixturevalue(fixture).parent)


@pytest.mark.slow
def test_files_of_a_sweep_and_of_a_frontier(tmp_path: Path) -> None:
    config = tmp_path / "sweep.toml"
    config.write_text(
        "[study]\nsites = 4\nhidden = 2\nshots = 200\nfields = [1.0]\nseeds = 1\n"
        "train = {method = 'cd', epochs = 2}\nfine_tune = {method = 'cd', epochs = 1}\n"
        "prune = {levels = 1}\nmeasure = {draws = 200}\n"
    )
    sweep = ("sweep", config, "--scheduler", "serial", "--out", tmp_path / "sweep")
    frontier = (
        "frontier --sites 4 --hidden 2 --seeds 1 --costly-seeds 1 --fields 1 --shots 200 "
        "--levels 3 --widths 3 --rewired 1 --bonds 1 --paper-train.epochs 10 "
        f"--paper-fine-tune.epochs 3 --out {tmp_path}/frontier"
    ).split()
    for command in (sweep, ("report", tmp_path / "sweep"), frontier):
        text_of(tiny.call(*command))
    check(tmp_path)


# ---- the result of a run


def test_a_run_shows_its_findings_or_their_file(
    observable_run: Path, finished: Path, tmp_path: Path
) -> None:
    outcome = tiny.call("info", observable_run)
    found = run_of(observable_run)
    lines = outcome.out.splitlines()
    assert lines[1 : 1 + len(found.result)] == list(found.result)  # first of all
    assert found.result == tuple(str(pp.load_reconstruction(observable_run)).splitlines())
    assert "rusted" in found.result[0]
    assert any("of 8 weights" in line for line in found.result)
    assert max(map(len, found.result)) <= 100

    copy = Path(shutil.copytree(observable_run, tmp_path / "run"))
    dataset = read_dataset(copy / "reconstruct.nc")
    del dataset.attrs["dense_weights"]  # as if another version had written it
    (copy / "reconstruct.nc").unlink()
    write_dataset(copy / "reconstruct.nc", dataset, "reconstruct")
    assert run_of(copy).result == ("reconstruct.nc",)
    (copy / "smallest.nc").unlink()
    assert "weights, on" not in tiny.call("info", copy).out
    assert "weights" in run_of(finished).result[0]  # of a study
    lines = tiny.call("info", finished).out.splitlines()
    assert lines[1] == run_of(finished).result[0]
    assert lines[-1] == f"next: psiprune info {finished / 'study.nc'}"


def test_an_rbm_shows_what_is_stored_with_it(observable_run: Path) -> None:
    file = observable_run / "smallest.nc"
    dataset = read_dataset(file)
    texts = [str(name) for name, each in dataset.items() if each.dtype.kind in "OU"]
    assert texts
    lines = [line.split() for line in tiny.call("info", file).out.splitlines()[1:]]
    shown = {line[0]: line[1:] for line in lines}
    assert shown["test_loss"] == [f"{float(dataset['test_loss']):.6g}"]
    for name in texts:
        assert shown.get(name, []) == str(dataset[name].item()).split()


# ---- two runs: reproducible to the bit, statistically, or not comparable


def run(folder: Path, value: float = 1.0, **settings: Any) -> Path:
    with open_run(folder, tiny.settings(**settings)):
        write_dataset(folder / "study.nc", xr.Dataset({"kl": value}), "study")
    change(folder, git="abc")  # a checkout with changes is unknown code
    return folder


def change(folder: Path, **facts: str) -> None:
    file = folder / "provenance.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **facts}))


@pytest.fixture
def first(tmp_path: Path) -> Path:
    return run(tmp_path / "first")


def test_a_repeated_run_agrees_to_the_bit(first: Path, tmp_path: Path) -> None:
    again = run(tmp_path / "again")
    runs = compare_runs(first, again)
    assert (runs.verdict, runs.settings, runs.reasons) == ("to the bit", (), ())
    assert (runs.same, runs.different, runs.missing) == (1, 0, 0)
    outcome = tiny.call("info", first, again)
    assert outcome.status == 0
    assert outcome.out.splitlines()[-1] == "The runs are reproducible to the bit."
    assert json.loads(tiny.call("info", first, again, "--json").out)["verdict"] == "to the bit"
    assert "--format" in tiny.refusal(tiny.call("info", first, again, "--format", "text"))


def test_what_differs_with_a_reason_or_without(first: Path, tmp_path: Path) -> None:
    other = run(tmp_path / "other", 1.5)
    assert compare_runs(first, other).verdict == "damaged or edited"
    change(other, **{"vector instructions": "power10"})
    runs = compare_runs(first, other)
    assert (runs.verdict, runs.same, runs.different) == ("statistically", 0, 1)
    assert runs.reasons[0].endswith("and power10")
    again = run(tmp_path / "again")
    (again / "study.nc").unlink()
    runs = compare_runs(first, again)
    assert (runs.verdict, runs.same, runs.missing) == ("to the bit", 0, 1)
    runs = compare_runs(first, run(tmp_path / "larger", shots=301))
    assert (runs.verdict, runs.settings) == ("other settings", ("shots: 300 and 301",))
    # A folder without a run is refused.
    for pair in ((first, tmp_path), (tmp_path, first)):
        refused("no run", compare_runs, *pair)
