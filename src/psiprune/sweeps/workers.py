"""Workers of a scheduler: which of them may take part in a sweep, and whether there are any.

The last bits of a worker's numbers depend on the code of psiprune, the versions of the libraries
and the number of threads, so a worker takes part only if all of these are the same as here. They
depend on the CPU family as well. Nodes of a cluster often differ in that from the machine that
starts the sweep, so such a worker takes part, with a warning; every stage records its machine.
"""

from __future__ import annotations

import hashlib
import platform
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from threadpoolctl import threadpool_info
from tqdm.auto import tqdm

import psiprune
from psiprune.core.exceptions import InputError
from psiprune.core.text import escape
from psiprune.io.provenance import arithmetic

if TYPE_CHECKING:
    from distributed import Client, Future

#: Seconds between two polls for new workers; seconds without a worker before a warning.
_POLL_INTERVAL, _QUIET = 1.0, 10.0
#: Libraries that compute; others write files or draw.
_LIBRARIES = ("numpy", "scipy", "numba", "llvmlite", "physics-tenpy")
#: Evaluated by a worker, which may have another psiprune and so cannot unpickle a function of ours.
_FACTS = "__import__('importlib').import_module('psiprune.sweeps.workers').facts_here()"


def warn(line: str) -> None:
    """Print a line on stderr without breaking the progress bar."""
    tqdm.write(escape(line), file=sys.stderr)


@cache
def versions_here() -> dict[str, str]:
    """Return the versions in this process, and a digest of psiprune's source files."""
    return {
        "psiprune": version("psiprune"),
        "code of psiprune": _digest(Path(psiprune.__file__).parent),
        "Python": platform.python_version(),
        **{library: version(library) for library in _LIBRARIES},
    }


@cache
def facts_here() -> dict[str, str]:
    """Return the versions in this process, and the arithmetic of its CPU."""
    return {**versions_here(), **arithmetic()}


def _digest(package: Path) -> str:
    """Return the first 12 digits of a SHA-256 of all source files of a package and their names."""
    digest = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(package).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:12]


def version_mismatch(theirs: Mapping[str, str], ours: Mapping[str, str]) -> str:
    """Say which version of a worker differs first, "" if none does."""
    for name, wanted in ours.items():
        found = theirs.get(name, "(unknown)")
        if found != wanted:
            return (
                f"has {name} {found}, but this process has {wanted}, so results may differ; start "
                "workers with the same versions"
            )
    return ""


def incompatibility(root: Path, wanted: Mapping[str, str], threads: int) -> str:
    """Say why this process, a worker with so many threads, must not make stages; "" if it may."""
    if mismatch := version_mismatch(versions_here(), wanted):
        return mismatch
    if threads > 1:
        return _too_many_threads(threads)
    if not (root / "config.toml").exists():
        return f"does not see the folder {root}; use a folder on a disk that all workers share"
    # Measured before `make` sets a limit: OpenBLAS may ignore that outside the main thread.
    blas = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    if max(blas, default=1) > 1:
        return (
            f"has {max(blas)} BLAS threads, whose number changes the last bits of results; start "
            "it with OPENBLAS_NUM_THREADS=1 and MKL_NUM_THREADS=1"
        )
    return ""


def _too_many_threads(count: int) -> str:
    return f"has {count} threads, but stages need a process each; start it with --nthreads 1"


class IncompatibleWorkerError(InputError):
    """A worker must not take part: other code, another folder, or too many threads."""

    def __init__(self, address: str, reason: str) -> None:
        """Take the worker's address and what is wrong with it."""
        super().__init__(address, reason)  # both, for pickle
        self.address, self.reason = address, reason

    def __str__(self) -> str:
        """Return the message."""
        return f"scheduler: worker {self.address} {self.reason}"


class WorkerPool:
    """The workers of a scheduler as they come and go.

    Attributes:
        refused: number of workers refused so far.
    """

    def __init__(self, client: Client) -> None:
        """Take a client of the scheduler."""
        self.refused = 0
        self._client = client
        self._compatible: set[str] = set()
        self._incompatible: set[str] = set()  # until they have left
        self._other_arithmetic: set[str] = set()
        self._next_poll = 0.0
        self._empty_since: float | None = None
        self._warned = self._any_yet = False

    def poll(self, *, now: bool = False) -> None:
        """Check new workers, once a second or now, and warn if there has been none for a while.

        Raises:
            IncompatibleWorkerError: new workers are incompatible, and there is no other.
        """
        if self._client.status != "running" or (not now and time.monotonic() < self._next_poll):
            return
        self._next_poll = time.monotonic() + _POLL_INTERVAL
        try:
            threads = self._client.nthreads()
            self._compatible &= set(threads)
            self._incompatible &= set(threads)
            new = set(threads) - self._compatible - self._incompatible
            self._refuse(self._check({worker: threads[worker] for worker in new}))
        except OSError:  # the scheduler is gone, which the tasks will report
            return
        self._warn_if_empty()

    def is_to_blame(self, futures: Iterable[Future], refused: int) -> bool:
        """Return whether these tasks may have failed because of an incompatible worker.

        That is so if one was found since `refused` was read, as its tasks fail in any way.

        Raises:
            IncompatibleWorkerError: there is no other worker.
        """
        self.poll(now=True)
        errors = [future.exception() for future in futures if future.status == "error"]
        if not errors:
            return False
        reports = [error for error in errors if isinstance(error, IncompatibleWorkerError)]
        # Other tasks may have reported the same worker, which has left by now.
        self._refuse(
            {each.address: each.reason for each in reports if each.address in self._compatible}
        )
        return bool(reports) or self.refused > refused

    def _check(self, new: Mapping[str, int]) -> dict[str, str]:
        """Return which of the new workers (with their threads) are incompatible, and why."""
        reasons = {worker: _too_many_threads(count) for worker, count in new.items() if count > 1}
        ours = versions_here()
        answers = self._ask([worker for worker in new if worker not in reasons], eval, _FACTS)
        # Another psiprune may lack `facts_here`; an OSError is of a worker that has left.
        failed = [w for w, a in answers.items() if not isinstance(a, dict | OSError)]
        for worker, answer in self._ask(failed, version, "psiprune").items():
            answers[worker] = {"psiprune": answer} if isinstance(answer, str) else answer
        for worker, answer in answers.items():
            if isinstance(answer, PackageNotFoundError):
                reasons[worker] = f"has no psiprune; install psiprune {ours['psiprune']} there"
            elif not isinstance(answer, dict):
                continue
            elif mismatch := version_mismatch(answer, ours):
                reasons[worker] = mismatch
            else:
                self._compatible.add(worker)
                self._warn_of_arithmetic(worker, answer)
        return reasons

    def _warn_of_arithmetic(self, worker: str, theirs: Mapping[str, str]) -> None:
        """Warn of a CPU family that no worker before had, and this process has not."""
        for name, ours in arithmetic().items():
            found = theirs[name]
            if found != ours and found not in self._other_arithmetic:
                self._other_arithmetic.add(found)
                warn(
                    f"scheduler: worker {worker} computes with {name} {found}, this process with "
                    f"{ours}: results agree statistically, not to the bit; for identical bits, "
                    "start all workers on one type of node"
                )

    def _ask(
        self, workers: Sequence[str], function: Callable[..., object], argument: str
    ) -> dict[str, object]:
        """Call a function of Python's standard library on workers; an error stands for a result."""
        if not workers:
            return {}
        answers: dict[str, object] = self._client.run(
            function, argument, workers=workers, on_error="return"
        )
        return answers

    def _refuse(self, reasons: Mapping[str, str]) -> None:
        errors = [
            IncompatibleWorkerError(worker, reason)
            for worker, reason in reasons.items()
            if worker not in self._incompatible
        ]
        if not errors:
            return
        workers = [error.address for error in errors]
        self._compatible.difference_update(workers)
        if not self._compatible:
            raise errors[0]
        for error in errors:
            warn(f"{error}; closing it and continuing with the others")
        self.refused += len(errors)
        self._incompatible.update(workers)
        self._client.retire_workers(workers, close_workers=True)

    def _warn_if_empty(self) -> None:
        if self._compatible:
            self._any_yet, self._warned, self._empty_since = True, False, None
        elif self._empty_since is None:
            self._empty_since = time.monotonic()
        elif not self._warned and time.monotonic() - self._empty_since > _QUIET:
            self._warned = True
            address = self._client.scheduler.address
            advice = (
                f"start some with `dask worker {address} --nthreads 1`"
                if self._client.cluster is None
                else "check with squeue or qstat whether the jobs are pending"
            )
            state = "left" if self._any_yet else "yet"
            warn(f"scheduler: no workers {state} at {address}; waiting for workers: {advice}")
