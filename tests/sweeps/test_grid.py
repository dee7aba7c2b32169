"""The grid of a sweep: products, zips and points, its file, and names by content."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

import psiprune as pp
import tiny
from outcomes import run_of
from pages import ROOT, blocks_of
from psiprune.io.run import open_growing_run
from psiprune.sweeps import tasks
from psiprune.sweeps.grid import GridSettings
from psiprune.sweeps.plan import plan, point_rows
from psiprune.sweeps.points import points_of, stages_of
from psiprune.sweeps.settings import SweepSettings
from psiprune.sweeps.tasks import KINDS, Kind
from swept import BASE, GRID, rbms_of, study_sweep


def chosen(grid: str) -> list[pp.StudySettings]:
    found = study_sweep(grid).configurations()
    return [each for each in found if isinstance(each, pp.StudySettings)]


def test_products_zips_and_points() -> None:
    assert chosen("") == [tiny.settings()]
    found = chosen("[[grid]]\nproduct = {sites = [4, 5], 'prune.criterion' = ['random', 'damage']}")
    assert [(s.sites, s.prune.criterion) for s in found] == [
        *((4, "random"), (4, "damage"), (5, "random"), (5, "damage"))
    ]
    assert {s.prune.levels for s in found} == {3}  # what the study says stays
    found = chosen("[[grid]]\nzip = {sites = [4, 6], hidden = [2, 5]}\nproduct.seed = [7, 8]")
    assert [(s.seed, s.sites, s.hidden) for s in found] == [
        *((7, 4, 2), (7, 6, 5), (8, 4, 2), (8, 6, 5))
    ]
    found = chosen(
        "[[grid]]\npoints = [{sites = 5, prune.levels = 1}, {fields = 3}]\n"
        "[[grid]]\nproduct.train = [{method = 'exact'}, {epochs = 9}, 'natural']"
    )
    assert [(s.sites, s.prune.levels, s.fields) for s in found[:2]] == [
        *((5, 1, (1.0, 2.0)), (4, 3, (3.0,)))
    ]
    # A table is laid over that of the study, unless it chooses another method.
    assert [s.train for s in found[2:]] == [
        pp.ExactNaturalGradient(),
        pp.CD(epochs=9, batch_size=50),
        pp.NaturalGradient(),
    ]


@pytest.mark.parametrize(
    "text",
    [
        BASE + GRID,
        "[study]\nsites = 50\nseeds = 1\n",
        "[[grid]]\nproduct.sites = [10, 50]\n",
        "[[grid]]\nproduct.train = [{method = 'cd'}, {method = 'natural'}]\n",
        "[study]\nprune.density = 0.5\n[[grid]]\nproduct.prune.density = [0.5, 0.1]\n",
        next(block.code for block in blocks_of(ROOT / "docs/sweep.md") if block.fate == "file"),
    ],
    ids=["cd", "large", "sizes", "methods", "density", "phases"],
)
def test_the_grid_survives_its_file(text: str, tmp_path: Path) -> None:
    # What a size, a method or another setting decides must still be open there.
    given = pp.SweepSettings(**tomllib.loads(text))
    with open_growing_run(tmp_path / "run", given):
        pass
    config = tomllib.loads((tmp_path / "run/config.toml").read_text())
    again = pp.SweepSettings(**config)
    assert [p.stage("point").key for p in rbms_of(again)] == [
        p.stage("point").key for p in rbms_of(given)
    ]
    assert run_of(tmp_path / "run").command == "sweep"


def keys(sweep_settings: pp.SweepSettings) -> dict[Kind, set[str]]:
    points = rbms_of(sweep_settings)
    return {kind: {point.stage(kind).key for point in points} for kind in KINDS}


@pytest.mark.parametrize(
    ("grid", "counts"),
    [
        ("product.prune.criterion = ['magnitude', 'random']", (2, 2, 2, 4)),
        ("product.fine_tune.epochs = [1, 2, 3]", (2, 2, 2, 6)),
        *(("product.train.epochs = [1, 2]", (2, 2, 4, 4)), ("product.seeds = [3]", (2, 2, 6, 6))),
        *(("product.shots = [100, 200]", (2, 4, 4, 4)), ("product.seed = [1, 2]", (2, 4, 4, 4))),
        ("product.coupling = [1.0, 2.0]", (4, 4, 4, 4)),
        ("product.hidden = [2, 3]", (2, 2, 4, 4)),
        ("product.measure.draws = [100, 200]", (2, 2, 2, 4)),
        ("points = [{sites = 21}, {sites = 21, measure.draws = 100}]", (2, 2, 4, 4)),
        ("points = [{seeds = 2}, {seeds = 1}, {hidden = 3}]", (2, 2, 4, 4)),
        ("points = [{train.method = 'cd'}, {sites = 4}]", (2, 2, 2, 2)),
    ],
)
def test_stages_are_shared_by_what_they_depend_on(grid: str, counts: tuple[int, ...]) -> None:
    found = keys(study_sweep(f"[[grid]]\n{grid}\n"))
    assert tuple(len(found[kind]) for kind in KINDS) == counts


def test_everything_but_names_is_in_a_points_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    def inputs(grid: str) -> set[str]:
        return {*json.loads(rbms_of(study_sweep(grid))[0].stage("point").inputs)}

    refused = {"rewind_epoch", "until"}
    settings_of_a_study = set(pp.StudySettings.model_fields) - {"fields", "seeds"} - refused
    every = settings_of_a_study | {"field", "rbm_seed", "psiprune"}
    assert inputs("") == every - {"model", "observable"}  # if given
    assert inputs("[[grid]]\npoints = [{model = {kind = 'xxz'}, observable = ['g2']}]") == every
    before = keys(study_sweep())
    monkeypatch.setattr(tasks, "version", lambda _: "9.9")
    assert all(before[kind].isdisjoint(keys(study_sweep())[kind]) for kind in KINDS)


def test_prune_levels_by_density_have_one_hash() -> None:
    by_density = pp.PruneSettings(fraction=0.3, density=0.4)
    again = pp.PruneSettings(**by_density.model_dump())
    one, two = (
        rbms_of(pp.SweepSettings(study=tiny.settings(prune=each)))[0].stage("point").key
        for each in (by_density, again)
    )
    assert one == two


def test_a_method_object_keeps_its_fields_in_every_point() -> None:
    """Fields equal to the defaults of training, which are not those of fine-tuning."""
    tuning, other = pp.ExactNaturalGradient(), pp.CD()
    for base, product, expected in (
        (pp.StudySettings(fine_tune=tuning), {"seed": (1, 2)}, [tuning, tuning]),
        (pp.StudySettings(), {"fine_tune": (tuning, other)}, [tuning, other]),
    ):
        points = pp.SweepSettings(
            study=base, grid=(GridSettings(product=product),)
        ).configurations()
        assert [dict(point)["fine_tune"] for point in points] == expected


# ---- a dry run: points, shared stages, and core-hours


def settings(fields: tuple[float, ...] = (1.0,), **product: Any) -> SweepSettings:
    grid = (GridSettings(product=product),) if product else None
    return SweepSettings(study=tiny.settings(fields=fields), grid=grid)


def finish(own: SweepSettings, folder: Path, seconds: float) -> None:
    """Write what stages write besides their results."""
    for point in points_of(own):
        for stage in stages_of(point):
            stage.make_folder(folder)
            (stage.folder(folder) / "seconds.json").write_text(json.dumps({"seconds": seconds}))


@pytest.fixture
def no_pilots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psiprune.sweeps.plan._PILOTS", {kind: lambda *_: 1e6 for kind in KINDS})


@pytest.mark.usefixtures("no_pilots")
def test_rates_come_from_any_field_seed_and_coupling(tmp_path: Path) -> None:
    finish(settings((0.5, 3.0)), tmp_path, 2.0)
    planned = plan(settings((0.7, 1.3), seed=[4, 5], coupling=[1.0, 2.0]), tmp_path)
    assert [(each.done, each.pilots) for each in planned] == [(0, 0)] * 4
    assert [each.seconds / each.stages for each in planned] == [2.0] * 4


@pytest.mark.usefixtures("no_pilots")
def test_rates_depend_on_the_settings_that_cost(tmp_path: Path) -> None:
    finish(settings(), tmp_path, 2.0)
    planned = {each.kind: each for each in plan(settings((2.0,), shots=[300, 400]), tmp_path)}
    assert planned["state"].seconds == 2.0
    assert planned["shots"].seconds == 2.0 + 1e6
    assert planned["point"].pilots == 1


@pytest.mark.usefixtures("no_pilots")
def test_damaged_records_give_no_rates(tmp_path: Path) -> None:
    finish(settings(), tmp_path, 2.0)
    for file in tmp_path.glob("*/*/inputs.json"):
        file.write_text("[]" if "dense" in str(file) else "{")
    assert [each.pilots for each in plan(settings((2.0,)), tmp_path)] == [1] * 4


def test_points_have_the_columns_that_differ() -> None:
    own = settings((1.0, 2.0), **{"sites": [4, 6], "prune.criterion": ["magnitude", "random"]})
    points = points_of(own)
    rows = point_rows(points)
    assert len(rows) == 8
    assert rows[1] == {
        **{"point": points[1].last.key, "sites": 4, "field": 2.0, "seed": 0},
        "prune_criterion": "magnitude",
    }
    assert "shots_seed" in point_rows(points_of(settings(seed=[1, 2])))[0]


@pytest.mark.usefixtures("no_pilots")
def test_a_dry_run_prints_twenty_points(tmp_path: Path) -> None:
    config = tmp_path / "sweep.toml"
    for seeds in (10, 11):
        config.write_text(f"[study]\nsites = 4\nseeds = {seeds}\n")
        command = ("sweep", config, "--out", tmp_path / "run", "--dry-run")
        outcome = tiny.call(*command)
        assert outcome.status == 0
        (total,), lines, stages = (part.splitlines() for part in outcome.out.split("\n\n"))
        assert lines[0].split() == ["point", "sites", "field", "seed"]
        assert lines[20].split()[1:] == ["4", "2", "9"]
        assert len(lines) == 1 + 20 + (seeds > 10)
        assert [line.split()[0] for line in stages[1:]] == list(KINDS)
        # Pilots of 10^6 seconds for 2 states, 2 training sets and all RBMs, dense and pruned.
        assert f"{(4 + 4 * seeds) * 1e6 / 3600:.2g} core-hours" in total
    assert "2 more" in lines[-1]
    assert len(json.loads(tiny.call(*command, "--json").out)["points"]) == 22
