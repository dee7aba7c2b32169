"""Natural gradient with chains: its end, its resumption; and the local start."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
import pytest

import psiprune as pp
from machines import random_rbm
from psiprune.rbm.init import initial_rbm, local_rbm
from psiprune.rbm.likelihood import log_likelihood, unique_configurations
from psiprune.training import natural_metric
from psiprune.training.natural_gradient import NaturalState, mean_scores, parts_of
from psiprune.training.natural_metric import forms_fisher
from refusals import refuses

SMALL = pp.NaturalGradient(epochs=150, chains=4000, steps=10)
#: Whether F of few parameters is formed.
both_ways = pytest.mark.parametrize("most", [1000, 0], ids=["formed", "not formed"])


def ising_shots(sites: int, shots: int = 20_000) -> pp.Shots:
    return pp.sample(pp.ground_state(pp.TFIM(sites=sites, field=1.0)), shots, seed=5)


def steps_of(method: pp.NaturalGradient, state: NaturalState) -> Iterator[NaturalState]:
    """The states after `state`, up to the last step."""
    while state.epoch < method.epochs:
        state, _ = method.step(state)
        yield state


def test_it_ends_at_the_maximum_of_the_likelihood() -> None:
    shots = ising_shots(8)
    data = unique_configurations(shots.bits)
    best, _ = log_likelihood(pp.train(shots, hidden=4, method="exact", seed=0), data)
    start = local_rbm(shots, 4, 0)
    states = list(steps_of(SMALL, SMALL.init(start, shots, 0)))
    loss = [best - log_likelihood(state.rbm, data)[0] for state in states]
    floor = start.number_of_parameters / (2 * len(shots))  # 1.1e-3: what the data leave open
    assert loss[-1] < floor
    assert loss[10] > 2 * floor  # it is no property of the start


@both_ways
def test_an_interrupted_run_ends_with_the_same_bits(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(natural_metric, "_SQUARED_PARAMETERS", most)
    shots = ising_shots(6, 2000)
    method = pp.NaturalGradient(epochs=8, chains=300, steps=10)
    start = method.init(initial_rbm(6, 3, 1), shots, 1)
    *_, unbroken = steps_of(method, start)
    *_, half = islice(steps_of(method, start), 5)
    assert half.epoch == 5
    restored = start.restore(half.epoch, half.to_arrays())
    assert half.fisher is not None
    assert restored.fisher is not None
    for name in ("moved", "age", "damping"):
        assert getattr(restored.fisher, name) == getattr(half.fisher, name)
    *_, resumed = steps_of(method, restored)
    np.testing.assert_array_equal(resumed.rbm.weights, unbroken.rbm.weights)
    np.testing.assert_array_equal(resumed.chains, unbroken.chains)


@both_ways
def test_the_number_of_threads_changes_nothing(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(natural_metric, "_SQUARED_PARAMETERS", most)
    shots = ising_shots(6, 20_000)  # three pieces
    settings = pp.NaturalGradient(epochs=3, chains=2000)
    found = []
    for cores in (1, 2, 3):
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        found.append(pp.train(shots, hidden=3, seed=2, method=settings).weights)
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])


@pytest.mark.parametrize(
    ("parameters", "work", "formed"),
    [(5150, 5000, False), (2236, 5000, True), (2237, 5000, False), (100, 10, True)],
)
def test_the_matrix_of_few_parameters_is_formed(parameters: int, work: int, formed: bool) -> None:
    assert forms_fisher(parameters, work) == formed


def test_a_metric_that_is_not_formed_keeps_its_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(natural_metric, "_SQUARED_PARAMETERS", 0)
    rbm = random_rbm(8, 6)
    bits = np.random.default_rng(0).integers(0, 2, (500, 8), dtype=np.uint8)
    metric = natural_metric.new_metric(rbm, bits, 1e-3, None, 0)
    known, generator = np.empty((0, 62)), np.random.default_rng(1)
    for number in (20, 24, 28):
        gradient = generator.normal(size=62)
        x, metric = metric.solve(gradient)
        assert isinstance(metric.solver, natural_metric.Search)
        directions = metric.solver.known.directions
        np.testing.assert_array_equal(directions[: len(known)], known)
        assert len(directions) == number
        best = directions.T @ (directions @ gradient)  # as directions are conjugate
        np.testing.assert_allclose(x, best, atol=1e-3 * np.abs(best).max())
        known = directions


@pytest.mark.parametrize(
    ("shots", "chains", "parts"),
    [
        (10**5, 10_000, 5),
        (39_999, 10_000, 1),
        (40_000, 10_000, 2),
        (9, 10_000, 1),
        (10**6, 100, 10),
    ],
)
def test_each_step_uses_a_part_of_many_shots(shots: int, chains: int, parts: int) -> None:
    assert parts_of(shots, chains) == parts


def test_too_many_parameters_are_refused() -> None:
    shots = pp.Shots(np.zeros((3, 200), np.uint8))
    with refuses("method", "'natural'", 20_000, 20_300, "'pcd'"):
        pp.train(shots, hidden=100, method="natural")


# --- the local start ---------------------------------------------------------------------------


def test_a_unit_starts_on_its_site_and_those_it_depends_on() -> None:
    rng = np.random.default_rng(3)
    first = rng.integers(0, 2, (5000, 3), dtype=np.uint8)
    same = first ^ (rng.random((5000, 3)) < 0.2)
    bits = np.empty((5000, 6), np.uint8)
    bits[:, 0::2], bits[:, 1::2] = first, 1 - same  # three pairs of opposite bits
    rbm = local_rbm(pp.Shots(bits), 3, 0)
    for unit, site in enumerate((1, 3, 5)):
        order = np.argsort(-np.abs(rbm.weights[unit]))
        assert order[0] == site
        assert order[1] == site - 1
        assert rbm.weights[unit, site] > 2
        assert rbm.weights[unit, site - 1] < -1


@pytest.mark.parametrize("bits", [[[0]], [[1]], [[0, 1]], [[0, 1], [0, 1]], [[1, 1, 0]] * 5])
def test_the_local_start_exists_for_constant_and_tiny_data(bits: list[list[int]]) -> None:
    rbm = local_rbm(pp.Shots(np.array(bits, np.uint8)), 2, 0)
    assert np.isfinite(rbm.weights).all()
    assert np.isfinite(rbm.visible_bias).all()


def test_the_local_start_is_of_no_direction_for_symmetric_data() -> None:
    half = np.random.default_rng(1).integers(0, 2, (500, 8), dtype=np.uint8)
    rbm = local_rbm(pp.Shots(np.concatenate([half, 1 - half])), 4, 0)
    bits = np.random.default_rng(2).integers(0, 2, (50, 8), dtype=np.uint8)
    np.testing.assert_allclose(
        rbm.log_prob_unnormalized(bits), rbm.log_prob_unnormalized(1 - bits), atol=1e-9
    )


def test_averages_of_a_sparse_mask_are_those_of_a_dense_one() -> None:
    generator = np.random.default_rng(3)
    mask = generator.random((6, 20)) < 0.2
    parameters = generator.normal(size=(6, 20)) * mask, np.zeros(20), generator.normal(size=6)
    bits = [generator.integers(0, 2, (count, 20), dtype=np.uint8) for count in (30, 7)]
    (sparse,), (dense,) = (
        mean_scores(pp.RBM(*parameters, each), bits) for each in (mask, mask | True)
    )
    np.testing.assert_array_equal(sparse.visible_hidden[~mask], 0.0)
    found = sparse.visible_hidden[mask]
    np.testing.assert_allclose(found, dense.visible_hidden[mask], rtol=1e-5)
    np.testing.assert_allclose(sparse.visible, dense.visible, rtol=1e-6)
    np.testing.assert_allclose(sparse.hidden, dense.hidden, rtol=1e-5)
