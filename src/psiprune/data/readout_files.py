"""Read readout errors: rates as text, files of psiprune, tables, and files of vendors."""

from __future__ import annotations

import operator
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from psiprune.core.exceptions import InputError
from psiprune.core.validation import check_count
from psiprune.data.bit_order import qubits_of
from psiprune.data.confusion import Confusion, broken_rule
from psiprune.data.formats.base import SourceFile, brief, parse_json, short
from psiprune.data.formats.names import natural
from psiprune.data.readout_devices import (
    DeviceRates,
    Rates,
    device_rates,
    properties_rates,
    target_rates,
)
from psiprune.data.readout_error import ReadoutError
from psiprune.data.readout_rates import RATE_NAMES, matrix_of_rates, prepared_by_errors
from psiprune.data.readout_tables import rates_of_rows, read_array, read_table
from psiprune.io.bytes import read_bytes

#: Bytes of a file; the properties of a device with a thousand qubits take ten MiB.
_MOST_BYTES = 1 << 26
#: Text that is meant as rates, even if it does not consist of numbers.
_LIKE_RATES = re.compile(r"[\d\s.,;:%/()\[\]eE+±-]*")
#: Between a rate and its standard error.
_PLUS_MINUS = re.compile(r"\+/?-|±")


def read_readout(
    given: str | os.PathLike[str] | Any, sites: int, qubits: Sequence[int] | None = None
) -> ReadoutError:
    """Return the readout errors of shots with so many sites; docs/formats.md lists the files.

    Args:
        given: rates as text, "0.01" or "0.01,0.03" for p(1 | 0) and p(0 | 1) of every site, or with
            standard errors "0.01+-0.001,0.03+-0.002"; or a file: JSON as `psiprune calibrate`
            writes it, a table of rates with one line per site (text or .npy), or what a vendor
            saves (Qiskit, Braket, QuEra, Pulser, M3). Or an object of Qiskit: `BackendProperties`
            or their dictionary, a `Target` (its error of `measure`, alike for 0 and 1), or a
            backend that has one of these.
        sites: number of sites.
        qubits: the device's qubit of each site, in the order of the sites, for a file that
            describes more qubits than were measured.

    Raises:
        InputError: a rate lies outside [0, 0.5), the file cannot be read, is damaged or of no known
            kind, or describes another number of qubits than there are sites.
    """
    sites = check_count("sites", sites, 1)
    if qubits is not None:
        try:
            qubits = [operator.index(qubit) for qubit in qubits]
        except TypeError:
            raise InputError(
                f"qubits: must be {sites} integers, the device's qubit of each site, found "
                f"{' '.join(short(qubits).split())}"
            ) from None
        if len(set(qubits)) < len(qubits) or len(qubits) != sites:
            raise InputError(
                f"qubits: must be {sites} different qubits of the device, one for each site, found "
                f"{qubits}"
            )
    if not isinstance(given, str | os.PathLike):
        for place, rates_in in (("properties", properties_rates), ("target", target_rates)):
            rates = rates_in(given)
            if rates is not None:
                return _chosen(rates, sites, qubits, place, rates.what)
        raise InputError(
            "readout: must be rates as text, such as '0.01,0.03', the name of a file, or a "
            "Qiskit target, properties or backend, found "
            f"{' '.join(repr(given).split())[:60]}; ReadoutError.from_rates takes numbers"
        )
    if isinstance(given, str):
        if given.strip().lower() == "fit":
            raise InputError(
                "readout: flip rates cannot be learned from the shots of one state, because a "
                "state whose bits are flipped is again a possible state; found 'fit', give rates, "
                "or measure calibration shots and run psiprune calibrate"
            )
        shared = _rates(given)
        if shared is not None:
            source = "rates" if shared.errors is None else "rates with errors"
            return _chosen(DeviceRates("", shared=shared), sites, qubits, "readout", source)
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


def _rates(text: str) -> Rates | None:
    """Return rates in text: "0.01,0.03", "0.01+-0.001,0.03+-0.002"; None if it has other words."""
    try:
        values = [[float(part) for part in _PLUS_MINUS.split(each)] for each in text.split(",")]
    except ValueError:
        return None
    if len(values) > 2:
        raise InputError(
            "readout: must be one rate, or two for p(1|0) and p(0|1) of every site, found "
            f"{len(values)} numbers; rates of single sites belong in a file"
        )
    zero, one = values[0], values[-1]
    if len(zero) != len(one) or len(zero) > 2:
        raise InputError(
            "readout: both rates must have an error, as in 0.01+-0.001,0.03+-0.002, or neither, "
            f"found {text!r}"
        )
    errors = (zero[1], one[1]) if len(zero) == 2 else None
    return Rates(zero[0], one[0], errors)


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
            names = qubits_of(error.bit_order) or [str(k) for k in range(error.sites)]
            _check_known(map(str, qubits), names, file.place)
            return error.of_sites([names.index(str(qubit)) for qubit in qubits])
        if error.sites != sites:
            raise _other_number(error.sites, sites, file.place)
        return error
    found = device_rates(data, file.place)
    if found is None and isinstance(data, list):
        found = rates_of_rows(data, file.place)
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
        found = [(place, rates.shared)] * sites
    else:
        names = sorted(rates.by_qubit, key=natural)
        if qubits is not None:
            _check_known(map(str, qubits), names, place)
            names = [str(qubit) for qubit in qubits]
        elif len(names) != sites:
            raise _other_number(len(names), sites, place)
        found = []
        for name in names:
            where = f"{place}: {rates.places.get(name, f'qubit {name}')}"
            of_qubit = rates.by_qubit[name]
            if of_qubit is None:
                raise InputError(f"{where}: gives no readout error; give the rates in another file")
            found.append((where, of_qubit))
    groups = tuple(_group(site, *each) for site, each in enumerate(found))
    with _naming(place):
        shared = rates.shared is not None and rates.shared.errors is not None
        return ReadoutError(groups, source, alike=shared)


def _group(site: int, place: str, rates: Rates) -> Confusion:
    """Return the confusion matrix of a site by rates, which are checked."""
    if rates.problem:
        raise InputError(f"{place}: {rates.problem}")
    pair = rates.zero, rates.one
    for name, rate in zip(RATE_NAMES, pair, strict=True):
        if not 0 <= rate < 0.5:
            raise InputError(f"{place}: {name} {broken_rule(rate)}")
    prepared = None if rates.shots is None else np.array(rates.shots)
    if rates.errors is not None:
        prepared = prepared_by_errors(pair, rates.errors, place)
    return Confusion((site,), matrix_of_rates(*pair), prepared)


@contextmanager
def _naming(place: str) -> Iterator[None]:
    """Let an `InputError` of the block begin with the name of the file."""
    try:
        yield
    except InputError as problem:
        line = str(problem).removeprefix("readout: ").removeprefix(f"{place}: ")
        raise InputError(f"{place}: {line}") from None


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
