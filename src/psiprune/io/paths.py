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

#: Most bytes of a NAME in the names of its side files and of drafts, so that a side file, its draft
#: and the draft of any file stay below the 255 bytes that most file systems allow.
_IN_SIDE_FILE, _IN_DRAFT = 180, 230


def side_file(file: Path, suffix: str) -> Path:
    """Return the hidden file .NAME.SUFFIX beside a file NAME; a long NAME is cut, with a digest."""
    return file.with_name(f".{_short(file.name, _IN_SIDE_FILE)}.{suffix}")


def draft_file(file: Path, token: str) -> Path:
    """Return the hidden file .NAME.TOKEN.draft that is renamed to a file NAME once it is whole."""
    return file.with_name(f".{_short(file.name, _IN_DRAFT)}.{token}.draft")


def _short(name: str, longest: int) -> str:
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
