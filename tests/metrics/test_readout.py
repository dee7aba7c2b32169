"""What flips of the readout change: sums over all states, closed forms, and draws against both."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest
from numpy.typing import NDArray

import exact
from machines import distribution, magnet, random_rbm
from psiprune.core.threads import single_thread
from psiprune.inference import recorded
from psiprune.metrics.divergence import fidelity
from psiprune.metrics.measure import Measure
from psiprune.metrics.readout import flipped, readout_sensitivity
from psiprune.rbm.model import RBM
from refusals import refuses

BIASES: NDArray[np.float64] = np.linspace(-2.0, 1.5, 24)


def product(sites: int) -> RBM:
    return RBM(np.zeros((1, sites)), BIASES[:sites], np.zeros(1))


def of_product(sites: int, flip: float) -> tuple[float, float]:
    """1 - F and KL of independent bits: site by site."""
    one = 1 / (1 + np.exp(-BIASES[:sites]))
    p = np.stack([1 - one, one])
    q = (1 - flip) * p + flip * p[::-1]
    return 1 - np.prod(np.sqrt(p * q).sum(axis=0)) ** 2, float((p * np.log(p / q)).sum())


def blocks(rbm: RBM, number: int) -> RBM:
    """Copies side by side, whose F is a product and whose KL is a sum."""
    return RBM(
        np.kron(np.eye(number), rbm.weights).astype(np.float64),
        np.tile(rbm.visible_bias, number),
        np.tile(rbm.hidden_bias, number),
    )


def within(found: Measure, wanted: float, errors: float = 5) -> bool:
    return abs(found.value - wanted) < errors * found.error


@pytest.mark.parametrize("flip", [0.01, 0.3])
def test_sums_over_all_states(flip: float) -> None:
    rbm = random_rbm(5, 3)
    matrix = np.array([[1 - flip, flip], [flip, 1 - flip]])
    p = distribution(rbm)
    q = reduce(np.kron, [matrix] * 5) @ p
    found = readout_sensitivity(rbm, flip)
    assert found.infidelity.value == pytest.approx(1 - np.sqrt(p * q).sum() ** 2, rel=1e-10)
    assert found.kl.value == pytest.approx(p @ np.log(p / q), rel=1e-10)
    assert found.infidelity.error == found.kl.error == 0
    assert found.infidelity.method == "sum over 2^5 states"


@pytest.mark.parametrize("flip", [1e-9, 0.01, 0.2])
def test_independent_bits(flip: float) -> None:
    found = readout_sensitivity(product(8), flip)
    infidelity, kl = of_product(8, flip)
    # The closed forms subtract from 1.
    assert found.infidelity.value == pytest.approx(infidelity, rel=1e-9, abs=1e-14)
    assert found.kl.value == pytest.approx(kl, rel=1e-9, abs=1e-14)


def test_ghz_and_w() -> None:
    flip, sites = 0.03, 7
    stays = (1 - flip) ** sites
    found = readout_sensitivity(magnet(sites, 1, 200.0), flip)
    assert found.infidelity.value == pytest.approx(1 - stays - flip**sites, rel=1e-12)
    assert found.kl.value == pytest.approx(-np.log(stays + flip**sites), rel=1e-12)
    w = np.zeros(2**sites)
    w[1 << np.arange(sites)] = 1 / sites
    with np.errstate(divide="ignore"):
        found_w = fidelity(np.log(w), np.log(flipped(w, flip)))
    assert found_w == pytest.approx(stays + (sites - 1) * flip**2 * (1 - flip) ** (sites - 2))


def test_draws_of_independent_bits() -> None:
    found = readout_sensitivity(product(24), 0.02, draws=400, seed=1)
    infidelity, kl = of_product(24, 0.02)
    assert within(found.infidelity, infidelity)
    assert within(found.kl, kl)
    assert 0 < found.infidelity.error < 0.2 * infidelity


def test_draws_of_ghz() -> None:
    flip, sites = 0.02, 30
    found = readout_sensitivity(magnet(sites, 1, 2000.0), flip, draws=200)
    stays = (1 - flip) ** sites
    assert found.infidelity.value == pytest.approx(1 - stays, rel=1e-3)
    assert found.kl.value == pytest.approx(-np.log(stays), rel=1e-3)


@pytest.mark.parametrize("seed", [0, 1])
def test_draws_of_correlated_bits(seed: int) -> None:
    rbm = random_rbm(8, 6, scale=2.0)
    one = readout_sensitivity(rbm)
    found = readout_sensitivity(blocks(rbm, 3), draws=600, seed=seed)
    infidelity = 1 - (1 - one.infidelity.value) ** 3
    assert within(found.infidelity, infidelity)
    assert within(found.kl, 3 * one.kl.value)
    # Another rate of flips is noticed.
    other = 1 - (1 - readout_sensitivity(rbm, 0.03).infidelity.value) ** 3
    assert not within(found.infidelity, other)


@pytest.mark.parametrize("steps", [1, 8])
def test_annealing_has_the_ratio_of_probabilities_as_its_mean(
    steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """E[w] = p'(v)/p(v) for each of eight configurations, within 5 errors."""
    rbm, flip = random_rbm(3, 2, scale=2.0), 0.2
    monkeypatch.setattr(recorded, "STEPS", steps)
    bits = exact.basis(3).repeat(2000, axis=0)
    log_w = recorded.annealed_ratio(rbm, bits, flip, flip, np.random.default_rng(0))
    w = np.exp(log_w).reshape(-1, 8, 2000).swapaxes(0, 1).reshape(8, -1)
    wanted, error = flipped(distribution(rbm), flip) / distribution(rbm), w.std(axis=1) / 89.4
    np.testing.assert_array_less(np.abs(w.mean(axis=1) - wanted), 5 * error)


def test_the_same_seed_gives_the_same_bits_in_any_number_of_threads() -> None:
    rbm = random_rbm(21, 4)

    def found(seed: int) -> list[float]:
        result = readout_sensitivity(rbm, draws=120, seed=seed)
        return [getattr(m, k) for m in (result.infidelity, result.kl) for k in ("value", "error")]

    here = found(2)
    with single_thread():
        assert found(2) == here
    assert found(3) != here


def test_chains_start_at_data_or_at_other_chains() -> None:
    rbm = random_rbm(27, 27, scale=0.2)
    data = rbm.sample(50, steps=10)
    with_data = readout_sensitivity(rbm, data=data, draws=100)
    without = readout_sensitivity(rbm, draws=100)
    for found in (with_data, without):
        assert found.infidelity.method.startswith("1000 Gibbs chains")
    assert within(with_data.infidelity, without.infidelity.value, 10)


def test_the_sentence_states_flips_and_change() -> None:
    found = readout_sensitivity(magnet(7, 1, 200.0), 0.03)
    assert found.sentence == (
        "readout: taken as perfect; 3 % flips per qubit would change F by about 0.19"
    )


def test_refused() -> None:
    rbm = random_rbm(4, 2)
    for flip in (0, 0.5, -0.1, float("nan"), "x", True):
        with refuses("flip", "0.5", flip):
            readout_sensitivity(rbm, flip)  # type: ignore[arg-type]
    with refuses("draws", 100, 99):
        readout_sensitivity(rbm, draws=99)
    with refuses("seed", -1):
        readout_sensitivity(rbm, seed=-1)
    with refuses("array", 3, 4):
        readout_sensitivity(rbm, data=[[0, 1, 0]])
