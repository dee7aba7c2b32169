"""Means by basis, and the tests that the bases fit the shots: rates, and cases they must find."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

import psiprune as pp
import tiny
from psiprune.data.basis_diagnostics import BasesDescription, describe_bases
from psiprune.data.diagnostics import LEVEL
from psiprune.inspect.tables import description_text

BASES = ("ZZZ", "XZZ", "ZYZ", "XZY", "ZXZ")
BLOCH = np.array([[0.6, 0.5, -0.2], [0.0, 0.3, -0.5], [0.7, -0.4, 0.1]])  # [letter, site]


def product(
    shots: int, seed: int, bases: tuple[str, ...] = BASES, bloch: np.ndarray = BLOCH
) -> pp.Shots:
    """Shots of independent sites with <X>, <Y>, <Z> = `bloch`, equally many in each basis."""
    rng = np.random.default_rng(seed)
    names = np.repeat(bases, shots)
    means = np.array([[bloch["XYZ".index(c), k] for k, c in enumerate(name)] for name in names])
    bits = (rng.random(means.shape) < (1 - means) / 2).astype(np.uint8)
    return pp.Shots(bits, pp.PauliBases.of_shots(names.tolist()))


def names_of(found: BasesDescription) -> list[str]:
    return [warning.name for warning in found.warnings]


def test_means_by_basis_and_letter() -> None:
    shots = product(400, 0)
    found = describe_bases(shots)
    assert (found.bases, found.shots_in.tolist()) == (BASES, [400] * 5)
    for k, bits in enumerate(shots.by_basis().values()):
        np.testing.assert_allclose(found.means[k], 1 - 2 * bits.mean(axis=0))
    groups = shots.by_basis()
    z = np.concatenate([groups[name][:, 0] for name in ("ZZZ", "ZYZ", "ZXZ")])
    assert found.by_letter[2, 0] == pytest.approx(1 - 2 * z.mean())
    # X of site 2 and Y of site 0 are in no basis.
    assert np.isnan(found.by_letter[:2]).tolist() == [[False, False, True], [True, False, False]]
    # Z of sites 0 to 2 in 3, 3 and 4 bases, X of site 0 in 2.
    assert found.comparisons == 12
    assert found.warnings == ()


@pytest.mark.slow
@pytest.mark.parametrize("bloch", [BLOCH, np.diag([0.98, -0.98, 0.98])])
def test_sound_shots_are_rarely_suspected(bloch: np.ndarray) -> None:
    # Also for means close to +-1, where few ones make chi-squared tests reject far too often.
    drawn = (product(60, seed, bloch=bloch) for seed in range(300))
    p_values = [describe_bases(shots).marginals_p_value for shots in drawn]
    for level in (0.05, 0.01):
        found = int((np.array(p_values) < level).sum())
        assert binom.sf(found - 1, 300, level) > 1e-3, (level, found)


def test_bases_of_other_shots_are_found() -> None:
    shots = product(400, 1)
    assert describe_bases(shots).marginals_p_value > LEVEL
    # Two bases exchanged.
    exchanged = pp.PauliBases(tuple(np.array(shots.bases)[[3, 1, 2, 0, 4]]), shots.basis_of)
    found = describe_bases(pp.Shots(shots.bits, exchanged))
    assert "marginals" in names_of(found)
    # The sites of all bases in reversed order.
    turned = pp.Shots(shots.bits, pp.PauliBases(shots.bases, shots.basis_of).of_sites([2, 1, 0]))
    (warning,) = [each for each in describe_bases(turned).warnings if each.name == "marginals"]
    assert "same order" in warning.line


def test_the_warning_names_the_basis_that_stands_out() -> None:
    shots = product(400, 2)
    bits = shots.bits.copy()
    bits[shots.basis_of == 3, 1] ^= 1  # inverted in XZY alone
    found = describe_bases(pp.Shots(bits, shots.basis))
    (warning,) = found.warnings
    assert warning.name == "marginals"
    assert "<Z> of site 1 " in warning.line
    assert "in basis XZY" in warning.line


def test_means_of_no_qubit_are_found() -> None:
    bits = product(300, 3).bits.copy()
    bits[:, 0] = 0  # a dead qubit: +1 in Z and in X
    found = describe_bases(pp.Shots(bits, product(300, 3).basis))
    assert names_of(found) == ["bloch"]
    assert "site 0: <X> = +1.000, <Z> = +1.000" in found.warnings[0].line
    # A pure state of length 1 in a general direction is sound.
    direction = np.array([[1.0], [1.0], [1.0]]) / np.sqrt(3)
    pure = [
        names_of(describe_bases(product(200, seed, ("X", "Y", "Z"), direction)))
        for seed in range(40)
    ]
    assert sum("bloch" in names for names in pure) == 0


def test_one_basis_and_bases_without_a_common_letter() -> None:
    found = describe_bases(product(50, 0, ("XYZ",)))
    assert (found.comparisons, found.marginals_p_value) == (0, 1.0)
    assert names_of(found) == ["basis"]
    found = describe_bases(product(50, 0, ("XXZ", "YYX", "ZZY")))
    assert "cannot be tested" in description_text(found)


def test_info_prints_the_bases(tmp_path: Path) -> None:
    file = product(100, 4).save(tmp_path / "pauli.nc")
    done = tiny.call("info", file)
    assert f"{file}: 500 shots of 3 sites in 5 bases" in done.out
    assert "  XZY             100 shots, means " in done.out
    numbers = json.loads(tiny.call("info", file, "--json").out)
    assert numbers["what"] == "bases"
    assert numbers["shots_in"] == [100] * 5
    bases = pp.PauliBases.of_shots(("XYZ" * 11)[k % 3 : k % 3 + 30] for k in range(40))
    text = description_text(describe_bases(pp.Shots(np.zeros((40, 30), np.uint8), bases)))
    assert max(map(len, text.splitlines()[:-1])) <= 110
