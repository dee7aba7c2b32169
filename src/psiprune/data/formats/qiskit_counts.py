"""Outcomes of Qiskit's counts and memory: bit strings, hexadecimal and decimal numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from psiprune.core.exceptions import InputError
from psiprune.data.formats.base import Bits, brief
from psiprune.data.formats.bits import (
    bits_of_strings,
    check_outcomes,
    check_qubits,
    check_size,
    expand_counts,
)

_HEX = re.compile(r"0x[0-9a-fA-F]+")
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,4000}")
_BINARY = re.compile(r"[01]+( [01]+)*")
Outcomes = Literal["bits", "integers"] | None


def read_outcomes(
    data: dict[str, Any] | list[Any], qubits: int | None, outcomes: Outcomes, place: str
) -> Bits:
    """Return the bits [shot, site] of counts (an object) or memory (a list), qubit 0 first.

    Keys of counts may be decimal integers. Where they could be bit strings as well, and the bits
    would differ, `outcomes` must say which they are.

    Raises:
        InputError: an outcome is none of these or does not fit `qubits`, or a count is wrong.
    """
    keys = list(data)
    check_outcomes(keys, place)
    if not isinstance(data, dict):
        return outcome_bits(keys, qubits, place)
    if (outcomes or _kind(keys, qubits, place)) == "integers":
        bits = _bits_of_integers(keys, qubits, place)
    else:
        unpadded = all(map(_DECIMAL.fullmatch, keys)) and (outcomes or len(set(map(len, keys))) > 1)
        if unpadded and qubits is not None:
            longest = max(keys, key=len)
            if len(longest) > qubits:
                raise InputError(
                    f"{place}: the outcome {longest[:60]!r} has {len(longest)} bits, but qubits is "
                    f"{qubits}"
                )
            keys = [key.zfill(qubits) for key in keys]
        elif qubits is not None and all(map(_DECIMAL.fullmatch, keys)) and len(keys[0]) < qubits:
            raise InputError(
                f"{place}: has {len(keys[0])} bits per shot, but qubits is {qubits}; if leading "
                "zeros are missing, give --outcomes bits"
            )
        bits = outcome_bits(keys, qubits, place)
    return expand_counts(bits, data.values(), place)


def outcome_bits(keys: Sequence[Any], qubits: int | None, place: str) -> Bits:
    """Return outcomes [outcome, site]: all bit strings or all hexadecimal numbers."""
    if all(isinstance(key, str) and _HEX.fullmatch(key) for key in keys):
        return _bits_of_numbers([int(key, 16) for key in keys], qubits, "hexadecimal", place)
    for key in keys:
        if not isinstance(key, str) or not _BINARY.fullmatch(key):
            raise InputError(
                f"{place}: an outcome must be a bit string such as '0110', '01 10' or '0x6', all "
                f"of one kind, found {brief(key)}"
            )
    bits = bits_of_strings([key.replace(" ", "") for key in keys], place)
    if len({tuple(map(len, key.split())) for key in keys}) > 1:
        raise InputError(f"{place}: outcomes must have their blanks between the same registers")
    check_qubits(qubits, bits.shape[1], place)
    return bits[:, ::-1]


def _kind(keys: Sequence[str], qubits: int | None, place: str) -> Outcomes:
    """Return what the keys of counts must be, by their digits and the number of qubits."""
    if not all(map(_DECIMAL.fullmatch, keys)):
        return "bits"
    if not all(map(_BINARY.fullmatch, keys)):
        return "integers"
    shown = ", ".join(map(repr, keys[:3]))[:80] + (", ..." if len(keys) > 3 else "")
    if qubits is None and len(set(map(len, keys))) > 1:
        raise InputError(
            f"{place}: the outcomes {shown} differ in length, like bit strings without leading "
            "zeros; give --qubits N (qubits=N)"
        )
    if qubits is not None:
        if max(map(len, keys)) == 1:
            return "integers"  # 0 and 1 are the same bits either way
        if max(map(int, keys)).bit_length() > qubits:
            return "bits"
    with_qubits = " with --qubits N" if qubits is None else ""
    raise InputError(
        f"{place}: the outcomes {shown} may be bit strings or decimal integers; give --outcomes "
        f"bits or --outcomes integers{with_qubits}"
    )


def _bits_of_integers(keys: Sequence[str], qubits: int | None, place: str) -> Bits:
    if all(map(_HEX.fullmatch, keys)):
        return outcome_bits(keys, qubits, place)
    for key in keys:
        if not _DECIMAL.fullmatch(key):
            raise InputError(f"{place}: an outcome must be an integer, found {brief(key)}")
    return _bits_of_numbers([int(key) for key in keys], qubits, "integer", place)


def _bits_of_numbers(numbers: Sequence[int], qubits: int | None, kind: str, place: str) -> Bits:
    """Return numbers as bits [number, site], the lowest bit first."""
    needed = max(1, max(numbers).bit_length())
    if qubits is None:
        raise InputError(
            f"{place}: {kind} outcomes do not show the number of qubits (at least {needed}); "
            "give --qubits N (qubits=N)"
        )
    if needed > qubits:
        raise InputError(
            f"{place}: the outcome {hex(max(numbers))[:60]} needs {needed} bits, but qubits is "
            f"{qubits}"
        )
    check_size(len(numbers), qubits, place)
    width = -(-qubits // 8)
    packed = b"".join(number.to_bytes(width, "little") for number in numbers)
    table = np.frombuffer(packed, dtype=np.uint8).reshape(len(numbers), width)
    return np.unpackbits(table, axis=1, count=qubits, bitorder="little")
