"""Sweeps of complete runs: sparse, ablation, frontier, and studies of more than one RBM."""

from __future__ import annotations

import json
import shutil
import signal
import threading
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import tiny
from psiprune.core.exceptions import InputError
from psiprune.experiments.frontier import run_frontier
from psiprune.experiments.settings import (
    EnsembleSettings,
    FrontierSettings,
    SparseSettings,
    StudySettings,
)
from psiprune.experiments.study import run_study
from psiprune.inspect.describe import describe
from psiprune.inspect.descriptions import RunDescription
from psiprune.io.netcdf import read_dataset
from psiprune.io.run import open_run
from psiprune.pruning.settings import PruneSettings, RewireSettings
from psiprune.sweeps.api import sweep
from psiprune.sweeps.dataset import final_values
from psiprune.sweeps.grid import GridSettings
from psiprune.sweeps.plan import plan
from psiprune.sweeps.points import points_of
from psiprune.sweeps.report import final_table
from psiprune.sweeps.settings import SweepSettings
from psiprune.sweeps.table import read_table, rows_of
from psiprune.sweeps.tasks import Point, Run
from psiprune.training.cd import CD
from psiprune.training.exact_natural_gradient import ExactNaturalGradient
from workers import Workers, kill

#: Files that differ from run to run, or are of a sweep alone.
BESIDE = (".lock", "seconds.json", "provenance.json", "inputs.json")


def frontier_settings() -> FrontierSettings:
    """4 sites, 2 hidden units, 8 and 7 weights."""
    return FrontierSettings(
        sites=4,
        fields=(1.0,),
        shots=200,
        seeds=1,
        costly_seeds=1,
        levels=1,
        rewired=(1,),
        widths=(1,),
        bonds=(1,),
        train=ExactNaturalGradient(epochs=2),
        fine_tune=ExactNaturalGradient.for_fine_tuning(epochs=1),
        paper_train=CD(epochs=2),
        paper_fine_tune=CD.for_fine_tuning(epochs=1),
        rewire=RewireSettings(rounds=1),
    )


def brief_study(**changes: Any) -> StudySettings:
    """Two fields, levels of 12 and 8 weights."""
    return tiny.settings(prune=PruneSettings(levels=1, fraction=0.3), **changes)


def of(**experiment: Any) -> SweepSettings:
    return SweepSettings(**experiment)


def sparse_sweep(**others: Any) -> SweepSettings:
    """Two runs that share their shots."""
    grid = (GridSettings(product={"hidden": (2, 3)}),)
    return SweepSettings(sparse=tiny.sparse_settings(), grid=grid, **others)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep of sparse runs; copy it to change it."""
    folder = tmp_path_factory.mktemp("swept") / "run"
    found = sweep(sparse_sweep(), folder, "serial")
    assert (len(found.points), found.before, found.done, found.failed) == (2, 0, 2, [])
    return folder


@pytest.fixture
def copy(swept: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(swept, tmp_path / "run"))


def runs_of(settings: SweepSettings) -> list[Run]:
    found = points_of(settings)
    runs = [point for point in found if isinstance(point, Run)]
    assert len(runs) == len(found)
    return runs


def made(folder: Path) -> dict[str, object]:
    """All files of a run or a sweep except those with times and those of a sweep alone."""
    return tiny.numbers(folder, but=BESIDE)


# ---- what is made


def check_same_run(own: SweepSettings, point: Run, root: Path, plain: Path) -> None:
    """Every file is the same: configuration, state, shots, each RBM and the result."""
    folder = point.last.folder(root)
    assert made(folder) == made(plain)
    description = describe(folder)
    assert isinstance(description, RunDescription)
    assert (description.command, description.missing) == (own.experiment, ())


def test_a_sparse_run_is_that_of_its_command(swept: Path, sparse_run: Path, tmp_path: Path) -> None:
    run, plain = runs_of(sparse_sweep())[0], shutil.copytree(sparse_run, tmp_path / "plain")
    # The grid names what the command leaves to the number of sites.
    config = plain / "config.toml"
    config.write_text(config.read_text().replace("sites = 4\n", "sites = 4\nhidden = 2\n"))
    check_same_run(sparse_sweep(), run, swept, plain)


@pytest.mark.slow
def test_an_ablation_is_that_of_its_command(ablation_run: Path, tmp_path: Path) -> None:
    own = of(ablation=tiny.ablation_settings())
    assert sweep(own, tmp_path / "sweep", "serial").done == 1
    check_same_run(own, runs_of(own)[0], tmp_path / "sweep", ablation_run)


def test_a_study_with_a_search_is_that_of_its_command(studies: Path, tmp_path: Path) -> None:
    run = next(point for point in points_of(mixed()) if isinstance(point, Run))
    run_study(run.settings, tmp_path / "plain")  # type: ignore[arg-type]
    check_same_run(mixed(), run, studies, tmp_path / "plain")


@pytest.mark.parametrize(
    ("experiment", "settings", "run"),
    [
        pytest.param("frontier", frontier_settings(), run_frontier, marks=pytest.mark.slow),
        ("study", brief_study(rewind_epoch=2, fine_tune=CD.for_fine_tuning()), run_study),
    ],
)
def test_a_run_is_that_of_its_command(
    experiment: str,
    settings: EnsembleSettings,
    run: Callable[[Any, Path], object],
    tmp_path: Path,
) -> None:
    own = of(**{experiment: settings})
    assert sweep(own, tmp_path / "sweep", "serial").done == 1
    run(settings, tmp_path / "plain")
    check_same_run(own, runs_of(own)[0], tmp_path / "sweep", tmp_path / "plain")


def test_runs_share_their_states_and_shots(swept: Path) -> None:
    one, two = (point.last.folder(swept) for point in runs_of(sparse_sweep()))
    for file in ("state.nc", "shots.nc"):
        (stage,) = swept.glob(f"*/*/{file}")
        assert (one / "h=1" / file).samefile(stage)
        assert (two / "h=1" / file).samefile(stage)
    # A study has the same ones.
    given = tiny.sparse_settings()
    names = ("sites", "shots", "fields", "seed")
    study = StudySettings(**{name: getattr(given, name) for name in names})
    (point,) = points_of(SweepSettings(study=study))
    assert isinstance(point, Point)
    assert point.stage("shots").done(swept)


def test_a_disk_without_second_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refused)
    own = SweepSettings(sparse=tiny.sparse_settings(seeds=2))
    assert sweep(own, tmp_path / "run", "serial").done == 1
    (point,) = runs_of(own)
    (stage,) = (tmp_path / "run").glob("shots/*/shots.nc")
    here = point.last.folder(tmp_path / "run") / "h=1/shots.nc"
    assert here.read_bytes() == stage.read_bytes()
    assert not here.samefile(stage)


@pytest.mark.slow
def test_what_is_done_is_not_touched_and_what_is_lost_is_made_again(
    swept: Path, copy: Path
) -> None:
    before = tiny.contents(copy)
    assert sweep(sparse_sweep(), copy, "serial").before == 2
    after = tiny.contents(copy)
    kept = [name for name in before if name.startswith(("run/", "state/", "shots/"))]
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    first, second = (point.last for point in runs_of(sparse_sweep()))
    first.result(copy).unlink()
    (first.folder(copy) / "h=1/seed-1/sp-ss.nc").unlink()
    (first.folder(copy) / "h=1/state.nc").unlink()
    found = sweep(sparse_sweep(), copy, "serial")
    assert (found.before, found.done) == (1, 2)
    assert made(copy) == made(swept)
    last = tiny.contents(copy)
    others = [name for name in before if name.startswith(f"run/{second.key}/")]
    levels = [name for name in before if name.startswith(f"run/{first.key}/") and "level" in name]
    assert others
    assert levels
    for name in (*others, *levels):
        assert last[name] == before[name]


def test_a_larger_grid_runs_only_what_is_new(copy: Path) -> None:
    grid = (GridSettings(product={"hidden": (1, 2, 3)}),)
    found = sweep(SweepSettings(sparse=tiny.sparse_settings(), grid=grid), copy, "serial")
    assert (len(found.points), found.before, found.done) == (3, 2, 2)
    # One hidden unit has no cluster mask, which is a failure of that point.
    (failure,) = json.loads((copy / "failures.json").read_text())
    assert failure["cause"].startswith("run: density: ")
    report = json.loads(tiny.call("report", copy, "--json").out)
    assert (report["points"], report["done"], report["failed"]) == (3, 2, 1)
    assert "run: density: " in (copy / "report.html").read_text()


@pytest.mark.slow
def test_a_run_killed_in_the_middle_goes_on(swept: Path, tmp_path: Path) -> None:
    config, folder = tmp_path / "sweep.toml", tmp_path / "run"
    config.write_text(
        "[sparse]\nsites = 4\nfields = [1.0]\nshots = 200\nseeds = 3\nhistory_every = 2\n"
        "density = 0.75\nlevels = 1\ntrain = {epochs = 3, batch_size = 20, learning_rate = 0.5}\n"
        "fine_tune.epochs = 2\n[[grid]]\nproduct.hidden = [2, 3]\n"
    )
    running = tiny.start("sweep", config, "--out", folder, "--scheduler", "serial")
    tiny.wait_for(running, lambda: any(folder.glob("run/*/h=1/seed-1/level-00.nc")), 120)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    assert running.returncode == -signal.SIGKILL
    (level,) = folder.glob("run/*/h=1/seed-0/level-00.nc")
    written = level.stat().st_mtime_ns
    assert tiny.call("sweep", config, "--out", folder, "--scheduler", "serial").status == 0
    assert level.stat().st_mtime_ns == written
    theirs = made(swept)
    ours = {name: each for name, each in made(folder).items() if name != "config.toml"}
    assert ours == {name: theirs[name] for name in ours}
    assert set(theirs) - set(ours) == {"config.toml"}


def test_a_run_has_one_writer(copy: Path) -> None:
    first = runs_of(sparse_sweep())[0]
    first.last.result(copy).unlink()
    with open_run(first.last.folder(copy), first.settings):
        found = sweep(sparse_sweep(), copy, "serial")
    (failed,) = found.failed
    assert failed.point == first
    assert str(first.last.folder(copy)) in failed.cause
    assert sweep(sparse_sweep(), copy, "serial").done == 2


def test_a_damaged_shared_file_is_named_where_it_is(copy: Path) -> None:
    for point in runs_of(sparse_sweep()):
        point.last.result(copy).unlink()
        (point.last.folder(copy) / "h=1/shots.nc").unlink()
    (shots,) = copy.glob("shots/*/shots.nc")
    shots.write_bytes(shots.read_bytes()[:-40])
    found = sweep(sparse_sweep(), copy, "serial")
    (cause,) = {cause for _, cause in found.failed}
    assert cause.startswith(f"run: {shots}: ")
    shots.unlink()
    assert sweep(sparse_sweep(), copy, "serial").done == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sparse", "until"])
def test_two_workers_make_what_one_process_makes(name: str, swept: Path, tmp_path: Path) -> None:
    if name == "sparse":
        own, theirs = sparse_sweep(local={"workers": 2}), made(swept)
    else:
        # Runs with two fields each, beside RBMs one by one.
        grid = (GridSettings(points=({"hidden": 2}, {"until.measure": "kl"})),)
        others: dict[str, Any] = {"local": {"workers": 2}}
        own = SweepSettings(study=brief_study(), grid=grid, **others)
        sweep(own, tmp_path / "serial", "serial")
        theirs = made(tmp_path / "serial")
    assert sweep(own, tmp_path / "run").failed == []
    ours = made(tmp_path / "run")
    del ours["config.toml"], theirs["config.toml"]
    assert ours == theirs


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_of_a_run(swept: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with Workers(tmp_path) as cluster:
        cluster.start(2)
        cluster.wait_for(2)

        def lose_one() -> None:
            while not any(folder.glob("run/*/h=1/seed-1/level-00.nc")):
                time.sleep(0.001)
            kill(cluster.processes[1])
            cluster.start(1)

        meddler = threading.Thread(target=lose_one)
        meddler.start()
        found = sweep(sparse_sweep(), folder, cluster.address)
        meddler.join()
    assert (found.done, list(found.failed)) == (2, [])
    assert made(folder) == made(swept)


# ---- the grid


def test_points_of_a_grid() -> None:
    def keys(text: str) -> list[str]:
        return [point.last.key for point in points_of(SweepSettings(**tomllib.loads(text)))]

    one, two = keys("[ablation]\nthreshold = 1.0\n[[grid]]\nproduct.width = [2, 3]\n")
    assert keys("[ablation]\nthreshold = 1.0\nwidth = 3\n") == [two]
    assert one != two
    # The same settings are another thing in another experiment.
    assert keys("[sparse]\n") != keys("[ablation]\n")
    # A number stands for a list of one; nested settings of what is not there by itself.
    grid = "[[grid]]\npoints = [{shares = 0.5, fields = 3}]\n"
    (found,) = points_of(SweepSettings(**tomllib.loads(f"[ablation]\n{grid}")))
    assert found.config["shares"] == [0.5]
    grid = "[[grid]]\nproduct = {'until.limit' = [0.1, 0.2], 'until.measure' = ['kl']}\n"
    found, _ = points_of(SweepSettings(**tomllib.loads(f"[study]\n{grid}")))
    assert found.config["until"]["limit"] == 0.1
    # Studies with and without stand side by side.
    grid = "[[grid]]\npoints = [{hidden = 3}, {rewind_epoch = 0}]\n"
    both = points_of(SweepSettings(**tomllib.loads(f"[study]\nfields = [1.0]\n{grid}")))
    assert [type(point) for point in both] == [Point, Run]


@pytest.mark.parametrize(
    ("text", "argument", "facts"),
    [
        ("[study]\n[sparse]\n", "sparse", ("[study]", "[sparse]")),
        ("[frontier]\n[ablation]\n", "frontier", ("[ablation]", "[frontier]")),
        ("[spares]\n", "spares", ("study", "sparse")),
        ("[sparse]\n[[grid]]\nproduct.densty = [0.5]\n", "grid.0.product.densty", ("density",)),
        (
            "[sparse]\n[[grid]]\nproduct.hidden = [1]\n[[grid]]\npoints = [{shares = 1}]\n",
            "grid.1.points.shares",
            ("ablation",),
        ),
        (
            "[[grid]]\nzip.density = [0.5]\n",
            "grid.0.zip.density",
            ("sparse", "ablation", "prune.density"),
        ),
        ("[frontier]\n[[grid]]\nproduct.bonds = [[0]]\n", "grid.0.product.bonds.0", ("found 0",)),
        ("[sparse]\n[[grid]]\nproduct.density = [true]\n", "density.0", ("found True",)),
        ("[sparse]\nseeds = 1\n", "sparse.seeds", ("found 1",)),
        ("[study]\nuntil.measure = 'KL'\n", "until", ("kl", "infidelity")),
        ("[study]\n[[grid]]\nproduct.until.limit = [1]\n", "until.measure", ()),
    ],
)
def test_bad_input_is_one_line(
    text: str, argument: str, facts: tuple[str, ...], tmp_path: Path
) -> None:
    config = tmp_path / "sweep.toml"
    config.write_text(text)
    for how in (["--dry-run"], ["--scheduler", "serial"]):
        line = tiny.refusal(tiny.call("sweep", config, "--out", tmp_path / "run", *how))
        assert f"{argument}: " in line
        assert all(fact in line for fact in facts)
    assert tiny.names(tmp_path) == {"sweep.toml"}


# ---- the table


def test_a_row_for_each_combination() -> None:
    dataset = xr.Dataset(
        {
            "kl": (("field", "seed"), [[0.5, 0.25]]),
            "history_kl": (("field", "seed", "epoch"), [[[1.0, 0.5], [0.25, np.nan]]]),
            "floor": ("field", [0.125]),
            "kl_floor": ("epoch", [2.0, 4.0]),
            "mps_kl": (("field", "bond"), [[8.0, 16.0]]),
            "mask": (("field", "seed", "hidden"), np.ones((1, 2, 3))),
        },
        {"field": [3.0], "seed": [0, 1], "epoch": [0, 10], "bond": [1, 2]},
    )
    assert list(rows_of(dataset)) == [
        {"field": 3.0, "seed": 0, "kl": 0.5, "floor": 0.125},
        {"field": 3.0, "seed": 1, "kl": 0.25, "floor": 0.125},
        *(
            {"field": 3.0, "seed": seed, "epoch": epoch, "history_kl": kl}
            | {"floor": 0.125, "kl_floor": floor}
            for seed, epoch, kl, floor in ((0, 0, 1.0, 2.0), (0, 10, 0.5, 4.0), (1, 0, 0.25, 2.0))
        ),
        {"field": 3.0, "bond": 1, "mps_kl": 8.0},
        {"field": 3.0, "bond": 2, "mps_kl": 16.0},
    ]


def test_rows_are_the_datasets(swept: Path) -> None:
    table = pd.read_parquet(swept / "sweep.parquet")
    for point in runs_of(sparse_sweep()):
        own = table[table["point"] == point.last.key]
        assert set(own["hidden"]) == {point.settings.hidden_units}
        assert set(own["train_method"]) == {"cd"}
        assert (own["seeds"] == 3).all()
        assert (own["shots_seed"] == 0).all()
        dataset = read_dataset(point.last.result(swept), "sparse")
        kl = own[own["epoch"].isna()].set_index(["field", "seed", "variant"])["kl"]
        assert len(kl) == dataset["kl"].size
        assert all(kl[at] == value for at, value in dataset["kl"].to_series().items())
        history = own[own["epoch"].notna()].set_index(["seed", "variant", "epoch"])["history_kl"]
        theirs = dataset["history_kl"].isel(field=0, drop=True).to_series().dropna()
        assert len(history) == len(theirs)
        assert all(history[at] == value for at, value in theirs.items())


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of RBMs one by one beside searches for the smallest."""
    folder = tmp_path_factory.mktemp("studies") / "run"
    assert sweep(mixed(), folder, "serial").done == 4 + 2
    return folder


def mixed() -> SweepSettings:
    limit: dict[str, Any] = {"until.measure": "kl", "until.draws": 200}
    points = ({"hidden": 3}, {**limit, "until.limit": 0.5}, {**limit, "until.limit": 1e-9})
    study = brief_study(seeds=2)
    return SweepSettings(study=study, grid=(GridSettings(points=points),))


def test_rows_of_studies_with_and_without_a_search(studies: Path) -> None:
    table = pd.read_parquet(studies / "sweep.parquet")
    assert len(table) == 3 * 2 * 2 * 2  # fields, seeds and levels
    points = points_of(mixed())
    alone = table[table["point"].isin([p.last.key for p in points[:4]])]
    search = table[table["point"] == points[4].last.key]
    measures = ["field", "seed", "level", "kl", "kl_exact", "prunable", "correlation_length"]
    order = ["field", "seed", "level"]
    pd.testing.assert_frame_equal(
        alone[measures].sort_values(order, ignore_index=True),
        search[measures].sort_values(order, ignore_index=True),
    )
    assert alone["smallest_weights"].isna().all()
    assert set(search["until_limit"]) == {0.5}
    study = read_dataset(points[4].last.result(studies), "study")
    found = search[search["level"] == 0].set_index(["field", "seed"])["smallest_weights"]
    for at, value in study["smallest_weights"].to_series().items():
        assert found[at] == value or (np.isnan(found[at]) and np.isnan(value))
    assert study["smallest_weights"].notnull().any()
    # No dense RBM is so good.
    assert table[table["until_limit"] == 1e-9]["smallest_weights"].isna().all()


# ---- what is told


def test_a_report_of_runs(copy: Path) -> None:
    outcome = tiny.call("report", copy)
    assert outcome.status == 0, outcome
    assert outcome.out.startswith("2 of 2 ")
    page = (copy / "report.html").read_text()
    assert "<img " not in page
    assert "Sparse training" in page
    ends = final_values(read_table(copy))
    assert len(ends) == 2 * 6
    (end,) = (each for each in ends if each[:4] == ("hidden 3", 4, 1.0, "sp/os"))
    rows = [r for r in read_table(copy) if r["hidden"] == 3 and r["variant"] == "sp/os"]
    last = [r for r in rows if r["epoch"] is None]
    assert end.kl == np.median([r["kl"] for r in last])
    assert end.bias == np.median([r["abs_magnetization_bias"] for r in last])
    assert (end.weights, end.seeds) == (9, 3)
    table = final_table(ends, "sweep.parquet")
    assert len(table.rows) == 12
    for cell in table.rows[ends.index(end)]:
        assert (cell if isinstance(cell, str) else f'<data value="{cell.value!r}"') in page


@pytest.mark.slow
def test_a_report_of_studies_with_a_search(studies: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(studies, tmp_path / "run"))
    assert tiny.call("report", folder).status == 0
    page = (folder / "report.html").read_text()
    assert page.count("<img ") == 3
    assert "smallest, weights" in page
    keys = {p.last.key for p in points_of(mixed()) if isinstance(p, Run)}
    rows = [row for row in read_table(folder) if row["point"] in keys]
    ends = final_values(rows)
    assert [(end.settings, end.ratio, end.seeds) for end in ends] == [
        (f"until_limit {limit}", ratio, 2) for limit in (0.5, 1e-9) for ratio in (1.0, 2.0)
    ]
    for end in ends:
        path = [
            row
            for row in rows
            if (row["field"], f"until_limit {row['until_limit']}") == (end.ratio, end.settings)
        ]
        last = [row for row in path if row["level"] == 1]
        assert end.kl == np.median([row["kl_exact"] for row in last])
        assert end.weights == 8
        known = [row["smallest_weights"] for row in last if row["smallest_weights"] > 0]
        assert end.smallest == np.median(known) if known else np.isnan(end.smallest)


def test_the_end_of_other_paths() -> None:
    before = {"point": "x", "sites": 4, "coupling": 2.0, "field": 1.0, "seed": 0}
    frontier = [
        {**before, "variant": "a", "count": count, "kl": kl, "abs_magnetization_bias": 0.5}
        for count, kl in ((8, 0.1), (6, 0.4), (7, 0.2))
    ]
    mps = {**before, "seed": None, "variant": None, "count": None, "mps_kl": 1.0}
    (end,) = final_values([*frontier, mps])
    assert end[:6] == ("", 4, 0.5, "a", 6.0, 0.4)
    ablation = [
        {**before, "start": "dense", "share": 0.0, "broken_kl": 0.25},
        {**before, "model": "control", "forbidden_kl": 0.5, "forbidden_weights_kept": 5},
    ]
    broken, forbidden = final_values(ablation)
    assert (broken.variant, broken.kl) == ("broken by 0, from dense", 0.25)
    assert np.isnan(broken.weights)
    assert (forbidden.variant, forbidden.kl, forbidden.weights) == ("control", 0.5, 5.0)


def test_a_report_of_nothing(copy: Path) -> None:
    for file in copy.glob("run/*/sparse.nc"):
        file.unlink()
    found = json.loads(tiny.call("report", copy, "--json").out)
    assert (found["points"], found["done"], found["failed"]) == (2, 0, 0)
    assert "Sparse training" in (copy / "report.html").read_text()


def test_info_knows_such_a_sweep(copy: Path) -> None:
    found = describe(copy)
    assert isinstance(found, RunDescription)
    assert (found.command, found.missing, len(found.done)) == ("sweep", (), 2 + 1)
    Path(copy / found.done[0]).unlink()
    found = describe(copy)
    assert isinstance(found, RunDescription)
    assert len(found.missing) == 1


def test_a_dry_run_tells_what_it_does_not_know(copy: Path, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    found = {each.kind: each for each in plan(sparse_sweep(), nowhere)}
    assert list(found) == ["state", "shots", "run"]
    assert [(e.uses, e.stages, e.done, e.unknown) for e in found.values()] == [
        *((2, 1, 0, 0), (2, 1, 0, 0), (2, 2, 0, 2)),
    ]
    assert found["state"].seconds > 0
    assert not nowhere.exists()
    # By runs of the same cost, of which another field is one.
    (known,) = (
        json.loads((point.last.folder(copy) / "seconds.json").read_text())["seconds"]
        for point in runs_of(sparse_sweep())
        if point.settings.hidden == 2
    )
    base = tiny.sparse_settings(hidden=2)
    grid = (GridSettings(product={"fields": (1.0, 2.0, 3.0)}),)
    *_, runs = plan(SweepSettings(sparse=base, grid=grid), copy)
    assert (runs.stages, runs.done, runs.unknown) == (3, 1, 0)
    assert runs.seconds == pytest.approx(2 * known)


def test_a_dry_run_in_words(tmp_path: Path) -> None:
    config = tmp_path / "sweep.toml"
    config.write_text("[sparse]\nsites = 4\nfields = [1.0]\nshots = 100\n")
    found = tiny.call("sweep", config, "--dry-run")
    assert found.status == 0, found
    assert "unknown" in found.out
    assert "1 complete run" in found.out
    planned = json.loads(tiny.call("sweep", config, "--dry-run", "--json").out)
    assert planned["core_hours"] is None
    assert tiny.names(tmp_path) == {"sweep.toml"}


def test_settings_of_a_sweep_are_of_one_experiment() -> None:
    with pytest.raises(InputError, match=r"^sparse: "):
        SweepSettings(study=tiny.settings(), sparse=SparseSettings())
    assert SweepSettings(sparse=SparseSettings()).experiment == "sparse"
    assert SweepSettings().experiment == "study"
