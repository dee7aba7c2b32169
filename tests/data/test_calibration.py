"""Calibration: the estimate, its error, groups, refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import psiprune as pp
import rates
from confusions import random_error
from exact import basis
from psiprune.data.readout_error import ReadoutError
from refusals import refuses

ORDERS = ("listed", "reversed")


def prepared(error: ReadoutError, states: list[str], shots: int, seed: int) -> dict[str, pp.Shots]:
    """Shots of prepared states as a device with these errors records them."""
    return {
        state: pp.Shots(np.array([list(map(int, state))] * shots)).with_readout_error(
            error, seed * len(states) + k
        )
        for k, state in enumerate(states)
    }


def test_one_site_by_hand() -> None:
    found = pp.calibrate_readout({"0": {"0": 97, "1": 3}, "1": {"0": 5, "1": 45}})
    np.testing.assert_allclose(found.rates, [[0.03, 0.1]])
    assert found.groups[0].prepared is not None
    assert found.groups[0].prepared.tolist() == [100, 50]
    assert found.is_measured
    p10, p01 = found.rates[0]
    np.testing.assert_allclose(
        found.rate_errors, [[np.sqrt(p10 * (1 - p10) / 100), np.sqrt(p01 * (1 - p01) / 50)]]
    )


def test_states_in_any_order_and_combination() -> None:
    error = ReadoutError.from_rates([0.02, 0.05, 0.1], [0.04, 0.1, 0.2])
    shots = prepared(error, ["010", "101"], 40_000, seed=0)
    found = pp.calibrate_readout(shots)
    np.testing.assert_allclose(found.rates, error.rates, atol=0.01)
    again = pp.calibrate_readout(dict(reversed(shots.items())), source="again")
    assert again.to_json()["groups"] == found.to_json()["groups"]
    assert again.source == "again"
    more = pp.calibrate_readout(shots | prepared(error, ["000", "111"], 1000, seed=1))
    assert more.groups[0].prepared is not None
    assert more.groups[0].prepared.tolist() == [41_000, 41_000]


def test_groups_in_any_order_of_sites() -> None:
    error = random_error([[2, 0], [1], [3]], seed=4)
    states = ["".join(map(str, state)) for state in basis(4)]
    found = pp.calibrate_readout(prepared(error, states, 20_000, seed=0), [(2, 0)])
    assert [group.sites for group in found.groups] == [group.sites for group in error.groups]
    for one, other in zip(found.groups, error.groups, strict=True):
        np.testing.assert_allclose(one.matrix, other.matrix, atol=0.01)
    turned = pp.calibrate_readout(prepared(error, states, 20_000, seed=0), [(0, 2)])
    np.testing.assert_allclose(turned.rates, found.rates)
    (one,), (other,) = (
        [group for group in each.groups if len(group.sites) == 2] for each in (found, turned)
    )
    assert (one.sites, other.sites) == ((2, 0), (0, 2))
    swap = [0, 2, 1, 3]
    np.testing.assert_allclose(other.matrix, one.matrix[np.ix_(swap, swap)])
    assert np.abs(other.matrix - one.matrix).max() > 0.02


@rates.factors
def test_intervals_cover_the_true_rates(factor: float) -> None:
    error, number = ReadoutError.from_rates([0.03, 0.1], [0.05, 0.2]), rates.repeats(0.05, factor)
    missed = []
    for seed in range(number):
        found = pp.calibrate_readout(prepared(error, ["00", "11"], 2000, seed))
        missed.append(np.abs(found.rates - error.rates) > 1.96 * found.rate_errors)
    rates.check(np.array(missed).reshape(number, -1), 0.05, factor, what="calibration")


def test_refusals() -> None:
    zeros, ones = np.zeros((50, 2), np.uint8), np.ones((50, 2), np.uint8)
    with refuses("calibration", "none"):
        pp.calibrate_readout({})
    for name in ("0", "0a", "000"):
        with refuses("calibration", 2, repr(name)):
            pp.calibrate_readout({name: zeros})
    with refuses("calibration", 2, "found 0"):
        pp.calibrate_readout({0: zeros})  # type: ignore[dict-item]
    with refuses("calibration", "[2, 3]"):
        pp.calibrate_readout({"00": zeros, "111": np.ones((5, 3))})
    with refuses("calibration", "site 0", "'1'"):
        pp.calibrate_readout({"00": zeros})
    with refuses("calibration", "dictionary", "found list"):
        pp.calibrate_readout([("00", zeros), ("11", ones)])  # type: ignore[arg-type]
    with refuses("calibration", "dictionary", "found ndarray"):
        pp.calibrate_readout(zeros)  # type: ignore[arg-type]
    with refuses("calibration", "sites 0, 1", "'10'", 4):
        pp.calibrate_readout({"00": zeros, "11": ones}, [(0, 1)])
    for groups in ([(0, 2)], [(-1,)]):
        with refuses("groups", 0, 1):
            pp.calibrate_readout({"00": zeros, "11": ones}, groups)
    with refuses("readout", "exactly one group"):
        pp.calibrate_readout({"00": zeros, "11": ones}, [(0,), (0,)])
    with refuses("readout", "p(1|0)", "site 0", 0.5):  # the states are exchanged
        pp.calibrate_readout({"11": zeros, "00": ones})


def test_rates_of_few_shots_name_their_number() -> None:
    one, two = np.ones((1, 1), np.uint8), np.ones((2, 1), np.uint8)
    with refuses("readout", "p(1|0)", "site 0", "found 1 from 1 calibration shot", "too few"):
        pp.calibrate_readout({"0": one, "1": two})
    with refuses("readout", "p(0|1)", "site 0", "2 calibration shots", "exchanged", "too few"):
        pp.calibrate_readout({"0": 1 - one, "1": 1 - two})


@pytest.mark.parametrize("states", [["0111", "1000"], ["1111", "0001", "0000"]])
def test_states_in_reversed_order_are_named(states: list[str]) -> None:
    error = ReadoutError.from_rates(0.05, sites=4)
    shots = {state[::-1]: each for state, each in prepared(error, states, 200, 0).items()}
    turned = next(state for state in shots if state != state[::-1])
    with refuses("calibration", "reversed order", f"{turned} was measured as {turned[::-1]}"):
        pp.calibrate_readout(shots)
    inverted = {state.translate({48: "1", 49: "0"})[::-1]: each for state, each in shots.items()}
    with refuses("readout", "exchanged"):
        pp.calibrate_readout(inverted)


@pytest.mark.parametrize("suffix", ["json", "nc"])
def test_calibration_and_shots_in_opposite_orders_are_refused(suffix: str, tmp_path: Path) -> None:
    zeros = {order: pp.read_shots({"011": 9}, "qiskit", order=order) for order in ORDERS}
    ones = {
        order: pp.read_shots({"100": 9}, "qiskit", order=order, outcomes="bits") for order in ORDERS
    }
    error = pp.calibrate_readout({"110": zeros["listed"], "001": ones["listed"]})
    assert error.bit_order == "qiskit: " + str(zeros["listed"].provenance["bit_order"])
    assert ReadoutError.from_json(json.loads(json.dumps(error.to_json()))).bit_order == (
        error.bit_order
    )
    same, other = (zeros[order] for order in ORDERS)
    if suffix == "nc":
        same, other = (
            pp.read_shots(pp.join_shots([each, each]).save(tmp_path / f"{k}.nc"))
            for k, each in enumerate((same, other))
        )
    assert replace(same, readout=error).readout is error
    with refuses("readout", "calibration shots", "opposite orders", "--order"):
        replace(other, readout=error)
    twice = pp.join_shots([pp.join_shots([other, other]), other])
    with refuses("readout", "opposite orders"):
        replace(twice, readout=error)
    # Other formats say nothing of it, nor do shots of several orders, nor chosen qubits.
    mixed = pp.join_shots([same, other])
    for unknown in (pp.Shots(other.bits), pp.read_shots({"011": 1}), mixed):
        assert replace(unknown, readout=error).readout is error
    assert replace(other, readout=error.of_sites([2, 1, 0])).readout is not None
    backwards = pp.calibrate_readout({"011": zeros["reversed"], "100": ones["reversed"]})
    with refuses("readout", "opposite orders"):
        replace(same, readout=backwards)


def test_calibration_and_shots_of_other_qubits_are_refused(tmp_path: Path) -> None:
    def measured(qubits: list[int], order: str = "listed", bit: int = 0) -> pp.Shots:
        content = {"measurements": [[bit, bit]] * 9, "measuredQubits": qubits}
        (tmp_path / "task.json").write_text(json.dumps(content))
        return pp.read_shots(tmp_path / "task.json", "braket", order=order)

    shots = measured([3, 5])
    error = pp.calibrate_readout({"00": shots, "11": measured([3, 5], bit=1)})
    for same in (shots, measured([5, 3], "numbered"), measured([5, 3], "reversed")):
        assert replace(same, readout=error).readout is error
    for other in (measured([3, 6]), measured([5, 3])):
        with refuses("readout", "calibration shots", "qubits 3, 5", "--readout-qubits"):
            replace(other, readout=error)
    assert replace(measured([5, 3]), readout=error.of_sites([1, 0])).readout is not None


def test_recorded_bits_count_whatever_errors_the_shots_carry() -> None:
    bits = np.zeros((100, 1), np.uint8)
    plain = pp.calibrate_readout({"0": bits, "1": 1 - bits})
    carrying = pp.Shots(bits, readout=ReadoutError.from_rates(0.2, sites=1))
    assert pp.calibrate_readout({"0": carrying, "1": 1 - bits}).to_json() == plain.to_json()


@pytest.mark.parametrize("sites", [1, 2])
def test_perfect_records_leave_an_error_of_half_a_shot(sites: int) -> None:
    shots = np.zeros((100, sites), np.uint8)
    found = pp.calibrate_readout({"0" * sites: shots, "1" * sites: 1 - shots})
    np.testing.assert_array_equal(found.rates, 0)
    unseen = 0.5 / 100.5
    np.testing.assert_allclose(found.allowing_unseen().rates, unseen)
    np.testing.assert_allclose(found.rate_errors, np.sqrt(unseen * (1 - unseen) / 100))
    drawn = [found.resampled(seed).rates for seed in range(400)]
    # Within 5 standard errors of a mean square over 400 draws with a kurtosis of about 1 / 0.5.
    np.testing.assert_allclose(np.std(drawn, axis=0), found.rate_errors, rtol=0.3)


@pytest.mark.parametrize("groups", [1, 3])
def test_the_mean_of_the_rates_has_no_bias(groups: int) -> None:
    """Of 12 sites in groups, over 20 calibrations of 50 shots for each state of a group."""
    sites, shots, rate = 12, 50, 0.02
    error = ReadoutError.from_rates(rate, sites=sites)
    states = [np.tile(state, sites // groups) for state in basis(groups)]
    parts = [tuple(range(k, k + groups)) for k in range(0, sites, groups)]
    means, priors = [], []
    for seed in range(20):
        counts = {
            "".join(map(str, state)): error.misread(
                np.tile(state, (shots, 1)), seed * len(states) + k
            )
            for k, state in enumerate(states)
        }
        found = pp.calibrate_readout(counts, parts)
        means.append(found.rates.mean())
        # A shot in equal parts in each row, Jeffreys' prior for a single site.
        priors.append((found.rates.mean() * shots + 0.5) / (shots + 1))
    error_of_mean = np.std(means) / np.sqrt(len(means))
    assert abs(np.mean(means) - rate) < 4 * error_of_mean
    assert np.mean(priors) - rate > 4 * error_of_mean
