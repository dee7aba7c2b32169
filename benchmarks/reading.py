"""What reading HDF5 in a separate process costs: milliseconds per file, with and without it.

Files that this process wrote itself are read directly; the same bytes under another name go through
the process of `psiprune.io.hdf5_guard`, which is started and warm. The goal is below 30 ms more for
each file: shots (10 sites), an RBM, and a dataset of 65 variables. Seconds of one core.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import xarray as xr

import peers
import psiprune as pp
from psiprune.io import hdf5_guard
from psiprune.io.netcdf import read_dataset, write_dataset


def main() -> None:
    args = peers.options(__doc__)
    about = peers.header("Reading NetCDF files, median of 30, milliseconds")
    with tempfile.TemporaryDirectory() as folder:
        rows = [measure(file) for file in files(Path(folder))]
    peers.show(rows)
    peers.save(args.json, about, reading=rows)


def files(folder: Path) -> list[Path]:
    state = pp.ground_state(pp.TFIM(sites=10))
    shots = pp.sample(state, 5000, seed=peers.SEED)
    many = {f"variable_{k}": ("level", np.arange(20.0) + k) for k in range(65)}
    return [
        shots.save(folder / "shots.nc"),
        pp.train(shots, hidden=5).save(folder / "rbm.nc"),
        write_dataset(folder / "dataset.nc", xr.Dataset(many), "benchmark"),
    ]


def measure(file: Path) -> peers.Row:
    direct = median(file)
    hdf5_guard._own.clear()  # as in a process that did not write the file
    separate = median(file)
    hdf5_guard.mark_own(file.read_bytes())
    return {
        "file": file.name,
        "kB": file.stat().st_size / 1000,
        "direct": direct,
        "separate": separate,
        "more": separate - direct,
    }


def median(file: Path, repeats: int = 30) -> float:
    read_dataset(file)  # starts the process
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        read_dataset(file)
        seconds.append(time.perf_counter() - begin)
    return 1000 * sorted(seconds)[repeats // 2]


if __name__ == "__main__":
    main()
