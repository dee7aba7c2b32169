"""Training warnings that say which of many RBMs they are about, also when files are read again."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from psiprune.core.exceptions import InputError, TrainingWarning
from psiprune.io.netcdf import read_dataset

#: What this thread is training, such as "h=1, seed 0".
_name: ContextVar[str] = ContextVar("name", default="")


@contextmanager
def training_named(name: str) -> Iterator[None]:
    """Name what this thread trains, for `named_warnings`."""
    before = _name.set(name)
    try:
        yield
    finally:
        _name.reset(before)


@contextmanager
def named_warnings() -> Iterator[None]:
    """Put the name of the training before each training warning, in all threads."""
    show = warnings.showwarning

    def show_named(message: Warning | str, category: type[Warning], *where: Any) -> None:
        name = _name.get()
        if name and issubclass(category, TrainingWarning):
            message = TrainingWarning(f"{name}: {message}")
        show(message, category, *where)

    # Not `catch_warnings`, which would also drop filters that another thread sets meanwhile.
    warnings.showwarning = show_named  # type: ignore[assignment]
    try:
        yield
    finally:
        warnings.showwarning = show


@contextmanager
def collected_warnings() -> Iterator[list[str]]:
    """Collect the texts of training warnings instead of showing them; show all others."""
    texts: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always", TrainingWarning)
        show = warnings.showwarning

        def collect(message: Warning | str, category: type[Warning], *where: Any) -> None:
            if issubclass(category, TrainingWarning):
                texts.append(str(message))
            else:
                show(message, category, *where)

        warnings.showwarning = collect  # type: ignore[assignment]
        yield texts


def repeat_warnings(provenance: Mapping[Any, Any]) -> None:
    """Warn again of what `train` warned of, as the provenance of the RBM records it."""
    for text in str(provenance.get("training_warnings", "")).splitlines():
        warnings.warn(text, TrainingWarning, stacklevel=2)


def repeat_warnings_of_run(folder: Path) -> None:
    """Warn again of all trainings of a finished experiment, with field and seed.

    A damaged file is skipped, as what is finished needs it no more.
    """
    with named_warnings():
        for file in sorted(folder.glob("h=*/seed-*/[!.]*.nc")):
            if file.match("level-*") and file.name != "level-00.nc":
                continue  # fine-tuning is not checked
            field, seed = file.parts[-3:-1]
            dense = file.stem in ("level-00", "dense")
            which = "" if dense else f", {file.stem}"
            name = f"{field}, {seed.replace('-', ' ', 1)}{which}"
            with training_named(name), suppress(InputError):
                repeat_warnings(read_dataset(file).attrs)
