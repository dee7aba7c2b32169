"""Error against number of weights, end to end and small: what each variant is, figure and table."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import psiprune as pp
import tiny
from invented import frontier_of
from psiprune.experiments import frontier_methods, trainer
from psiprune.experiments.figures.frontier import plot_frontier
from psiprune.experiments.frontier_methods import counts_from
from psiprune.experiments.tables import table_numbers, table_text
from psiprune.inspect.contents import contents_of, read_config
from psiprune.io.netcdf import read_dataset
from psiprune.metrics.against_state import exact_metrics
from psiprune.metrics.reference import reference_of
from psiprune.pruning.iterative import fine_tuned, prune_to_count
from psiprune.pruning.settings import PruneSettings, RewireSettings
from psiprune.rbm.init import initial_rbm
from psiprune.training.method import Method
from refusals import refuses
from undefined import check_figure

TUNED = ("magnitude-cd", "magnitude", "magnitude-by-unit", "damage", "surgeon", "random")
ALONE = ("magnitude-alone", "magnitude-compensated-alone", "damage-alone", "surgeon-alone")
MASKED = ("cluster", "scale-free")
COMMON = (*TUNED, *ALONE, *MASKED)
IN_THE_TABLE = ("magnitude-by-unit", "damage-alone")  # not in the figure
COSTLY = ("cluster-rewired", "random-rewired", "surgeon-1", "surgeon-4")


def settings() -> pp.FrontierSettings:
    """4 sites, 2 hidden units, counts 8, 7, 6, 5, 4; rewired at 6."""
    return tiny.frontier_settings(
        shots=300,
        seeds=2,
        levels=6,
        rewired=(2,),
        widths=(1, 4),
        bonds=(1, 2),
        train=pp.ExactNaturalGradient(epochs=5),
        fine_tune=pp.ExactNaturalGradient.for_fine_tuning(epochs=2),
        paper_train=pp.CD(epochs=3),
        paper_fine_tune=pp.CD.for_fine_tuning(epochs=2),
        rewire=RewireSettings(rounds=2),
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frontier") / "run"
    pp.run_frontier(settings(), folder)
    return folder


@pytest.fixture(scope="module")
def frontier(run: Path) -> xr.Dataset:
    return read_dataset(run / "frontier.nc", "frontier")


def test_a_run_holds_what_it_should(run: Path) -> None:
    """As `psiprune info` tells it: all files, the costly variants of the first seed among them."""
    contents = contents_of(run, read_config(run))
    assert contents is not None
    written = {file for file in tiny.names(run) if file.endswith(".nc")}
    assert {str(file) for file in contents.files} == written


def kept(run: Path, variant: str, count: int, seed: int = 0) -> pp.RBM:
    path = read_dataset(run / f"h=1/seed-{seed}/{variant}.nc", "frontier-path").sel(count=count)
    return pp.RBM(
        path["weights"].values,
        path["visible_bias"].values,
        path["hidden_bias"].values,
        path["mask"].values.astype(bool),
    )


def test_counts_meet_those_of_other_widths() -> None:
    whole = pp.FrontierSettings()
    own = counts_from(whole, 9)
    assert own[:6] == [162, 146, 131, 118, 106, 96]
    assert [own[level] for level in whole.rewired] == [63, 41, 33]
    assert own[-1] == 18
    assert whole.other_widths == (1, 3, 6, 10, 11, 12, 18, 36)
    for width in whole.other_widths:
        counts = counts_from(whole, width)
        assert counts[0] == 18 * width
        assert counts == sorted(set(counts), reverse=True)
        assert {count for count in counts[1:] if count <= 146} <= set(own)
        if width > 9:
            assert {146, 96, 77, 63, 41, 33} <= set(counts)


def test_the_dataset_is_labelled(frontier: xr.Dataset) -> None:
    assert frontier["variant"].values.tolist() == [*COMMON, *COSTLY]
    assert frontier["count"].values.tolist() == [16, 13, 10, 8, 7, 6, 5, 4]
    assert frontier["kl"].dims == ("field", "seed", "variant", "count")
    there = frontier["kl"].isel(field=0).notnull()
    for variant in (*TUNED, *ALONE):
        counts = there.sel(variant=variant).all("seed")
        assert frontier["count"].values[counts].tolist() == [8, 7, 6, 5, 4]
    known = {name: there.sel(variant=name) for name in (*COSTLY, *MASKED)}
    assert known["cluster"].sum("count").values.tolist() == [3, 3]  # 8, 7 and 6
    assert known["scale-free"].sum("count").values.tolist() == [4, 4]  # and 5, which connect 6
    for name, number in zip(COSTLY, (1, 1, 1, 7), strict=True):
        assert known[name].sum("count").values.tolist() == [number, 0]


def test_measures_are_those_of_the_kept_rbms(run: Path, frontier: xr.Dataset) -> None:
    reference = reference_of(pp.load_mps(run / "h=1/state.nc"))
    m = reference.observables.abs_magnetization
    error = float(m.deviation) / np.sqrt(100_000) / float(m.value)
    for variant, count in (("surgeon", 6), ("cluster", 7), ("surgeon-4", 13), ("damage", 8)):
        rbm = kept(run, variant, count)
        here = frontier.sel(field=1.0, seed=0, variant=variant, count=count)
        found = exact_metrics(rbm, reference)
        assert rbm.number_of_weights == count
        assert float(here["parameters"]) == rbm.number_of_parameters
        assert float(here["kl"]) == pytest.approx(found.kl, rel=1e-9)
        bias = found.abs_magnetization_bias
        assert float(here["abs_magnetization_bias"]) == pytest.approx(bias, rel=1e-6)
        roe = float(here["abs_magnetization_roe"])
        assert roe == pytest.approx(bias + 2.576 * error, rel=1e-6)


def test_variants_are_what_they_are_called(run: Path) -> None:
    chosen, shots = settings(), pp.read_shots(run / "h=1/shots.nc")
    dense = pp.load_rbm(run / "h=1/seed-1/dense.nc")
    start = initial_rbm(4, 2, seed=1)
    again = pp.train(shots, start=start, seed=1, method=chosen.train)
    np.testing.assert_array_equal(dense.weights, again.weights)
    pruned_by: tuple[tuple[str, dict[str, Any], Method | None], ...] = (
        ("surgeon", {"criterion": "surgeon"}, chosen.fine_tune),
        ("magnitude-by-unit", {"criterion": "magnitude-by-unit"}, chosen.fine_tune),
        ("surgeon-alone", {"criterion": "surgeon"}, None),
        ("damage-alone", {"criterion": "damage"}, None),
        ("magnitude-compensated-alone", {"compensate": True}, None),
    )
    for variant, how, tuning in pruned_by:
        np.testing.assert_array_equal(kept(run, variant, 8, 1).weights, dense.weights)
        pruned = prune_to_count(dense, 7, PruneSettings(**how), 1, 1)
        tuned = fine_tuned(pruned, shots, tuning, 1, 1)
        own = kept(run, variant, 7, 1)
        np.testing.assert_array_equal(own.weights, tuned.weights)
        np.testing.assert_array_equal(own.visible_bias, tuned.visible_bias)
    mask = pp.scale_free_mask(4, 2, weights=5)
    free = pp.train(shots, start=initial_rbm(4, 2, 0, mask), seed=0, method=chosen.train)
    np.testing.assert_array_equal(kept(run, "scale-free", 5).weights, free.weights)
    clustered = pp.train(
        shots, start=initial_rbm(4, 2, 0, pp.cluster_mask(2, 4, 6)), seed=0, method=chosen.train
    )
    np.testing.assert_array_equal(kept(run, "cluster", 6).weights, clustered.weights)
    moved = pp.rewire(
        clustered, shots, rounds=2, fine_tune=pp.ExactNaturalGradient.for_fine_tuning(epochs=2)
    )[-1].rbm
    np.testing.assert_array_equal(kept(run, "cluster-rewired", 6).weights, moved.weights)
    assert kept(run, "surgeon-4", 16).hidden == 4


def test_mps_are_cut_from_the_exact_state(run: Path, frontier: xr.Dataset) -> None:
    state = pp.load_mps(run / "h=1/state.nc")
    vector = state.to_vector()
    q = vector**2
    for bond in (1, 2):
        cut = pp.mps_from_vector(vector, max_bond=bond)
        p = cut.to_vector() ** 2
        here = frontier.sel(field=1.0, bond=bond)
        assert float(here["mps_kl"]) == pytest.approx(float(q @ np.log(q / p)), rel=1e-6)
        bias = abs(cut.abs_magnetization() / state.abs_magnetization() - 1)
        assert float(here["mps_abs_magnetization_bias"]) == pytest.approx(bias, rel=1e-6)
    # 2 (1 + 1 + 1 + 1) - 3, and 2 (2 + 4 + 4 + 2) - 3 * 4.
    assert frontier["mps_parameters"].values.tolist() == [[5, 12]]


def test_a_lost_file_is_made_again(run: Path, frontier: xr.Dataset, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "run"))
    for name in ("h=1/seed-0/random-rewired.nc", "h=1/seed-1/dense.nc", "frontier.nc"):
        (copy / name).unlink()
    assert tiny.raw(pp.run_frontier(settings(), copy)) == tiny.raw(frontier)
    damaged = copy / "h=1/seed-0/cluster.nc"
    damaged.write_bytes(damaged.read_bytes()[:-40])
    with refuses(damaged, "damaged", "move it away"):
        pp.run_frontier(settings(), copy)


def panels(figure: Figure) -> list[Axes]:
    return [ax for ax in figure.get_axes() if ax.get_label() != "<legend>"]


def test_the_figure_shows_medians(frontier: xr.Dataset) -> None:
    axes = panels(plot_frontier(frontier))
    assert [ax.get_ylabel() for ax in axes] == [*["KL (nat)"] * (len(axes) - 1), "bias of ⟨|m|⟩"]
    for ax, name in ((axes[0], "kl"), (axes[-1], "abs_magnetization_bias")):
        assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
        lines = {str(line.get_label()): np.asarray(line.get_xydata()) for line in ax.lines}
        here = frontier[name].sel(field=1.0, variant="surgeon").median("seed").dropna("count")
        np.testing.assert_array_equal(lines["surgeon"], np.column_stack([here["count"], here]))
        mps = np.column_stack([[5, 12], frontier[f"mps_{name}"].sel(field=1.0)])
        np.testing.assert_array_equal(lines["MPS, D = 1, 2"], mps)
    for ax in axes:
        named = [line for line in ax.lines if not str(line.get_label()).startswith("_")]
        looks = {(line.get_color(), line.get_linestyle(), line.get_marker()) for line in named}
        assert len(looks) == len(named)
        references = ("floor", "mROE", "weights: a tree")
        methods = [str(line.get_label()) for line in named]
        assert len([name for name in methods if not any(r in name for r in references)]) <= 6
    shown = {str(line.get_label()) for ax in axes for line in ax.lines}
    assert {"random (control)", "scale-free mask", "magnitude, biases corrected"} <= shown


def test_without_a_bias_the_figure_has_kl_only(frontier: xr.Dataset) -> None:
    check_figure(plot_frontier, frontier)


def test_at_most_four_widths_are_drawn(frontier: xr.Dataset) -> None:
    widths = pp.FrontierSettings().other_widths
    wide = frontier.sel(variant=[*COMMON, *["surgeon"] * len(widths)])
    wide = wide.assign_coords(variant=[*COMMON, *(f"surgeon-{w}" for w in widths)])
    ax = panels(plot_frontier(wide))[-2]
    lines = {str(line.get_label()): line for line in ax.lines}
    titles = [f"surgeon, {w} hidden unit{'s' if w > 1 else ''}" for w in widths]
    own = [lines[title] for title in titles if title in lines]
    assert len(own) == min(4, len(widths))
    assert {titles[0], titles[-1]} <= set(lines)
    assert len({line.get_color() for line in own}) == len(own)


def test_the_limit_is_drawn_on_the_scale_of_the_bias(frontier: xr.Dataset) -> None:
    loose = frontier.assign_attrs(limit=0.5)
    draws = (frontier["abs_magnetization_roe"] - frontier["abs_magnetization_bias"]).median()
    lines = {str(line.get_label()): line for line in panels(plot_frontier(loose))[-1].lines}
    (limit,) = (line for title, line in lines.items() if title == "mROE = 0.5")
    np.testing.assert_allclose(np.asarray(limit.get_ydata()), 0.5 - float(draws))
    # Where the draws alone exceed the limit there is nothing to draw.
    tight = plot_frontier(frontier.assign_attrs(limit=1e-9))
    assert not [line for line in panels(tight)[-1].lines if "mROE" in str(line.get_label())]


def test_the_axis_of_kl_holds_every_mps_beside_the_counts(frontier: xr.Dataset) -> None:
    better = frontier.assign(mps_kl=frontier["mps_kl"] * 1e-6)
    low, high = plot_frontier(better).get_axes()[0].get_ylim()
    inside = better["mps_kl"].where(better["mps_parameters"] <= 1.1 * better["count"].max())
    assert low < float(inside.min()) < float(inside.max()) < high


def test_the_table_finds_the_smallest() -> None:
    kl = np.array([[0.1, 0.15, 0.3, 0.15, 0.9], [0.2, 0.3, 0.4, np.nan, 0.1]])
    roe = np.array([[0.001, 0.03, 0.01, 0.03, 0.01], [0.03, 0.05, 0.05, np.nan, 0.05]])
    data = {
        **{"kl": kl, "abs_magnetization_bias": roe, "abs_magnetization_roe": roe},
        **{"mps_parameters": 12, "mps_kl": 0.01},
        **{"mps_abs_magnetization_bias": 0.1, "mps_abs_magnetization_roe": 0.2},
    }
    made = frontier_of(data, 4, 2, [1.0], [0], ["surgeon", "random"], [8, 6, 5, 4, 2])
    found = table_numbers("frontier", made)["frontier"]["h=1"]
    assert (found["dense_kl"], found["half"]) == (0.1, 4)
    own = found["methods"]["surgeon"]
    assert own["half_ratio"] == pytest.approx(1.5)
    assert [own[key]["count"] for key in ("within_kl", "within_roe", "within_both")] == [4, 2, 8]
    assert own["within_roe"]["kl"] == 0.9
    other = found["methods"]["random"]
    assert other["within_both"] is None
    assert np.isnan(other["half_kl"])
    assert found["best"]["within_kl"]["count"] == 2
    assert found["best"]["within_kl"]["method"] == "random"
    words = table_text("frontier", made)
    assert "mROE < 2%: 2 (KL 0.9, 1.0%) by surgeon" in words
    assert "KL <= 2 dense: 8 (KL 0.1, 0.1%) by surgeon" in words


def test_the_command_reads_its_own_configuration(run: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    again = ("frontier", "--config", folder / "config.toml", "--out", folder)
    found = json.loads(tiny.call(*again, "--json").out)
    assert found["folder"] == str(folder)
    assert found["frontier"]["h=1"]["half"] == 4
    assert (folder / "figure.png").exists()
    assert (folder / "frontier.nc").read_bytes() == (run / "frontier.nc").read_bytes()


# ---- a frontier that is killed loses one training


def brief_settings() -> pp.FrontierSettings:
    return tiny.frontier_settings(
        levels=3,
        rewired=(2,),
        widths=(3,),
        fine_tune=pp.ExactNaturalGradient.for_fine_tuning(epochs=2),
        rewire=RewireSettings(rounds=3),
    )


class Killed(BaseException):
    """Stands for a signal that leaves no time to write anything."""


@pytest.mark.slow
def test_a_start_goes_on_from_the_last_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unbroken = pp.run_frontier(brief_settings(), tmp_path / "unbroken")
    run = tmp_path / "run"
    made: list[tuple[Any, ...]] = []
    starts, done = 0, False

    def counted(module: Any, name: str) -> None:
        plain = getattr(module, name)

        def once_a_start(*arguments: Any, **others: Any) -> Any:
            if made and made[-1][0] == starts:
                raise Killed
            made.append((starts, name))
            return plain(*arguments, **others)

        monkeypatch.setattr(module, name, once_a_start)

    # One training a start: each round of rewiring, and each count of a path.
    counted(trainer, "fine_tuned")
    counted(trainer, "train")
    counted(frontier_methods, "rewire_step")
    monkeypatch.setattr("psiprune.core.threads.cores", lambda: 1)
    while not done:
        starts += 1
        assert starts < 200
        try:
            again = pp.run_frontier(brief_settings(), run)
            done = True
        except Killed:
            assert made[-1][0] == starts, "a start has made nothing"
    assert starts > 30
    assert tiny.raw(again) == tiny.raw(unbroken)
    assert tiny.names(run) == tiny.names(tmp_path / "unbroken")


@pytest.mark.slow
def test_a_folder_that_outlived_its_file_goes(tmp_path: Path) -> None:
    pp.run_frontier(brief_settings(), tmp_path)
    before = tiny.names(tmp_path)
    left = tmp_path / "h=1/seed-0/surgeon"
    left.mkdir()
    (left / "7.nc").write_bytes(b"half")
    pp.run_frontier(brief_settings(), tmp_path)
    assert not left.exists()
    assert tiny.names(tmp_path) == before
