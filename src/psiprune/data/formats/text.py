"""Text files: one line per shot, with or without a header."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from psiprune.core.exceptions import InputError
from psiprune.data.formats.base import Bits, ParsedShots, SourceFile
from psiprune.data.formats.bases import bases_by_column
from psiprune.data.formats.basis_column import SplitText, split_bases
from psiprune.data.formats.bits import bits_of_strings, check_qubits, wrong_value
from psiprune.data.formats.lines import Line, numbered_lines
from psiprune.data.formats.names import in_order, natural
from psiprune.data.formats.settings import ReadSettings
from psiprune.data.formats.text_counts import is_counted, read_counts
from psiprune.data.pauli_bases import PauliBases

ORDER = "site 0 is the first value of a line"
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
_CHUNK = 1 << 16  # lines that are processed at a time


def read_text(file: SourceFile, settings: ReadSettings) -> ParsedShots:
    """Read bits in the order of the columns; a line of names at the top is a header.

    Lines of a bit string and a number are counts, which need `order`, see `read_counts`. Columns
    of letters X, Y and Z hold the basis of each shot, see `split_bases`.

    Raises:
        InputError: a value is not a bit (with `spin`, not +1 or -1), lines differ in length, or
            the header's numbers do not rise; line and column count from 1, as in editors.
    """
    split = split_bases(file, settings.skip, _split, _is_header)
    if split is None:
        return _read_bits(file, settings, None)
    if settings.bases:
        raise InputError(
            f"{file.path}: line {split.lines[0]} holds the basis {split.names[0][:40]} of its shot;"
            " leave out --bases"
        )
    return _read_bits(split.bits, settings, split)


def _read_bits(file: SourceFile, settings: ReadSettings, split: SplitText | None) -> ParsedShots:
    """Read lines without letters; `split` holds the bases that they had."""
    lines = numbered_lines(file, settings.skip)
    first = next(lines, None)
    names = _split(first[1]) if first is not None and _is_header(first[1]) else []
    if names:
        first = next(lines, None)
    if first is not None and not settings.spin and is_counted(_split(first[1])):
        rows = ((number, _split(line)) for number, line in chain([first], lines))
        counted = read_counts(rows, file.path, bool(names), settings)
        if split is not None:
            split.check(*counted.bits.shape)
        return counted
    if names:
        _check_header(names, [] if first is None else _split(first[1]), file.path, settings)
    order, columns = ORDER, list(range(len(names)))
    if settings.order == "numbered":
        order, columns = "sites are the columns by the number in their name", _by_number(names)
        if not columns:
            raise InputError(
                f"{file.path}: order: 'numbered' needs a header whose names differ in their "
                "numbers alone; use 'listed' or 'reversed'"
            )
    try:
        bits = bits_of_lines(file, first, lines, settings.spin)
    except InputError as error:
        if len(names) != 1:
            raise
        raise InputError(
            f"{error}; if the column holds integers of several qubits, as Cirq writes them, import "
            "the file as cirq with --qubits N"
        ) from None
    check_qubits(settings.qubits, bits.shape[1], file.place)
    if len(names) == 1 and settings.qubits is None and not settings.spin and split is None:
        _refuse_integers(names[0], bits, file.path)
    if split is None:
        basis = bases_by_column(file, bits, settings)
    else:
        split.check(*bits.shape)
        basis = PauliBases.of_shots(split.names)
    if len(names) > 1:
        bits, names = bits[:, columns], [names[column] for column in columns]
        basis = basis and basis.of_sites(columns)
    noted = {"columns": ", ".join(names)} if len(names) > 1 else {}
    return ParsedShots(bits, order, notes=noted, basis=basis)


def write_text(bits: Bits) -> bytes:
    """Return one shot per line, values separated by blanks, site 0 first, as for QuCumber."""
    shots, sites = bits.shape
    out = np.full((shots, 2 * sites), ord(" "), dtype=np.uint8)
    out[:, ::2] = bits + np.uint8(ord("0"))
    out[:, -1] = ord("\n")
    return out.tobytes()


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
            "rise; say which column is site 0 by --order listed, --order reversed or --order "
            "numbered (the lowest number)"
        )


def _by_number(names: list[str]) -> list[int]:
    """Return the columns in the order of the numbers in their names; [] if other parts differ."""
    stems = {re.sub(r"[0-9]+", "0", name) for name in names}
    if len(stems) > 1 or len(set(names)) < len(names):
        return []
    return sorted(range(len(names)), key=lambda column: natural(names[column]))


def _refuse_integers(name: str, bits: Bits, path: Path) -> None:
    """Raise `InputError` if the values of the only column could be integers of several qubits."""
    sites = bits.shape[1]
    if sites > 1 and not bits[:, 0].all():
        return  # an integer does not begin with 0
    what = "a bit" if sites == 1 else f"a string of {sites} bits"
    raise InputError(
        f"{path}: the values of the only column {name[:60]!r} may each be {what} or an integer of "
        f"several qubits, as Cirq writes them; give --qubits {sites} for {what}, or import the "
        "file as cirq with --qubits N"
    )


def bits_of_lines(file: SourceFile, first: Line | None, rest: Iterator[Line], spin: bool) -> Bits:
    """Return the bits [shot, site] of the line `first` and of those after it."""
    if first is not None and file.path.stem.lower().endswith(("_real", "_imag")):
        width = len(_split(first[1]))
        if width.bit_count() == 1 and sum(1 for _ in numbered_lines(file, 0)) == width > 1:
            raise InputError(
                f"{file.path}: by its name and its {width} lines of {width} values part of a "
                "density matrix, not shots; rename the file if it holds shots"
            )
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
    bits, last = "".join(tokens[:-1]), tokens[-1]
    if last.isalpha() and len(last) == len(bits) > 1 and not bits.strip("01"):
        raise InputError(
            f"{place}, column {len(tokens)}: a basis has a letter X, Y or Z for each site, found "
            f"{last[:40]!r}; write capital letters, and Z for sites that are not rotated"
        )
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
        raise InputError(f"{place}: {wrong_value(repr(token[:40]), value, spin, _hint(token))}")
    return "1" if value == (-1.0 if spin else 1.0) else "0"


def _hint(token: str) -> str:
    """Return what a value may be that is not a bit, and what to do."""
    number = _number(token)
    if token and not token.strip("XYZ"):
        return "; a file of bases belongs to a file of shots, by --bases"
    if number is not None and 0 < abs(number) < 1:
        return "; amplitudes are no shots: import a state as qucumber-psi"
    return "; mark headers and comments with #"
