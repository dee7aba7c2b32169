"""Write shots in the formats of other packages."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.data.formats.numpy import write_npz
from psiprune.data.formats.qiskit import write_counts
from psiprune.data.formats.stim import write_b8
from psiprune.data.formats.text import write_text
from psiprune.data.shots import ShotsLike, as_shots
from psiprune.io.netcdf import write_bytes
from psiprune.io.paths import B8, JSON, NPZ, TEXT, check_suffix

#: Functions that turn bits into the content of a file, by format.
SHOT_FORMATS: dict[str, Callable[[NDArray[np.uint8]], bytes]] = {
    "text": write_text,
    "numpy": lambda bits: write_npz({"bits": bits}),
    "qiskit": write_counts,
    "stim-b8": write_b8,
}
_CONTENT = {"text": TEXT, "numpy": NPZ, "qiskit": JSON, "stim-b8": B8}


def export_shots(shots: ShotsLike, path: str | os.PathLike[str], format: str) -> Path:
    """Write shots as text, as .npz with the array `bits`, as Qiskit counts or as Stim's b8.

    Counts lose the order of the shots, and a b8 file does not hold the number of sites. No format
    can hold readout errors: the recorded bits are written.

    Raises:
        InputError: there is no such format, the file's suffix belongs to another one, or the shots
            were not measured in Z: none of the formats can record the basis.
        OSError: the file cannot be written.
    """
    if format not in SHOT_FORMATS:
        raise InputError(
            f"format: shots can be written as {', '.join(SHOT_FORMATS)}, found {format!r}"
        )
    check_suffix(path, _CONTENT[format])
    shots = as_shots(shots)
    if shots.basis != "Z":
        raise InputError(
            f"{shots.source}: was measured in basis {shots.basis}, which the format {format} "
            "cannot record; save the shots with Shots.save"
        )
    return write_bytes(path, SHOT_FORMATS[format](shots.bits))
