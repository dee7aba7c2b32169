"""Copy what docs/masks.md shows of finished runs of `psiprune masks` into small files.

    python scripts/keep_masks.py RUN ... [--out docs/masks]

RUN/masks.nc becomes OUT/RUN.nc without measures that no figure or table of the page has.
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


def main() -> None:
    """Copy the runs given."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--out", type=Path, default=Path("docs/masks"))
    given = parser.parse_args()
    for run in given.runs:
        masks = read_dataset(run / "masks.nc", "masks")
        unused = [name for name in masks.data_vars if str(name).startswith(UNUSED)]
        file = write_dataset(given.out / f"{run.name}.nc", masks.drop_vars(unused), "masks", 6000)
        print(f"{file}: {file.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
