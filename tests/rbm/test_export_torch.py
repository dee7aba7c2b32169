"""RBMs to and from torch. What needs torch is skipped without it, the clear lines are not."""

from __future__ import annotations

import importlib.util
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import exact
from machines import random_rbm
from psiprune.rbm.model import RBM
from refusals import refuses

NAMES = ("weights", "visible_bias", "hidden_bias")


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch", reason="pip install '.[torch]' runs torch itself")


@pytest.fixture
def rbm() -> RBM:
    return random_rbm(5, 3, density=0.6)


def test_there_and_back(torch: ModuleType, rbm: RBM) -> None:
    state = rbm.to_torch()
    assert tuple(state) == NAMES
    assert all(tensor.dtype == torch.float64 for tensor in state.values())
    again = RBM.from_torch(state, mask=rbm.mask)
    for name in (*NAMES, "mask"):
        np.testing.assert_array_equal(getattr(again, name), getattr(rbm, name))
    assert RBM.from_torch(state).number_of_weights == 15
    state["weights"][0, 0] += 1.0  # a copy
    np.testing.assert_array_equal(again.weights, rbm.weights)


def test_the_energy_of_qucumber_gives_the_same_probabilities(torch: ModuleType, rbm: RBM) -> None:
    # BinaryRBM.effective_energy of QuCumber 1.3.3; p = exp(-E)/Z.
    state = rbm.to_torch()
    bits = exact.basis(5)
    v = torch.tensor(bits, dtype=torch.float64)
    hidden = torch.nn.functional.softplus(
        torch.nn.functional.linear(v, state["weights"], state["hidden_bias"])
    ).sum(dim=1)
    log_p = torch.log_softmax(v @ state["visible_bias"] + hidden, dim=0).numpy()
    np.testing.assert_allclose(log_p, rbm.log_prob(bits), atol=1e-12)


@pytest.mark.parametrize("kind", ["float32", "bfloat16", "int64"])
def test_a_module_in_any_precision(torch: ModuleType, kind: str) -> None:
    values = {"weights": [[1, -2], [0, 3]], "visible_bias": [0, 1], "hidden_bias": [1, 2]}
    gradients = kind != "int64"
    state = {
        name: torch.nn.Parameter(torch.tensor(each, dtype=getattr(torch, kind)), gradients)
        for name, each in values.items()
    }
    found = RBM.from_torch(state)
    for name, each in values.items():
        np.testing.assert_array_equal(getattr(found, name), each)


def test_complex_parameters_are_refused(torch: ModuleType, rbm: RBM) -> None:
    state = {**rbm.to_torch(), "hidden_bias": torch.ones(3, dtype=torch.complex128).conj()}
    with refuses("hidden_bias", "real numbers"):
        RBM.from_torch(state)


def test_what_is_no_state_dictionary_is_refused(rbm: RBM) -> None:
    arrays: dict[str, Any] = {name: getattr(rbm, name) for name in NAMES}
    file: dict[str, Any] = {"rbm_am": arrays}
    with refuses("weights", "tensor", "ndarray"):
        RBM.from_torch(arrays)
    with refuses("state", *NAMES, "found rbm_am", "'rbm_am'"):
        RBM.from_torch(file)
    with refuses("state", ", ".join([*NAMES, "aux_bias"])):
        RBM.from_torch({**arrays, "aux_bias": 0})


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is installed")
def test_without_torch_there_is_a_clear_line(rbm: RBM) -> None:
    with refuses("to_torch", "pip install 'psiprune[torch]'"):
        rbm.to_torch()
