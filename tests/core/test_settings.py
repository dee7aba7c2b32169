"""Configurations: the defaults, the rules, and the way through TOML and back."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from psiprune.core.settings import Settings
from psiprune.experiments.path_settings import PathSettings
from psiprune.experiments.settings import (
    AblationSettings,
    FrontierSettings,
    SparseSettings,
    StudySettings,
)
from psiprune.io.run import open_run
from psiprune.paper.settings import PaperSettings
from psiprune.pruning.settings import PruneSettings
from psiprune.reconstruction.settings import ReconstructSettings
from psiprune.training.cd import CD
from psiprune.training.exact_natural_gradient import ExactNaturalGradient
from psiprune.training.natural_gradient import NaturalGradient
from psiprune.training.pcd import PCD
from refusals import refuses


def test_the_default_is_the_papers_experiment() -> None:
    study, sparse = StudySettings(), SparseSettings()
    for each in (study, sparse):
        assert (each.sites, each.hidden_units, each.fields) == (18, 9, (1.0, 2.0))
        assert (each.shots, each.measure.draws) == (100_000, 100_000)
    assert (study.prune.criterion, study.prune.fraction) == ("magnitude", 0.1)
    assert study.prune.levels >= 18
    # Fine-tuning has its own defaults: it is short and gentle, compared with training.
    assert isinstance(study.train, CD)
    assert isinstance(study.fine_tune, CD)
    assert 0 < study.fine_tune.epochs < study.train.epochs
    assert study.fine_tune.learning_rate < study.train.learning_rate
    assert (sparse.seeds, sparse.levels, sparse.prune.levels) == (10, 5, 5)
    assert sparse.prune.fraction == pytest.approx(0.1, abs=1e-12)
    assert sparse.train == study.train
    halved = SparseSettings(density=0.25, levels=2).prune
    assert (halved.levels, halved.fraction) == (2, 0.5)


@pytest.mark.parametrize(("sites", "hidden"), [(2, 1), (3, 1), (18, 9), (19, 9)])
def test_half_as_many_hidden_units_as_sites(sites: int, hidden: int) -> None:
    assert StudySettings(sites=sites).hidden_units == hidden
    assert StudySettings(sites=sites, hidden=7).hidden_units == 7


def every(model: type[Settings]) -> Iterator[type[Settings]]:
    """All classes of settings that are imported here."""
    for each in model.__subclasses__():
        yield each
        yield from every(each)


def test_every_setting_says_what_it_means() -> None:
    checked = [model for model in every(Settings) if model.__module__.startswith("psiprune")]
    assert len(checked) > 15
    for model in checked:
        for name, field in model.model_fields.items():
            default = type(field.get_default(call_default_factory=True))
            kinds = (default, *get_args(field.annotation))  # X or X | None
            nested = any(isinstance(kind, type) and issubclass(kind, Settings) for kind in kinds)
            assert nested or field.description or name == "method", (model, name)


@pytest.mark.parametrize(
    ("model", "values", "facts"),
    [
        (CD, {"epochs": 2.5}, ("epochs", 2.5)),
        (CD, {"steps": 0}, ("steps", 1, 0)),
        (CD, {"learning_rate": float("nan")}, ("learning_rate", "finite", "nan")),
        (CD, {"learning_rate_decay": 0}, ("learning_rate_decay", 0, 0)),
        (CD, {"learning_rate_decay": 1.1}, ("learning_rate_decay", 1, 1.1)),
        (CD, {"momentum": -0.1}, ("momentum", 0, -0.1)),
        (CD, {"weight_decay": -1e-3}, ("weight_decay", 0, -0.001)),
        (CD, {"method": "exact"}, ("method", "'cd'", "'exact'")),
        (CD, {"rate": 1}, ("rate", "CD", "epochs, batch_size, steps")),
        (NaturalGradient, {"chains": 0}, ("chains", 1, 0)),
        (NaturalGradient, {"steps": 0}, ("steps", 1, 0)),
        (NaturalGradient, {"momentum": 0.5}, ("momentum", "NaturalGradient", "epochs, chains")),
        (ExactNaturalGradient, {"epochs": -1}, ("epochs", 0, -1)),
        (ExactNaturalGradient, {"weight_decay": -1}, ("weight_decay", 0, -1)),
        (PruneSettings, {"criterion": "size"}, ("criterion", "'damage'", "'surgeon'", "'size'")),
        (PruneSettings, {"first_fraction": 1}, ("first_fraction", 1, 1)),
        (PruneSettings, {"density": 0}, ("density", 0, 0)),
        (PruneSettings, {"draws": 99}, ("draws", 100, 99)),
        (
            StudySettings,
            {"prune": {"criterion": "surgeon", "compensate": True}},
            ("prune.compensate", "'surgeon'"),
        ),
        (PathSettings, {"shots": "a"}, ("rbm", "PathSettings")),
        (StudySettings, {"sites": 1}, ("sites", 2, 1)),
        (SparseSettings, {"prune": {"levels": 3}}, ("prune", "SparseSettings")),
        (AblationSettings, {"shares": (0.5, 0.5)}, ("shares", "(0.5, 0.5)")),
        (AblationSettings, {"shares": ()}, ("shares", 1, "()")),
        (AblationSettings, {"shares": (0.5, -0.1)}, ("shares.1", 0, -0.1)),
        (StudySettings, {"coupling": 0}, ("coupling", 0, 0)),
        (StudySettings, {"fields": []}, ("fields", 1, "[]")),
        (StudySettings, {"fields": [1, 0]}, ("fields.1", 0, 0)),
        (StudySettings, {"fields": [1, 1 + 1e-9]}, ("fields", "[1, 1.000000001]")),
        (StudySettings, {"fields": 1.0}, ("fields", 1.0)),
        (StudySettings, {"seed": -1}, ("seed", 0, -1)),
        (StudySettings, {"seeds": 0}, ("seeds", 1, 0)),
        (StudySettings, {"history_every": 0}, ("history_every", 1, 0)),
        (StudySettings, {"fine_tune": {"rate": 1}}, ("fine_tune.rate", "'cd'", "epochs")),
        (StudySettings, {"train": {"epochs": "5"}}, ("train.epochs", "'5'")),
        (StudySettings, {"train": 3}, ("train.method", 3)),
        (StudySettings, {"site": 4}, ("site", "StudySettings", "did you mean sites")),
    ],
)
def test_each_rule(
    model: type[Settings], values: dict[str, Any], facts: tuple[object, ...]
) -> None:
    with refuses(*facts):
        model(**values)


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (StudySettings, {}),
        (StudySettings, {"hidden": 3, "fields": (0.5,), "seed": 2**62 - 1}),
        (StudySettings, {"train": PCD(learning_rate=1e-7), "fine_tune": CD(momentum=0.9)}),
        (StudySettings, {"fine_tune": CD.for_fine_tuning(epochs=0)}),
        (StudySettings, {"train": NaturalGradient(chains=9), "fine_tune": "exact"}),
        (StudySettings, {"train": "exact", "fine_tune": {"epochs": 7}}),
        (StudySettings, {"train": "auto", "fine_tune": {"method": "auto", "epochs": 7}}),
        (ReconstructSettings, {}),
        (ReconstructSettings, {"train": "cd", "fine_tune": {"epochs": 3}}),
        (FrontierSettings, {"train": {"epochs": 7}, "paper_train": {"method": "pcd"}}),
    ],
)
def test_a_runs_config_gives_the_settings_back(
    tmp_path: Path, model: type[Settings], values: dict[str, Any]
) -> None:
    settings = model(**values)
    with open_run(tmp_path / "run", settings) as folder:
        again = tomllib.loads((folder / "config.toml").read_text())
    assert model(**again) == settings


def test_an_ablation_needs_clusters_that_can_count() -> None:
    with refuses("threshold", "8 sites", 0.11):
        AblationSettings(sites=8)
    assert AblationSettings(sites=8, threshold=0.11).threshold == 0.11
    assert AblationSettings(sites=12).threshold == 0.05
    # All experiments of the paper go on without.
    assert PaperSettings(sites=8).ablation().threshold == 1
    assert PaperSettings(sites=12).ablation().threshold == 0.05
