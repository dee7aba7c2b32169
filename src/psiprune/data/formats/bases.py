"""The bases of shots: in a file of letters beside them, as QuCumber keeps them, or given."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from string import ascii_uppercase

from psiprune.core.exceptions import InputError
from psiprune.core.text import counted
from psiprune.data.formats.base import Bits, ParsedShots, SourceFile, read_content
from psiprune.data.formats.lines import numbered_lines
from psiprune.data.formats.settings import ReadSettings
from psiprune.data.pauli_bases import LETTERS, PauliBases

_BASES = re.compile(r"[_. -]?bases", re.IGNORECASE)
_NONE = "none"
#: Letters in files; I, where NetKet rotates nothing, is Z.
ACCEPTED = f"{LETTERS}I"


#: What a wrong letter is told.
CAPITALS = "X, Y or Z in capitals"


def names_file(bases: Sequence[str]) -> bool:
    """Whether the setting `bases` is one file with a line for each shot."""
    return len(bases) == 1 and bases[0] != _NONE and not is_letters(bases[0])


def is_letters(text: str) -> bool:
    """Whether a text is a basis, a letter X, Y or Z for each site."""
    return bool(text) and not text.strip(LETTERS)


def bases_by_column(file: SourceFile, bits: Bits, settings: ReadSettings) -> PauliBases | None:
    """Return the bases in the file that the setting `bases` names; None if it names none.

    The file has a line per shot with a letter for each column of the shots, as
    `qucumber.utils.data.load_data` reads it.

    Raises:
        InputError: the bases do not fit the shots, or none are given and a file beside the shots
            seems to hold them.
    """
    if not settings.bases:
        _refuse_ignored(file, bits)
        return None
    if not names_file(settings.bases):
        return None
    bases = SourceFile(Path(settings.bases[0]), read_content(settings.bases[0]))
    names = _read(bases, bits.shape[1], ACCEPTED)
    if len(names) != len(bits):
        raise InputError(
            f"{bases.path}: has bases for {len(names)} shots, but {file.path} has {len(bits)} "
            "shots; both files need one line per shot"
        )
    return PauliBases.of_shots(names)


def given_basis(parsed: ParsedShots, bases: Sequence[str], place: str) -> str | PauliBases | None:
    """Return the basis of shots read for which letters are given: those of each circuit, or of all.

    Raises:
        InputError: there are not as many bases as circuits, a basis has not as many letters as
            there are sites, or a file is given for several circuits.
    """
    if not bases or names_file(bases):
        return parsed.basis
    if tuple(bases) == (_NONE,):
        return "Z"
    sites, circuits = parsed.bits.shape[1], parsed.circuits or (len(parsed.bits),)
    for basis in bases:
        if not is_letters(basis):
            raise InputError(
                f"bases: must be letters X, Y and Z in capitals for each circuit, or one file with "
                f"a line for each shot, found {basis[:60]!r} of {len(bases)}"
            )
        if len(basis) not in (1, sites):
            raise InputError(
                f"bases: {basis[:40]} has {len(basis)} letters, but {place} has "
                f"{counted(sites, 'site')}; give a letter for each site, site 0 first"
            )
    if len(bases) not in (1, len(circuits)):
        raise InputError(
            f"bases: has {len(bases)} bases, but {place} holds {counted(len(circuits), 'circuit')} "
            "of shots; give one for each"
        )
    names = [basis * sites if len(basis) == 1 else basis for basis in bases]
    if len(names) == 1:
        return names[0]
    return PauliBases.of_groups(names, circuits)


def _refuse_ignored(file: SourceFile, bits: Bits) -> None:
    """Raise `InputError` if a file beside the shots holds their bases, and not all are Z."""
    for path in _candidates(file):
        try:
            names = _read(SourceFile(path, read_content(path)), bits.shape[1], ascii_uppercase)
        except InputError:
            continue  # not a file of bases, or of other shots
        in_z = sum(not name.strip("Z") for name in names)
        if len(names) == len(bits) == in_z:
            continue
        if len(names) == len(bits) or path.stem == f"{file.path.stem}_bases":
            raise InputError(
                f"{file.path}: {path} seems to hold the bases of these shots, {in_z} of "
                f"{len(names)} in Z everywhere; import the shots with --bases {path} to "
                "keep the basis of each, or with --bases none if all shots are in Z"
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


def _read(file: SourceFile, sites: int, known: str) -> list[str]:
    """Return the basis of each line, of `known` letters; I is Z."""
    names: list[str] = []
    for number, line in numbered_lines(file, 0):
        letters = line.replace(",", " ").split()
        if len(letters) == 1:
            letters = list(letters[0])
        for column, letter in enumerate(letters, 1):
            if len(letter) != 1 or letter not in known:
                raise InputError(
                    f"{file.path}: line {number}, column {column}: a basis must be {CAPITALS}, "
                    f"found {letter[:40]!r}"
                )
        if len(letters) != sites:
            raise InputError(
                f"{file.path}: line {number} has bases for {counted(len(letters), 'site')}, "
                f"but the shots have {sites}"
            )
        names.append("".join(letters).replace("I", "Z"))
    return names
