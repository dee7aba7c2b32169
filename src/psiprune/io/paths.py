"""File names: suffixes that match the content."""

from __future__ import annotations

import os
from pathlib import Path

from psiprune.core.exceptions import InputError

NETCDF, NPZ, TEXT, JSON = "NetCDF", "an .npz archive", "text with blanks between values", "JSON"
TORCH, B8 = "a file of torch", "Stim's b8"
MASK = "a mask, as text or .npy,"
#: The suffixes that tell each content; the first is the one that is recommended.
_TELL = {
    NETCDF: (".nc", ".nc4", ".h5", ".hdf5"),
    NPZ: (".npz",),
    TEXT: (".txt",),
    JSON: (".json",),
    TORCH: (".pt", ".pth"),
    B8: (".b8",),
    MASK: (".txt", ".npy"),
}
#: Those of contents that are never written here under a name of the user's.
_OTHERS = (".csv", ".tsv", ".01", ".toml", ".py", ".zip", ".gz", ".html", ".png", ".pkl")


def check_suffix(path: str | os.PathLike[str], content: str) -> None:
    """Refuse a name whose suffix tells of another content; one that tells nothing is welcome.

    Raises:
        InputError: the suffix is that of another content.
    """
    suffix, mine = Path(path).suffix.lower(), _TELL[content]
    known = {*_OTHERS, *(each for tell in _TELL.values() for each in tell)}
    if suffix in known - {*mine}:
        raise InputError(
            f"{path}: {content} is what is written, and {suffix} tells of something else; give a "
            f"name that ends in {mine[0]}"
        )
