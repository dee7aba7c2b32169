"""The pruning path: counts, ties, nesting, and what stays."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from psiprune.core.exceptions import InputError
from psiprune.data.readout_error import ReadoutError
from psiprune.data.shots import Shots
from psiprune.metrics.against_state import evaluate
from psiprune.metrics.reference import reference_of
from psiprune.pruning.criteria import top_k_mask
from psiprune.pruning.iterative import Level, Pruner, prune, prune_to_count, tuning_of
from psiprune.pruning.schedule import truncate, weights_kept
from psiprune.pruning.search import find_smallest
from psiprune.pruning.settings import PruneSettings
from psiprune.rbm.init import initial_rbm
from psiprune.rbm.model import RBM
from psiprune.states.mps import mps_from_vector
from psiprune.training.cd import CD
from psiprune.training.exact_natural_gradient import ExactNaturalGradient
from psiprune.training.methods import MethodBySize
from psiprune.training.pcd import PCD
from psiprune.training.train import train
from refusals import refuses
from spies import arguments_of

TABLE_I = [100, 90, 81, 72.9, 65.6, 59, 53.1, 47.8, 43, 38.7, 34.9, 31.4, 28.2, 25.4, 22.9, 20.6]
"""Percentage of weights left at each step, from the paper."""

BITS = np.random.default_rng(0).integers(0, 2, (250, 18), dtype=np.uint8)
QUICK: dict[str, Any] = {"epochs": 2, "steps": 1}


def paper_rbm(seed: int = 0) -> RBM:
    generator = np.random.default_rng(seed)
    plain = initial_rbm(18, 9, seed)
    return RBM(plain.weights, generator.normal(size=18), generator.normal(size=9))


def small_rbm() -> RBM:
    """6 sites and 4 hidden units, where the Fisher matrix takes no time."""
    whole = paper_rbm()
    return RBM(whole.weights[:4, :6], whole.visible_bias[:6], whole.hidden_bias[:4])


# --- counts ----------------------------------------------------------------------------------


def test_counts_are_those_of_table_1() -> None:
    counts = [weights_kept(162, 0.1, step) for step in range(21)]
    assert counts[:3] == [162, 146, 131]
    assert (counts[5], counts[17], counts[18], counts[20]) == (96, 27, 24, 20)
    # 0.05 is the rounding of the table, half a weight that of the count.
    for count, percentage in zip(counts, TABLE_I, strict=False):
        assert abs(100 * count / 162 - percentage) <= 0.05 + 100 * 0.5 / 162
    assert weights_kept(162, 0.5, 100) == 1
    assert weights_kept(1, 0.1, 1) == 1


def test_another_first_step() -> None:
    # The paper's appendix: 10 to 40 % at first, then 5 % a step.
    counts = [weights_kept(162, 0.05, step, first_fraction=0.4) for step in range(5)]
    assert counts == [162, 97, 92, 88, 83]
    assert [round(162 * 0.6 * 0.95**n) for n in range(4)] == counts[1:]


def test_a_path_ends_at_its_density() -> None:
    counts = [weights_kept(162, 0.1, step, density=0.5) for step in range(9)]
    assert counts == [162, 146, 131, 118, 106, 96, 86, 81, 81]
    assert weights_kept(162, 0.9, 5, density=1e-9) == 1
    half = PruneSettings(fraction=0.5, levels=9)
    assert [truncate(half, total).levels for total in (1, 2, 8, 10_000)] == [1, 1, 3, 9]


@pytest.mark.parametrize(
    ("settings", "levels"),
    [
        ({}, 20),
        ({"density": 0.5}, 7),
        ({"density": 0.9}, 1),
        ({"density": 0.95}, 1),
        ({"density": 0.9**5}, 5),
        ({"density": 0.01}, 44),
        ({"density": 0.5, "levels": 3}, 3),
        ({"density": 0.5, "levels": 30}, 7),
        ({"density": 0.5, "first_fraction": 0.4, "fraction": 0.05}, 5),
        ({"density": 0.5, "first_fraction": 0.5}, 1),
        ({"density": 0.5, "fraction": 0.5, "levels": 1}, 1),
    ],
)
def test_as_many_levels_as_a_density_takes(settings: dict[str, Any], levels: int) -> None:
    chosen = PruneSettings(**settings)
    assert chosen.levels == levels
    assert PruneSettings(**chosen.model_dump()) == chosen
    assert PruneSettings(**chosen.model_dump(exclude_unset=True)) == chosen
    if chosen.density is not None and settings.get("levels") != 3:
        path = prune(paper_rbm(), BITS, fine_tune=None, **settings)
        counts = [level.rbm.number_of_weights for level in path]
        assert counts[-1] == round(162 * chosen.density)
        assert len(counts) == levels + 1


@pytest.mark.parametrize(
    "criterion", ["magnitude", "magnitude-by-unit", "random", "damage", "surgeon"]
)
@pytest.mark.parametrize("fine_tune", [None, CD(**QUICK), PCD(**QUICK)], ids=str)
def test_paths_have_the_counts_are_nested_and_hold_zeros(criterion: Any, fine_tune: Any) -> None:
    rbm = small_rbm() if criterion in ("damage", "surgeon") else paper_rbm()
    bits = BITS[:, : rbm.visible]
    levels = prune(rbm, bits, criterion=criterion, levels=18, fine_tune=fine_tune)
    assert levels[0].rbm is rbm
    assert [level.step for level in levels] == list(range(19))
    counts = [level.rbm.number_of_weights for level in levels]
    total = rbm.number_of_weights
    assert counts == [weights_kept(total, 0.1, step) for step in range(19)]
    assert levels[5].fraction_pruned == pytest.approx(1 - counts[5] / total)
    for before, level in pairwise(levels):
        assert not (level.rbm.mask & ~before.rbm.mask).any()
        assert (level.rbm.weights[~level.rbm.mask] == 0).all()
        if fine_tune is None and criterion != "surgeon":  # which adjusts the others
            np.testing.assert_array_equal(level.rbm.visible_bias, rbm.visible_bias)
            np.testing.assert_array_equal(level.rbm.hidden_bias, rbm.hidden_bias)
            np.testing.assert_array_equal(level.rbm.weights, rbm.weights * level.rbm.mask)
        elif fine_tune is not None:
            kept = level.rbm.mask
            assert (level.rbm.weights[kept] != before.rbm.weights[kept]).all()
            assert (level.rbm.visible_bias != before.rbm.visible_bias).any()


def test_magnitude_removes_the_smallest() -> None:
    rbm = paper_rbm()
    for before, level in pairwise(prune(rbm, BITS, fine_tune=None)):
        gone = before.rbm.mask & ~level.rbm.mask
        assert np.abs(rbm.weights[gone]).max() < np.abs(rbm.weights[level.rbm.mask]).min()
    # Also after fine-tuning: what goes is smallest among the weights as they then are.
    tuned = prune(rbm, BITS, levels=4, fine_tune=CD(**QUICK))
    for before, level in pairwise(tuned):
        gone = before.rbm.mask & ~level.rbm.mask
        was = np.abs(before.rbm.weights)
        assert was[gone].max() < was[level.rbm.mask].min()


# --- masks -----------------------------------------------------------------------------------


def test_the_most_salient_are_kept() -> None:
    saliency = np.array([[3.0, 1.0, 2.0], [9.0, 5.0, 4.0]])
    mask = np.array([[True, True, True], [False, True, True]])
    np.testing.assert_array_equal(
        top_k_mask(mask, saliency, 3), [[True, False, False], [False, True, True]]
    )
    assert not top_k_mask(mask, saliency, 0).any()
    np.testing.assert_array_equal(top_k_mask(mask, saliency, 5), mask)


def test_ties_go_to_the_lower_index() -> None:
    equal = np.ones((3, 4))
    whole = np.ones((3, 4), bool)
    for count in range(13):
        kept = top_k_mask(whole, equal, count)
        np.testing.assert_array_equal(kept.ravel(), np.arange(12) < count)
    few = np.arange(200.0) % 3
    order = sorted(range(200), key=lambda k: -few[k])
    for count in range(0, 200, 7):
        kept = top_k_mask(np.ones((10, 20), bool), few.reshape(10, 20), count)
        assert np.flatnonzero(kept).tolist() == sorted(order[:count])
    rbm = RBM(np.where(np.arange(162) % 2, 0.5, -0.5).reshape(9, 18), np.zeros(18), np.zeros(9))
    for level in prune(rbm, BITS, levels=5, fine_tune=None):
        count = weights_kept(162, 0.1, level.step)
        np.testing.assert_array_equal(level.rbm.mask.ravel(), np.arange(162) < count)


def test_weights_of_value_0_count_as_weights() -> None:
    rbm = RBM(np.zeros((2, 5)), np.zeros(5), np.zeros(2))
    counts = [
        level.rbm.number_of_weights for level in prune(rbm, BITS[:, :5], levels=3, fine_tune=None)
    ]
    assert counts == [10, 9, 8, 7]


def test_random_pruning_is_a_control() -> None:
    """Over seeds each weight is kept equally often: 86 of 162 kept, 400 seeds."""
    settings = PruneSettings(criterion="random")
    masks = [prune_to_count(paper_rbm(), 86, settings, seed, 1).mask for seed in range(400)]
    np.testing.assert_array_equal(prune_to_count(paper_rbm(), 86, settings, 0, 2).mask, masks[0])
    p = 86 / 162
    z = (np.sum(masks, axis=0) - 400 * p) / np.sqrt(400 * p * (1 - p))
    # 162 nearly normal numbers with sum 0: the mean square within five standard errors.
    assert abs(np.mean(z**2) - 1) < 5 * np.sqrt(2 / 162)


def test_an_rbm_already_pruned_is_pruned_further() -> None:
    mask = np.random.default_rng(3).random((9, 18)) < 0.5
    rbm = paper_rbm().with_mask(mask)
    total = int(mask.sum())
    levels = prune(rbm, BITS, levels=4, fine_tune=None)
    assert [level.rbm.number_of_weights for level in levels] == [
        weights_kept(total, 0.1, step) for step in range(5)
    ]
    assert not (levels[-1].rbm.mask & ~mask).any()


# --- the same numbers ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "criterion", ["magnitude", "magnitude-by-unit", "random", "damage", "surgeon"]
)
def test_a_path_can_be_taken_up_at_any_level(criterion: Any) -> None:
    settings = PruneSettings(criterion=criterion, levels=6)
    tuning = PCD.for_fine_tuning(momentum=0.5, **QUICK)
    shots, total = Shots(BITS[:, :6]), 24

    def path_from(level: Level, seed: int = 7) -> list[Level]:
        levels, pruner = [level], Pruner(shots, settings, tuning, seed)
        while levels[-1].step < 6:
            levels.append(pruner.next_level(levels[-1], total))
        return levels[1:]

    path = path_from(Level(0, small_rbm()))
    assert [level.step for level in path] == [1, 2, 3, 4, 5, 6]
    rest = path_from(path[2])
    assert [level.step for level in rest] == [4, 5, 6]
    for one, other in zip(path[3:], rest, strict=True):
        np.testing.assert_array_equal(one.rbm.weights, other.rbm.weights)
        np.testing.assert_array_equal(one.rbm.mask, other.rbm.mask)
        np.testing.assert_array_equal(one.rbm.hidden_bias, other.rbm.hidden_bias)
        assert dict(one.rbm.provenance) == dict(other.rbm.provenance)
    different = path_from(path[2], seed=8)
    assert (different[-1].rbm.weights != path[-1].rbm.weights).any()


# --- against a state -------------------------------------------------------------------------


@pytest.mark.parametrize("prepare", [lambda state: state, reference_of])
def test_levels_are_evaluated(prepare: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = arguments_of(monkeypatch, "psiprune.pruning.iterative.count", "unit")
    state, rbm = mps_from_vector(np.arange(1.0, 65.0)), small_rbm()
    how: dict[str, Any] = {"levels": 2, "fine_tune": None, "draws": 200, "seed": 3}
    path = prune(rbm, BITS[:, :6], reference=prepare(state), **how)
    for level, plain in zip(path, prune(rbm, BITS[:, :6], **how), strict=True):
        assert plain.metrics is None
        assert level.metrics is not None
        wanted = evaluate(plain.rbm, state, draws=200, seed=3)
        assert level.metrics.kl.value == wanted.kl.value
        assert level.metrics.abs_magnetization_roe == wanted.abs_magnetization_roe
        assert level.step == plain.step
    assert counted == 3 * ["levels"]
    with refuses("reference", "state", "'h'"):
        prune(rbm, BITS[:, :6], reference="h")  # type: ignore[arg-type]


# --- the symmetry between 0 and 1 ------------------------------------------------------------


@pytest.mark.parametrize("criterion", ["magnitude", "magnitude-by-unit", "random", "damage"])
def test_compensation_keeps_the_symmetry_between_0_and_1(criterion: Any) -> None:
    weights = 2 * paper_rbm().weights[:4, :6]
    rbm = RBM(weights, -weights.sum(axis=0) / 2, -weights.sum(axis=1) / 2)
    bits = BITS[:, :6]

    def asymmetry(levels: list[Level]) -> float:
        tables = [level.rbm.log_prob_all() for level in levels]
        # 1 - v of basis state k is basis state 2^N - 1 - k.
        return max(np.abs(table - table[::-1]).max() for table in tables)

    kept = prune(rbm, bits, criterion=criterion, compensate=True, fine_tune=None)
    lost = prune(rbm, bits, criterion=criterion, fine_tune=None)
    assert kept[-1].rbm.number_of_weights == lost[-1].rbm.number_of_weights == 3
    assert asymmetry(kept) < 1e-12
    assert asymmetry(lost) > 0.1


# --- rewinding -------------------------------------------------------------------------------


def test_rewinding_trains_the_surviving_weights_from_where_they_began() -> None:
    early = initial_rbm(6, 4, seed=3)
    dense = train(BITS[:, :6], start=early, method=CD(epochs=3, steps=1))
    levels = prune(
        dense, BITS[:, :6], levels=3, rewind=early, fine_tune=CD.for_fine_tuning(epochs=0)
    )
    for level in levels[1:]:
        np.testing.assert_array_equal(level.rbm.weights, early.weights * level.rbm.mask)
        np.testing.assert_array_equal(level.rbm.visible_bias, early.visible_bias)
    # The mask of the first level is that of the trained RBM.
    mask = top_k_mask(dense.mask, np.abs(dense.weights), 22)
    np.testing.assert_array_equal(levels[1].rbm.mask, mask)


@pytest.mark.parametrize(
    ("given", "fresh", "again"),
    [
        ("auto", ExactNaturalGradient(), ExactNaturalGradient.for_fine_tuning()),
        (
            MethodBySize.for_fine_tuning(epochs=7),
            ExactNaturalGradient(epochs=7),
            ExactNaturalGradient.for_fine_tuning(epochs=7),
        ),
        ({"method": "cd", "epochs": 2}, CD(epochs=2), CD.for_fine_tuning(epochs=2)),
        (CD(epochs=2, learning_rate=0.03), *2 * [CD(epochs=2, learning_rate=0.03)]),
        (
            MethodBySize.for_fine_tuning(),
            ExactNaturalGradient(),
            ExactNaturalGradient.for_fine_tuning(),
        ),
        (None, None, None),
    ],
)
def test_after_rewinding_an_rbm_is_trained_as_a_new_one(given: Any, fresh: Any, again: Any) -> None:
    assert tuning_of(small_rbm(), given, small_rbm()) == fresh
    assert tuning_of(small_rbm(), given) == again


@pytest.mark.parametrize("misread", [True, False])
def test_the_method_of_fine_tuning_allows_for_readout_errors(misread: bool) -> None:
    # Sums over the true bits of records end at 20 sites.
    error = ReadoutError.from_rates(0.1, sites=21) if misread else None
    shots = Shots(np.zeros((2, 21), np.uint8), readout=error)
    rbm, method = initial_rbm(21, 1, 0), MethodBySize(epochs=0)
    path = prune(rbm, shots, levels=1, fine_tune=method)
    settings = PruneSettings(levels=1)
    found = find_smallest(
        rbm, shots, measure=lambda _: 0.0, limit=1.0, settings=settings, fine_tune=method
    )
    for tuned in (path[1].rbm, found.rbm):
        assert tuned.provenance["method"] == ("natural" if misread else "exact")


@pytest.mark.parametrize(
    ("rewind", "fine_tune", "begins"),
    [
        (initial_rbm(6, 3, 0), "cd", "rewind: must have the shape [hidden, visible] = [4, 6]"),
        (small_rbm().with_mask(np.eye(4, 6, dtype=bool)), "cd", "rewind: lacks 20 "),
        (initial_rbm(6, 4, 0), None, "rewind: requires fine-tuning"),
    ],
)
def test_what_cannot_be_rewound(rewind: RBM, fine_tune: Any, begins: str) -> None:
    with pytest.raises(InputError) as caught:
        prune(small_rbm(), BITS[:, :6], rewind=rewind, fine_tune=fine_tune)
    assert str(caught.value).startswith(begins)


# --- bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "begins"),
    [
        ({"fraction": 0}, "fraction: "),
        ({"fraction": 1}, "fraction: "),
        ({"fraction": -0.1}, "fraction: "),
        ({"fraction": float("nan")}, "fraction: "),
        ({"levels": 0}, "levels: "),
        ({"levels": 1.5}, "levels: "),
        ({"criterion": "luck"}, "criterion: "),
        ({"criterion": "surgeon", "compensate": True}, "compensate: "),
        ({"first_fraction": 0}, "first_fraction: "),
        ({"density": 1}, "density: "),
        ({"fine_tune": "adam"}, "method: "),
        ({"fine_tune": {"method": "cd", "epochs": -1}}, "epochs: "),
        ({"fine_tune": {"method": "cd", "epoch": 1}}, "epoch: "),
        ({"fine_tune": {"method": "exact", "steps": 1}}, "steps: "),
        ({"seed": -1}, "seed: "),
        ({"shots": BITS[:, :17]}, "array: has 17 sites"),
        ({"shots": [[0, 2]]}, "array: row 0, column 1"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_arguments(arguments: dict[str, Any], begins: str) -> None:
    shots = arguments.pop("shots", BITS)
    with pytest.raises(InputError) as caught:
        prune(paper_rbm(), shots, **arguments)
    assert str(caught.value).startswith(begins)
    assert "\n" not in str(caught.value)
