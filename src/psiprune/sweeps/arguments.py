"""What a sweep is called with in Python, checked before anything is made or started."""

from __future__ import annotations

import os
import sys
from multiprocessing import current_process
from pathlib import Path

from psiprune.core.exceptions import InputError


def check_folder(folder: object) -> None:
    """Raise InputError unless this can be a folder's path."""
    if not isinstance(folder, str | os.PathLike):
        raise InputError(f"folder: must be a path, found {folder!r}")


def check_scheduler(scheduler: object) -> None:
    """Raise InputError unless this can be an engine's name or an address."""
    if not isinstance(scheduler, str) or not scheduler.strip():
        raise InputError(
            "scheduler: must be local, serial, slurm, pbs or the address of a Dask scheduler, such "
            f"as tcp://10.0.0.1:8786, found {scheduler!r}; leave it out for local"
        )


def check_program() -> None:
    """Refuse a program that workers of this machine cannot import.

    Raises:
        InputError: it is in no file.
        SystemExit: this is such a worker, and the import has come to a sweep; its parent says so.
    """
    if getattr(current_process(), "_inheriting", False):
        raise SystemExit(1)
    file = getattr(sys.modules["__main__"], "__file__", None)
    if file is not None and not Path(file).exists():
        raise InputError(
            f"scheduler: local workers import the program, which is in no file ({file}); write it "
            "to one, or give serial"
        )
