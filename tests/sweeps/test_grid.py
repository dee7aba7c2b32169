"""The grid of a sweep: products, zips and points, its file, and names by content."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

import tiny
from pages import ROOT, blocks_of
from psiprune.experiments.settings import StudySettings
from psiprune.inspect.describe import describe
from psiprune.inspect.descriptions import RunDescription
from psiprune.io.run import open_growing_run
from psiprune.pruning.settings import PruneSettings
from psiprune.sweeps import tasks
from psiprune.sweeps.grid import GridSettings
from psiprune.sweeps.settings import SweepSettings
from psiprune.sweeps.tasks import KINDS, Kind
from psiprune.training.cd import CD
from psiprune.training.exact_natural_gradient import ExactNaturalGradient
from psiprune.training.natural_gradient import NaturalGradient
from swept import BASE, GRID, rbms_of, study_sweep


def chosen(grid: str) -> list[StudySettings]:
    found = study_sweep(grid).configurations()
    return [each for each in found if isinstance(each, StudySettings)]


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
        ExactNaturalGradient(),
        CD(epochs=9, batch_size=50),
        NaturalGradient(),
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
    given = SweepSettings(**tomllib.loads(text))
    with open_growing_run(tmp_path / "run", given):
        pass
    config = tomllib.loads((tmp_path / "run/config.toml").read_text())
    again = SweepSettings(**config)
    assert [p.stage("point").key for p in rbms_of(again)] == [
        p.stage("point").key for p in rbms_of(given)
    ]
    found = describe(tmp_path / "run")
    assert isinstance(found, RunDescription)
    assert found.command == "sweep"


def keys(sweep_settings: SweepSettings) -> dict[Kind, set[str]]:
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
    first = rbms_of(study_sweep(""))[0]
    inputs = json.loads(first.stage("point").inputs)
    refused = {"rewind_epoch", "until"}
    settings_of_a_study = set(StudySettings.model_fields) - {"fields", "seeds"} - refused
    assert set(inputs) == settings_of_a_study | {"field", "rbm_seed", "psiprune"}
    before = keys(study_sweep())
    monkeypatch.setattr(tasks, "version", lambda _: "9.9")
    assert all(before[kind].isdisjoint(keys(study_sweep())[kind]) for kind in KINDS)


def test_prune_levels_by_density_have_one_hash() -> None:
    by_density = PruneSettings(fraction=0.3, density=0.4)
    again = PruneSettings(**by_density.model_dump())
    one, two = (
        rbms_of(SweepSettings(study=tiny.settings(prune=each)))[0].stage("point").key
        for each in (by_density, again)
    )
    assert one == two


def test_a_method_object_keeps_its_fields_in_every_point() -> None:
    """Fields equal to the defaults of training, which are not those of fine-tuning."""
    tuning, other = ExactNaturalGradient(), CD()
    for base, product, expected in (
        (StudySettings(fine_tune=tuning), {"seed": (1, 2)}, [tuning, tuning]),
        (StudySettings(), {"fine_tune": (tuning, other)}, [tuning, other]),
    ):
        points = SweepSettings(study=base, grid=(GridSettings(product=product),)).configurations()
        assert [dict(point)["fine_tune"] for point in points] == expected
