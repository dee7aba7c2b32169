"""Text files: one line per shot, or a table of bit strings with counts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.data.formats.base import (
    Bits,
    ParsedShots,
    SourceFile,
    bits_of_strings,
    expand_counts,
    in_order,
    read_content,
    wrong_value,
)
from psiprune.data.formats.settings import ReadSettings

_ORDER = "site 0 is the first value of a line"
_NAME = re.compile(r"[^\W\d]")  # a header's names begin with a letter or _; a bit never does
_TRUTH = {"true": 1.0, "false": 0.0}
_VALUE = re.compile(rb"[01](?:\.0*(?:e\+00)?)?")  # 1, and 1.0 or 1.000e+00 as one value
#: Names of columns that are not sites.
_NOT_SITES = frozenset(
    {
        *("shot", "shots", "index", "idx", "id", "row", "run", "trial", "repetition", "iteration"),
        *("time", "timestamp", "date", "count", "counts", "frequency", "probability"),
    }
)
_CHUNK = 1 << 16  # characters, or lines, that are processed at a time
_COUNT = re.compile(r"0|[1-9][0-9]{0,17}")
_BITS = re.compile(r"[01]+")
Line = tuple[int, str]


def read_text(file: SourceFile, settings: ReadSettings) -> ParsedShots:
    """Read bits in the order of the columns; a line of names at the top is a header.

    Lines of a bit string and a number are counts, which need `order`, see `read_counts`.

    Raises:
        InputError: a value is not a bit (with `spin`, not +1 or -1), lines differ in length, or
            the header's numbers do not rise; line and column count from 1, as in editors.
    """
    notes = {}
    lines = _lines(file, settings.skip)
    first = next(lines, None)
    names = _split(first[1]) if first is not None and _is_header(first[1]) else []
    if names:
        first = next(lines, None)
    if first is not None and not settings.spin and is_counted(_split(first[1])):
        rows = ((number, _split(line)) for number, line in chain([first], lines))
        return read_counts(rows, file.path, bool(names), settings)
    if names:
        _check_header(names, [] if first is None else _split(first[1]), file.path, settings)
        if len(names) > 1:
            notes["columns"] = ", ".join(names)
    return ParsedShots(_rows(file, first, lines, settings.spin), _ORDER, notes=notes)


def read_qucumber(file: SourceFile, settings: ReadSettings) -> ParsedShots:
    """Read QuCumber's training samples; with its training bases, those measured in Z everywhere.

    The file of bases has a line per shot with a letter per site, as `qucumber.utils.data.load_data`
    reads it, and the selected rows are those of `extract_refbasis_samples`.

    Raises:
        InputError: as `read_text`, or the bases do not fit the samples or are never all Z.
    """
    lines = _lines(file, 0)
    bits = _rows(file, next(lines, None), lines, False)
    if settings.bases is None:
        return ParsedShots(bits, _ORDER)
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
    return ParsedShots(bits[in_z], _ORDER, dropped, {"bases": bases.path.name})


def write_text(bits: Bits) -> bytes:
    """Return one shot per line, values separated by blanks, site 0 first, as for QuCumber."""
    shots, sites = bits.shape
    out = np.full((shots, 2 * sites), ord(" "), dtype=np.uint8)
    out[:, ::2] = bits + np.uint8(ord("0"))
    out[:, -1] = ord("\n")
    return out.tobytes()


def _lines(file: SourceFile, skip: int) -> Iterator[Line]:
    """Yield number and content of every line that is not blank or a comment."""
    for number, line in enumerate(_split_lines(file.text), 1):
        content = line.partition("#")[0].strip()
        if content[:1] + content[-1:] in ("[]", "()"):  # as Python prints lists
            content = content[1:-1].strip()
        if content and number > skip:
            yield number, content


def _split_lines(text: str) -> Iterator[str]:
    """Yield the lines of `text.splitlines()` lazily: often only the first is needed."""
    start = 0
    while start < len(text):
        # A chunk ends at a line feed, which always ends a line.
        end = text.find("\n", start + _CHUNK) + 1 or len(text)
        yield from text[start:end].splitlines()
        start = end


def _split(line: str) -> list[str]:
    separator = next((mark for mark in ",;" if mark in line), None)
    return [token.strip().strip('"').strip() for token in line.split(separator)]


def _number(token: str) -> float | None:
    """Return True, 1, "1.0" or "1.000e+00" (as numpy.savetxt writes) as a number, or None."""
    if token.lower() in _TRUTH:
        return _TRUTH[token.lower()]
    try:
        return float(token)
    except ValueError:
        return None


def _is_header(line: str) -> bool:
    names = _split(line)
    # "nan" and "inf" are wrong values, not names.
    named = [bool(_NAME.match(name)) and _number(name) is None for name in names]
    # pandas writes an index of rows under an empty first name.
    return all(named) or (names[0] == "" and len(names) > 1)


def _check_header(names: list[str], first: list[str], path: Path, settings: ReadSettings) -> None:
    if names[0] == "":
        raise InputError(
            f"{path}: the first column of the header has no name, like the row index that pandas "
            "writes; write the table again with index=False"
        )
    for name in names if len(names) > 1 else ():
        if name.lower() in _NOT_SITES:
            raise InputError(
                f"{path}: the header names a column {name!r}, which is not a site; write the table "
                "without it (pandas: index=False)"
            )
    if first and len(names) != len(first):
        raise InputError(
            f"{path}: the header has {len(names)} names, but the first shot has {len(first)} "
            "values; mark comments with #, or skip lines by --skip"
        )
    if settings.order is None and not in_order(names):
        raise InputError(
            f"{path}: the header names the columns {', '.join(names)[:80]}, whose numbers do not "
            "rise; say which column is site 0 by --order listed or --order reversed"
        )


def _rows(file: SourceFile, first: Line | None, rest: Iterator[Line], spin: bool) -> Bits:
    """Return the bits [shot, site] of the line `first` and of those after it."""
    if first is None:
        raise InputError(f"{file.path}: holds only comments; it needs at least one shot")
    top, line = first
    rows = [_parse_line(line, f"{file.path}: line {top}", spin)]
    if not spin:
        bits = _uniform_lines(file, top, rows[0])
        if bits is not None:
            return bits
    for number, line in rest:
        row = _parse_line(line, f"{file.path}: line {number}", spin)
        if len(row) != len(rows[0]):
            raise InputError(
                f"{file.path}: line {number} has {len(row)} values, but line {top} has"
                f" {len(rows[0])}; every shot needs the same number of sites"
            )
        rows.append(row)
    return bits_of_strings(rows, str(file.path))


def _uniform_lines(file: SourceFile, number: int, row: str) -> Bits | None:
    """Return the bits of all lines from `number` on if they differ only in their zeros and ones.

    Most files are like that, and comparing bytes takes a hundredth of the time of `_parse_line`,
    which has parsed the first line as `row`: with all other bytes equal, its result depends only
    on the zeros and ones. None if any other byte differs.
    """
    content = file.content
    start = 0
    for _ in range(number - 1):
        start = content.find(b"\n", start) + 1
    width = content.find(b"\n", start) + 1 - start
    line = content[start : start + width]
    # In text, other characters end a line too.
    lines = content[: start + width].decode("utf-8-sig").splitlines()
    values = [match.start() for match in _VALUE.finditer(line)]
    if len(lines) != number or bytes(line[k] for k in values) != row.encode():
        return None
    stop, end = len(content.rstrip(b"\r\n")), line[len(line.rstrip(b"\r\n")) :]
    shots, rest = divmod(stop + len(end) - start, width)
    if rest:
        return None
    fixed = np.frombuffer(line, dtype=np.uint8).copy()
    fixed[values] = ord("0")
    bits = np.empty((shots, len(values)), dtype=np.uint8)
    for first in range(0, shots, _CHUNK):
        last = min(shots, first + _CHUNK)
        chunk = content[start + first * width : start + last * width]
        if last == shots:  # the last line may have no line end, or several
            chunk = content[start + first * width : stop] + end
        table = np.frombuffer(chunk, dtype=np.uint8).reshape(-1, width) - fixed  # modulo 256
        bits[first:last] = table[:, values]
        table[:, values] = 0
        if table.any():
            return None
    return bits if (bits <= 1).all() else None


def _parse_line(line: str, place: str, spin: bool) -> str:
    """Return one shot as a string of zeros and ones."""
    tokens = _split(line)
    row = "".join(tokens)
    if not spin and ((len(row) == len(tokens) and "" not in tokens) or len(tokens) == 1):
        if row and not row.strip("01"):
            return row
        if len(tokens) == 1 and line[0] in "01" and "." not in line:
            tokens = list(line)  # a string without separators: name the column of the wrong one
    return "".join(
        _parse_value(token, f"{place}, column {column}", spin)
        for column, token in enumerate(tokens, 1)
    )


def _parse_value(token: str, place: str, spin: bool) -> str:
    number = _number(token)
    value = np.nan if number is None else number
    if spin:
        valid = value in (1.0, -1.0) and token.lower() not in _TRUTH
    else:
        # "01" among other values may be one number or two bits, so it is refused.
        valid = value in (0.0, 1.0) and (len(token) == 1 or "." in token or token.lower() in _TRUTH)
        value = -1.0 if token == "+1" else value
    if not valid:
        rule = wrong_value(repr(token[:40]), value, spin, "; mark headers and comments with #")
        raise InputError(f"{place}: {rule}")
    return "1" if value == (-1.0 if spin else 1.0) else "0"


def _all_z(file: SourceFile, sites: int) -> NDArray[np.bool_]:
    """Return whether all sites were measured in Z, for each shot."""
    all_z: list[bool] = []
    for number, line in _lines(file, 0):
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


def is_counted(values: list[str]) -> bool:
    """Whether the values of a line are a bit string and a count, not the bits of a shot."""
    if len(values) != 2 or not _BITS.fullmatch(values[0]) or not values[1].isdecimal():
        return False
    return len(values[0]) > 1 or values[1] not in ("0", "1")


def read_counts(
    lines: Iterable[tuple[int, list[str]]], path: Path, named: bool, settings: ReadSettings
) -> ParsedShots:
    """Repeat each bit string as often as it was counted.

    Args:
        lines: number and values of each line.
        path: of the file, for messages.
        named: whether a header names two columns, so that the second is a number, not bits.
        settings: of which `order` must be given.

    Raises:
        InputError: a line is not a bit string and a count, all counts could be bit strings too,
            a bit string occurs twice, or `order` is not given.
    """
    counts: dict[str, int] = {}
    plain = True
    for number, values in lines:
        if len(values) != 2 or not _BITS.fullmatch(values[0]) or not _COUNT.fullmatch(values[1]):
            raise InputError(
                f"{path}: line {number}: must be a bit string and its count such as 0101,12, like "
                f"the lines before, found {' '.join(values)[:40]!r}"
            )
        if values[0] in counts:
            raise InputError(
                f"{path}: line {number}: {values[0][:60]} occurs twice; add up its counts"
            )
        counts[values[0]] = int(values[1])
        plain = plain and not values[1].strip("01")
    if plain and not named:
        raise InputError(
            f"{path}: lines of two strings of 0 and 1 may be two registers or a bit string and a "
            "count; write a header line bitstring,count above counts, or join the registers"
        )
    if settings.order is None:
        raise InputError(
            f"{path}: counts of bit strings do not show which end is site 0; give --order listed "
            "(the first character) or --order reversed (the last, as Qiskit writes them)"
        )
    bits = bits_of_strings(list(counts), str(path))
    order = "site 0 is the first character of a bit string"
    return ParsedShots(expand_counts(bits, counts.values(), str(path)), order)
