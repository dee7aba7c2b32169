"""Linear response of RBMs to readout error rates against new fits of the records."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import psiprune as pp
from confusions import calibrated, pair_matrix
from psiprune.data.confusion import Confusion
from psiprune.inference import response
from psiprune.inference.response import linear_response
from psiprune.reconstruction.rates import neighbours, refitted


def test_the_linear_response_is_that_of_new_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Assumed rates change alike at all sites, calibrated ones each by itself."""
    monkeypatch.setattr(response, "_RECORDS", 4000)
    monkeypatch.setattr(response, "_DRAWS", 4000)
    monkeypatch.setattr(response, "_SAMPLES", 10_000)
    shots = pp.sample(pp.ground_state(pp.TFIM(sites=4)), 4000, seed=1)
    for error in (few_sites(4), calibrated(few_sites(4), 2000)):
        check_response(shots.with_readout_error(error, 2), hidden=2)


@pytest.mark.slow
@pytest.mark.parametrize(("sites", "field", "hidden"), [(6, 1.0, 3), (8, 1.0, 4), (10, 0.8, 5)])
def test_the_linear_response_at_larger_sizes(sites: int, field: float, hidden: int) -> None:
    shots = pp.sample(pp.ground_state(pp.TFIM(sites=sites, field=field)), 20_000, seed=1)
    joint = pp.ReadoutError.from_rates(0.02, sites=sites)
    pair = Confusion((0, 1), pair_matrix(0.05, 0.1))
    joint = replace(joint, groups=(pair, *joint.groups[2:]))
    for error in (few_sites(sites), calibrated(few_sites(sites), 1000), joint):
        check_response(shots.with_readout_error(error, 2), hidden, 0.35)


def few_sites(sites: int) -> pp.ReadoutError:
    return pp.ReadoutError.from_rates(0.03, 0.06, sites=sites)


def check_response(shots: pp.Shots, hidden: int, infidelity: float = 0.15) -> None:
    """Compare the response of p(v) to eight sets of rates with fits of the records.

    The response is the leading order; rates that change by up to 25 % are beyond it.
    """
    assert shots.readout is not None
    rbm = pp.train(shots, hidden=hidden)
    sets = [shots.readout.resampled(k) for k in range(8)]
    exact = refitted(rbm, shots, sets, 0)
    found = linear_response(rbm, shots, sets, 0, neighbours)
    for a, b, spread in zip(exact, found, (infidelity, 0.15), strict=True):
        assert np.linalg.norm(a - b) < spread * np.linalg.norm(a)
