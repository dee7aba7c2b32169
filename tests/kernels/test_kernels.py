"""The compiled loops against enumeration and plain NumPy."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import scipy.special
import scipy.stats
from numba import njit
from numpy.typing import NDArray

import exact
from psiprune.core.random import Stream, stream_key
from psiprune.kernels import cd, gibbs, layer, layout
from psiprune.kernels.layout import NARROW, WIDE, Layer, Parameters
from psiprune.kernels.simd import FAST, LANES_PER_VECTOR

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

REJECT = 1e-4
"""A statistical test fails below this p-value. Seeds are fixed, so a passing test passes always."""


# --- layouts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("sites", [1, 31, 32, 33, 100])
@pytest.mark.parametrize("shots", [1, 7])
def test_packed_bits_unpack(sites: int, shots: int) -> None:
    bits = np.random.default_rng(sites).integers(0, 2, (shots, sites), dtype=np.uint8)
    words = layout.pack(bits)
    assert words.dtype == np.uint32
    assert words.shape == (-(-sites // 32), shots)
    for shot in range(shots):
        for site in range(sites):
            assert (int(words[site // 32, shot]) >> (site % 32)) & 1 == bits[shot, site]
    # The bits of no site are 0.
    assert sum(int(word).bit_count() for word in words.ravel()) == bits.sum()


@pytest.mark.parametrize("visible", [1, 31, 32, 33, 100])
@pytest.mark.parametrize("density", [0.0, 0.2, 1.0])
def test_graphs_hold_exactly_the_mask(visible: int, density: float) -> None:
    hidden = 1 + visible // 2
    mask = np.random.default_rng(visible).random((hidden, visible)) < density
    graph = layout.graph_of(mask)
    assert all(axis.dtype == np.int32 for axis in graph)
    by_rows = [
        (j, int(graph.row_index[edge]))
        for j in range(hidden)
        for edge in range(graph.row_start[j], graph.row_start[j + 1])
    ]
    assert by_rows == [(j, i) for j in range(hidden) for i in range(visible) if mask[j, i]]
    by_columns = [
        (int(graph.column_index[edge]), i)
        for i in range(visible)
        for edge in range(graph.column_start[i], graph.column_start[i + 1])
    ]
    assert by_columns == [(j, i) for i in range(visible) for j in range(hidden) if mask[j, i]]
    assert [by_rows[edge] for edge in graph.column_edge] == by_columns


@pytest.mark.parametrize(
    ("chains", "tile"),
    [(1, NARROW), (64, NARROW), (65, WIDE), (100, WIDE), (112, WIDE), (113, NARROW), (300, NARROW)],
)
def test_the_tile_leaves_fewer_lanes_idle(chains: int, tile: tuple[int, ...]) -> None:
    assert layout.tile_shape(chains) == tile
    idle = [-chains % (LANES_PER_VECTOR * len(shape)) for shape in (tile, WIDE, NARROW)]
    assert idle[0] == min(idle)


# --- shuffle ---------------------------------------------------------------------------------

Shuffle = Callable[[NDArray[np.int32], np.uint64], None]


def shuffle_p(shuffle: Shuffle, items: int, times: int) -> float:
    """The p-value that all orders of the items are equally likely."""
    orders = {order: k for k, order in enumerate(itertools.permutations(range(items)))}
    counts = np.zeros(len(orders))
    for k in range(times):
        order = np.arange(items, dtype=np.int32)
        shuffle(order, stream_key(k, Stream.SHUFFLE, 3))
        counts[orders[tuple(order.tolist())]] += 1
    return float(scipy.stats.chisquare(counts).pvalue)


def exchange_with_any(order: NDArray[np.int32], key: np.uint64) -> None:
    """The well-known wrong shuffle: the partner may be an item already placed."""
    generator = np.random.default_rng(int(key))
    for place in range(len(order)):
        other = int(generator.integers(0, len(order)))
        order[[place, other]] = order[[other, place]]


def never_stay(order: NDArray[np.int32], key: np.uint64) -> None:
    """Sattolo's: the partner is never the item itself, so only cycles come out."""
    generator = np.random.default_rng(int(key))
    for last in range(len(order) - 1, 0, -1):
        other = int(generator.integers(0, last))
        order[[last, other]] = order[[other, last]]


@pytest.mark.parametrize("items", [2, 3, 4])
def test_shuffles_are_uniform(items: int) -> None:
    assert shuffle_p(cd.shuffle, items, 6000) > REJECT


@pytest.mark.parametrize("broken", [exchange_with_any, never_stay])
def test_broken_shuffles_fail(broken: Shuffle) -> None:
    assert shuffle_p(broken, 4, 6000) < REJECT


@pytest.mark.parametrize("items", [0, 1, 2, 1000])
def test_shuffles_are_permutations(items: int) -> None:
    order = np.arange(items, dtype=np.int32)
    cd.shuffle(order, np.uint64(3))
    assert sorted(order.tolist()) == list(range(items))
    again = np.arange(items, dtype=np.int32)
    cd.shuffle(again, np.uint64(3))
    np.testing.assert_array_equal(order, again)
    if items == 1000:
        # Of a random order, items that stay number 1 +- 1.
        assert (order == np.arange(items)).sum() < 10


# --- one layer given the other ---------------------------------------------------------------


@njit(nogil=True, fastmath=FAST, error_model="numpy")
def probabilities_of(
    one: Layer, x: Float32, counted: Float32, p: Float32, vectors: tuple[int, ...]
) -> None:
    layer.probabilities(one, x, counted, p, vectors)


@pytest.mark.parametrize("vectors", [WIDE, NARROW])
def test_probabilities_are_sigmoids_of_the_neighbours(vectors: tuple[int, ...]) -> None:
    generator = np.random.default_rng(0)
    lanes = LANES_PER_VECTOR * len(vectors)
    mask = generator.random((5, 7)) < 0.6
    weights = np.where(mask, generator.normal(0, 2, mask.shape), 0)
    bias = np.array([0.0, 1.0, -2.0, 100.0, -100.0])
    x = generator.integers(0, 2, (7, lanes)).astype(np.float32)
    counted = (np.arange(lanes) < lanes - 5).astype(np.float32)
    p = np.empty((5, lanes), np.float32)
    graph = layout.graph_of(mask)
    layer = Layer(
        graph.row_start, graph.row_index, weights[mask].astype(np.float32), bias.astype(np.float32)
    )
    probabilities_of(layer, x, counted, p, vectors)
    expected = scipy.special.expit(weights @ x + bias[:, None]) * counted
    np.testing.assert_allclose(p, expected, rtol=5e-6, atol=1e-34)


# --- training --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Epoch:
    """A call of train_epoch; rate 0 leaves the parameters, and `velocity` is the gradient."""

    bits: NDArray[np.uint8]
    weights: Float64
    visible_bias: Float64
    hidden_bias: Float64
    mask: NDArray[np.bool_]
    batch: int
    cd_steps: int = 1
    rate: float = 0.0
    momentum: float = 0.0
    decay: float = 0.0
    start_velocity: float = 0.0

    def run(self, key: int, chains: Float32 | None = None) -> tuple[Parameters, Parameters]:
        """(parameters, velocity) after the epoch, over the shots in their order."""
        visible = self.bits.shape[1]
        vectors = layout.tile_shape(self.batch)
        if chains is None:
            chains = np.zeros((0, visible, LANES_PER_VECTOR * len(vectors)), np.float32)
        at = Parameters(
            self.weights[self.mask].astype(np.float32),
            self.visible_bias.astype(np.float32),
            self.hidden_bias.astype(np.float32),
        )
        velocity = Parameters(*(np.full_like(values, self.start_velocity) for values in at))
        cd.train_epoch(
            layout.pack(self.bits),
            np.arange(len(self.bits), dtype=np.int32),
            self.batch,
            self.cd_steps,
            chains,
            layout.graph_of(self.mask),
            at,
            velocity,
            np.float32(self.rate),
            np.float32(self.momentum),
            np.float32(self.decay),
            np.uint64(key),
            vectors,
        )
        return at, velocity


def random_epoch(visible: int, hidden: int, shots: int, seed: int, **more: Any) -> Epoch:
    generator = np.random.default_rng(seed)
    mask = generator.random((hidden, visible)) < more.pop("density", 1.0)
    scale = more.pop("scale", 1.0)
    return Epoch(
        generator.integers(0, 2, (shots, visible), dtype=np.uint8),
        np.where(mask, generator.normal(0, scale, mask.shape), 0.0),
        generator.normal(0, 0.5, visible),
        generator.normal(0, 0.5, hidden),
        mask,
        **more,
    )


@pytest.mark.parametrize(
    ("visible", "hidden", "shots", "batch", "density"),
    [
        (5, 3, 100, 100, 1.0),
        (5, 3, 50, 112, 0.5),
        (33, 4, 300, 300, 0.3),
        (4, 6, 250, 100, 1.0),
        (3, 2, 10, 1, 1.0),
        (1, 1, 70, 64, 1.0),
    ],
)
def test_the_gradient_where_the_model_is_certain(
    visible: int, hidden: int, shots: int, batch: int, density: float
) -> None:
    # Visible biases of +-60 leave one configuration to the negative phase, so nothing is random.
    given = random_epoch(visible, hidden, shots, 1, batch=batch, density=density, momentum=1.0)
    certain = np.random.default_rng(2).integers(0, 2, visible)
    epoch = Epoch(**{**vars(given), "visible_bias": 120.0 * certain - 60.0})
    _, summed = epoch.run(7)

    def means(v: Float64) -> tuple[Float64, Float64, Float64]:
        p = scipy.special.expit(v @ epoch.weights.T + epoch.hidden_bias)
        return (p.T @ v / len(v))[epoch.mask], v.mean(axis=0), p.mean(axis=0)

    model = means(certain[None, :].astype(float))
    expected = [np.zeros_like(values) for values in model]
    # At momentum 1 and rate 0 the velocity is the sum over the batches of the mean gradient.
    for first in range(0, shots, batch):
        data = means(epoch.bits[first : first + batch].astype(float))
        expected = [e + d - m for e, d, m in zip(expected, data, model, strict=True)]
    for found, wanted in zip(summed, expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=2e-5 * -(-shots // batch))


def gradient_p(
    epoch: Epoch, runs: int, expected: list[Float64], first_key: int = 0
) -> tuple[float, float]:
    """(p-value, size of the standard errors) of the mean gradient over epochs being `expected`."""
    found = []
    for run in range(runs):
        _, velocity = epoch.run(int(stream_key(first_key, Stream.NEGATIVE_PHASE, run)))
        found.append(np.concatenate(velocity))
    samples = np.array(found, dtype=np.float64)
    difference = samples.mean(axis=0) - np.concatenate(expected)
    variance, axes = np.linalg.eigh(np.cov(samples.T) / runs)
    # The gradient is linear in the counts of 2^N states, so it may vary along fewer axes than there
    # are parameters; along the others it must be right to rounding.
    varies = variance > 1e-8 * variance.max()
    along = difference @ axes
    error = float(np.sqrt(variance.max()))
    if np.abs(along[~varies]).max(initial=0.0) > 1e-5:
        return 0.0, error
    distance, dimensions = float((along[varies] ** 2 / variance[varies]).sum()), int(varies.sum())
    # Hotelling's test.
    scaled = distance * (runs - dimensions) / (dimensions * (runs - 1))
    return float(scipy.stats.f.sf(scaled, dimensions, runs - dimensions)), error


def likelihood_gradient(epoch: Epoch, model_scale: float = 1.0) -> list[Float64]:
    """<.>_data - <.>_model by enumeration, summed over batches."""
    mine = (epoch.weights, epoch.visible_bias, epoch.hidden_bias)
    model = exact.rbm_means(exact.rbm_distribution(*mine), epoch.weights, epoch.hidden_bias)
    total = [np.zeros(epoch.mask.sum()), np.zeros(len(mine[1])), np.zeros(len(mine[2]))]
    for first in range(0, len(epoch.bits), epoch.batch):
        data = exact.rbm_means(
            exact.empirical(epoch.bits[first : first + epoch.batch]),
            epoch.weights,
            epoch.hidden_bias,
        )
        for k in range(3):
            term = data[k] - model_scale * model[k]
            total[k] = total[k] + (term[epoch.mask] if k == 0 else term)
    return total


TINY: dict[str, Any] = {"visible": 3, "hidden": 2, "scale": 1.5, "momentum": 1.0, "cd_steps": 60}


@pytest.mark.parametrize(
    ("shots", "batch", "density"),
    [(100, 100, 1.0), (250, 100, 1.0), (300, 300, 1.0), (5, 7, 1.0), (64, 64, 0.6)],
)
def test_long_chains_give_the_likelihood_gradient(shots: int, batch: int, density: float) -> None:
    epoch = random_epoch(shots=shots, batch=batch, density=density, seed=3, **TINY)
    p, error = gradient_p(epoch, 1500, likelihood_gradient(epoch))
    assert p > REJECT
    assert error < 0.02  # so that a term left out or halved would be seen


def test_a_wrong_gradient_is_seen() -> None:
    epoch = random_epoch(shots=100, batch=100, seed=3, **TINY)
    off_by_2_percent = likelihood_gradient(epoch, model_scale=0.98)
    assert gradient_p(epoch, 1500, off_by_2_percent)[0] < REJECT
    # One step from the data is not the model.
    short = Epoch(**{**vars(epoch), "cd_steps": 1})
    assert gradient_p(short, 1500, likelihood_gradient(epoch))[0] < REJECT


@pytest.mark.parametrize("cd_steps", [1, 2, 3])
def test_few_steps_give_the_gradient_of_that_many_steps(cd_steps: int) -> None:
    epoch = random_epoch(
        shots=100, batch=100, seed=3, **{**TINY, "scale": 3.0, "cd_steps": cd_steps}
    )
    mine = (epoch.weights, epoch.visible_bias, epoch.hidden_bias)
    data = exact.empirical(epoch.bits)
    step = exact.gibbs_matrix(*mine)

    def expected(steps: int) -> list[Float64]:
        after = data @ np.linalg.matrix_power(step, steps)
        begin = exact.rbm_means(data, epoch.weights, epoch.hidden_bias)
        end = exact.rbm_means(after, epoch.weights, epoch.hidden_bias)
        return [(b - e).reshape(-1) for b, e in zip(begin, end, strict=True)]

    assert gradient_p(epoch, 1500, expected(cd_steps))[0] > REJECT
    assert gradient_p(epoch, 1500, expected(cd_steps + 1))[0] < REJECT


@pytest.mark.parametrize("batch", [64, 100, 300])
def test_persistent_chains_reach_the_model(batch: int) -> None:
    epoch = random_epoch(visible=4, hidden=3, shots=2 * batch, seed=5, batch=batch, cd_steps=2)
    lanes = LANES_PER_VECTOR * len(layout.tile_shape(batch))
    chains = np.zeros((-(-batch // lanes), 4, lanes), np.float32)
    mine = (epoch.weights, epoch.visible_bias, epoch.hidden_bias)
    step = exact.gibbs_matrix(*mine)
    start = np.zeros(16)
    start[0] = 1.0

    def chi_squared(expected: Float64) -> float:
        seen = chains.transpose(0, 2, 1).reshape(-1, 4).astype(np.uint8)
        return exact.chi_squared_p(seen, expected)

    # Two batches of two steps each: four steps from the start, and not two or none.
    epoch.run(1, chains)
    assert chi_squared(start @ np.linalg.matrix_power(step, 4)) > REJECT
    gathered = []
    for run in range(40):
        for _ in range(5):
            epoch.run(1000 * run + _, chains)
        gathered.append(chains.transpose(0, 2, 1).reshape(-1, 4).astype(np.uint8))
    seen = np.concatenate(gathered)
    assert exact.chi_squared_p(seen, exact.rbm_distribution(*mine)) > REJECT
    assert exact.chi_squared_p(seen, start @ step) < REJECT


def test_a_partial_batch_advances_only_its_tiles() -> None:
    epoch = random_epoch(visible=4, hidden=3, shots=10, seed=5, batch=128, cd_steps=1)
    chains = np.random.default_rng(0).integers(0, 2, (2, 4, 64)).astype(np.float32)
    before = chains.copy()
    epoch.run(1, chains)
    assert (chains[0] != before[0]).any()
    np.testing.assert_array_equal(chains[1], before[1])


def test_momentum_and_weight_decay_by_hand() -> None:
    plain = random_epoch(5, 3, 80, 4, batch=80, cd_steps=3, density=0.7)
    _, gradient = plain.run(11)
    epoch = Epoch(
        **{**vars(plain), "rate": 0.25, "momentum": 0.5, "decay": 0.125, "start_velocity": 0.0625}
    )
    at, velocity = epoch.run(11)
    start = (plain.weights[plain.mask], plain.visible_bias, plain.hidden_bias)
    for k, decay in enumerate((0.125, 0.0, 0.0)):  # weights only
        wanted = 0.5 * 0.0625 + gradient[k] - decay * start[k]
        np.testing.assert_allclose(velocity[k], wanted, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(at[k], start[k] + 0.25 * wanted, rtol=1e-5, atol=1e-6)
        assert np.abs(gradient[k]).max() > 0.01


def test_each_batch_starts_where_the_last_one_ended() -> None:
    # Two batches in one call, or one after the other; the visible layer is certain, so the
    # numbers drawn do not matter.
    given = random_epoch(4, 3, 40, 6, batch=20, rate=0.5)
    whole = Epoch(**{**vars(given), "visible_bias": np.full(4, 60.0)})
    at, _ = whole.run(1)
    first = Epoch(**{**vars(whole), "bits": whole.bits[:20]})
    middle, _ = first.run(1)
    second = Epoch(
        whole.bits[20:],
        middle.weights.reshape(3, 4).astype(np.float64),
        middle.visible_bias.astype(np.float64),
        middle.hidden_bias.astype(np.float64),
        whole.mask,
        batch=20,
        rate=0.5,
    )
    end, _ = second.run(2)
    for k in range(3):
        np.testing.assert_allclose(at[k], end[k], rtol=1e-5, atol=1e-5)
        assert np.abs(end[k] - middle[k]).max() > 1e-3


def test_an_epoch_is_the_same_in_any_thread() -> None:
    epoch = random_epoch(9, 5, 700, 8, batch=100, cd_steps=3, rate=0.1, density=0.8)
    alone = epoch.run(5)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda _: epoch.run(5), range(8)))
    for run in together:
        for group, wanted in zip(run, alone, strict=True):
            for k in range(3):
                np.testing.assert_array_equal(group[k], wanted[k])
    other = epoch.run(6)
    assert any((other[0][k] != alone[0][k]).any() for k in range(3))


# --- sampling --------------------------------------------------------------------------------


@pytest.mark.parametrize("vectors", [WIDE, NARROW])
def test_tiles_together_or_one_by_one(vectors: tuple[int, ...]) -> None:
    lanes = LANES_PER_VECTOR * len(vectors)
    epoch = random_epoch(6, 4, 1, 9, batch=1, density=0.7)
    at = Parameters(
        epoch.weights[epoch.mask].astype(np.float32),
        epoch.visible_bias.astype(np.float32),
        epoch.hidden_bias.astype(np.float32),
    )
    graph = layout.graph_of(epoch.mask)
    start = np.random.default_rng(0).integers(0, 2, (5, 6, lanes)).astype(np.float32)
    together, alone = start.copy(), start.copy()
    gibbs.gibbs(together, 10, graph, at, 0, np.uint64(3), vectors)
    for tile in (3, 0, 4, 1, 2):
        gibbs.gibbs(alone[tile : tile + 1], 10, graph, at, tile, np.uint64(3), vectors)
    np.testing.assert_array_equal(together, alone)
    # Tiles have numbers of their own.
    same = np.repeat(start[:1], 5, axis=0)
    gibbs.gibbs(same, 10, graph, at, 0, np.uint64(3), vectors)
    assert all((same[k] != same[0]).any() for k in range(1, 5))
    gibbs.gibbs(together, 0, graph, at, 0, np.uint64(4), vectors)
    np.testing.assert_array_equal(together, alone)
