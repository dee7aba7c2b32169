"""Shots made of other shots keep their readout errors, and draws of a model are misread alike."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import exact
import psiprune as pp
import tiny
from confusions import dense, with_rates_times
from outcomes import json_of, text_of
from psiprune.data.confusion import Confusion
from psiprune.data.dependence import find_dependence
from psiprune.data.diagnostics import describe_shots
from psiprune.io.run import open_run
from psiprune.pruning.search import _resampled
from psiprune.reconstruction.inputs import resolve_settings, split_shots
from psiprune.reconstruction.models import _replica
from psiprune.reconstruction.pipeline import run_reconstruct
from psiprune.reconstruction.settings import ReconstructSettings
from refusals import refuses

ERROR = pp.ReadoutError.from_rates([0.1, 0.2, 0.05], [0.05, 0.1, 0.2])


def shots_of(number: int) -> pp.Shots:
    """Random shots of three sites."""
    bits = np.random.default_rng(0).integers(0, 2, (number, 3)).astype(np.uint8)
    return pp.Shots(bits, readout=ERROR)


def test_parts_of_a_record() -> None:
    shots = shots_of(30_000)
    split = split_shots(shots, 0.5, 0)
    assert [part.readout for part in split[:3]] == [ERROR] * 3
    assert _resampled(shots, 1).readout is ERROR


def test_a_record_repeated_as_a_whole() -> None:
    bits = np.tile(shots_of(500).bits, (2, 1))
    shots = pp.Shots(bits, readout=ERROR)
    assert describe_shots(shots).repetition is not None
    assert find_dependence(shots).blocks == find_dependence(pp.Shots(bits)).blocks


def test_replicas_are_misread_like_the_training_set() -> None:
    training = shots_of(20_000)
    rbm = pp.RBM(np.zeros((1, 3)), np.full(3, -30.0), np.zeros(1))  # all zeros
    run: Any = SimpleNamespace(split=SimpleNamespace(training=training), independent=len)
    replica = _replica(run, rbm, seed=3)
    assert replica.readout is ERROR
    np.testing.assert_allclose(replica.bits.mean(axis=0), ERROR.rates[:, 0], atol=0.02)
    run.split.training = pp.Shots(training.bits)
    plain = _replica(run, rbm, seed=3)
    assert plain.readout is None
    assert not plain.bits.any()


def test_a_run_belongs_to_its_errors(tmp_path: Path) -> None:
    shots = shots_of(1000)
    settings = ReconstructSettings()
    every = (
        shots,
        pp.Shots(shots.bits),
        pp.Shots(shots.bits, readout=with_rates_times(0.5, ERROR)),
        pp.Shots(shots.bits, source="other", readout=ERROR),
    )
    resolved = [resolve_settings(settings, each) for each in every]
    assert len({each.shots_sha256 for each in resolved}) == 1
    assert len({each.readout_sha256 for each in resolved}) == 3
    assert [each.readout for each in resolved] == [True, False, True, True]
    assert resolve_settings(resolved[0], every[3]) == resolved[0]
    for other, found in ((every[1], "no readout errors"), (every[2], "readout errors ")):
        with refuses("array", found, "readout_sha256", str(resolved[0].readout_sha256)[:12]):
            resolve_settings(resolved[0], other)
    with open_run(tmp_path, resolved[0]):
        pass
    with refuses(tmp_path / "config.toml", "other readout errors", "readout_sha256"):
        run_reconstruct(settings, every[2], tmp_path)


def test_the_estimator_of_scikit_learn() -> None:
    pytest.importorskip("sklearn")
    from psiprune.sklearn import RBMDensity

    shots = shots_of(200)
    estimator = RBMDensity(2, method=pp.ExactNaturalGradient(epochs=2), random_state=0)
    assert estimator._shots(shots, reset=True).readout is ERROR
    estimator.fit(shots.bits)
    rbm = estimator.rbm_
    p = exact.rbm_distribution(rbm.weights, rbm.visible_bias, rbm.hidden_bias)
    recorded = np.log(dense(ERROR) @ p)[exact.index(shots.bits)]
    np.testing.assert_allclose(estimator.score_samples(shots), recorded, atol=1e-9)
    assert estimator.score(shots) == estimator.score_samples(shots).mean()
    true = np.log(p)[exact.index(shots.bits)]
    np.testing.assert_allclose(estimator.score_samples(shots.bits), true, atol=1e-9)
    estimator.fit(shots)
    with pytest.warns(UserWarning, match="trained through readout errors, but the shots"):
        estimator.score(shots.bits)


def test_info_names_groups_and_measured_errors(stages: Path, tmp_path: Path) -> None:
    matrix = np.kron([[0.9, 0.1], [0.1, 0.9]], [[0.9, 0.1], [0.2, 0.8]])
    single = np.array([[0.99, 0.01], [0.02, 0.98]])
    error = pp.ReadoutError(
        (
            Confusion((0, 2), np.asarray(matrix), np.full(4, 100)),
            Confusion((1,), single, np.array([100, 100])),
            Confusion((3,), single, np.array([100, 100])),
        ),
        "calibration shots",
    )
    file = tmp_path / "a.nc"
    pp.Shots(pp.read_shots(stages / "shots.nc").bits, readout=error).save(file)
    text = text_of(tiny.call("info", file))
    assert "calibration shots (measured, standard errors up to 0.0" in text
    assert "sites 0-2; rates are averages" in text
    found = json_of(tiny.call("info", file, "--json"))["readout"]
    assert found["groups"] == [[0, 2]]
    assert found["measured"] is True
    np.testing.assert_allclose(found["rate_errors"], error.rate_errors)
    one = pp.Shots(np.array([[0], [1]], np.uint8), readout=pp.ReadoutError.from_rates(0.1, sites=1))
    assert "C of a pair" not in text_of(tiny.call("info", one.save(tmp_path / "one.nc")))
