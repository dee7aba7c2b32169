"""Checkpoints of long trainings, beside the result that each is for."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from psiprune.core.exceptions import DivergenceError, InputError
from psiprune.io.netcdf import read_dataset, write_dataset
from psiprune.io.work_status import note_kept

#: Seconds of training between two checkpoints: the most that a kill may cost.
SECONDS = 10.0
#: What took less, in seconds, is not worth a file.
LEAST = 2.0
#: Numbers that a watcher of training has noted, by epoch.
Notes = dict[int, tuple[float, ...]]


class Resumable(Protocol):
    """A state of training that can be kept as arrays."""

    @property
    def epoch(self) -> int:
        """Epochs done."""

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """All that the next epoch needs and a new start does not know."""

    def restore(self, epoch: int, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """From the state before the first epoch, the one that gave these arrays."""


State = TypeVar("State", bound=Resumable)


@dataclass
class _Result:
    file: Path
    trainings: int = 0  # begun so far

    def checkpoint(self, number: int) -> Path:
        return self.file.with_name(f".{self.file.name}.{number}.checkpoint")


_result: ContextVar[_Result | None] = ContextVar("result", default=None)


@contextmanager
def checkpointing(result: Path) -> Iterator[None]:
    """Keep each training of this block in .NAME.K.checkpoint beside `result`, the file NAME.

    The block must end with the result written: then the checkpoints go. When it ends otherwise
    they stay, and the next start takes them up.
    """
    note_kept()
    here = _Result(result)
    token = _result.set(here)
    try:
        yield
    finally:
        _result.reset(token)
    for number in range(1, here.trainings + 1):
        here.checkpoint(number).unlink(missing_ok=True)


def clear_outlived(folder: Path) -> None:
    """Remove the checkpoints in a folder whose result a killed start had written already."""
    for file in folder.rglob(".*.checkpoint"):
        name = file.name[1:].rsplit(".", 2)[0]
        if file.with_name(name).exists():
            file.unlink()


class Checkpoint:
    """The context in which one training runs; outside `checkpointing` it keeps nothing."""

    def __init__(self, training: Callable[[], Mapping[str, object]]) -> None:
        """`training` tells what all numbers of this training follow from."""
        self._training = training
        self._file: Path | None = None
        here = _result.get()
        if here is not None:
            here.trainings += 1
            self._file = here.checkpoint(here.trainings)
        self._newest: tuple[Resumable, Notes] | None = None
        self._since = time.monotonic()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def resume(self, start: State, notes: Notes) -> State:
        """The state that was kept last, and into `notes` what was noted until then; else `start`.

        Raises:
            InputError: the checkpoint is damaged, or of another training.
        """
        if self._file is None or not self._file.exists():
            return start
        found = read_dataset(self._file, "checkpoint")
        try:
            theirs, epoch = json.loads(found.attrs["training"]), int(found.attrs["epoch"])
            arrays = {str(name): found[name].values for name in found.variables}
            for key, ours in self._training().items():
                if theirs.get(key) != ours:
                    raise InputError(
                        f"{self._file}: is of another training ({key} = {theirs.get(key)}, this "
                        f"one {ours}); delete it, or write to another place"
                    )
            state = start.restore(epoch, arrays)
            notes.update({int(row[0]): tuple(row[1:]) for row in arrays["notes"].tolist()})
        except InputError:
            raise
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise InputError(
                f"{self._file}: not a checkpoint of this training ({error!r}); delete it"
            ) from None
        return state

    def offer(self, state: Resumable, notes: Notes) -> None:
        """The state after an epoch: written if the last one is long ago."""
        self._newest = state, notes
        if time.monotonic() - self._since >= SECONDS:
            self._write()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Keep the end, or where Ctrl-C came; not what diverged, as it would do so again."""
        if isinstance(error, DivergenceError) and self._file is not None:
            self._file.unlink(missing_ok=True)
        ended = error is None or isinstance(error, KeyboardInterrupt)
        if ended and time.monotonic() - self._since >= LEAST:
            self._write()

    def _write(self) -> None:
        if self._file is None or self._newest is None:
            return
        state, notes = self._newest
        # A watcher that was interrupted may have noted what belongs to the epoch after.
        noted = [(epoch, *row) for epoch, row in notes.items() if epoch <= state.epoch]
        arrays = {**state.to_arrays(), "notes": np.array(noted, np.float64)}
        variables = {
            name: ([f"{name}_{axis}" for axis in range(array.ndim)], array)
            for name, array in arrays.items()
        }
        attrs = {"training": json.dumps(dict(self._training())), "epoch": state.epoch}
        write_dataset(self._file, xr.Dataset(variables, attrs=attrs), "checkpoint")
        self._newest, self._since = None, time.monotonic()
