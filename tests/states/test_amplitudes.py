"""Amplitude files: which bit of a line's number is site 0, phases, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import psiprune as pp
import tiny
from psiprune.rbm.init import initial_rbm
from ways_out import Way, ways_out

#: Of 3 sites; no amplitude equals that of the mirrored configuration.
PSI = np.sqrt(np.array([1, 2, 3, 4, 5, 6, 7, 8]) / 36)


def write(path: Path, psi: Any) -> Path:
    psi = np.asarray(psi, complex)
    np.savetxt(path, np.stack([psi.real, psi.imag], axis=1), fmt="%.10f")
    return path


def test_the_first_site_is_the_highest_bit(tmp_path: Path) -> None:
    path = write(tmp_path / "psi.txt", PSI)
    path.write_text("# re im\n" + path.read_text() + "\n")
    state = pp.read_amplitudes(path)
    # Line 1 spells 001: site 2 alone is 1. Line 4 spells 100.
    assert np.exp(state.log_prob([[0, 0, 1]])[0]) == pytest.approx(2 / 36)
    assert np.exp(state.log_prob([[1, 0, 0]])[0]) == pytest.approx(5 / 36)
    lowest = pp.read_amplitudes(path, first_site="lowest")
    assert np.exp(lowest.log_prob([[1, 0, 0]])[0]) == pytest.approx(2 / 36)
    np.testing.assert_allclose(lowest.to_vector(), PSI, atol=1e-9)


def test_one_column_and_a_shared_phase(tmp_path: Path) -> None:
    signs = np.array([1, 1, -1, 1, -1, 1, 1, 1])
    state = pp.read_amplitudes(write(tmp_path / "turned.txt", signs * PSI * np.exp(0.7j)))
    np.savetxt(tmp_path / "real.txt", signs * PSI)
    plain = pp.read_amplitudes(tmp_path / "real.txt")
    np.testing.assert_allclose(state.to_vector(), plain.to_vector(), atol=1e-9)


def test_phases_are_refused_and_the_way_out_works(tmp_path: Path) -> None:
    path, out = write(tmp_path / "psi.txt", PSI * np.exp(1j * np.arange(8))), tmp_path / "state.nc"
    command = ("import", "qucumber-psi", path, "-o", out)
    line = tiny.refusal(tiny.call(*command))
    assert "amplitude 5 has the phase -2 relative to the largest" in line
    (way,) = ways_out(line)
    done = tiny.call(*command, *way.options, "--json")
    numbers = json.loads(done.out)
    assert (numbers["sites"], numbers["modulus"]) == (3, True)
    assert numbers["bit_order"] == "site 0 is the highest bit of a line's number"
    np.testing.assert_allclose(
        pp.load_mps(out).to_vector().reshape(2, 2, 2).T.ravel(), PSI, atol=1e-9
    )


def test_evaluate_takes_such_a_state(tmp_path: Path) -> None:
    path, out = write(tmp_path / "psi.txt", PSI), tmp_path / "state.nc"
    done = tiny.call("import", "qucumber-psi", path, "--order", "reversed", "-o", out)
    assert "state of 3 sites" in done.out
    assert "lowest bit" in done.out
    rbm = initial_rbm(3, 2, seed=0)
    rbm.save(tmp_path / "rbm.nc")
    found = json.loads(tiny.call("evaluate", tmp_path / "rbm.nc", out, "--json").out)
    p = np.exp(rbm.log_prob((np.arange(8)[:, None] >> np.arange(3)) & 1))
    assert found["kl"]["value"] == pytest.approx(float((PSI**2 * np.log(PSI**2 / p)).sum()))


def test_shots_name_the_way_to_a_state(tmp_path: Path) -> None:
    path, out = write(tmp_path / "qubits_psi.txt", PSI), tmp_path / "out.nc"
    for form in ("qucumber", "text", "auto"):
        line = tiny.refusal(tiny.call("import", form, path, "-o", out))
        assert ways_out(line) == [Way("qucumber-psi", [])]
    assert tiny.call("import", "qucumber-psi", path, "-o", out).status == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1 0\n0 0\n", "2 to 20, found 2"),
        ("1 0\n0 0\n0 0\n", "found 3; the file may be truncated"),
        ("1 0\n1 0\n0 0\n0 0\n", "add up to 1, found 2; divide the amplitudes by 1.41421"),
        ("1 0\n0 x\n0 0\n0 0\n", "line 2: .*found '0 x'"),
        ("1 0\n0 nan\n0 0\n0 0\n", "line 2: .*found '0 nan'"),
        ("1 0 0\n" * 4, "line 1: .*density matrices"),
        ("# nothing\n", "found 0"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "psi.txt").write_text(text)
    with pytest.raises(pp.InputError, match=words):
        pp.read_amplitudes(tmp_path / "psi.txt")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--key", "a"), "key: qucumber-psi takes"),
        (("--order", "numbered"), "order: qucumber-psi takes"),
        (("OTHER",), "takes one file, found 2"),
    ],
)
def test_options_of_shots_are_refused(tmp_path: Path, options: tuple[str, ...], words: str) -> None:
    path, other = write(tmp_path / "psi.txt", PSI), tmp_path / "other.txt"
    other.write_text("1\n")
    given = [other if option == "OTHER" else option for option in options]
    line = tiny.refusal(tiny.call("import", "qucumber-psi", path, *given, "-o", tmp_path / "a.nc"))
    assert words in line
    shots = tmp_path / "shots.txt"
    shots.write_text("0 1\n1 1\n")
    line = tiny.refusal(tiny.call("import", "text", shots, "--modulus", "-o", tmp_path / "a.nc"))
    assert line.startswith("--modulus: ")
    with pytest.raises(pp.InputError, match=r"first_site: .*'first'"):
        pp.read_amplitudes(path, first_site="first")  # type: ignore[arg-type]


@pytest.mark.parametrize(("phase", "norm"), [(3e-6, 1.0), (0.0, 1.003), (0.0, 0.997)])
def test_tolerances(tmp_path: Path, phase: float, norm: float) -> None:
    """A third of either deviation is rounding in the file, and is accepted."""

    def read(share: float) -> pp.MPS:
        # The largest amplitude comes last; its phase counts as that of the state.
        psi = PSI * (1 + (norm - 1) * share) ** 0.5 * np.exp(1j * share * phase * (PSI < 0.45))
        return pp.read_amplitudes(write(tmp_path / "psi.txt", psi))

    np.testing.assert_allclose(read(0.3).to_vector().reshape(2, 2, 2).T.ravel(), PSI, atol=1e-6)
    with pytest.raises(pp.InputError, match=r"phase|add up to 1"):
        read(1.0)
