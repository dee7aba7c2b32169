"""Fine-tuning with `folds` ends where shots are likeliest that no RBM of a part has seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import exact
import psiprune as pp
from psiprune.core.exceptions import TrainingWarning
from psiprune.data.shots import Shots
from psiprune.experiments.path_settings import UntilSettings
from psiprune.experiments.pruning_path import level_file, run_path
from psiprune.experiments.search import run_until
from psiprune.io.netcdf import write_dataset
from psiprune.metrics.measure import Measure
from psiprune.pruning.held_out import folds_for, held_out_rbms
from psiprune.pruning.iterative import Level, Pruner, prune_to_count
from psiprune.pruning.search import find_smallest
from psiprune.pruning.settings import PruneSettings
from psiprune.rbm.init import initial_rbm
from psiprune.rbm.model import RBM
from psiprune.training.method import Method
from psiprune.training.stopping import divide
from refusals import refuses
from spies import arguments_of

TRUTH = initial_rbm(3, 2, seed=5)
ERROR = pp.ReadoutError.from_rates(0.1, 0.1, sites=3)
EXACT = pp.ExactNaturalGradient.for_fine_tuning()
METHODS: tuple[Method, ...] = (
    pp.ExactNaturalGradient(epochs=8),
    pp.NaturalGradient(epochs=10, chains=100, steps=2),
    pp.CD(epochs=10, steps=1),
    pp.PCD(epochs=10, steps=1),
)


def misread(seed: int = 0, number: int = 60) -> Shots:
    """Few shots of `TRUTH`, many of whose bits are misread."""
    q = exact.rbm_distribution(TRUTH.weights, TRUTH.visible_bias, TRUTH.hidden_bias)
    drawn = exact.basis(3)[np.random.default_rng(seed).choice(8, number, p=q)]
    return Shots(drawn).with_readout_error(ERROR, seed)


def divergence(rbm: RBM) -> float:
    """KL(truth || rbm)."""
    p, q = (
        exact.rbm_distribution(each.weights, each.visible_bias, each.hidden_bias)
        for each in (rbm, TRUTH)
    )
    return float(q @ np.log(q / p))


def trained(shots: Shots, method: Any = "exact", folds: int = 3) -> RBM:
    return pp.train(shots, hidden=2, method=method, initial="random", folds=folds)


def same(one: RBM, other: RBM) -> None:
    """Assert that two RBMs are the same to the bit."""
    for name in ("weights", "visible_bias", "hidden_bias", "mask"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def same_levels(one: list[Level], other: list[Level]) -> None:
    for level, again in zip(one, other, strict=True):
        same(level.rbm, again.rbm)
        for part, its in zip(level.held_out, again.held_out, strict=True):
            same(part, its)


def test_fine_tuning_does_not_undo_an_early_end() -> None:
    """All steps of fine-tuning fit the noise that training with `folds` left out."""
    found = []
    for seed in range(4):
        shots = misread(seed)
        dense = trained(shots)
        ends = [
            pp.prune(dense, shots, fraction=0.3, levels=1, fine_tune=EXACT, folds=folds)
            for folds in (0, None)
        ]
        found.append([divergence(rbm) for rbm in (dense, *(path[-1].rbm for path in ends))])
        done = [int(path[-1].rbm.provenance.get("epochs_done", 0)) for path in ends]
        assert done[1] < done[0]
    dense_kl, all_steps, fewer = np.mean(found, axis=0)
    assert all_steps > 1.5 * dense_kl
    assert fewer < 0.7 * all_steps


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.method)
def test_the_training_decides_unless_folds_are_given(method: Method) -> None:
    shots = misread()
    dense = trained(shots, method)
    tuning = method.model_copy(update={"epochs": 10})
    paths = {
        folds: pp.prune(dense, shots, levels=1, fine_tune=tuning, folds=folds)
        for folds in (None, 3, 2, 0)
    }
    same_levels(paths[None], paths[3])
    for folds, path in paths.items():
        number = 3 if folds is None else folds
        assert {len(level.held_out) for level in path} == {number}
        for level in path[1:]:
            assert level.rbm.provenance.get("folds", 0) == number
            masks = {each.number_of_weights for each in (level.rbm, *level.held_out)}
            assert len(masks) == 1
    plain = pp.train(shots, hidden=2, method=method, initial="random")
    assert all(not level.held_out for level in pp.prune(plain, shots, levels=1, fine_tune=tuning))
    assert not pp.prune(dense, shots, levels=1, fine_tune=None)[0].held_out


def test_no_part_is_seen_by_the_rbm_without_it() -> None:
    shots, part = misread(), parts_of_shots(60, 3, 5)
    dense = trained(shots)
    before = held_out_rbms(dense, shots, 3, 5)
    for k in range(3):
        bits = shots.bits.copy()
        bits[part == k, 0] ^= 1
        after = held_out_rbms(dense, replace(shots, bits=bits), 3, 5)
        same(before[k], after[k])
        for j in {0, 1, 2} - {k}:
            assert (before[j].weights != after[j].weights).any()
    assert {rbm.provenance["epochs_done"] for rbm in before} == {dense.provenance["epochs_done"]}


def test_the_rbms_without_a_part_are_pruned_by_themselves() -> None:
    shots = misread()
    dense, still = trained(shots), EXACT.model_copy(update={"epochs": 0})
    before, after = pp.prune(dense, shots, levels=1, criterion="surgeon", fine_tune=still, seed=4)
    for one, other in zip(
        (before.rbm, *before.held_out), (after.rbm, *after.held_out), strict=True
    ):
        settings = PruneSettings(criterion="surgeon")
        same(prune_to_count(one, 5, settings, 4, 1, ERROR), other)
    assert len({other.weights.tobytes() for other in (after.rbm, *after.held_out)}) == 4


def test_without_damage_there_is_nothing_to_fine_tune() -> None:
    """The same parts have judged the dense RBM: its training has ended where they are likeliest."""
    shots = misread()
    dense = trained(shots)
    level = Level(0, dense, held_out=held_out_rbms(dense, shots, 3, 0))
    found = Pruner(shots, PruneSettings(), EXACT, 0).pruned_level(level, 6, 1)
    same(found.rbm, dense)
    assert "epochs_done" not in found.rbm.provenance


def parts_of_shots(shots: int, folds: int, seed: int) -> NDArray[np.int64]:
    """The part of each shot, from a division of shots that all differ."""
    numbered = Shots(((np.arange(shots)[:, None] >> np.arange(8)) & 1).astype(np.uint8))
    part = np.empty(shots, np.int64)
    for k, each in enumerate(divide(numbered, folds, seed).held_out):
        part[each.bits @ (1 << np.arange(8))] = k
    return part


def test_a_path_has_one_division_and_a_seed_for_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = arguments_of(monkeypatch, "psiprune.pruning.iterative.fine_tuned_held_out", "seed")
    divisions = arguments_of(monkeypatch, "psiprune.pruning.held_out.divide", "seed")
    shots = misread()
    pp.prune(trained(shots), shots, levels=2, fine_tune=EXACT, seed=4)
    assert divisions == [4, 4, 4]
    assert len({*seeds, 4}) == 3


def test_a_path_on_disk_resumes_to_the_same_bits(tmp_path: Path) -> None:
    shots = misread()
    dense = trained(shots)
    settings = PruneSettings(levels=1)

    def run() -> list[Any]:
        return run_path(
            tmp_path,
            lambda _: dense,
            shots,
            settings,
            EXACT,
            4,
            lambda level: level.rbm.to_dataset(),
            lambda _: None,
            folds=3,
        )

    whole = run()
    path = pp.prune(dense, shots, levels=1, fine_tune=EXACT, seed=4)
    for found, level in zip(whole, path, strict=True):
        np.testing.assert_array_equal(found.weights, level.rbm.weights)
    level_file(tmp_path, 1).unlink()
    for found, again in zip(whole, run(), strict=True):
        assert found.identical(again)
    first, second = (level_file(tmp_path, step) for step in (0, 1))
    first.unlink()
    second.unlink()
    write_dataset(first, whole[0].drop_dims("part"), "rbm")
    with refuses(first, "3 RBMs", 0, "delete it"):
        run()


def test_a_search_ends_fine_tuning_in_the_same_way(tmp_path: Path) -> None:
    shots = misread()
    dense = trained(shots)

    def removed(rbm: RBM) -> float:
        return 6.0 - rbm.number_of_weights

    settings = PruneSettings(fraction=0.5, levels=9)
    found = find_smallest(
        dense, shots, measure=removed, limit=2, settings=settings, fine_tune=EXACT, seed=4
    )
    assert [trial.rbm.number_of_weights for trial in found.trials] == [6, 3, 4]
    path = pp.prune(dense, shots, levels=1, fraction=0.5, fine_tune=EXACT, seed=4)
    same_levels([Level(0, each.rbm, held_out=each.held_out) for each in found.trials[:2]], path)
    for trial in found.trials[1:]:
        assert trial.rbm.provenance["folds"] == len(trial.held_out) == 3
    until = UntilSettings(measure="kl", limit=2)

    def measured(rbm: RBM) -> Measure:
        return Measure(removed(rbm), 0.0, 0.0, "count")

    for _ in range(2):  # the second time from the files
        again, _best = run_until(
            tmp_path, dense, shots, measured, until, settings, EXACT, 4, lambda _: None, folds=3
        )
        same_levels(
            *(
                [Level(0, each.rbm, held_out=each.held_out) for each in trials]
                for trials in (again.trials, found.trials)
            )
        )
    with refuses("path", "folds", 3):
        find_smallest(dense, shots, measure=removed, limit=2, path=[Level(0, dense)])


def test_what_cannot_be_cross_validated_is_refused() -> None:
    shots = misread()
    dense = trained(shots)
    pruned = pp.prune(dense, shots, levels=1, fine_tune=EXACT)[1].rbm
    for rbm, options, facts in (
        (dense, {"folds": 1}, (2, 1)),
        (dense, {"folds": 61}, (60, 61)),
        (dense, {"folds": 2, "fine_tune": None}, ("fine-tuning", 2)),
        (dense, {"rewind": dense, "folds": 3}, ("rewind", 3)),
        (pruned, {"folds": 3}, ("pruned", 0)),
        (RBM(dense.weights, dense.visible_bias, dense.hidden_bias), {"folds": 2}, ("record", 0)),
    ):
        with refuses("folds", *facts):
            pp.prune(rbm, shots, levels=1, **options)


def test_the_number_of_the_training_is_not_taken_where_it_cannot_be() -> None:
    shots = misread()
    dense = trained(shots, pp.CD(epochs=1), folds=2)
    few = Shots(shots.bits[:1])

    def changed(**record: Any) -> RBM:
        return replace(dense, provenance={**dense.provenance, **record})

    unrecorded: tuple[Any, ...] = ("x", None, 2.5, True, 1, -2)
    no_steps: tuple[Any, ...] = (None, "x", -1, True)
    for rbm, data, rewind, why in (
        (dense.with_mask(dense.weights > dense.weights.min()), shots, None, "the RBM is pruned"),
        (dense, few, None, "fewer shots (1) than its 2 parts"),
        (dense, shots, dense, "the RBM is rewound"),
        (changed(start="00ff"), shots, None, "continued the training of another one"),
        *((changed(folds=each), shots, None, "not recorded") for each in unrecorded),
        *((changed(epochs_done=each), shots, None, "no complete record") for each in no_steps),
    ):
        with pytest.warns(TrainingWarning, match="takes all steps") as told:
            assert folds_for(rbm, None, data, EXACT, rewind) == 0
        (one,) = told
        assert why in str(one.message)
        assert folds_for(rbm, None, data, None, None) == folds_for(rbm, 0, data, EXACT, rewind) == 0
    assert folds_for(changed(folds=np.int64(2)), None, shots, EXACT, None) == 2
    with refuses("folds", "no complete record", 0):
        held_out_rbms(changed(epochs_done=None), shots, 2, 0)
    with refuses("folds", "give 0, or more shots", 1, 2):
        folds_for(dense, 2, few, EXACT, None)
    with pytest.warns(TrainingWarning, match="no complete record") as told:
        pp.prune(changed(epochs_done=None), shots, levels=1, fine_tune=pp.CD(epochs=1))
    assert [each.filename for each in told if "all steps" in str(each.message)] == [__file__]
