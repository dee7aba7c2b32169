"""Chains of true bits follow p(v | y) = p(v) C(y | v) / p(y), for independent and joint errors."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

import psiprune as pp
from confusions import flips_together
from machines import random_rbm
from psiprune.data.confusion import Confusion
from psiprune.kernels import layout
from psiprune.rbm import posterior
from psiprune.rbm.posterior import TrueBits

# P-value below which a test of one record fails; the wrong distribution gives less than 1e-12.
_SIGNIFICANT = 1e-5


def joint_errors(seed: int, *groups: tuple[int, ...]) -> pp.ReadoutError:
    generator = np.random.default_rng(seed)
    matrices = (
        0.8 * np.eye(1 << len(sites))
        + 0.2 * generator.dirichlet(np.ones(1 << len(sites)), size=1 << len(sites))
        for sites in groups
    )
    return pp.ReadoutError(tuple(map(Confusion, groups, matrices)))


ERRORS = {
    "independent": pp.ReadoutError.from_rates([0.02, 0.3, 0, 0.1], [0.1, 0.2, 0.4, 0.05]),
    "pair": joint_errors(0, (0,), (3, 1), (2,)),
    "three": joint_errors(1, (2, 0, 3), (1,)),
    "only pairs flip": flips_together([(2, 0), (3, 1)], 0.08, 0.0),
    "nearly only pairs flip": flips_together([(2, 0), (3, 1)], 0.08, 1e-3),
    "only three flip": flips_together([(3, 0, 2), (1,)], 0.15, 0.0),
}


def p_value(rbm: pp.RBM, error: pp.ReadoutError, record: list[int], claimed: np.ndarray) -> float:
    """Return the p-value of the chi-squared test of chains at one record against `claimed`."""
    records = np.tile(np.array(record, np.uint8), (20_000, 1))
    chains = TrueBits(records, error, records).advanced(rbm.compiled, 60, 3)
    counts = np.bincount(chains.bits @ (1 << np.arange(4)), minlength=16)
    likely = claimed * len(records) >= 5
    observed = np.append(counts[likely], counts[~likely].sum())
    expected = np.append(claimed[likely], claimed[~likely].sum()) * len(records)
    some = expected > 0
    return float(scipy.stats.chisquare(observed[some], expected[some]).pvalue)


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("record", [[0, 0, 0, 0], [1, 0, 1, 1]])
def test_chains_follow_the_posterior(name: str, record: list[int]) -> None:
    rbm, error = random_rbm(4, 3), ERRORS[name]
    prob = np.exp(rbm.log_prob_all() - rbm.log_partition())
    at = np.zeros(16)
    at[int(np.array(record) @ (1 << np.arange(4)))] = 1.0
    wanted = prob * error.apply_transposed(at)
    wanted /= wanted.sum()
    assert p_value(rbm, error, record, wanted) > _SIGNIFICANT
    assert p_value(rbm, error, record, prob) < _SIGNIFICANT  # the RBM without the record


def test_chains_are_the_same_in_parts_and_on_any_number_of_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # More chains than one task takes, so that several tasks run at once.
    rbm, error = random_rbm(4, 3), ERRORS["pair"]
    records = np.random.default_rng(0).integers(0, 2, (5000, 4), dtype=np.uint8)
    whole = TrueBits(records, error, records).advanced(rbm.compiled, 3, 7)
    part = TrueBits(records[:40], error, records[:40]).advanced(rbm.compiled, 3, 7)
    np.testing.assert_array_equal(whole.bits[:40], part.bits)
    monkeypatch.setattr(posterior, "_TILES", 5)
    again = TrueBits(records, error, records).advanced(rbm.compiled, 3, 7)
    np.testing.assert_array_equal(whole.bits, again.bits)
    assert whole.steps == 3
    assert (whole.advanced(rbm.compiled, 3, 7).bits != whole.bits).any()


def test_chains_of_different_tasks_differ() -> None:
    block = 16 * layout.lanes_of(layout.WIDE)  # chains of a task
    records = np.zeros((2 * block, 4), np.uint8)
    bits = TrueBits(records, ERRORS["independent"], records).advanced(
        random_rbm(4, 3).compiled, 2, 1
    )
    assert (bits.bits[:block] != bits.bits[block:]).any()


def test_some_of_the_chains_keep_their_records() -> None:
    records = np.arange(90, dtype=np.uint8).reshape(30, 3)
    chains = TrueBits(records, ERRORS["pair"], records + 100, steps=7)
    for most, rows in ((4, [0, 9, 19, 29]), (50, range(30))):
        some = chains.evenly(most)
        np.testing.assert_array_equal(some.records, records[rows])
        np.testing.assert_array_equal(some.bits, records[rows] + 100)
        assert some.steps == 7


def test_certain_records_fix_the_true_bits() -> None:
    # p(1 | 0) = 0: a recorded 1 was a 1, however unlikely the RBM makes it.
    rbm = pp.RBM(np.zeros((1, 2)), np.array([-20.0, -20.0]), np.zeros(1))
    error = pp.ReadoutError.from_rates(0.0, 0.3, sites=2)
    records = np.tile(np.array([[1, 0]], np.uint8), (1000, 1))
    chains = TrueBits(records, error, records).advanced(rbm.compiled, 5, 0)
    np.testing.assert_array_equal(chains.bits, records)
