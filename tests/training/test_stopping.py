"""Training with `folds` ends where held-out shots are likeliest."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
from pydantic import Field

import exact
import psiprune as pp
from machines import random_rbm
from psiprune.data.shots import Shots
from psiprune.io.checkpoint import Checkpoint, Notes
from psiprune.rbm.init import initial_rbm
from psiprune.rbm.model import RBM
from psiprune.training import stopping
from psiprune.training.method import Method
from psiprune.training.stopping import cross_validated, divide
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

    FOLD_STEPS: ClassVar[int] = 1

    biases: tuple[float, ...]
    seen: list[Any] = Field(default_factory=list)

    def init(self, rbm: RBM, shots: Shots, seed: int) -> Any:
        self.seen.append(shots)
        return Visit(0, rbm, False)

    def step(self, state: Any) -> Any:
        biases = np.array([self.biases[state.epoch], 0.0, 0.0])
        done = state.epoch + 1 == len(self.biases)
        return Visit(state.epoch + 1, replace(state.rbm, visible_bias=biases), done), None


class Memory(Checkpoint):
    """Keeps the state after each step with the notes; resumes from those of another one."""

    def __init__(self, other: Memory | None = None, step: int = 0) -> None:
        super().__init__(None, dict)
        self.kept: dict[int, tuple[Any, Notes]] = {}
        self.found = other.kept[step] if other else None

    def resume(self, start: Any, notes: Notes) -> Any:
        if self.found is None:
            return start
        state, noted = self.found
        notes.update(noted)
        return start.restore(state.epoch, state.to_arrays())

    def offer(self, state: Any, notes: Notes) -> None:
        self.kept[state.epoch] = state, dict(notes)


def best_step(
    shots: Shots, method: Method, folds: int, start: RBM = BLANK, checkpoint: Checkpoint = NOWHERE
) -> int:
    """Where the cross-validation of a training from `start` ends it."""
    parts = divide(shots, folds, 0)
    return cross_validated(parts, [start] * folds, method, 0, checkpoint).epochs


def stop(*biases: float, epochs: int = 100) -> int:
    """Where training along these biases ends. 12 of 16 shots have a 1 at site 0: best is log 3."""
    return best_step(Shots(BITS), Along(epochs=epochs, biases=biases), 4)


def test_training_ends_where_held_out_shots_are_likeliest() -> None:
    up = np.log(3.0) + np.array([-1.0, -0.6, -0.3, 0.1, 0.4, 0.8, 1.2])
    assert stop(*up) == 4
    assert stop(*up, epochs=3) == 3
    assert stop(*up, epochs=0) == 0
    assert stop(*up[:2]) == 2
    assert stop(0.0, 1.0, 1.0, 0.0) == 2
    dip = [-0.9] * 4
    assert stop(0.5, *dip, 1.0, *dip, 1.1, *dip) == 11
    assert stop(0.5, *dip, -0.9, 1.0) == 1


def test_every_shot_is_held_out_once() -> None:
    method = Along(epochs=1, biases=(0.0,))
    bits = exact.basis(3)
    best_step(Shots(bits), method, 3)
    indices = [exact.index(each.bits) for each in method.seen]
    counts = np.sum([np.bincount(index, minlength=8) for index in indices], axis=0)
    assert sorted(map(len, method.seen)) == [5, 5, 6]
    assert (counts == 2).all()


def test_the_likelihood_is_a_mean_over_the_shots_of_a_part_and_over_the_parts() -> None:
    memory, biases = Memory(), np.array([0.3, 1.0, 2.0])
    method = Along(epochs=9, biases=tuple(biases))
    best_step(Shots(BITS), method, 3, checkpoint=memory)
    # Of the 12 ones at site 0 each training set lacks those held out.
    share = np.array([(12 - int(each.bits[:, 0].sum())) / (16 - len(each)) for each in method.seen])
    up = 1 / (1 + np.exp(-biases[:, None]))
    of_parts = share * np.log(up) + (1 - share) * np.log(1 - up) - 2 * np.log(2)
    _, notes = memory.kept[3]
    assert list(notes) == [1, 2, 3]
    np.testing.assert_allclose([*notes.values()], of_parts.mean(axis=1)[:, None], rtol=1e-12)


def test_parts_of_misread_shots_are_misread() -> None:
    """At rates of 0.2, 3 of 4 records are 1 where 11 of 12 true bits are: log 11 is best."""
    biases, error = np.log([2.0, 3.0, 6.0, 11.0, 20.0]), pp.ReadoutError.from_rates(0.2, sites=3)
    for readout, best in ((None, 2), (error, 4)):
        method, shots = Along(epochs=100, biases=tuple(biases)), Shots(BITS, readout=readout)
        assert best_step(shots, method, 4) == best
        assert all(each.readout is readout for each in method.seen)


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


def test_a_cross_validation_continues_after_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []
    monkeypatch.setattr(stopping, "count", lambda _, done: steps.append(done))
    monkeypatch.setattr(stopping, "expect", lambda _, change: steps.append(-change))
    method, whole = pp.ExactNaturalGradient(epochs=4), Memory()

    def best(memory: Memory) -> int:
        steps.clear()
        found = best_step(Shots(BITS), method, 2, random_rbm(3, 2), memory)
        assert sum(steps) == 0  # as many are done as expected
        return found

    expected, again = best(whole), Memory(whole, 2)
    assert best(again) == expected
    assert (list(whole.kept), list(again.kept)) == ([1, 2, 3, 4], [3, 4])
    assert again.kept[4][1] == whole.kept[4][1]


@pytest.mark.parametrize(
    ("method", "folds", "facts"),
    [
        ("exact", 1, ("folds", 2, 1)),
        ("exact", 17, ("folds", 16, 17)),
        ("cd", 1, ("folds", 2, 1)),
    ],
)
def test_what_cannot_be_cross_validated_is_refused(
    method: str, folds: int, facts: tuple[object, ...]
) -> None:
    with refuses(*facts):
        pp.train(Shots(BITS), hidden=1, method=method, folds=folds)


def test_chains_are_compared_every_few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    up = np.log(3.0) + np.array([-0.1, -1.0, 0.0, -0.6, -0.1, -0.2, 0.1, 1.0])
    monkeypatch.setattr(Along, "FOLD_STEPS", 2)
    assert stop(*up) == 6
    assert stop(*up, epochs=5) == 5  # the last step counts as well
    monkeypatch.setattr(stopping, "_PATIENCE", 1)
    assert stop(0.5, 0.4, 0.0, 0.0, 0.0, 1.1) == 2


@pytest.mark.parametrize(
    "method",
    [
        pp.NaturalGradient(epochs=15, chains=200, steps=2),
        pp.CD(epochs=30, steps=1),
        pp.PCD(epochs=30, steps=1),
    ],
    ids=lambda method: method.method,
)
@pytest.mark.parametrize("readout", [None, pp.ReadoutError.from_rates(0.1, sites=3)])
def test_a_stopped_training_has_the_learning_rates_of_the_whole_one(
    method: Method, readout: pp.ReadoutError | None
) -> None:
    shots = Shots(BITS, readout=readout)
    after: list[RBM] = []
    pp.train(shots, hidden=2, method=method, callback=lambda state: after.append(state.rbm))
    rbm = pp.train(shots, hidden=2, method=method, folds=2)
    done = rbm.provenance["epochs_done"]
    assert isinstance(done, int)
    assert done % method.FOLD_STEPS == 0
    assert 0 < done <= method.epochs
    assert (rbm.provenance["epochs"], rbm.provenance["folds"]) == (method.epochs, 2)
    np.testing.assert_array_equal(rbm.weights, after[done - 1].weights)


@pytest.mark.parametrize("seconds", [1.0, 0.0], ids=["exact", "annealed"])
def test_likelihoods_above_18_units(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    monkeypatch.setattr(stopping, "_EXACT_SECONDS", seconds)
    monkeypatch.setattr(stopping, "_CHAINS", 200)
    monkeypatch.setattr(stopping, "_TEMPERATURES", 200)
    rbm = random_rbm(20, 19, scale=0.1)
    shots = Shots(rbm.sample_exact(100, seed=0))
    expected = rbm.log_prob(shots).mean()
    found = [stopping.mean_log_likelihood(rbm, shots) for _ in range(2)]
    assert found[0] == found[1]
    assert found[0] == pytest.approx(expected, abs=0.1 if seconds == 0 else 1e-9)
    assert (abs(found[0] - expected) > 1e-7) == (seconds == 0)


def test_starts_count_where_they_are_trained() -> None:
    """A bias of log 3 is best; a training that leaves it ends before its first step."""
    there, biases = replace(BLANK, visible_bias=np.array([np.log(3.0), 0.0, 0.0])), (0.5, 0.6, 0.4)
    parts, method = divide(Shots(BITS), 4, 0), Along(epochs=9, biases=biases)
    for compare_starts, start, epochs, bias in (
        (True, there, 0, np.log(3.0)),
        (False, there, 2, 0.6),
        (True, BLANK, 2, 0.6),
    ):
        memory = Memory()
        found = cross_validated(
            parts, [start] * 4, method, 0, memory, compare_starts=compare_starts
        )
        assert found.epochs == epochs
        assert [rbm.visible_bias[0] for rbm in found.rbms] == [bias] * 4
        assert (0 in memory.kept[1][1]) == compare_starts


def test_the_best_rbms_survive_a_checkpoint() -> None:
    """Those of an earlier step than the last are not in the states of the trainings."""
    method, whole, parts = pp.ExactNaturalGradient(epochs=8), Memory(), divide(Shots(BITS), 2, 0)
    starts = [random_rbm(3, 2)] * 2
    expected = cross_validated(parts, starts, method, 0, whole)
    last = max(whole.kept)
    assert expected.epochs < last
    found = cross_validated(parts, starts, method, 0, Memory(whole, last))
    assert found.epochs == expected.epochs
    for one, other in zip(found.rbms, expected.rbms, strict=True):
        np.testing.assert_array_equal(one.weights, other.weights)
