"""Sums of Pauli strings: what they are made of, arithmetic, matrices, and what is refused."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import exact
import psiprune as pp
import tiny
from psiprune.core import limits
from psiprune.states import hamiltonian as module
from psiprune.states.hamiltonian import Hamiltonian, PauliTerm, read_hamiltonian
from refusals import refuses

CLUSTER = [(-1.0, {0: "Z", 1: "Z"}), (0.5, {1: "X"}), (0.25, {0: "Y", 2: "Y"}), (2.0, {})]


def random_terms(sites: int, count: int, seed: int) -> list[tuple[float, dict[int, str]]]:
    """Strings of any letters; an even number of Y."""
    rng = np.random.default_rng(seed)
    terms: list[tuple[float, dict[int, str]]] = []
    while len(terms) < count:
        letters = rng.choice(list("IXYZ"), sites)
        if (letters == "Y").sum() % 2 == 0:
            terms.append((float(rng.normal()), dict(enumerate(letters.tolist()))))
    return terms


@pytest.mark.parametrize(
    "given",
    [
        {"ZZI": -1.0, "IXI": 0.5, "YIY": 0.25, "III": 2},
        CLUSTER,
        [(2, {2: "I"}), *CLUSTER[:3]],
        [(np.float64(c), {np.int64(site): p for site, p in s.items()}) for c, s in CLUSTER],
        "-1.0 [Z0 Z1] +\n0.5 [X1] + 0.25 [Y0 Y2] + 2.0 []",
        "(-1+0j) [Z1 Z0] +\n+ 0.5 [X1] # a field\n\n+0.25 [Y2 Y0] + 2[]  +",
        SimpleNamespace(  # Qiskit writes qubit 0 last
            to_list=lambda: [("IZZ", -1 + 0j), ("IXI", 0.5), ("YIY", 0.25 + 0j), ("III", 2.0)]
        ),
        SimpleNamespace(  # a QubitOperator of OpenFermion
            terms={((0, "Z"), (1, "Z")): -1 + 0j, ((1, "X"),): 0.5}
            | {((0, "Y"), (2, "Y")): 0.25, (): 2.0}
        ),
        [*CLUSTER, (3.0, {0: "X"}), (-3.0, {0: "X"})],
        [(-0.5, CLUSTER[0][1]), *CLUSTER[1:], (-0.5, {1: "Z", 0: "Z"})],
    ],
)
def test_one_sum_in_every_form(given: Any) -> None:
    found = Hamiltonian(given, name="mine")
    wanted = Hamiltonian(CLUSTER)
    assert found == wanted
    assert hash(found) == hash(wanted)
    assert found.sha256 == wanted.sha256
    assert (found.sites, found.name, wanted.name) == (3, "mine", "")
    assert found.terms == (
        PauliTerm(0, 0, 2.0),
        PauliTerm(0, 3, -1.0),
        PauliTerm(2, 0, 0.5),
        PauliTerm(5, 5, 0.25),
    )
    np.testing.assert_array_equal(matrix(found), exact.pauli_sum(3, CLUSTER).real)


def matrix(model: Hamiltonian) -> Any:
    return np.stack([model.apply_hamiltonian(row) for row in np.eye(2**model.sites)])


def test_sums_that_differ() -> None:
    plain = Hamiltonian(CLUSTER)
    others = [Hamiltonian(CLUSTER, 4), Hamiltonian(CLUSTER[1:]), 2 * plain]
    assert all(plain != other for other in others)
    assert len({plain.sha256, *(other.sha256 for other in others)}) == 4


def test_text_and_repr() -> None:
    model = Hamiltonian(CLUSTER)
    assert str(model) == "2.0 [] +\n-1.0 [Z0 Z1] +\n0.5 [X1] +\n0.25 [Y0 Y2]"
    assert Hamiltonian(str(model)) == model
    assert repr(model) == (
        "Hamiltonian(sites=3, terms=4: 2.0 [] + -1.0 [Z0 Z1] + 0.5 [X1] + 0.25 [Y0 Y2])"
    )
    long = pp.TFIM(sites=40).hamiltonian()
    assert len(repr(long)) == 110
    assert repr(long).startswith("Hamiltonian('TFIM(sites=40)', sites=40, terms=79: -1.0 [Z0 Z1] +")
    assert repr(long).endswith("...)")
    assert model.terms[3].letters == {0: "Y", 2: "Y"}
    assert long.summary() == {
        "hamiltonian": "TFIM(sites=40)",
        "sites": 40,
        "terms": 79,
        "sha256": long.sha256,
    }
    assert model.summary()["hamiltonian"] == repr(model)


def test_arithmetic() -> None:
    one, other = (Hamiltonian(random_terms(3, 5, seed), 3) for seed in (0, 1))
    for found, wanted in (
        (one + other, matrix(one) + matrix(other)),
        (one - other, matrix(one) - matrix(other)),
        (2.5 * one, 2.5 * matrix(one)),
        (one * 2.5, 2.5 * matrix(one)),
        (-one, -matrix(one)),
    ):
        np.testing.assert_allclose(matrix(found), wanted, atol=1e-14)
        assert found.name == ""
    with refuses("sites", 3, 4):
        one + Hamiltonian(CLUSTER, 4)
    with refuses("factor", "other than 0", 0.0):
        0.0 * one
    with refuses("terms", "other than 0"):
        one - one
    with refuses("terms", "[Z0 Z1]", "-inf", "units"):
        Hamiltonian({"ZZ": -1e300}) * 1e300
    with pytest.raises(TypeError):
        one + 1  # type: ignore[operator]


@pytest.mark.parametrize("seed", range(3))
def test_matrices_against_kronecker_products(seed: int) -> None:
    terms = random_terms(4, 12, seed)
    model = Hamiltonian(terms, 4)
    wanted = exact.pauli_sum(4, terms)
    assert not wanted.imag.any()
    vector = np.random.default_rng(seed).normal(size=16)
    np.testing.assert_allclose(model.apply_hamiltonian(vector), wanted.real @ vector, atol=1e-13)
    np.testing.assert_allclose(model.to_sparse().toarray(), wanted.real, atol=1e-13)
    assert model.offset == pytest.approx(np.trace(wanted.real) / 16)
    z = exact.pauli_sum(4, [(1.0, {1: "Z", 3: "Z"})]).real
    np.testing.assert_allclose(matrix(model.rotated((1, 3))), z @ wanted.real @ z, atol=1e-13)
    flip = exact.pauli_sum(4, [(1.0, dict.fromkeys(range(4), "X"))]).real
    assert not model.is_even
    even = [(c, s) for c, s in terms if sum(letter in "YZ" for letter in s.values()) % 2 == 0]
    assert Hamiltonian(even, 4).is_even
    turned = flip @ exact.pauli_sum(4, even).real @ flip
    np.testing.assert_allclose(matrix(Hamiltonian(even, 4)), turned, atol=1e-13)


def test_six_letters_y_and_the_offset() -> None:
    terms = [(0.5, dict.fromkeys(range(6), "Y")), (1.0, {5: "X"})]
    np.testing.assert_array_equal(
        Hamiltonian(terms).to_sparse().toarray(), exact.pauli_sum(6, terms).real
    )
    assert (Hamiltonian(CLUSTER).offset, Hamiltonian(terms).offset) == (2.0, 0.0)


def test_flips_are_grouped() -> None:
    model = Hamiltonian({"XXI": 1.0, "YYI": 0.5, "ZZI": 2.0, "IIX": -1.0, "IZX": 3.0})
    assert [flip.flips for flip in model.flips] == [0, 3, 4]
    assert [flip.signs for flip in model.flips] == [(3,), (0, 3), (0, 2)]
    # <11|XX|00> = 1, <11|YY|00> = -1.
    assert [flip.weights for flip in model.flips] == [(2.0,), (1.0, -0.5), (-1.0, 3.0)]
    index = np.arange(8)
    np.testing.assert_array_equal(
        model.flips[1].elements(index), [0.5, 1.5, 1.5, 0.5, 0.5, 1.5, 1.5, 0.5]
    )
    assert pp.TFIM(sites=3, field=0.5, coupling=2.0).hamiltonian() == Hamiltonian(
        {"ZZI": -2.0, "IZZ": -2.0, "XII": -0.5, "IXI": -0.5, "IIX": -0.5}
    )


@pytest.mark.parametrize(
    ("given", "facts"),
    [
        ({}, ("terms", "other than 0")),
        ({"Z": 1.0}, ("sites", 2, 1)),
        ({"ZZ": 1.0, "ZZZ": 1.0}, ("terms", "'ZZ'", "'ZZZ'", "I for the identity")),
        ({"ZA": 1.0}, ("terms", "ZA", "'A'", "I, X, Y or Z")),
        ({"zz": 1.0}, ("terms", "'z'")),
        ({"ZZ": 1j}, ("terms", "ZZ", "real", "1j", "Hermitian")),
        ({"ZZ": 1 + 2j}, ("terms", "real", "(1+2j)")),
        ({"ZZ": float("nan")}, ("terms", "ZZ", "finite", "nan")),
        ({"ZZ": float("inf")}, ("terms", "finite", "inf")),
        ({"ZZ": "1"}, ("terms", "'1'")),
        ({"ZZ": True}, ("terms", "True")),
        ({"ZZ": 0.0}, ("terms", "other than 0")),
        ([(1.0, "ZZ")], ("terms", "entry 0", "{site: letter}", "(1.0, 'ZZ')")),
        ([(1.0, {0: "Z"}), (1.0, {0: "Z"}, 2)], ("terms", "entry 1")),
        ([3.0], ("terms", "entry 0", "3.0")),
        ([(1.0, {5000: "Z"})], ("sites", "4,096", 5001)),
        ([(1.0, {-1: "Z", 1: "Z"})], ("terms", "entry 0", "0 to 1", -1)),
        ([(1.0, {1.5: "Z", 1: "Z"})], ("terms", "entry 0", 1.5)),
        (7, ("terms", "int", "text")),
        (SimpleNamespace(to_list=lambda: [("XI", 1j)]), ("terms", "IX", "1j")),
    ],
)
def test_bad_terms(given: Any, facts: tuple[object, ...]) -> None:
    with refuses(*facts):
        Hamiltonian(given)


def test_bad_sites() -> None:
    with refuses("terms", 3, 2):
        Hamiltonian({"ZZ": 1.0}, 3)
    with refuses("terms", "entry 0", "0 to 2", 3, "sites"):
        Hamiltonian([(1.0, {3: "Z"})], 3)
    with refuses("sites", 2, 1):
        Hamiltonian([(1.0, {0: "Z"})], 1)
    assert Hamiltonian([(1.0, {0: "X"})], 4096).sites == 4096
    assert Hamiltonian([(1.0, {0: "X"})], 3).sites == 3


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("", ("empty",)),
        ("# only a comment\n", ("empty",)),
        ("-1.0 [Z0 Z1]\n\nhalf [X0]", ("line 3", "[X0]", "'half'")),
        ("[Z0 Z1]", ("line 1", "number", "''")),
        ("1.0 [Z0 Z1]\n1.0 [Z0 3]", ("line 2", "Z0", "'3'")),
        ("1.0 [Z0 X-1]", ("line 1", "'X-1'")),
        ("1.0 [Z0\nZ0]", ("line 1", "site 0", "twice")),
        ("1.0 [Z0 Q1]", ("line 1", "'Q'")),
        ("1.0 [Z0 Z1] + \n 0.5 X0", ("line 2", "'0.5 X0'")),
        ("1.0j [Z0 Z1]", ("line 1", "real", "1j")),
        ("1.0 [Z0 Z9999]", ("line 1", 4095, 9999)),
        ("1.0 []", ("--sites 2", 0)),
        ("zz", ("line 1", "'zz'")),
        ("1.0 [X0]\n\n2.0 X1] + 1.0 [X0]", ("line 3", "'2.0 X1'")),
        ("1.0 [X0]\n2.0 [X1 [X0]", ("line 2", "'2.0 [X1 [X0'")),
        ("1.0 [X0]\n +\n\n Z1\n", ("line 4", "'Z1'")),
    ],
)
def test_bad_files(tmp_path: Path, text: str, facts: tuple[object, ...]) -> None:
    path = tiny.write(tmp_path / "terms.txt", text)
    with refuses(path, *facts):
        read_hamiltonian(path)


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiny.write(tmp_path / "terms.txt", "\ufeff" + str(Hamiltonian(CLUSTER)))
    found = pp.read_hamiltonian(path)
    assert (found, found.name) == (Hamiltonian(CLUSTER), "terms.txt")
    assert pp.read_hamiltonian(path, 5).sites == 5
    with refuses(path, "line 4", "0 to 1", 2):
        pp.read_hamiltonian(path, 2)
    with refuses(tmp_path / "none.txt", "cannot be read"):
        pp.read_hamiltonian(tmp_path / "none.txt")
    with refuses(tiny.write(path, b"1.0 [Z0 Z1] \xff"), "UTF-8", "0xff"):
        pp.read_hamiltonian(path)
    monkeypatch.setattr(module, "_MOST_BYTES", 12)
    assert pp.read_hamiltonian(tiny.write(path, "1.0 [Z0 Z1]\n")).sites == 2
    with refuses(tiny.write(path, "1.0 [Z0 Z1]\n\n"), 12):
        pp.read_hamiltonian(path)


def test_an_odd_number_of_y_is_refused_where_matrices_are_real() -> None:
    model = Hamiltonian({"ZZI": 1.0, "YXI": 0.5})
    for call in (lambda: model.flips, model.to_sparse, lambda: model.apply_hamiltonian(np.ones(8))):
        with refuses("hamiltonian", "[Y0 X1]", "odd number of Y", "X to Y"):
            call()


def test_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Hamiltonian([(1.0, {20: "X"})])
    with refuses("sites", 20, 21, "ground_state"):
        model.apply_hamiltonian(np.ones(4))
    with refuses("sites", 16, 17):
        Hamiltonian([(1.0, {16: "X"})]).to_sparse()
    with refuses("vector", (8,), (4,)):
        Hamiltonian(CLUSTER).apply_hamiltonian(np.ones(4))
    monkeypatch.setattr(module, "EXACT_SITES", 3)
    monkeypatch.setattr(module, "DIAGONALISED_SITES", 3)
    assert Hamiltonian(CLUSTER).apply_hamiltonian(np.ones(8)).shape == (8,)
    assert Hamiltonian(CLUSTER).to_sparse().shape == (8, 8)
    monkeypatch.setattr(module, "PAULI_TERMS", 4)
    assert len(Hamiltonian(CLUSTER).terms) == 4
    monkeypatch.setattr(module, "PAULI_TERMS", 3)
    with refuses("terms", 3, 4, "shorter range"):
        Hamiltonian(CLUSTER)
    assert limits.PAULI_TERMS == 100_000


def test_long_text_is_read_in_linear_time() -> None:
    text = "1.0 [Z0 Z1]\n" * 20_000
    assert Hamiltonian(text).terms == (PauliTerm(0, 3, 20_000.0),)
    for long in ("1.0 [Z0]" + "a" * 300_000, "(" * 300_000, "]" * 300_000):
        with refuses("terms", "line 1"):
            Hamiltonian(long)
