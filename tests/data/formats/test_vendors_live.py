"""The vendors' packages of today, where installed: fresh files, read as those of the fixtures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import make_fixtures
import numpy as np
import pytest
from test_vendor_files import FILES, rows_of

import psiprune as pp
from psiprune.data.shots import as_shots

QUCUMBER_HERE = "pip install torch, then pip install --no-deps qucumber, run QuCumber itself"
MODULES = {
    "qiskit": ("qiskit", "qiskit_ibm_runtime"),
    "cirq": ("cirq",),
    "braket": ("braket.circuits",),
    "quera": ("braket.ahs",),
    "bloqade": ("bloqade.analog",),
    "pulser": ("pulser_simulation",),
    "stim": ("stim",),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("vendor", make_fixtures.VENDORS)
def test_fresh_files(vendor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in MODULES[vendor]:
        pytest.importorskip(module, reason=f"pip install '.[vendors]' runs {module} itself")
    expected: dict[str, list[str]] = {}
    monkeypatch.setattr(make_fixtures, "FOLDER", tmp_path)
    monkeypatch.setattr(make_fixtures, "EXPECTED", expected)
    make_fixtures.VENDORS[vendor]()
    assert expected
    settings: dict[str, tuple[str, dict[str, Any], bool]] = {
        name: (form, given, counts) for name, form, given, counts in FILES
    }
    for name, rows in expected.items():
        form, given, counts = settings[name]
        found = rows_of(pp.read_shots(tmp_path / name, form, **given).bits)
        assert (sorted(found) if counts else found) == rows, name


def test_qiskit_reads_our_counts(tmp_path: Path) -> None:
    reason = "pip install '.[vendors]' runs Qiskit itself"
    containers = pytest.importorskip("qiskit.primitives.containers", reason=reason)
    import json

    shots = as_shots(np.random.default_rng(0).integers(2, size=(30, 9)))
    path = pp.export_shots(shots, tmp_path / "counts.json", "qiskit")
    array = containers.BitArray.from_counts(json.loads(path.read_text()), 9)
    bits = array.to_bool_array(order="little").astype(int)
    assert sorted(rows_of(bits)) == sorted(rows_of(shots.bits))


def test_stim_reads_our_b8(tmp_path: Path) -> None:
    stim = pytest.importorskip("stim", reason="pip install '.[vendors]' runs Stim itself")
    shots = as_shots(np.random.default_rng(0).integers(2, size=(30, 11)))
    path = pp.export_shots(shots, tmp_path / "shots.b8", "stim-b8")
    found = stim.read_shot_data_file(path=str(path), format="b8", num_measurements=11)
    np.testing.assert_array_equal(found, shots.bits)


def test_qucumber_chooses_the_same_shots(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason=QUCUMBER_HERE)
    data = pytest.importorskip("qucumber.utils.data", reason=QUCUMBER_HERE)
    rng = np.random.default_rng(0)
    samples, bases = tmp_path / "samples.txt", tmp_path / "bases.txt"
    np.savetxt(samples, rng.integers(2, size=(60, 3)), fmt="%d")
    np.savetxt(bases, rng.choice(list("ZZX"), size=(60, 3)), fmt="%s")
    theirs = data.extract_refbasis_samples(*data.load_data(samples, tr_bases_path=bases))
    ours = pp.read_shots(samples, "qucumber", bases=bases)
    np.testing.assert_array_equal(ours.bits, theirs.numpy())
    assert 0 < len(ours) < 60
