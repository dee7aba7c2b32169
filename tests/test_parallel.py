"""Pieces of work in threads come back in order, and errors come through."""

from __future__ import annotations

import os
import threading

import pytest

from psiprune.parallel import in_threads


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

    assert in_threads(task, range(20)) == [item**2 for item in range(20)]
    assert in_threads(task, []) == []
    assert in_threads(lambda item: -item, [3]) == [-3]


def test_an_error_in_a_piece_comes_through() -> None:
    with pytest.raises(ZeroDivisionError):
        in_threads(lambda item: 1 / item, [1, 0, 2])
