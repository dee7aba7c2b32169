"""Settings of a reconstruction: sizes, methods and learning rates to try."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

import psiprune as pp
from psiprune.pruning.settings import SearchSettings
from psiprune.reconstruction.architecture import learning_rate_of
from psiprune.reconstruction.text import reconstruct_numbers
from refusals import refuses


def test_settings_that_would_not_be_used_are_refused(shots: pp.Shots, tmp_path: Path) -> None:
    table: Any = {"method": "cd", "learning_rate": 0.2}
    exact: Any = "exact"
    with refuses("learning_rates", (0.3,), "train.learning_rate = 0.2"):
        pp.ReconstructSettings(learning_rates=(0.3,), train=table)
    with refuses("learning_rates", "'exact'", "cd or pcd"):
        pp.ReconstructSettings(learning_rates=(0.3,), train=exact)
    with refuses("learning_rates", "'exact'", "cd or pcd"):
        pp.reconstruct(shots, tmp_path / "new", learning_rates=(0.3,))
    assert not (tmp_path / "new").exists()
    with pytest.raises(TypeError, match="hiden"):
        pp.reconstruct(shots, tmp_path / "new", hiden=(2,))  # type: ignore[call-arg]


def test_resolved_settings_hold_what_is_used(shots: pp.Shots) -> None:
    exact = pp.ReconstructSettings().for_sites(18)
    assert exact.learning_rates is None
    assert exact.train == pp.ExactNaturalGradient()
    assert exact.fine_tune == pp.ExactNaturalGradient.for_fine_tuning()
    for settings, sites in (
        (pp.ReconstructSettings(train=pp.CD(), learning_rates=(0.05, 0.2)), 6),
        (pp.ReconstructSettings(train=pp.PCD(learning_rate=0.2)), 6),
        (pp.ReconstructSettings(), 50),  # exact for 12 hidden units, natural for the others
        (pp.ReconstructSettings(), 300),  # pcd for the largest numbers of hidden units
    ):
        resolved = settings.for_sites(sites)
        assert resolved.candidates(sites) == settings.candidates(sites)
        again = pp.ReconstructSettings(**resolved.model_dump(mode="json", exclude_none=True))
        assert again.for_sites(sites).model_dump() == resolved.model_dump()


def test_methods_used_are_recorded(done: tuple[Path, pp.Reconstruction]) -> None:
    folder, made = done
    train = pp.CD(epochs=3, batch_size=20, learning_rate=0.5)
    tuning = pp.CD.for_fine_tuning(epochs=1)
    found = reconstruct_numbers(made.dataset, made.request)
    assert found["methods"] == {"train": train.model_dump(), "fine_tune": tuning.model_dump()}
    assert made.summary.method.text == f"trained by {train}; fine-tuned by {tuning}"
    config = tomllib.loads((folder / "run/config.toml").read_text())
    assert config["train"] == train.model_dump()
    assert config["learning_rates"] == [0.5]


def test_an_argument_changes_no_other_setting(
    shots: pp.Shots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[pp.ReconstructSettings] = []
    monkeypatch.setattr(
        "psiprune.reconstruction.api.reconstruct_and_report",
        lambda data, run, chosen, observables, reading, begin: seen.append(chosen),
    )
    # Values equal to the defaults of training, which are not those of fine-tuning.
    settings = pp.ReconstructSettings(fine_tune=pp.ExactNaturalGradient(), seeds=3)
    pp.reconstruct(shots, tmp_path / "run", settings=settings, seed=4)
    assert seen == [settings.model_copy(update={"seed": 4})]


def test_candidates() -> None:
    def rates(**changes: Any) -> list[tuple[int, float]]:
        settings = pp.ReconstructSettings(**changes)
        models = settings.candidates(18)
        return [(links.hidden, learning_rate_of(each)) for links, each in models]

    assert rates(train="cd") == [(n, rate) for n in (1, 4, 9, 18) for rate in (0.03, 0.1, 0.3)]
    table = {"method": "cd", "learning_rate": 0.2}
    assert rates(hidden=(7,), train=table) == [(7, 0.2)]
    assert rates(hidden=(7,), learning_rates=(0.2, 0.3), train=table) == [(7, 0.2), (7, 0.3)]
    assert [hidden for hidden, _ in rates()] == [1, 4, 9, 18]
    models = pp.ReconstructSettings().candidates(18)
    assert {each.method for _, each in models} == {"exact"}
    assert not any(links.scale_free for links, _ in models)
    large = pp.ReconstructSettings().candidates(50)
    assert [(links[:2], each.method) for links, each in large] == [
        *(((1, False), "exact"), ((12, False), "exact"), ((25, False), "natural")),
        *(((50, False), "natural"), ((25, True), "natural"), ((50, True), "natural")),
    ]
    assert not any(links.links for links, _ in large)
    assert pp.ReconstructSettings().units_for(1) == (1,)
    search = pp.ReconstructSettings(prune=SearchSettings(fraction=0.2)).prune
    assert (search.criterion, search.levels) == ("surgeon", 1000)


def test_a_single_size_or_rate_needs_no_tuple() -> None:
    given: dict[str, Any] = {"hidden": 3, "learning_rates": 0.1}
    settings = pp.ReconstructSettings(**given)
    assert (settings.hidden, settings.learning_rates) == ((3,), (0.1,))
    given["hidden"] = 0
    with refuses("hidden.0", 0):
        pp.ReconstructSettings(**given)
