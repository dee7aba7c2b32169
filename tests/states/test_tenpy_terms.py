"""Hamiltonians from models of TeNPy against the ready-made ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tenpy.models.lattice import Chain
from tenpy.models.model import CouplingModel, MPOModel
from tenpy.models.spins import SpinChain
from tenpy.models.tf_ising import TFIChain
from tenpy.models.xxz_chain import XXZChain
from tenpy.networks.site import SpinHalfSite

import exact
import psiprune as pp
from refusals import refuses

FINITE: dict[str, Any] = {"L": 4, "bc_MPS": "finite"}
SPIN: dict[str, Any] = {"S": 0.5, "Jx": 2.0, "Jy": 2.0, "Jz": 1.0, **FINITE}


def made(strength: complex, *, plus_hc: bool) -> MPOModel:
    """X X of all pairs that decays, X Z X and Y Z Y, Z X Z and a multiple of the identity."""
    chain = Chain(4, SpinHalfSite(conserve=None))
    model = CouplingModel(chain, explicit_plus_hc=plus_hc)
    model.add_exponentially_decaying_coupling(0.7, 0.5, "Sigmax", "Sigmax")
    model.add_coupling(strength, 0, "Sp", 0, "Sm", 2, op_string="Sigmaz", plus_hc=True)
    model.add_multi_coupling(0.3, [("Sigmaz", 0, 0), ("Sigmax", 1, 0), ("Sigmaz", 2, 0)])
    model.add_onsite(0.2, 0, "Id")
    return MPOModel(chain, model.calc_H_MPO())


def test_chains() -> None:
    xxz = pp.XXZ(sites=4, delta=0.5, coupling=2.0, field=0.3)
    for conserve in ("Sz", None):
        model = XXZChain({"Jxx": 2.0, "Jz": 1.0, "hz": 0.3, **FINITE})
        assert close(model, xxz.hamiltonian())
        model = SpinChain({**SPIN, "hz": 0.3, "conserve": conserve})
        assert close(model, xxz.hamiltonian())
    ising = TFIChain({"J": 1.5, "g": 0.7, "conserve": "parity", **FINITE})
    wanted = [(-1.5, {i: "X", i + 1: "X"}) for i in range(3)]
    assert close(ising, pp.Hamiltonian([*wanted, *((-0.7, {i: "Z"}) for i in range(4))]))


def close(model: Any, wanted: pp.Hamiltonian) -> bool:
    found = pp.Hamiltonian(model)
    same = [term[:2] for term in found.terms] == [term[:2] for term in wanted.terms]
    a, b = ([term.coefficient for term in each.terms] for each in (found, wanted))
    return same and np.allclose(a, b, rtol=1e-13)


@pytest.mark.parametrize("plus_hc", [False, True])
def test_a_model_of_every_kind_of_term(plus_hc: bool) -> None:
    terms = [(0.7 * 0.5 ** (j - i), {i: "X", j: "X"}) for i in range(4) for j in range(i + 1, 4)]
    for i in range(2):
        terms += [(0.2, {i: letter, i + 1: "Z", i + 2: letter}) for letter in "XY"]
        terms.append((0.3, {i: "Z", i + 1: "X", i + 2: "Z"}))
    dense = exact.pauli_sum(4, [*terms, (0.8, {})])
    found = pp.Hamiltonian(made(0.4, plus_hc=plus_hc)).to_sparse().toarray()
    np.testing.assert_allclose(found, dense, atol=1e-13)


def test_refused_models() -> None:
    with refuses("terms", "finite", "'infinite'"):
        pp.Hamiltonian(XXZChain({"L": 2, "bc_MPS": "infinite"}))
    with refuses("terms", "site 0", "spin 1/2", "SpinSite of dimension 3"):
        pp.Hamiltonian(SpinChain({**SPIN, "S": 1.0}))
    chain = Chain(2, SpinHalfSite(conserve=None))
    lossy = CouplingModel(chain)
    lossy.add_onsite(1.0, 0, "Sigmax")
    lossy.add_onsite(-0.5j, 0, "Sigmaz")
    with refuses("terms", "real", "-0.5j"):
        pp.Hamiltonian(MPOModel(chain, lossy.calc_H_MPO()))
