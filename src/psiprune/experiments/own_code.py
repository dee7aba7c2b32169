"""The files of own observables that a run has used, and what is made again when one has changed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from psiprune.files import write_bytes

_LOG = logging.getLogger(__name__)


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
    files = dict.fromkeys(Path(place.rpartition(":")[0]) for place in places)
    # Two files of one name, of different folders, are told apart by their number.
    copies = {
        run / "observables" / f"{number}-{file.name}": file.read_bytes()
        for number, file in enumerate(files, 1)
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
