"""Whether shots in several bases determine a state: one that they do, and one that they do not."""

from __future__ import annotations

import numpy as np
import pytest

import psiprune as pp
from machines import random_phase_rbm


def test_enough_bases_determine_a_state() -> None:
    state, bases = random_phase_rbm(2, 2, 2), ("ZZ", "XY", "YX", "XZ", "ZY")
    bits = [state.sample(1000, basis, seed=k) for k, basis in enumerate(bases)]
    index = np.repeat(np.arange(5), 1000)
    found = pp.identifiability(
        pp.Shots(np.concatenate(bits), pp.PauliBases(bases, index)), starts=2, progress=False
    )
    assert found.determined
    assert found.agreement > 0.99
    assert found.rbm.fidelity(state) > 0.98
    assert found.infidelity < 0.01
    assert found.fits[0] == pytest.approx((0, 1))
    assert [fit.basis for fit in found.held_out] == [*bases]
    assert [fit.shots for fit in found.held_out] == [200] * 5
    assert found.distinguishing == ()
    assert found.suggested[0][1] < found.infidelity
    assert "Identifiability(determined: agreement" in repr(found)
    assert "ZY" in str(found)


def test_bases_that_leave_a_sign_open_are_found_with_those_that_show_it() -> None:
    # (|00> +- i |11>) / sqrt(2) give the same outcomes in ZZ, XX and YY.
    every, equal = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([[0, 0], [1, 1]])
    bits = np.concatenate([np.tile(equal, (200, 1)), *[np.tile(every, (100, 1))] * 2])
    bases = pp.PauliBases(("ZZ", "XX", "YY"), np.repeat(np.arange(3), 400))
    found = pp.identifiability(pp.Shots(bits.astype(np.uint8), bases), starts=6, progress=False)
    assert not found.determined
    assert found.agreement < 0.9
    assert {basis for basis, _ in found.distinguishing[:2]} == {"XY", "YX"}
    assert "Not determined" in str(found)
    assert "the agreement is below 0.9" in found.reasons
    assert "tell the equally likely states apart" in str(found)
