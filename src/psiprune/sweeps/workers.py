"""The workers of a scheduler: which of them may take part in a sweep, and whether any is there."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from threadpoolctl import threadpool_info
from tqdm import tqdm

from psiprune.core.exceptions import InputError
from psiprune.sweeps.versions import difference, versions_here

if TYPE_CHECKING:
    from distributed import Client, Future

#: Seconds between looks at workers that came; seconds without one after which that is told.
_LOOK, _QUIET = 1.0, 10.0
#: An expression that any Python understands, and that fails where psiprune is another one.
_VERSIONS = "__import__('importlib').import_module('psiprune.sweeps.versions').versions_here()"


class IncompatibleWorkerError(InputError):
    """A worker that must not take part: other code, another folder, too many threads."""

    def __init__(self, address: str, why: str) -> None:
        """Of the worker at this address, to which this happens."""
        super().__init__(address, why)  # as it is pickled
        self.address, self.why = address, why

    def __str__(self) -> str:
        """One line."""
        return f"scheduler: worker {self.address} {self.why}"


class WorkerPool:
    """The workers of a scheduler as they come and go.

    Attributes:
        refused: how many had to be refused so far.
    """

    def __init__(self, client: Client) -> None:
        """Of the scheduler of this client."""
        self.refused = 0
        self._client = client
        self._fit: set[str] = set()
        self._wrong: set[str] = set()  # until they are gone
        self._next = 0.0
        self._empty_since: float | None = None
        self._told = self._any_yet = False

    def look(self, *, now: bool = False) -> None:
        """Ask workers that are new, once a second or now; tell if for some time none is there.

        Raises:
            IncompatibleWorkerError: new ones are wrong, and no other is there.
        """
        if self._client.status != "running" or (not now and time.monotonic() < self._next):
            return
        self._next = time.monotonic() + _LOOK
        try:
            there = self._client.nthreads()
            self._fit &= set(there)
            self._wrong &= set(there)
            new = {each: there[each] for each in set(there) - self._fit - self._wrong}
            self._refuse(self._asked(new))
        except OSError:  # the scheduler is gone, which its tasks will say
            return
        self._tell_if_empty()

    def excuses(self, futures: Iterable[Future], refused: int) -> bool:
        """Whether these may have failed by a worker that was refused, not by themselves.

        That is so if there was one since `refused` was counted, as its tasks fail with anything.

        Raises:
            IncompatibleWorkerError: no other worker is there.
        """
        self.look(now=True)
        errors = [future.exception() for future in futures if future.status == "error"]
        if not errors:
            return False
        told = [error for error in errors if isinstance(error, IncompatibleWorkerError)]
        # Others may have told of the same worker, which is gone by now.
        self._refuse({each.address: each.why for each in told if each.address in self._fit})
        return bool(told) or self.refused > refused

    def _asked(self, new: Mapping[str, int]) -> dict[str, str]:
        """Those of the new workers that must not take part, with the cause; the others are fit.

        By functions of Python's own, since another version need not have one of ours.
        """
        wrong = {each: _threads_rule(count) for each, count in new.items() if count > 1}
        rest = [each for each in new if each not in wrong]
        ours, same = versions_here(), []
        for worker, theirs in self._answers(rest, version, "psiprune").items():
            if isinstance(theirs, PackageNotFoundError):
                wrong[worker] = f"has no psiprune; it needs {version('psiprune')}"
            elif theirs == version("psiprune"):
                same.append(worker)
            elif isinstance(theirs, str):
                wrong[worker] = difference({"psiprune": theirs}, ours)
        for worker, theirs in self._answers(same, eval, _VERSIONS).items():
            if isinstance(theirs, ImportError | AttributeError):  # it cannot tell, as we can
                theirs = {"psiprune": version("psiprune")}
            if not isinstance(theirs, dict):  # it is gone, or will be asked again
                continue
            why = difference(theirs, ours)
            if why:
                wrong[worker] = why
            else:
                self._fit.add(worker)
        return wrong

    def _answers(
        self, workers: Sequence[str], function: Callable[..., object], argument: str
    ) -> dict[str, object]:
        """What each says; an error where it cannot."""
        if not workers:
            return {}
        found: dict[str, object] = self._client.run(
            function, argument, workers=workers, on_error="return"
        )
        return found

    def _refuse(self, wrong: Mapping[str, str]) -> None:
        new = {each: why for each, why in wrong.items() if each not in self._wrong}
        self._fit -= set(new)
        errors = [IncompatibleWorkerError(address, why) for address, why in new.items()]
        if errors and not self._fit:
            raise errors[0]
        for error in errors:
            tell(f"{error}; it is closed, and the others go on")
            self.refused += 1
            self._wrong.add(error.address)
        if errors:
            self._client.retire_workers(list(new), close_workers=True)

    def _tell_if_empty(self) -> None:
        if self._fit:
            self._any_yet, self._told, self._empty_since = True, False, None
        elif self._empty_since is None:
            self._empty_since = time.monotonic()
        elif not self._told and time.monotonic() - self._empty_since > _QUIET:
            self._told = True
            address = self._client.scheduler.address
            way = (
                f"start some with `dask worker {address} --nthreads 1`"
                if self._client.cluster is None
                else "those that start take part; squeue or qstat tells of jobs"
            )
            gone = "are left" if self._any_yet else "yet"
            tell(f"scheduler: no workers {gone} at {address}; waiting for them: {way}")


def tell(line: str) -> None:
    """A line on standard error that leaves the bar of progress whole."""
    tqdm.write(line, file=sys.stderr)


def unfit(root: Path, wanted: Mapping[str, str], threads: int) -> str:
    """Why this process must not make stages of a sweep, as one that has so many threads; or ""."""
    why = difference(versions_here(), wanted)
    if why:
        return why
    if threads > 1:
        return _threads_rule(threads)
    if not (root / "config.toml").exists():
        return f"does not see this folder; give one on a disk that all workers share: {root}"
    # Before the limit, which OpenBLAS may ignore as a task does not run in the main thread.
    blas = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    if max(blas, default=1) > 1:
        return (
            f"has {max(blas)} BLAS threads, whose number shows in the last bit; start it with "
            "OPENBLAS_NUM_THREADS=1 and MKL_NUM_THREADS=1"
        )
    return ""


def _threads_rule(count: int) -> str:
    return (
        f"has {count} threads, and what several write at once differs in its bytes; start it with "
        "--nthreads 1"
    )
