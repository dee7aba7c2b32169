"""Where the stages of a sweep run: in this process, on all cores, or on a cluster, by Dask."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from psiprune.core.exceptions import InputError
from psiprune.sweeps.arguments import check_program
from psiprune.sweeps.batch import SUBMIT, queue
from psiprune.sweeps.settings import SweepSettings
from psiprune.sweeps.workers import WorkerPool

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

#: Engines by name beside queueing systems; anything else is the address of a scheduler.
SERIAL, LOCAL = "serial", "local"
#: Seconds to wait for a scheduler; with the start of Python the command should end within ten.
_PATIENCE = 4


@contextmanager
def connected(engine: str, settings: SweepSettings) -> Iterator[Client]:
    """A Dask client of a cluster started for the time, or of one that runs.

    Raises:
        InputError: there is no Dask, no such section in the settings, no queueing system, no
            scheduler at the address within some seconds, or only workers of another version.
    """
    try:
        import distributed
    except ImportError:
        raise InputError(
            f"scheduler: {engine} needs Dask: pip install 'psiprune[sweep]'; or give serial, one "
            "process without it"
        ) from None
    # What it says of workers that come and go is for its dashboard; an end is told in one line.
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        if engine in (LOCAL, *SUBMIT):
            with warnings.catch_warnings():
                # Another sweep may have it, then the dashboard goes to another port.
                warnings.filterwarnings("ignore", "Port .* is already in use")
                started = _local(settings) if engine == LOCAL else queue(engine, settings)
                where = stack.enter_context(started)
        else:
            where = _reached(engine)
        client = stack.enter_context(distributed.Client(where, set_as_default=False))
        WorkerPool(client).look()
        yield client


def _reached(address: str) -> str:
    """The address of a scheduler that answers.

    A client of Dask would go on trying in the background, and say so at the end of the program.
    """
    from distributed import rpc

    limit = time.monotonic() + _PATIENCE
    _check_host(address)

    async def fingerprint() -> dict[str, object]:
        async with rpc(address) as scheduler:
            return dict(await asyncio.wait_for(scheduler.identity(), limit - time.monotonic()))

    try:
        kind = asyncio.run(fingerprint())["type"]
    except TimeoutError:
        raise InputError(
            f"scheduler: no answer from {address} in {_PATIENCE} s; start `dask scheduler` there, "
            "or give the address that it prints"
        ) from None
    except Exception as error:  # of many types, when something else listens there
        line = " ".join(str(error).split())
        raise InputError(f"scheduler: cannot reach {address}: {line}") from None
    if kind != "Scheduler":
        raise InputError(f"scheduler: {address} is a {kind}; give the scheduler's address")
    return address


def _check_host(address: str) -> None:
    """Refuse a host whose name is not known, of which Dask would say that it does not answer.

    In a thread that is left alone after some time, since a name service may take longer.
    """
    try:
        parts = urlsplit(address if "://" in address else f"tcp://{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return
    if host is None or port is None:  # Dask says what is wrong with the address
        return
    why = ["no name service answers"]

    def ask() -> None:
        try:
            socket.getaddrinfo(host, port)
            why.clear()
        except (OSError, UnicodeError) as error:
            why[0] = (isinstance(error, OSError) and error.strerror) or str(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_PATIENCE / 2)
    if why:
        raise InputError(
            f"scheduler: the name of the host {host} is not known here ({why[0]}); give the "
            "address that `dask scheduler` prints"
        )


def _local(settings: SweepSettings) -> LocalCluster:
    import dask
    from dask.system import cpu_count
    from distributed import LocalCluster

    check_program()
    # Looking into a worker's stack every 10 ms takes 2 % of it, and shows one call of `make`.
    with dask.config.set({"distributed.worker.profile.enabled": False}):
        try:
            return LocalCluster(
                # Not all of the machine's, where a container or a job of Slurm allows less.
                n_workers=settings.local.workers or cpu_count(),
                threads_per_worker=1,
                dashboard_address="127.0.0.1:8787",
                silence_logs=logging.CRITICAL,
            )
        except RuntimeError as error:
            raise InputError(
                f"scheduler: local workers do not start ({error}); they import the program that "
                'calls psiprune.sweep, which must stand there under `if __name__ == "__main__":`; '
                "or give serial"
            ) from None
