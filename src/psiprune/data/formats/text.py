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
    SIGNS_HINT,
    File,
    ParsedShots,
    bits_of_strings,
    expand_counts,
    in_order,
    read_content,
)
from psiprune.data.formats.settings import ReadSettings

_ORDER = "site 0 is the first value of a line"
_NAME = re.compile(r"[^\W\d]")  # a header's names begin with a letter or _; a bit never does
_TRUTH = {"true": "1", "false": "0"}
_VALUE = re.compile(rb"[01](?:\.0*(?:e\+00)?)?")  # 1, and 1.0 or 1.000e+00 as one value
#: Names of columns that are no sites.
_NO_SITES = frozenset(
    {
        *("shot", "shots", "index", "idx", "id", "row", "run", "trial", "repetition", "iteration"),
        *("time", "timestamp", "date", "count", "counts", "frequency", "probability"),
    }
)
_PIECE = 1 << 16  # characters, or lines, that are looked at at a time


def read_text(file: File, settings: ReadSettings) -> ParsedShots:
    """Bits of text, in the order of the columns; a line of names at the top is a header.

    Lines of a bit string and a number are counts, which need `order`, see `read_counted`.

    Raises:
        InputError: a value is not a bit (with `spin`, not +1 or -1), lines differ in length, or the
            header's numbers do not rise; line and column count from 1, as editors do.
    """
    notes = {}
    lines = _lines(file, settings.skip)
    top = next(lines, None)
    first = top
    if top is not None and _is_header(top[1]):
        names = _split(top[1])
        first = next(lines, None)
    if first is not None and not settings.spin and is_counted(_split(first[1])):
        rows = ((number, _split(line)) for number, line in chain([first], lines))
        return read_counted(rows, file.path, top is not first, settings)
    if top is not None and top is not first:
        _check_header(names, [] if first is None else _split(first[1]), file.path, settings)
        if len(names) > 1:
            notes["columns"] = ", ".join(names)
    return ParsedShots(_rows(file, first, lines, settings.spin), _ORDER, notes=notes)


def read_qucumber(file: File, settings: ReadSettings) -> ParsedShots:
    """QuCumber's training samples; with its training bases, the shots measured in Z everywhere.

    The file of bases has a line for each shot and in it a letter for each site, as
    `qucumber.utils.data.load_data` reads it, and the rows kept are those of
    `extract_refbasis_samples`.

    Raises:
        InputError: as `read_text`, and bases that do not fit the samples or are nowhere all Z.
    """
    lines = _lines(file, 0)
    bits = _rows(file, next(lines, None), lines, False)
    if settings.bases is None:
        return ParsedShots(bits, _ORDER)
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
    return ParsedShots(bits[kept], _ORDER, dropped, {"bases": bases.path.name})


def write_text(bits: NDArray[np.uint8]) -> bytes:
    """One shot a line, values separated by blanks, site 0 first; QuCumber reads it as well."""
    shots, sites = bits.shape
    out = np.full((shots, 2 * sites), ord(" "), dtype=np.uint8)
    out[:, ::2] = bits + np.uint8(ord("0"))
    out[:, -1] = ord("\n")
    return out.tobytes()


def _lines(file: File, skip: int) -> Iterator[tuple[int, str]]:
    """(number, content) of every line that holds anything."""
    for number, line in enumerate(_split_lines(file.text), 1):
        content = line.partition("#")[0].strip()
        if content[:1] + content[-1:] in ("[]", "()"):  # as Python prints lists
            content = content[1:-1].strip()
        if content and number > skip:
            yield number, content


def _split_lines(text: str) -> Iterator[str]:
    """`text.splitlines()`, a few lines at a time: most files are done with after the first."""
    start = 0
    while start < len(text):
        # Up to a line feed, which ends a line whatever stands before it.
        end = text.find("\n", start + _PIECE) + 1 or len(text)
        yield from text[start:end].splitlines()
        start = end


def _split(line: str) -> list[str]:
    separator = next((mark for mark in ",;" if mark in line), None)
    return [token.strip().strip('"').strip() for token in line.split(separator)]


def _is_header(line: str) -> bool:
    names = _split(line)
    named = [bool(_NAME.match(name)) and not _is_value(name) for name in names]
    # pandas writes an index of rows under a first name that is empty.
    return all(named) or (names[0] == "" and len(names) > 1)


def _is_value(word: str) -> bool:
    if word.lower() in _TRUTH:
        return True
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
    for name in names if len(names) > 1 else ():
        if name.lower() in _NO_SITES:
            raise InputError(
                f"{path}: the header names a column {name!r}, which is no site; write the table "
                "again without it (pandas: index=False)"
            )
    if first and len(names) != len(first):
        raise InputError(
            f"{path}: the header has {len(names)} names, but the first shot has {len(first)} "
            "values; mark remarks with #, or skip lines by --skip"
        )
    if settings.order is None and not in_order(names):
        raise InputError(
            f"{path}: the header names the columns {', '.join(names)[:80]}, whose numbers do not "
            "rise; say which column is site 0 by --order listed or --order reversed"
        )


def _rows(
    file: File, top: tuple[int, str] | None, rest: Iterator[tuple[int, str]], spin: bool
) -> NDArray[np.uint8]:
    """Zeros and ones of the line `top` and of those behind it, [shot, site]."""
    if top is None:
        raise InputError(f"{file.path}: holds comments only; it needs at least one shot")
    first, line = top
    rows = [_parse_line(line, f"{file.path}: line {first}", spin)]
    if not spin:
        alike = _alike(file, first, rows[0])
        if alike is not None:
            return alike
    for number, line in rest:
        row = _parse_line(line, f"{file.path}: line {number}", spin)
        if len(row) != len(rows[0]):
            raise InputError(
                f"{file.path}: line {number} has {len(row)} values, but line {first} has"
                f" {len(rows[0])}; every shot needs the same number of sites"
            )
        rows.append(row)
    flat = np.frombuffer("".join(rows).encode(), dtype=np.uint8) - np.uint8(ord("0"))
    return flat.reshape(len(rows), -1)


def _alike(file: File, number: int, row: str) -> NDArray[np.uint8] | None:
    """The bits of all lines from line `number` on if they differ in their zeros and ones only.

    Most files are like that, and to compare bytes takes a hundredth of the time of `_parse_line`,
    which has read the first line as `row`: what it makes of a line hangs on nothing but the zeros
    and ones, once all else is the same. None if any byte is otherwise.
    """
    content = file.content
    start = 0
    for _ in range(number - 1):
        start = content.find(b"\n", start) + 1
    width = content.find(b"\n", start) + 1 - start
    line = content[start : start + width]
    # Text knows other marks that end a line.
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
    for first in range(0, shots, _PIECE):
        last = min(shots, first + _PIECE)
        piece = content[start + first * width : start + last * width]
        if last == shots:  # whose end may be missing, or stand there more than once
            piece = content[start + first * width : stop] + end
        table = np.frombuffer(piece, dtype=np.uint8).reshape(-1, width) - fixed  # modulo 256
        bits[first:last] = table[:, values]
        table[:, values] = 0
        if table.any():
            return None
    return bits if (bits <= 1).all() else None


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
    if token.lower() in _TRUTH:
        return _TRUTH[token.lower()]
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


_COUNT = re.compile(r"0|[1-9][0-9]{0,17}")
_BITS = re.compile(r"[01]+")


def is_counted(values: list[str]) -> bool:
    """Whether the values of a line are a bit string and a count, and no bits of a shot."""
    if len(values) != 2 or not _BITS.fullmatch(values[0]) or not values[1].isdecimal():
        return False
    return len(values[0]) > 1 or values[1] not in ("0", "1")


def read_counted(
    lines: Iterable[tuple[int, list[str]]], path: Path, named: bool, settings: ReadSettings
) -> ParsedShots:
    """Each bit string as often as it was counted.

    Args:
        lines: number and values of each line.
        path: of the file, for messages.
        named: whether a header names two columns, so that the second is a number and not bits.
        settings: of which `order` must be given.

    Raises:
        InputError: a line is not a bit string and a count, all counts might be bit strings as well,
            a bit string stands twice, or `order` is not given.
    """
    outcomes: dict[str, int] = {}
    plain = True
    for number, values in lines:
        if len(values) != 2 or not _BITS.fullmatch(values[0]) or not _COUNT.fullmatch(values[1]):
            raise InputError(
                f"{path}: line {number}: must be a bit string and its count such as 0101,12, as "
                f"the lines before, found {' '.join(values)[:40]!r}"
            )
        if values[0] in outcomes:
            raise InputError(
                f"{path}: line {number}: {values[0][:60]} stands twice; add its counts up"
            )
        outcomes[values[0]] = int(values[1])
        plain = plain and not values[1].strip("01")
    if plain and not named:
        raise InputError(
            f"{path}: lines of two strings of 0 and 1, which may be two registers or a bit string "
            "and a count; write a header line bitstring,count above counts, or join the registers"
        )
    if settings.order is None:
        raise InputError(
            f"{path}: counts of bit strings do not tell which end is site 0; say --order listed "
            "(the first character) or --order reversed (the last, as Qiskit writes them)"
        )
    bits = bits_of_strings(list(outcomes), str(path))
    order = "site 0 is the first character of a bit string"
    return ParsedShots(expand_counts(bits, outcomes.values(), str(path)), order)
