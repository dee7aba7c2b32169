"""Shots as text: plain or CSV, with or without a header; and QuCumber's, with its file of bases.

One shot a line: values separated by blanks, commas or semicolons, or one string such as `010011`.
Empty lines and what follows a `#` are skipped.
"""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from psiprune.formats.reading import SIGNS_HINT, File, Reading, ReadSettings, read_content
from psiprune.inputs import InputError

_ORDER = "site 0 is the first value of a line"
_NAME = re.compile(r"[^\W\d]")  # a header's names begin with a letter or _; a bit never does
_NUMBERED = re.compile(r"(.*?)(\d+)(\D*)")


def read_text(file: File, settings: ReadSettings) -> Reading:
    """Bits of text, in the order of the columns; a line of names at the top is a header.

    Raises:
        InputError: a value is not a bit (with `spin`, not +1 or -1), lines differ in length, or the
            header's numbers do not rise; line and column count from 1, as editors do.
    """
    lines = _lines(file, settings.skip)
    notes = {}
    if lines and _is_header(lines[0][1]):
        names = _split(lines[0][1])
        lines = lines[1:]
        _check_header(names, [] if not lines else _split(lines[0][1]), file.path, settings)
        if len(names) > 1:
            notes["columns"] = ", ".join(names)
    return Reading(_rows(lines, file.path, settings.spin), _ORDER, notes=notes)


def read_qucumber(file: File, settings: ReadSettings) -> Reading:
    """QuCumber's training samples; with its training bases, the shots measured in Z everywhere.

    The file of bases has a line for each shot and in it a letter for each site, as
    `qucumber.utils.data.load_data` reads it, and the rows kept are those of
    `extract_refbasis_samples`.

    Raises:
        InputError: as `read_text`, and bases that do not fit the samples or are nowhere all Z.
    """
    bits = _rows(_lines(file, 0), file.path, False)
    if settings.bases is None:
        return Reading(bits, _ORDER)
    bases = File(settings.bases, read_content(settings.bases))
    kept = _all_z(bases, bits.shape[1])
    if len(kept) != len(bits):
        raise InputError(
            f"{bases.path}: has bases for {len(kept)} shots, but {file.path} has {len(bits)} shots;"
            " the two files need a line for each shot"
        )
    if not kept.any():
        raise InputError(
            f"{bases.path}: none of the {len(bits)} shots was measured in Z on every site; an RBM "
            "for sqrt(p) describes shots in Z"
        )
    dropped = {"not measured in Z everywhere": int((~kept).sum())}
    return Reading(bits[kept], _ORDER, dropped, {"bases": bases.path.name})


def write_text(bits: NDArray[np.uint8]) -> bytes:
    """One shot a line, values separated by blanks, site 0 first; QuCumber reads it as well."""
    shots, sites = bits.shape
    out = np.full((shots, 2 * sites), ord(" "), dtype=np.uint8)
    out[:, ::2] = bits + np.uint8(ord("0"))
    out[:, -1] = ord("\n")
    return out.tobytes()


def _lines(file: File, skip: int) -> list[tuple[int, str]]:
    """(number, content) of every line that holds anything."""
    numbered = enumerate(file.text.splitlines()[skip:], skip + 1)
    stripped = ((number, line.partition("#")[0].strip()) for number, line in numbered)
    return [(number, line) for number, line in stripped if line]


def _split(line: str) -> list[str]:
    separator = next((mark for mark in ",;" if mark in line), None)
    return [token.strip().strip('"').strip() for token in line.split(separator)]


def _is_header(line: str) -> bool:
    names = _split(line)
    named = [bool(_NAME.match(name)) and not _is_number(name) for name in names]
    # pandas writes an index of rows under a first name that is empty.
    return all(named) or (names[0] == "" and len(names) > 1)


def _is_number(word: str) -> bool:
    try:
        float(word)  # "nan" and "inf" too: bad values, and no names
    except ValueError:
        return False
    return True


def _check_header(names: list[str], first: list[str], path: Path, settings: ReadSettings) -> None:
    if names[0] == "":
        raise InputError(
            f"{path}: the first column of the header has no name, as of a row index that pandas "
            "writes; write the table again with index=False"
        )
    if first and len(names) != len(first):
        raise InputError(
            f"{path}: the header has {len(names)} names, but the first shot has {len(first)} "
            "values; mark remarks with #, or skip lines by --skip"
        )
    matches = [_NUMBERED.fullmatch(name) for name in names]
    numbers = [int(match[2]) for match in matches if match]
    stems = {(match[1], match[3]) for match in matches if match}
    rising = all(a < b for a, b in pairwise(numbers))
    if len(numbers) == len(names) and len(stems) == 1 and not rising and settings.order is None:
        raise InputError(
            f"{path}: the header names the columns {', '.join(names)[:80]}, whose numbers do not "
            "rise; say which column is site 0 by --order listed or --order reversed"
        )


def _rows(lines: list[tuple[int, str]], path: Path, spin: bool) -> NDArray[np.uint8]:
    """Zeros and ones, [shot, site]."""
    if not lines:
        raise InputError(f"{path}: holds comments only; it needs at least one shot")
    rows: list[str] = []
    first = lines[0][0]
    for number, line in lines:
        row = _parse_line(line, f"{path}: line {number}", spin)
        if rows and len(row) != len(rows[0]):
            raise InputError(
                f"{path}: line {number} has {len(row)} values, but line {first} has"
                f" {len(rows[0])}; every shot needs the same number of sites"
            )
        rows.append(row)
    flat = np.frombuffer("".join(rows).encode(), dtype=np.uint8) - np.uint8(ord("0"))
    return flat.reshape(len(rows), -1)


def _parse_line(line: str, place: str, spin: bool) -> str:
    """One shot as a string of zeros and ones."""
    tokens = _split(line)
    if spin:
        return "".join(_parse_spin(token, f"{place}, column {i}") for i, token in _count(tokens))
    row = "".join(tokens)
    if (len(row) == len(tokens) and "" not in tokens) or len(tokens) == 1:
        if row and not row.strip("01"):
            return row
        if len(tokens) == 1 and line[0] in "01" and "." not in line:
            tokens = list(line)  # an unseparated string with a wrong character: name its column
    return "".join(_parse_bit(token, f"{place}, column {i}") for i, token in _count(tokens))


def _count(tokens: list[str]) -> enumerate[str]:
    return enumerate(tokens, 1)


def _parse_bit(token: str, place: str) -> str:
    try:
        value = float(token)  # "1.0" and "1.000000e+00", as numpy.savetxt writes
    except ValueError:
        value = np.nan
    # "01" among other values may be meant as one number or as two bits, so it is refused.
    if value not in (0.0, 1.0) or (len(token) > 1 and "." not in token):
        hint = SIGNS_HINT if value == -1 or token == "+1" else "; mark headers and remarks with #"
        raise InputError(f"{place}: a bit must be 0 or 1, found {token[:40]!r}{hint}")
    return "1" if value else "0"


def _parse_spin(token: str, place: str) -> str:
    try:
        value = float(token)
    except ValueError:
        value = np.nan
    if value not in (1.0, -1.0):
        hint = "; leave out --spin for data of 0 and 1" if value == 0 else ""
        raise InputError(f"{place}: a spin must be +1 or -1, found {token[:40]!r}{hint}")
    return "0" if value == 1 else "1"


def _all_z(file: File, sites: int) -> NDArray[np.bool_]:
    """True for each shot whose sites were all measured in Z, [shot]."""
    kept: list[bool] = []
    for number, line in _lines(file, 0):
        letters = line.split()
        if len(letters) == 1:
            letters = list(letters[0])
        for column, letter in _count(letters):
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
        kept.append(set(letters) == {"Z"})
    return np.array(kept, dtype=bool)
