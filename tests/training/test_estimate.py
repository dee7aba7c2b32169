"""Estimates of time and memory before a training: the probe, the limits, the advice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import psiprune as pp
import tiny
from psiprune.core.exceptions import InputError
from psiprune.reconstruction.cost import bytes_needed, work_left
from psiprune.reconstruction.settings import ReconstructSettings
from psiprune.training import limits
from psiprune.training.estimate import (
    Size,
    Speed,
    _affordable,
    probe,
    step_seconds,
    training_bytes,
    training_needs,
    training_seconds,
)
from psiprune.training.limits import (
    OPTIONS,
    PYTHON,
    Advice,
    Needs,
    advise,
    check_needs,
    few_shots,
)
from psiprune.training.method import Method

METHODS: list[Method] = [
    *(pp.CD(epochs=3), pp.PCD(epochs=3)),
    *(pp.NaturalGradient(epochs=3, chains=50, steps=1), pp.ExactNaturalGradient()),
]
SHOTS = pp.Shots(np.random.default_rng(0).integers(0, 2, (600, 6), dtype=np.uint8), source="x")


def ticking(seconds: float) -> Iterator[float]:
    return iter(np.arange(100) * seconds)


def clock_of(elapsed: float, processor: float) -> Callable[[], tuple[float, float]]:
    one, other = ticking(elapsed), ticking(processor)
    return lambda: (next(one), next(other))


@pytest.mark.parametrize("method", METHODS, ids=lambda each: each.method)
def test_a_slower_machine_takes_longer_in_proportion(method: Method) -> None:
    slow, fast = (probe(method, SHOTS, 3, 1e9, clock_of(k, k / 2)) for k in (10.0, 1.0))
    assert slow.elapsed == pytest.approx(10 * fast.elapsed)
    assert slow.processor == pytest.approx(slow.elapsed / 2)
    taken = (training_needs(method, SHOTS, 3, now=clock_of(k, k)).seconds for k in (10.0, 1.0))
    assert next(taken) == pytest.approx(10 * next(taken))


CD, NATURAL, EXACT = pp.CD(steps=9), pp.NaturalGradient(chains=1000), pp.ExactNaturalGradient()
LONG = pp.NaturalGradient(chains=10**6, steps=10**5)


@pytest.mark.parametrize(
    ("method", "size", "larger_method", "larger", "factor"),
    [
        # CD: shots * (steps + 1) * weights.
        (CD, (100, 50, 10**6), CD, (100, 50, 2 * 10**6), 2),
        (CD, (100, 50, 10**6), CD, (100, 100, 10**6), 2),
        (CD, (100, 50, 10**6), pp.CD(steps=19), (100, 50, 10**6), 2),
        # Natural gradient: chains * steps * weights, or the cube of the parameters.
        (LONG, (50, 20, 10), LONG, (50, 40, 10), 2),
        (LONG, (50, 20, 10), LONG.model_copy(update={"steps": 2 * 10**5}), (50, 20, 10), 2),
        (LONG, (50, 20, 10), LONG.model_copy(update={"chains": 2 * 10**6}), (50, 20, 10), 2),
        (NATURAL, (400, 200, 10), NATURAL, (800, 400, 10), 64),
        # Sums over all states: 2^units * units of the larger layer, or the cube of the parameters.
        (EXACT, (18, 17, 10), EXACT, (18, 18, 10), 2),
        (EXACT, (20, 18, 10), EXACT, (40, 18, 10), 2),
        (EXACT, (18, 20, 10), EXACT, (18, 40, 10), 2),
        (EXACT, (1000, 10, 10), EXACT, (2000, 10, 10), 8),
    ],
)
def test_time_follows_from_the_sizes(
    method: Method,
    size: tuple[int, int, int],
    larger_method: Method,
    larger: tuple[int, int, int],
    factor: float,
) -> None:
    one = step_seconds(method, Size.dense(*size))
    assert step_seconds(larger_method, Size.dense(*larger)) == pytest.approx(factor * one, rel=0.15)


def test_estimates_exist_beyond_the_range_of_floats() -> None:
    # 2^1100 states, of which 50 were measured; a layer of 1,100 units beside another one.
    assert training_bytes(EXACT, Size.dense(1100, 2, 50)) < 1e9
    assert bytes_needed(ReconstructSettings(hidden=(2,)), 1100, 50) < 1e10
    settings = ReconstructSettings(hidden=(1100,), train={"method": "pcd"})  # type: ignore[arg-type]
    assert 0 < work_left(settings, 1100, 50, None).nominal < np.inf


def test_time_follows_from_the_number_of_steps() -> None:
    size = Size.dense(400, 200, 1000)

    def seconds(method: Method, epochs: int) -> float:
        return training_seconds(method.model_copy(update={"epochs": epochs}), size)

    assert seconds(CD, 6) == pytest.approx(3 * seconds(CD, 2))
    # Training that converges ends early; a Fisher matrix serves for eight steps, but the first.
    small = Size.dense(18, 9, 1000)
    assert training_seconds(EXACT, small) == pytest.approx(70 * step_seconds(EXACT, small))
    assert seconds(NATURAL, 17) == pytest.approx(3 * seconds(NATURAL, 1), rel=0.01)
    assert seconds(NATURAL, 0) == 0


def test_memory_is_that_of_the_large_arrays() -> None:
    size = Size.dense(400, 200, 1000)
    matrix = 8 * size.parameters**2
    assert training_bytes(NATURAL, size) == pytest.approx(2 * matrix, rel=0.01)  # F and its factor
    wide = Size.dense(1000, 10, 10)
    assert training_bytes(EXACT, wide) == pytest.approx(24 * wide.parameters**2, rel=0.02)
    assert training_bytes(CD, size) == 40 * size.weights + 1000 * 400 / 8  # packed shots
    # The shots themselves are in memory besides; a mask saves time.
    dense, sparse = (
        training_needs(EXACT, SHOTS, 3, weights, clock_of(1, 1)) for weights in (None, 9)
    )
    assert dense.memory - training_bytes(EXACT, Size.dense(6, 3, 600)) == SHOTS.bits.nbytes
    assert sparse.seconds < dense.seconds


@pytest.mark.parametrize("method", METHODS, ids=lambda each: each.method)
@pytest.mark.parametrize("sizes", [(300, 1000, 10**6), (1000, 18, 10**4), (4, 2, 300)])
def test_a_probe_is_short_at_any_size(method: Method, sizes: tuple[int, int, int]) -> None:
    size = Size.dense(*sizes)
    found = _affordable(method, size, 1e9)
    assert all(a <= b for a, b in zip(found, size, strict=True))
    assert 2 * step_seconds(method, found, first=True) < 0.6 or max(found[:2]) <= 4
    tight = _affordable(method, size, 1e-3)  # of a training of a millisecond: the least
    assert step_seconds(method, tight) <= step_seconds(method, found)


def test_nothing_is_probed_where_nothing_is_trained() -> None:
    assert probe(pp.CD(epochs=0), SHOTS, 3, 1.0) == Speed()


def test_a_probe_leaves_no_trace() -> None:
    before = np.random.get_state()[1].copy()  # type: ignore[index] # noqa: NPY002
    method, bits = pp.NaturalGradient(epochs=2, chains=50), SHOTS.bits.copy()
    alone = pp.train(SHOTS, hidden=3, method=method, seed=1)
    probe(method, SHOTS, 3, 1e9)
    again = pp.train(SHOTS, hidden=3, method=method, seed=1)
    np.testing.assert_array_equal(alone.weights, again.weights)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # type: ignore[index] # noqa: NPY002
    np.testing.assert_array_equal(bits, SHOTS.bits)


def test_too_many_weights_are_refused_as_in_training() -> None:
    with pytest.raises(InputError, match=r"^hidden: 999999999 units"):
        training_needs(pp.CD(), SHOTS, 999_999_999)


def needs_of(hidden: int) -> Needs:
    if hidden == 60:
        raise InputError("hidden: too large for the method")
    return Needs(60.0 * hidden, 1e6 * hidden)


def test_the_advice_is_the_largest_size_that_fits_with_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "free_memory", lambda: 10**12)
    assert advise(needs_of, 1000, 3600) == Advice(30, 1800)
    assert advise(needs_of, 25, 3600) == Advice(20, 1200)
    assert advise(needs_of, 1000, 120 * 60) == Advice(50, 3000)  # 60 is impossible
    assert advise(needs_of, 1000, 60) is None
    monkeypatch.setattr(limits, "free_memory", lambda: 10 * 10**6)
    assert advise(needs_of, 1000, 3600) == Advice(5, 300)


def test_the_message_says_what_was_estimated_and_what_fits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "free_memory", lambda: 8 * 10**9)
    check_needs("train", Needs(3600, 8e9), 3600, None, OPTIONS)
    with pytest.raises(InputError) as slow:
        check_needs("train", Needs(5 * 3600, 1e6), 3600, Advice(50, 1200), OPTIONS)
    assert str(slow.value) == (
        "train: estimated 5 h on this machine, the limit is 1 h; --hidden 50 takes about 20 min; "
        "--yes runs it regardless, --max-time 8h raises the limit"
    )
    with pytest.raises(InputError, match="--max-time 3d raises the limit"):  # 60 hours and one
        check_needs("train", Needs(40 * 3600, 1e6), 3600, None, OPTIONS)
    with pytest.raises(InputError) as large:
        check_needs("train", Needs(60, 34e9), 3600, None, PYTHON)
    assert str(large.value) == (
        "train: estimated 34 GB of memory, 8 GB are free; no smaller number of hidden units fits, "
        "so give fewer shots or epochs; max_time=None runs it regardless"
    )


def test_more_parameters_than_shots() -> None:
    assert few_shots(100, 100) == ""
    assert "101 parameters are more than 100 training shots" in few_shots(101, 100)


# ---- psiprune train


@pytest.fixture
def slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which a nominal second takes hours."""
    for name in ("psiprune.training.estimate.probe", "psiprune.reconstruction.estimate.probe"):
        monkeypatch.setattr(name, lambda *_: Speed(1e6, 1e6))


def test_train_names_method_and_sizes_first(tmp_path: Path) -> None:
    shots = SHOTS.save(f"{tmp_path}/shots.nc")
    command = ("train", shots, "--hidden=2", "--method=pcd", "--epochs=2")
    outcome = tiny.call(*command, "--out", f"{tmp_path}/rbm.nc")
    first = outcome.err.splitlines()[0]
    assert first.startswith("psiprune: note: pcd (contrastive divergence with persistent chains); ")
    assert "600 shots x 6 sites, 2 hidden units, 12 weights; estimated <1 s and <1 MB" in first
    outcome = tiny.call(*command[:2], "--hidden=100", *command[3:], f"--out={tmp_path}/large.nc")
    assert "warning: 706 parameters are more than 600 training shots" in outcome.err


@pytest.mark.usefixtures("slow_machine")
def test_train_refuses_more_than_an_hour(tmp_path: Path) -> None:
    shots = SHOTS.save(f"{tmp_path}/shots.nc")
    out = f"--out={tmp_path}/rbm.nc"
    command = ("train", shots, "--method=cd", "--epochs=3", "--hidden=200", out)
    outcome = tiny.call(*command)
    assert (outcome.status, outcome.out) == (2, "")
    last = outcome.err.splitlines()[-1]
    assert last.startswith("psiprune: train: estimated ")
    assert "--yes runs it regardless, --max-time " in last
    way_out = last.split("--max-time ")[1].split()[0]
    words = last.split("; ")[1].split()  # "--hidden 50 takes about 20 min"
    assert tiny.call(*command[:-2], *words[:2], out).status == 0
    for option in ("--yes", f"--max-time={way_out}", "--max-time=99d"):
        other = f"--out={tmp_path}/{option}.nc"
        assert tiny.call(*command[:-1], other, option).status == 0
    bad = tiny.refusal(tiny.call(*command, "--max-time=soon"))
    assert bad.startswith("--max-time: ")
