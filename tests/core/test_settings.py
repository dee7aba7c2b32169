"""Configurations: the defaults, the rules, and the way through TOML and back."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from pydantic import Field, model_validator

import psiprune as pp
from psiprune.core.settings import Settings
from psiprune.core.validation import check_count, check_seed
from psiprune.experiments.path_settings import PathSettings
from psiprune.io.run import open_run
from psiprune.paper.settings import PaperSettings
from refusals import refuses


def test_the_default_is_the_papers_experiment() -> None:
    study, sparse = pp.StudySettings(), pp.SparseSettings()
    for each in (study, sparse):
        assert (each.sites, each.hidden_units, each.fields) == (18, 9, (1.0, 2.0))
        assert (each.shots, each.measure.draws) == (100_000, 100_000)
    assert (study.prune.criterion, study.prune.fraction) == ("magnitude", 0.1)
    assert study.prune.levels >= 18
    # Fine-tuning has its own defaults: it is short and gentle, compared with training.
    assert isinstance(study.train, pp.CD)
    assert isinstance(study.fine_tune, pp.CD)
    assert 0 < study.fine_tune.epochs < study.train.epochs
    assert study.fine_tune.learning_rate < study.train.learning_rate
    assert (sparse.seeds, sparse.levels, sparse.prune.levels) == (10, 5, 5)
    assert sparse.prune.fraction == pytest.approx(0.1, abs=1e-12)
    assert sparse.train == study.train
    for sites, hidden in ((2, 1), (3, 1), (18, 9), (19, 9)):
        assert pp.StudySettings(sites=sites).hidden_units == hidden
        assert pp.StudySettings(sites=sites, hidden=7).hidden_units == 7
    halved = pp.SparseSettings(density=0.25, levels=2).prune
    assert (halved.levels, halved.fraction) == (2, 0.5)


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
            assert nested or field.description or name in ("method", "kind"), (model, name)


@pytest.mark.parametrize(
    ("model", "values", "facts"),
    [
        (pp.CD, {"epochs": 2.5}, ("epochs", 2.5)),
        (pp.CD, {"steps": 0}, ("steps", 1, 0)),
        (pp.CD, {"learning_rate": float("nan")}, ("learning_rate", "finite", "nan")),
        (pp.CD, {"learning_rate_decay": 0}, ("learning_rate_decay", 0, 0)),
        (pp.CD, {"learning_rate_decay": 1.1}, ("learning_rate_decay", 1, 1.1)),
        (pp.CD, {"momentum": -0.1}, ("momentum", 0, -0.1)),
        (pp.CD, {"weight_decay": -1e-3}, ("weight_decay", 0, -0.001)),
        (pp.CD, {"method": "exact"}, ("method", "'cd'", "'exact'")),
        (pp.CD, {"rate": 1}, ("rate", "CD", "epochs, batch_size, steps")),
        (pp.NaturalGradient, {"chains": 0}, ("chains", 1, 0)),
        (pp.NaturalGradient, {"steps": 0}, ("steps", 1, 0)),
        (pp.NaturalGradient, {"momentum": 0.5}, ("momentum", "NaturalGradient", "epochs, chains")),
        (pp.ExactNaturalGradient, {"epochs": -1}, ("epochs", 0, -1)),
        (pp.ExactNaturalGradient, {"weight_decay": -1}, ("weight_decay", 0, -1)),
        (pp.PruneSettings, {"criterion": "size"}, ("criterion", "'damage'", "'surgeon'", "'size'")),
        (pp.PruneSettings, {"first_fraction": 1}, ("first_fraction", 1, 1)),
        (pp.PruneSettings, {"density": 0}, ("density", 0, 0)),
        (pp.PruneSettings, {"draws": 99}, ("draws", 100, 99)),
        (PathSettings, {"shots": "a"}, ("rbm", "PathSettings")),
        (pp.StudySettings, {"sites": 1}, ("sites", 2, 1)),
        (pp.AblationSettings, {"shares": (0.5, 0.5)}, ("shares", "(0.5, 0.5)")),
        (pp.AblationSettings, {"shares": ()}, ("shares", 1, "()")),
        (pp.AblationSettings, {"shares": (0.5, -0.1)}, ("shares.1", 0, -0.1)),
        (pp.StudySettings, {"coupling": 0}, ("coupling", 0, 0)),
        (pp.StudySettings, {"fields": []}, ("fields", 1, "[]")),
        (pp.StudySettings, {"fields": [1, 0]}, ("fields.1", 0, 0)),
        (pp.StudySettings, {"fields": [1, 1 + 1e-9]}, ("fields", "[1, 1.000000001]")),
        (pp.StudySettings, {"fields": 1.0}, ("fields", 1.0)),
        (pp.StudySettings, {"seed": -1}, ("seed", 0, -1)),
        (pp.StudySettings, {"seeds": 0}, ("seeds", 1, 0)),
        (pp.StudySettings, {"history_every": 0}, ("history_every", 1, 0)),
        (pp.StudySettings, {"fine_tune": {"rate": 1}}, ("fine_tune.rate", "'cd'", "epochs")),
        (pp.StudySettings, {"train": {"epochs": "5"}}, ("train.epochs", "'5'")),
        (pp.StudySettings, {"train": 3}, ("train.method", 3)),
        (pp.StudySettings, {"site": 4}, ("site", "StudySettings", "did you mean sites")),
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
        (pp.StudySettings, {}),
        (pp.StudySettings, {"hidden": 3, "fields": (0.5,), "seed": 2**62 - 1}),
        (pp.StudySettings, {"train": pp.PCD(learning_rate=1e-7), "fine_tune": pp.CD(momentum=0.9)}),
        (pp.StudySettings, {"fine_tune": pp.CD.for_fine_tuning(epochs=0)}),
        (pp.StudySettings, {"train": pp.NaturalGradient(chains=9), "fine_tune": "exact"}),
        (pp.StudySettings, {"train": "exact", "fine_tune": {"epochs": 7}}),
        (pp.StudySettings, {"train": "auto", "fine_tune": {"method": "auto", "epochs": 7}}),
        (pp.ReconstructSettings, {}),
        (pp.ReconstructSettings, {"train": "cd", "fine_tune": {"epochs": 3}}),
        *((pp.FrontierSettings, {}), (pp.FrontierSettings, {"train": "exact"})),
        (pp.FrontierSettings, {"train": {"epochs": 7}, "paper_train": {"method": "pcd"}}),
        (pp.MasksSettings, {"sites": 100, "kinds": ("random",), "dense_train": {"epochs": 9}}),
    ],
)
def test_a_runs_config_gives_the_settings_back(
    tmp_path: Path, model: type[Settings], values: dict[str, Any]
) -> None:
    settings = model(**values)
    with open_run(tmp_path / "run", settings) as folder:
        again = tomllib.loads((folder / "config.toml").read_text())
    assert again.get("train") == settings.model_dump(exclude_none=True).get("train")
    assert model(**again) == settings


def test_an_ablation_needs_clusters_that_can_count() -> None:
    with refuses("threshold", "8 sites", 0.11):
        pp.AblationSettings(sites=8)
    assert pp.AblationSettings(sites=8, threshold=0.11).threshold == 0.11
    assert pp.AblationSettings(sites=12).threshold == 0.05
    # All experiments of the paper go on without.
    assert PaperSettings(sites=8).ablation().threshold == 1
    assert PaperSettings(sites=12).ablation().threshold == 0.05


# ---- bad input in one line: which argument, the rule, the value found


class Oven(Settings):
    """Settings with every kind of rule."""

    heat: float = Field(ge=0, le=300, description="degrees")
    minutes: int = Field(default=30, gt=0)

    @model_validator(mode="after")
    def _not_both(self) -> Oven:
        if self.heat > 200 and self.minutes > 100:
            raise ValueError("heat: above 200 for at most 100 minutes")
        return self


@pytest.mark.parametrize(
    ("values", "facts"),
    [
        ({"heat": 301}, ("heat", 300, 301, "(degrees)")),
        ({"heat": float("nan")}, ("heat", "finite", "nan")),
        ({"heat": float("inf")}, ("heat", "inf")),
        ({"heat": "warm"}, ("heat", "number", "'warm'")),
        ({"heat": 1, "minutes": 0}, ("minutes", 0, 0)),
        ({"heat": 1, "minutes": 1.5}, ("minutes", 1.5)),
        ({}, ("heat", "Oven")),
        ({"heat": 1, "colour": 2}, ("colour", "Oven", "heat, minutes")),
        ({"heat": 201, "minutes": 101}, ("heat", 200, 100)),
    ],
)
def test_settings_name_key_rule_and_value(
    values: dict[str, Any], facts: tuple[object, ...]
) -> None:
    with refuses(*facts):
        Oven(**values)


def test_settings_are_immutable() -> None:
    oven = Oven(heat=200)
    assert (oven.heat, oven.minutes) == (200, 30)
    with pytest.raises(ValueError, match="frozen"):
        oven.heat = 100


@pytest.mark.parametrize("value", [0, 7, 2**63 - 1, np.int64(3), np.uint8(3)])
def test_good_integers(value: int) -> None:
    for found in (check_seed(value), check_count("shots", value, 0)):
        assert type(found) is int
        assert found == value


NO_INTEGERS: list[Any] = [
    True,
    np.True_,
    1.0,
    np.float64(1.0),
    "1",
    None,
    np.array(1.5),
    np.array([1, 2]),
    [1],
]


@pytest.mark.parametrize("value", [-1, 2**63, *NO_INTEGERS], ids=repr)
def test_bad_integers(value: Any) -> None:
    with refuses("seed", 0, "2^63 - 1", repr(value)):
        check_seed(value)
    if not isinstance(value, int) or value < 3:
        with refuses("shots", 3, repr(value)):
            check_count("shots", value, 3)
