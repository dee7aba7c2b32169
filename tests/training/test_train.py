"""Training learns, repeats itself to the bit, can be taken up again, and refuses bad input."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray

import exact
from psiprune.core.exceptions import DivergenceError, InputError
from psiprune.data.shots import Shots
from psiprune.io.checkpoint import Checkpoints
from psiprune.kernels import layout
from psiprune.rbm.init import coded_rbm, initial_rbm, local_rbm
from psiprune.rbm.model import RBM
from psiprune.training.cd import CD
from psiprune.training.contrastive_divergence import ContrastiveDivergence, ContrastiveState
from psiprune.training.exact_natural_gradient import ExactNaturalGradient
from psiprune.training.method import Initial
from psiprune.training.pcd import PCD
from psiprune.training.train import TrainingProgress, _likelier, fit, train
from refusals import refuses

METHODS: list[ContrastiveDivergence] = [
    CD(epochs=6),
    PCD(epochs=6, steps=1),
    CD(epochs=6, momentum=0.5, weight_decay=1e-3),
    PCD(epochs=6, steps=1, momentum=0.5, batch_size=70),
]


def epochs_of(method: ContrastiveDivergence, state: ContrastiveState) -> Iterator[ContrastiveState]:
    """The states after `state`, up to the last epoch."""
    while state.epoch < method.epochs:
        state, _ = method.step(state)
        yield state


def same(a: RBM, b: RBM) -> bool:
    names = ("weights", "visible_bias", "hidden_bias", "mask")
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in names)


def distribution(rbm: RBM) -> NDArray[np.float64]:
    return exact.rbm_distribution(rbm.weights, rbm.visible_bias, rbm.hidden_bias)


def divergence(q: NDArray[np.float64], p: NDArray[np.float64]) -> float:
    there = q > 0
    return float((q[there] * np.log(q[there] / p[there])).sum())


def draw(probability: NDArray[np.float64], shots: int, seed: int) -> NDArray[np.uint8]:
    states = np.random.default_rng(seed).choice(len(probability), shots, p=probability)
    return exact.basis(len(probability).bit_length() - 1)[states]


def some_bits(sites: int = 6, shots: int = 330) -> NDArray[np.uint8]:
    # Site 1 repeats site 0, so there is something to learn.
    bits = np.random.default_rng(0).integers(0, 2, (shots, sites), dtype=np.uint8)
    bits[:, 1] = bits[:, 0]
    return bits


# --- learning --------------------------------------------------------------------------------

PRODUCT = np.einsum("a,b,c->abc", [0.3, 0.7], [0.6, 0.4], [0.9, 0.1]).reshape(-1)
KNOWN = exact.rbm_distribution(
    np.array([[2.0, -1.5, 1.0], [-1.0, 1.0, 2.0]]),
    np.array([0.3, -0.2, -1.0]),
    np.array([-0.5, 0.2]),
)


@pytest.mark.parametrize("probability", [PRODUCT, KNOWN], ids=["product", "known"])
@pytest.mark.parametrize("kind", [CD, PCD])
def test_three_bits_are_learnt(
    probability: NDArray[np.float64], kind: type[ContrastiveDivergence]
) -> None:
    shots = 20_000
    bits = draw(probability, shots, seed=1)
    rbm = train(bits, hidden=2, seed=1, method=kind(epochs=120, steps=10))
    # At the maximum of the likelihood 2 shots KL(true || model) is chi-squared with at most 2^3 - 1
    # degrees of freedom. The noise of the last steps adds about rate / (4 batch) a parameter.
    noise = 0.001 * rbm.number_of_parameters / (4 * 100)
    bound = scipy.stats.chi2.isf(1e-4, 7) / (2 * shots) + noise
    assert divergence(probability, distribution(rbm)) < bound
    untrained = train(bits, hidden=2, seed=1, method=CD(epochs=0))
    assert divergence(probability, distribution(untrained)) > 10 * bound
    # A model of independent bits must not pass for the known distribution.
    if probability is KNOWN:
        means = probability @ exact.basis(3)
        apart = np.prod(np.where(exact.basis(3) == 1, means, 1 - means), axis=1)
        assert divergence(probability, apart) > 10 * bound


# --- the same numbers ------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_seeds_reproduce_bits(method: ContrastiveDivergence) -> None:
    bits = some_bits()
    one = train(bits, hidden=3, seed=5, method=method)
    assert same(one, train(bits, hidden=3, seed=5, method=method))
    other = train(bits, hidden=3, seed=6, method=method)
    assert (one.weights != other.weights).all()
    # Also from the same start, as the seed is not that of the initial weights alone.
    start = initial_rbm(6, 3, 0)
    from_start = [train(bits, start=start, seed=s, method=method) for s in (5, 6)]
    assert (from_start[0].weights != from_start[1].weights).any()


@pytest.mark.parametrize("method", METHODS, ids=str)
@pytest.mark.parametrize("done", [1, 4, 6])
def test_a_run_taken_up_again_ends_with_the_same_bits(
    method: ContrastiveDivergence, done: int
) -> None:
    start = method.init(initial_rbm(6, 3, 0), Shots(some_bits()), 5)
    unbroken = list(epochs_of(method, start))
    assert [state.epoch for state in unbroken] == [1, 2, 3, 4, 5, 6]
    stored = unbroken[done - 1]
    again = list(epochs_of(method, start.restore(stored.epoch, stored.to_arrays())))
    assert [state.epoch for state in again] == list(range(done + 1, 7))
    for one, other in zip(unbroken[done:], again, strict=True):
        assert same(one.rbm, other.rbm)
        for a, b in zip((*one.velocity, one.chains), (*other.velocity, other.chains), strict=True):
            np.testing.assert_array_equal(a, b)
    if done == 1:  # what a state holds is needed: without a part of it the end is another
        parts = unbroken[0]
        zeros = layout.Parameters(*(np.zeros_like(values) for values in parts.velocity))
        for changed in (
            replace(parts, velocity=zeros),
            replace(parts, chains=np.zeros_like(parts.chains)),
            replace(parts, epoch=2),
        ):
            *_, end = epochs_of(method, changed)
            unused = (method.momentum == 0 and changed.velocity is zeros) or (
                method.method == "cd" and changed.chains is not parts.chains
            )
            assert same(end.rbm, unbroken[-1].rbm) == unused


def test_train_is_the_loop_over_epochs() -> None:
    bits, chosen = some_bits(), PCD(epochs=3, batch_size=60)
    start = initial_rbm(6, 3, 9)
    seen: list[TrainingProgress] = []
    found = train(bits, hidden=3, seed=9, callback=seen.append, method=chosen)
    *_, last = epochs_of(chosen, chosen.init(start, Shots(bits), 9))
    assert same(found, last.rbm)
    assert [state.epoch for state in seen] == [1, 2, 3]
    assert same(seen[-1].rbm, found)
    assert same(train(Shots(bits), start=start, seed=9, method=chosen), found)


class Watch:
    """A callback that notes each epoch, and interrupts the training in one of them."""

    def __init__(self, stop: int = -1) -> None:
        self.stop, self.seen, self.notes = stop, list[int](), dict[int, tuple[float, ...]]()

    def __call__(self, state: TrainingProgress) -> None:
        self.seen.append(state.epoch)
        self.notes[state.epoch] = (state.rbm.weights[0, 0],)
        if state.epoch == self.stop:
            raise KeyboardInterrupt


@pytest.fixture
def bar(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What the progress bar expects, less what is counted, step by step."""
    steps: list[int] = []

    def opened(total: int, _: str, *, progress: bool) -> AbstractContextManager[None]:
        assert progress
        steps.append(total)
        return nullcontext()

    monkeypatch.setattr("psiprune.training.train.progress_bar", opened)
    monkeypatch.setattr("psiprune.training.train.expect", lambda _, change: steps.append(change))
    monkeypatch.setattr("psiprune.training.train.count", lambda _: steps.append(-1))
    return steps


def test_a_resumed_training_calls_back_and_expects_what_is_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bar: list[int]
) -> None:
    monkeypatch.setattr("psiprune.io.checkpoint.SECONDS", 0.0)
    first, second, unbroken = Watch(stop=4), Watch(), Watch()

    def run(callback: Watch, name: str) -> RBM:
        with Checkpoints(tmp_path / name) as checkpoints:
            given: dict[str, Any] = {"callback": callback, "checkpoints": checkpoints}
            return train(some_bits(), hidden=3, seed=1, method=METHODS[3], **given)

    with pytest.raises(KeyboardInterrupt):
        run(first, "rbm.nc")
    bar.clear()
    found = run(second, "rbm.nc")
    assert sum(bar) == 0
    assert second.seen == [3, 4, 5, 6]
    assert same(found, run(unbroken, "other.nc"))
    assert second.notes == unbroken.notes


@pytest.mark.parametrize("misses", [True, False])
def test_a_bar_ends_full_however_many_starts_converge(
    monkeypatch: pytest.MonkeyPatch, bar: list[int], misses: bool
) -> None:
    monkeypatch.setattr("psiprune.training.train.misses_structure", lambda *_: misses)
    train(some_bits(), hidden=1, method=ExactNaturalGradient(epochs=90))
    assert sum(bar) == 0
    assert bar.count(90) == (3 if misses else 1)


def test_states_do_not_change() -> None:
    chosen = PCD(epochs=3)
    start = chosen.init(initial_rbm(6, 3, 0), Shots(some_bits()), 5)
    before = [array.copy() for array in (*start.params, *start.velocity, start.chains)]
    list(epochs_of(chosen, start))
    for was, array in zip(before, (*start.params, *start.velocity, start.chains), strict=True):
        np.testing.assert_array_equal(array, was)


def test_no_epochs_return_the_start() -> None:
    start = initial_rbm(6, 3, 0, np.random.default_rng(0).random((3, 6)) < 0.5)
    found = train(some_bits(), start=start, method=CD(epochs=0))
    np.testing.assert_array_equal(found.mask, start.mask)
    for name in ("weights", "visible_bias", "hidden_bias"):
        np.testing.assert_allclose(getattr(found, name), getattr(start, name), rtol=1e-7)


@pytest.mark.parametrize("misses", [True, False])
@pytest.mark.parametrize("starts", [("random", "local"), ("local", "random")])
def test_a_second_start_is_kept_if_the_first_misses_structure_and_it_is_likelier(
    monkeypatch: pytest.MonkeyPatch, misses: bool, starts: tuple[Initial, ...]
) -> None:
    bits = (np.random.default_rng(0).random((200, 3)) < 0.8).astype(np.uint8)
    rate, none = bits.mean(axis=0), np.zeros((1, 3))
    # A large hidden bias makes every p~(v) larger and no p(v).
    rbms = {
        "random": RBM(none, np.log(rate / (1 - rate)), np.zeros(1)),
        "local": RBM(none, np.zeros(3), np.full(1, 50.0)),
    }
    monkeypatch.setattr("psiprune.training.train.new_rbm", lambda *_, initial, **__: rbms[initial])
    monkeypatch.setattr("psiprune.training.train.misses_structure", lambda *_: misses)
    found = train(bits, hidden=1, method=CD(epochs=0), initial=starts)
    assert same(found, rbms["random" if misses else starts[0]])


def test_as_many_hidden_units_as_sites_where_half_miss_structure() -> None:
    """Shots of two particles on four sites, which two hidden units cannot describe."""
    half = np.flatnonzero(np.bitwise_count(np.arange(16)) == 2)
    shots = np.repeat(((half[:, None] >> np.arange(4)) & 1).astype(np.uint8), 100, axis=0)
    method = ExactNaturalGradient(epochs=60)
    assert train(shots, method=method, progress=False).hidden == 4
    assert train(some_bits(), method=method, progress=False).hidden == 3


def test_the_first_of_equally_likely_starts_is_kept() -> None:
    one, other = initial_rbm(6, 3, 0), initial_rbm(6, 3, 0)
    assert _likelier(one, other, Shots(some_bits())) is one


@pytest.mark.parametrize("problems", [[], ["one", "another"]])
@pytest.mark.parametrize("epochs", [0, 1])
def test_problems_are_warned_of_and_recorded(
    monkeypatch: pytest.MonkeyPatch, problems: list[str], epochs: int
) -> None:
    monkeypatch.setattr("psiprune.training.train.training_problems", lambda *_: problems)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = train(some_bits(), method=CD(epochs=epochs))
    expected = problems if epochs else []
    assert [str(each.message) for each in caught] == expected
    assert found.provenance.get("training_warnings", "") == "\n".join(expected)
    assert ("training_warnings" in found.provenance) == bool(expected)
    assert ("epochs_done" in found.provenance) == (epochs > 0)


@pytest.mark.parametrize("initial", ["random", "local", "coded"])
def test_initial_weights_are_those_of_seed_and_mask(initial: Initial) -> None:
    mask, shots = np.random.default_rng(1).random((3, 6)) < 0.5, Shots(some_bits())
    found = train(shots, hidden=3, seed=4, mask=mask, method=CD(epochs=0), initial=initial)
    expected = {
        "random": initial_rbm(6, 3, 4, mask),
        "local": local_rbm(shots, 3, 4, mask),
        "coded": coded_rbm(shots, 3, 4, mask),
    }
    assert same(found, expected[initial])


def test_defaults() -> None:
    assert train(some_bits(7), method=CD(epochs=0)).hidden == 3
    assert train([[0], [1]], method=CD(epochs=1)).hidden == 1
    found = train(some_bits(), seed=3, method=CD(epochs=2, momentum=0.25))
    assert found.provenance["training_shots"] == 330
    assert found.provenance["seed"] == 3
    assert found.provenance["epochs"] == 2
    assert found.provenance["momentum"] == 0.25
    assert found.provenance["method"] == "cd"
    tuned = train(some_bits(), method=CD.for_fine_tuning(epochs=1, steps=2))
    assert (tuned.provenance["learning_rate"], tuned.provenance["steps"]) == (0.02, 2)


# --- masks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_pruned_weights_stay_exactly_0(method: ContrastiveDivergence) -> None:
    mask = np.random.default_rng(1).random((3, 6)) < 0.5
    mask[2] = False  # a hidden unit without weights
    states: list[TrainingProgress] = []
    found = train(some_bits(), mask=mask, hidden=3, callback=states.append, method=method)
    for rbm in (found, *(state.rbm for state in states)):
        np.testing.assert_array_equal(rbm.mask, mask)
        assert (rbm.weights[~mask] == 0).all()
        assert (rbm.weights[mask] != 0).all()
    # A mask given with a start prunes it first.
    dense = train(some_bits(), hidden=3, method=CD(epochs=1))
    later = train(some_bits(), start=dense, mask=mask, method=CD(epochs=2))
    assert (later.weights[~mask] == 0).all()


def test_a_mask_without_weights_leaves_the_biases_to_learn() -> None:
    bits = draw(PRODUCT, 20_000, seed=2)
    rbm = train(bits, hidden=2, mask=np.zeros((2, 3), bool), method=CD(epochs=60))
    # Then p is a product, with three parameters.
    noise = 0.001 * 3 / (4 * 100)
    bound = scipy.stats.chi2.isf(1e-4, 3) / (2 * len(bits)) + noise
    assert divergence(PRODUCT, distribution(rbm)) < bound
    assert (rbm.weights == 0).all()


# --- what goes wrong -------------------------------------------------------------------------


def test_divergence_is_told() -> None:
    # The gradient is at most 1, but a decay of 10 times the weight a step grows without bound.
    with pytest.raises(DivergenceError) as caught:
        train(some_bits(), hidden=3, method=CD(epochs=50, learning_rate=11, weight_decay=1))
    message = str(caught.value)
    assert "diverged in epoch" in message
    assert "learning_rate = 11.0" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("arguments", "begins"),
    [
        ({"hidden": 0}, "hidden: must be an integer of at least 1, found 0"),
        ({"hidden": -1}, "hidden: must be an integer of at least 1, found -1"),
        ({"hidden": 1.5}, "hidden: must be an integer of at least 1, found 1.5"),
        ({"hidden": True}, "hidden: must be an integer of at least 1, found True"),
        ({"method": {"method": "cd", "epochs": -1}}, "epochs: "),
        ({"method": {"method": "cd", "epochs": 1.5}}, "epochs: "),
        ({"method": {"method": "cd", "steps": "2"}}, "steps: "),
        ({"method": {"method": "cd", "momentum": True}}, "momentum: "),
        ({"method": "sgd"}, "method: "),
        ({"method": {"method": "cd", "learning_rat": 0.1}}, "learning_rat: "),
        ({"initial": "zeros"}, "initial: must be random, local or coded, found 'zeros'"),
        ({"initial": "local", "start": initial_rbm(6, 3, 0)}, "initial: "),
        ({"seed": -1}, "seed: "),
        ({"seed": 0.5}, "seed: "),
        ({"mask": np.ones((2, 6), bool)}, "mask: shape must be (3, 6)"),
        ({"mask": np.ones((3, 6))}, "mask: must be an array of bool"),
        ({"start": initial_rbm(6, 4, 0), "hidden": 3}, "hidden: must be omitted or 4"),
        ({"start": initial_rbm(6, 4, 0), "hidden": 0}, "hidden: must be omitted or 4"),
        ({"start": initial_rbm(5, 3, 0)}, "array: has 6 sites (columns), but the RBM has 5"),
        ({"start": initial_rbm(6, 3, 0), "mask": np.ones((3, 5), bool)}, "mask: shape"),
    ],
    ids=str,
)
def test_bad_arguments(arguments: dict[str, Any], begins: str) -> None:
    with pytest.raises(InputError) as caught:
        train(some_bits(), **{"method": CD(epochs=1), **arguments})
    assert str(caught.value).startswith(begins)
    assert "\n" not in str(caught.value)
    with refuses("array", "6 sites", 5):
        fit(initial_rbm(5, 3, 0), Shots(some_bits()), CD(epochs=1), 0)


@pytest.mark.parametrize(
    "bits", [[], [[]], [0, 1], [[0, 2]], [[0, -1]], [[0, np.nan]], [[0, 1], [1]], [["a"]]], ids=str
)
def test_bad_shots(bits: Any) -> None:
    with pytest.raises(InputError) as caught:
        train(bits, method=CD(epochs=1))
    assert "\n" not in str(caught.value)


def test_several_initial_weights_need_an_exact_likelihood_to_compare_them() -> None:
    bits = np.random.default_rng(0).integers(0, 2, (50, 20), dtype=np.uint8)
    method = CD(epochs=1)
    with refuses("initial", 18, 20, 19):
        train(bits, hidden=19, method=method, initial=("local", "random"))
    assert train(bits, hidden=19, method=method, initial=("local",)).hidden == 19
