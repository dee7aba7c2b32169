"""Sums of weights looked up in tables: groups of units, sums, and chains."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numba import typeof

import exact
from machines import distribution, random_rbm
from psiprune.kernels import ais, cd, groups, layout
from psiprune.kernels.layout import WIDE, Parameters
from psiprune.rbm import gibbs
from psiprune.rbm.model import RBM

REJECT = 1e-4
"""A sampler fails below this p-value. Seeds are fixed, so a passing test passes always."""
ROUNDING = 2.0**-24
TABLES = ["avx2", "avx512"]


# --- groups ----------------------------------------------------------------------------------


def masks() -> list[np.ndarray]:
    """Masks [hidden, visible], some with units without neighbours."""
    generator = np.random.default_rng(0)
    shapes = ((1, 1), (1, 4), (4, 1), (3, 5), (9, 18), (10, 33))
    random = [generator.random(shape) < density for shape in shapes for density in (0.0, 0.2, 0.6)]
    return [*random, *(np.ones(shape, bool) for shape in shapes), np.eye(7, dtype=bool)]


@pytest.mark.parametrize("way", TABLES)
@pytest.mark.parametrize("mask", masks())
def test_groups_hold_exactly_the_mask(mask: np.ndarray, way: str) -> None:
    size = {"avx2": 3, "avx512": 4}[way]
    tables = groups.tables_of(mask, groups.registers_of(way, mask.shape[1]))
    weights = np.arange(1, mask.sum() + 1)
    dense = np.zeros(mask.shape, int)
    dense[mask] = weights
    for one, other, expected in (
        (tables.to_hidden, tables.to_visible, dense),
        (tables.to_visible, tables.to_hidden, dense.T),
    ):
        assert sorted(one.place) == [*range(len(expected))]
        assert len(one.start) == len(expected) + 1
        assert np.unique(one.at).size == len(one.at)
        space = np.zeros((len(one.group), size), int)
        space.reshape(-1)[one.at] = weights
        assert space.any(axis=1).all()  # groups without a weight are skipped
        found = np.zeros((len(expected), size * -(-len(other.place) // size)), int)
        for unit, (begin, end) in enumerate(zip(one.start, one.start[1:], strict=False)):
            assert (np.diff(one.group[begin:end]) > 0).all()
            for entry in range(begin, end):
                found[unit, size * one.group[entry] :][:size] = space[entry]
        np.testing.assert_array_equal(found[:, other.place], expected)


@pytest.mark.parametrize("size", [3, 4])
@pytest.mark.parametrize("mask", masks())
def test_groups_are_those_of_the_rule(mask: np.ndarray, size: int) -> None:
    neighbours = [set(np.flatnonzero(row)) for row in mask]
    left, order = list(range(len(mask))), []
    while left:
        union: set[np.intp] = set()
        for member in range(min(size, len(left))):
            common = [len(neighbours[unit] & union) for unit in left]
            more = [len(neighbours[unit] - union) for unit in left]
            keys = [(n, -m) if member else (m, 0) for n, m in zip(common, more, strict=True)]
            order.append(left.pop(keys.index(max(keys))))
            union |= neighbours[order[-1]]
    np.testing.assert_array_equal(groups.places(mask, size)[order], np.arange(len(mask)))


@pytest.mark.parametrize(("way", "size"), [("avx2", 3), ("avx512", 4)])
def test_groups_fill_where_units_share_neighbours(way: str, size: int) -> None:
    generator = np.random.default_rng(0)
    blocks = np.kron(np.eye(6, dtype=bool), np.ones((size, 2 * size), bool))
    hidden, visible = blocks.shape
    mask = blocks[generator.permutation(hidden)][:, generator.permutation(visible)]
    tables = groups.tables_of(mask, groups.registers_of(way, mask.shape[1]))
    assert len(tables.to_hidden.group) == mask.sum() / size
    assert len(tables.to_visible.group) == mask.sum() / size


def test_machine_code_for_each_way_has_different_types(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`KernelCache` names files by them."""
    monkeypatch.setenv("NUMBA_CPU_NAME", "imagined")
    monkeypatch.setenv("NUMBA_CPU_FEATURES", "+avx512f,+avx2,+fma")
    names = set()
    for sums in (*TABLES, "loops"):
        monkeypatch.setenv("PSIPRUNE_SIMD", sums)
        names.add(str(typeof(layout.graph_of(np.ones((2, 3), bool)))))
    assert len(names) == 3


# --- sums ------------------------------------------------------------------------------------


def log_weights(weights: np.ndarray, bias: float, v: np.ndarray) -> np.ndarray:
    """log((1 + exp(bias + weights . v)) / 2) of each lane, from a float32 sum over neighbours."""
    mask = (weights != 0)[None]
    visible = len(weights)
    params = Parameters(
        weights[weights != 0].astype(np.float32),
        np.zeros(visible, np.float32),
        np.array([bias], np.float32),
    )
    base = Parameters(
        np.zeros_like(params.weights), params.visible_bias, np.zeros_like(params.hidden_bias)
    )
    found = np.zeros((1, 112))
    ais.anneal_tiles(
        *(v.T[None].astype(np.float32).copy(), found, np.array([0.0, 1.0])),
        *(layout.graph_of(mask), base, params, 0, np.uint64(1), WIDE),
    )
    return found[0]


@pytest.mark.usefixtures("sums")
@pytest.mark.parametrize("scale", [1e-3, 1.0, 50.0])
def test_sums_are_rounded_once_a_term(scale: float) -> None:
    generator = np.random.default_rng(0)
    for degree in range(10):
        weights = np.zeros(13)
        chosen = generator.permutation(13)[:degree]
        weights[chosen] = np.float32(scale * generator.choice([-1, 1], degree))
        weights[chosen] *= np.float32(generator.random(degree) + 0.5)
        weights = weights.astype(np.float32).astype(np.float64)
        bias = float(np.float32(np.abs(weights).sum() + scale))  # all sums count
        v = generator.integers(0, 2, (112, 13))
        found = log_weights(weights, bias, v)
        exactly = np.logaddexp(0, bias + v @ weights) - np.log(2)
        bound = (2 * degree + 1) * ROUNDING * (np.abs(weights).sum() + abs(bias)) + 1e-13
        assert (np.abs(found - exactly) <= bound).all()
        for unit in chosen:  # a change of 16 bounds in one weight is found
            wrong = weights.copy()
            wrong[unit] += 16 * bound
            exactly = np.logaddexp(0, bias + v @ wrong) - np.log(2)
            assert (np.abs(found - exactly) > bound).any()


# --- chains ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("sums")
@pytest.mark.parametrize(
    ("visible", "hidden", "scale", "density"),
    [
        *((1, 1, 1.5, 1.0), (2, 1, 1.5, 1.0), (1, 6, 1.0, 1.0), (6, 6, 1.0, 1.0)),
        *((7, 5, 1.2, 0.4), (8, 9, 1.0, 0.15), (9, 3, 1.0, 0.7), (3, 4, 1.0, 0.0)),
    ],
)
def test_chains_converge_to_the_distribution(
    visible: int, hidden: int, scale: float, density: float
) -> None:
    rbm = random_rbm(visible, hidden, scale, density)
    bits = rbm.sample(20_000, steps=40, seed=3)
    assert exact.chi_squared_p(bits, distribution(rbm)) > REJECT
    # Not to that of an RBM with one parameter changed.
    other = RBM(rbm.weights, rbm.visible_bias + np.eye(visible)[0] * 0.3, rbm.hidden_bias, rbm.mask)
    assert exact.chi_squared_p(bits, distribution(other)) < REJECT


@pytest.mark.parametrize("sums", TABLES, indirect=True)
def test_tables_draw_what_loops_draw(sums: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Probabilities differ by 1e-7, so 1.2 million draws with the same random numbers hardly do."""
    start, ends = gibbs.random_start(20_000, 30, 1), []
    for way in ("loops", sums):
        monkeypatch.setenv("PSIPRUNE_SIMD", way)
        chains = gibbs.start_chains(random_rbm(30, 30, 0.3).compiled, start, 5)
        ends.append(gibbs.step(chains, 1).bits)
    assert (ends[0] != ends[1]).sum() <= 3


@pytest.mark.usefixtures("sums")
@pytest.mark.parametrize("scale", [0.0, 50.0, 1e4, 1e30])
def test_extreme_weights(scale: float) -> None:
    """Site i copies hidden unit i, and unit i site i: chains stay at their start."""
    sites = 6
    rbm = RBM(np.eye(sites) * scale, np.full(sites, -scale / 2), np.full(sites, -scale / 2))
    start = np.random.default_rng(0).integers(0, 2, (300, sites), dtype=np.uint8)
    bits = gibbs.step(gibbs.start_chains(rbm.compiled, start, 0), 3).bits
    if scale:
        np.testing.assert_array_equal(bits, start)
    else:  # fair coins
        assert 0.4 < bits.mean() < 0.6
        assert (bits != start).any()


# --- training --------------------------------------------------------------------------------


def trained(mask: np.ndarray, persistent: bool, learning_rate: float = 0.05) -> Parameters:
    """Parameters after an epoch of five batches of 150, the last of them smaller."""
    hidden, visible = mask.shape
    generator = np.random.default_rng(1)
    weights = (0.3 * generator.standard_normal(int(mask.sum()))).astype(np.float32)
    params = Parameters(weights, np.zeros(visible, np.float32), np.zeros(hidden, np.float32))
    velocity = Parameters(*(np.zeros_like(values) for values in params))
    shots = (generator.random((650, visible)) < generator.random(visible)).astype(np.uint8)
    lanes = layout.lanes_of(WIDE)
    tiles = -(-150 // lanes) if persistent else 0
    chains = generator.integers(0, 2, (tiles, visible, lanes)).astype(np.float32)
    cd.train_epoch(
        *(layout.pack(shots), np.arange(650, dtype=np.int32), 150, 2, chains),
        *(layout.graph_of(mask), params, velocity, np.float32(learning_rate)),
        *(np.float32(0.5), np.float32(1e-3), np.uint64(7), WIDE),
    )
    return params


def training_masks() -> list[Any]:
    """Masks for which different code forms the gradient, and of more than one block of sites."""
    generator = np.random.default_rng(2)
    few = [np.ones((9, 18), bool), generator.random((6, 23)) < 0.7]
    more = [np.ones((4, 50), bool), generator.random((3, 130)) < 0.7]
    sparse = generator.random((12, 60)) < 0.08
    slow = [pytest.param(mask, marks=pytest.mark.slow) for mask in (*more, sparse)]
    return [*few, *slow]


@pytest.mark.parametrize(
    "sums", [pytest.param("avx2", marks=pytest.mark.slow), "avx512"], indirect=True
)
@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("mask", training_masks())
def test_tables_train_as_loops_do(
    sums: str, persistent: bool, mask: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = []
    for way in ("loops", sums):
        monkeypatch.setenv("PSIPRUNE_SIMD", way)
        ends.append(trained(mask, persistent))
    for values, expected in zip(*ends, strict=True):
        np.testing.assert_allclose(values, expected, rtol=0, atol=3e-6)
    other = trained(mask, persistent, learning_rate=0.0501)
    assert np.abs(other.weights - ends[0].weights).max() > 3e-6


@pytest.mark.slow
@pytest.mark.parametrize("sums", TABLES, indirect=True)
def test_probabilities_are_sigmoids_also_of_large_weights(sums: str) -> None:
    """The gradient of the hidden biases is p of the data minus p of the model, which are equal."""
    for scale in (0.0, 30.0, 1e4):
        mask = np.eye(3, dtype=bool)
        params = Parameters(
            np.full(3, 2 * scale, np.float32), *(np.full(3, -scale, np.float32) for _ in range(2))
        )
        velocity = Parameters(*(np.zeros_like(values) for values in params))
        shots = np.tile(np.array([[0, 1, 1]], np.uint8), (100, 1))
        arguments = (layout.pack(shots), np.arange(100, dtype=np.int32), 100, 1)
        chains = np.zeros((0, 3, layout.lanes_of(WIDE)), np.float32)
        rates = (np.float32(1.0), np.float32(0.0), np.float32(0.0))
        start = params.hidden_bias.copy()
        cd.train_epoch(
            *(*arguments, chains, layout.graph_of(mask), params, velocity),
            *(*rates, np.uint64(7), WIDE),
        )
        assert np.isfinite(params.hidden_bias).all()
        if scale:
            np.testing.assert_allclose(params.hidden_bias, start, rtol=0, atol=1e-6 * scale)
        else:  # fair coins for 0, 1, 1 in the visible units
            assert (np.abs(params.visible_bias - [-0.5, 0.5, 0.5]) < 0.2).all()
