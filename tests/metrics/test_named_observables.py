"""Pauli strings and ready-made observables of RBMs, states and shots, against enumeration."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import exact
import psiprune as pp
from machines import distribution, random_rbm
from psiprune.data.readout_error import ReadoutError
from psiprune.data.shots import Shots
from psiprune.metrics import observed
from psiprune.metrics.observable_text import as_observables, read_observables
from psiprune.metrics.observed import exact_value, values_of_draws
from psiprune.metrics.reference import reference_of
from psiprune.metrics.selectors import shots_metric, state_metric
from psiprune.reporting.metric_tables import report_text
from psiprune.states.hamiltonian import Hamiltonian
from psiprune.states.mps import mps_from_vector
from psiprune.states.spin_models import XXZ
from refusals import refuses

N = 6
BITS = exact.basis(N)
Z = 1.0 - 2.0 * BITS
#: How often 4,096 shots have each configuration, and their frequencies.
COUNTS = np.random.default_rng(1).multinomial(
    4096, np.random.default_rng(2).dirichlet(np.full(2**N, 0.3))
)
Q = COUNTS / 4096


def random_strings(sites: int, number: int) -> list[dict[int, str]]:
    """Strings with an even number of Y, so that no mean is 0 for that reason; some are diagonal."""
    generator = np.random.default_rng(5)
    found: list[dict[int, str]] = []
    while len(found) < number:
        letters = generator.choice(list("IIXYZ" if len(found) % 3 else "IZ"), sites)
        if (letters == "Y").sum() % 2 == 0 and (letters != "I").any():
            found.append({k: str(p) for k, p in enumerate(letters) if p != "I"})
    return found


def test_random_strings_of_an_rbm() -> None:
    """Ten strings at N = 10: exact to 1e-10, sampled within 4 standard errors of the vector."""
    rbm, strings = random_rbm(10, 5, scale=0.5), random_strings(10, 10)
    psi = np.sqrt(distribution(rbm))
    texts = [" ".join(f"{p}{k}" for k, p in string.items()) for string in strings]
    report = pp.evaluate(rbm, mps_from_vector(psi), draws=10_000, observables=texts, progress=False)
    assert len(report.custom) == 10
    for string, found in zip(strings, report.custom.values(), strict=True):
        expected = float((psi @ (exact.pauli_sum(10, [(1.0, string)]) @ psi)).real)
        assert found.exact == pytest.approx(expected, abs=1e-10)
        assert found.reference == pytest.approx(expected, abs=1e-10)
        error = float(found.error)
        assert 0 < error < 0.02
        value = float(found.value)
        assert abs(value - expected) < 4 * error
        assert abs(value + expected) > 4 * error or abs(expected) < 2 * error  # its sign


def walls(alike: bool) -> NDArray[np.float64]:
    return (Z[:, 1:] * Z[:, :-1] == (1 if alike else -1)).sum(axis=1)


def distribution_of(numbers: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    return np.array([Q[numbers == k].sum() for k in range(size)])


def structure(k: float) -> float:
    waves = np.exp(1j * k * np.arange(N))
    return float(Q @ np.abs(Z @ waves) ** 2 / N)


def g2(d: int) -> float:
    n = Q @ BITS
    pairs = [(Q @ (BITS[:, i] * BITS[:, i + d])) - n[i] * n[i + d] for i in range(N - d)]
    return float(np.mean(pairs))


def blocks(length: int) -> NDArray[np.float64]:
    starts = range(N - length + 1)
    each = [distribution_of(BITS[:, i : i + length].sum(axis=1), length + 1) for i in starts]
    return np.mean(each, axis=0)


SIGNS = np.array([1, -1, 1, -1, 1, -1])
BY_HAND: dict[str, Callable[[], object]] = {
    "staggered_magnetization": lambda: Q @ (Z @ SIGNS) / N,
    "z2_order": lambda: Q @ np.abs(Z @ SIGNS) / N,
    "structure_factor": lambda: [structure(2 * np.pi * k / N) for k in range(4)],
    "structure_factor(pi)": lambda: structure(np.pi),
    "structure_factor(k=2pi/3)": lambda: structure(2 * np.pi / 3),
    "structure_factor(0.4)": lambda: structure(0.4),
    "domain_wall_density": lambda: Q @ walls(False) / (N - 1),
    "domain_wall_density(z2)": lambda: Q @ walls(True) / (N - 1),
    "domain_wall_distribution": lambda: distribution_of(walls(False), N),
    "domain_wall_distribution(z2)": lambda: distribution_of(walls(True), N),
    "blockade_violations": lambda: Q @ (BITS[:, 1:] * BITS[:, :-1]).sum(axis=1),
    "blockade_violations(2)": lambda: (
        Q @ ((BITS[:, 1:] * BITS[:, :-1]).sum(axis=1) + (BITS[:, 2:] * BITS[:, :-2]).sum(axis=1))
    ),
    "g2": lambda: [g2(d) for d in (1, 2, 3)],
    "block_magnetization(2)": lambda: blocks(2),
    "block_magnetization(6)": lambda: blocks(6),
    "sum_i Z_i Z_{i+1}": lambda: Q @ (Z[:, 1:] * Z[:, :-1]).sum(axis=1),
}


@pytest.mark.parametrize("text", BY_HAND)
def test_ready_made_observables(text: str) -> None:
    """Of a distribution, of a state, and of shots that have the frequencies of the distribution."""
    (name, observable), *_ = read_observables([text], N).items()
    expected = np.asarray(BY_HAND[text]())
    np.testing.assert_allclose(exact_value(name, observable, Q, N), expected, atol=1e-13)  # type: ignore[arg-type]
    state = pp.measure_observables(mps_from_vector(np.sqrt(Q)), [text])[name]
    np.testing.assert_allclose(state.value, expected, atol=1e-12)
    assert len(state.coordinates) == np.size(expected) * (expected.ndim > 0)
    shots = np.repeat(BITS, COUNTS, axis=0)
    values = values_of_draws(name, observable, shots, None)
    np.testing.assert_allclose(values.mean(axis=0), expected, atol=1e-12)


def test_errors_of_observables_of_shots() -> None:
    """Errors are the spread of one shot over the root of their number, also of a connected mean."""
    bits = BITS[np.random.default_rng(2).choice(2**N, 1000, p=Q)]
    given: dict[str, Any] = {
        "g2": "g2",
        "zz": "Z0 Z3",
        "own": lambda bits: bits.mean(axis=1),
        "all": lambda bits: bits.mean(),
    }
    found = pp.measure_observables(bits, given)
    fluctuation = bits - bits.mean(axis=0)
    g2 = np.mean([fluctuation[:, i] * fluctuation[:, i + 1] for i in range(N - 1)], axis=0)
    of_shot = {"zz": Z[exact.index(bits), 0] * Z[exact.index(bits), 3], "own": bits.mean(axis=1)}
    of_shot |= {"all": of_shot["own"], "g2": g2}
    for name, values in of_shot.items():
        value, error = (np.ravel(each)[0] for each in (found[name].value, found[name].error))
        assert value == pytest.approx(values.mean(), abs=1e-6)
        # 400 resamples give an error to 3.5 %, the 100 of a number for all shots to 7 %.
        assert error == pytest.approx(values.std() / np.sqrt(1000), rel=0.25)
    assert found["g2"].dimension == "d"
    assert found["g2"].coordinates == (1, 2, 3)


def test_an_observable_is_given_in_the_frame_of_the_state() -> None:
    """X X of an XXZ chain is negative; in the frame of the RBM it is positive."""
    model = XXZ(sites=6, delta=0.5).hamiltonian()
    state = mps_from_vector(np.linalg.eigh(model.to_sparse().toarray())[1][:, 0], model)
    rbm = random_rbm(6, 3, scale=0.3)
    psi = np.sqrt(distribution(rbm)) * np.prod(1.0 - 2.0 * BITS[:, ::2], axis=1)
    given: dict[str, Any] = {"xx": "X0 X1", "h": model, "ones": lambda bits: bits.sum(axis=1)}
    report = pp.evaluate(rbm, state, draws=20_000, observables=given, progress=False)
    dense = exact.pauli_sum(6, [(1.0, {0: "X", 1: "X"})])
    assert report.custom["xx"].exact == pytest.approx((psi @ dense @ psi).real, abs=1e-12)
    assert report.custom["xx"].reference < -0.3
    assert report.custom["h"].value == pytest.approx(report.energy.value, abs=1e-10)
    assert report.custom["h"].reference == pytest.approx(report.energy.floor, abs=1e-10)
    assert report.custom["ones"].reference == pytest.approx(3.0)
    with refuses("observables", "reference_of"):
        pp.evaluate(rbm, reference_of(state), observables=["X0"])


def test_a_string_that_rare_configurations_carry_has_a_warning() -> None:
    """p(1) = 10^-8 of each site: no draw has a 1, and <X> = 2 psi(0) psi(1) is half missed."""
    bias = np.log(1e-8 / (1 - 1e-8))
    rbm = pp.RBM(np.zeros((1, 2)), np.full(2, bias), np.zeros(1))
    state = mps_from_vector(np.sqrt(distribution(rbm)))
    for given, warned in (({"x": "X0"}, True), ({"z": "Z0", "n": "blockade_violations"}, False)):
        report = pp.evaluate(rbm, state, draws=1000, observables=given, progress=False)
        for name, each in report.custom.items():
            assert bool(each.warning) == warned
            assert (f"warning: {name}: the exact value, 0.0002" in report_text(report)) == warned
    report = pp.evaluate(
        rbm, state, draws=1000, observables=["block_magnetization(2)"], progress=False
    )
    blocks = report.custom["block_magnetization_2"]
    np.testing.assert_array_equal(blocks.value, [1, 0, 0])  # no draw has a 1: not exactly 0
    np.testing.assert_array_equal(blocks.error, 1e-3)
    assert "0  1.0e-03  1e-16" in report_text(report)
    mild = random_rbm(N, 3, scale=0.3)
    plain = mps_from_vector(np.sqrt(distribution(mild)))
    report = pp.evaluate(mild, plain, draws=1000, observables=["X0 X3", "X1"], progress=False)
    assert not any(each.warning for each in report.custom.values())


def test_rounding_of_a_mean_that_is_0() -> None:
    """One 1 in all, so no neighbours are both 1: 1/4 - <Z>/4 - <Z'>/4 + <ZZ'>/4 = 0."""
    for sites in range(3, 9):
        vector = np.zeros(2**sites)
        vector[1 << np.arange(sites)] = np.random.default_rng(sites).random(sites)
        state = mps_from_vector(vector)
        found = pp.measure_observables(state, ["blockade_violations"])["blockade_violations"]
        assert found.value == 0
        assert state.magnetization_distribution().min() >= 0


def test_above_twenty_sites_a_function_of_a_state_is_sampled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(observed, "_STATE_DRAWS", 2000)
    generator = np.random.default_rng(1)
    bonds = [1, *[2] * 21, 1]
    tensors = [generator.random((a, 2, b)) for a, b in pairwise(bonds)]
    state = pp.mps_from_tensors(tensors)
    found = pp.measure_observables(state, ["block_magnetization(1)", "Z0 Z1"])
    assert found["Z0_Z1"].error == 0
    assert found["Z0_Z1"].value == pytest.approx(state.correlations()[0, 1])
    block = found["block_magnetization_1"]
    value, error = (float(np.ravel(each)[1]) for each in (block.value, block.error))
    assert 0 < error < 0.01
    assert abs(value - np.mean((1 - state.magnetization()) / 2)) < 4 * error


def test_shots_know_where_their_sites_are() -> None:
    """Also in metres: S(pi, 0) of a 2 x 3 lattice, of shots and of an RBM on them."""
    places = 5e-6 * pp.lattice_positions("square", 3, 2)
    bits = BITS[np.random.default_rng(0).choice(2**N, 500)][:, :6]
    shots = Shots(bits, provenance={"positions": places.tolist()})
    sign = (-1.0) ** np.round(places[:, 0] / 5e-6)
    expected = (((1 - 2.0 * bits) @ sign) ** 2 / 6).mean()
    text = "s=structure_factor(pi,0)"
    assert pp.measure_observables(shots, [text])["s"].value == pytest.approx(expected)
    report = pp.evaluate_on_shots(
        random_rbm(6, 2), shots, draws=200, observables=[text], progress=False
    )
    assert report.custom["s"].shots_value == pytest.approx(expected)
    with refuses("observable", "structure_factor", "1 wave number"):
        pp.measure_observables(Shots(bits), [text])


def test_against_shots() -> None:
    """Of records, what is diagonal is also corrected; X is of the RBM alone, of its true bits."""
    rbm = random_rbm(N, 3, scale=0.5)
    p = distribution(rbm)
    bits = BITS[np.random.default_rng(0).choice(2**N, 4000, p=p)]
    readout = ReadoutError.from_rates(0.02, 0.08, sites=N)
    shots = Shots(readout.misread(bits, 1), readout=readout)
    texts = ["zz=Z0 Z3", "sum_i X_i", "structure_factor(pi)", "block_magnetization(2)"]
    report = pp.evaluate_on_shots(rbm, shots, draws=4000, observables=texts, progress=False)
    z = p @ (Z[:, 0] * Z[:, 3])
    true = report.state["zz"]
    assert abs(float(true.shots_value) - z) < 4 * true.shots_error
    assert abs(true.value - z) < 4 * true.error
    assert abs(report.custom["zz"].shots_value - z) > 0.5 * abs(z) * (1 - 0.9**2)
    assert abs(report.custom["zz"].sigmas) < 4
    psi = np.sqrt(p)
    x = sum(float(psi @ psi[np.arange(2**N) ^ 1 << k]) for k in range(N))
    of_x = report.custom["sum_i_X_i"]
    assert abs(float(of_x.value) - x) < 4 * float(of_x.error)
    assert np.isnan(of_x.shots_value)
    assert report.custom["block_magnetization_2"].coordinates == (0, 1, 2)
    assert np.abs(report.custom["block_magnetization_2"].sigmas).max() < 4


def test_an_observable_as_the_limit_of_a_search() -> None:
    rbm = random_rbm(N, 3, scale=0.5)
    psi = np.sqrt(Q)
    reference = reference_of(mps_from_vector(psi), ["x=sum_i X_i", "g2"])
    found = state_metric("x", reference, draws=5000, seed=0)(rbm)
    root = np.sqrt(distribution(rbm))

    def x(psi: NDArray[np.float64]) -> float:
        return sum(float(psi @ psi[np.arange(2**N) ^ 1 << k]) for k in range(N))

    assert abs(found.value - abs(x(root) - x(psi))) < 4 * found.error
    assert found.floor == pytest.approx(found.error * np.sqrt(2 / np.pi), rel=0.1)
    assert state_metric("g2", reference, draws=5000, seed=0)(rbm).value > 0
    with refuses("until", "x, g2", "'y'"):
        state_metric("y", reference, draws=5000, seed=0)
    shots = Shots(BITS[np.random.default_rng(0).choice(2**N, 2000, p=Q)])
    given = as_observables({"zz": "Z0 Z1", "x": "X0"}, N)
    metric = shots_metric("zz", rbm, shots, draws=5000, seed=0, observables=given)(rbm)
    z = distribution(rbm) @ (Z[:, 0] * Z[:, 1])
    assert abs(metric.value - abs(z - (1 - 2.0 * (shots.bits[:, 0] ^ shots.bits[:, 1])).mean())) < (
        4 * metric.error
    )
    with refuses("x", "Z"):
        shots_metric("x", rbm, shots, draws=5000, seed=0, observables=given)


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("staggered", ("g2", "'staggered'", "staggered_magnetization?")),
        ("g2(3)", ("no argument", "'3'")),
        ("block_magnetization", ("length", "block_magnetization(4)")),
        ("block_magnetization(7)", ("1 to 6", "'7'")),
        ("blockade_violations(0)", ("1 to 5", "'0'")),
        ("structure_factor(high)", ("pi/2", "'high'")),
        ("structure_factor(pi/0)", ("pi/2", "'pi/0'")),
        ("domain_wall_density(3)", ("z2", "'3'")),
        ("a=X0 X9", ("0 to 5", 9)),
        ("X0Z1", ("'X0Z1'", "'X0 Z1'")),
        ("Z_0Z_1Z_2", ("'Z_0Z_1Z_2'", "'Z_0 Z_1 Z_2'")),
        ("a=", ("'a='",)),
        ("", ("empty",)),
        ("own.py:f", ("no file", "own.py")),
    ],
)
def test_names_that_are_refused(text: str, facts: tuple[object, ...]) -> None:
    with refuses("observable", *facts):
        read_observables([text], N)


def test_a_constant_has_no_error() -> None:
    rbm = random_rbm(N, 3)
    of_state = pp.evaluate(rbm, mps_from_vector(np.sqrt(Q)), draws=100, observables=["2", "2 + Z0"])
    of_shots = pp.evaluate(rbm, BITS, draws=100, observables=["2", "2 + Z0"])
    in_bases = pp.Shots(BITS, basis="X")
    for found in (
        (of_state.custom["o_2"].value, of_state.custom["o_2"].error),
        (of_shots.custom["o_2"].value, of_shots.custom["o_2"].error),
        (of_shots.custom["o_2"].shots_value, of_shots.custom["o_2"].shots_error),
        *((m.value, m.error) for m in pp.measure_observables(BITS, ["2"]).values()),
        *((m.value, m.error) for m in pp.measure_observables(in_bases, ["2"]).values()),
    ):
        assert found == (2.0, 0.0)
    assert of_state.custom["o_2_plus_Z0"].error > 0
    assert of_shots.custom["o_2_plus_Z0"].error > 0


def test_references_have_a_column_of_their_own() -> None:
    """The energy of a state stands under "reference", the floor of a loss under "floor"."""
    report = pp.evaluate(random_rbm(N, 3), pp.ground_state(XXZ(sites=N)), draws=100)
    head, *lines = report_text(report).splitlines()
    rows = {line.split()[0]: line.split() for line in lines}
    place = head.split().index("reference")
    assert rows["energy"][place] == f"{report.energy.floor:.6g}"
    assert rows["energy"][place - 1] == rows["entropy_loss"][place] == "-"
    assert rows["entropy_loss"][place - 1] == "0"
    assert rows["entropy"][place] == f"{report.entropy.floor:.6g}"  # type: ignore[union-attr]


def test_names_of_observables() -> None:
    texts = ["X0 X3", "-0.5 X0", "bond = Z0 Z1", "structure_factor(pi/2)", "X0+X3"]
    texts.append("sum_i Z_i Z_{i+1}")
    names = ["X0_X3", "minus_0_5_X0", "bond", "structure_factor_pi_2", "X0_plus_X3"]
    names.append("sum_i_Z_i_Z__i_1")
    assert list(read_observables(texts, N)) == names
    with refuses("observable", "'X0_X3'", "twice"):
        read_observables(["X0 X3", "X0*X3"], N)
    with refuses("observable", "mine.py:f", "evaluate"):
        read_observables(["mine.py:f"], N, recorded=True)
    with refuses("observable", "'x_error'", "rename"):
        read_observables(["x_error=X0"], N, recorded=True)
    with refuses("observables", "'a'", 4, 6):
        as_observables({"a": Hamiltonian({"XXXX": 1.0})}, N)
    with refuses("observables", "'kl'"):
        reference_of(mps_from_vector(np.sqrt(Q)), {"kl": "X0"})
    with refuses("X0_Z1", "[X0 Z1]", "Z basis"):
        pp.measure_observables(BITS, ["X0 Z1"])
