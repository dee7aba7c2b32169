"""Amplitude files: which bit of a line's number is site 0, phases, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import psiprune as pp
import tiny

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


def test_phases_are_kept_unless_the_modulus_is_asked_for(tmp_path: Path) -> None:
    psi = PSI * np.exp(1j * np.arange(8))
    path, out = write(tmp_path / "psi.txt", psi), tmp_path / "state.nc"
    done = tiny.call("import", "qucumber-psi", path, "-o", out)
    assert "state with phases of 3 sites" in done.out
    found = pp.load_mps(out).to_vector().reshape(2, 2, 2).T.ravel()
    # Only the phase of the largest amplitude is not kept.
    np.testing.assert_allclose(found, psi * np.exp(-7j), atol=1e-9)
    out.unlink()
    done = tiny.call("import", "qucumber-psi", path, "-o", out, "--modulus", "--json")
    numbers = json.loads(done.out)
    assert (numbers["sites"], numbers["modulus"]) == (3, True)
    assert numbers["bit_order"] == "site 0 is the highest bit of a line's number"
    np.testing.assert_allclose(
        pp.load_mps(out).to_vector().reshape(2, 2, 2).T.ravel(), PSI, atol=1e-9
    )

    with pytest.raises(pp.InputError, match=r"first_site: .*'first'"):
        pp.read_amplitudes(path, first_site="first")  # type: ignore[arg-type]


@pytest.mark.parametrize(("phase", "norm"), [(3e-6, 1.0), (0.0, 1.003), (0.0, 0.997)])
def test_tolerances(tmp_path: Path, phase: float, norm: float) -> None:
    """A third of either deviation is rounding in the file, and is accepted."""

    def read(share: float) -> pp.MPS:
        # The largest amplitude comes last; its phase counts as that of the state.
        psi = PSI * (1 + (norm - 1) * share) ** 0.5 * np.exp(1j * share * phase * (PSI < 0.45))
        return pp.read_amplitudes(write(tmp_path / "psi.txt", psi))

    found = read(0.3)
    np.testing.assert_allclose(found.to_vector().reshape(2, 2, 2).T.ravel(), PSI, atol=1e-6)
    assert not found.is_complex
    if phase:
        assert read(1.0).is_complex
    else:
        with pytest.raises(pp.InputError, match="add up to 1"):
            read(1.0)
