"""The search of `study --until` goes to its end, and tells where its path ended before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import psiprune as pp
import tiny
from psiprune.experiments.path_settings import UntilSettings
from psiprune.experiments.settings import StudySettings
from psiprune.experiments.study import run_study
from psiprune.experiments.tables import table_numbers, table_text
from psiprune.pruning.settings import PruneSettings

WARNING = "warning: for 2 of 2 seeds the path ended within the limit"


def settings(prune: PruneSettings) -> StudySettings:
    """18 weights, and a limit that no pruned RBM exceeds."""
    return tiny.settings(
        sites=6,
        hidden=3,
        fields=(1.0,),
        shots=200,
        seeds=2,
        train=pp.ExactNaturalGradient(epochs=5),
        fine_tune=pp.ExactNaturalGradient.for_fine_tuning(epochs=1),
        prune=prune,
        until=UntilSettings(measure="kl", limit=50.0),
    )


@pytest.mark.slow
def test_the_search_goes_on_past_the_levels_of_the_study(tmp_path: Path) -> None:
    study = run_study(settings(PruneSettings()), tmp_path)
    assert study.sizes["level"] == 21
    assert (study["weights_kept"].isel(level=-1) > 1).all()
    assert study["smallest_weights"].values.tolist() == [[1, 1]]
    assert study["smallest_censored"].values.tolist() == [[0, 0]]
    assert table_numbers("study", study)["smallest"]["h=1"]["censored"] == 0
    assert "warning" not in table_text("study", study)
    for seed in (0, 1):
        kept = pp.load_rbm(tmp_path / f"h=1/seed-{seed}/smallest/smallest.nc")
        assert kept.number_of_weights == 1


@pytest.mark.parametrize("how", [{"levels": 3}, {"density": 0.7}])
@pytest.mark.slow
def test_a_path_that_ends_within_the_limit_is_told(tmp_path: Path, how: dict[str, float]) -> None:
    prune = PruneSettings(**how)  # type: ignore[arg-type]
    study = run_study(settings(prune), tmp_path)
    last = float(study["weights_kept"].isel(level=-1)[0, 0])
    assert last > 1
    assert study["smallest_weights"].values.tolist() == [[last, last]]
    assert study["smallest_censored"].values.tolist() == [[1, 1]]
    assert table_numbers("study", study)["smallest"]["h=1"]["censored"] == 2
    assert WARNING in table_text("study", study)


@pytest.mark.slow
def test_the_command_tells_it_too(tmp_path: Path) -> None:
    changed = {"fields": 1, "prune.levels": 1, "until.measure": "kl", "until.limit": 50}
    outcome = tiny.call("study", *tiny.options(changed), "-o", tmp_path / "run", "--json")
    assert outcome.status == 0, outcome.err
    found = json.loads(outcome.out)["smallest"]["h=1"]
    assert found["censored"] == len(found["weights"])
