"""The bases of each shot, in a file of letters beside the shots, as QuCumber keeps them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.data.formats.base import Bits, ParsedShots, SourceFile, read_content
from psiprune.data.formats.lines import numbered_lines
from psiprune.data.formats.settings import ReadSettings

_BASES = re.compile(r"[_. -]?bases", re.IGNORECASE)


def shots_in_z(file: SourceFile, bits: Bits, settings: ReadSettings, order: str) -> ParsedShots:
    """Return the shots with Z on every site, by the file `bases`; all of them without one.

    The file of bases has a line per shot with a letter per site, as `qucumber.utils.data.load_data`
    reads it, and the selected rows are those of `extract_refbasis_samples`.

    Raises:
        InputError: the bases do not fit the shots or are never all Z, or none are given and a file
            beside the shots seems to hold them.
    """
    if settings.bases is None:
        _refuse_ignored(file, bits)
        return ParsedShots(bits, order)
    if settings.bases == Path("none"):
        return ParsedShots(bits, order, notes={"bases": "none"})
    bases = SourceFile(settings.bases, read_content(settings.bases))
    in_z = _all_z(bases, bits.shape[1])
    if len(in_z) != len(bits):
        raise InputError(
            f"{bases.path}: has bases for {len(in_z)} shots, but {file.path} has {len(bits)} shots;"
            " both files need one line per shot"
        )
    if not in_z.any():
        raise InputError(
            f"{bases.path}: none of the {len(bits)} shots was measured in Z on every site, as an "
            "RBM for sqrt(p) needs"
        )
    dropped = {"not measured in Z everywhere": int((~in_z).sum())}
    return ParsedShots(bits[in_z], order, dropped, {"bases": bases.path.name})


def _refuse_ignored(file: SourceFile, bits: Bits) -> None:
    """Raise `InputError` if a file beside the shots holds their bases, and not all are Z."""
    for path in _candidates(file):
        try:
            in_z = _all_z(SourceFile(path, read_content(path)), bits.shape[1])
        except InputError:
            continue  # not a file of bases, or of other shots
        if len(in_z) == len(bits) and in_z.all():
            continue
        if len(in_z) == len(bits) or path.stem == f"{file.path.stem}_bases":
            raise InputError(
                f"{file.path}: {path} seems to hold the bases of these shots, {int(in_z.sum())} of "
                f"{len(in_z)} in Z everywhere; import the shots with --bases {path} to use "
                "those in Z, or with --bases none if all shots are in Z"
            )


def _candidates(file: SourceFile) -> Iterator[Path]:
    """Yield files beside the shots that may hold their bases, by name and number of bytes.

    `train_bases.txt` belongs to the files train and train_*; if there are none, to any.
    """
    try:
        with os.scandir(file.path.parent) as entries:
            paths = [Path(entry.path) for entry in entries if entry.is_file()]
    except OSError:  # a pipe, or a folder that cannot be listed
        return
    others = [path.stem for path in paths if not _BASES.search(path.stem)]
    for path in sorted(path for path in paths if _BASES.search(path.stem)):
        name = _BASES.sub("", path.stem)
        owner = re.compile(re.escape(name) + r"([_. -].*)?")
        owned = [stem for stem in others if name and owner.fullmatch(stem)]
        if path == file.path or (owned and file.path.stem not in owned):
            continue
        try:
            size = path.stat().st_size
        except OSError:  # removed meanwhile
            continue
        if size <= 4 * len(file.content):
            yield path


def _all_z(file: SourceFile, sites: int) -> NDArray[np.bool_]:
    """Return whether all sites were measured in Z, for each shot."""
    all_z: list[bool] = []
    for number, line in numbered_lines(file, 0):
        letters = line.split()
        if len(letters) == 1:
            letters = list(letters[0])
        for column, letter in enumerate(letters, 1):
            if len(letter) != 1 or not letter.isupper():
                raise InputError(
                    f"{file.path}: line {number}, column {column}: a basis must be a capital "
                    f"letter such as X, Y or Z, found {letter[:40]!r}"
                )
        if len(letters) != sites:
            raise InputError(
                f"{file.path}: line {number} has bases for {len(letters)} sites, but the shots "
                f"have {sites}"
            )
        all_z.append(set(letters) == {"Z"})
    return np.array(all_z, dtype=bool)
