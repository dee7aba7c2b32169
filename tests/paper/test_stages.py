"""All experiments of the paper at a size for tests: stages, what is read off them, taking up."""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from numpy.typing import ArrayLike

import invented
import tiny
from psiprune.core.exceptions import InputError
from psiprune.data.read_shots import read_shots
from psiprune.data.symmetry import partner_ratios
from psiprune.io.netcdf import read_dataset
from psiprune.metrics.correlation_decay import compare_decays
from psiprune.paper.api import DRAWINGS
from psiprune.paper.derived import decay_of, ranks_of, with_exact_correlations
from psiprune.paper.settings import PaperSettings
from psiprune.paper.stages import DERIVED, PARTS, Clock, read_times, stages_of
from refusals import refused


def datasets(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*.nc")}


def test_every_stage_and_every_derived_dataset_is_there(paper_run: Path) -> None:
    settings = tiny.paper_settings()
    names = {stage.name for stage in stages_of(settings)}
    assert names == {
        *("study", "graph", "sparse", "ablation", "frontier"),
        *("schedule-0.8", "robust-cd-1", "size-4"),
    }
    for stage in stages_of(settings):
        assert (paper_run / stage.name / stage.file).exists()
        made = list((paper_run / stage.name).glob("h=*/seed-*/*.nc"))
        assert len(made) == stage.pieces, stage.name
    assert {file.stem for file in (paper_run / "derived").iterdir()} == {*DERIVED}
    times = read_times(paper_run / "times.json")
    assert set(times) == names
    assert all(seconds >= 0 for seconds in times.values())
    paper = tiny.paper(paper_run)
    assert read_times(paper_run / "times.json") == times
    assert set(paper.datasets) == names | {*DERIVED}
    assert paper.timing is not None


def test_times_are_measured_once_and_for_every_level(paper_run: Path) -> None:
    before = (paper_run / "timing.json").read_bytes()
    timing = tiny.paper(paper_run, ["timing"]).timing
    assert timing is not None
    assert (paper_run / "timing.json").read_bytes() == before
    assert [row["weights"] for row in timing["rows"]] == [18, 16, 15]
    assert all(row["cd_update"] > 0 and row["gibbs_step"] > 0 for row in timing["rows"])


def test_a_part_needs_its_stages_alone(tmp_path: Path) -> None:
    paper = tiny.paper(tmp_path / "run", ["symmetry"])
    assert set(paper.datasets) == {"study", "symmetry"}
    assert paper.timing is None
    assert not (tmp_path / "run" / "sparse").exists()
    refused(r"parts: must be among graph, .*, found 'fig9'", tiny.paper, tmp_path / "run", ["fig9"])


def test_parts_name_stages_and_figures_name_parts_that_exist() -> None:
    families = {stage.family for stage in stages_of(tiny.paper_settings())}
    assert {name for needs in PARTS.values() for name in needs} == families
    assert {part for drawing in DRAWINGS.values() for part in drawing.parts} <= set(PARTS)
    assert {"fig1", "fig2", "fig3", "fig4", "fig5", "fig6"} < set(DRAWINGS)


def test_derived_datasets_say_what_the_stages_do(paper_run: Path) -> None:
    study = read_dataset(paper_run / "study" / "study.nc")
    symmetry = read_dataset(paper_run / "derived" / "symmetry.nc")
    bits = read_shots(paper_run / "study" / "h=1" / "shots.nc").bits
    wanted = partner_ratios(bits, [10])["ratio"].isel(most=0)
    np.testing.assert_array_equal(symmetry["ratio"].sel(field=1, most=10), wanted)
    models = read_dataset(paper_run / "derived" / "models.nc")
    level = read_dataset(paper_run / "study" / "h=1" / "seed-0" / "level-02.nc")
    np.testing.assert_array_equal(models["weights"].sel(field=1, level=2), level["weights"])
    np.testing.assert_array_equal(
        models["weights_kept"].sel(field=1), study["weights_kept"].sel(field=1, seed=0)
    )
    graph = read_dataset(paper_run / "derived" / "graph.nc")
    assert graph.sizes == {"level": 3, "hidden": 2, "visible": 5}
    ranks = read_dataset(paper_run / "derived" / "ranks.nc")
    assert ranks.sizes == {"field": 1, "seed": 2, "part": 2, "measure": 4}
    assert np.nanmax(np.abs(ranks["rank_correlation"])) <= 1 + 1e-12


def a_study(sites: int, levels: int, seed: int) -> xr.Dataset:
    """Decays of many lengths, without noise, and measures that follow KL or oppose it."""
    rng = np.random.default_rng(seed)
    d = np.arange(sites // 2 + 1)
    length = rng.uniform(1, 5, (2, 3, levels, 1))
    kl, history = rng.uniform(0.1, 1, (2, 3, levels)), rng.uniform(0.1, 1, (2, 3, 5))
    variables: dict[str, ArrayLike] = {
        **{"correlation": np.exp(-d / length), "correlation_error": 0.0},
        **{"correlation_reference": 1 / np.maximum(d, 1), "history_kl": history},
        **{"fraction_pruned": 0.1 * np.arange(levels), "kl": kl},
    }
    follow = {"infidelity": 1, "energy_bias": -1, "abs_magnetization_bias": 1, "correlation_mse": 0}
    for name, sign in follow.items():
        variables |= {name: sign * kl**2, f"history_{name}": -history}
    axes = {"field": [1.0, 2.0], "seed": range(3), "level": range(levels), "epoch": range(0, 9, 2)}
    return invented.study_of(variables, sites, **axes)


def test_decays_of_several_sizes_stand_side_by_side() -> None:
    small, large = a_study(16, 3, 0), a_study(24, 4, 1)
    found = decay_of([small, large])
    assert dict(found.sizes) == {"size": 2, "field": 2, "seed": 3, "level": 4}
    own = large["correlation"].sel(field=2, seed=1, level=3).values
    fit = compare_decays(own, 0.0, 6)
    entry = found.sel(size=24, field=2, seed=1, level=3)
    assert float(entry["inverse_length"]) == pytest.approx(fit.inverse_length)
    assert float(entry["delta_aic"]) == pytest.approx(fit.delta_aic)
    np.testing.assert_allclose(found["exponent_reference"], 1)
    assert np.isnan(found["delta_aic"].sel(size=16, level=3)).all()
    assert float(found["fraction_pruned"].sel(size=24, level=3)) == pytest.approx(0.3)


def test_ranks_are_one_where_a_measure_follows_kl() -> None:
    ranks = ranks_of(a_study(16, 6, 0))["rank_correlation"]
    np.testing.assert_allclose(ranks.sel(part="training"), -1)
    for name, value in (("infidelity", 1), ("energy_bias", -1), ("abs_magnetization_bias", 1)):
        np.testing.assert_allclose(ranks.sel(part="pruning", measure=name), value)
    assert np.isnan(ranks.sel(part="pruning", measure="correlation_mse")).all()


def test_the_clock_learns_from_what_has_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = stages_of(PaperSettings())
    done = stages[0]
    (tmp_path / done.name).mkdir()
    (tmp_path / done.name / done.file).touch()  # says nothing of this machine
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    clock = Clock(tmp_path, stages)
    first, second = stages[1], stages[2]
    total = sum(stage.seconds for stage in stages[1:])
    assert clock.words(first) == f"graph: about 1 min, {round(total / 60) / 60:.1f} h to the end"
    with clock.running(first):
        now[0] += 2 * first.seconds  # twice as long as thought, so the rest will be too
    own, rest = 2 * second.seconds, 2 * (total - first.seconds)
    words = f"sparse: about {own / 60:.0f} min, {round(rest / 60) / 60:.1f} h to the end"
    assert clock.words(second) == words


def test_of_a_stage_that_was_begun_before_only_the_rest_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    study, _, sparse, *_ = stages_of(PaperSettings())
    assert study.pieces == 2 * 10 * (21 + 1)
    folder = tmp_path / "study" / "h=1" / "seed-0"
    folder.mkdir(parents=True)
    for k in range(3 * study.pieces // 4):
        (folder / f"{k}.nc").touch()
    (folder / ".x.nc.1.draft").touch()
    clock = Clock(tmp_path, [study, sparse])
    quarter = study.seconds / 4
    assert clock.words(study).startswith(f"study: about {round(quarter / 60)} min, ")
    with clock.running(study):
        now[0] += quarter  # as thought, so the rest takes what it was thought to take
    assert clock.words(sparse).startswith(f"sparse: about {round(sparse.seconds / 60)} min, ")


def test_exact_correlations_take_the_place_of_sampled_ones(paper_run: Path) -> None:
    study = read_dataset(paper_run / "study" / "study.nc")
    found = with_exact_correlations(study, paper_run / "study")
    c = found["correlation_exact"]
    # C_MSE by sums over all states is the mean square of exactly these differences.
    mse = ((c - study["correlation_reference"]) ** 2).mean("distance")
    np.testing.assert_allclose(mse, study["correlation_mse_exact"], rtol=1e-9)
    decay = read_dataset(paper_run / "derived" / "decay.nc")
    assert decay["sampled"].values.tolist() == [0, 0]
    large = study.assign_attrs(sites=21)
    assert with_exact_correlations(large, paper_run) is large


@pytest.mark.slow
def test_killed_in_any_stage_it_ends_with_the_same_bytes(paper_run: Path, tmp_path: Path) -> None:
    """A process a time, each killed while another stage is being made, until all have been hit."""
    folder = tmp_path / "run"
    hit = []
    for stage in stages_of(tiny.paper_settings()):
        running = tiny.start("paper", "--out", folder, *tiny.paper_options())
        tiny.wait_for(running, (folder / stage.name / "config.toml").exists)
        time.sleep(random.uniform(0.0, 0.3))
        hit.append(running.poll() is None and not (folder / stage.name / stage.file).exists())
        running.kill()
        running.communicate()
    assert sum(hit) > len(hit) / 2  # a stage may be done before it is hit
    tiny.paper(folder)
    ours, whole = datasets(folder), datasets(paper_run)
    assert ours == whole


def test_a_damaged_stage_is_named(paper_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(paper_run, folder)
    (folder / "sparse" / "sparse.nc").unlink()  # not finished after all
    file = folder / "sparse" / "h=1" / "seed-0" / "sc.nc"
    file.write_bytes(file.read_bytes()[:-40])
    refused(r"sc\.nc", tiny.paper, folder)
    (folder / "timing.json").write_text("{")
    with pytest.raises(InputError, match=r"timing\.json: cannot be read: .*; delete it to measure"):
        tiny.paper(folder, ["timing"])
