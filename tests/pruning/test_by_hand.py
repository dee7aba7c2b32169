"""Formulas and random streams of pruning, on numbers small enough to check by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from numpy.typing import NDArray

import exact
from machines import distribution, random_rbm, whole_basis
from psiprune.data.readout_error import ReadoutError
from psiprune.data.shots import Shots
from psiprune.inference import fisher
from psiprune.inference.fisher import model_fisher
from psiprune.pruning import optimal_brain_surgeon, rewire, search
from psiprune.pruning.criteria import magnitude_by_unit
from psiprune.pruning.iterative import Level, Pruner, prune_to_count
from psiprune.pruning.optimal_brain_surgeon import (
    LocalModel,
    PrunedCandidate,
    _halves,
    _local_model,
    _remove_chunk,
    _scaled,
    _without_surgery,
    divergence_from,
    prune_obs,
)
from psiprune.pruning.rewire import edge_gradient, rewired
from psiprune.pruning.search import Trial, _resampled
from psiprune.pruning.settings import PruneSettings, RewireSettings
from psiprune.rbm.likelihood import WeightedConfigurations, log_likelihood, unique_configurations
from psiprune.rbm.model import RBM
from psiprune.training.cd import CD
from psiprune.training.exact_natural_gradient import ExactNaturalGradient
from psiprune.training.train import train
from spies import arguments_of

ANY = random_rbm(4, 3)
BITS = exact.basis(4)


# --- criteria --------------------------------------------------------------------------------


def test_ranks_within_units_of_two_and_of_four_weights() -> None:
    """(r + 1/2)/n: 1/8, 1/4, 3/8, 5/8, 3/4, 7/8; in (r + 1)/n unit 0 would tie with unit 1."""
    weights = np.array([[9.0, 8.0, 0.0, 0.0], [-4.0, 3.0, 2.0, -1.0]])
    rbm = RBM(weights, np.zeros(4), np.zeros(2), weights != 0)
    assert magnitude_by_unit(rbm).astype(int).tolist() == [[5, 2, 0, 0], [6, 4, 3, 1]]


def test_a_path_of_random_pruning_is_one_draw() -> None:
    settings = PruneSettings(criterion="random", fraction=0.4)
    level, kept = Level(0, ANY), list[NDArray[np.bool_]]()
    for _ in range(3):
        level = Pruner(Shots(BITS), settings, None, 5).next_level(level, 12)
        kept.append(level.rbm.mask)
        at_once = prune_to_count(ANY, level.rbm.number_of_weights, settings, 5, 1)
        np.testing.assert_array_equal(level.rbm.mask, at_once.mask)
    assert [mask.sum() for mask in kept] == [7, 4, 3]


# --- surgery ---------------------------------------------------------------------------------


def test_what_surgery_is_compared_with() -> None:
    """W^2 F is 1, 1.8, 1.2, 0.25; |W| F would be 1, 0.6, 0.6, 0.5."""
    rbm = RBM(np.array([[1.0, -3.0], [2.0, 0.5]]), np.zeros(2), np.zeros(2))
    fisher_matrix = np.diag([1.0, 0.2, 0.3, 1.0, 9.0, 9.0, 9.0, 9.0])
    compensated, plain, by_damage = _without_surgery(rbm, fisher_matrix, 2)
    for each in (compensated, plain, by_damage):
        assert each.mask.tolist() == [[False, True], [True, False]]
    assert compensated.visible_bias.tolist() == compensated.hidden_bias.tolist() == [0.5, 0.25]
    assert not plain.visible_bias.any()
    *_, by_damage = _without_surgery(rbm, fisher_matrix, 3)
    assert by_damage.mask.tolist() == [[True, True], [True, False]]
    *_, by_damage = _without_surgery(rbm, np.diag([1.0, 0.02, 0.3, 0.3] + [0.0] * 4), 2)
    assert by_damage.mask.tolist() == [[True, False], [True, False]]


def test_a_fraction_of_an_adjustment() -> None:
    plain = RBM(np.ones((1, 2)), np.zeros(2), np.zeros(1))
    full = RBM(np.full((1, 2), 2.0), np.full(2, 4.0), np.full(1, 8.0), provenance={"seed": 1})
    found = _scaled(PrunedCandidate(full, plain, 0.0), 0.25)
    assert found.provenance == {"seed": 1}
    assert found.weights.tolist() == [[1.25, 1.25]]
    assert (found.visible_bias.tolist(), found.hidden_bias.tolist()) == ([1, 1], [2])


def test_all_sample_sets_of_surgery_have_seeds_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in (fisher, optimal_brain_surgeon):
        monkeypatch.setattr(module, "EXACT_SITES", 3)
    monkeypatch.setattr(optimal_brain_surgeon, "CHUNKS_ON_SAMPLES", 3)
    matrices, checks = (
        arguments_of(monkeypatch, f"{module.__name__}.model_configurations", "seed")
        for module in (fisher, optimal_brain_surgeon)
    )
    prune_obs(ANY, 3, draws=200, seed=2)
    assert len(matrices) == len(checks) >= 3
    assert len({*matrices, *checks}) == 2 * len(matrices)


def test_surgery_draws_four_samples_a_parameter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimal_brain_surgeon, "EXACT_SITES", 3)
    asked = list[int]()

    def drawn(rbm: RBM, draws: int, _: int) -> WeightedConfigurations:
        asked.append(draws)
        return whole_basis(rbm)

    monkeypatch.setattr(optimal_brain_surgeon, "model_configurations", drawn)
    prune_obs(ANY, 11, draws=1)
    prune_obs(ANY, 11, draws=1000)
    assert asked == [4 * (12 + 4 + 3), 1000]


def test_given_samples_are_split_alternately() -> None:
    """Sorted samples: every second one for the matrix, the others for the check."""
    bits = np.repeat(BITS, [11, 9] * 8, axis=0)
    split = _halves(RBM(np.ones((1, 4)), np.zeros(4), np.zeros(1)), bits)
    assert split.size == 80
    for found, rows in ((split.matrix, bits[::2]), (split.check, bits[1::2])):
        wanted = unique_configurations(rows)
        np.testing.assert_array_equal(found.bits, wanted.bits)
        np.testing.assert_array_equal(found.weight, wanted.weight)
    assert (split.matrix.weight != split.check.weight).any()
    local = _local_model(ANY, 9, 0, 0, split)
    fisher_matrix = model_fisher(ANY, draws=9, seed=0, samples=split.matrix)
    np.testing.assert_array_equal(local.fisher, fisher_matrix)
    none = ANY.with_mask(ANY.mask & False)
    cost = divergence_from(ANY, draws=split.size, seed=0, samples=split.check)(none)
    assert local.divergence(none) == cost


def test_a_chunk_is_halved_until_its_cost_is_as_predicted() -> None:
    """F = 1: the cost of weights is half the sum of their squares, and nothing is adjusted."""
    rbm = RBM(np.array([[1.0, 2.0, 3.0, 4.0, 5.0]]), np.zeros(5), np.zeros(1))
    factor = {1: 1.99, 2: 1.99, 4: 2.02}

    def divergence(other: RBM) -> float:
        gone = rbm.weights[~other.mask]
        return factor[len(gone)] * float(gone @ gone) / 2

    found, removed = _remove_chunk(rbm, 4, 1, LocalModel(np.eye(11), divergence), 2.0)
    assert (removed, found.mask.tolist()) == (2, [[False, False, True, True, True]])
    factor[2] = 2.02
    assert _remove_chunk(rbm, 4, 1, LocalModel(np.eye(11), divergence), 2.0)[1] == 1
    idle = RBM(np.zeros((1, 5)), np.zeros(5), np.zeros(1))
    for rounding, removed in ((5e-7, 4), (2e-6, 1)):  # more than 1e-6 is a cost
        local = LocalModel(np.eye(11), Mock(return_value=rounding))
        assert _remove_chunk(idle, 4, 1, local, 2.0)[1] == removed


@pytest.mark.parametrize("rank", range(4))
def test_where_the_smallest_chunk_fails_others_are_tried(rank: int) -> None:
    """Each weight first, at each damping, and the best of all with less of its adjustment."""
    rbm = RBM(np.array([[1.0, 2.0, 3.0, 4.0]]), np.zeros(4), np.zeros(1))
    matrix = np.full((9, 9), 0.5) + 0.5 * np.eye(9)
    tried = list[NDArray[np.float64]]()

    def divergence(other: RBM) -> float:
        tried.append(other.weights[0])
        change = other.weights - rbm.weights * other.mask
        return 1e3 + float(np.abs(change).sum()) + 1e3 * float(other.mask[0, rank])

    found, removed = _remove_chunk(rbm, 1, 1, LocalModel(matrix, divergence), 2.0)
    assert removed == 1
    np.testing.assert_array_equal(
        found.weights[0], np.where(np.arange(4) == rank, 0, rbm.weights[0])
    )
    for damping in (1e-3, 1e-2, 1e-1, 1.0):
        inverse = np.linalg.inv(matrix + damping * np.eye(9))[:4, :4]
        for k in range(4):
            wanted = rbm.weights[0] - inverse[k] * (rbm.weights[0, k] / inverse[k, k])
            assert min(np.abs(each - wanted).max() for each in tried) < 1e-9
    assert len({tuple(each) for each in tried}) == 4 * 4 + 3


@pytest.mark.parametrize(
    ("limit", "tolerance", "sizes", "smallest"),
    [(6, 2.0, [4, 2, 4, 4, 4, 1], [1] * 6), (5, 4.0, [16, 2, 4, 8, 1], [2, 2, 2, 2, 1])],
)
def test_chunks_grow_again_and_the_end_is_compared_with_the_start(
    limit: int,
    tolerance: float,
    sizes: list[int],
    smallest: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """24 weights to 8, in quarters or on samples at once, where the first chunk removes only 1."""
    compared, asked, steps = list[RBM](), list[tuple[int, int, float]](), list[int]()
    start = random_rbm(6, 4)

    def local(rbm: RBM, draws: int, seed: int, step: int, *_: object) -> LocalModel:
        steps.append(step)

        def nothing(_: RBM) -> float:
            compared.append(rbm)
            return 0.0

        return LocalModel(np.eye(34), nothing)

    def remove(rbm: RBM, size: int, least: int, _: object, factor: float) -> tuple[RBM, int]:
        asked.append((size, least, factor))
        number = size if len(asked) > 1 else 1
        return prune_to_count(rbm, rbm.number_of_weights - number, PruneSettings(), 0, 0), number

    monkeypatch.setattr(optimal_brain_surgeon, "EXACT_SITES", limit)
    monkeypatch.setattr(optimal_brain_surgeon, "_local_model", local)
    monkeypatch.setattr(optimal_brain_surgeon, "_remove_chunk", remove)
    assert prune_obs(start, 8).number_of_weights == 8
    assert asked == [(*each, tolerance) for each in zip(sizes, smallest, strict=True)]
    assert steps == [*range(len(sizes))]
    assert compared
    assert all(each is start for each in compared)


@pytest.mark.parametrize(("excess", "stands"), [(5e-7, True), (1e-6, True), (2e-6, False)])
def test_a_rival_must_be_better_by_more_than_rounding(
    excess: float, stands: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_surgery, *rivals = (replace(ANY, provenance={"seed": k}) for k in range(4))
    cost = dict(zip([*range(4)], [excess, 2.0, 0.0, 1.0], strict=True))
    local = LocalModel(np.eye(19), lambda rbm: cost[int(rbm.provenance["seed"])])
    none = by_surgery.with_mask(ANY.mask & False)
    monkeypatch.setattr(optimal_brain_surgeon, "_local_model", lambda *_: local)
    monkeypatch.setattr(optimal_brain_surgeon, "_without_surgery", lambda *_: rivals)
    monkeypatch.setattr(optimal_brain_surgeon, "_remove_chunk", lambda *_: (none, 12))
    assert prune_obs(ANY, 0) is (none if stands else rivals[1])


@pytest.mark.parametrize("unknown", [0, 1, 2])
@pytest.mark.parametrize(
    ("missing", "shift"),
    [
        (BITS[:, 0] > 1, [0.0, 0, 3, 0]),
        (BITS[:, 3] == 1, [9.0, 0, 0, 7]),
        ((BITS[:, 0] == 0) | (BITS[:, 3] == 1), [14.0, 1, 0, -7]),
    ],
)
def test_the_divergence_at_given_samples(
    missing: NDArray[np.bool_], shift: list[float], unknown: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within the samples; or with log Z, where the other RBM is mostly not, or only, in those."""
    other = RBM(ANY.weights, ANY.visible_bias + np.array(shift), ANY.hidden_bias)
    rows = np.flatnonzero(~missing)
    weight = (distribution(ANY) * np.where(BITS[:, 2], 1.1, 1.0))[rows]
    weight /= weight.sum()
    samples = WeightedConfigurations(BITS[rows].T.astype(float), weight)
    ratio = np.log(distribution(ANY) / distribution(other))[rows]
    log_z = other.log_partition() - ANY.log_partition()
    d = ratio - log_z  # of unnormalised probabilities
    total, within = weight @ ratio, weight @ d + np.log(weight @ np.exp(-d))
    error = np.sqrt(weight @ (d - weight @ d) ** 2 / 100)
    assert (abs(total - within) > 3 * error) == missing.any()
    known = {ANY: ANY.log_partition(), other: None if unknown == 2 else other.log_partition()}
    of = None if unknown == 1 else known.__getitem__
    monkeypatch.setattr(optimal_brain_surgeon, "log_partition_after_pruning", lambda *_: of)
    found = divergence_from(ANY, draws=100, seed=0, samples=samples)(other)
    assert found == pytest.approx(total if missing.any() and not unknown else within, rel=1e-9)
    assert total != pytest.approx(within, rel=1e-6)


# --- streams ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("criterion", "samples_of"),
    [("damage", "criteria.damage"), ("surgeon", "iterative.prune_obs")],
)
def test_steps_and_fine_tuning_have_seeds_of_their_own(
    criterion: Any, samples_of: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples, draws = (
        arguments_of(monkeypatch, f"psiprune.pruning.{samples_of}", name)
        for name in ("seed", "draws")
    )
    training, level = list[Any](), Level(0, ANY)
    for _ in range(3):
        settings = PruneSettings(criterion=criterion, fraction=0.3, draws=777)
        level = Pruner(Shots(BITS), settings, CD(epochs=1), 5).next_level(level, 12)
        training.append(level.rbm.provenance["seed"])
    assert len({*samples, *training, 5}) == 7
    assert draws == 3 * [777]


def test_rounds_of_rewiring_have_seeds_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    sparse = ANY.with_mask(ANY.weights > 0)
    slopes, dropping = (
        arguments_of(monkeypatch, f"psiprune.pruning.rewire.{name}", "seed")
        for name in ("edge_gradient", "prune_to_count")
    )
    draws, settings = (
        arguments_of(monkeypatch, f"psiprune.pruning.rewire.{name}", argument)
        for name, argument in (("edge_gradient", "draws"), ("prune_to_count", "settings"))
    )
    for step in range(3):
        rewired(sparse, whole_basis(ANY), 1, RewireSettings(draws=777), 5, step)
    assert len({*slopes, *dropping, 5}) == 7
    assert {(draws[0], each.draws, each.criterion) for each in settings} == {(777, 777, "surgeon")}


def test_trials_of_a_search_have_seeds_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their steps lie beyond those of all levels, of which there are at most 10,000."""
    steps = arguments_of(monkeypatch, "psiprune.pruning.iterative.Pruner.pruned_level", "step")
    found = search.find_smallest(ANY, BITS, measure=lambda _: 0.0, limit=0, fine_tune=None)
    levels = sum(trial.name.startswith("level") for trial in found.trials[1:])
    assert 0 < levels < len(steps)
    assert max(steps[:levels]) <= 10_000 < min(steps[levels:])


@pytest.mark.parametrize("converges", [False, True])
def test_an_ensemble_differs_by_seed_or_by_shots(
    converges: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = ExactNaturalGradient(epochs=3) if converges else CD(epochs=3)
    shots = Shots(np.random.default_rng(0).integers(0, 2, (50, 4), dtype=np.uint8), source="a.nc")
    rbm = train(shots, hidden=3, seed=4, method=method, initial="random")
    rbm = replace(rbm, provenance={**rbm.provenance, "folds": 5})
    seeds, records, measures = list[int](), list[Shots](), iter([1.0, 2.0, 3.0])
    epochs = arguments_of(monkeypatch, "psiprune.pruning.search.expect", "change")
    passed: dict[str, Any] = {"callback": object(), "checkpoints": object()}
    names = list[str]()

    def load_or_make(name: str, make: Any) -> Trial:
        names.append(name)
        made: Trial = make(passed["checkpoints"])
        return made

    def trained(data: Shots, *, seed: int, **others: Any) -> RBM:
        assert others == {
            "hidden": 3,
            "method": method,
            "initial": "random",
            "folds": 5,
            **passed,
        }
        seeds.append(seed)
        records.append(data)
        return rbm

    monkeypatch.setattr(search, "train", trained)
    limit = search.dense_limit(
        rbm,
        shots,
        measure=lambda _: next(measures),
        others=2,
        callback=passed["callback"],
        load_or_make=load_or_make,
    )
    assert (limit, seeds, epochs, names) == (3, [5, 6], [6], ["other-1", "other-2"])
    wanted = [_resampled(shots, seed) for seed in seeds] if converges else [shots, shots]
    for record, each in zip(records, wanted, strict=True):
        np.testing.assert_array_equal(record.bits, each.bits)
        assert record.source == ("a.nc (resampled)" if converges else "a.nc")
    rows = {record.bits.tobytes() for record in [shots, *records]}
    assert len(rows) == (3 if converges else 1)
    one = Shots(BITS[3:4], readout=ReadoutError.from_rates(0.1, sites=BITS.shape[1]))
    np.testing.assert_array_equal(_resampled(one, 0).bits, one.bits)
    assert _resampled(one, 0).readout is one.readout
    passed.update(callback=None, checkpoints=None)
    assert search.dense_limit(rbm, shots, measure=lambda _: 4.0) == 4


# --- rewiring --------------------------------------------------------------------------------


def test_slopes_by_samples_add_up_over_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    data = unique_configurations(BITS[[9, 3, 3, 5, 7, 15]])
    sparse = ANY.with_mask(ANY.weights > 0)
    wanted = log_likelihood(sparse, data)[1].visible_hidden
    monkeypatch.setattr(rewire, "is_exact", lambda _: False)
    monkeypatch.setattr(rewire, "model_configurations", lambda rbm, *_: whole_basis(rbm))
    monkeypatch.setattr(rewire, "_PIECE", 3)
    np.testing.assert_allclose(edge_gradient(sparse, data), wanted, atol=1e-12)


@pytest.mark.parametrize(
    ("slopes", "grown"), [([9.0, -3.0, 1.0, 2.0], 1), ([9.0, 0.5, 1.0, 2.0], 3)]
)
def test_the_steepest_of_the_weights_missing_before(
    slopes: list[float], grown: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weight 0 is dropped, and is the steepest; it doesn't return. Slopes count by their size."""
    rbm = RBM(
        np.array([[0.1, 0.0, 5.0, 0.0]]),
        np.zeros(4),
        np.zeros(1),
        np.eye(4, dtype=bool)[[0]] | np.eye(4, dtype=bool)[[2]],
    )

    def gradient(dropped: RBM, *_: Any, **__: Any) -> NDArray[np.float64]:
        assert dropped.mask.tolist() == [[False, False, True, False]]
        return np.array([slopes])

    monkeypatch.setattr(rewire, "edge_gradient", gradient)
    settings = RewireSettings(criterion="magnitude")
    found = rewired(rbm, whole_basis(rbm), 1, settings, 0, 0)
    assert np.flatnonzero(found.mask).tolist() == sorted([grown, 2])
