"""Errors of dependent shots: they match the spread over records, those of single shots do not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import psiprune as pp
import rates
from machines import random_rbm
from psiprune.data.dependence import INDEPENDENT, Blocks, find_dependence
from psiprune.metrics.against_shots import evaluate_on_shots
from psiprune.metrics.bootstrap import block_means, bootstrap_means
from psiprune.metrics.configurations import compare_configurations, held_out_likelihood
from psiprune.metrics.equivalence import likelihood_band, losses_from
from records import Bits, independent, sticky

SITES, SHOTS = 4, 3000
RBM = random_rbm(SITES, 2, 0.3)
STICKY = Blocks(15, 3.0)


def record(seed: int, stay: float = 0.5) -> Bits:
    generator = np.random.default_rng(seed)
    return sticky(independent("paramagnet", SITES, SHOTS, generator), stay, generator)


def columns(bits: Bits) -> np.ndarray:
    z = 1.0 - 2.0 * bits
    return np.column_stack([z[:, 0], z[:, 1] * z[:, 2], np.abs(z.mean(axis=1))])


@rates.factors
@pytest.mark.parametrize(("block", "stay"), [(1, 0.0), (20, 1 / 3)])
def test_bootstrap_errors_cover(block: int, stay: float, factor: float) -> None:
    """Means of many records, each a column: of independent shots, and of blocks of sticky ones.

    Blocks of ten inefficiencies lose 2 % of the error at their ends.
    """
    generator, number = np.random.default_rng(block), rates.intervals(factor)
    fresh = generator.random((100 * block, number)) >= stay
    rows = np.maximum.accumulate(np.where(fresh, np.arange(100 * block)[:, None], 0), axis=0)
    table = np.take_along_axis(generator.normal(size=rows.shape).astype(np.float32), rows, axis=0)
    errors = [  # 400 resamples know an error to 3.5 %, differently in each part
        bootstrap_means(part, seed, block).std(axis=0, ddof=1)
        for seed, part in enumerate(np.array_split(table, 20, axis=1))
    ]
    rates.check_intervals(table.mean(axis=0), np.concatenate(errors), 0.0, factor)


def test_blocks_of_copies_have_the_errors_of_single_shots_to_the_bit() -> None:
    table = columns(record(0, 0.0)).astype(np.float32)
    once = bootstrap_means(table, seed=3)
    np.testing.assert_allclose(bootstrap_means(np.repeat(table, 4, axis=0), 3, 4), once, rtol=1e-5)
    np.testing.assert_array_equal(bootstrap_means(table, 3, 1), once)


def test_the_last_block_may_be_shorter() -> None:
    """Resamples of three blocks, 2 + 2 + 1 rows, are means over 3 to 6 rows."""
    table = np.array([[0.0], [0.0], [0.0], [0.0], [1.0]], np.float32)
    found = set(np.round(bootstrap_means(table, 0, 2)[:, 0], 6))
    assert found == {0.0, round(1 / 5, 6), round(2 / 4, 6), 1.0}
    np.testing.assert_allclose(block_means(np.array([[1.0, 3.0, 4.0]]), 2), [[2.0, 4.0]])
    values = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(block_means(values, 1), values)


# ---- evaluate


def error_of_mean(values: np.ndarray, block: int) -> float:
    """Return the bootstrap error of values [shot] in blocks, with the seed 0."""
    column = (values - values.mean())[:, None].astype(np.float32)
    return float(bootstrap_means(column, 0, block).std(ddof=1))


def test_evaluate_judges_the_record_by_itself() -> None:
    bits = record(1)
    judged = evaluate_on_shots(RBM, bits, draws=500)
    naive = evaluate_on_shots(RBM, bits, draws=500, blocks=INDEPENDENT)
    found = find_dependence(pp.Shots(bits))
    assert judged.block == found.blocks.length > 10
    assert judged.effective_shots == pytest.approx(SHOTS / 3, rel=0.4)
    assert {each.name for each in judged.shots_warnings} == {"repeats", "memory", "dependent"}
    assert (naive.block, naive.effective_shots, naive.shots_warnings) == (1, SHOTS, ())
    assert judged.training_excess == pytest.approx(14 / judged.effective_shots)
    for report, ordered in ((judged, bits[found.order]), (naive, bits)):
        absolute = np.abs((1.0 - 2.0 * ordered).mean(axis=1))
        for measure, values in (
            (report.log_likelihood.error, RBM.log_prob(ordered)),
            (report.abs_magnetization.shots_error, absolute),
        ):
            assert measure == pytest.approx(error_of_mean(values, report.block), rel=1e-4)


@pytest.mark.parametrize(
    "copies", [lambda x: np.repeat(x, 2, axis=0), lambda x: np.tile(x, (2, 1))]
)
def test_copies_of_shots_tell_evaluate_nothing_new(copies: Callable[[Bits], Bits]) -> None:
    """All numbers of a record are those of its first copy; only the number of shots differs."""
    bits = record(2, 0.0)
    walls = {"each": lambda x: x[:, 0] ^ x[:, 1], "one": lambda x: np.float64(x.mean())}
    once, twice = (
        evaluate_on_shots(RBM, each, draws=500, observables=walls) for each in (bits, copies(bits))
    )
    assert (once.block, once.shots_warnings) == (1, ())
    assert (twice.shots, twice.block, twice.effective_shots) == (2 * SHOTS, 2, SHOTS)
    assert twice.training_excess == once.training_excess
    for (name, a), (_, b) in zip(once, twice, strict=True):
        for key, value in vars(a).items():
            if value is not None and not isinstance(value, str):
                np.testing.assert_allclose(getattr(b, key), value, rtol=1e-4, err_msg=name)


def test_what_no_independent_shot_has_shown() -> None:
    """A site that never varies: its error is one of the independent shots, not of their copies."""
    bits = record(2, 0.0)
    bits[:] = bits[:, :1]
    frozen = np.repeat(bits, 3, axis=0)
    report = evaluate_on_shots(RBM, frozen, draws=500)
    assert float(report.abs_magnetization.shots_error) == pytest.approx(1 / SHOTS)


# ---- equivalence


def test_the_band_is_wider_for_correlated_shots() -> None:
    shots = pp.Shots(record(3))
    losses = losses_from(RBM, shots, draws=100, seed=0)
    other = random_rbm(SITES, 3, 0.3)
    values = RBM.log_prob(shots) - other.log_prob(shots)
    for block in (1, STICKY.length):
        found = likelihood_band(losses, 0.05, 0, block=block)(other)
        assert found.loss == pytest.approx(values.mean())
        assert found.error == pytest.approx(error_of_mean(values, block), rel=1e-4)


def test_losses_against_other_models_have_errors_of_blocks() -> None:
    shots, other = pp.Shots(record(3)), random_rbm(SITES, 3, 0.3)
    model, best = (held_out_likelihood(each, shots, shots, seed=0) for each in (RBM, other))
    found = compare_configurations(model, best, shots, shots, block=STICKY.length)
    means = (best.log_p - model.log_p).reshape(-1, STICKY.length).mean(axis=1)
    assert found.best_loss == pytest.approx(means.mean())
    assert found.best_error == pytest.approx(means.std(ddof=1) / np.sqrt(len(means)))
