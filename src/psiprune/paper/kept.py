"""Read a finished run of the paper, or keep a small copy of it from which it can be judged again.

A copy has the same files in the same places as the folder of a run: config.toml, provenance.json,
claims.json, times, STAGE/STAGE.nc and derived/NAME.nc. It lacks RBMs, shots and what nothing reads,
and holds single precision, which is read as double.
"""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np
import xarray as xr

from psiprune.core.exceptions import InputError
from psiprune.io.netcdf import read_dataset, write_dataset
from psiprune.io.run import check_configuration
from psiprune.io.toml import read_toml
from psiprune.paper.settings import PaperSettings
from psiprune.paper.stages import DERIVED, TIMES, TIMING, Paper, read_timing, stages_of

#: Files of a run beside its datasets.
_FILES = ("config.toml", "provenance.json", TIMES, TIMING)
#: Derived datasets that only the report's slider shows.
_SHOWN = ("models",)
#: Variables that no claim, table or figure reads, by the datasets that have them.
_UNREAD = {
    "*": "fidelity.*|entropy.*|renyi2.*|energy_variance.*|energy_floor|history_magnetization",
    "size-*": "magnetization_distribution.*|history_.*",
    "robust-*": "correlation|correlation_error|history_.*",
    "schedule-*": "magnetization_distribution.*|history_.*|correlation|correlation_error",
}
#: Bytes beyond which a variable gets smaller by compression.
_COMPRESSED = 4000


def read_paper(folder: Path) -> Paper:
    """Return the results of a finished run, or of a copy of it, without running anything.

    Raises:
        InputError: the folder holds no run of `psiprune paper`, or one that is not finished; a
            stage has other settings than the run; or a file is damaged.
    """
    settings = read_settings(folder)
    files = _files_of(settings, folder)
    for name, file in files.items():
        if not file.exists():
            raise InputError(
                f"{file}: is missing, and claims need the dataset {name}; finish the run first, by "
                f"psiprune paper --config {folder / 'config.toml'} --out {folder}"
            )
    for stage in stages_of(settings):
        if (folder / stage.name).is_dir():  # a copy has no RBMs, so none of the graph's
            check_configuration(folder / stage.name, stage.settings.for_size())
    datasets = {name: _widened(read_dataset(file)) for name, file in files.items()}
    return Paper(settings, datasets, read_timing(folder / TIMING))


def read_settings(folder: Path) -> PaperSettings:
    """Return the settings of a run.

    Raises:
        InputError: it is not one of `psiprune paper`, or one of a version with other settings.
    """
    config = folder / "config.toml"
    try:
        return PaperSettings(**read_toml(config))
    except InputError as error:
        if not config.exists():
            raise InputError(f"{folder}: holds no run (no config.toml)") from None
        raise InputError(
            f"{config}: not a run of psiprune paper by this version ({error}); give another folder"
        ) from None


def copy_paper(run: Path, folder: Path) -> None:
    """Copy into an empty folder what judging a finished run and drawing its figures take.

    Raises:
        InputError: the run is not finished, or a file in it is damaged.
        OSError: the folder cannot be written.
    """
    for name in _FILES:
        if (run / name).exists():
            copyfile(run / name, folder / name)
    settings = read_settings(run)
    for name, file in _files_of(settings, run).items():
        kept = folder / file.relative_to(run)
        kept.parent.mkdir(exist_ok=True)
        dataset = read_dataset(file)
        kind = str(dataset.attrs["psiprune_kind"])
        write_dataset(kept, narrowed(name, dataset), kind, _COMPRESSED)
    for stage in stages_of(settings):
        if (folder / stage.name).exists():
            for name in _FILES[:2]:
                copyfile(run / stage.name / name, folder / stage.name / name)


def narrowed(kind: str, dataset: xr.Dataset) -> xr.Dataset:
    """Return what is read of a dataset of this name, its numbers in narrow types.

    Floating-point numbers get 24 bits, integers as many as their values take. Coordinates stay as
    they are, as data is selected by them.
    """
    patterns = [unread for kinds, unread in _UNREAD.items() if fnmatch(kind, kinds)]
    unread = re.compile("|".join(patterns))
    read = dataset.drop_vars([name for name in dataset if unread.fullmatch(str(name))])
    return read.assign({name: each.astype(_narrow(each)) for name, each in read.items()})


def _narrow(values: xr.DataArray) -> np.dtype[Any]:
    if values.dtype.kind == "f":
        return np.dtype(np.float32)
    if values.dtype.kind in "iu":
        return np.result_type(np.int8, *map(np.min_scalar_type, (values.min(), values.max())))
    return values.dtype


def _widened(dataset: xr.Dataset) -> xr.Dataset:
    """Undo the change of types in `narrowed`."""
    wide = {"f": np.float64, "i": np.int64}
    return dataset.assign(
        {
            name: each.astype(wide[each.dtype.kind])
            for name, each in dataset.items()
            if each.dtype.kind in wide
        }
    )


def _files_of(settings: PaperSettings, run: Path) -> dict[str, Path]:
    """The files of the datasets by which a run is judged, by name."""
    stages = {stage.name: stage.file_in(run) for stage in stages_of(settings)}
    derived = {name: run / "derived" / f"{name}.nc" for name in DERIVED if name not in _SHOWN}
    return stages | derived
