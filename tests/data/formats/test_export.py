"""What other programs make of our shots and RBMs: by their own packages, else by their formulas."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import tempfile
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import psiprune as pp
import tiny
from psiprune.data.shots import as_shots
from psiprune.rbm.export import netket_parameters, qucumber_state

TABLES = arrays.arrays(
    np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 19)), elements={"max_value": 1}
)
PEERS = Path(__file__).parents[3] / ".venv-peers" / "bin" / "python"


@pytest.fixture(scope="module")
def rbm() -> pp.RBM:
    """Large weights, biases that are not 0, one weight pruned: nothing is symmetric."""
    rng = np.random.default_rng(3)
    mask = np.ones((3, 5), bool)
    mask[1, 2] = False
    weights, visible, hidden = rng.normal(size=(3, 5)), rng.normal(size=5), rng.normal(size=3)
    return pp.RBM(2 * weights, visible, hidden, mask)


@pytest.fixture(scope="module")
def bits() -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.array(list(product((0, 1), repeat=5)), dtype=np.uint8)


def normalised(log_psi: Any) -> Any:
    """log p of log psi over a whole basis."""
    log_p = 2 * np.asarray(log_psi, dtype=float)
    return log_p - np.logaddexp.reduce(log_p)


# ---- shots: out and in again


@settings(deadline=None, max_examples=40)
@given(table=TABLES)
@pytest.mark.parametrize("form", ["text", "numpy", "stim-b8"])
def test_shots_come_back(form: str, table: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shots.out"
        pp.export_shots(pp.Shots(table), path, form)
        wanted = {"qubits": table.shape[1]} if form == "stim-b8" else {}
        again = pp.read_shots(path, form, **wanted)
    np.testing.assert_array_equal(again.bits, table)


@settings(deadline=None, max_examples=40)
@given(table=TABLES)
def test_counts_come_back(table: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "counts.json"
        pp.export_shots(pp.Shots(table), path, "qiskit")
        again = pp.read_shots(path, "qiskit", outcomes="bits")
    assert Counter(map(bytes, again.bits)) == Counter(map(bytes, table))


def test_counts_have_site_0_rightmost(tmp_path: Path) -> None:
    shots = as_shots([[0, 0, 1], [0, 0, 1], [0, 1, 1]])
    path = pp.export_shots(shots, tmp_path / "counts.json", "qiskit")
    assert json.loads(path.read_text()) == {"100": 2, "110": 1}


def test_text_is_plain(tmp_path: Path) -> None:
    path = pp.export_shots(as_shots([[0, 0, 1], [0, 1, 1]]), tmp_path / "a.txt", "text")
    assert path.read_text() == "0 0 1\n0 1 1\n"
    np.testing.assert_array_equal(np.loadtxt(path), [[0, 0, 1], [0, 1, 1]])


def test_shots_in_another_basis_stay(tmp_path: Path) -> None:
    with pytest.raises(pp.InputError, match=r"basis X.* text "):
        pp.export_shots(pp.Shots(as_shots([[0, 1]]).bits, basis="X"), tmp_path / "a.txt", "text")
    with pytest.raises(pp.InputError, match=r"format: .*text, .*'netket'"):
        pp.export_shots(as_shots([[0, 1]]), tmp_path / "a.txt", "netket")


# ---- RBMs


def test_numpy_keeps_everything(tmp_path: Path, rbm: pp.RBM) -> None:
    with np.load(pp.export_rbm(rbm, tmp_path / "rbm.npz", "numpy")) as file:
        again = pp.RBM(**{name: file[name] for name in file.files})
    for name in ("weights", "visible_bias", "hidden_bias", "mask"):
        np.testing.assert_array_equal(getattr(again, name), getattr(rbm, name))


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


def test_qucumber_itself(tmp_path: Path, rbm: pp.RBM, bits: Any) -> None:
    torch = pytest.importorskip("torch", reason=QUCUMBER_HERE)
    states = pytest.importorskip("qucumber.nn_states", reason=QUCUMBER_HERE)
    path = pp.export_rbm(rbm, tmp_path / "rbm.pt", "qucumber")
    psi = states.PositiveWaveFunction(rbm.visible, rbm.hidden, gpu=False)
    psi.load(str(path))
    space = torch.tensor(bits, dtype=torch.double)
    found = torch.log(psi.probability(space, Z=psi.normalization(space))).numpy()
    np.testing.assert_allclose(found, rbm.log_prob(bits), atol=1e-10)


QUCUMBER_HERE = "pip install torch, then pip install --no-deps qucumber, run QuCumber itself"
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
    with pytest.raises(pp.InputError, match=r"torch, which is not installed; .*\.npz"):
        pp.export_rbm(rbm, tmp_path / "rbm.pt", "qucumber")
    assert list(tmp_path.iterdir()) == []


def test_other_formats_are_refused(tmp_path: Path, rbm: pp.RBM) -> None:
    with pytest.raises(pp.InputError, match="numpy, qucumber, netket"):
        pp.export_rbm(rbm, tmp_path / "rbm.txt", "text")
    assert set(qucumber_state(rbm)) == {"weights", "visible_bias", "hidden_bias"}


# ---- the command


def test_the_command(tmp_path: Path, stages: Path) -> None:
    shots = pp.read_shots(stages / "shots.nc")
    out = tmp_path / "counts.json"
    done = tiny.call("export", "qiskit", stages / "shots.nc", "-o", out, "--json")
    assert json.loads(done.out) == {
        "file": str(out),
        "format": "qiskit",
        "kind": "shots",
        "shots": 300,
        "sites": 4,
    }
    done = tiny.call("import", "qiskit", out, "-o", tmp_path / "again.nc")
    assert done.status == 0, done
    again = pp.read_shots(tmp_path / "again.nc")
    assert Counter(map(bytes, again.bits)) == Counter(map(bytes, shots.bits))
    line = tiny.call("export", "netket", stages / "rbm.nc", "-o", tmp_path / "rbm.npz").out
    assert "RBM of 4 visible and 2 hidden units as netket" in line


def test_export_keeps_what_is_there(tmp_path: Path, stages: Path) -> None:
    out = tmp_path / "a.txt"
    out.write_text("mine")
    line = tiny.refusal(tiny.call("export", "text", stages / "shots.nc", "-o", out))
    assert "exists already" in line
    assert out.read_text() == "mine"
