"""Pauli strings as text, and their means in a matrix product state, against dense matrices."""

from __future__ import annotations

import numpy as np
import pytest

import exact
import psiprune as pp
from psiprune.metrics.observable_text import pauli_sum
from psiprune.states.mps import mps_from_vector
from refusals import refuses


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("X0 X3", [(1.0, {0: "X", 3: "X"})]),
        ("-X_0*Y_1", [(-1.0, {0: "X", 1: "Y"})]),
        ("0.5 X0 - 2*Z_{3} + 1e-1", [(0.5, {0: "X"}), (-2.0, {3: "Z"}), (0.1, {})]),
        ("sum_i Z_i Z_{i+1}", [(1.0, {i: "Z", i + 1: "Z"}) for i in range(3)]),
        (
            "- 3 sum_i Z_{i-1}X_{i}Z_{i + 1}",
            [(-3.0, {i - 1: "Z", i: "X", i + 1: "Z"}) for i in (1, 2)],
        ),
        ("sum_i (-1)^i Z_i", [((-1.0) ** i, {i: "Z"}) for i in range(4)]),
        ("X0 + X0 + sum_i X_i", [(3.0, {0: "X"}), *((1.0, {i: "X"}) for i in (1, 2, 3))]),
        ("-1.0 [Z0 Z1] +\n 0.5 [X2]", [(-1.0, {0: "Z", 1: "Z"}), (0.5, {2: "X"})]),
    ],
)
def test_the_sum_of_a_text(text: str, terms: list[tuple[float, dict[int, str]]]) -> None:
    assert pauli_sum(text, 4) == pp.Hamiltonian(text, 4) == pp.Hamiltonian(terms, 4)


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("X0 X4", (0, 3, 4)),
        ("A0", ("X, Y or Z", "'A'")),
        ("2j X0", ("real", "2j", "two observables")),
        ("(1+2j) X0", ("real", "(1+2j)", "two observables")),
        ("2j [X0]", ("real", "2j")),
        ("X0 Z0", ("site 0", "twice", "multiply")),
        ("sum_i Z_i Z_2", ("site 2", "twice")),
        ("Z_i", ("sum_i", "begin")),
        ("sum_i Z_i + Z_{i+1}", ("Z_{i+1}", "sum_i", "begin")),
        ("sum_i X0", ("sum_i", "Z_i")),
        ("sum_i Z_i Z_i+1", ("Z_{i+1}", "blank")),
        ("sum_i Z_{i+4}", ("nowhere", 4)),
        ("Z_{j}", ("i+1", "'j'")),
        ("(X0 + X1) Z2", ("parentheses", "one by one")),
        ("X0, X1", ("'X0 X3'", "', X1'")),
        ("X0 +", ("'X0 X3'", "''")),
        ("", ("empty",)),
        ("X0 - X0", ("coefficient", 0)),
        ("Z0 Z1\nX2 X3", ("line 1", "+ or -", "'X2'")),
        ("Z0 Z1\n\n- X2 A3", ("line 3", "'A'")),
        ("Z0 Z1 # + X2\n- X4", (0, 3, 4)),
    ],
)
def test_a_text_that_is_no_observable(text: str, facts: tuple[object, ...]) -> None:
    with refuses("observable", *facts):
        pauli_sum(text, 4)


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("2j Z1", ("line 1", "real", "2j", "Hermitian")),
        ("Z0\n+ 1e999 Z1", ("line 2", "real", "inf")),
        ("Z0 Z1 - sum_i X_i", ("line 1", "sum_i", "sites")),
        ("Z0 Z1 - Z2 A3", ("line 1", "X, Y or Z", "'A'")),
        ("Z0 Z1 - X0 + X0 - Z0 Z1", ("coefficient", 0)),
    ],
)
def test_a_text_that_is_no_hamiltonian(text: str, facts: tuple[object, ...]) -> None:
    with refuses("terms", *facts):
        pp.Hamiltonian(text)


def test_sites_are_checked_before_sums_over_them() -> None:
    for sites, found in ((float("nan"), "nan"), ("4", "'4'"), (10**9, 10**9), (1, 1)):
        with refuses("sites", found):
            pp.Hamiltonian("sum_i Z_i", sites)  # type: ignore[arg-type]
    with refuses("terms", "entry 0", -1):
        pp.Hamiltonian([(1.0, {-1: "Z"})])


def test_a_text_has_the_sites_of_its_letters() -> None:
    """Both notations, in one line or several, with comments; sums need the number of sites."""
    wanted = pp.Hamiltonian({"ZZI": -1.0, "IIX": 0.5})
    for text in ("-Z0 Z1 + 0.5 X2", "-Z_0*Z_1 # bond\n+ 0.5 X2\n", "-1.0 [Z0 Z1] + 0.5 [X2]"):
        assert pp.Hamiltonian(text) == wanted
    ising = pp.IsingChain(sites=5, field=0.5).hamiltonian()
    assert pp.Hamiltonian("- sum_i Z_i Z_{i+1} - 0.5 sum_i X_i", 5) == ising


def test_means_in_a_matrix_product_state() -> None:
    """A state of both signs; a string with one Y has the mean 0."""
    generator = np.random.default_rng(3)
    psi = generator.normal(size=32)
    psi /= np.linalg.norm(psi)
    state = mps_from_vector(psi)
    terms = [
        (0.3, {}),
        (1.0, {0: "X", 4: "Z"}),
        (-0.7, {1: "Y", 2: "Z", 3: "Y"}),
        (0.4, {4: "X"}),
        (2.0, {0: "Y", 1: "X"}),
        (0.5, {0: "Y", 1: "Y", 3: "Y", 4: "Y"}),
    ]
    expected = (psi @ exact.pauli_sum(5, terms) @ psi).real
    assert state.expectation(pp.Hamiltonian(terms)) == pytest.approx(expected, abs=1e-13)
    assert state.expectation(pp.Hamiltonian({"YIIII": 1.0})) == 0.0
    with refuses("operator", 3, 5):
        state.expectation(pp.Hamiltonian({"XII": 1.0}))
