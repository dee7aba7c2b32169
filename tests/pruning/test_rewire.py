"""Rewiring: exact counts, the steepest missing weights, no loss of likelihood, any start again."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import psiprune as pp
import tiny
from psiprune.data.shots import Shots
from psiprune.pruning import rewire as rewire_module
from psiprune.pruning.criteria import top_k_mask
from psiprune.pruning.iterative import Level
from psiprune.pruning.rewire import (
    edge_gradient,
    is_exact,
    rewire,
    rewire_step,
    rewired,
    weights_moved,
)
from psiprune.pruning.settings import RewireSettings
from psiprune.rbm.init import initial_rbm
from psiprune.rbm.likelihood import log_likelihood, unique_configurations
from psiprune.rbm.masks import random_mask
from psiprune.rbm.model import RBM
from refusals import refuses
from spies import arguments_of

DENSE = initial_rbm(6, 3, seed=0)
ANY_SHOTS = Shots(np.random.default_rng(0).integers(0, 2, (50, 6), dtype=np.uint8))
TUNING = pp.ExactNaturalGradient.for_fine_tuning(epochs=3)


@pytest.fixture(scope="module")
def shots() -> Shots:
    return pp.sample(pp.ground_state(pp.TFIM(sites=6, field=1.0)), 2000, seed=1)


@pytest.fixture(scope="module")
def sparse(shots: Shots) -> RBM:
    """8 of 18 weights, at random; not at the optimum."""
    start = initial_rbm(6, 3, seed=0, mask=random_mask(3, 6, 8, seed=2))
    return pp.train(shots, start=start, method=pp.ExactNaturalGradient(epochs=10))


def value(rbm: RBM, shots: Shots) -> float:
    return log_likelihood(rbm, unique_configurations(shots.bits))[0]


def test_the_gradient_of_missing_weights_is_that_of_finite_differences(
    sparse: RBM, shots: Shots
) -> None:
    gradient = edge_gradient(sparse, unique_configurations(shots.bits))
    step = 1e-4
    for place in np.argwhere(~sparse.mask):
        values = []
        for sign in (1, -1):
            weights, mask = sparse.weights.copy(), sparse.mask.copy()
            weights[tuple(place)], mask[tuple(place)] = sign * step, True
            values.append(value(replace(sparse, weights=weights, mask=mask), shots))
        slope = (values[0] - values[1]) / (2 * step)
        assert gradient[tuple(place)] == pytest.approx(slope, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("criterion", ["surgeon", "magnitude", "damage", "random"])
def test_the_steepest_missing_weights_grow_at_zero(
    sparse: RBM, shots: Shots, criterion: str
) -> None:
    data = unique_configurations(shots.bits)
    settings = RewireSettings.model_validate({"criterion": criterion})
    found = rewired(sparse, data, 3, settings, seed=4, step=0)
    assert found.number_of_weights == 8
    grown = found.mask & ~sparse.mask
    assert grown.sum() == 3
    assert (found.weights[grown] == 0).all()
    assert (found.weights[~found.mask] == 0).all()
    # Before they were there the slopes were those of the RBM without what was dropped.
    slopes = np.abs(edge_gradient(found.with_mask(found.mask & sparse.mask), data))
    missing = ~sparse.mask & ~grown
    assert slopes[grown].min() >= slopes[missing].max()


def test_levels_keep_the_count_and_never_lose_likelihood(sparse: RBM, shots: Shots) -> None:
    levels = rewire(
        sparse,
        shots,
        rounds=6,
        share=0.4,
        seed=3,
        fine_tune=pp.ExactNaturalGradient.for_fine_tuning(epochs=5),
    )
    assert [level.step for level in levels] == list(range(7))
    assert levels[0].rbm is sparse
    values = [value(level.rbm, shots) for level in levels]
    assert all(later >= earlier for earlier, later in pairwise(values))
    assert values[-1] > values[0] + 0.01
    for before, after in pairwise(levels):
        assert after.rbm.number_of_weights == 8
        assert (after.rbm.weights[~after.rbm.mask] == 0).all()
        # An undone round leaves all as it was.
        same = value(after.rbm, shots) == value(before.rbm, shots)
        assert (after.rbm is before.rbm) == same


def test_layers_beyond_exact_sums_use_samples() -> None:
    generator = np.random.default_rng(0)
    bits = (generator.random((4000, 1)) < 0.5) ^ (generator.random((4000, 19)) < 0.2)
    shots = Shots(bits.astype(np.uint8))
    mask = random_mask(19, 19, 60, seed=1)
    rbm = initial_rbm(19, 19, seed=0, mask=mask)
    levels = rewire(
        rbm, shots, rounds=2, criterion="magnitude", fine_tune=pp.CD.for_fine_tuning(epochs=1)
    )
    assert [level.rbm.number_of_weights for level in levels] == [60, 60, 60]
    assert (levels[1].rbm.mask != mask).any()
    assert (levels[2].rbm.mask != levels[1].rbm.mask).any()


def test_the_share_falls_by_a_cosine() -> None:
    assert [weights_moved(100, 500, 0.4, step, 4) for step in range(4)] == [40, 34, 20, 6]
    assert weights_moved(100, 7, 0.4, 0, 4) == 7  # no more are missing
    assert weights_moved(2, 500, 0.9, 0, 4) == 1
    assert weights_moved(10, 500, 0.1, 99, 100) == 1
    assert weights_moved(3, 500, 0.9, 0, 4) == 2


@pytest.mark.parametrize(
    ("visible", "hidden", "exact"), [(18, 40, True), (40, 18, True), (19, 19, False)]
)
def test_layers_of_at_most_18_units_are_summed(visible: int, hidden: int, exact: bool) -> None:
    assert is_exact(RBM(np.zeros((hidden, visible)), np.zeros(visible), np.zeros(hidden))) == exact


@pytest.mark.parametrize("exact", [True, False])
def test_a_round_that_gains_nothing_is_undone(exact: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fine-tuning goes by the number of the round; its RBM has the likelihood of the one before."""
    sparse = DENSE.with_mask(DENSE.weights > 0)
    same, passed, after = replace(sparse), (object(), object()), list[int]()

    def tuned(
        _: RBM, __: Shots, method: Any, seed: int, step: int, callback: Any, **kw: Any
    ) -> RBM:
        assert (method, seed, callback, kw) == (TUNING, 5, passed[0], {"checkpoints": passed[1]})
        after.append(step)
        return same

    monkeypatch.setattr(rewire_module, "fine_tuned", tuned)
    monkeypatch.setattr(rewire_module, "is_exact", lambda _: exact)
    settings = RewireSettings(criterion="random", draws=100)
    level = rewire_step(Level(3, sparse), ANY_SHOTS, settings, TUNING, 5, *passed)  # type: ignore[arg-type]
    assert (level.step, after) == (4, [4])
    assert level.rbm is (sparse if exact else same)


@pytest.mark.parametrize("count", [2, 17])
def test_two_weights_or_all_but_one_can_be_moved(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rbm = DENSE.with_mask(top_k_mask(DENSE.mask, np.abs(DENSE.weights), count))
    epochs = arguments_of(monkeypatch, "psiprune.pruning.rewire.expect", "change")
    shares = arguments_of(monkeypatch, "psiprune.pruning.rewire.weights_moved", "share")
    levels = rewire(rbm, ANY_SHOTS, rounds=2, share=0.9, criterion="random", fine_tune=TUNING)
    found = [(level.step, level.rbm.number_of_weights) for level in levels]
    assert found == [(0, count), (1, count), (2, count)]
    assert (epochs, shares) == ([2 * 3], [0.9, 0.9])


def test_the_criterion_chooses_the_weights_that_move() -> None:
    rbm = DENSE.with_mask(top_k_mask(DENSE.mask, np.abs(DENSE.weights), 9))
    one, other = (
        rewire(rbm, ANY_SHOTS, rounds=1, criterion=criterion, fine_tune=TUNING)[1].rbm.mask
        for criterion in ("magnitude", "random")
    )
    assert (one != other).any()


def test_what_cannot_be_rewired_is_refused_in_one_line(sparse: RBM, shots: Shots) -> None:
    with refuses("rbm", "18 weights"):
        rewire(DENSE, shots)
    one = initial_rbm(6, 3, seed=0, mask=random_mask(3, 6, 1, seed=0))
    with refuses("rbm", "2 weights", 1):
        rewire(one, shots)
    with refuses("rounds", 1, 0):
        rewire(sparse, shots, rounds=0)
    with refuses("share", 1, 1.0):
        rewire(sparse, shots, share=1.0)
    with refuses("array", "4 sites", 6):
        rewire(sparse, Shots(np.zeros((3, 4), np.uint8)))
    with refuses("array", "rewiring does not take into account", "readout=None"):
        rewire(sparse, replace(ANY_SHOTS, readout=pp.ReadoutError.from_rates(0.1, sites=6)))


def test_the_command_keeps_its_levels_and_goes_on(
    sparse: RBM, shots: Shots, tmp_path: Path
) -> None:
    sparse.save(tmp_path / "rbm.nc")
    shots.save(tmp_path / "shots.nc")
    out = tmp_path / "run"
    words = (
        "rewire",
        tmp_path / "rbm.nc",
        tmp_path / "shots.nc",
        "-o",
        out,
        "--rounds=3",
        "--fine-tune.epochs=3",
    )
    done = tiny.call(*words)
    assert done.status == 0, done
    assert "3 rounds" in done.out
    levels = {f"level-0{k}.nc" for k in range(4)}
    assert tiny.names(out) == {"config.toml", "provenance.json"} | levels
    expected = rewire(
        sparse, shots, rounds=3, fine_tune=pp.ExactNaturalGradient.for_fine_tuning(epochs=3)
    )[-1].rbm
    last = pp.load_rbm(out / "level-03.nc")
    np.testing.assert_array_equal(last.weights, expected.weights)
    before = tiny.contents(out, but=(".lock", "provenance.json"))
    (out / "level-03.nc").unlink()
    assert tiny.call(*words).status == 0
    after = tiny.contents(out, but=(".lock", "provenance.json"))
    assert {name: content for name, (content, _) in after.items()} == {
        name: content for name, (content, _) in before.items()
    }
    DENSE.save(tmp_path / "dense.nc")
    refused = tiny.call("rewire", tmp_path / "dense.nc", tmp_path / "shots.nc", "-o", out)
    assert "18 weights" in tiny.refusal(refused)
    assert Level(0, sparse).fraction_pruned == pytest.approx(10 / 18)


def test_rewiring_without_training_is_refused() -> None:
    with refuses("fine_tune", "auto, exact, natural, pcd, cd", None):
        rewire(
            DENSE.with_mask(DENSE.weights > 0),
            np.zeros((9, 6), np.uint8),
            fine_tune=None,  # type: ignore[arg-type]
        )
