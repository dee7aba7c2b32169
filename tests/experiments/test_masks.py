"""Masks made before training, end to end and small: what each RBM is, resuming, figures, table."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import psiprune as pp
import tiny
from psiprune.experiments import trainer
from psiprune.experiments.figures.masks import (
    plot_budget,
    plot_correlations,
    plot_links,
    plot_masks,
    plot_scaling,
)
from psiprune.experiments.figures.masks_by_shots import plot_shots
from psiprune.experiments.figures.masks_by_size import plot_learnability, plot_needed
from psiprune.experiments.figures.masks_by_time import plot_times
from psiprune.experiments.links import links_by_length
from psiprune.experiments.mask_kinds import constructed_mask
from psiprune.experiments.masks_rbms import REWIRING, Family, pruning_counts
from psiprune.experiments.needed import Criterion, growth, needed, needed_by_size
from psiprune.experiments.problem import Problem
from psiprune.experiments.recording import final_measures
from psiprune.experiments.stopwatch import FILE, Stopwatch
from psiprune.experiments.tables import table_numbers, table_text
from psiprune.experiments.truncated import truncated_states
from psiprune.inspect.contents import contents_of, read_config
from psiprune.io.netcdf import read_dataset
from psiprune.metrics.against_state import exact_metrics
from psiprune.metrics.observables import exact_observables
from psiprune.metrics.reference import Reference, reference_of
from psiprune.pruning.before_training import PretrainingCriterion
from psiprune.pruning.iterative import Level, fine_tuned, prune_to_count
from psiprune.pruning.rewire import rewire_step
from psiprune.rbm.init import local_rbm
from psiprune.states.mps import MPS
from undefined import check_figure

CONSTRUCTED = ("scale-free", "cluster", "power-law-0", "power-law-1", "power-law-2", "random")
PRUNED = ("magnitude", "surgeon", "scale-free-surgeon")
VARIANTS = ("dense", *CONSTRUCTED, "snip", "grasp", "synflow", *PRUNED)
KINDS = ("scale-free", "cluster", "rewired", "surgeon", "scale-free-surgeon")
PRUNED_LABELS = ("dense, pruned by surgeon", "scale-free, pruned by surgeon")


def settings(**changes: Any) -> pp.MasksSettings:
    """4 sites, 2 hidden units; 8, 6 and 5 weights, of the cluster mask 6."""
    values = {"seeds": 2, "weights_per_site": (1.25, 1.5), "kinds": KINDS}
    return tiny.masks_settings(**{**values, **changes})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, xr.Dataset]:
    folder = tmp_path_factory.mktemp("masks") / "run"
    return folder, pp.run_masks(settings(), folder)


@pytest.fixture(scope="module")
def run(made: tuple[Path, xr.Dataset]) -> Path:
    return made[0]


@pytest.fixture(scope="module")
def masks(made: tuple[Path, xr.Dataset]) -> xr.Dataset:
    return made[1]


def rbm_of(run: Path, name: str, seed: int = 1) -> pp.RBM:
    return pp.load_rbm(run / f"h=1/seed-{seed}/{name}.nc")


def test_a_run_holds_what_it_should(run: Path) -> None:
    contents = contents_of(run, read_config(run))
    assert contents is not None
    assert contents.command == "masks"
    written = {file for file in tiny.names(run) if file.endswith(".nc")}
    assert {str(file) for file in contents.files} == written


def test_the_dataset_is_labelled(run: Path, masks: xr.Dataset) -> None:
    assert masks["kl"].dims == ("field", "seed", "width", "variant", "count")
    assert masks["variant"].values.tolist() == ["dense", *KINDS]
    assert masks["count"].values.tolist() == [5, 6, 8]
    there = masks["kl"].sel(width=2).notnull().all(("field", "seed"))
    assert there.values.tolist() == [
        [False, False, True],
        [True, True, False],
        [False, True, False],  # three sites for each unit
        [True, True, False],
        [True, True, False],
        [True, False, False],  # from the scale-free RBM of 6 weights
    ]
    units = {name: masks[name].attrs["units"] for name in ("kl", "energy", "processor_seconds")}
    assert units == {"kl": "nat", "energy": "energy", "processor_seconds": "s"}
    assert (masks["processor_seconds"].notnull() == masks["kl"].notnull()).all()
    assert (masks["processor_seconds"].where(masks["kl"].notnull(), 1.0) > 0).all()
    kept = read_dataset(run / "masks.nc", "masks")
    assert tiny.raw(kept) == tiny.raw(masks)
    np.testing.assert_array_equal(kept["processor_seconds"], masks["processor_seconds"])


def test_each_seed_has_its_shots(run: Path) -> None:
    state = pp.load_mps(run / "h=1/state.nc")
    for seed, file in enumerate(("shots.nc", "seed-1/shots.nc")):
        drawn = pp.sample(state, 200, seed=seed).bits
        np.testing.assert_array_equal(pp.read_shots(run / "h=1" / file).bits, drawn)


@pytest.mark.slow
def test_scores_of_the_initial_weights_and_one_set_of_shots(tmp_path: Path) -> None:
    scored: tuple[PretrainingCriterion, ...] = ("snip", "grasp", "synflow")
    pp.run_masks(settings(new_shots=False, kinds=scored, weights_per_site=(1.5,)), tmp_path)
    assert not (tmp_path / "h=1/seed-1/shots.nc").exists()
    shots = pp.read_shots(tmp_path / "h=1/shots.nc")
    for name in scored:
        mask = pp.pretraining_mask(local_rbm(shots, 2, 1), shots, weights=6, criterion=name)
        np.testing.assert_array_equal(rbm_of(tmp_path, f"2-{name}-6").mask, mask)


def test_variants_are_what_they_are_called(run: Path) -> None:
    shots, chosen = pp.read_shots(run / "h=1/seed-1/shots.nc"), settings()
    start = local_rbm(shots, 2, 1)
    dense = pp.train(shots, start=start, method=chosen.dense_train, seed=1)
    np.testing.assert_array_equal(rbm_of(run, "2-dense-8").weights, dense.weights)
    expected = {
        "scale-free": pp.scale_free_mask(4, 2, weights=6),
        "cluster": pp.cluster_mask(2, 4, 6),
    }
    for name, mask in expected.items():
        rbm = pp.train(shots, start=local_rbm(shots, 2, 1, mask), method=chosen.train, seed=1)
        np.testing.assert_array_equal(rbm_of(run, f"2-{name}-6").weights, rbm.weights)
    scale_free = rbm_of(run, "2-scale-free-6")
    mask = constructed_mask("power-law-0", 2, 4, 6, 1)
    level = Level(
        0, pp.train(shots, start=local_rbm(shots, 2, 1, mask), method=chosen.train, seed=1)
    )
    for _ in range(REWIRING.rounds):
        level = rewire_step(level, shots, REWIRING, chosen.fine_tune, 1)
    np.testing.assert_array_equal(rbm_of(run, "2-rewired-6").weights, level.rbm.weights)
    for name, start, counts in (
        ("surgeon", dense, (6, 5)),
        ("scale-free-surgeon", scale_free, (5,)),
    ):
        rbm = start
        for step, count in enumerate(counts, 1):
            rbm = prune_to_count(rbm, count, pp.PruneSettings(criterion="surgeon"), 1, step)
            rbm = fine_tuned(rbm, shots, chosen.fine_tune, 1, step)
            np.testing.assert_array_equal(rbm_of(run, f"2-{name}-{count}").weights, rbm.weights)


def test_masks_by_name() -> None:
    made = {name: constructed_mask(name, 5, 9, 20, 7) for name in CONSTRUCTED}
    same = {
        "scale-free": pp.scale_free_mask(9, 5, weights=20),
        "cluster": pp.cluster_mask(5, 9, 20),
        "random": pp.random_mask(5, 9, 20, 7),
        **{
            f"power-law-{k}": pp.power_law_mask(9, 5, weights=20, exponent=k, seed=7)
            for k in range(3)
        },
    }
    for name, mask in same.items():
        np.testing.assert_array_equal(made[name], mask)


def test_masks_by_name_at_positions() -> None:
    places = pp.lattice_positions("square", 3, 3)
    made = {
        name: constructed_mask(name, 9, 9, 45, 7, places)
        for name in ("scale-free", "nearest", "tails", "power-law-1")
    }
    same = {
        "scale-free": pp.scale_free_mask(9, weights=45, positions=places),
        "nearest": pp.nearest_mask(9, weights=45, seed=7, positions=places),
        "tails": pp.nearest_mask(9, weights=45, far=2, seed=7, positions=places),
        "power-law-1": pp.power_law_mask(9, weights=45, exponent=1, seed=7, positions=places),
    }
    for name, mask in same.items():
        np.testing.assert_array_equal(made[name], mask)


@pytest.mark.slow
def test_masks_of_a_lattice(tmp_path: Path) -> None:
    """Masks follow the positions of the model, and lengths of links are distances."""
    model = pp.TFIM2D(length=2, width=3, field=2.0)
    sizes: dict[str, Any] = {"sites": 6, "fields": (2.0,), "hidden": 6, "weights_per_site": (2.5,)}
    masks = pp.run_masks(settings(model=model, seeds=1, kinds=None, **sizes), tmp_path)
    places, shots = np.array(model.places), pp.read_shots(tmp_path / "h=2/shots.nc")
    expected = {
        "scale-free": pp.scale_free_mask(6, 6, weights=15, positions=places),
        "nearest": pp.nearest_mask(6, weights=15, positions=places),
        "tails": pp.nearest_mask(6, weights=15, far=1, positions=places),
        "correlation": pp.correlation_mask(shots, weights=15),
    }
    assert masks["variant"].values.tolist() == ["dense", *expected]
    assert masks["hamiltonian"].item() == "2 x 3 square lattice, h = 2"
    for name, mask in expected.items():
        rbm = pp.load_rbm(tmp_path / f"h=2/seed-0/6-{name}-15.nc")
        np.testing.assert_array_equal(rbm.mask, mask)
    lengths = masks["links"].sel(variant="dense", count=36).squeeze()
    assert lengths.values[3:].tolist() == [0, 0, 0]  # corners are sqrt(5) apart
    for figure in (plot_budget(masks), plot_links(masks), plot_needed([masks, masks])):
        assert figure.get_axes()


def test_parameters_needed_for_a_divergence() -> None:
    kl = [
        [[np.nan, np.nan, 5e-3], [4e-2, np.nan, 4e-4]],  # of two hidden units: dense, nearest
        [[np.nan, np.nan, 5e-3], [4e-2, 4e-3, 1e-3]],
    ]
    run = xr.Dataset(
        {
            "kl": (("field", "seed", "width", "variant", "count"), [[kl]]),
            "parameters": (("seed", "width", "variant", "count"), [[[[10, 20, 40]] * 2] * 2]),
            "mps_kl": (("field", "bond"), [[4e-2, 4e-4]]),
            "mps_parameters": (("field", "bond"), [[100, 400]]),
        },
        {"field": [1.0], "variant": ["dense", "nearest"], "width": [2, 4], "count": [8, 18, 38]},
        {"coupling": 1.0, "sites": 40},
    )
    found = needed(run, 1.0, Criterion("kl", 1e-4, "parameters"))
    assert np.isnan(found["dense"])
    # In the logarithms 4e-3 is halfway, of two hidden units; four reach it at 20.
    assert found["mps"] == pytest.approx(200)
    assert found["nearest"] == pytest.approx(20)


def grown(sites: int, per: float) -> xr.Dataset:
    """Dense RBMs of 2 and 4 hidden units, and masks: the energy is good enough from 4 units on."""
    counts = [2 * sites, round(per * sites * np.log(sites)), 4 * sites]
    bias = np.full((1, 1, 2, 2, 3), np.nan)
    bias[..., 0, 0, 0], bias[..., 1, 0, 2], bias[..., 1, 1, 1] = 0.004, 0.001, 0.001
    dims = ("field", "seed", "width", "variant", "count")
    return xr.Dataset(
        {
            "energy_bias": (dims, bias),
            "kl": (dims, 1e-4 * sites * bias / 1e-3),
            "weights_kept": (dims, np.where(np.isnan(bias), np.nan, counts)),
        },
        {"field": [1.0], "variant": ["dense", "scale-free"], "width": [2, 4], "count": counts},
        {"coupling": 1.0, "sites": sites},
    )


def test_how_the_weights_needed_grow_with_the_size() -> None:
    runs = [grown(sites, 10.0) for sites in (40, 10, 20)]
    found = needed_by_size([*runs, grown(10, 9.0)], 1.0, Criterion("energy_bias", 2e-3))
    # The error falls fourfold from 2 to 4 units, so it is half as large at the mean logarithm.
    assert found["dense"] == pytest.approx({n: 2 * 2**0.5 * n for n in (10, 20, 40)})
    fit = growth(found["dense"])
    assert (fit.exponent, fit.factor) == pytest.approx((1.0, 8**0.5))
    assert fit.error == pytest.approx(0.0, abs=1e-9)
    assert found["scale-free"][10] == round(90 * np.log(10))  # of two runs the fewest
    quadratic = growth({10: 100.0, 20: 440.0, 40: 1600.0})
    assert quadratic.exponent == pytest.approx(2.0)
    # Residuals of log 1.1 times (-1, 2, -1) / 3, and distances of log 2 from the mean.
    assert quadratic.error == pytest.approx((2 / 3) ** 0.5 * np.log(1.1) / (2**0.5 * np.log(2)))
    assert np.isnan(growth({10: 1.0, 20: 2.0}).error)
    assert needed_by_size(runs, 2.0, Criterion("energy_bias", 2e-3)) == {}
    assert needed_by_size(runs, 1.0, Criterion("kl", 1e-5)) == {}
    axes = plot_learnability(runs).get_axes()
    for ax in axes:
        line = next(line for line in ax.lines if line.get_label() == "dense")
        np.testing.assert_array_equal(line.get_xdata(), [10, 20, 40])
    np.testing.assert_allclose(np.asarray(line.get_ydata()), [*found["dense"].values()])


def test_measures_are_those_of_the_kept_rbms(run: Path, masks: xr.Dataset) -> None:
    reference = reference_of(pp.load_mps(run / "h=1/state.nc"))
    for name, count in (("dense", 8), ("surgeon", 5)):
        rbm = rbm_of(run, f"2-{name}-{count}")
        here = masks.sel(field=1.0, seed=1, width=2, variant=name, count=count)
        found = exact_metrics(rbm, reference)
        for measure in ("kl", "infidelity", "energy_bias", "abs_magnetization_bias"):
            assert float(here[measure]) == getattr(found, measure)
            assert float(here[f"{measure}_error"]) == 0.0
        p = np.exp(rbm.log_prob_all() - rbm.log_partition())
        exact = exact_observables(p, 4, reference.model)
        np.testing.assert_array_equal(here["correlation"], exact.correlation.value)
        assert float(here["energy"]) == float(exact.energy.value)
        assert float(here["parameters"]) == rbm.number_of_parameters == count + 6
        assert float(here["kl_floor"]) == (count + 6) / 400
    assert float(masks["energy_reference"].sel(field=1.0)) == float(
        reference.observables.energy.value
    )
    np.testing.assert_array_equal(
        masks["correlation_reference"].sel(field=1.0), reference.observables.correlation.value
    )


def test_the_masks_shown_are_those_of_the_first_seed(run: Path, masks: xr.Dataset) -> None:
    assert masks.attrs["shown"] == 6
    shown = masks["mask"].astype(bool)
    for name in ("cluster", "surgeon"):
        mask = rbm_of(run, f"2-{name}-6", seed=0).mask
        np.testing.assert_array_equal(shown.sel(variant=name), mask)
    assert shown.sel(variant="dense").all()


def test_links_are_counted_by_their_length() -> None:
    weights = np.array([[0.0, 1.0, -3.0, 0.0, 0.5], [2.0, 0.0, 0.0, 0.0, 1.0], np.zeros(5)])
    found = links_by_length(weights)
    assert found["links"].values.tolist() == [2, 1, 1, 0, 1]
    assert found["possible_links"].values.tolist() == [2, 3, 3, 1, 1]


def test_links_of_the_kept_rbms(run: Path, masks: xr.Dataset) -> None:
    for name, count in (("dense", 8), ("surgeon", 5)):
        here = masks.sel(field=1.0, seed=1, width=2, variant=name, count=count)
        of_file = links_by_length(rbm_of(run, f"2-{name}-{count}").weights)
        np.testing.assert_array_equal(here["links"], of_file["links"])
        assert int(here["links"].sum()) == count
        np.testing.assert_array_equal(here["possible_links"], of_file["possible_links"])


def sampled(reference: Reference) -> Reference:
    """A reference that is treated as one of a large state."""
    return replace(reference, log_q=None)


def small() -> tuple[MPS, Reference]:
    state = pp.ground_state(pp.TFIM(sites=4))
    return state, reference_of(state)


def test_measures_of_large_rbms_are_sampled_with_errors() -> None:
    _, reference = small()
    rbm = pp.RBM(np.full((2, 4), 0.3), np.zeros(4), np.zeros(2))
    exact = final_measures(rbm, reference, 1000, seed=1)
    found = final_measures(rbm, sampled(reference), 1000, seed=1)
    assert set(found.variables) == set(exact.variables)
    for name in ("kl", "infidelity", "energy", "abs_magnetization"):
        error = float(found[f"{name}_error"])
        assert error > 0
        assert float(found[name]) == pytest.approx(float(exact[name]), abs=4 * error)
    assert (found["correlation_error"][1:] > 0).all()
    again = pp.evaluate(rbm, sampled(reference), draws=1000, seed=1)
    assert float(found["energy_bias"]) == again.energy_bias.value
    assert float(found["correlation_mse_error"]) == again.correlation_mse.error


def test_large_states_are_truncated_too(tmp_path: Path) -> None:
    state, reference = small()
    shots = pp.sample(state, 20_000, seed=1)
    exact = truncated_states([Problem(tmp_path, 1.0, reference, shots)], [1, 4])
    found = truncated_states([Problem(tmp_path, 1.0, sampled(reference), shots)], [1, 4])
    assert found["mps_parameters"].values.tolist() == exact["mps_parameters"].values.tolist()
    for name in ("kl", "infidelity", "abs_magnetization_bias"):
        one, other = (each[f"mps_{name}"].values[0] for each in (found, exact))
        assert one[0] == pytest.approx(other[0], rel=0.1)
        np.testing.assert_allclose([one[1], other[1]], 0.0, atol=1e-9)


# ---- resuming


@pytest.mark.slow
def test_a_lost_file_is_made_again(run: Path, masks: xr.Dataset, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "run"))
    for name in ("h=1/seed-0/2-cluster-6.nc", "h=1/seed-1/2-surgeon-5.nc", "masks.nc"):
        (copy / name).unlink()
    again = pp.run_masks(settings(), copy)
    assert tiny.raw(again) == tiny.raw(masks)
    seconds = "processor_seconds"
    assert again[seconds].notnull().sum() == masks[seconds].notnull().sum()


class Killed(BaseException):
    """Stands for a signal that leaves no time to write anything."""


@pytest.mark.slow
def test_a_start_resumes_a_pruning_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    brief = tiny.masks_settings(prune_fraction=0.1, weights_per_site=(1.25, 1.5))
    family = Family(None, 2, "magnitude")  # type: ignore[arg-type]
    assert pruning_counts(brief, family) == [8, 7, 6, 5]
    unbroken = pp.run_masks(brief, tmp_path / "unbroken")
    done: list[int] = []

    def second_kills(*arguments: Any, **others: Any) -> pp.RBM:
        if done:
            raise Killed
        done.append(1)
        return fine_tuned(*arguments, **others)

    monkeypatch.setattr("psiprune.core.threads.cores", lambda: 1)
    monkeypatch.setattr(trainer, "fine_tuned", second_kills)
    run = tmp_path / "run"
    with pytest.raises(Killed):
        pp.run_masks(brief, run)
    assert {file.name for file in (run / "h=1/seed-0/2-magnitude").iterdir()} == {"7.nc"}
    monkeypatch.setattr(trainer, "fine_tuned", fine_tuned)
    again = pp.run_masks(brief, run)
    seconds = again["processor_seconds"].sel(variant="magnitude")
    assert seconds.isnull().all()  # what the killed start took is not known
    assert again["processor_seconds"].sel(variant="scale-free").notnull().any()
    assert tiny.raw(again) == tiny.raw(unbroken)
    assert tiny.names(run) == tiny.names(tmp_path / "unbroken")


def test_a_stopwatch_keeps_what_it_knows(tmp_path: Path) -> None:
    watch = Stopwatch(tmp_path)
    with watch.timed("a", before=5.0):
        pass
    watch.note("b", 1.0)
    watch.note("b", float("nan"))
    again = Stopwatch(tmp_path)
    assert 5.0 <= again.seconds("a") < 6.0
    assert np.isnan(again.seconds("b"))
    (tmp_path / FILE).write_text("[1")
    assert np.isnan(Stopwatch(tmp_path).seconds("a"))


# ---- settings


def test_what_is_compared_depends_on_the_size() -> None:
    assert pp.MasksSettings().variants == VARIANTS
    assert [pp.MasksSettings().counts(9, name) for name in ("dense", "random")] == [[162], [54, 90]]
    large = pp.MasksSettings(sites=100, widths=(100,), seeds=1)
    assert large.variants == ("dense", *CONSTRUCTED)
    assert large.counts(100, "cluster") == [300, 500, 1000, 2000]
    assert pp.MasksSettings(sites=200, widths=(200,)).counts(200, "cluster")[0] == 600


def test_dense_rbms_may_have_other_numbers_of_hidden_units() -> None:
    chosen = pp.MasksSettings(hidden=18, dense_widths=(3, 6), kinds=("scale-free",))
    assert (chosen.mask_widths, chosen.all_widths) == ((18,), (3, 6, 18))
    assert [chosen.counts(width, "dense") for width in (3, 6, 18)] == [[54], [108], []]
    masked = [width for width in (3, 6, 18) if chosen.counts(width, "scale-free")]
    assert masked == [18]
    # Their training suits their own sizes.
    large = pp.MasksSettings(sites=400, hidden=400, dense_widths=(10, 20)).for_size()
    assert (large.train.epochs, large.dense_train) == (400, pp.NaturalGradient())
    with pytest.raises(ValueError, match=r"dense_widths: 'surgeon' prunes the dense RBM, .*add 9"):
        pp.MasksSettings(dense_widths=(3,), kinds=("surgeon",))
    with pytest.raises(ValueError, match=r"dense_widths: .*omit it"):
        pp.EntanglementSettings(dense_widths=(3, 9))


@pytest.mark.slow
def test_a_run_with_dense_rbms_of_other_sizes(tmp_path: Path) -> None:
    chosen = settings(dense_widths=(1, 3), kinds=("scale-free",), weights_per_site=(1.5,))
    masks = pp.run_masks(chosen, tmp_path)
    contents = contents_of(tmp_path, read_config(tmp_path))
    assert contents is not None
    written = {file for file in tiny.names(tmp_path) if file.endswith(".nc")}
    assert {str(file) for file in contents.files} == written
    there = masks["kl"].notnull().all(("field", "seed")).stack(rbm=("variant", "width", "count"))
    assert there["rbm"].values[there.values].tolist() == [
        ("dense", 1, 4),
        ("dense", 3, 12),
        ("scale-free", 2, 6),
    ]


def test_a_pruned_scale_free_rbm_needs_one_to_start_from() -> None:
    alone = pp.MasksSettings(kinds=("scale-free-surgeon",), weights_per_site=(3, 5, 7))
    assert alone.variants == ("dense", "scale-free", "scale-free-surgeon")
    assert alone.counts(9, "scale-free") == [54, 90, 126]
    assert alone.counts(9, "scale-free-surgeon") == [54, 90]


def test_rewiring_keeps_no_mirror_images() -> None:
    tied: Any = {"symmetry": "flip-mirror"}
    with pytest.raises(pp.InputError, match=r"'rewired' moves single weights.*'flip-mirror'"):
        pp.MasksSettings(kinds=("rewired",), weights_per_site=(4,), fine_tune=tied)
    flipped: Any = {"symmetry": "flip"}
    assert pp.MasksSettings(kinds=("rewired",), fine_tune=flipped).kinds


def test_masks_train_by_natural_gradient_where_dense_rbms_cannot() -> None:
    tables: dict[str, Any] = {"dense_train": {"epochs": 7}}
    sized = pp.MasksSettings(sites=400, **tables).for_size()
    assert sized.train == pp.NaturalGradient()
    assert sized.fine_tune == pp.NaturalGradient.for_fine_tuning()
    assert sized.dense_train == pp.PCD(epochs=7)
    natural = pp.MasksSettings(sites=400, train=pp.NaturalGradient(epochs=3))
    assert natural.for_size().train == pp.NaturalGradient(epochs=3)
    assert pp.MasksSettings(widths=(40,)).for_size().train == pp.ExactNaturalGradient()


# ---- figures and table


def panels(figure: Figure) -> list[Axes]:
    return [ax for ax in figure.get_axes() if ax.get_label() != "<legend>"]


def test_figures_show_medians(masks: xr.Dataset) -> None:
    axes = panels(plot_budget(masks))
    assert len(axes) == 2
    lines = {str(line.get_label()): np.asarray(line.get_xydata()) for line in axes[0].lines}
    here = masks["kl"].sel(field=1.0, width=2, variant="scale-free").median("seed").dropna("count")
    np.testing.assert_array_equal(lines["scale-free"], np.column_stack([here["count"], here]))
    np.testing.assert_allclose(lines["parameters / (2 shots)"][:, 1], np.array([11, 12, 14]) / 400)
    mps = [masks[f"mps_{name}"].values.item() for name in ("parameters", "kl")]
    np.testing.assert_allclose(lines["MPS, D = 1"], [mps])
    other = masks.assign_attrs(sites=8)
    by_kind = {ax.get_title(): ax for ax in plot_scaling([other, masks]).get_axes()}
    of_kind = by_kind["scale-free"].lines
    scaled = {str(line.get_label()): np.asarray(line.get_xydata()) for line in of_kind}
    for label, sites in (("N = 4", 4), ("N = 8", 8)):
        np.testing.assert_allclose(scaled[label], lines["scale-free"] / sites)
    (ax,) = panels(plot_correlations(masks))
    drawn = {str(bar.get_label()): bar for bar in ax.containers}
    assert set(drawn) == {"dense", "scale-free", "windows", "rewired", "dense, pruned by surgeon"}
    axes = plot_links(masks).get_axes()
    assert [ax.get_title().split(",\n")[0] for ax in axes][:3] == [
        "scale-free",
        "dense",
        "scale-free",
    ]
    one = masks.sel(field=1.0, width=2, variant="scale-free", count=6).sum("seed")
    kept, possible = (one[name].values for name in ("links", "possible_links"))
    share = np.array([kept[1] / possible[1], kept[2:].sum() / possible[2:].sum()])
    (line,) = [line for line in axes[0].lines if line.get_label() == "6 weights"]
    np.testing.assert_allclose(
        np.asarray(line.get_xydata()),
        np.column_stack([[1, 6**0.5], np.where(share > 0, share, np.nan)]),
    )
    pictures = [ax for ax in plot_masks(masks).get_axes() if ax.images]
    assert len(pictures) == len(KINDS) - 1  # pruned scale-free RBMs have fewer weights
    rule = plot_masks(masks).get_axes()[len(pictures)]  # of unit 1, at site 2
    mask = pp.scale_free_mask(4, 2, weights=6)[1]
    np.testing.assert_array_equal(rule.lines[0].get_xdata(), 1 + np.abs(np.arange(4) - 2)[mask])


def test_a_mask_without_a_dense_rbm_of_its_size_is_compared_with_the_best(
    masks: xr.Dataset,
) -> None:
    other = masks.reindex(width=[1, 2, 3], count=[4, 5, 6, 8, 12])
    dense = {4: 0.3, 12: 0.1}
    for count, kl in dense.items():
        other["kl"].loc[{"variant": "dense", "width": count // 4, "count": count}] = kl
    other["kl"].loc[{"variant": "dense", "width": 2}] = np.nan
    rows = table_numbers("masks", other)["masks"]["h=1"]["rows"]
    (row,) = (row for row in rows if (row["variant"], row["count"]) == ("scale-free", 6))
    found = other["kl"].sel(field=1.0, width=2, variant="scale-free", count=6)
    assert row["against_dense"]["ratio"] == pytest.approx(float(found.median()) / 0.1)
    assert row["dense_kl"] == 0.1
    axes = panels(plot_budget(other))
    assert len(axes) == 2  # of two hidden units, each with both dense RBMs
    for ax, along in ((axes[0], 1.0), (plot_scaling([other]).get_axes()[0], 4.0)):
        line = next(line for line in ax.lines if line.get_label() in ("dense", "N = 4"))
        expected = [[count / along, kl / along] for count, kl in dense.items()]
        np.testing.assert_allclose(np.asarray(line.get_xydata()), expected)
    (ax,) = panels(plot_correlations(other))
    assert "scale-free" in {str(bar.get_label()) for bar in ax.containers}


def test_the_figure_against_shots_has_the_best_rbm_of_each_kind(masks: xr.Dataset) -> None:
    """Of several runs with as many shots too, such as other weight decays."""
    better = masks.assign(kl=masks["kl"] * (2.0 - 1.5 * (masks["count"] == 6)))
    more = masks.assign(kl=masks["kl"] * 0.1).assign_attrs(shots=2000)
    (ax,) = plot_shots([more, masks, better]).get_axes()
    lines = {str(line.get_label()): np.asarray(line.get_xydata()) for line in ax.lines}
    floors = [lines.pop(label) for label in [*lines] if label.startswith("_")]
    keys = {"parameters / (2 shots)", "numbers: weights of the best mask"}
    assert set(lines) == {"dense", "scale-free", "windows", "rewired", *PRUNED_LABELS, *keys}
    floor = float(masks["kl_floor"].sel(field=1.0, width=2, variant="dense", count=8).median())
    np.testing.assert_allclose(floors[0], [[200, floor], [2000, floor]])  # drawn as it is stored
    medians = masks["kl"].sel(field=1.0, width=2).median("seed")
    dense = float(medians.sel(variant="dense", count=8))
    np.testing.assert_allclose(lines["dense"], [[200, dense], [2000, 0.1 * dense]])
    one = medians.sel(variant="scale-free")
    least = [
        min(float(one.sel(count=5)), 0.5 * float(one.sel(count=6))),
        0.1 * float(one.min()),
    ]
    np.testing.assert_allclose(lines["scale-free"][:, 1], least)
    assert {text.get_text() for text in ax.texts} <= {"5", "6"}
    assert len(ax.texts) == 2


def test_the_figure_against_time_has_the_least_kl_so_far(masks: xr.Dataset) -> None:
    longer = masks.assign(processor_seconds=10 * masks["processor_seconds"], kl=masks["kl"] * 0.5)
    (ax,) = plot_times([longer, masks, masks.assign_attrs(shots=3)]).get_axes()
    lines = {str(line.get_label()): np.asarray(line.get_xydata()) for line in ax.lines}
    assert {"dense", "scale-free", "windows", *PRUNED_LABELS} <= set(lines)
    kl, seconds = (
        masks[name].sel(field=1.0, width=2, variant="scale-free", count=[5, 6]).median("seed")
        for name in ("kl", "processor_seconds")
    )
    order = np.argsort(seconds.values)
    least = np.minimum.accumulate([*kl.values[order], *0.5 * kl.values[order]])
    along = [*seconds.values[order], *10 * seconds.values[order]]
    np.testing.assert_allclose(lines["scale-free"], np.column_stack([along, least]))
    (ax,) = plot_times([masks.drop_vars("processor_seconds")]).get_axes()
    assert not ax.lines


def test_figures_of_kinds_that_choose_no_links(masks: xr.Dataset) -> None:
    dense = masks.sel(variant=["dense"])
    for draw in (plot_links, plot_masks):
        (ax,) = draw(dense).get_axes()
        assert not ax.lines
        assert len(ax.texts) == 1


def test_without_a_bias_the_figure_has_kl_only(masks: xr.Dataset) -> None:
    check_figure(plot_budget, masks)


def test_the_table_compares_with_dense_rbms_of_as_many_units(masks: xr.Dataset) -> None:
    found = table_numbers("masks", masks)["masks"]["h=1"]
    rows = {(row["width"], row["variant"], row["count"]): row for row in found["rows"]}
    assert len(rows) == 1 + 2 + 1 + 2 + 2 + 1
    one = masks["kl"].sel(field=1.0, width=2)
    ratio = one.sel(variant="cluster", count=6) / one.sel(variant="dense", count=8)
    row = rows[2, "cluster", 6]
    assert row["against_dense"]["ratio"] == pytest.approx(float(ratio.median()))
    assert row["kl"]["median"] == pytest.approx(float(one.sel(variant="cluster", count=6).median()))
    assert rows[2, "dense", 8]["against_dense"]["ratio"] == 1.0
    words = table_text("masks", masks)
    assert "2 hidden units" in words
    assert "KL error" not in words
    assert "KL error" in table_text("masks", masks.assign(kl_error=masks["kl_error"] + 1e-3))
    assert table_text("masks", masks.drop_vars("processor_seconds")).count("CPU s") == 1


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_the_command_reads_its_own_configuration(run: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    again = ("masks", "--config", folder / "config.toml", "--out", folder, "--others", run)
    found = json.loads(tiny.call(*again, "--json").out)
    assert found["folder"] == str(folder)
    assert found["masks"]["h=1"]["mps"][0]["bond"] == 1
    assert (folder / "masks.nc").read_bytes() == (run / "masks.nc").read_bytes()
