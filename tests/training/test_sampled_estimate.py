"""What training steps above 16 sites are estimated to take, against what they take."""

from __future__ import annotations

from time import thread_time

import numpy as np
import pytest

import psiprune as pp
from psiprune.core.threads import single_thread
from psiprune.reconstruction.bases.estimate import check_training
from psiprune.training.limits import OPTIONS
from psiprune.training.natural_phase_mcmc import begin, step
from psiprune.training.phase_data import rotated_shots
from psiprune.training.phase_starts import PhaseUnits, new_phase_rbm
from psiprune.training.sampled_estimate import sampled_step_needs


def shots_of(sites: int, each: int) -> pp.Shots:
    pairs = ["Z" * k + "XY" + "Z" * (sites - 2 - k) for k in range(sites - 1)]
    names = ["Z" * sites, *pairs]
    bits = np.random.default_rng(1).integers(0, 2, (each * len(names), sites), dtype=np.uint8)
    return pp.Shots(bits, pp.PauliBases.of_groups(names, [each] * len(names)))


@pytest.mark.slow
@pytest.mark.parametrize("sites", [18, 24])  # log Z by sums, and by chains
def test_the_time_of_a_step(sites: int) -> None:
    shots, units = shots_of(sites, 1500), PhaseUnits()
    estimate = sampled_step_needs(shots, units)
    with single_thread():
        data = rotated_shots(shots)
        state = begin(new_phase_rbm(shots, units, 0), shots, data.terms, 0.0, 0)
        times = []
        for _ in range(4):
            begun = thread_time()
            state = step(state)
            times.append(thread_time() - begun)
    assert 0.3 < estimate.seconds / np.median(times) < 3
    more = sampled_step_needs(shots_of(sites, 6000), units)
    assert 1.5 < more.seconds / estimate.seconds < 6
    assert more.memory > 2 * estimate.memory


def test_shots_in_too_many_rotated_sites_are_refused_first() -> None:
    many = pp.Shots(np.zeros((2, 20), np.uint8), pp.PauliBases.of_shots(["Z" * 20, "XY" * 10]))
    with pytest.raises(pp.InputError, match="rotates 20 of 20 sites"):
        sampled_step_needs(many, PhaseUnits())


@pytest.mark.slow
def test_a_training_above_the_limit_is_not_begun() -> None:
    lines: list[str] = []

    def check(limit: float) -> None:
        check_training(
            shots_of(18, 100),
            PhaseUnits(),
            4,
            300,
            limit=limit,
            announce=lines.append,
            spell=OPTIONS,
        )

    with pytest.raises(pp.InputError, match=r"train: estimated .*, the limit is 1 s; .*--max-time"):
        check(1.0)
    check(1e9)
    assert all("1,800 shots x 18 sites, hidden units 18 + 36, starts: 4" in line for line in lines)
