"""Copy what docs/masks.md and lattice.md show of runs of `psiprune masks` into small files.

    python scripts/keep_masks.py RUN ... [--out docs/masks]

RUN/masks.nc becomes OUT/RUN.nc without measures that no figure or table of the pages has.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from psiprune.io.netcdf import read_dataset, write_dataset

#: Beginnings of the names of what is left out.
UNUSED = (
    *("components", "infidelity", "correlation_mse", "magnetization", "abs_magnetization_error"),
    *("mps_infidelity", "energy_error"),
)
#: What lattice.md shows in addition, as its structure factor at wavevector 0.
OF_LATTICES = ("magnetization_distribution", "magnetization_distribution_reference")


def main() -> None:
    """Copy the runs given."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--out", type=Path, default=Path("docs/masks"))
    given = parser.parse_args()
    for run in given.runs:
        masks = read_dataset(run / "masks.nc", "masks")
        used = OF_LATTICES if "hamiltonian" in masks.coords else ()
        unused = {name for name in masks.data_vars if str(name).startswith(UNUSED)} - {*used}
        file = write_dataset(given.out / f"{run.name}.nc", masks.drop_vars(unused), "masks", 6000)
        print(f"{file}: {file.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
