"""The progress bar: when it is shown, what advances it, and that bars never nest."""

from __future__ import annotations

import io
import sys
import threading
import types
from collections.abc import Callable, Iterator
from functools import cache, partial

import numpy as np
import pytest

import psiprune as pp
from psiprune.core import progress
from psiprune.core.progress import count, describe, expect, in_notebook, progress_bar
from psiprune.core.threads import map_threads
from psiprune.experiments.ensemble import run_parallel

BITS = np.random.default_rng(0).integers(0, 2, (300, 4), dtype=np.uint8)


class Terminal:
    """What is written to standard error, taken for a terminal."""

    def __init__(self, captured: pytest.CaptureFixture[str]) -> None:
        self.captured = captured
        self.text = self.out = ""

    def getvalue(self) -> str:
        out, err = self.captured.readouterr()
        self.out += out
        self.text += err
        return self.text


@pytest.fixture
def terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Terminal]:
    """Standard error as a terminal on which each bar appears at once."""
    monkeypatch.setattr(progress, "visible", lambda: True)
    monkeypatch.setattr(progress, "_DELAY", 0.0)
    yield Terminal(capsys)
    assert progress._shown is None


def last(stream: Terminal) -> str:
    """The last state of the last bar."""
    return stream.getvalue().rstrip().splitlines()[-1]


def test_bar_shows_what_is_done_and_how_much_is_left(terminal: Terminal) -> None:
    with progress_bar(4, "training"):
        assert "0/4" in last(terminal)
        describe("85 weights")
        count("shots", 3)  # another unit
        count("epochs", 2)
        assert progress._shown is not None
        assert progress._shown.bar.n == 2
        progress._shown.bar.refresh()
        assert "2/4" in last(terminal)
        assert "<" in last(terminal)  # elapsed<remaining
        assert "85 weights" in last(terminal)
    assert "training: 100%" in last(terminal)


def test_expected_steps_grow_and_shrink(terminal: Terminal) -> None:
    with progress_bar(None, "pruning"):
        expect("epochs", 10)
        expect("levels", 99)  # another unit
        count("epochs", 4)
        assert progress._shown is not None
        assert progress._shown.bar.total == 10
        expect("epochs", -3)
        assert progress._shown.bar.total == 7
        expect("epochs", -90)
        assert progress._shown.bar.total == 4
        count("epochs", 5)
        assert progress._shown.bar.total == 9


def test_one_bar_at_a_time(terminal: Terminal) -> None:
    with progress_bar(10, "outer"):
        thread = threading.Thread(target=lambda: pp.train(BITS, hidden=2, method="exact"))
        thread.start()
        thread.join()
        pp.sample(pp.ground_state(pp.TFIM(sites=3)), 10)
        describe("mine")
        other = threading.Thread(target=lambda: describe("of a thread"))
        other.start()
        other.join()
        assert progress._shown is not None
        assert progress._shown.bar.postfix == "mine"
        assert progress._shown.bar.n > 0  # epochs of the training in the other thread
    assert "outer" in terminal.getvalue()
    assert "training" not in terminal.getvalue()
    assert "sampling" not in terminal.getvalue()


def test_tasks_in_several_threads_are_not_described(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    together = threading.Barrier(2)

    def task(number: int) -> None:
        together.wait(10)
        describe(f"task {number}")
        together.wait(10)

    with progress_bar(10, "outer"):
        describe("both")
        map_threads(task, range(2))
        assert progress._shown is not None
        assert progress._shown.bar.postfix == "both"
        map_threads(lambda number: describe(f"task {number}"), [7])
        assert progress._shown.bar.postfix == "task 7"


def test_bar_ends_with_an_error(terminal: Terminal) -> None:
    with pytest.raises(ZeroDivisionError), progress_bar(3, "training"):
        raise ZeroDivisionError
    assert "0/3" in last(terminal)


def test_an_ensemble_counts_the_epochs_of_all(terminal: Terminal) -> None:
    method = pp.CD(epochs=3)

    def work(seed: int, tick: object) -> pp.RBM:
        return pp.train(BITS, hidden=2, method=method, seed=seed, callback=tick)  # type: ignore[arg-type]

    run_parallel(work, range(4), 12, "ensemble")
    assert "12/12" in last(terminal)
    before = terminal.getvalue()
    run_parallel(work, range(4), 12, "ensemble", progress=False)
    assert terminal.getvalue() == before


@cache
def state() -> pp.MPS:
    return pp.ground_state(pp.TFIM(sites=4), progress=False)


@cache
def dense() -> pp.RBM:
    return pp.train(BITS, hidden=3, method=pp.CD(epochs=2), progress=False)


def sparse() -> pp.RBM:
    return dense().with_mask(np.tri(3, 4, 1, dtype=bool))


TUNING = pp.CD(epochs=2)
#: Every function that takes `progress`, and what its bar says.
CALLS: dict[str, Callable[..., object]] = {
    "training": lambda **o: pp.train(BITS, hidden=2, method=TUNING, **o),
    "pruning": lambda **o: pp.prune(dense(), BITS, levels=2, fine_tune=TUNING, **o),
    "evaluating": lambda **o: pp.prune(
        dense(), BITS, levels=1, fine_tune=None, reference=state(), draws=100, **o
    ),
    "pruning ": lambda **o: pp.find_smallest(
        dense(), BITS, measure=lambda rbm: -rbm.number_of_weights, limit=-5, fine_tune=TUNING, **o
    ),
    "rewiring": lambda **o: pp.rewire(sparse(), BITS, rounds=2, fine_tune=TUNING, **o),
    "sampling": lambda **o: pp.sample(state(), 100, **o),
    "sampling the RBM": lambda **o: pp.evaluate(dense(), state(), draws=100, **o),
    "sampling the RBM ": lambda **o: pp.evaluate_on_shots(dense(), BITS, draws=100, **o),
    "annealing": lambda **o: pp.log_partition(
        dense(), method="annealing", chains=10, temperatures=9, **o
    ),
    "DMRG": lambda **o: pp.ground_state(pp.TFIM(sites=5), **o),
}


@pytest.mark.parametrize("what", CALLS)
def test_progress_is_shown_in_terminals_and_can_be_turned_off(
    what: str, terminal: Terminal
) -> None:
    CALLS[what](progress=False)
    assert terminal.getvalue() == ""
    CALLS[what]()
    assert what.strip() in terminal.getvalue()
    assert terminal.getvalue().count("\n") == 1 + (what == "evaluating")  # no nested bars
    assert terminal.out == ""


def test_no_bar_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    pp.train(BITS, hidden=2, method=TUNING)
    assert stream.getvalue() == ""
    monkeypatch.setattr(sys, "stderr", None)  # pythonw
    pp.train(BITS, hidden=2, method=TUNING)


def test_a_notebook_is_recognised_by_its_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not in_notebook()
    for application, expected in (("IPKernelApp", True), ("TerminalIPythonApp", False)):
        module = types.ModuleType("IPython")
        vars(module)["get_ipython"] = partial(types.SimpleNamespace, config={application: {}})
        monkeypatch.setitem(sys.modules, "IPython", module)
        assert in_notebook() is expected


def test_a_bar_changes_no_result(terminal: Terminal) -> None:
    shown, hidden = (pp.train(BITS, hidden=2, seed=1, progress=each) for each in (True, False))
    np.testing.assert_array_equal(shown.weights, hidden.weights)


def test_search_expects_the_epochs_that_it_takes(terminal: Terminal) -> None:
    found = pp.find_smallest(
        dense(), BITS, measure=lambda rbm: -rbm.number_of_weights, limit=-6, fine_tune=TUNING
    )
    trials = len(found.trials) - 1  # level-00 is not trained
    assert f"{2 * trials}/{2 * trials}" in last(terminal)
