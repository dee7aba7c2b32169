"""Linear response of RBMs to readout error rates against new fits of the records."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

import psiprune as pp
from confusions import calibrated, pair_matrix
from machines import random_rbm
from psiprune.data.confusion import Confusion
from psiprune.inference import response
from psiprune.inference.response import _changes, _gradient, linear_response, response_draws
from psiprune.rbm.likelihood import Moments, flatten
from psiprune.reconstruction.rates import neighbours, refitted


def test_the_linear_response_is_that_of_new_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Assumed rates change alike at all sites, calibrated ones each by itself."""
    monkeypatch.setattr(response, "_RECORDS", 4000)
    monkeypatch.setattr(response, "_DRAWS", 4000)
    monkeypatch.setattr(response, "_SAMPLES", 10_000)
    shots = pp.sample(pp.ground_state(pp.TFIM(sites=4)), 4000, seed=1)
    for error in (few_sites(4), calibrated(few_sites(4), 2000)):
        check_response(shots.with_readout_error(error, 2), hidden=2)


def test_covariances_of_scores_with_changed_rates_written_out() -> None:
    """With a pair whose matrix has a 0, read in another order than that of the sites."""
    rng, rbm = np.random.default_rng(0), random_rbm(3, 2)
    pair = np.array([[0.9, 0.1, 0, 0], [0, 1, 0, 0], [0.1, 0, 0.8, 0.1], [0.1, 0.1, 0.1, 0.7]])
    single = np.array([[0.95, 0.05], [0.1, 0.9]])

    def errors(a: NDArray[np.float64], b: NDArray[np.float64]) -> pp.ReadoutError:
        return pp.ReadoutError((Confusion((2, 0), a), Confusion((1,), b)))

    given = errors(pair, single)
    others = [errors(0.5 * (pair + np.eye(4)), single), errors(pair, 0.5 * (single + np.eye(2)))]
    records, bits = rng.integers(0, 2, (5, 3)), rng.integers(0, 2, (4, 5, 3))
    u, scores = np.zeros((2, 4, 5)), np.zeros((4, 5, rbm.number_of_parameters))
    for r, y in np.ndindex(4, 5):
        v, w = bits[r, y], records[y]
        s = 1 / (1 + np.exp(-rbm.weights @ v - rbm.hidden_bias))
        scores[r, y] = flatten(rbm.mask, Moments(np.outer(s, v), v.astype(float), s))
        for k, other in enumerate(others):
            for new, old in zip(other.groups, given.groups, strict=True):
                true, read = (sum(int(x[i]) << m for m, i in enumerate(old.sites)) for x in (v, w))
                c = old.matrix[true, read]
                u[k, r, y] += (new.matrix[true, read] - c) / c if c > 0 else 0.0
    u -= u.mean(axis=1, keepdims=True)
    found = _changes(given, others, records.astype(np.uint8), bits.astype(np.uint8))
    np.testing.assert_allclose(found, u, atol=1e-12)
    for k in range(2):
        expected = np.einsum("ry,ryp->p", u[k], scores) / (3 * 5)  # of each record, 4 draws
        gradient = _gradient(rbm, bits.astype(np.uint8), u[k])
        np.testing.assert_allclose(gradient, expected, atol=1e-12)


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


def test_a_fisher_matrix_has_eight_draws_for_each_parameter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(response, "_DRAWS", 100)
    assert (response_draws(12), response_draws(13)) == (100, 104)
