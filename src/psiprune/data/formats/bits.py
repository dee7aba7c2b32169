"""Tables of bits [shot, site]: checked, made from strings and counts, joined."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.text import counted
from psiprune.data.formats.base import Bits, brief

#: Bits of one file, one byte each in memory: 1 GiB.
MOST_BITS = 1 << 30
#: Shots and bits that counts may stand for. A short line can claim any number of shots, so these
#: limits are lower: every later step takes a few bytes per shot and per bit again.
MOST_COUNTED, MOST_COUNTED_BITS = 1 << 24, 1 << 28
_CHUNK = 1 << 22  # values that are checked at a time
SIGNS_HINT = "; read +1/-1 data with --spin (spin=True), or convert it by bits = (1 - z) // 2"


def as_table(data: Any, source: str) -> NDArray[Any]:
    """Return a non-empty array [shot, site] of numbers, or raise `InputError`."""
    try:
        array = np.asarray(data)
    except ValueError:
        raise InputError(f"{source}: {_ragged(data)}") from None
    if array.ndim != 2:
        raise InputError(
            f"{source}: shots must be a table [shot, site] of 2 dimensions, found {array.ndim}"
        )
    if array.size == 0:
        shape = f"{counted(array.shape[0], 'shot')} of {counted(array.shape[1], 'site')}"
        raise InputError(f"{source}: holds no bits, found {shape}")
    if np.ma.is_masked(data):
        row, column = np.argwhere(np.ma.getmaskarray(data))[0]
        raise InputError(
            f"{source}: row {row}, column {column}: is masked, so its outcome is unknown; drop "
            "such shots: bits[~bits.mask.any(axis=1)]"
        )
    if array.dtype.kind not in "biuf":
        raise InputError(
            f"{source}: bits must be numbers 0 or 1, found values of type {array.dtype}"
        )
    return array


def as_bits(data: ArrayLike, source: str, spin: bool = False) -> Bits:
    """Return a read-only uint8 table of zeros and ones, [shot, site].

    With `spin` the data are z = +1 or -1, and bit = (1 - z) / 2.

    Raises:
        InputError: a value is neither of the two; row and column count from 0.
    """
    array = as_table(data, source)
    zero, one = (1, -1) if spin else (0, 1)
    step = max(1, _CHUNK // array.shape[1])  # a few rows at a time, to take little memory
    for start in range(0, len(array), step):
        rows = array[start : start + step]
        wrong = (rows != zero) & (rows != one)  # true for NaN
        if wrong.any():
            row, column = np.unravel_index(np.argmax(wrong), rows.shape)
            place = f"{source}: row {start + int(row)}, column {column}"
            value = rows[row, column].item()
            raise InputError(f"{place}: {wrong_value(value, value, spin)}")
    if spin:
        array = array == -1
    elif array.dtype == np.uint8 and array.flags.owndata and not array.flags.writeable:
        return array
    bits = np.array(array, dtype=np.uint8, order="C")
    bits.setflags(write=False)
    return bits


def wrong_value(shown: Any, value: float, spin: bool, otherwise: str = "") -> str:
    """Return the rule that a value breaks, the value as shown, and what to do."""
    if spin:
        hint = "; leave out --spin for data of 0 and 1" if value == 0 else ""
        return f"a spin must be +1 or -1, found {shown}{hint}"
    return f"a bit must be 0 or 1, found {shown}{SIGNS_HINT if value == -1 else otherwise}"


def bits_of_strings(rows: Sequence[Any], place: str) -> Bits:
    """Return the zeros and ones of strings such as "0110", [string, character]."""
    for number, row in enumerate(rows):
        if not isinstance(row, str) or row.strip("01") or not row:
            raise InputError(
                f"{place}: entry {number}: must be a string of 0 and 1, found {brief(row)}"
            )
        if len(row) != len(rows[0]):
            raise InputError(
                f"{place}: {row[:60]!r} has {len(row)} bits, but {rows[0][:60]!r} has "
                f"{len(rows[0])}; every shot needs the same number of sites"
            )
    flat = np.frombuffer("".join(rows).encode(), dtype=np.uint8) - np.uint8(ord("0"))
    return flat.reshape(len(rows), -1)


def bits_of_counts(counts: Mapping[Any, Any], place: str) -> Bits:
    """Return bits [shot, site] of counts such as {"0110": 3}; site 0 is the first character.

    Raises:
        InputError: there are none, a key is not a bit string or of another length, or as for
            `expand_counts`.
    """
    check_outcomes(counts, place)
    return expand_counts(bits_of_strings(list(counts), place), counts.values(), place)


def expand_counts(
    outcomes: Bits, counts: Iterable[Any], place: str, names: Sequence[str] | None = None
) -> Bits:
    """Repeat each outcome [outcome, site] as often as it was counted: [shot, site].

    A count may be a whole float such as 501.0, unless all add up to 1, as probabilities do.

    Raises:
        InputError: a count is not an integer of at least 0, all are 0, or the sum is too large.
            The message calls an outcome by its name in `names`, else by its bits.
    """
    found = list(counts)
    real = [count for count in found if isinstance(count, int | float)]
    probable = any(isinstance(count, float) for count in real) and abs(math.fsum(real) - 1) < 1e-6
    numbers: list[int] = []
    for row, count in enumerate(found):
        whole = isinstance(count, float) and count.is_integer() and not probable
        if isinstance(count, bool) or not (isinstance(count, Integral) or whole) or count < 0:
            bits = "".join(map(str, outcomes[row].tolist()))
            outcome = f"{bits[:60]} (site 0 first)" if names is None else names[row][:60]
            hint = "; give counts, not probabilities" if isinstance(count, float) else ""
            raise InputError(
                f"{place}: the count of outcome {outcome} must be an integer of at least 0, found "
                f"{brief(count)}{hint}"
            )
        numbers.append(int(count))
    shots, sites = sum(numbers), outcomes.shape[1]
    if shots > MOST_COUNTED or shots * sites > MOST_COUNTED_BITS:
        raise InputError(
            f"{place}: holds {_printed(shots)} shots of {sites} sites, but counts may stand for at "
            f"most {MOST_COUNTED} shots and {MOST_COUNTED_BITS} bits; take a random subset"
        )
    if not shots:
        raise InputError(f"{place}: all counts are 0; it needs at least one shot")
    return np.repeat(outcomes, np.array(numbers, dtype=np.int64), axis=0)


def check_outcomes(outcomes: Any, place: str) -> None:
    """Raise `InputError` if there are no outcomes at all."""
    if not len(outcomes):
        raise InputError(f"{place}: holds no outcomes; it needs at least one shot")


def join_columns(tables: Sequence[Bits], what: str, place: str) -> Bits:
    """Return tables [shot, site] side by side; raise `InputError` if their lengths differ."""
    if len({len(table) for table in tables}) > 1:
        lengths = ", ".join(str(len(table)) for table in tables[:12])
        raise InputError(f"{place}: the {what} must have equally many shots, found {lengths}")
    return np.concatenate(tables, axis=1)


def check_qubits(wanted: int | None, number: int, place: str) -> None:
    """Raise `InputError` if the setting `qubits` is given and the file has another number."""
    if wanted not in (None, number):
        raise InputError(f"{place}: has {number} bits per shot, but qubits is {wanted}")


def check_size(shots: int, sites: int, place: str) -> None:
    """Raise `InputError` if there are more than `MOST_BITS` bits."""
    if shots * sites > MOST_BITS:
        raise InputError(
            f"{place}: holds {_printed(shots)} shots of {_printed(sites)} sites, more than the "
            f"limit of {MOST_BITS} bits; take a random subset of the shots"
        )


def _printed(number: int) -> str:
    """Return a number that a file claims; it may have thousands of digits."""
    return str(number) if number < 10**18 else "more than 10^18"


def _ragged(data: Any) -> str:
    """Say which row of a nested list differs in length from the first."""
    try:
        lengths = [len(row) for row in data]
        row = next(i for i, length in enumerate(lengths) if length != lengths[0])
    except (TypeError, StopIteration):
        return "shots must be a table [shot, site] of zeros and ones"
    return (
        f"row {row} has {lengths[row]} values, but row 0 has {lengths[0]};"
        " every shot needs the same number of sites"
    )
