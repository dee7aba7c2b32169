"""What other programs make of our RBMs: by their own packages, else by their formulas."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exact
import psiprune as pp
from psiprune.rbm.export import netket_parameters, qucumber_state
from refusals import refused, refuses

PEERS = Path(__file__).parents[2] / ".venv-peers" / "bin" / "python"


@pytest.fixture(scope="module")
def rbm() -> pp.RBM:
    """Large weights, biases that are not 0, one weight pruned: nothing is symmetric."""
    rng = np.random.default_rng(3)
    mask = np.arange(15).reshape(3, 5) != 7
    return pp.RBM(2 * rng.normal(size=(3, 5)), rng.normal(size=5), rng.normal(size=3), mask)


@pytest.fixture(scope="module")
def bits() -> Any:
    return exact.basis(5)


def normalised(log_psi: Any) -> Any:
    """log p of log psi over a whole basis."""
    log_p = 2 * np.asarray(log_psi, dtype=float)
    return log_p - np.logaddexp.reduce(log_p)


def test_qucumber_by_its_formula(tmp_path: Path, rbm: pp.RBM, bits: Any) -> None:
    # BinaryRBM.effective_energy of QuCumber 1.3.3; psi = exp(-E/2).
    with np.load(pp.export_rbm(rbm, tmp_path / "rbm.npz", "qucumber")) as file:
        weights, visible, hidden = file["weights"], file["visible_bias"], file["hidden_bias"]
    softplus = np.log1p(np.exp(bits @ weights.T + hidden))
    energy = -(bits @ visible + softplus.sum(axis=1))
    np.testing.assert_allclose(normalised(-energy / 2), rbm.log_prob(bits), atol=1e-10)


def test_netket_by_its_formula(tmp_path: Path, rbm: pp.RBM, bits: Any) -> None:
    # netket.models.RBM.__call__ of NetKet 3.23, with the activation (1/2) log cosh.
    with np.load(pp.export_rbm(rbm, tmp_path / "rbm.npz", "netket")) as file:
        kernel, bias, visible = file["Dense/kernel"], file["Dense/bias"], file["visible_bias"]
    spins = 1.0 - 2.0 * bits
    cosh = np.log(np.cosh(spins @ kernel + bias)).sum(axis=1)
    halved = normalised(spins @ visible + 0.5 * cosh)
    np.testing.assert_allclose(halved, rbm.log_prob(bits), atol=1e-10)
    # With NetKet's own activation it is another state: the factor 1/2 matters.
    assert np.abs(normalised(spins @ visible + cosh) - rbm.log_prob(bits)).max() > 0.1


def test_netket_itself(rbm: pp.RBM, bits: Any) -> None:
    nk = pytest.importorskip("netket", reason="pip install '.[vendors]' runs NetKet itself")
    model = nk.models.RBM(
        alpha=(rbm.hidden + 0.5) / rbm.visible,
        activation=lambda x: 0.5 * nk.nn.activation.log_cosh(x),
        param_dtype=float,
    )
    state = nk.vqs.FullSumState(nk.hilbert.Spin(0.5, rbm.visible), model)
    state.parameters = netket_parameters(rbm)
    found = normalised(state.log_value(1.0 - 2.0 * bits))
    np.testing.assert_allclose(found, rbm.log_prob(bits), atol=1e-10)


QUCUMBER = """
import sys
import numpy as np, torch
from qucumber.nn_states import PositiveWaveFunction
with np.load(sys.argv[1]) as file:
    state = {name: torch.tensor(file[name]) for name in file.files}
hidden, visible = state["weights"].shape
psi = PositiveWaveFunction(visible, hidden, gpu=False)
psi.rbm_am.load_state_dict(state)
space = psi.generate_hilbert_space()
np.savetxt(sys.stdout, torch.log(psi.probability(space, Z=psi.normalization(space))).numpy())
"""


@pytest.mark.skipif(not PEERS.exists(), reason="`make .venv-peers/ready` runs QuCumber itself")
def test_qucumber_in_its_own_environment(tmp_path: Path, rbm: pp.RBM, bits: Any) -> None:
    path = pp.export_rbm(rbm, tmp_path / "rbm.npz", "qucumber")
    done = subprocess.run([PEERS, "-c", QUCUMBER, path], capture_output=True, text=True, check=True)
    found = np.array(done.stdout.split(), dtype=float)
    np.testing.assert_allclose(found, rbm.log_prob(bits), atol=1e-10)


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is installed")
def test_without_torch_qucumber_takes_npz(tmp_path: Path, rbm: pp.RBM) -> None:
    with pytest.raises(pp.InputError, match=r"needs torch; pip install 'psiprune\[torch\]'.*\.npz"):
        pp.export_rbm(rbm, tmp_path / "rbm.pt", "qucumber")
    assert list(tmp_path.iterdir()) == []


def test_other_formats_are_refused(tmp_path: Path, rbm: pp.RBM) -> None:
    refused("numpy, qucumber, netket", pp.export_rbm, rbm, tmp_path / "rbm.txt", "text")
    assert set(qucumber_state(rbm)) == {"weights", "visible_bias", "hidden_bias"}


@pytest.mark.parametrize(
    ("form", "name", "way"),
    [("numpy", "rbm.pt", ".npz"), ("netket", "rbm.txt", ".npz"), ("qucumber", "rbm.nc", ".pt")],
)
def test_names_of_other_formats_are_refused(
    tmp_path: Path, rbm: pp.RBM, form: str, name: str, way: str
) -> None:
    with refuses(name, way):
        pp.export_rbm(rbm, tmp_path / name, form)
