"""Readout errors: the distribution of the recorded bits, simulation, refusals, round trips."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

import psiprune as pp
from confusions import dense, grouped_sites, random_error, with_rates_times
from exact import basis, index
from psiprune.data.confusion import Confusion
from psiprune.data.readout_error import ReadoutError
from psiprune.data.shots import without_readout_error
from psiprune.io.netcdf import read_dataset, write_dataset
from refusals import refuses

#: One pair of measured rates, whose error both sites share.
ALIKE = ReadoutError.from_rates(0.03, errors=(0.003, 0.003), sites=2)
GROUPS = ([[0]], [[0, 1]], [[1, 0]], [[2, 0], [1]], [[3, 1, 0], [2]], [[1], [4, 2], [0, 3]])


def test_one_and_two_sites_by_hand() -> None:
    one = ReadoutError.from_rates(0.1, 0.3, sites=1)
    np.testing.assert_allclose(one.apply(np.array([0.6, 0.4])), [0.6 * 0.9 + 0.4 * 0.3, 0.34])
    np.testing.assert_allclose(one.apply_transposed(np.array([1.0, -1.0])), [0.8, -0.4])
    two = ReadoutError.from_rates([0.1, 0.2], [0.3, 0.4])
    recorded = two.apply(np.array([0.0, 1.0, 0.0, 0.0]))  # site 0 in 1, site 1 in 0
    np.testing.assert_allclose(recorded, [0.3 * 0.8, 0.7 * 0.8, 0.3 * 0.2, 0.7 * 0.2])
    assert [group.sites for group in two.groups] == [(0,), (1,)]
    assert not two.is_measured
    assert two.rates.tolist() == [[0.1, 0.3], [0.2, 0.4]]


@given(grouped_sites(), st.integers(0, 1000))
def test_apply_is_the_dense_matrix(groups: list[list[int]], seed: int) -> None:
    error = random_error(groups, seed)
    matrix = dense(error)
    np.testing.assert_allclose(matrix.sum(axis=0), 1, rtol=1e-12)
    values = np.random.default_rng(seed).normal(size=len(matrix))
    np.testing.assert_allclose(error.apply(values), matrix @ values, atol=1e-13)
    np.testing.assert_allclose(error.apply_transposed(values), matrix.T @ values, atol=1e-13)


def test_apply_is_a_kronecker_product_of_sites() -> None:
    error = random_error([[0], [1], [2]])
    matrices = {group.sites[0]: group.matrix.T for group in error.groups}  # [y, v]
    kron = np.kron(matrices[2], np.kron(matrices[1], matrices[0]))  # site 0 is the lowest bit
    np.testing.assert_allclose(dense(error), kron)
    with refuses("readout", "2^3", "(4,)"):
        error.apply(np.zeros(4))


@given(grouped_sites(), st.integers(0, 1000))
def test_rates_are_averages_over_the_other_sites(groups: list[list[int]], seed: int) -> None:
    error = random_error(groups, seed)
    matrix, states = dense(error), basis(error.sites)
    for site, (p10, p01) in enumerate(error.rates):
        ones = states[:, site] == 1
        wrong = matrix[ones].sum(axis=0)  # of each v, p(y_i = 1 | v)
        np.testing.assert_allclose(p10, wrong[~ones].mean())
        np.testing.assert_allclose(p01, 1 - wrong[ones].mean())


def chi_squared(error: ReadoutError, expected: ReadoutError, shots: int = 20_000) -> float:
    """The smallest p-value, over all true states, of simulated records against C."""
    states, matrix = basis(error.sites), dense(expected)
    p_values = []
    for k, state in enumerate(states):
        recorded = error.misread(np.repeat(state[None], shots, axis=0), seed=k)
        counts = np.bincount(index(recorded), minlength=len(states))
        p_values.append(chisquare(counts, shots * matrix[:, k]).pvalue)
    return float(min(p_values))


@pytest.mark.parametrize("groups", GROUPS[:5])
def test_records_are_drawn_from_the_matrix(groups: list[list[int]]) -> None:
    error = random_error(groups, seed=1)
    assert chi_squared(error, error) > 1e-5


def test_records_of_other_matrices_are_told_apart() -> None:
    error = random_error([[2, 0], [1]], seed=1)
    exchanged = ReadoutError(
        tuple(replace(group, sites=group.sites[::-1]) for group in error.groups)
    )
    assert chi_squared(error, exchanged) < 1e-20
    assert chi_squared(error, with_rates_times(1.2, error)) < 1e-8


def test_simulated_shots_carry_their_errors() -> None:
    error = ReadoutError.from_rates(0.05, 0.1, sites=3, source="mine")
    shots = pp.Shots(np.zeros((1000, 3), np.uint8), provenance={"seed": 3})
    recorded = shots.with_readout_error(error, seed=5)
    assert recorded.readout is error
    assert recorded.bits.mean() == pytest.approx(0.05, abs=0.02)
    assert recorded.provenance == {"seed": 3, "readout_simulated": "mine", "readout_seed": 5}
    np.testing.assert_array_equal(shots.with_readout_error(error, seed=5).bits, recorded.bits)
    assert (shots.with_readout_error(error, seed=6).bits != recorded.bits).any()
    with refuses("array", "mine"):
        recorded.with_readout_error(error)
    with refuses("readout", 3, 2):
        pp.Shots(np.zeros((5, 2), np.uint8)).with_readout_error(error)


def measured(n: int) -> ReadoutError:
    """Errors of a pair and of a site from n calibration shots of each state."""
    pair = np.array([[0.9, 0.04, 0.05, 0.01], [0.08, 0.9, 0.01, 0.01]])
    matrix = np.vstack([pair, pair[::-1, ::-1]])
    single = np.array([[0.98, 0.02], [0.05, 0.95]])
    return ReadoutError(
        (
            Confusion((0, 2), matrix, np.full(4, n)),
            Confusion((1,), single, np.array([n, 2 * n])),
        )
    )


def test_resampled_rows_have_the_multinomial_covariance() -> None:
    error, seeds = measured(2000), 3000
    drawn = [error.resampled(seed) for seed in range(seeds)]
    assert all(each.is_measured for each in drawn)
    for g, group in enumerate(error.groups):
        assert group.prepared is not None
        matrices = np.stack([each.groups[g].matrix for each in drawn])
        for v, (row, n) in enumerate(zip(group.matrix, group.prepared, strict=True)):
            expected = (np.diag(row) - np.outer(row, row)) / n
            found = np.cov(matrices[:, v].T)
            scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
            assert np.abs(found - expected).max() < 5 * np.sqrt(2 / seeds) * scale.max()
            # Half a count in each cell moves the mean by less than (2^k / 2) / n.
            assert np.abs(matrices[:, v].mean(axis=0) - row).max() < 0.5 * len(row) / n


def test_standard_errors_are_the_spread_of_resampled_rates() -> None:
    for error in (measured(2000), ReadoutError.from_rates([0.02, 0.1], [0.05, 0.2])):
        rates = np.stack([error.resampled(seed).rates for seed in range(1500)])
        np.testing.assert_allclose(rates.std(axis=0), error.rate_errors, rtol=0.12)


def test_scaling_multiplies_the_wrong_records() -> None:
    error = random_error([[0, 1], [2]], seed=2)
    half = with_rates_times(0.5, error)
    for one, other in zip(error.groups, half.groups, strict=True):
        wrong = ~np.eye(len(one.matrix), dtype=bool)
        np.testing.assert_allclose(other.matrix[wrong], one.matrix[wrong] / 2)
        np.testing.assert_allclose(other.matrix.sum(axis=1), 1)
    np.testing.assert_allclose(with_rates_times(0.0, error).rates, 0, atol=1e-15)
    assert (with_rates_times(50.0, error).rates < 0.5).all()
    almost = ReadoutError.from_rates([0.47, 0.3], [0.47, 0.3])
    assert all((almost.resampled(seed).rates < 0.5).all() for seed in range(100))


@given(grouped_sites(), st.integers(0, 1000), st.randoms(use_true_random=False))
def test_sites_in_another_order(groups: list[list[int]], seed: int, random: Any) -> None:
    error = random_error(groups, seed)
    order = random.sample(range(error.sites), error.sites)
    turned = error.of_sites(order)
    states = basis(error.sites)
    rows = index(states[:, order])  # the row in which site k is what was site order[k]
    np.testing.assert_allclose(dense(turned)[np.ix_(rows, rows)], dense(error))
    np.testing.assert_allclose(turned.rates, error.rates[order])
    np.testing.assert_allclose(turned.rate_errors, error.rate_errors[order])


def test_a_part_of_a_group_is_averaged() -> None:
    error = measured(100)
    part = error.of_sites([2, 1])
    assert part.sites == 2
    assert [group.sites for group in part.groups] == [(0,), (1,)]
    np.testing.assert_allclose(part.rates, error.rates[[2, 1]])
    assert [group.prepared.tolist() for group in part.groups if group.prepared is not None] == [
        [200, 200],
        [100, 200],
    ]
    for wrong in ([0, 0], [3], [-1]):
        with refuses("sites", 0, 2):
            error.of_sites(wrong)


@pytest.mark.parametrize(
    "error", [measured(50), random_error([[1, 0], [2]]), random_error([[0]]), ALIKE]
)
def test_round_trip_through_json_and_shots(error: ReadoutError, tmp_path: Path) -> None:
    read = ReadoutError.from_json(json.loads(json.dumps(error.to_json())))
    assert read.to_json() == error.to_json()
    bits = np.zeros((4, error.sites), np.uint8)
    file = pp.Shots(bits, readout=error).save(tmp_path / "shots.nc")
    shots = pp.read_shots(file)
    assert shots.readout is not None
    assert shots.readout.to_json() == error.to_json()
    assert shots.readout.full_digest == error.full_digest
    assert shots.readout.alike == error.alike
    renamed = replace(shots, readout=replace(error, source="elsewhere"))
    assert pp.join_shots([shots, renamed]).readout is shots.readout
    with refuses("array", "other readout errors"):
        pp.join_shots([shots, pp.Shots(bits, readout=with_rates_times(0.5, error))])
    with refuses(file.name, "other readout errors"):
        pp.join_shots([pp.Shots(bits), shots])


def test_a_damaged_attribute_is_refused(tmp_path: Path) -> None:
    file = pp.Shots(
        np.array([[0, 1]], np.uint8), readout=ReadoutError.from_rates(0.1, sites=2)
    ).save(tmp_path / "a.nc")
    dataset = read_dataset(file, "shots")
    for content in ("{", "3", '{"groups": [{"sites": [0], "matrix": [[1, 0], [0, 1]]}]}'):
        dataset.attrs["readout"] = content
        write_dataset(tmp_path / "b.nc", dataset, "shots")
        with pytest.raises(pp.InputError) as caught:
            pp.read_shots(tmp_path / "b.nc")
        assert "readout" in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("rates", "facts"),
    [
        ((0.5, 0.1), ("p(1|0)", "site 0", 0.5, 0.5)),
        ((0.1, [0.1, -0.2]), ("p(0|1)", "site 1", 0, -0.2)),
        ((float("nan"), 0.1), ("p(1|0)", "nan", "give a probability")),
        ((60.0, 0.1), ("p(1|0)", 60, "percent")),
        ((0.1, float("inf")), ("p(0|1)", "inf", "give a probability")),
        ((0.1, 1.0), ("p(0|1)", "found 1", "exchanged")),
        (([0.1, 0.1, 0.1], 0.1), (3, 2)),
        (([0.1, 0.1], [0.1]), ("(2,)", "(1,)")),
        (([[0.1]], 0.1), ("(1, 1)",)),
        (("abc", 0.1), ("abc", 0.1)),
        (([[0.1], [0.1, 0.2]], 0.1), ("[[0.1], [0.1, 0.2]]",)),
        ((0.49, 0.49), ("site 0", "nearly singular", 0.05, 0.02)),
    ],
)
def test_bad_rates(rates: tuple[Any, Any], facts: tuple[object, ...]) -> None:
    with refuses("readout", *facts):
        ReadoutError.from_rates(*rates, sites=2)


def test_errors_of_rates_are_those_of_calibration_shots() -> None:
    found = ReadoutError.from_rates([0.1, 0.2], 0.05, errors=(0.01, [0.002, 0.01]))
    prepared = [
        None if group.prepared is None else group.prepared.tolist() for group in found.groups
    ]
    assert prepared == [[900, 11875], [1600, 475]]
    np.testing.assert_allclose(found.rate_errors, [[0.01, 0.002], [0.01, 0.01]])
    for rate, error in ((0.1, 1e-9), (0.1, 1e-170), (0.1, 1e-300), (0.1, 5e-324), (1e-320, 1e-161)):
        exact = ReadoutError.from_rates(rate, errors=(error, error), sites=1)
        np.testing.assert_allclose(exact.resampled(0).rates, rate, atol=1e-5)
    for errors, facts in (
        (0.01, ("two", 0.01)),
        ((0.01, 0.01, 0.01), ("two",)),
        ((0.01, [0.01, 0.0]), ("site 1", "p(0|1)", 0.05, 0)),
        ((0.31, 0.01), ("site 0", "p(1|0)", 0.1, 0.3, 0.31)),
        ((0.01, [0.01, 0.01, 0.01]), ("shapes", "(3,)")),
        ((0.01, "x"), ("'x'",)),
    ):
        with refuses("readout", *facts):
            ReadoutError.from_rates([0.1, 0.2], 0.05, errors=errors)  # type: ignore[arg-type]


def test_one_measured_pair_of_all_sites_is_wrong_alike() -> None:
    shared = pp.read_readout("0.03+-0.003,0.05+-0.004", 4)
    made = ReadoutError.from_rates(0.03, 0.05, errors=(0.003, 0.004), sites=4)
    apart = ReadoutError.from_rates([0.03] * 4, 0.05, errors=(0.003, 0.004))
    assert made.full_digest == shared.full_digest != apart.full_digest
    assert made.digest == apart.digest
    assert [each.alike for each in (shared, made, apart)] == [True, True, False]
    assert not pp.read_readout("0.03,0.05", 4).alike  # assumed: alike in any case
    drawn = [shared.resampled(seed) for seed in range(100)]
    assert all(each.alike and len(np.unique(each.rates, axis=0)) == 1 for each in drawn)
    means = np.array([each.rates.mean(axis=0) for each in drawn])
    np.testing.assert_allclose(means.std(axis=0), [0.003, 0.004], rtol=0.35)  # 5 errors
    assert len(np.unique(apart.resampled(0).rates, axis=0)) == 4
    assert shared.of_sites([3, 1]).alike
    with refuses("readout", "alike", "different", "omit it"):
        replace(measured(9), alike=True)


def test_resampled_rates_keep_the_order_of_bits() -> None:
    error = replace(measured(50), bit_order="qiskit: site 0 is bit 0")
    assert error.resampled(1).bit_order == error.bit_order


def test_a_number_of_sites_is_needed() -> None:
    with refuses("readout", "`sites`"):
        ReadoutError.from_rates(0.1)
    for sites in (-2, 0, 2.0, True):
        with refuses("sites", 1, sites):
            ReadoutError.from_rates(0.1, sites=sites)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("bits", "seed", "facts"),
    [
        ([[0, 1]], 0, ("bits", 3, 2, "ReadoutError.of_sites")),
        (np.zeros((5, 4), np.uint8), 0, ("bits", 3, 4)),
        ([0, 1, 1], 0, ("bits", "[shot, site]", 1)),
        ([[0, 1, 2]], 0, ("bits", "row 0", "column 2", 2)),
        ([[0, 1, 1]], -1, ("seed", 0, -1)),
    ],
)
def test_only_bits_of_these_sites_are_misread(
    bits: Any, seed: int, facts: tuple[object, ...]
) -> None:
    error = ReadoutError.from_rates(0.1, sites=3)
    with refuses(*facts):
        error.misread(bits, seed)
    rows = np.array([[0, 1, 1], [1, 0, 0]])
    np.testing.assert_array_equal(error.misread(rows.tolist(), 1), error.misread(rows, 1))


@pytest.mark.parametrize("given", [0.03, "readout.json"])
def test_shots_carry_nothing_but_readout_errors(given: Any) -> None:
    shots = pp.Shots(np.array([[0, 1]]))
    facts = ("readout", "ReadoutError.from_rates", "read_readout", str(given))
    with refuses(*facts):
        replace(shots, readout=given)
    with refuses(*facts):
        shots.with_readout_error(given)
    with refuses("readout", "ReadoutError.from_rates", None):
        shots.with_readout_error(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("sites", [[[0], [0]], [[1]], [[0, 1], [1, 2]], []])
def test_each_site_is_in_one_group(sites: list[list[int]]) -> None:
    groups = tuple(Confusion(tuple(each), np.eye(1 << len(each))) for each in sites)
    with refuses("readout", "exactly one group"):
        ReadoutError(groups)


def test_rates_that_nobody_measured_are_wrong_alike() -> None:
    error = ReadoutError.from_rates([0.02, 0.04], [0.03, 0.06])
    factors = np.array([error.resampled(seed).rates / error.rates for seed in range(400)])
    np.testing.assert_allclose(factors[:, 0], factors[:, 1])  # at all sites
    assert np.abs(np.corrcoef(factors[:, 0].T)[0, 1]) < 0.25  # p(1|0) and p(0|1) apart: 5 errors
    np.testing.assert_allclose(factors[:, 0].std(axis=0), 0.1, rtol=0.18)  # 5 errors


def test_repr() -> None:
    assert repr(ReadoutError.from_rates(0.01, 0.03, sites=4)) == (
        "ReadoutError(sites=4, mean p(1|0)=0.01, mean p(0|1)=0.03, source='rates')"
    )


def test_what_ignores_errors_refuses_them() -> None:
    error = ReadoutError.from_rates(0.1, sites=2, source="dev")
    shots = pp.Shots(np.array([[0, 1], [1, 1]], np.uint8), readout=error)
    rbm = pp.RBM(np.zeros((1, 2)), np.zeros(2), np.zeros(1))
    mask = np.array([[1, 0], [0, 1]], bool)
    pruned = pp.RBM(np.zeros((2, 2)), np.zeros(2), np.zeros(2), mask)
    state = pp.mps_from_vector(np.ones(4) / 2)
    for call in (
        lambda: rbm.log_prob(shots),
        lambda: rbm.hidden_given_visible(shots),
        lambda: state.log_prob(shots),
        lambda: pp.rewire(pruned, shots),
        lambda: without_readout_error(shots, "this"),
    ):
        with refuses("array", "(dev)", "readout=None"):
            call()
    assert without_readout_error(replace(shots, readout=None), "this").readout is None


def test_arguments_of_other_types_are_refused_or_converted() -> None:
    error = ReadoutError.from_rates(0.01, 0.03, sites=2)
    assert error.apply([1, 0, 0, 0]).tolist() == error.apply(np.array([1.0, 0, 0, 0])).tolist()  # type: ignore[arg-type]
    for seed in (-1, "a"):
        with refuses("seed"):
            error.resampled(seed)  # type: ignore[arg-type]
    for sites in ([0.5], None):
        with refuses("sites", str(sites)):
            error.of_sites(sites)  # type: ignore[arg-type]
    with refuses("readout", "2^2 states", "'a'"):
        error.apply("a")  # type: ignore[arg-type]
    with refuses("readout", "psiprune.Confusion", "None"):
        ReadoutError(None)  # type: ignore[arg-type]
    for group in (0, (0.5,), "a"):
        with refuses("readout", "tuple of integers", repr(group)):
            ReadoutError((Confusion(group, np.eye(2)),))  # type: ignore[arg-type]
    with refuses("readout", "2 x 2 numbers", "'ab'"):
        ReadoutError((Confusion((0,), "ab"),))  # type: ignore[arg-type]
    for counts in ([10.5, 10], ["10", "10"], [np.nan, 10], [0, 10], 10, [None, 10]):
        with refuses("readout", "2 integers", np.asarray(counts).tolist()):
            ReadoutError((Confusion((0,), np.eye(2), counts),))  # type: ignore[arg-type]
    with refuses("readout", "psiprune.Confusion", "(1,)"):
        ReadoutError((1,))  # type: ignore[arg-type]
