"""File names: suffixes that match the content."""

from __future__ import annotations

import os
from pathlib import Path

from psiprune.core.exceptions import InputError

NETCDF, NPZ, TEXT, JSON = "NetCDF", "an .npz archive", "text with blanks between values", "JSON"
TORCH, B8 = "a file of torch", "Stim's b8"
MASK = "a mask, as text or .npy"
#: The suffixes of each content; the first is the recommended one.
_SUFFIXES = {
    NETCDF: (".nc", ".nc4", ".h5", ".hdf5"),
    NPZ: (".npz",),
    TEXT: (".txt",),
    JSON: (".json",),
    TORCH: (".pt", ".pth"),
    B8: (".b8",),
    MASK: (".txt", ".npy"),
}
#: Suffixes of contents that psiprune never writes under a name of the user's.
_OTHERS = (".csv", ".tsv", ".01", ".toml", ".py", ".zip", ".gz", ".html", ".png", ".pkl")


def check_suffix(path: str | os.PathLike[str], content: str) -> None:
    """Raise `InputError` if a name has the suffix of another content; unknown ones are accepted."""
    suffix, allowed = Path(path).suffix.lower(), _SUFFIXES[content]
    known = {*_OTHERS, *(name for names in _SUFFIXES.values() for name in names)}
    if suffix in known - {*allowed}:
        raise InputError(
            f"{path}: the content is {content}, which does not match the suffix {suffix}; give a "
            f"name that ends in {allowed[0]}"
        )
