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
from psiprune.training import estimate, limits
from psiprune.training.estimate import (
    Size,
    Speed,
    _affordable,
    _steps,
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
    fits_noise,
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
#: 21 parameters; a mask. 4 states of 2 sites. More shots and states than behind a Fisher matrix.
SPARSE, STATES, MANY = Size(6, 4, 50, 11), Size.dense(2, 3, 50), Size(20, 3, 10**5, 60)
MISREAD = SPARSE._replace(readout=True)
#: 3,320 parameters, too many to form a Fisher matrix.
LARGE = Size.dense(80, 40, 50)


@pytest.mark.parametrize(
    ("method", "size", "operations"),
    [
        (CD, SPARSE, {"VISIT": 50 * (9 + 1) * 11}),
        (
            NATURAL,  # a Fisher matrix serves for eight steps
            SPARSE,
            {
                "VISIT": 1000 * 30 * 11,
                "SINGLE": 21**2 * 1000 / 16 + 3 * (3 * 1000 + 50) * 24,
                "ENTRY": 21 * 1000 / 16,
                "FACTOR": 21**3 / 3 / 16,
            },
        ),
        (
            EXACT,
            SPARSE,
            {
                "DOUBLE": 21**2 * 50 + 2 * 50 * 11,
                "ENTRY": 21 * 50,
                "FACTOR": 21**3 / 3,
                "STATE": 2**4 * 6,
            },
        ),
        (
            EXACT,
            STATES,
            {"DOUBLE": 11**2 * 4 + 2 * 4 * 6, "ENTRY": 11 * 4, "FACTOR": 11**3 / 3, "STATE": 4 * 3},
        ),
        (
            EXACT,
            MANY,
            {
                "DOUBLE": 83**2 * 8192 + 2 * 10**5 * 60,
                "ENTRY": 83 * 8192,
                "FACTOR": 83**3 / 3,
                "STATE": 2**3 * 20,
            },
        ),
        (
            NATURAL,  # 4 products with F and every 16th step 16 more, each of two matrix products
            LARGE,
            {
                "VISIT": 1000 * 30 * 3200,
                "SINGLE": 5 * 2 * 1000 * 3200 + 3 * (3 * 1000 + 50) * 3200,
            },
        ),
        (
            NATURAL,
            LARGE._replace(readout=True),
            {
                "VISIT": (1000 * 30 + 50 * 2) * 3200,
                "SINGLE": 5 * 2 * 4 * 50 * 3200 + 3 * (3 * 1000 + 50) * 3200,
            },
        ),
        (
            NATURAL,
            LARGE._replace(shots=10**5, readout=True),
            {
                "VISIT": (1000 * 30 + 10_000 * 2) * 3200,
                "SINGLE": 5 * 2 * 4 * 5000 * 3200 + 3 * (3 * 1000 + 10_000) * 3200,
            },
        ),
        (
            NATURAL,  # a sum over edges takes as long as three multiply-adds of a product for each
            LARGE._replace(weights=200),
            {"SINGLE": 320**2 * 1000 / 16 + 3 * (3 * 1000 + 50) * 600},
        ),
        (
            NATURAL,
            Size(6, 4, 10_000, 11),
            {"SINGLE": 21**2 * 1000 / 16 + 3 * (3 * 1000 + 2000) * 24},
        ),
        (CD, MISREAD, {"VISIT": 50 * (9 + 1 + 2) * 11}),  # two steps of the true bits
        (
            NATURAL,  # F over 4 draws of the true bits of each record
            MISREAD,
            {
                "VISIT": 1000 * 30 * 11 + 50 * 2 * 11,
                "SINGLE": 21**2 * 50 / 16 + 3 * (3 * 1000 + 50) * 24,
                "ENTRY": 21 * 4 * 50 / 16,
                "FACTOR": 21**3 / 3 / 16,
            },
        ),
        (
            EXACT,
            MISREAD,
            {"DOUBLE": 21**2 * 64, "ENTRY": 21 * 64, "FACTOR": 21**3 / 3, "TRUE_STATE": 64 * 4},
        ),
        (EXACT, Size(2000, 1, 50, 0), {"DOUBLE": 2001**2 * 50, "STATE": 2 * 2000}),
    ],
    ids=str,
)
def test_time_follows_from_the_sizes(
    monkeypatch: pytest.MonkeyPatch, method: Method, size: Size, operations: dict[str, float]
) -> None:
    kinds = ("VISIT", "SINGLE", "DOUBLE", "FACTOR", "ENTRY", "STATE", "TRUE_STATE", "_CALLS")
    for kind in kinds:
        monkeypatch.setattr(estimate, kind, 0.0)
    for kind in operations:
        monkeypatch.setattr(estimate, kind, 1.0)
        assert step_seconds(method, size) == pytest.approx(operations[kind]), kind
        monkeypatch.setattr(estimate, kind, 0.0)


@pytest.mark.parametrize("epochs", [0, 1, 17, 200])
def test_time_follows_from_the_number_of_steps(epochs: int) -> None:
    def seconds(method: Method) -> float:
        return training_seconds(method.model_copy(update={"epochs": epochs}), SPARSE)

    assert seconds(CD) == pytest.approx(epochs * step_seconds(CD, SPARSE))
    # Training that converges ends early; the first Fisher matrix is not shared among 16 steps.
    assert seconds(EXACT) == pytest.approx(min(epochs, 70) * step_seconds(EXACT, SPARSE))
    mean, first = (step_seconds(NATURAL, SPARSE, first) for first in (False, True))
    assert seconds(NATURAL) == pytest.approx(min(epochs, 1) * (first - mean) + epochs * mean)
    fisher = ((estimate.SINGLE * 21 + estimate.ENTRY) * 1000 + estimate.FACTOR / 3 * 21**2) * 21
    assert first - mean == pytest.approx(15 / 16 * fisher)


@pytest.mark.parametrize(
    ("method", "size", "arrays"),
    [
        (CD, SPARSE, [40 * 11, 50 * 6 / 8]),  # packed shots
        # F and its factor in float64, chains and shots and their hidden units in float32.
        (NATURAL, SPARSE, [2 * 8 * 21**2, 4 * (1000 + 50) * (6 + 4)]),
        # Three matrices; two tables of derivatives, of states, and configurations in float64.
        (EXACT, SPARSE, [3 * 8 * 21**2, 16 * 21 * 50, 16 * 2**4 * 6, 8 * 50 * (6 + 4)]),
        # Up to 20 + 49 * 4 directions and their images.
        (NATURAL, LARGE, [2 * 8 * 216 * 3320, 4 * (1000 + 50) * (80 + 40)]),
        (
            NATURAL,
            LARGE._replace(readout=True),
            [2 * 8 * 216 * 3320, 4 * (1000 + 50 + 4 * 50) * (80 + 40)],
        ),
        (NATURAL, MISREAD, [2 * 8 * 21**2, 4 * (1000 + 50 + 4 * 50) * (6 + 4)]),
        (EXACT, MISREAD, [3 * 8 * 21**2, 16 * 21 * 64, 8 * 64 * (6 + 8)]),
        (EXACT, STATES, [3 * 8 * 11**2, 16 * 11 * 4, 16 * 4 * 3, 8 * 4 * (2 + 3)]),
        (EXACT, MANY, [3 * 8 * 83**2, 16 * 83 * 8192, 16 * 2**3 * 20, 8 * 10**5 * (20 + 3)]),
    ],
    ids=str,
)
def test_memory_is_that_of_the_large_arrays(
    method: Method, size: Size, arrays: list[float]
) -> None:
    assert training_bytes(method, size) == sum(arrays)


def test_a_training_needs_the_memory_of_its_shots_and_a_mask_saves_time() -> None:
    dense, sparse = (
        training_needs(EXACT, SHOTS, 3, weights, clock_of(1, 1)) for weights in (None, 9)
    )
    assert dense.memory - training_bytes(EXACT, Size.dense(6, 3, 600)) == SHOTS.bits.nbytes
    assert sparse.seconds / dense.seconds == pytest.approx(
        step_seconds(EXACT, Size(6, 3, 600, 9)) / step_seconds(EXACT, Size.dense(6, 3, 600))
    )


def test_estimates_exist_beyond_the_range_of_floats() -> None:
    # 2^1100 states, of which 50 were measured; a layer of 1,100 units beside another one.
    assert training_bytes(EXACT, Size.dense(1100, 2, 50)) < 1e9
    assert bytes_needed(ReconstructSettings(hidden=(2,)), 1100, 50) < 1e10
    settings = ReconstructSettings(hidden=(1100,), train={"method": "pcd"})  # type: ignore[arg-type]
    assert 0 < work_left(settings, 1100, 50, None).nominal < np.inf


@pytest.mark.parametrize(
    ("planned", "seconds"),
    [(1e9, 0.15), (15.0, 0.15), (1.0, 0.01)],  # of two steps: 0.3, or 2 % of the training
)
def test_a_probe_is_short_at_any_size(
    monkeypatch: pytest.MonkeyPatch, planned: float, seconds: float
) -> None:
    large, tried = Size.dense(18, 144, 1600), list[Size]()
    sizes = [
        *(large, Size.dense(18, 144, 800), Size.dense(18, 144, 500), Size.dense(18, 72, 500)),
        *(Size.dense(*each, 500) for each in ((18, 36), (18, 18), (9, 18), (9, 9), (4, 9))),
        Size.dense(4, 4, 500),
    ]
    limit = len(sizes)

    def step(_: Method, size: Size, first: bool = False) -> float:
        tried.append(size)
        assert first  # the step that computes a Fisher matrix
        return seconds * (1.0 if len(tried) == limit else 1.001)

    monkeypatch.setattr(estimate, "step_seconds", step)
    for limit in (1, 2, len(sizes), 99):  # 99: even the least takes too long
        tried.clear()
        found = _affordable(CD, large, planned)
        assert tried == sizes[:limit]
        assert found == tried[-1]


def test_a_probe_has_no_more_units_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "step_seconds", lambda *_, first=False: 1e9)
    assert _affordable(CD, Size.dense(5, 4, 500), 1.0) == Size.dense(2, 4, 500)
    assert _affordable(CD, Size.dense(4, 4, 500), 1.0) == Size.dense(4, 4, 500)


@pytest.mark.parametrize(
    ("nominal", "repeats", "taken"), [(1e-5, 20, 20), (0.02 / 7.4, 7, 7), (1.0, 2, 2), (1.0, 2, 1)]
)
def test_a_probe_repeats_short_steps(
    monkeypatch: pytest.MonkeyPatch, nominal: float, repeats: int, taken: int
) -> None:
    steps = list[tuple[Size, int]]()

    def noted(_: Method, __: pp.Shots, size: Size, most: int) -> int:
        steps.append((size, most))
        return taken

    def affordable(*given: object) -> Size:
        asked.append(given)
        return smaller

    smaller, asked = Size.dense(5, 2, 300), list[object]()
    monkeypatch.setattr(estimate, "_affordable", affordable)
    monkeypatch.setattr(estimate, "_steps", noted)
    monkeypatch.setattr(
        estimate, "step_seconds", lambda *_, first=False: 3 * nominal if first else nominal
    )
    speed = probe(CD, SHOTS, 3, 1e9, clock_of(0.0, 5.0))
    # Before the clock runs, what it times is compiled: kernels depend on the layout of arrays.
    assert steps == [(smaller, 2), (smaller, repeats)]
    assert speed.processor == pytest.approx(5.0 / ((taken + 2) * nominal))
    assert 0 < speed.elapsed < 1e-6 * speed.processor  # a clock too coarse
    misread = pp.Shots(SHOTS.bits, readout=pp.ReadoutError.from_rates(0.01, sites=6))
    assert probe(CD, misread, 3, 1e9, clock_of(5.0, 0.0)).elapsed == pytest.approx(speed.processor)
    assert asked == [(CD, Size.dense(6, 3, 600, each), 1e9) for each in (False, True)]


def test_a_probe_counts_the_steps_until_training_ends() -> None:
    size = Size.dense(6, 3, 600)
    assert _steps(pp.CD(epochs=3), SHOTS, size, 5) == 3
    assert _steps(pp.CD(epochs=5), SHOTS, size, 3) == 3
    # Weights grow by 1e30 in each step, until the second one exceeds what float32 can hold.
    diverging = pp.CD(epochs=5, batch_size=600, learning_rate=1.0, weight_decay=1e30)
    assert _steps(diverging, SHOTS, size, 5) == 2
    assert _steps(diverging.model_copy(update={"epochs": 1}), SHOTS, size, 5) == 1
    some = pp.Shots(SHOTS.bits[:100, :4].copy())
    until = pp.train(some, hidden=2, method=EXACT, initial="random").provenance["epochs_done"]
    assert _steps(EXACT, SHOTS, Size.dense(4, 2, 100), 500) == until


def test_a_probe_is_of_shots_with_readout_errors() -> None:
    large, misread = Size.dense(18, 40, 1600, True), list[bool]()

    def step(_: Method, size: Size, first: bool = False) -> float:
        misread.append(size.readout)
        return 1e9

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(estimate, "step_seconds", step)
        assert _affordable(EXACT, large, 1.0).readout
    assert all(misread)
    error = pp.ReadoutError.from_rates(0.01, sites=6)
    needs = [
        training_needs(EXACT, shots, 3, now=clock_of(1, 1))
        for shots in (SHOTS, pp.Shots(SHOTS.bits, readout=error))
    ]
    assert needs[0].memory != needs[1].memory


def test_nothing_is_probed_where_nothing_is_trained() -> None:
    assert probe(pp.CD(epochs=0), SHOTS, 3, 1.0) == probe(CD, SHOTS, 0, 1.0) == Speed()


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
    assert advise(needs_of, 61, 120 * 60) == Advice(50, 3000)  # 60 is impossible
    assert advise(needs_of, 1000, 60) is None
    monkeypatch.setattr(limits, "free_memory", lambda: 10 * 10**6)
    assert advise(needs_of, 1000, 3600) == Advice(5, 300)


def test_the_message_says_what_was_estimated_and_what_fits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "free_memory", lambda: 8 * 10**9)
    check_needs("train", Needs(3600, 8e9), 3600, None, OPTIONS)
    with pytest.raises(InputError) as slow:
        check_needs("train", Needs(5 * 3600, 8e9), 3600, Advice(50, 1200), OPTIONS)
    assert str(slow.value) == (
        "train: estimated 5 h on this machine, the limit is 1 h; --hidden 50 takes about 20 min; "
        "--yes runs it regardless, --max-time 8h raises the limit"
    )
    rooms = (
        (2399, "1h"),
        (2400, "2h"),
        (47 * 2400, "48h"),
        (48 * 2400, "3d"),
    )  # 1.5 times, and 1 h
    for seconds, room in rooms:
        with pytest.raises(InputError, match=f"--max-time {room} raises the limit"):
            check_needs("train", Needs(seconds, 1e6), 2000, None, OPTIONS)
    with pytest.raises(InputError) as large:
        check_needs("train", Needs(3600, 34e9), 3600, None, PYTHON)
    assert str(large.value) == (
        "train: estimated 34 GB of memory, 8 GB are free; no smaller number of hidden units fits, "
        "so give fewer shots or epochs; max_time=None runs it regardless"
    )


def test_more_parameters_than_shots() -> None:
    assert few_shots(100, 100) == ""
    assert "101 parameters are more than 100 training shots" in few_shots(101, 100)


def test_few_misread_shots() -> None:
    assert fits_noise(30, 3000, True) == ""
    assert fits_noise(30, 2999, False) == ""
    assert fits_noise(30, 2999, True).startswith("2,999 misread shots for 30 parameters")


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
