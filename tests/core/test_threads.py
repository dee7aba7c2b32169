"""Pieces of work in threads come back in order, and errors come through."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.linalg
from numpy.typing import NDArray
from threadpoolctl import threadpool_info, threadpool_limits

from psiprune.core.lapack import cholesky_in_place, inverse_in_place, solve
from psiprune.core.threads import map_threads, single_blas_thread, single_thread, threads


@pytest.mark.parametrize("cores", [1, 2, 5])
def test_results_come_in_the_order_of_the_pieces(
    cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    last_first = threading.Event()

    def task(item: int) -> int:
        # With two threads or more, the first piece ends after the second.
        if item == 1:
            last_first.set()
        elif item == 0 and cores > 1:
            assert last_first.wait(10)
        return item**2

    assert map_threads(task, range(20)) == [item**2 for item in range(20)]
    assert map_threads(task, []) == []
    assert map_threads(lambda item: -item, [3]) == [-3]


def test_an_error_in_a_piece_comes_through() -> None:
    with pytest.raises(ZeroDivisionError):
        map_threads(lambda item: 1 / item, [1, 0, 2])


def test_the_first_error_ends_what_other_threads_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    stop, begun = threading.Event(), []

    def task(item: int) -> None:
        begun.append(item)
        if item == 0:
            assert stop.wait(10)
            raise KeyboardInterrupt  # as a training that is told to end
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        map_threads(task, range(5), stop)
    assert sorted(begun) == [0, 1]


def test_calls_within_tasks_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    together, alone = threading.Barrier(2), []

    def name_later(_: int) -> int:
        time.sleep(0.002)
        return threading.get_ident()

    def threads_used() -> int:
        return len(set(map_threads(name_later, range(4))))

    def task(item: int) -> int:
        together.wait(10)
        used = threads_used()
        together.wait(10)
        if item == 0:
            return used
        alone.append(used)
        deadline = time.monotonic() + 10  # the other thread ends its task, and then waits
        while (used := threads_used()) == 1 and time.monotonic() < deadline:
            pass
        return used

    for _ in range(2):
        assert map_threads(task, [0, 1]) == [1, 2]
        assert alone.pop() == 1
    assert threads_used() == 2


def test_a_task_sees_the_context_of_its_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    together = threading.Barrier(2)

    def task(_: int) -> str:
        together.wait(10)
        return str(np.geterr()["divide"])

    with np.errstate(divide="raise"):
        assert map_threads(task, range(2)) == ["raise", "raise"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of a fork with threads
def test_a_fork_has_all_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    together = threading.Barrier(2)

    def task(item: int) -> int:
        together.wait(10)
        status = 0
        if item == 0 and (child := os.fork()) == 0:
            try:
                both = threading.Barrier(2)
                map_threads(lambda _: both.wait(5), range(2))
                os._exit(7)
            finally:
                os._exit(1)
        if item == 0:
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        together.wait(10)
        return status

    assert map_threads(task, range(2)) == [7, 0]


def test_one_thread_holds_until_the_last_holder_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    here = threading.get_ident()
    first, second = single_thread(), single_thread()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert threads() == 1
    assert map_threads(lambda _: threading.get_ident(), range(5)) == [here] * 5
    second.__exit__(None, None, None)
    assert threads() == 3
    together = threading.Barrier(3)  # which only three threads pass
    map_threads(lambda _: together.wait(10), range(3))


def blas_threads() -> set[int]:
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_blas_is_held_to_one_thread_until_the_last_holder_leaves() -> None:
    with threadpool_limits(limits=2, user_api="blas"):
        before = blas_threads()
        first, second = single_blas_thread(), single_blas_thread()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert blas_threads() == {1}
        second.__exit__(None, None, None)
        assert blas_threads() == before == {2}


def test_any_thread_may_hold_blas_after_any_other() -> None:
    def inside() -> set[int]:
        with single_blas_thread():
            return blas_threads()

    with threadpool_limits(limits=2, user_api="blas"):
        assert inside() == {1}
        with ThreadPoolExecutor(2) as pool:
            assert pool.submit(inside).result() == {1}
            # Its first thread enters first, another leaves last, and then a third one enters.
            entered, left = threading.Event(), threading.Event()

            def first() -> None:
                with single_blas_thread():
                    entered.set()
                    left.wait()

            running = pool.submit(first)
            entered.wait()
            with single_blas_thread():
                left.set()
                running.result()
                assert blas_threads() == {1}
            assert blas_threads() == {2}
            assert pool.submit(inside).result() == {1}
        assert inside() == {1}
        assert blas_threads() == {2}


# ---- Cholesky factor and inverse: LAPACK's bits, without Python's lock


def positive(size: int) -> NDArray[np.float64]:
    half = np.random.default_rng(size).normal(size=(size, size + 5))
    return np.asfortranarray(half @ half.T)


@pytest.mark.parametrize("size", [1, 2, 7, 200])
def test_factor_solution_and_inverse(size: int) -> None:
    matrix = positive(size)
    with single_blas_thread():
        wanted, _ = scipy.linalg.lapack.dpotrf(matrix, lower=1)  # cholesky of SciPy 1.18 differs
        inverse, _ = scipy.linalg.lapack.dpotri(wanted, lower=1)
        found = cholesky_in_place(matrix.copy(order="F"))
        np.testing.assert_array_equal(np.tril(found), wanted)
        vector = np.random.default_rng(0).normal(size=size)
        x = scipy.linalg.cho_solve((wanted, True), vector)
        np.testing.assert_array_equal(solve(found, vector), x)
        np.testing.assert_array_equal(np.tril(inverse_in_place(found)), np.tril(inverse))
    exact = np.linalg.inv(matrix)
    np.testing.assert_allclose(np.tril(found), np.tril(exact), atol=1e-9 * np.abs(exact).max())


def test_what_is_not_positive_is_refused() -> None:
    with pytest.raises(np.linalg.LinAlgError, match="order 2 "):
        cholesky_in_place(np.asfortranarray(np.diag([1.0, -1.0, 1.0])))
    with pytest.raises(np.linalg.LinAlgError, match=r"0 at \(2, 2\)"):
        inverse_in_place(np.asfortranarray(np.diag([1.0, 0.0, 1.0])))
    with pytest.raises(AssertionError):  # C order would be another matrix
        cholesky_in_place(np.ones((2, 2)))
    with pytest.raises(AssertionError):
        solve(np.ones((2, 2), order="F"), np.ones(3))


def longest_wait(call: Callable[[], object]) -> float:
    """The longest time that another thread has no turn while a call lasts, of the call's time."""
    turns, running = [time.perf_counter()], threading.Event()

    def count() -> None:
        running.set()
        while running.is_set():
            turns.append(time.perf_counter())
            time.sleep(1e-4)

    thread = threading.Thread(target=count)
    thread.start()
    running.wait()
    begin = time.perf_counter()
    call()
    end = time.perf_counter()
    running.clear()
    thread.join()
    times = np.clip([begin, *turns, end], begin, end)
    return float(np.diff(np.sort(times)).max() / (end - begin))


def test_other_threads_run_meanwhile() -> None:
    matrix = positive(1800)
    with single_blas_thread():
        held = longest_wait(lambda: scipy.linalg.lapack.dpotrf(matrix, lower=1, clean=0))
        free = longest_wait(lambda: cholesky_in_place(matrix))
    assert free < 0.5 < held  # a busy machine takes turns away too, but not half of the time
