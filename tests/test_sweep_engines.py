"""Engines of a sweep when workers, jobs and addresses are not as they should be."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import distributed
import pytest

from psiprune.config import SweepSettings
from psiprune.sweeping.engines import connected


def one_core() -> None:
    """Hold this process to one core, as a container or a job of Slurm does."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


needs_affinity = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="this system knows no such mask"
)


# ---- this machine


@needs_affinity
def test_threads_are_for_cores_that_the_process_may_use() -> None:
    code = "from psiprune.parallel import threads; print(threads())"
    done = subprocess.run(
        [sys.executable, "-c", code], preexec_fn=one_core, capture_output=True, check=True
    )
    assert done.stdout == b"1\n"


@needs_affinity
def test_local_workers_are_for_cores_that_the_process_may_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: dict[str, Any] = {}

    def remember(**options: Any) -> None:
        asked.update(options)
        raise RuntimeError("not to be started")

    before = os.sched_getaffinity(0)
    monkeypatch.setattr(distributed, "LocalCluster", remember)
    one_core()
    try:
        with pytest.raises(RuntimeError, match="not to be"), connected("local", SweepSettings()):
            pass
    finally:
        os.sched_setaffinity(0, before)
    assert asked["n_workers"] == 1
