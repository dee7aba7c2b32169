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
from psiprune.data.shots import Shots, ShotsLike, as_shots
from psiprune.io.netcdf import write_bytes
from psiprune.io.paths import B8, JSON, NPZ, TEXT, check_suffix


def _names(shots: Shots) -> NDArray[np.str_]:
    """Return the basis of each shot, [shot]."""
    return np.array(shots.bases)[shots.basis_of]


def _text(shots: Shots) -> bytes:
    lines = write_text(shots.bits)
    if shots.basis == "Z":
        return lines
    pairs = zip(lines.splitlines(), _names(shots).tolist(), strict=True)
    return b"".join(b"%s %s\n" % (line, name.encode()) for line, name in pairs)


def _numpy(shots: Shots) -> bytes:
    bases = {} if shots.basis == "Z" else {"bases": _names(shots)}
    return write_npz({"bits": shots.bits, **bases})


def _netket(shots: Shots) -> bytes:
    return write_npz({"sigma": 1.0 - 2.0 * shots.bits, "bases": _names(shots)})


#: Functions that turn shots into the content of a file, by format.
SHOT_FORMATS: dict[str, Callable[[Shots], bytes]] = {
    "text": _text,
    "numpy": _numpy,
    "qucumber": lambda shots: write_text(shots.bits),
    "netket": _netket,
    "qiskit": lambda shots: write_counts(shots.bits),
    "stim-b8": lambda shots: write_b8(shots.bits),
}
_CONTENT = {
    **{"text": TEXT, "numpy": NPZ, "qucumber": TEXT, "netket": NPZ},
    **{"qiskit": JSON, "stim-b8": B8},
}
_WITHOUT_BASES = ("qiskit", "stim-b8")


def export_shots(shots: ShotsLike, path: str | os.PathLike[str], format: str) -> Path:
    """Write shots as text, .npz, QuCumber's or NetKet's data, Qiskit counts or Stim's b8.

    Bases other than Z are a column of letters in "text" and the array `bases` in "numpy", beside
    `bits`. "qucumber" writes the samples and, beside them, NAME_bases.txt; "netket" an .npz with
    `sigma` (+1 for bit 0) and `bases`, the two arrays of its `QSR`. Counts lose the order of the
    shots, and a b8 file does not hold the number of sites. No format can hold readout errors: the
    recorded bits are written.

    Raises:
        InputError: there is no such format, the file's suffix belongs to another one, or the shots
            were not measured in Z and the format cannot record that.
        OSError: the file cannot be written.
    """
    if format not in SHOT_FORMATS:
        raise InputError(
            f"format: shots can be written as {', '.join(SHOT_FORMATS)}, found {format!r}"
        )
    check_suffix(path, _CONTENT[format])
    shots = as_shots(shots)
    if shots.basis != "Z" and format in _WITHOUT_BASES:
        raise InputError(
            f"{shots.source}: was measured in basis {shots.basis}, which the format {format} "
            "cannot record; save the shots with Shots.save, or export them as text"
        )
    if format == "qucumber":
        lines = (" ".join(name) for name in _names(shots).tolist())
        write_bytes(bases_beside(path), "".join(f"{line}\n" for line in lines).encode())
    return write_bytes(path, SHOT_FORMATS[format](shots))


def bases_beside(path: str | os.PathLike[str]) -> Path:
    """Return the name of QuCumber's file of bases beside a file of samples."""
    return Path(path).with_name(f"{Path(path).stem}_bases.txt")
