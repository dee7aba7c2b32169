"""The search of `study --until` goes to its end, and tells where its path ended before."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import psiprune as pp
import tiny
from psiprune.experiments.path_settings import UntilSettings
from psiprune.experiments.settings import StudySettings
from psiprune.experiments.study import run_study
from psiprune.experiments.tables import table_numbers, table_text
from psiprune.metrics import against_state
from psiprune.metrics.against_state import exact_metrics
from psiprune.metrics.reference import reference_of
from psiprune.metrics.state_report import Report
from psiprune.pruning.settings import PruneSettings
from refusals import check_refusal, refuses

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
    # Down to the product model, which has no weights.
    assert study["smallest_weights"].values.tolist() == [[0, 0]]
    assert study["smallest_censored"].values.tolist() == [[0, 0]]
    assert table_numbers("study", study)["smallest"]["h=1"]["censored"] == 0
    assert "warning" not in table_text("study", study)
    for seed in (0, 1):
        kept = pp.load_rbm(tmp_path / f"h=1/seed-{seed}/smallest/smallest.nc")
        assert kept.number_of_weights == 0


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
    outcome = tiny.call("study", *tiny.options(**changed), "-o", tmp_path / "run", "--json")
    assert outcome.status == 0, outcome.err
    found = json.loads(outcome.out)["smallest"]["h=1"]
    assert found["censored"] == len(found["weights"])


searched = partial(
    tiny.settings,
    fields=(1.0,),
    seeds=2,
    train=pp.ExactNaturalGradient(epochs=20),
    fine_tune=pp.ExactNaturalGradient.for_fine_tuning(epochs=3),
    prune=PruneSettings(criterion="surgeon", fraction=0.3, levels=5),
    until=UntilSettings(measure="kl", limit=0.03),
)
"""Exact training, two seeds at the critical point, and a search after the path."""


@pytest.mark.slow
def test_until_it_hurts(tmp_path: Path) -> None:
    plain = run_study(searched(until=None), tmp_path / "plain")
    # Twice what the dense RBMs have, which pruning reaches before its end.
    limit = 2 * float(plain["kl_exact"].sel(level=0).max())
    settings = searched(until=UntilSettings(measure="kl", limit=limit))
    study = run_study(settings, tmp_path / "run")
    assert tiny.raw(study[list(plain.variables)]) == tiny.raw(plain)
    folder = tmp_path / "run/h=1"
    reference = reference_of(pp.load_mps(folder / "state.nc"))
    shots = pp.read_shots(folder / "shots.nc")
    for seed in (0, 1):
        expected = pp.find_smallest(
            pp.load_rbm(folder / f"seed-{seed}/level-00.nc"),
            shots,
            measure=lambda rbm: exact_metrics(rbm, reference).kl,
            limit=limit,
            settings=settings.prune,
            fine_tune=settings.fine_tune,
            seed=seed,
        )
        here = study.sel(field=1.0, seed=seed)
        assert 1 < expected.rbm.number_of_weights < 12
        assert int(here["smallest_weights"]) == expected.rbm.number_of_weights
        assert float(here["smallest_value"]) == pytest.approx(expected.value)
        kept = pp.load_rbm(folder / f"seed-{seed}/smallest/smallest.nc")
        np.testing.assert_array_equal(kept.weights, expected.rbm.weights)
    assert study["smallest_limit"].values.tolist() == [limit]
    assert (study["smallest_value_error"] == 0).all()
    assert study["smallest_value"].attrs["units"] == "nat"
    counts = study["smallest_weights"].values[0]
    found = table_numbers("study", study)["smallest"]["h=1"]
    assert (found["weights"], found["median"]) == (counts.tolist(), np.median(counts))
    line = f"smallest RBM with kl <= {limit:.3g}: median {np.median(counts):g} of 12 weights "
    assert line + f"({counts.min():g} to {counts.max():g}; seeds: 2)" in table_text("study", study)
    # Taken up again, the same.
    for name in ("smallest/level-01.nc", "smallest/smallest.nc", "level-05.nc"):
        (folder / "seed-1" / name).unlink()
    assert tiny.raw(run_study(settings, tmp_path / "run")) == tiny.raw(study)


@pytest.mark.slow
def test_the_limit_is_that_of_the_dense_rbms(tmp_path: Path) -> None:
    settings = searched(until=UntilSettings(measure="kl", bisect=False))
    study = run_study(settings, tmp_path)
    dense = study["kl_exact"].sel(field=1.0, level=0)
    assert float(study["smallest_limit"][0]) == pytest.approx(float(dense.max()))
    levels = study["weights_kept"].sel(field=1.0)
    for seed in (0, 1):
        found = float(study["smallest_weights"].sel(field=1.0, seed=seed))
        assert found in levels.sel(seed=seed).values
    assert not list(tmp_path.rglob("trial-*.nc"))


@pytest.mark.slow
def test_a_seed_beyond_the_limit_while_dense(tmp_path: Path) -> None:
    both = run_study(searched(until=None), tmp_path / "plain")["kl_exact"].sel(field=1.0, level=0)
    between = float(both.mean())
    one = run_study(searched(until=UntilSettings(measure="kl", limit=between)), tmp_path / "one")
    within = both.values < between
    assert np.isfinite(one["smallest_weights"].values[0]).tolist() == within.tolist()
    text = " ".join(table_text("study", one).split())
    assert "; seeds: 1)" in text
    assert "for 1 of 2 seeds" in text
    assert table_numbers("study", one)["smallest"]["h=1"]["weights"][int(np.argmin(within))] is None
    settings = searched(until=UntilSettings(measure="kl", limit=0.0), prune=PruneSettings(levels=1))
    none = run_study(settings, tmp_path / "none")
    assert "kl <= 0: none; " in table_text("study", none)
    assert table_numbers("study", none)["smallest"]["h=1"]["median"] is None


# ---- an RBM that is beyond the limit


def test_a_limit_that_the_rbm_is_beyond_leaves_no_folder(
    stages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = []
    evaluate = against_state.evaluate

    def counted(*arguments: Any, **options: Any) -> Report:
        measured.append(arguments)
        return evaluate(*arguments, **options)

    monkeypatch.setattr("psiprune.metrics.selectors.evaluate", counted)
    out = tmp_path / "out"
    command = (
        *("prune", stages / "rbm.nc", stages / "shots.nc", "--out", out, "--no-fine-tune"),
        *("--until", "kl", "--state", stages / "state.nc", "--fraction", 0.9, "--no-bisect"),
    )
    line = tiny.refusal(tiny.call(*command, "--limit", 1e-9))
    check_refusal(line, "--limit", 1e-9)
    assert not out.exists()
    measured.clear()
    assert tiny.call(*command, "--limit", 1e9).status == 0
    levels = len([*out.glob("level-*.nc")])
    assert len(measured) == levels + 1  # each level once, and the smallest again with its error
    measured.clear()
    assert tiny.call(*command, "--limit", 1e9).status == 0
    assert len(measured) == 1


@pytest.mark.slow
def test_a_measure_that_the_state_cannot_have_is_refused_before_training(tmp_path: Path) -> None:
    """All configurations of an XXZ chain have m = 0."""
    until = UntilSettings(measure="abs_magnetization_roe")
    chosen = tiny.settings(model=pp.XXZ(sites=4), fields=(0.5,), shots=50, until=until)
    with refuses("until", "abs_magnetization_roe", "undefined"):
        run_study(chosen, tmp_path, progress=False)
    assert not list(tmp_path.rglob("level-*.nc"))
