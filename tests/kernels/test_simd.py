"""The arithmetic and the random numbers under every kernel."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
from numba import njit, uint32, uint64
from numpy.typing import NDArray

import plain
from psiprune.kernels.simd import FAST, exp32, exp64, row_key, spread_lanes, uniform

Float32 = NDArray[np.float32]

LANES = 112
ROWS = 20_000
REJECT = 1e-4
"""A generator fails below this p-value. The seeds are fixed, so a passing test passes always."""

# Not cached: numba would not notice a change of what is inlined from `lanes`.
compiled = njit(nogil=True, fastmath=FAST, error_model="numpy")


@compiled
def exp32_of(x: Float32, out: Float32) -> None:
    for k in range(x.shape[0]):
        out[k] = exp32(x[k])


@compiled
def exp64_of(x: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    for k in range(x.shape[0]):
        out[k] = exp64(x[k])


@compiled
def sigmoid_of(x: Float32, out: Float32) -> None:
    for k in range(x.shape[0]):
        out[k] = np.float32(1.0) / (np.float32(1.0) + exp32(-x[k]))


@compiled
def uniform_of(key: int, out: Float32) -> None:
    """Rows as `kernels.draw` makes them: a key a row, from a counter."""
    lanes = np.empty(out.shape[1], np.uint32)
    spread_lanes(0, len(lanes), lanes)
    for row in range(out.shape[0]):
        mixed = row_key(key)
        low, high = uint32(mixed), uint32(mixed >> uint64(32))
        for lane in range(out.shape[1]):
            out[row, lane] = uniform(lanes[lane], low, high)
        key = uint64(key + uint64(1))


@compiled
def row_key_of(key: int) -> int:
    return row_key(key)


@compiled
def unmixed_of(key: int, out: Float32) -> None:
    """One row, with the counter itself as its key."""
    lanes = np.empty(out.shape[1], np.uint32)
    spread_lanes(0, len(lanes), lanes)
    low, high = uint32(key), uint32(key >> uint64(32))
    for lane in range(out.shape[1]):
        out[0, lane] = uniform(lanes[lane], low, high)


# --- exponentials ----------------------------------------------------------------------------


def test_exp32_keeps_its_bound() -> None:
    x = np.linspace(-80, 80, 2_000_001).astype(np.float32)
    out = np.empty_like(x)
    exp32_of(x, out)
    # The exact value of the float32 argument, in float64.
    exact = np.exp(x.astype(np.float64))
    assert (np.abs(out / exact - 1) / (3e-7 + 7e-8 * np.abs(x))).max() < 1


def test_exp64_keeps_its_bound() -> None:
    x = np.linspace(-700, 700, 2_000_001)
    out = np.empty_like(x)
    exp64_of(x, out)
    assert (np.abs(out / np.exp(x) - 1) / (5 + np.abs(x))).max() < 2e-16


def test_exponentials_are_clamped() -> None:
    big = np.array([80, 80.5, 1e4, 3e38, np.inf], np.float32)
    out = np.empty_like(big)
    for sign in (1, -1):
        exp32_of(np.float32(sign) * big, out)
        np.testing.assert_array_equal(out, out[0])
        assert out[0] == pytest.approx(np.exp(sign * 80.0), rel=3e-7 + 7e-8 * 80)
    wide = np.array([700, 701, 1e6, 1e308, np.inf])
    out64 = np.empty_like(wide)
    for sign in (1, -1):
        exp64_of(sign * wide, out64)
        np.testing.assert_array_equal(out64, out64[0])
        assert out64[0] == pytest.approx(np.exp(sign * 700.0), rel=2e-16 * 705)


def test_sigmoid_saturates() -> None:
    x = np.linspace(-100, 100, 400_001).astype(np.float32)
    out = np.empty_like(x)
    sigmoid_of(x, out)
    exact = 1 / (1 + np.exp(-np.clip(x.astype(np.float64), -80, 80)))
    # exp32 within its bound, and one addition and one division of float32 rounded.
    bound = 3e-7 + 7e-8 * np.minimum(np.abs(x), 80) + 2 * 2**-24 + 1e-8
    assert (np.abs(out / exact - 1) / bound).max() < 1
    assert np.abs(out - exact).max() < 1e-7
    assert (out[x > 20] == 1).all()
    assert (out > 0).all()
    assert (out[x < -80] == out[0]).all()
    assert out[x == 0] == 0.5


# --- random numbers --------------------------------------------------------------------------


def p_values(u: Float32) -> dict[str, float]:
    """The p-value of each property that numbers [row, lane] must have; 0 where one is broken."""
    if not ((u > 0).all() and (u < 1).all()):
        return {"inside (0, 1)": 0.0}
    found = {}
    counts = np.bincount((u * 256).astype(int).ravel(), minlength=256)
    found["uniform"] = float(scipy.stats.chisquare(counts).pvalue)

    # With u on midpoints of 2^23 cells, cell number k = u 2^23 - 1/2 has 23 fair bits.
    cell = (u.astype(np.float64) * 2**23 - 0.5).astype(np.int64)
    ones = np.array([np.count_nonzero((cell >> bit) & 1) for bit in range(23)])
    z = (ones - u.size / 2) / np.sqrt(u.size / 4)
    found["bits"] = float(scipy.stats.chi2.sf(z @ z, 23))

    def correlation(a: Float32, b: Float32) -> float:
        """The mean of n products of independent uniforms about 1/2 has variance 1/(144 n)."""
        mean = np.mean((a.astype(np.float64) - 0.5) * (b.astype(np.float64) - 0.5))
        return float(mean * 12 * np.sqrt(a.size))

    def pairs(a: Float32, b: Float32) -> float:
        square = np.bincount(
            ((a * 32).astype(int) * 32 + (b * 32).astype(int)).ravel(), minlength=1024
        )
        return float(scipy.stats.chisquare(square).pvalue)

    rows = [correlation(u[:-lag], u[lag:]) for lag in (1, 2, 3, 9, 18, 27)]
    found["rows uncorrelated"] = float(scipy.stats.chi2.sf(np.square(rows).sum(), len(rows)))
    lanes = [correlation(u[:, :-lag], u[:, lag:]) for lag in (1, 2, 3, 4, 8, 16, 32, 64)]
    found["lanes uncorrelated"] = float(scipy.stats.chi2.sf(np.square(lanes).sum(), len(lanes)))
    slanted = [correlation(u[1:, :-1], u[:-1, 1:]), correlation(u[1:, 1:], u[:-1, :-1])]
    found["slanted uncorrelated"] = float(scipy.stats.chi2.sf(np.square(slanted).sum(), 2))
    # Disjoint pairs, so that the counts are independent.
    found["pairs of rows"] = pairs(u[0::2], u[1::2])
    found["pairs of lanes"] = pairs(u[:, 0::2], u[:, 1::2])
    return found


@pytest.mark.parametrize("key", [0, 1, 2**32, 2**64 - 5, 0x5EED_5EED_5EED_5EED])
def test_the_generator_passes_every_test(key: int) -> None:
    u = np.empty((ROWS, LANES), np.float32)
    uniform_of(np.uint64(key), u)
    found = p_values(u)
    assert min(found.values()) > REJECT, found


def _cells(words: NDArray[np.uint32]) -> Float32:
    return (((words >> np.uint32(9)).astype(np.float64) + 0.5) / 2**23).astype(np.float32)


def congruential_lanes() -> Float32:
    """A 32-bit linear congruence in each lane, seeded by the number of the lane."""
    state = np.arange(LANES, dtype=np.uint32)
    rows = []
    for _ in range(ROWS):
        state = state * np.uint32(1664525) + np.uint32(1013904223)
        rows.append(state)
    return _cells(np.array(rows))


def unmixed() -> Float32:
    """A Weyl sequence over rows and lanes, without the mix."""
    rows, lanes = np.indices((ROWS, LANES)).astype(np.uint32)
    return _cells(rows * np.uint32(0x9E3779B9) + lanes * np.uint32(0x85EBCA6B))


def one_counter() -> Float32:
    """Well mixed, but of row + lane: each lane repeats its neighbour a row later."""
    u = np.empty((1, ROWS + LANES), np.float32)
    uniform_of(np.uint64(0), u)
    return np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(u[0], LANES)[:ROWS])


def promoted() -> Float32:
    """Words of more than 32 bits, as numba makes of uint32 + uint32: numbers beyond 1."""
    u = np.empty((ROWS, LANES), np.float32)
    uniform_of(np.uint64(0), u)
    return u * np.float32(1.5)


def constant_low_bit() -> Float32:
    """The last of the 23 bits always 0."""
    u = np.empty((ROWS, LANES), np.float32)
    uniform_of(np.uint64(0), u)
    cell = (u.astype(np.float64) * 2**23 - 0.5).astype(np.uint32) & ~np.uint32(1)
    return _cells(cell << np.uint32(9))


@pytest.mark.parametrize(
    ("broken", "caught_by"),
    [
        (congruential_lanes, "lanes uncorrelated"),
        (unmixed, "rows uncorrelated"),
        (one_counter, "slanted uncorrelated"),
        (promoted, "inside (0, 1)"),
        (constant_low_bit, "bits"),
    ],
)
def test_broken_generators_fail(broken: Callable[[], Float32], caught_by: str) -> None:
    assert p_values(broken())[caught_by] < REJECT


def avalanche_p(numbers: Callable[[np.uint64, Float32], None]) -> float:
    """The p-value that one changed bit of the counter changes each bit of a row by a fair coin."""
    keys = np.random.default_rng(0).integers(0, 2**64, 40, dtype=np.uint64)
    one, other = np.empty((1, LANES), np.float32), np.empty((1, LANES), np.float32)
    z = []
    for bit in range(64):
        changed = 0
        for key in keys:
            numbers(key, one)
            numbers(key ^ np.uint64(1 << bit), other)
            cells = [(u.astype(np.float64) * 2**23 - 0.5).astype(np.int64) for u in (one, other)]
            difference = cells[0] ^ cells[1]
            changed += sum(int(word).bit_count() for word in difference.ravel())
        total = 23 * LANES * len(keys)
        z.append((changed - total / 2) / np.sqrt(total / 4))
    return float(scipy.stats.chi2.sf(np.square(z).sum(), 64))


def test_counters_one_bit_apart_give_rows_of_their_own() -> None:
    assert avalanche_p(uniform_of) > REJECT
    assert avalanche_p(unmixed_of) < REJECT


def test_row_keys_are_splitmix64() -> None:
    # The published outputs for the state 1234567, which grows by 0x9E3779B97F4A7C15 each time.
    published = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    states = [(1234567 + k * 0x9E3779B97F4A7C15) % 2**64 for k in range(5)]
    assert [int(row_key_of(np.uint64(state))) for state in states] == published
    assert [int(plain.row_keys(state, 1)[0]) for state in states] == published


@pytest.mark.parametrize("key", [0, 2**64 - 5, 0x5EED_5EED_5EED_5EED])
def test_numbers_are_the_hash_written_plainly(key: int) -> None:
    u = np.empty((20, LANES), np.float32)
    uniform_of(np.uint64(key), u)
    np.testing.assert_array_equal(u, plain.uniforms(key, LANES, 20).T)


def test_numbers_are_cell_midpoints_and_reach_both_ends() -> None:
    u = np.empty((400_000, LANES), np.float32)
    uniform_of(np.uint64(3), u)
    sample = u[:1000].astype(np.float64) * 2**23 - 0.5
    np.testing.assert_array_equal(sample, np.round(sample))
    # 45 million draws of 2^23 cells leave an end cell out with probability exp(-5.3) each; the
    # ten cells at an end are all missed with probability exp(-53).
    assert 0 < u.min() < 10 * 2.0**-23
    assert 1 - 10 * 2.0**-23 < u.max() < 1


def test_a_number_depends_on_row_key_and_lane_alone() -> None:
    u, again, later = (np.empty((50, LANES), np.float32) for _ in range(3))
    uniform_of(np.uint64(77), u)
    uniform_of(np.uint64(77), again)
    uniform_of(np.uint64(78), later)
    np.testing.assert_array_equal(u, again)
    np.testing.assert_array_equal(u[1:], later[:-1])
    narrow = np.empty((50, 16), np.float32)
    uniform_of(np.uint64(77), narrow)
    np.testing.assert_array_equal(narrow, u[:, :16])
