"""Read readout errors: rates as text, files of psiprune, tables, and files of vendors."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from psiprune.core.exceptions import InputError
from psiprune.core.validation import check_count
from psiprune.data.confusion import broken_rule
from psiprune.data.formats.base import SourceFile, brief, parse_json
from psiprune.data.formats.names import natural
from psiprune.data.readout_devices import DeviceRates, Pair, device_rates, target_rates
from psiprune.data.readout_error import ReadoutError
from psiprune.data.readout_tables import rates_of_rows, read_array, read_table
from psiprune.io.bytes import read_bytes

#: Bytes of a file; the properties of a device with a thousand qubits take ten MiB.
_MOST_BYTES = 1 << 26
#: Text that is meant as rates, even if it does not consist of numbers.
_LIKE_RATES = re.compile(r"[\d\s.,;:%/()\[\]eE+-]*")


def read_readout(
    given: str | os.PathLike[str] | Any, sites: int, qubits: Sequence[int] | None = None
) -> ReadoutError:
    """Return the readout errors of shots with so many sites; docs/formats.md lists the files.

    Args:
        given: rates as text, "0.01" or "0.01,0.03" for p(1 | 0) and p(0 | 1) of every site; or a
            file: JSON as `psiprune calibrate` writes it, a table of rates with one line per site
            (text or .npy), or what a vendor saves (Qiskit, Braket, QuEra, Pulser, M3). Or a Qiskit
            `Target` or a backend that has one: its error of `measure`, alike for 0 and 1.
        sites: number of sites.
        qubits: the device's qubit of each site, in the order of the sites, for a file that
            describes more qubits than were measured.

    Raises:
        InputError: a rate lies outside [0, 0.5), the file cannot be read, is damaged or of no known
            kind, or describes another number of qubits than there are sites.
    """
    sites = check_count("sites", sites, 1)
    if qubits is not None:
        qubits = [int(qubit) for qubit in qubits]
        if len(set(qubits)) < len(qubits) or len(qubits) != sites:
            raise InputError(
                f"qubits: must be {sites} different qubits of the device, one for each site, found "
                f"{qubits}"
            )
    if not isinstance(given, str | os.PathLike):
        target = target_rates(given)
        if target is None:
            found = " ".join(repr(given).split())[:60]
            raise InputError(
                "readout: must be rates as text, such as '0.01,0.03', the name of a file, or a "
                f"Qiskit target, found {found}; ReadoutError.from_rates takes numbers"
            )
        return _chosen(target, sites, qubits, "target", "Qiskit target")
    if isinstance(given, str):
        if given.strip().lower() == "fit":
            raise InputError(
                "readout: flip rates cannot be learned from the shots of one state, because a "
                "state whose bits are flipped is again a possible state; found 'fit', give rates, "
                "or measure calibration shots and run psiprune calibrate"
            )
        rates = _rates(given)
        if rates is not None:
            shared = DeviceRates("", shared=rates)
            return _chosen(shared, sites, qubits, "readout", "rates")
        if not given.strip() or (_LIKE_RATES.fullmatch(given) and not Path(given).exists()):
            raise InputError(
                "readout: must be one rate such as 0.01, two such as 0.01,0.03 for p(1|0) and "
                f"p(0|1), or a file, found {given!r}"
            )
    file = SourceFile(Path(given), _content(Path(given)))
    if file.content.startswith(b"\x93NUMPY"):
        return _chosen(read_array(file), sites, qubits, file.place)
    file.check_unpacked()
    if b"\0" in file.content[:4096]:
        raise InputError(
            f"{file.place}: must be JSON, a table of rates as text, or .npy, found binary content"
        )
    if not file.text.lstrip().startswith(("{", "[")) and file.path.suffix.lower() != ".json":
        return _chosen(read_table(file), sites, qubits, file.place)
    return _from_json(file, sites, qubits)


def _rates(text: str) -> Pair | None:
    """Return the rates in text such as "0.01,0.03"; None if it does not consist of numbers."""
    try:
        values = [float(value) for value in text.split(",")]
    except ValueError:
        return None
    if len(values) > 2:
        raise InputError(
            "readout: must be one rate, or two for p(1|0) and p(0|1) of every site, found "
            f"{len(values)} numbers; rates of single sites belong in a file"
        )
    return values[0], values[-1]


def _content(path: Path) -> bytes:
    try:
        content = read_bytes(path, _MOST_BYTES)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read: {error.strerror or error}; readout errors are rates such as "
            "0.01,0.03 or a file"
        ) from None
    if len(content) > _MOST_BYTES:
        raise InputError(f"{path}: must have at most {_MOST_BYTES} bytes; give a file of rates")
    if not content.strip():
        raise InputError(f"{path}: the file is empty; it needs rates, one line per site")
    return content


def _from_json(file: SourceFile, sites: int, qubits: Sequence[int] | None) -> ReadoutError:
    data = parse_json(file.text, file.place)
    if isinstance(data, dict) and "groups" in data:
        with _naming(file.place):
            error = ReadoutError.from_json(data, file.place)
        if qubits is not None:
            _check_known(map(str, qubits), [str(k) for k in range(error.sites)], file.place)
            return error.of_sites(qubits)
        if error.sites != sites:
            raise _other_number(error.sites, sites, file.place)
        return error
    if isinstance(data, list):
        return _chosen(rates_of_rows(data, file.place), sites, qubits, file.place)
    found = device_rates(data, file.place)
    if found is None:
        raise InputError(
            f"{file.place}: holds no readout errors of a known kind: psiprune calibrate, Qiskit "
            "backend properties, Braket or QuEra device properties, a noise model of Pulser, M3; "
            f"found {brief(data)}"
        )
    return _chosen(found, sites, qubits, file.place)


def _chosen(
    rates: DeviceRates,
    sites: int,
    qubits: Sequence[int] | None,
    place: str,
    source: str = "",
) -> ReadoutError:
    """Return the errors of the chosen qubits, whose rates are checked."""
    source = source or (f"{place} ({rates.what})" if rates.what else place)
    if rates.shared is not None:
        if qubits is not None:
            raise InputError(
                f"qubits: does not apply to {source}, which gives all qubits the same rates; omit "
                "it"
            )
        pairs = [_in_range(rates.shared, place)] * sites
    else:
        names = sorted(rates.by_qubit, key=natural)
        if qubits is not None:
            _check_known(map(str, qubits), names, place)
            names = [str(qubit) for qubit in qubits]
        elif len(names) != sites:
            raise _other_number(len(names), sites, place)
        pairs = []
        for name in names:
            where, pair = (
                f"{place}: {rates.places.get(name, f'qubit {name}')}",
                rates.by_qubit[name],
            )
            if pair is None:
                raise InputError(f"{where}: gives no readout error; give the rates in another file")
            pairs.append(_in_range(pair, where))
    zero, one = zip(*pairs, strict=True)
    with _naming(place):
        return ReadoutError.from_rates(zero, one, source=source)


@contextmanager
def _naming(place: str) -> Iterator[None]:
    """Let an `InputError` of the block begin with the name of the file."""
    try:
        yield
    except InputError as problem:
        line = str(problem).removeprefix("readout: ").removeprefix(f"{place}: ")
        raise InputError(f"{place}: {line}") from None


def _in_range(pair: Pair, place: str) -> Pair:
    for name, rate in zip(("p(1|0)", "p(0|1)"), pair, strict=True):
        if not 0 <= rate < 0.5:
            raise InputError(f"{place}: {name} {broken_rule(rate)}")
    return pair


def _check_known(qubits: Iterable[str], known: Sequence[str], place: str) -> None:
    for qubit in qubits:
        if qubit not in known:
            raise InputError(
                f"qubits: must be qubits of {place}, which has {_listed(known)}, found {qubit}"
            )


def _listed(names: Sequence[str]) -> str:
    if len(names) > 8:
        return f"{len(names)} qubits from {names[0]} to {names[-1]}"
    return ", ".join(names)


def _other_number(found: int, sites: int, place: str) -> InputError:
    way_out = "give the rates of every site"
    if found > sites:
        way_out = "name the qubit of each site, in the order of the sites (--readout-qubits)"
    return InputError(
        f"{place}: must describe {sites} qubits, one for each site, found {found}; {way_out}"
    )
