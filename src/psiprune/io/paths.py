"""File names: suffixes that match the content, and files beside another one."""

from __future__ import annotations

import hashlib
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

#: Bytes of a name that all side files and their drafts may have in front of their suffixes: with
#: these they stay below the 255 bytes of most file systems.
_LONGEST = 180


def side_file(file: Path, suffix: str) -> Path:
    """Return the hidden file .NAME.SUFFIX beside a file NAME; a long NAME is cut, with a digest."""
    return file.with_name(f".{short_name(file.name)}.{suffix}")


def short_name(name: str, longest: int = _LONGEST) -> str:
    """Return a file name, or its first 100 bytes and a digest if it has more bytes than allowed."""
    full = name.encode("utf-8", "surrogateescape")
    if len(full) <= longest:
        return name
    return f"{full[:100].decode(errors='ignore')}~{hashlib.sha256(full).hexdigest()[:16]}"


def check_suffix(path: str | os.PathLike[str], content: str) -> None:
    """Raise `InputError` if a name has the suffix of another content; unknown ones are accepted."""
    suffix, allowed = Path(path).suffix.lower(), _SUFFIXES[content]
    known = {*_OTHERS, *(name for names in _SUFFIXES.values() for name in names)}
    if suffix in known - {*allowed}:
        raise InputError(
            f"{path}: the content is {content}, which does not match the suffix {suffix}; give a "
            f"name that ends in {allowed[0]}"
        )
