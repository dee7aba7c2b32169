"""Ground states of any Hamiltonian by DMRG against exact diagonalisation, and what is refused."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import psiprune as pp
from psiprune.core.exceptions import ConvergenceError
from psiprune.io.netcdf import read_dataset, write_dataset
from psiprune.states import one_sign, pauli_dmrg
from psiprune.states.diagonalise import lowest_states
from psiprune.states.hamiltonian import Hamiltonian
from psiprune.states.mps import MPS, load_mps, mps_from_vector
from psiprune.states.signs import Rotation, likely_rotation, positive_rotation
from psiprune.states.spin_models import TFIM2D, XXZ, IsingChain, Rydberg, SpinModel
from refusals import refuses

#: A three-site term with two Y, a field, an offset.
OWN = Hamiltonian(
    {"ZZIII": -1.0, "IIZZI": 0.5, "IYYII": 0.3, "IXXII": -0.4, "YZYII": 0.0, "IIIII": 7.0}
    | dict.fromkeys(("XIIII", "IXIII", "IIXII", "IIIXI", "IIIIX"), -0.8)
    | {"IXXXI": -0.2, "IZIIZ": 0.1},
    name="mine",
)


def check(model: SpinModel | Hamiltonian) -> MPS:
    """DMRG itself, unaided by diagonalisation, agrees with it."""
    h = model.hamiltonian() if isinstance(model, SpinModel) else model
    frame = h.rotated(positive_rotation(h).sites)
    exact = lowest_states(frame)
    found = pauli_dmrg._dmrg(pauli_dmrg._traceless(frame), 200, 1e-10, None)
    assert found.energy + h.offset == pytest.approx(exact.energy, abs=1e-9)
    assert 0 <= found.energy_variance < 1e-9
    assert (exact.vector @ found.to_vector()) ** 2 == pytest.approx(1, abs=1e-9)
    state = pp.ground_state(model)
    assert state.model == h
    assert state.energy == pytest.approx(exact.energy, abs=1e-9)
    psi = state.to_vector()
    np.testing.assert_allclose(h.apply_hamiltonian(psi), state.energy * psi, atol=1e-5)
    return state


def test_a_small_hamiltonian_of_every_kind_of_term() -> None:
    assert positive_rotation(OWN).sites == ()
    state = check(OWN)
    assert state.model is not None
    assert state.energy_variance == pytest.approx(0, abs=1e-12)
    assert state.truncation_error < 1e-15


def test_a_state_of_too_small_bonds_has_its_own_energy_and_variance() -> None:
    unit = pauli_dmrg._traceless(OWN)
    found = pauli_dmrg._dmrg(unit, 2, 1e-10, None)
    wanted = mps_from_vector(found.to_vector(), unit)
    assert (found.model, max(found.bond_dimensions)) == (unit, 2)
    assert found.energy == pytest.approx(wanted.energy, rel=1e-12)
    assert found.energy_variance == pytest.approx(wanted.energy_variance, rel=1e-6)
    assert 1e-8 < found.truncation_error < 1e-2


MODELS = [
    XXZ(sites=10, delta=0.0),
    XXZ(sites=10, delta=0.5),
    XXZ(sites=10),
    XXZ(sites=10, delta=2.0),
    XXZ(sites=9, delta=0.5),
    XXZ(sites=10, delta=0.5, boundary="periodic"),
    XXZ(sites=8, delta=0.5, staggered_field=0.3),
    IsingChain(sites=10, boundary="periodic"),
    IsingChain(sites=10, field=0.3, boundary="periodic"),
    IsingChain(sites=10, alpha=3.0),
    IsingChain(sites=9, alpha=1.5, coupling=-1.0, boundary="periodic"),
    IsingChain(sites=8, field=0.3, longitudinal_field=0.2),
    Rydberg(sites=9, spacing=0.8, delta=1.5),
    Rydberg(sites=10, spacing=0.9, delta=-0.5),
    Rydberg(positions=((0, 0), (1, 0), (2, 0), (2, 1), (1, 1), (0, 1)), delta=1.0),
    TFIM2D(length=3, width=3, field=3.0),
    TFIM2D(length=3, width=3, boundary="cylinder", field=1.0),
]


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_dmrg_agrees_with_diagonalisation(model: SpinModel) -> None:
    check(model)


@pytest.mark.parametrize("sites", [2, 3])
def test_two_and_three_sites(sites: int) -> None:
    state = pp.ground_state(XXZ(sites=sites, delta=0.5, field=0.1))
    exact = lowest_states(XXZ(sites=sites, delta=0.5, field=0.1).hamiltonian())
    assert state.energy == pytest.approx(exact.energy, abs=1e-14)
    assert abs(state.to_vector() @ exact.vector) == pytest.approx(1, abs=1e-12)


def test_the_state_is_that_of_the_model_as_given(caplog: pytest.LogCaptureFixture) -> None:
    """+h and -h differ by a Z on every site: X changes sign, probabilities do not."""
    caplog.set_level(logging.INFO, "psiprune")
    plain, turned = (
        pp.ground_state(IsingChain(sites=4, field=h, longitudinal_field=0.1)) for h in (1.0, -1.0)
    )
    np.testing.assert_allclose(plain.transverse_magnetization(), -turned.transverse_magnetization())
    np.testing.assert_allclose(plain.to_vector() ** 2, turned.to_vector() ** 2, atol=1e-14)
    assert plain.transverse_magnetization().min() > 0.5
    assert "Z on sites (0, 1, 2, 3)" in caplog.text
    assert "IsingChain(sites=4, field=-1.0, longitudinal_field=0.1)" in caplog.text


@pytest.mark.parametrize("scale", [1e-150, 1e-30, 1e30, 1e150])
@pytest.mark.parametrize("sites", [3, 4])
def test_units_of_the_energy_do_not_matter(sites: int, scale: float) -> None:
    model = IsingChain(sites=sites, longitudinal_field=0.5).hamiltonian()
    offset = Hamiltonian([(3.0, {})], sites)
    state = pp.ground_state(scale * (model + offset))
    plain = pp.ground_state(model)
    assert state.energy / scale == pytest.approx(plain.energy + 3.0, rel=1e-12)
    assert 0 <= state.energy_variance / scale / scale < 1e-12
    assert abs(state.to_vector() @ plain.to_vector()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("scale", [1e-151, 1e151])
def test_energies_whose_square_is_no_float_are_refused(scale: float) -> None:
    with refuses("hamiltonian", 1e-150, 1e150, scale, "other units"):
        pp.ground_state(scale * IsingChain(sites=4).hamiltonian())


def test_a_degenerate_ground_state_is_refused() -> None:
    facts = ("hamiltonian", "degenerate", 1e-8, "small field")
    with refuses(*facts):
        pp.ground_state(XXZ(sites=4, coupling=-1.0))
    with refuses("hamiltonian", "frustrated", "[X0 X1]"):
        pp.ground_state(XXZ(sites=5, boundary="periodic"))


def j1_j2(sites: int, j2: float) -> Hamiltonian:
    bonds = [(i, i + d, j) for d, j in ((1, 1.0), (2, j2)) for i in range(sites - d)]
    return Hamiltonian([(j, {a: p, b: p}) for a, b, j in bonds for p in "XYZ"])


def test_a_frustrated_chain_is_tested_by_its_amplitudes(monkeypatch: pytest.MonkeyPatch) -> None:
    """J1-J2 chains: accepted at a small J2, with the energy of all states; refused at J2 = 1."""
    model = j1_j2(8, 0.2)
    state = pp.ground_state(model, progress=False)
    lowest = np.linalg.eigvalsh(model.to_sparse().toarray())[0]
    assert state.energy == pytest.approx(lowest, abs=1e-8)
    facts = ("hamiltonian", "frustrated", "both signs", 1e-06)
    with refuses(*facts, "all amplitudes"):
        pp.ground_state(j1_j2(8, 1.0), progress=False)
    monkeypatch.setattr(one_sign, "EXACT_SITES", 7)
    rotation = likely_rotation(model)
    one_sign.check_one_sign(one_sign.z_rotated(state, rotation.sites), rotation)
    with refuses(*facts, "10,000 samples"):
        one_sign.check_one_sign(state, rotation)


def test_a_positive_state_above_one_of_odd_parity_is_refused() -> None:
    """A triangle that is antiferromagnetic along X and Z."""
    bonds = [(1.0, {i: "X", (i + 1) % 3: "X"}) for i in range(3)]
    fields = [(0.3, {i: "Z", (i + 1) % 3: "Z"}) for i in range(3)]
    model = Hamiltonian([*bonds, *fields])
    even, odd = lowest_states(model), lowest_states(model, odd=True)
    energies = np.linalg.eigvalsh(model.to_sparse().toarray())
    assert min(even.energy, odd.energy) == pytest.approx(energies[0])
    with refuses("hamiltonian", "frustrated"):
        pp.ground_state(model, progress=False)


@pytest.mark.slow
def test_a_degenerate_ground_state_is_refused_by_a_second_run() -> None:
    """As above 16 sites, where nothing is diagonalised."""
    ferromagnet = XXZ(sites=6, coupling=-1.0).hamiltonian()
    with refuses("hamiltonian", "degenerate"):
        pauli_dmrg._dmrg(ferromagnet, 50, 1e-10, Rotation((), False))
    model = XXZ(sites=8, coupling=-1.0, delta=-0.5).hamiltonian()
    with_check = pauli_dmrg._dmrg(model, 50, 1e-10, Rotation((), False))
    assert with_check.energy == pytest.approx(lowest_states(model).energy, abs=1e-10)


@pytest.mark.slow
def test_above_the_sizes_that_are_diagonalised() -> None:
    modes = np.cos(np.pi * np.arange(1, 21) / 21)
    state = pp.ground_state(XXZ(sites=20, delta=0.0))
    assert state.energy == pytest.approx(-modes[modes > 0].sum(), abs=1e-9)
    chain = pp.ground_state(IsingChain(sites=20, fields=(1.0,) * 20))
    assert chain.energy == pytest.approx(pp.TFIM(sites=20).ground_energy(), abs=1e-10)


def test_the_second_state_is_found_with_energies_above_zero(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gaps: list[tuple[float, float]] = []
    monkeypatch.setattr(
        pauli_dmrg, "_check_gap", lambda gap, energy, doubt: gaps.append((gap, energy))
    )
    model = IsingChain(sites=4, field=2.0, coupling=0.5, longitudinal_field=0.3).hamiltonian()
    found = pauli_dmrg._dmrg(model, 20, 1e-10, Rotation((), False))
    exact = lowest_states(model)
    ((gap, energy),) = gaps
    assert gap == pytest.approx(exact.gap, abs=1e-8)
    assert energy == found.energy
    pauli_dmrg._dmrg(model, 20, 1e-10, Rotation((), True))
    pauli_dmrg._dmrg(model, 20, 1e-10, None)
    assert len(gaps) == 1


@pytest.mark.parametrize("share", [0.9, 1.1])
@pytest.mark.parametrize(("energy", "variance"), [(1e-9, 0.0), (-1e-9, 0.0), (0.0, 1e-10)])
def test_the_limits_of_convergence(
    energy: float, variance: float, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unconverged(unit: Hamiltonian, *_: object) -> MPS:
        exact = lowest_states(unit)
        return replace(
            mps_from_vector(exact.vector),
            energy=exact.energy * (1 + share * energy),
            energy_variance=share * variance * exact.energy**2,
        )

    monkeypatch.setattr(pauli_dmrg, "_dmrg", unconverged)
    model = IsingChain(sites=4, field=-3.0).hamiltonian()
    if share > 1:
        facts = ("IsingChain(sites=4, field=-3.0)", "max_bond=200", "raise max_bond")
        with refuses("ground_state", *facts, error=ConvergenceError):
            pp.ground_state(model)
        return
    found = pp.ground_state(model)
    assert found.energy == pytest.approx(lowest_states(model).energy * (1 + share * energy))
    assert found.energy_variance == pytest.approx(share * variance * found.energy**2)


def test_an_excited_state_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = IsingChain(sites=4, longitudinal_field=0.5).hamiltonian()
    energies, vectors = np.linalg.eigh(model.to_sparse().toarray())
    excited = replace(mps_from_vector(vectors[:, 1]), energy=energies[1], energy_variance=0.0)
    monkeypatch.setattr(pauli_dmrg, "_dmrg", lambda *_: excited)
    monkeypatch.setattr(pauli_dmrg, "DIAGONALISED_SITES", 3)
    with refuses("ground_state", "excited", "both signs", error=ConvergenceError):
        pp.ground_state(model)


def test_limits_are_inclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    rotations: list[Rotation | None] = []

    def found(unit: Hamiltonian, *given: Any) -> MPS:
        rotation: Rotation | None = given[2]
        rotations.append(rotation)
        exact = lowest_states(unit)
        return replace(mps_from_vector(exact.vector), energy=exact.energy, energy_variance=0.0)

    monkeypatch.setattr(pauli_dmrg, "_dmrg", found)
    for name in ("ENERGY_TOLERANCE", "VARIANCE_TOLERANCE"):
        monkeypatch.setattr(pauli_dmrg, name, 0.0)
    for sites in (4, 3):
        monkeypatch.setattr(pauli_dmrg, "DIAGONALISED_SITES", sites)
        pp.ground_state(IsingChain(sites=4, field=-1.0, longitudinal_field=0.5))
    assert rotations == [None, Rotation((0, 1, 2, 3), True)]


def test_a_mixer_is_an_option_of_tenpy(monkeypatch: pytest.MonkeyPatch) -> None:
    from tenpy.algorithms import dmrg

    mixers, engine = [], dmrg.TwoSiteDMRGEngine

    def made(psi: Any, model: Any, options: Any, **named: Any) -> Any:
        mixers.append(options["mixer"])
        return engine(psi, model, options, **named)

    monkeypatch.setattr(dmrg, "TwoSiteDMRGEngine", made)
    model = IsingChain(sites=4, longitudinal_field=0.5).hamiltonian()
    pauli_dmrg._dmrg(model, 20, 1e-10, None, -1.0)
    assert mixers == [None, True]


def test_a_larger_variance_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pauli_dmrg, "DIAGONALISED_SITES", 1)
    model = IsingChain(sites=6, longitudinal_field=0.1)
    with pytest.raises(pp.ConvergenceError, match=r"limit 1e-10\); raise max_bond"):
        pp.ground_state(model, 2, progress=False)
    state = pp.ground_state(model, 2, max_variance=1e-3, progress=False)
    assert 1e-10 < state.energy_variance / state.energy**2 <= 1e-3
    with refuses("max_variance", "above 0", 0):
        pp.ground_state(model, max_variance=0)


def test_gaps_at_the_limit() -> None:
    pauli_dmrg._check_gap(1.01e-8 * 3.0, -3.0)
    for gap in (1e-8 * 3.0, 0.0, -1.0):
        with refuses("hamiltonian", "degenerate"):
            pauli_dmrg._check_gap(gap, -3.0)


@pytest.mark.parametrize("name", ["mine", ""])
def test_files_keep_the_hamiltonian(tmp_path: Path, name: str) -> None:
    model = Hamiltonian({"XXI": 0.25, "YYI": 0.2, "ZIZ": 1.0 / 3.0, "IIX": -1.0}, name=name)
    state = mps_from_vector(np.arange(1.0, 9.0), model)
    again = load_mps(state.save(tmp_path / "state.nc"))
    assert isinstance(again.model, Hamiltonian)
    assert (again.model, again.model.name) == (model, name)
    assert (again.energy, again.energy_variance) == (state.energy, state.energy_variance)
    psi = state.to_vector()
    assert state.energy == pytest.approx(psi @ model.to_sparse().toarray() @ psi)
    dataset = read_dataset(tmp_path / "state.nc", "mps")
    assert dataset.attrs["energy_units"] == "those of the coefficients"
    assert dataset.attrs["energy_variance_units"] == "those of the coefficients squared"
    shots = pp.sample(again, 10, progress=False)
    assert shots.provenance["model"] == model.summary()


def test_files_with_a_damaged_hamiltonian(tmp_path: Path) -> None:
    model = Hamiltonian({"XXI": 0.25, "YYI": 0.2, "ZIZ": 1.0 / 3.0, "IIX": -1.0})
    mps_from_vector(np.arange(1.0, 9.0), model).save(tmp_path / "state.nc")
    dataset = read_dataset(tmp_path / "state.nc", "mps")
    for broken, facts in (
        (dataset.drop_vars("pauli"), ("pauli, coefficient",)),
        (dataset.assign(pauli=dataset["pauli"] + 1), ("pauli, coefficient", "0 to 3")),
        (dataset.assign(coefficient=dataset["coefficient"] * np.nan), ("finite", "nan")),
        (dataset.drop_vars("tensor_1"), ("tensor_0 .. tensor_2",)),
        (dataset.isel(term=slice(0, 0)), ("terms",)),
        (dataset.isel(site=slice(0, 2)), ("tensors", 3, "2 sites")),
        (
            dataset.drop_vars("coefficient").assign(coefficient=("other", [1.0, 2.0])),
            ("pauli, coefficient", (4, 3), (2,)),
        ),
    ):
        path = write_dataset(tmp_path / "broken.nc", broken, "mps")
        with refuses(path, *facts):
            load_mps(path)
