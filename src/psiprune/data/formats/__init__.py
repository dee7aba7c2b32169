"""Files of shots: a small module for each format, bytes in and bits [shot, site] out.

Each reader takes a `SourceFile` and the `ReadSettings` and returns `ParsedShots`, in which column 0
is site 0. No reader executes what a file contains, and a size that a header claims is compared with
the bytes that are present before memory is allocated.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from psiprune.core.exceptions import InputError
from psiprune.data.formats.base import REVERSED, ParsedShots, SourceFile
from psiprune.data.formats.bases import bases_by_column, given_basis, names_file
from psiprune.data.formats.bits import as_bits
from psiprune.data.formats.braket import read_braket
from psiprune.data.formats.cirq import read_cirq
from psiprune.data.formats.hdf5 import read_hdf5
from psiprune.data.formats.numpy import list_npz, read_numpy
from psiprune.data.formats.pulser import read_pulser
from psiprune.data.formats.qiskit import holds_samples, read_qiskit
from psiprune.data.formats.qucumber import read_qucumber
from psiprune.data.formats.quera import is_analog, read_quera
from psiprune.data.formats.settings import ReadSettings
from psiprune.data.formats.stim import (
    read_01,
    read_b8,
    read_dets,
    read_hits,
    read_ptb64,
    read_r8,
)
from psiprune.data.formats.text import read_text
from psiprune.data.pauli_bases import PauliBases

#: A first line such as [0, 1, 1] followed by another one, which is not JSON.
_LIST = re.compile(rb"\[[01+\-., ]*\][ \t\r]*\n\s*\[")


#: A dict of counts within a word and a bracket, as Python prints a Counter.
_PRINTED = re.compile(rb"[A-Za-z_][\w.]*\([^\n]{0,40}\{")
#: A dict with integers for keys, as Python prints it, perhaps within a word and a bracket.
_INTEGERS = re.compile(rb"\s*(?:[A-Za-z_][\w.]*\([^\n{]{0,40})?\{\s*[0-9]+\s*:")
#: A header of Cirq's with a key of several qubits, such as "q(0),q(1)".
_QUOTED = re.compile(rb'[^\n]*"q\([^"\n]*,[^"\n]*"')
#: Formats that may name qubits by number.
_NUMBERED = ("braket", "cirq", "text")


class Format(NamedTuple):
    """A reader, and the settings it takes in addition to `order` and `bases`."""

    read: Callable[[SourceFile, ReadSettings], ParsedShots]
    settings: tuple[str, ...] = ()


#: Every format by its name on the command line.
FORMATS: dict[str, Format] = {
    "text": Format(read_text, ("spin", "skip", "qubits")),
    "qucumber": Format(read_qucumber),
    "numpy": Format(read_numpy, ("key", "spin")),
    "hdf5": Format(read_hdf5, ("key", "spin")),
    "netcdf": Format(read_hdf5, ("key", "spin")),
    "qiskit": Format(read_qiskit, ("qubits", "key", "outcomes")),
    "cirq": Format(read_cirq, ("key", "qubits")),
    "braket": Format(read_braket, ("key", "on_missing")),
    "quera": Format(read_quera, ("key", "on_missing", "copies")),
    "pulser": Format(read_pulser, ("key",)),
    "stim-01": Format(read_01, ("qubits",)),
    "stim-b8": Format(read_b8, ("qubits",)),
    "stim-r8": Format(read_r8, ("qubits",)),
    "stim-hits": Format(read_hits, ("qubits",)),
    "stim-dets": Format(read_dets, ("qubits", "key")),
    "stim-ptb64": Format(read_ptb64, ("qubits",)),
}


def read_bits(
    file: SourceFile, name: str | None, settings: ReadSettings
) -> tuple[str, ParsedShots]:
    """Return the format's name and what the file holds; None detects the format by content.

    Raises:
        InputError: there is no such format, it does not take one of the settings, or the content
            is ambiguous or breaks the format's rules.
    """
    if name is not None and name not in FORMATS:
        raise InputError(f"format: must be one of {', '.join(FORMATS)}, found {name!r}")
    name = detect_format(file) if name is None else name
    form = FORMATS[name]
    for setting in settings.model_fields_set - {"order", "bases", *form.settings}:
        takes = ", ".join(("order", "bases", *form.settings))
        raise InputError(f"{setting}: does not apply to the format {name}, which takes {takes}")
    if settings.order == "numbered" and name not in _NUMBERED:
        raise InputError(
            "order: 'numbered' needs qubit numbers, which only results of Braket and headers of "
            f"tables have, not {name}; use 'listed' or 'reversed'"
        )
    parsed = form.read(file, settings)
    if parsed.basis is None and names_file(settings.bases):
        parsed = replace(parsed, basis=bases_by_column(file, parsed.bits, settings))
    bits = as_bits(parsed.bits, file.place)
    if settings.order == "reversed":
        basis, notes = parsed.basis, parsed.notes
        if isinstance(basis, PauliBases):
            basis = basis.of_sites(range(basis.sites)[::-1])
        elif basis is not None:
            basis = basis[::-1]
        if "positions" in notes:
            notes = {**notes, "positions": notes["positions"][::-1]}
        bits, order = as_bits(bits[:, ::-1], file.place), f"{REVERSED}{parsed.order}"
        parsed = replace(parsed, order=order, basis=basis, notes=notes)
    parsed = replace(parsed, bits=bits)
    basis = given_basis(parsed, settings.bases, file.place)
    notes = {"bases": ", ".join(Path(each).name for each in settings.bases)}
    notes = {**parsed.notes, **(notes if settings.bases else {})}
    return name, replace(parsed, basis=basis, notes=notes)


def detect_format(file: SourceFile) -> str:
    """Return the name of the format that a file's content (for Stim, its suffix) shows.

    Raises:
        InputError: it could be of several formats that differ in the order of the bits.
    """
    content, suffix = file.content, file.path.suffix.lower()
    if f"stim-{suffix[1:]}" in FORMATS:
        return f"stim-{suffix[1:]}"
    for signature, name in (
        (b"\x89HDF", "hdf5"),
        (b"CDF", "netcdf"),
        (b"\x93NUMPY", "numpy"),
    ):
        if content.startswith(signature):
            return name
    if content.startswith(b"PK\x03\x04"):
        return "qiskit" if set(list_npz(file)) == {"array", "num_bits"} else "numpy"
    file.check_unpacked()
    if b"\0" in content[:4096]:
        raise InputError(
            f"{file.path}: neither NetCDF, nor .npy or .npz, nor text; convert it to one of these"
        )
    start = content[: 1 << 16].lstrip(b"\xef\xbb\xbf \t\r\n")
    if suffix != ".json" and _LIST.match(start):
        return "text"
    if suffix == ".json" or start[:1] in (b"{", b"[") or _PRINTED.match(start):
        return _detect_json(file.json, file)
    if _QUOTED.match(start):
        return "cirq"
    return "text"


def _integers(file: SourceFile) -> InputError:
    return InputError(
        f"{file.path}: integers do not show which end is site 0; import the file as qiskit with "
        "--qubits N (site 0 is the lowest bit), or import it as qiskit with --order reversed and "
        "--qubits N (the highest, as in histograms of Cirq)"
    )


def _detect_json(data: Any, file: SourceFile) -> str:
    if is_analog(data):
        return "quera"
    if holds_samples(data):
        return "qiskit"
    if isinstance(data, list) and data:
        outcomes = data
        data = data[0] if isinstance(data[0], dict) else {}
    else:
        data = data if isinstance(data, dict) else {}  # a number or text shows nothing
        outcomes = list(data)
    for name, keys in (
        ("braket", {"braketSchemaHeader", "measuredQubits"}),
        ("cirq", {"cirq_type"}),
        ("qiskit", {"__type__", "backend_name"}),
        ("pulser", {"tagmap", "counter", "serialised_results"}),
    ):
        if keys & set(data):
            return name
    strings = [key for key in outcomes if isinstance(key, str)]
    decimal = (
        strings
        and all(key.isascii() and key.isdecimal() for key in strings)
        and "".join(strings).strip("01")
    )
    if decimal or _INTEGERS.match(file.content):
        raise _integers(file)
    if strings and all(key.startswith("0x") or " " in key for key in strings):
        return "qiskit"
    if strings and not "".join(strings).strip("01"):
        raise InputError(
            f"{file.path}: bit strings do not show which end is site 0; name the format they come "
            "from (option --format, argument format): qiskit (site 0 is the last character), or "
            "braket or pulser (the first)"
        )
    raise InputError(f"{file.path}: JSON of an unknown format; name one of {', '.join(FORMATS)}")
