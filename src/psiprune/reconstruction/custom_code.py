"""The files of own observables that a run has used, and what is made again when one has changed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from psiprune.io.netcdf import write_bytes

_LOG = logging.getLogger(__name__)


def found_places(run: Path, places: Sequence[str]) -> tuple[str, ...]:
    """Where the own observables are now: a file that is not there is taken from the run's copies.

    So a run can be taken up from another folder than the one that its paths begin in.
    """
    found = []
    copies = _copies(run, places)
    for place in places:
        file, _, function = place.rpartition(":")
        copy = copies[Path(file)]
        found.append(f"{copy}:{function}" if _lies_in_run(Path(file), copy) else place)
    return tuple(found)


def _lies_in_run(file: Path, copy: Path) -> bool:
    return copy.is_file() and not file.is_file()


def _copies(run: Path, places: Sequence[str]) -> dict[Path, Path]:
    """Each file of own observables with its copy in a run."""
    files = dict.fromkeys(Path(place.rpartition(":")[0]) for place in places)
    # Two files of one name, of different folders, are told apart by their number.
    return {
        file: run / "observables" / f"{number}-{file.name}" for number, file in enumerate(files, 1)
    }


def keep_code(run: Path, places: Sequence[str], ends_search: bool) -> None:
    """Copy the files of own observables into a run; where one has changed, drop what rests on it.

    That is what RBMs say of the observables and, if an own one ends the search, every RBM of the
    search. The models to choose from and the ensemble stay, which no observable had a part in.

    Args:
        run: its folder.
        places: FILE.py:function of every own observable.
        ends_search: whether the measure is an own observable.

    Raises:
        OSError: a file cannot be read or written, and is named.
    """
    copies = {
        copy: (copy if _lies_in_run(file, copy) else file).read_bytes()
        for file, copy in _copies(run, places).items()
    }
    if all(copy.exists() and copy.read_bytes() == code for copy, code in copies.items()):
        return
    resting = [*(run / "observed").glob("*.nc"), run / "reconstruct.nc", run / "report.html"]
    if ends_search:
        resting += [*(run / "path").glob("*.nc"), run / "smallest.nc"]
    gone = [file for file in resting if file.exists()]
    if gone:
        _LOG.warning(
            "%s: its own observables have changed; %d files that rest on them are made again, the "
            "trained ensemble stays",
            run,
            len(gone),
        )
    for file in gone:
        file.unlink(missing_ok=True)
    # Last, so that a start which is stopped before finds the difference once more.
    (run / "observables").mkdir(exist_ok=True)
    for copy, code in copies.items():
        write_bytes(copy, code)
