"""Tables of Cirq: `result.data.to_csv(...)`, a column for each measurement key.

A column holds big-endian integers: the first qubit of its key is the highest bit.
"""

from __future__ import annotations

import csv
import re
import shlex

import numpy as np

from psiprune.core.exceptions import InputError
from psiprune.data.formats.base import Bits, ParsedShots, SourceFile
from psiprune.data.formats.bits import check_qubits, check_size, join_columns
from psiprune.data.formats.names import choose, natural
from psiprune.data.formats.settings import ReadSettings

_QUBIT = re.compile(r"q\([^()]*\)")
_INTEGER = re.compile(r"0|[1-9][0-9]{0,400}")


def read_table(file: SourceFile, settings: ReadSettings) -> ParsedShots:
    """Read the columns of one qubit each, or one column of integers of `qubits` bits.

    Columns named after qubits, q(0) or q(0, 1), are sites in natural order, q(2) before q(10),
    unless `order` is "listed". Other columns are joined in the order that `key` gives. A key such
    as q(0),q(1) names its qubits; of another the file does not show how many there are, so one
    column needs `qubits`.

    Raises:
        InputError: there is no header, a value is not an integer or needs more bits than its key
            has, or `key` or `qubits` is needed and missing.
    """
    place = file.place
    try:
        rows = [row for row in csv.reader(file.text.splitlines()) if row]
    except csv.Error as error:
        raise InputError(f"{place}: not a table of values separated by commas: {error}") from None
    names = [name.strip() for name in rows[0]] if rows else []
    if not names or any(_INTEGER.fullmatch(name) for name in names):
        raise InputError(
            f"{place}: a table of Cirq begins with a line of measurement keys; write it by "
            "result.data.to_csv(file, index=False), or import it as text"
        )
    for number, row in enumerate(rows[1:], 1):
        if len(row) != len(names):
            raise InputError(
                f"{place}: row {number} has {len(row)} values, but the header has {len(names)}"
            )
    columns = {name: [row[k].strip() for row in rows[1:]] for k, name in enumerate(names)}
    index = columns.pop("", None)
    if len(columns) + (index is not None) < len(names):
        raise InputError(f"{place}: a column name occurs twice in the header")
    if len(rows) == 1 or not columns:
        raise InputError(f"{place}: holds no outcomes; it needs at least one shot")
    if index is not None and index != [str(number) for number in range(len(rows) - 1)]:
        raise InputError(f"{place}: the first column has no name, and is not a row index")
    keys = _keys(list(columns), settings, place)
    tables = [
        _column(columns[key], _width(key, len(keys), settings, place), key, place) for key in keys
    ]
    bits = join_columns(tables, "columns", place)
    check_qubits(settings.qubits, bits.shape[1], place)
    order = f"sites are the qubits of {', '.join(keys)} in this order, the first the highest bit"
    return ParsedShots(bits, order, notes={"keys": ", ".join(keys)})


def _keys(names: list[str], settings: ReadSettings, place: str) -> list[str]:
    if settings.key or len(names) == 1 or not all(map(_QUBIT.fullmatch, names)):
        return choose(names, settings.key, "measurement key", place)
    return names if settings.order == "listed" else sorted(names, key=natural)


def _width(key: str, keys: int, settings: ReadSettings, place: str) -> int:
    """Return the number of qubits of a key."""
    qubits = _QUBIT.findall(key)
    if ",".join(qubits) == key and (len(qubits) > 1 or settings.qubits is None):
        return len(qubits)
    if keys > 1:
        return 1
    if settings.qubits is None:
        raise InputError(
            f"{place}: the integers of the key {key[:60]!r} do not show the number of its qubits; "
            "give --qubits N (qubits=N)"
        )
    return settings.qubits


def _column(values: list[str], width: int, key: str, place: str) -> Bits:
    """Return integers as bits [shot, site], the highest bit first."""
    check_size(len(values), width, place)
    packed = bytearray()
    size = -(-width // 8)
    for number, value in enumerate(values, 1):
        if not _INTEGER.fullmatch(value):
            raise InputError(
                f"{place}: row {number}, key {key[:60]!r}: must be an integer, found {value[:40]!r}"
            )
        if int(value).bit_length() > width:
            raise InputError(
                f"{place}: row {number}, key {key[:60]!r}: {value[:40]} needs "
                f"{int(value).bit_length()} bits, but the key has {width}"
                + (
                    f"; choose it alone by --key {shlex.quote(key)} --qubits N"
                    if width == 1
                    else ""
                )
            )
        packed += int(value).to_bytes(size, "big")
    table = np.frombuffer(bytes(packed), dtype=np.uint8).reshape(-1, size)
    return np.unpackbits(table, axis=1)[:, 8 * size - width :]
