"""Cholesky factor and inverse: SciPy's bits, without Python's lock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
import scipy.linalg
from numpy.typing import NDArray

from psiprune.core.lapack import cholesky_in_place, inverse_in_place
from psiprune.core.threads import single_blas_thread


def positive(size: int) -> NDArray[np.float64]:
    half = np.random.default_rng(size).normal(size=(size, size + 5))
    return np.asfortranarray(half @ half.T)


@pytest.mark.parametrize("size", [1, 2, 7, 200])
def test_factor_and_inverse(size: int) -> None:
    matrix = positive(size)
    with single_blas_thread():
        wanted = scipy.linalg.cholesky(matrix, lower=True)
        inverse, _ = scipy.linalg.lapack.dpotri(wanted, lower=1)
        found = cholesky_in_place(matrix.copy(order="F"))
        np.testing.assert_array_equal(np.tril(found), wanted)
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
