"""Copies of the user's observables in a run folder, and what to recompute when one changed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from psiprune.io.netcdf import write_bytes

_LOG = logging.getLogger(__name__)


def find_code(run: Path, places: Sequence[str]) -> tuple[str, ...]:
    """Return where each observable is now; a file that does not exist is taken from the copies.

    So a run can be resumed from another folder than the one its paths are relative to.
    """
    located, copies = [], _copies(run, places)
    for place in places:
        file, _, function = place.rpartition(":")
        source = _source(Path(file), copies[Path(file)])
        located.append(place if source == Path(file) else f"{source}:{function}")
    return tuple(located)


def _source(file: Path, copy: Path) -> Path:
    return copy if copy.is_file() and not file.is_file() else file


def _copies(run: Path, places: Sequence[str]) -> dict[Path, Path]:
    """Map each file of observables to its copy in the run; numbers keep equal file names apart."""
    files = dict.fromkeys(Path(place.rpartition(":")[0]) for place in places)
    return {
        file: run / "observables" / f"{number}-{file.name}" for number, file in enumerate(files, 1)
    }


def save_code(run: Path, places: Sequence[str], ends_search: bool) -> None:
    """Copy the files of observables into a run; delete the results of those that have changed.

    These are all observables of RBMs and, if a custom observable ends the search, every RBM of the
    search. Candidates and ensemble do not depend on observables and stay.

    Args:
        run: its folder.
        places: FILE.py:function of every observable.
        ends_search: whether a custom observable ends the search.

    Raises:
        OSError: a file cannot be read or written; its name is given.
    """
    copies = {copy: _source(file, copy).read_bytes() for file, copy in _copies(run, places).items()}
    if all(copy.exists() and copy.read_bytes() == code for copy, code in copies.items()):
        return
    outdated = [*(run / "observed").glob("*.nc"), run / "reconstruct.nc", run / "report.html"]
    if ends_search:
        outdated += [*(run / "path").glob("*.nc"), run / "smallest.nc"]
    outdated = [file for file in outdated if file.exists()]
    if outdated:
        _LOG.warning(
            "%s: custom observables have changed; recomputing %d files, keeping the ensemble",
            run,
            len(outdated),
        )
    for file in outdated:
        file.unlink(missing_ok=True)
    # Copy last: if interrupted before, the next start finds the change again.
    (run / "observables").mkdir(exist_ok=True)
    for copy, code in copies.items():
        write_bytes(copy, code)
