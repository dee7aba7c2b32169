"""Training with `folds` ends where held-out shots are likeliest."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from pydantic import Field

import exact
import psiprune as pp
from psiprune.data.shots import Shots
from psiprune.io.checkpoint import Checkpoint
from psiprune.rbm.init import initial_rbm
from psiprune.rbm.model import RBM
from psiprune.training.method import Method
from psiprune.training.stopping import cross_validated_epochs
from refusals import refuses

NOWHERE = Checkpoint(None, dict)
BLANK = RBM(np.zeros((1, 3)), np.zeros(3), np.zeros(1))
#: Each state of three sites once, and then those with a 1 at site 0 twice more.
BITS = np.concatenate([exact.basis(3), *[exact.basis(3)[exact.basis(3)[:, 0] == 1]] * 2])


@dataclass(frozen=True)
class Visit:
    """A state of `Along`."""

    epoch: int
    rbm: RBM
    done: bool


class Along(Method):
    """Takes the bias of site 0 through given values, whatever the shots; notes its shots."""

    biases: tuple[float, ...]
    seen: list[Any] = Field(default_factory=list)

    def init(self, rbm: RBM, shots: Shots, seed: int) -> Any:
        self.seen.append(shots.bits)
        return Visit(0, rbm, False)

    def step(self, state: Any) -> Any:
        biases = np.array([self.biases[state.epoch], 0.0, 0.0])
        done = state.epoch + 1 == len(self.biases)
        return Visit(state.epoch + 1, replace(state.rbm, visible_bias=biases), done), None


def stop(*biases: float, epochs: int = 100) -> int:
    """Where training along these biases ends. 12 of 16 shots have a 1 at site 0: best is log 3."""
    method = Along(epochs=epochs, biases=biases)
    return cross_validated_epochs(Shots(BITS), method, lambda _: BLANK, 0, 4, NOWHERE)


def test_training_ends_where_held_out_shots_are_likeliest() -> None:
    up = np.log(3.0) + np.array([-1.0, -0.6, -0.3, 0.1, 0.4, 0.8, 1.2])
    assert stop(*up) == 4
    assert stop(*up, epochs=3) == 3
    assert stop(*up, epochs=0) == 0
    assert stop(*up[:2]) == 2
    dip = [-0.9] * 4
    assert stop(0.5, *dip, 1.0, *dip, 1.1, *dip) == 11
    assert stop(0.5, *dip, -0.9, 1.0) == 1


def test_every_shot_is_held_out_once() -> None:
    method = Along(epochs=1, biases=(0.0,))
    bits = exact.basis(3)
    cross_validated_epochs(Shots(bits), method, lambda _: BLANK, 0, 3, NOWHERE)
    counts = np.sum([np.bincount(exact.index(rows), minlength=8) for rows in method.seen], axis=0)
    assert sorted(map(len, method.seen)) == [5, 5, 6]
    assert (counts == 2).all()


def test_it_brings_few_misread_shots_nearer_to_the_state() -> None:
    truth = initial_rbm(3, 2, seed=5)
    q = exact.rbm_distribution(truth.weights, truth.visible_bias, truth.hidden_bias)
    error = pp.ReadoutError.from_rates(0.1, 0.1, sites=3)
    divergences = []
    for seed in range(4):
        drawn = exact.basis(3)[np.random.default_rng(seed).choice(8, 60, p=q)]
        shots = Shots(drawn).with_readout_error(error, seed)
        for folds in (0, 3):
            rbm = pp.train(shots, hidden=2, seed=seed, initial="local", folds=folds)
            p = exact.rbm_distribution(rbm.weights, rbm.visible_bias, rbm.hidden_bias)
            divergences.append(float(q @ np.log(q / p)))
            assert rbm.provenance.get("folds", 0) == folds
            assert rbm.provenance["converged"] == (folds == 0)
            assert rbm.provenance["epochs"] == pp.ExactNaturalGradient().epochs
    all_steps, fewer = np.reshape(divergences, (4, 2)).mean(axis=0)
    assert fewer < 0.8 * all_steps


def test_no_epochs_train_nothing() -> None:
    method = pp.ExactNaturalGradient(epochs=0)
    rbm, untrained = (pp.train(BITS, hidden=1, method=method, folds=folds) for folds in (2, 0))
    np.testing.assert_array_equal(rbm.weights, untrained.weights)
    assert rbm.provenance == {**untrained.provenance, "folds": 2}


def test_steps_of_the_cross_validation_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []
    expected: list[int] = []
    for module in ("stopping", "train"):
        place = f"psiprune.training.{module}"
        monkeypatch.setattr(f"{place}.count", lambda _, steps=1: done.append(steps))
        monkeypatch.setattr(f"{place}.expect", lambda _, change: expected.append(change))
    method = pp.ExactNaturalGradient(epochs=9)
    rbm = pp.train(BITS, hidden=1, method=method, folds=4, initial="local")
    last = rbm.provenance["epochs_done"]
    assert isinstance(last, int)
    assert sum(done) == 9 + sum(expected) >= 5 * last
    assert (sum(done) - last) % 4 == 0


@pytest.mark.parametrize(
    ("method", "folds", "facts"),
    [
        ("exact", 1, ("folds", 2, 1)),
        ("exact", 17, ("folds", 16, 17)),
        ("cd", 5, ("folds", "'exact'", "'cd'")),
    ],
)
def test_what_cannot_be_cross_validated_is_refused(
    method: str, folds: int, facts: tuple[object, ...]
) -> None:
    with refuses(*facts):
        pp.train(Shots(BITS), hidden=1, method=method, folds=folds)
