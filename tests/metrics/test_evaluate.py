"""`evaluate` takes a state or shots in any form, and objects print as one short line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import psiprune as pp
from machines import random_rbm
from psiprune.core import limits
from psiprune.core.exceptions import InputError
from psiprune.inference.ais import Base, base_of
from psiprune.inference.bridge import Bridge
from psiprune.inference.log_partition import LogPartition, independent_draws
from psiprune.inference.variable_elimination import plan_contraction
from psiprune.metrics.against_shots import evaluate_on_shots
from psiprune.metrics.draws import Draws
from psiprune.metrics.equivalence import EquivalenceResult, Losses
from psiprune.metrics.measure import Measure
from psiprune.metrics.observables import Estimate, sampled_observables
from psiprune.metrics.reference import reference_of
from psiprune.metrics.shots_report import Comparison, ShotsReport
from psiprune.metrics.state_report import Report
from psiprune.pruning.optimal_brain_surgeon import LocalModel, PrunedCandidate
from psiprune.rbm import gibbs
from psiprune.rbm.likelihood import data_moments, model_moments, unique_configurations
from psiprune.rbm.model import RBM
from psiprune.states.mps import mps_from_vector
from spies import arguments_of

RBM_OF_6 = random_rbm(6, 3, scale=0.5)
BITS = RBM_OF_6.sample_exact(500, seed=1)
LARGE = replace(random_rbm(1000, 300), provenance={"seed": 1, "training_shots": 10**6})
MANY = np.linspace(-1e-5, 1e5, 1000)


def counts() -> dict[str, int]:
    return dict(Counter("".join(map(str, row)) for row in BITS.tolist()))


def test_a_state_gives_a_report() -> None:
    state = mps_from_vector(np.ones(64))
    for reference in (state, reference_of(state)):
        assert isinstance(pp.evaluate(RBM_OF_6, reference, draws=100), Report)


@pytest.mark.parametrize("form", [lambda: BITS, lambda: BITS.tolist(), lambda: pp.Shots(BITS)])
def test_shots_in_any_form_give_the_report_of_evaluate_on_shots(
    form: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    bars = arguments_of(monkeypatch, "psiprune.metrics.against_state.evaluate_on_shots", "progress")
    wanted = evaluate_on_shots(RBM_OF_6, BITS, draws=200, seed=3)
    report: ShotsReport = pp.evaluate(  # type: ignore[call-overload]
        RBM_OF_6, form(), draws=200, seed=3, progress=False
    )
    assert bars == [False]
    for (name, a), (_, b) in zip(report, wanted, strict=True):
        np.testing.assert_array_equal(a.value, b.value, err_msg=name)
        np.testing.assert_array_equal(a.error, b.error, err_msg=name)


def test_counts_are_shots_with_site_0_first() -> None:
    report = pp.evaluate(RBM_OF_6, counts(), draws=200)
    assert report.shots == 500
    assert report.log_likelihood.value == pytest.approx(RBM_OF_6.log_prob(BITS).mean())
    assert RBM_OF_6.log_prob({"100000": 1}) == RBM_OF_6.log_prob([[1, 0, 0, 0, 0, 0]])
    assert len(RBM_OF_6.log_prob({"000000": 2, "111111": 1})) == 3
    wrong: list[Any] = [{}, {"01": 3}, {"000000": 0.5}, {"00000x": 1}]
    for data in wrong:
        with pytest.raises(InputError, match=r"^counts: "):
            pp.evaluate(RBM_OF_6, data)


@pytest.mark.parametrize("wrong", ["state.nc", None, RBM_OF_6, 3.0])
def test_neither_a_state_nor_shots_is_refused(wrong: object) -> None:
    with pytest.raises(InputError):
        pp.evaluate(RBM_OF_6, wrong)  # type: ignore[call-overload]


def test_representations_are_one_short_line() -> None:
    state = mps_from_vector(np.ones(64))
    bits = LARGE.sample(50, steps=1)
    configurations = unique_configurations(bits)
    estimate = Estimate(MANY, MANY, MANY, np.outer(MANY, MANY))
    method = "1000 Gibbs chains with flips (tau of abs_magnetization 12345.6 steps, R-hat 12345.67)"
    measure = Measure(-1.23456789e-5, 1e5 / 3, float("nan"), method, method, 1e5 / 7)
    ring = RBM(np.eye(60), np.zeros(60), np.zeros(60), np.eye(60, dtype=bool))
    objects = [
        LARGE,
        pp.evaluate(RBM_OF_6, state, draws=100),
        pp.evaluate(RBM_OF_6, BITS, draws=100),
        reference_of(state),
        estimate,
        sampled_observables(LARGE, bits[:, None], None),
        measure,
        Comparison(MANY, MANY, MANY, MANY, method, method, 1e5 / 3, MANY),
        Draws(bits[:, None], method, method),
        EquivalenceResult(1 / 3, 1 / 3, 1 / 3, 1 / 3, method),
        Losses(MANY, 1 / 3, method),
        LogPartition(-1e9 / 3, 1e-5 / 3, "annealing, 1000 chains, 2000 temperatures", 1e3 / 3),
        Bridge(*[-1e5 / 3] * 6),
        base_of(LARGE, bits),
        Base(MANY, MANY),
        plan_contraction(ring),
        configurations,
        data_moments(LARGE, configurations)[1],
        model_moments(RBM_OF_6)[1],
        LARGE.compiled,
        gibbs.start_chains(LARGE.compiled, bits, 0),
        LocalModel(np.eye(1000), lambda rbm: 0.0),
        PrunedCandidate(LARGE, LARGE, 1 / 3),
    ]
    for value in objects:
        assert "\n" not in repr(value)
        assert len(repr(value)) < 120, repr(value)
        assert type(value).__name__ in repr(value)
    assert repr(RBM_OF_6) == "RBM(visible=6, hidden=3, weights=18 of 18)"
    assert "500" in repr(objects[2])


def test_docstrings_and_limits_agree() -> None:
    for function, limit, unit in (
        (RBM.sample_exact, limits.EXACT_DRAW_UNITS, "units"),
        (gibbs.exact_draws, limits.EXACT_DRAW_UNITS, "units"),
        (independent_draws, limits.EXACT_DRAW_UNITS, "units"),
        (RBM.log_partition, limits.PARTITION_UNITS, "units"),
        (model_moments, limits.EXACT_GRADIENT_UNITS, "units"),
        (pp.evaluate, limits.EXACT_SITES, ""),
    ):
        assert f"{limit} {unit}".strip() in (function.__doc__ or "")
    assert f"N > {limits.TABLE_SITES}" in (RBM.log_prob_all.__doc__ or "")
    assert f"2^{limits.ELIMINATION_WIDTH} numbers" in (plan_contraction.__doc__ or "")


def test_errors_at_limits_say_what_to_use_instead() -> None:
    wide = RBM(np.zeros((60, 60)), np.zeros(60), np.zeros(60))
    for call, instead in (
        (lambda: wide.sample_exact(1), "sample("),
        (wide.log_partition, "psiprune.log_partition"),
        (wide.log_prob_all, "log_prob"),
        (lambda: model_moments(wide), "'natural'"),
        (lambda: independent_draws(wide, 10**8), "at most"),
    ):
        with pytest.raises(InputError, match=r"^(rbm|draws): ") as error:
            call()
        assert instead in str(error.value)
