"""The files of a run on shots in several bases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from psiprune.core.exceptions import InputError
from psiprune.io.netcdf import read_dataset
from psiprune.reconstruction.bases.settings import BasesSettings

#: The kind of its reconstruct.nc.
KIND = "reconstruct_bases"


def choice_file(hidden: int, phase_hidden: int) -> Path:
    """Return the file of a candidate, relative to the folder of the run."""
    return Path("choice") / f"hidden-{hidden}-{phase_hidden}.nc"


def expected_files(settings: BasesSettings, folder: Path) -> Iterator[Path]:
    """List the files of a finished run, relative to its folder, the report last.

    The search decides which states it needs, so reconstruct.nc lists them; until it exists they are
    left out.
    """
    yield Path("split.nc")
    for size in settings.sizes(0):  # a run writes its sizes to config.toml
        yield choice_file(*size)
    for seed in range(settings.seed, settings.seed + settings.seeds):
        yield Path(f"ensemble/seed-{seed}.nc")
    try:
        names = read_dataset(folder / "reconstruct.nc", KIND)["trial_name"].values.tolist()
    except (InputError, KeyError):  # does not exist yet, or is reported as damaged
        names = []
    yield from (Path(f"path/{name}.nc") for name in names)
    yield from map(Path, ("smallest.nc", "reconstruct.nc", "report.html"))
