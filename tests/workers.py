"""A Dask scheduler and workers as separate processes, which tests may kill."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from distributed import Client, LocalCluster


class Workers:
    """A scheduler and workers of one thread, all killed at the end of the `with` block."""

    def __init__(self, folder: Path) -> None:
        """Start the scheduler; all output goes to files in the folder."""
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.scheduler = self.start_scheduler()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()

    def start_scheduler(self) -> subprocess.Popen[bytes]:
        """Start a scheduler at the address, also after one was killed."""
        begin = ["distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(self.port)]
        self.scheduler = self._start([*begin, "--no-dashboard"], {})
        limit = time.monotonic() + 300
        while time.monotonic() < limit:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self.scheduler
            except OSError:
                time.sleep(0.05)
        raise AssertionError("the scheduler did not start")

    def start(self, count: int = 1, **environment: str) -> list[subprocess.Popen[bytes]]:
        """Start workers, without waiting for them."""
        options = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--death-timeout", "300"]
        begin = ["distributed.cli.dask_worker", self.address, *options]
        return [self._start(begin, environment) for _ in range(count)]

    def wait_for(self, count: int) -> None:
        """Wait until so many workers are connected."""
        with Client(self.address, set_as_default=False, timeout=60) as client:
            client.wait_for_workers(count, timeout=300)

    def _start(self, command: list[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        one = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        log = (self.folder / f"process-{len(self.processes)}.log").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            env={**os.environ, **one, **environment},
            cwd=self.folder,
            stdout=log,
            stderr=log,
        )
        log.close()
        self.processes.append(process)
        return process


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process, as if its machine was lost."""
    process.send_signal(signal.SIGKILL)
    process.wait()


def fake_commands(folder: Path, monkeypatch: pytest.MonkeyPatch, **scripts: str) -> None:
    """Put commands of a queueing system on the path, each a script of bash in this folder."""
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/bash\n{script}\n")
        (folder / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


@contextmanager
def in_this_process(workers: int = 1, threads: int = 1) -> Iterator[LocalCluster]:
    """A scheduler and workers in this process, reached by TCP."""
    with LocalCluster(
        n_workers=workers,
        threads_per_worker=threads,
        processes=False,
        protocol="tcp://",
        dashboard_address=":0",
    ) as local:
        yield local
