"""log Z by every method against enumeration; error bars that cover, and ones that do not."""

from __future__ import annotations

import os
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import scipy.special
from numpy.typing import NDArray

import exact
import plain
import rates
from psiprune.core.exceptions import InputError
from psiprune.core.random import Stream, stream_key
from psiprune.data.shots import Shots
from psiprune.inference import ais
from psiprune.inference import log_partition as partition
from psiprune.inference.ais import Base, anneal, base_of, log_mean
from psiprune.inference.bridge import bridge, log_mean_of_chains
from psiprune.inference.log_partition import (
    LogPartition,
    exact_log_partition,
    log_partition,
    log_partition_after_pruning,
)
from psiprune.inference.variable_elimination import (
    Contraction,
    contract,
    contraction_draws,
    plan_contraction,
)
from psiprune.rbm.model import RBM
from refusals import refuses

by_annealing = partial(log_partition, method="annealing")

Float64 = NDArray[np.float64]


def random_rbm(seed: int, visible: int, hidden: int, scale: float, density: float = 1.0) -> RBM:
    generator = np.random.default_rng(seed)
    return RBM(
        generator.normal(0, scale, (hidden, visible)),
        generator.normal(0, 0.5, visible),
        generator.normal(0, 0.5, hidden),
        generator.random((hidden, visible)) < density,
    )


def two_modes(visible: int, hidden: int, weight: float) -> RBM:
    """All bits 0 or all bits 1, nearly, with the same probability; little in between."""
    weights = np.full((hidden, visible), weight)
    return RBM(weights, -weights.sum(axis=0) / 2, -weights.sum(axis=1) / 2)


def log_sum(rbm: RBM) -> float:
    joint = exact.rbm_joint(rbm.weights, rbm.visible_bias, rbm.hidden_bias)
    return float(scipy.special.logsumexp(joint))


# --- all methods -----------------------------------------------------------------------------


@pytest.mark.parametrize("density", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("visible", "hidden"), [(9, 5), (5, 9), (10, 1), (1, 1)])
def test_all_methods_agree(visible: int, hidden: int, density: float) -> None:
    for seed in range(3):
        rbm = random_rbm(seed, visible, hidden, 1.0, density)
        wanted = log_sum(rbm)
        found = {
            method: log_partition(rbm, method=method, chains=224, temperatures=50, seed=seed)
            for method in partition.METHODS
        }
        for method in ("sum", "contraction"):
            assert found[method].value == pytest.approx(wanted, rel=1e-12, abs=1e-12)
            assert found[method].error == 0
            assert found[method].effective_sample_size is None
            assert found[method].warning == ""
        annealed = found["annealing"]
        assert abs(annealed.value - wanted) < 4.5 * annealed.error + 1e-5
        reverse, error = (float(annealed.diagnostics[k]) for k in ("reverse", "reverse_error"))
        assert abs(reverse - wanted) < 4.5 * error + 1e-5
        assert annealed.warning == ""


@pytest.mark.parametrize(("visible", "hidden"), [(16, 15), (3, 1100), (1100, 3)])
def test_sums_of_several_pieces(visible: int, hidden: int) -> None:
    # 2^15 states are two pieces, and the logarithm of a product is taken after every 512 units.
    rbm = random_rbm(0, visible, hidden, 0.2)
    layers = [rbm.visible_bias + 1.0, rbm.hidden_bias + 1.0]  # the last piece has the largest term
    rbm = RBM(rbm.weights, layers[0], layers[1])
    bias, other = layers if visible < hidden else layers[::-1]
    weights = rbm.weights if visible < hidden else rbm.weights.T
    x = exact.basis(len(bias)).astype(float)
    wanted = scipy.special.logsumexp(x @ bias + np.logaddexp(0, x @ weights.T + other).sum(axis=1))
    assert log_partition(rbm, method="sum").value == pytest.approx(wanted, rel=1e-12)


def test_huge_weights() -> None:
    for seed in range(5):
        rbm = random_rbm(seed, 8, 6, 50.0)
        for method in ("sum", "contraction"):
            found = log_partition(rbm, method=method).value
            assert found == pytest.approx(log_sum(rbm), rel=1e-12)
        # Annealing may not reach the one state that counts, but stays finite.
        assert np.isfinite(log_partition(rbm, method="annealing", temperatures=20).value)


def test_the_method_that_fits_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    small = log_partition(random_rbm(0, 40, 10, 0.3))
    assert small.method == "sum over 2^10 states"
    assert 0 < float(small.diagnostics["estimated_seconds"]) < 1e-3
    # Units of one weight are no part of the sum: 28 hidden units, 2 of them count.
    mask = np.zeros((28, 30), bool)
    mask[np.arange(28), np.arange(28)] = True
    mask[[3, 9], 29] = True
    few = RBM(mask * random_rbm(1, 30, 28, 1.0).weights, np.ones(30), np.ones(28))
    assert log_partition(few).method == "sum over 2^2 states"
    contracted = log_partition(few, method="contraction")
    assert log_partition(few).value == pytest.approx(contracted.value, rel=1e-12)

    sites = np.arange(100)
    first = np.linspace(0, 95, 50).round().astype(int)[:, None]
    local = random_rbm(2, 100, 50, 1.0).with_mask((sites >= first) & (sites < first + 5))
    found = log_partition(local)
    assert found.method == f"contraction of width {found.diagnostics['width']}"
    assert 1 <= float(found.diagnostics["width"]) <= 5
    assert float(found.diagnostics["estimated_seconds"]) < 1
    check = log_partition(local, method="annealing", chains=112, temperatures=100)
    assert abs(check.value - found.value) < 4.5 * check.error
    assert check.diagnostics["reverse_start"] == "independent draws"

    dense = random_rbm(3, 100, 50, 0.1)
    annealed = log_partition(dense, chains=112, temperatures=50)
    assert annealed.method == "annealing, 112 chains, 50 temperatures"
    assert annealed.error > 0
    assert "chains of 1000 steps" in str(annealed.diagnostics["reverse_start"])
    # The limit in seconds decides.
    monkeypatch.setattr(partition, "EXACT_SECONDS", 1e-9)
    over = log_partition(random_rbm(0, 40, 10, 0.3), chains=112, temperatures=50)
    assert over.method.startswith("annealing")


def test_estimates_are_those_of_the_documentation(monkeypatch: pytest.MonkeyPatch) -> None:
    for visible, hidden in ((9, 5), (5, 9)):
        rbm = random_rbm(0, visible, hidden, 1.0)
        units = 1.1e-9 * 2**5 * 9
        found = exact_log_partition(rbm, method="sum")
        assert found is not None
        assert found.diagnostics["estimated_seconds"] == pytest.approx(units)
        plan = plan_contraction(rbm)
        contracted = exact_log_partition(rbm, method="contraction")
        assert contracted is not None
        seconds = float(contracted.diagnostics["estimated_seconds"])
        assert seconds == pytest.approx(25e-9 * plan.operations + 20e-6 * 14)
        # Up to the limit, in seconds and in units.
        for limit in (found.diagnostics["estimated_seconds"], seconds):
            method = "sum" if limit != seconds else "contraction"
            assert exact_log_partition(rbm, float(limit), method) is not None
            assert exact_log_partition(rbm, float(np.nextafter(limit, 0)), method) is None
        # A contraction is planned where the sum takes more than 0.1 s, and taken if it is cheaper.
        for sum_seconds, cheaper in ((0.09, False), (0.11, True)):
            with monkeypatch.context() as patched:
                patched.setattr(partition, "_SUM_NS", 1.1 * sum_seconds / units)
                found = exact_log_partition(rbm)
                assert found is not None
                assert found.method.startswith("contraction" if cheaper else "sum")
        for most, none in ((5, False), (4, True)):
            with monkeypatch.context() as patched:
                patched.setattr(partition, "PARTITION_UNITS", most)
                assert (exact_log_partition(rbm) is None) == none


def test_log_z_of_an_rbm_pruned_in_many_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    """One order of contraction serves all; a weight where there was none needs another."""
    dense = random_rbm(0, 28, 26, 1.0)
    index = np.arange(dense.weights.size).reshape(dense.weights.shape)
    parent, half, none, grown = (
        dense.with_mask(chosen)
        for chosen in (index % 9 == 0, index % 18 == 0, index < 0, index % 8 < 1)
    )
    planned = 0

    def plan(rbm: RBM) -> Contraction:
        nonlocal planned
        planned += 1
        return plan_contraction(rbm)

    monkeypatch.setattr(partition, "plan_contraction", plan)
    log_z = log_partition_after_pruning(parent, 10.0)
    assert log_z is not None
    found = [log_z(rbm) for rbm in (parent, half, none)]
    assert planned == 1
    found.append(log_z(grown))
    assert planned == 2
    for value, rbm in zip(found, (parent, half, none, grown), strict=True):
        assert value == pytest.approx(contract(plan_contraction(rbm)), abs=1e-10)
    small = random_rbm(0, 9, 5, 1.0)
    summed = exact_log_partition(small)
    assert summed is not None
    limit = float(summed.diagnostics["estimated_seconds"])
    assert log_partition_after_pruning(small, limit) is not None
    assert log_partition_after_pruning(small, float(np.nextafter(limit, 0))) is None


def test_independent_draws_have_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    rbm = random_rbm(0, 9, 5, 1.0)
    monkeypatch.setattr(partition, "DRAWN_BITS", 90)
    assert partition.independent_draws(rbm, 10) is not None
    with refuses("draws", 11, 9, 90, 10):
        partition.independent_draws(rbm, 11)
    # Contraction draws other numbers than a table does.
    plan = plan_contraction(rbm)
    by_table, by_contraction = rbm.sample_exact(10, seed=3), contraction_draws(plan, 10, seed=3)
    assert (by_table != by_contraction).any()
    seconds = 25e-9 * plan.operations + 20e-6 * 14
    for units, limit, expected in ((5, 0.0, by_table), (4, 1.0, by_contraction)):
        monkeypatch.setattr(partition, "EXACT_DRAW_UNITS", units)
        monkeypatch.setattr(partition, "DRAW_SECONDS", limit)
        np.testing.assert_array_equal(partition.independent_draws(rbm, 10, seed=3), expected)
    monkeypatch.setattr(partition, "DRAW_SECONDS", partition._contraction_seconds(plan))
    assert partition._contraction_seconds(plan) == pytest.approx(seconds)
    assert partition.independent_draws(rbm, 10) is None


def test_seeds_give_the_same_at_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    rbm = random_rbm(0, 12, 6, 0.5)

    def run(seed: int) -> LogPartition:
        return by_annealing(rbm, chains=300, temperatures=20, seed=seed)

    one = run(1)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert run(1) == one
    assert run(2).value != one.value


# --- annealing -------------------------------------------------------------------------------


@rates.factors
def test_error_bars_of_annealing_cover(factor: float) -> None:
    """Forward from the base and in reverse from exact draws: 224 chains each."""
    rbm, repeats = random_rbm(3, 8, 5, 1.0), rates.intervals(factor)
    base, truth = base_of(rbm, rbm.sample_exact(2000)), log_sum(rbm)
    betas, chains = np.linspace(0, 1, 6), 224 * repeats
    forward, _ = anneal(rbm, base, base.draws(chains, 1), betas, 1)
    reverse, _ = anneal(rbm, base, rbm.sample_exact(chains, seed=1), betas[::-1], 1)
    for sign, log_weights in ((1, forward), (-1, reverse)):
        by_run = log_weights.reshape(repeats, 224)
        value, error, _ = np.array([log_mean(each) for each in by_run]).T
        rates.check_intervals(base.log_partition + sign * value, error, truth, factor)


@pytest.mark.usefixtures("sums")
@pytest.mark.parametrize("betas", [(0.0, 0.3, 1.0), (1.0, 0.6, 0.0)])
def test_annealing_is_its_formula(betas: tuple[float, ...]) -> None:
    rbm, base = random_rbm(5, 5, 3, 1.5, 0.7), Base(np.linspace(-1, 1, 5), np.array([0.5, 0, -0.5]))

    def at(beta: float) -> RBM:
        b = beta * rbm.visible_bias + (1 - beta) * base.visible_bias
        c = beta * rbm.hidden_bias + (1 - beta) * base.hidden_bias
        return RBM(beta * rbm.weights, b, c, rbm.mask)

    assert base.log_partition == pytest.approx(log_sum(at(0.0)))
    start = np.random.default_rng(0).integers(0, 2, (700, 5), dtype=np.uint8)  # seven tiles
    found, end = anneal(rbm, base, start, np.array(betas), 2)
    v, log_weights = start.astype(float), np.zeros(700)
    numbers = plain.Numbers(int(stream_key(2, Stream.AIS, int(betas[0] > betas[-1]))))
    for old, new in pairwise(betas):
        for sign, beta in ((1, new), (-1, old)):
            log_weights += sign * at(beta).log_prob_unnormalized(v.astype(np.uint8))
        v = numbers.gibbs(at(new), v, 1)
    np.testing.assert_allclose(found, log_weights, atol=2e-6)
    np.testing.assert_array_equal(end, v)
    # Base draws follow the base.
    nought = at(0.0)
    q = exact.rbm_distribution(nought.weights, nought.visible_bias, nought.hidden_bias)
    assert exact.chi_squared_p(base.draws(50_000, 3), q) > 1e-3


@pytest.mark.usefixtures("sums")
@pytest.mark.parametrize("hidden", [511, 512, 1300])
def test_annealing_with_many_hidden_units(hidden: int) -> None:
    # The product of factors up to 2 is logged in pieces of 512.
    rbm = random_rbm(hidden, 4, hidden, 0.15)
    base = Base(np.zeros(4), np.linspace(-2, 2, hidden))
    bits = exact.basis(4)
    found, _ = anneal(rbm, base, bits, np.array([0.0, 1.0]), 0)
    start = bits @ base.visible_bias + np.logaddexp(0, base.hidden_bias).sum()
    np.testing.assert_allclose(found, rbm.log_prob_unnormalized(bits) - start, atol=1e-4)


def test_a_bit_that_never_varies_keeps_the_base_inside_its_means() -> None:
    rbm = random_rbm(1, 4, 3, 1.0)
    bits = np.random.default_rng(0).integers(0, 2, (100, 4), dtype=np.uint8)
    bits[:, 0], bits[:, 1] = 0, 1
    base, given = base_of(rbm, bits), rbm.hidden_given_visible(bits)
    means = [0.02, 0.98, *bits[:, 2:].mean(axis=0)]
    np.testing.assert_allclose(base.visible_bias, scipy.special.logit(means))
    np.testing.assert_allclose(base.hidden_bias, scipy.special.logit(given.mean(axis=0)))
    always = base_of(RBM(rbm.weights, rbm.visible_bias, np.array([90.0, -90.0, 0.0])), bits)
    np.testing.assert_allclose(always.hidden_bias[:2], scipy.special.logit([0.98, 0.02]))


@pytest.mark.parametrize("weight", [3.0, -3.0])
def test_units_of_one_weight_count_in_independent_draws(weight: float) -> None:
    rbm = RBM(np.full((30, 30), weight), np.zeros(30), np.zeros(30), np.eye(30, dtype=bool))
    drawn = partition.independent_draws(rbm, 20_000, seed=1)
    assert drawn is not None
    mean = (1 + np.exp(weight)) / (3 + np.exp(weight))
    z = (drawn.mean(axis=0) - mean) / np.sqrt(mean * (1 - mean) / 20_000)
    assert scipy.special.chdtrc(30, z @ z) > 1e-4
    # The same for log Z, by a sum over the two states of each pair.
    assert log_partition(rbm, method="sum").value == pytest.approx(30 * np.log(3 + np.exp(weight)))


def test_a_run_too_short_is_found_by_the_reverse_run() -> None:
    hard = two_modes(60, 10, 2.0)
    for seed in range(5):
        short = log_partition(hard, method="annealing", chains=224, temperatures=2, seed=seed)
        assert "gives log Z = " in short.warning
        assert "\n" not in short.warning
        # Each direction errs to its own side.
        assert short.value < hard.log_partition() < float(short.diagnostics["reverse"])
    enough = log_partition(hard, method="annealing", chains=1000, temperatures=1000)
    assert enough.warning == ""
    assert abs(enough.value - hard.log_partition()) < 4 * enough.error


def test_bounds_enclose_log_z() -> None:
    rbm = random_rbm(2, 10, 6, 1.0)
    gaps = []
    for temperatures in (3, 10, 30, 100):
        result = by_annealing(rbm, chains=448, temperatures=temperatures)
        found = result.diagnostics
        low, high = float(found["lower_bound"]), float(found["upper_bound"])
        # The bounds hold for expectations; their noise is at most that of log Z.
        assert low - 4 * result.error < rbm.log_partition()
        assert rbm.log_partition() < high + 4 * float(found["reverse_error"])
        gaps.append(high - low)
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] < 0.1 * gaps[0]


def test_a_lost_mode_is_found_by_the_reverse_run() -> None:
    # Data from one mode alone: all forward chains agree with one another on half of Z.
    rbm = two_modes(12, 6, 1.5)
    one_sided = np.zeros((100, 12), np.uint8)
    found = by_annealing(rbm, data=one_sided, chains=448, temperatures=300)
    truth = rbm.log_partition()
    assert found.effective_sample_size is not None
    assert found.effective_sample_size > 300
    assert found.value == pytest.approx(truth - np.log(2), abs=0.05)
    assert float(found.diagnostics["reverse"]) == pytest.approx(truth, abs=0.2)
    assert "in reverse" in found.warning


def of_size(effective: int, chains: int) -> Float64:
    """log w of some weights 1 beside others of nearly 0."""
    return np.where(np.arange(chains) < effective, 0.0, -1000.0)


@pytest.mark.parametrize(
    ("forward", "backward", "warned"),
    [
        # Below 30 effective chains, or 30 % of the chains, in either direction.
        *[(of_size(30, 200), of_size(99, 200), ""), (of_size(99, 200), of_size(30, 200), "")],
        (of_size(29, 200), of_size(99, 200), "effective sample size"),
        (of_size(99, 200), of_size(29, 200), "effective sample size"),
        *[(of_size(15, 50), of_size(40, 50), ""), (of_size(40, 50), of_size(15, 50), "")],
        (of_size(14, 50), of_size(40, 50), "effective sample size"),
    ],
)
def test_few_effective_chains_are_told(
    monkeypatch: pytest.MonkeyPatch, forward: Float64, backward: Float64, warned: str
) -> None:
    # Means of both directions that agree, whatever their errors.
    lists = [forward - log_mean(forward)[0], backward - log_mean(backward)[0]]
    monkeypatch.setattr(partition, "anneal", lambda *given: (lists.pop(0), given[2]))
    found = by_annealing(random_rbm(0, 4, 3, 0.1), chains=len(forward))
    assert warned in found.warning
    assert bool(warned) == bool(found.warning)


@pytest.mark.parametrize("size", [0.0, 1000.0, -1000.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_both_directions_may_differ_by_four_standard_errors(
    monkeypatch: pytest.MonkeyPatch, sign: int, size: float
) -> None:
    rbm = random_rbm(0, 4, 3, 0.1)
    base = base_of(rbm, np.array([[0, 1, 1, 0], [1, 1, 0, 0]], np.uint8))
    weights = np.tile([0.5, 1.5], 100), np.tile([0.9, 1.1], 100)
    errors = 0.5 / np.sqrt(199), 0.1 / np.sqrt(199)
    value = base.log_partition + size
    allowed = 4 * np.hypot(*errors) + 1e-4 + 1e-6 * abs(value)
    for gap in (allowed - 1e-7, allowed + 1e-7):
        # log Z / Z_0 forward, and log Z_0 / Z in reverse
        logs = [np.log(weights[0]) + size, np.log(weights[1]) - size - sign * gap]
        given = iter([(0.0, 0.5, 1.0), (1.0, 0.5, 0.0)])
        means = np.log(weights[0]).mean(), np.log(weights[1]).mean()

        def anneal(*arguments: object) -> tuple[Float64, None]:
            np.testing.assert_array_equal(arguments[3], next(given))  # noqa: B023
            assert isinstance(arguments[1], Base)
            np.testing.assert_array_equal(np.concatenate(arguments[1]), np.concatenate(base))
            return logs.pop(0), None  # noqa: B023

        monkeypatch.setattr(partition, "anneal", anneal)
        data = np.array([[0, 1, 1, 0], [1, 1, 0, 0]], np.uint8)
        found = by_annealing(rbm, chains=2, temperatures=2, data=data)
        assert found.value == pytest.approx(value)
        assert found.error == pytest.approx(errors[0])
        assert found.diagnostics["reverse"] == pytest.approx(value + sign * gap)
        assert found.diagnostics["reverse_error"] == pytest.approx(errors[1])
        assert found.diagnostics["lower_bound"] == pytest.approx(value + means[0])
        assert found.diagnostics["upper_bound"] == pytest.approx(value + sign * gap - means[1])
        assert found.effective_sample_size == pytest.approx(200 / 1.25)
        assert found.diagnostics["reverse_effective_sample_size"] == pytest.approx(200 / 1.01)
        assert bool(found.warning) == (gap > allowed)


def test_short_chains_of_the_seed_guide_the_base(monkeypatch: pytest.MonkeyPatch) -> None:
    sample, seen = RBM.sample, list[tuple[int, dict[str, int]]]()

    def noted(rbm: RBM, shots: int, **given: int) -> NDArray[np.uint8]:
        seen.append((shots, given))
        return sample(rbm, shots, **given)

    monkeypatch.setattr(RBM, "sample", noted)
    by_annealing(random_rbm(0, 4, 3, 0.1), chains=2, temperatures=2, seed=5)
    assert seen == [(4032, {"steps": 100, "seed": 5})]


def test_data_give_the_base_and_half_of_the_reverse_start(monkeypatch: pytest.MonkeyPatch) -> None:
    rbm = random_rbm(0, 10, 8, 0.4)
    data = rbm.sample_exact(3000, seed=1)
    found = by_annealing(rbm, data=Shots(data), chains=448, temperatures=50)
    assert abs(found.value - rbm.log_partition()) < 4.5 * found.error
    monkeypatch.setattr(partition, "EXACT_DRAW_UNITS", 4)
    monkeypatch.setattr(partition, "plan_contraction", refuse)
    for bits, words in ((None, "random configurations"), (data, "configurations and data")):
        found = by_annealing(rbm, data=bits, chains=448, temperatures=50)
        assert str(found.diagnostics["reverse_start"]).endswith(words)
        error = float(found.diagnostics["reverse_error"])
        assert abs(float(found.diagnostics["reverse"]) - rbm.log_partition()) < 4.5 * error


def test_reverse_chains_start_at_data_and_at_random(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = (
        partition._reverse_start(random_rbm(0, 40, 2, 1.0), None, 9, seed)[1] for seed in (1, 2)
    )
    assert (one != other).any()
    monkeypatch.setattr(partition, "independent_draws", lambda *_, **__: None)
    monkeypatch.setattr(partition, "_SETTLE", 0)
    data = np.ones((5, 40), np.uint8)
    data[0] = 0
    _, start = partition._reverse_start(random_rbm(0, 40, 2, 1.0), data, 200, seed=1)
    uniform = np.ptp(start, axis=1) == 0  # of fair bits with probability 2^-39
    np.testing.assert_array_equal(uniform, np.arange(200) < 100)
    assert 0 < (start[:100, 0] == 0).sum() < 50  # 20 are expected


def refuse(rbm: RBM) -> None:
    raise InputError("rbm: too wide")


def test_effective_sample_size() -> None:
    value, error, size = log_mean(np.zeros(10))
    assert (value, error, size) == (0.0, 0.0, 10.0)
    value, _, size = log_mean(np.array([1000.0, 1000.0, -1000.0, -1000.0]))
    assert value == pytest.approx(1000 - np.log(2))
    assert size == pytest.approx(2)
    weights = np.array([1.0, 2.0, 5.0, 3.0])
    value, error, size = log_mean(np.log(weights))
    assert value == pytest.approx(np.log(weights.mean()))
    assert error == pytest.approx(weights.std(ddof=1) / 2 / weights.mean())
    assert size == pytest.approx(weights.sum() ** 2 / (weights**2).sum())


# --- the bridge ------------------------------------------------------------------------------


class Pair:
    """A distribution q [2^6] and an RBM near it, with everything known."""

    def __init__(self) -> None:
        generator = np.random.default_rng(1)
        self.rbm = random_rbm(1, 6, 3, 1.0)
        p = exact.rbm_distribution(self.rbm.weights, self.rbm.visible_bias, self.rbm.hidden_bias)
        noisy = p * np.exp(generator.normal(0, 0.5, 64))
        self.q = noisy / noisy.sum()
        self.p = p
        self.log_ratio = self.rbm.log_prob_unnormalized(exact.basis(6)) - np.log(self.q)
        self.log_z = log_sum(self.rbm)
        self.fidelity = float(np.sqrt(self.p * self.q).sum() ** 2)


def sticky(p: Float64, chains: int, draws: int, generator: np.random.Generator) -> NDArray[np.int_]:
    """Chains [chain, draw] of states from p that stay where they are 9 times of 10."""
    states = generator.choice(len(p), (chains, draws), p=p)
    moved = generator.random((chains, draws)) < 0.1
    for k in range(1, draws):
        states[:, k] = np.where(moved[:, k], states[:, k], states[:, k - 1])
    return states


@rates.factors
def test_error_bars_of_the_bridge_cover(factor: float) -> None:
    """1000 draws of q, 100 chains of p."""
    pair, generator, repeats = Pair(), np.random.default_rng(0), rates.intervals(factor)
    there = pair.log_ratio[generator.choice(64, (repeats, 1000), p=pair.q)]
    back = pair.log_ratio[sticky(pair.p, 100 * repeats, 20, generator)].reshape(repeats, 100, 20)
    found = np.array([bridge(*each) for each in zip(there, back, strict=True)])
    rates.check_intervals(found[:, 0], found[:, 1], pair.log_z, factor, "log Z")
    rates.check_intervals(found[:, 2], found[:, 3], pair.fidelity, factor, "fidelity")
    # 2000 sticky draws of an autocorrelation time of about 19 are worth about 150.
    assert 100 < found[:, 4].mean() < 250


def test_the_bridge_is_stable_in_the_log_domain() -> None:
    pair = Pair()
    generator = np.random.default_rng(0)
    there = pair.log_ratio[generator.choice(64, 500, p=pair.q)]
    back = pair.log_ratio[generator.choice(64, (500, 1), p=pair.p)]
    plain = bridge(there, back)
    a, b = np.exp(there / 2), np.exp(-back / 2)
    assert plain.log_partition == pytest.approx(np.log(a.mean() / b.mean()), rel=1e-12)
    assert plain.fidelity == pytest.approx(a.mean() * b.mean(), rel=1e-12)
    error = np.hypot(*(x.std(ddof=1) / np.sqrt(500) / x.mean() for x in (a, b)))
    assert plain.log_partition_error == pytest.approx(error, rel=1e-9)
    assert plain.fidelity_error == pytest.approx(plain.fidelity * error, rel=1e-9)
    for shift in (5000.0, -5000.0):
        far = bridge(there + shift, back + shift)
        assert far.log_partition == pytest.approx(plain.log_partition + shift, rel=1e-12)
        np.testing.assert_allclose(far[1:], plain[1:], rtol=1e-9)
    # A draw where q = 0 adds nothing to B but counts.
    less = bridge(there, np.concatenate([back, np.full((500, 1), np.inf)]))
    assert less.log_partition == pytest.approx(plain.log_partition + np.log(2), rel=1e-12)
    # An RBM that is the reference: no error.
    same = bridge(np.full(10, 3.0), np.full((5, 2), 3.0))
    assert same[:4] == (3.0, 0.0, 1.0, 0.0)
    # The smaller effective sample size: two of three equal draws, on either side.
    assert bridge([0.0, 0.0, -2000.0], np.zeros((3, 1))).effective_sample_size == pytest.approx(2)
    other = bridge(np.zeros(3), np.array([[0.0], [0.0], [2000.0]])).effective_sample_size
    assert other == pytest.approx(4 / 3)  # of chains: (n - 1) / n of it


@pytest.mark.parametrize("per_chain", [1, 6])
@pytest.mark.parametrize("together", [0.0, 1.0])
def test_the_log_of_a_mean_over_chains(per_chain: int, together: float) -> None:
    # Draws of a chain alike, or of sums that hardly vary from chain to chain.
    generator = np.random.default_rng(0)
    weights = generator.gamma(1.0, size=(5, per_chain)) + 3 * together * np.arange(5)[:, None]
    if not together:
        weights *= (1 + 1e-3 * generator.random((5, 1))) / weights.sum(axis=1, keepdims=True)
    means, each = weights.mean(axis=1), weights.ravel()
    error = means.std(ddof=1) / np.sqrt(5) / means.mean()
    size = each.sum() ** 2 / (each @ each)
    independent = each.std() / np.sqrt(each.size) / each.mean()
    found = log_mean_of_chains(np.log(weights) + 900.0)
    assert found[0] == pytest.approx(900.0 + np.log(each.mean()), rel=1e-12)
    assert found[1] == pytest.approx(error)
    assert found[2] == pytest.approx(size * min(1.0, (independent / error) ** 2))
    assert (independent < error) == (together == 1.0 or per_chain == 1)


# --- bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("q", "p", "facts"),
    [
        (np.zeros((2, 2)), np.zeros((2, 2)), ("log_ratio_q", "[draw]", (2, 2))),
        (np.zeros(1), np.zeros((2, 2)), ("log_ratio_q", "2 draws", (1,))),
        (np.zeros(2), np.zeros(2), ("log_ratio_p", "[chain, draw]", (2,))),
        (np.zeros(2), np.zeros((1, 9)), ("log_ratio_p", "2 chains", (1, 9))),
        (np.zeros(2), np.zeros((2, 0)), ("log_ratio_p", (2, 0))),
        (np.array([0, np.nan]), np.zeros((2, 2)), ("log_ratio_q", "finite")),
        (np.array([0, np.inf]), np.zeros((2, 2)), ("log_ratio_q", "finite")),
        (np.zeros(2), np.array([[0.0], [np.nan]]), ("log_ratio_p", "numbers")),
        (np.zeros(2), np.array([[0.0], [-np.inf]]), ("log_ratio_p", "numbers")),
        (np.zeros(2), np.full((2, 2), np.inf), ("log_ratio_p", "+inf")),
    ],
)
def test_bad_ratios_are_refused(q: Float64, p: Float64, facts: tuple[object, ...]) -> None:
    with refuses(*facts):
        bridge(q, p)


def test_what_does_not_fit_is_refused() -> None:
    rbm = random_rbm(0, 5, 3, 1.0)
    with refuses("method", "sum, contraction, annealing", "'guess'"):
        log_partition(rbm, method="guess")
    for call in (log_partition, by_annealing):
        with pytest.raises(InputError, match=r"^chains: "):
            call(rbm, chains=1)
        with pytest.raises(InputError, match=r"^temperatures: "):
            call(rbm, temperatures=1)
        with pytest.raises(InputError, match=r"^seed: "):
            call(rbm, seed=-1)
        with refuses("array", "4 sites", 5):
            call(rbm, data=np.zeros((3, 4), np.uint8))
    big = random_rbm(0, 60, 50, 1.0)
    with refuses("rbm", 30, 60, 50, "psiprune.log_partition"):
        log_partition(big, method="sum")
    with refuses("rbm", "2^25", 3000, "'annealing'"):
        log_partition(big, method="contraction")
    assert ais.log_mean(np.zeros(2))[0] == 0
