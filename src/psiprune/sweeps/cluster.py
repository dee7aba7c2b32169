"""Connect to the Dask workers of a sweep: on this machine, from a queueing system, or running."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import current_process
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from psiprune.core.exceptions import InputError
from psiprune.sweeps.batch import SUBMIT, queue
from psiprune.sweeps.settings import SweepSettings
from psiprune.sweeps.workers import WorkerPool

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

#: Engines by name, besides queueing systems; anything else is the address of a scheduler.
SERIAL, LOCAL = "serial", "local"
#: Seconds to wait for a scheduler; with the start of Python, the command ends within ten.
_TIMEOUT = 4
#: The profiler costs 2 % of a worker's time, and would show a single call of `make`. Dask's web
#: pages, which show names and logs to every user of the machine, cannot be protected by keys.
_CONFIG = {
    "distributed.worker.profile.enabled": False,
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}


@contextmanager
def connected(engine: str, settings: SweepSettings) -> Iterator[Client]:
    """Connect a Dask client to a cluster started for the block, or to a running one.

    Raises:
        InputError: Dask, the section of the settings or the queueing system is missing, no
            scheduler answers at the address, or all workers are incompatible.
    """
    try:
        import distributed
    except ImportError:
        raise InputError(
            f"scheduler: {engine} needs Dask: pip install 'psiprune[sweep]'; or use serial, which "
            "runs in this process"
        ) from None
    # Dask's log says nothing that users need: failures of tasks and a lost scheduler raise errors.
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        if engine in (LOCAL, *SUBMIT):
            with warnings.catch_warnings():
                # Another sweep may use the port of the dashboard, which then takes another one.
                warnings.filterwarnings("ignore", "Port .* is already in use")
                started = _local(settings) if engine == LOCAL else queue(engine, settings)
                target = stack.enter_context(started)
        else:
            _check_address(engine)
            target = engine
        client = stack.enter_context(distributed.Client(target, set_as_default=False))
        WorkerPool(client).poll()
        yield client


def _check_address(address: str) -> None:
    """Raise InputError unless a scheduler answers; a client would retry in the background."""
    from distributed import rpc
    from distributed.security import Security

    limit = time.monotonic() + _TIMEOUT
    _check_host(address)

    async def identify() -> dict[str, object]:
        keys = Security().get_connection_args("client")  # from Dask's configuration
        async with rpc(address, connection_args=keys) as scheduler:
            return dict(await asyncio.wait_for(scheduler.identity(), limit - time.monotonic()))

    try:
        kind = asyncio.run(identify())["type"]
    except TimeoutError:
        raise InputError(
            f"scheduler: no answer from {address} within {_TIMEOUT} s; start `dask scheduler` "
            "there, or use the address it prints"
        ) from None
    except Exception as error:  # of many types, if something else listens there
        line = " ".join(str(error).split())
        raise InputError(f"scheduler: cannot connect to {address}: {line}") from None
    if kind != "Scheduler":
        raise InputError(f"scheduler: {address} is a {kind}; use the address of the scheduler")


def _check_host(address: str) -> None:
    """Raise InputError for an unknown host, for which Dask would report a timeout."""
    try:
        parts = urlsplit(address if "://" in address else f"tcp://{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return
    if host is None or port is None:  # Dask reports what is wrong with the address
        return
    problem = ["no answer from the name service"]

    def resolve() -> None:
        try:
            socket.getaddrinfo(host, port)
            problem.clear()
        except (OSError, UnicodeError) as error:
            problem[0] = (isinstance(error, OSError) and error.strerror) or str(error)

    # A daemon thread, since a slow name service cannot be interrupted.
    thread = threading.Thread(target=resolve, daemon=True)
    thread.start()
    thread.join(_TIMEOUT / 2)
    if problem:
        raise InputError(
            f"scheduler: cannot resolve the host name {host} ({problem[0]}); use the address that "
            "`dask scheduler` prints"
        )


def _local(settings: SweepSettings) -> LocalCluster:
    import dask
    from dask.system import cpu_count
    from distributed import LocalCluster
    from distributed.security import Security

    _check_main_module()
    try:
        # Who reaches a scheduler can run any code as this user. Keys are passed on in memory.
        security = Security.temporary()
    except ImportError:
        raise InputError(
            "scheduler: local needs cryptography: pip install 'psiprune[sweep]'; or use serial"
        ) from None
    with dask.config.set(_CONFIG):
        try:
            return LocalCluster(
                # Dask's count respects the CPU mask of a container or a Slurm job.
                n_workers=settings.local.workers or cpu_count(),
                threads_per_worker=1,
                security=security,
                scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
                silence_logs=logging.CRITICAL,
            )
        except RuntimeError as error:
            raise InputError(
                f"scheduler: local workers do not start ({error}); they import the calling "
                'program, so call psiprune.sweep under `if __name__ == "__main__":`, or use serial'
            ) from None


def _check_main_module() -> None:
    """Refuse a program that workers on this machine cannot import.

    Raises:
        InputError: the program is not in a file.
        SystemExit: this process is such a worker, whose import of the program calls a sweep; its
            parent reports that.
    """
    if getattr(current_process(), "_inheriting", False):
        raise SystemExit(1)
    file = getattr(sys.modules["__main__"], "__file__", None)
    if file is not None and not Path(file).exists():
        raise InputError(
            f"scheduler: local workers import the calling program, but {file} is not a file; save "
            "the program to a file, or use serial"
        )
