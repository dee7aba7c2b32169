"""Checkpoints of long trainings, beside the result that each is for."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import DivergenceError, InputError
from psiprune.core.text import shortened
from psiprune.io.netcdf import Arrays, read_arrays, write_arrays
from psiprune.io.paths import side_file
from psiprune.io.work_status import WorkStatus, note_kept, note_status, work_status

#: Seconds of training between two checkpoints: the most that a kill may cost.
SECONDS = 10.0
#: Trainings of fewer seconds are not worth a file.
LEAST = 2.0
#: What checksums in a training's fingerprint are of.
_NAMES = {"readout": "readout errors", "start": "initial RBM"}
_CHECKPOINT = re.compile(r"\.(.+)\.\d+\.checkpoint")
#: Numbers that a callback has noted, by epoch.
Notes = dict[int, tuple[float, ...]]


class Resumable(Protocol):
    """A state of training that can be stored as arrays."""

    @property
    def epoch(self) -> int:
        """Epochs done."""

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return all that the next epoch needs and a new start does not have."""

    def restore(self, epoch: int, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Return the state that gave these arrays; `self` is that before the first epoch."""


State = TypeVar("State", bound=Resumable)


class Checkpoints:
    """Checkpoints of the trainings that lead to one result: .NAME.K.checkpoint beside file NAME.

    A context: the block must end with the result written, and then the checkpoints are deleted.
    When it ends otherwise they stay, and the next start resumes from them.
    """

    def __init__(self, result: Path) -> None:
        """`result` is the file that the trainings lead to."""
        self._result = result
        self._trainings = 0  # begun so far
        self._before: WorkStatus = "not begun"

    def __enter__(self) -> Self:
        """Record that work is not lost from now on."""
        self._before = work_status()
        note_kept()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Delete the checkpoints once the result is written; else see whether there are any."""
        files = [self._file(number) for number in range(1, self._trainings + 1)]
        if kind is None:
            for file in files:
                file.unlink(missing_ok=True)
        elif not any(file.exists() for file in files):
            note_status(self._before)  # too short to be worth a file

    def next_file(self) -> Path:
        """Return the file of the next training."""
        self._trainings += 1
        return self._file(self._trainings)

    def _file(self, number: int) -> Path:
        return side_file(self._result, f"{number}.checkpoint")


def clear_outlived(folder: Path) -> None:
    """Delete the checkpoints in a folder whose result a killed start had already written."""
    for file in folder.iterdir():
        if (named := _CHECKPOINT.fullmatch(file.name)) and file.with_name(named[1]).exists():
            file.unlink(missing_ok=True)


class Checkpoint:
    """The context in which one training runs."""

    def __init__(
        self, checkpoints: Checkpoints | None, training: Callable[[], Mapping[str, object]]
    ) -> None:
        """Without `checkpoints` nothing is written. `training` returns all it follows from."""
        self._training = training
        self._file = None if checkpoints is None else checkpoints.next_file()
        self._newest: tuple[Resumable, Notes] | None = None
        self._since = time.monotonic()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def resume(self, start: State, notes: Notes) -> State:
        """Return the last state written, with its notes put into `notes`; else `start`.

        Raises:
            InputError: the checkpoint is damaged, or of another training.
        """
        if self._file is None or not self._file.exists():
            return start
        variables, attributes = read_arrays(self._file, "checkpoint")
        try:
            theirs, epoch = json.loads(attributes["training"]), int(attributes["epoch"])
            arrays = {name: values for name, (_, values) in variables.items()}
            for key, ours in self._training().items():
                if theirs.get(key) != ours:
                    raise InputError(
                        f"{self._file}: belongs to another training (other "
                        f"{_NAMES.get(key, key)}: {shortened(theirs.get(key))}, now "
                        f"{shortened(ours)}); delete it, or write to another file"
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
        """Take the state after an epoch, and write it if the last write was long ago."""
        self._newest = state, notes
        if time.monotonic() - self._since >= SECONDS:
            self._write()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write the last state, also after Ctrl-C; not after divergence, which would recur."""
        if isinstance(error, DivergenceError) and self._file is not None:
            self._file.unlink(missing_ok=True)
        ended = error is None or isinstance(error, KeyboardInterrupt)
        if ended and time.monotonic() - self._since >= LEAST:
            self._write()

    def _write(self) -> None:
        if self._file is None or self._newest is None:
            return
        state, notes = self._newest
        # An interrupted callback may have noted what belongs to the next epoch.
        noted = [(epoch, *row) for epoch, row in notes.items() if epoch <= state.epoch]
        arrays = {**state.to_arrays(), "notes": np.array(noted, np.float64)}
        variables: Arrays = {
            name: ([f"{name}_{axis}" for axis in range(array.ndim)], array, {})
            for name, array in arrays.items()
        }
        attrs = {"training": json.dumps(dict(self._training())), "epoch": state.epoch}
        write_arrays(self._file, variables, attrs, "checkpoint")
        self._newest, self._since = None, time.monotonic()
