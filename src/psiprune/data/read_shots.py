"""Shots from a file of psiprune or another program, or from counts in memory."""

from __future__ import annotations

import json
import operator
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from psiprune.core.exceptions import InputError
from psiprune.data.formats import read_bits
from psiprune.data.formats.base import SourceFile, brief, read_content
from psiprune.data.formats.names import rising
from psiprune.data.formats.settings import ReadSettings
from psiprune.data.pauli_bases import PauliBases, check_basis
from psiprune.data.readout_error import ReadoutError
from psiprune.data.shots import SEVERAL, Shots, ShotsLike, as_shots
from psiprune.io.bytes import cached_pipes
from psiprune.io.hdf5_guard import opened
from psiprune.io.hdf5_wire import HDF5, NETCDF3
from psiprune.io.netcdf import read_arrays


@cached_pipes()
def read_shots(
    path: str | os.PathLike[str] | ShotsLike, format: str | None = None, **settings: Any
) -> Shots:
    """Read shots from a file of psiprune or another program; docs/formats.md lists the formats.

    Args:
        path: the file. Or shots in memory: an array [shot, site], or a dict of counts, which
            `format` reads like a file of JSON: `read_shots(result.get_counts(), "qiskit")` makes
            qubit 0, the last character, site 0. Without a format the first character is site 0.
        format: a name in docs/formats.md; None detects NetCDF as `Shots.save` writes it, or of
            another program; `.npy`, or `.npz` with one array or with one named `bits`, shape
            [shot, site]; text, one shot per line; JSON of Qiskit, Cirq, Braket, QuEra or Pulser;
            Stim by its suffix (.01, .b8, .r8, .hits, .dets, .ptb64).
        **settings: what the file does not say itself, as in `data.formats.settings.ReadSettings`:
            qubits, key, outcomes, bases, spin, on_missing, copies, order, skip. `bases` is a file
            with a line of letters for each shot, or a list of the basis of each circuit.

    Returns:
        The shots, column 0 as site 0. Their provenance holds the file's name, the format, the order
        of bits, and how many shots were dropped and why.

    Raises:
        InputError: the file cannot be read, is empty, truncated, ragged, of another format or an
            ambiguous one, or holds anything but bits; the message names file, place and value. In
            text, line and column count from 1, as in editors; elsewhere from 0.
    """
    chosen = ReadSettings(**settings)
    if isinstance(path, str | os.PathLike):
        file = SourceFile(Path(path), read_content(path))
        if format in (None, "netcdf", "hdf5") and _is_psiprune_file(file, format):
            for setting in chosen.model_fields_set:
                raise InputError(
                    f"{setting}: does not apply to a file of psiprune, which is self-describing"
                )
            return _read_netcdf(file.path)
    elif format is None and not chosen.model_fields_set:
        return as_shots(path)
    else:
        file = SourceFile(Path("counts"), _counts_as_json(path, format))
    name, parsed = read_bits(file, format, chosen)
    provenance = {
        "file": file.path.name,
        "format": name,
        "bit_order": parsed.order,
        "dropped": dict(parsed.dropped),
        **parsed.notes,
    }
    return Shots(parsed.bits, parsed.basis or "Z", file.place, provenance)


def _counts_as_json(counts: ShotsLike, format: str | None) -> bytes:
    """Return counts as the JSON file that they could have been saved to."""
    if not isinstance(counts, Mapping):
        raise InputError("format: an array has no format; read it without format and settings")
    keys = []
    for key in counts:
        integer = isinstance(key, int) and not isinstance(key, bool) and key >= 0
        if not isinstance(key, str) and not integer:
            raise InputError(f"counts: each key must be a bit string, found {brief(key)}")
        if integer and format is None:
            raise InputError(
                "counts: integers do not show which end is site 0; give format='qiskit' (the "
                "lowest bit), with order='reversed' for the highest, as in histograms of Cirq"
            )
        keys.append(hex(key) if isinstance(key, int) else key)  # "0x3" is no bit string
    try:
        pairs = dict(zip(keys, counts.values(), strict=True))
        return json.dumps(pairs, default=operator.index).encode()
    except TypeError as error:
        raise InputError(f"counts: each count must be an integer ({error})") from None


def _is_psiprune_file(file: SourceFile, format: str | None) -> bool:
    """Whether `read_arrays` should read the file, or report what is wrong with it."""
    if not file.content.startswith((HDF5, *NETCDF3)):
        return format is None and file.path.suffix == ".nc"
    with opened(file.content, file.path) as content:
        return "psiprune_kind" in content.attributes()


def _read_netcdf(path: Path) -> Shots:
    variables, attributes = read_arrays(path, "shots")
    dimensions, bits = variables.get("bits", ((), np.empty(0)))
    if dimensions != ("shot", "site"):
        raise InputError(f"{path}: needs a variable 'bits' with the dimensions (shot, site)")
    if variables.get("site", ((),))[0] == ("site",) and not rising(variables["site"][1]):
        raise InputError(
            f"{path}: the coordinate 'site' must rise, as column 0 is site 0; sort the file by it: "
            "dataset.sortby('site')"
        )
    try:
        provenance = dict(json.loads(attributes.get("provenance", "{}")))
    except (TypeError, ValueError):
        raise InputError(f"{path}: the attribute 'provenance' must be a JSON object") from None
    # From now on the file is the source; the original one is recorded in the provenance.
    provenance.setdefault("source", str(attributes.get("source", "")))
    try:
        basis = _read_basis(str(attributes.get("basis", "Z")), variables)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    readout = None
    if "readout" in attributes:
        try:
            content = json.loads(attributes["readout"])
        except (TypeError, ValueError):
            raise InputError(f"{path}: the attribute 'readout' must be a JSON object") from None
        readout = ReadoutError.from_json(content, f"{path}: readout")
    return Shots(bits, basis, str(path), provenance, readout)


def _read_basis(basis: str, variables: Mapping[str, Any]) -> str | PauliBases:
    """Return the basis that an attribute names, or those in the variables of a file."""
    if basis != SEVERAL:
        return check_basis(basis)
    missing: Any = ((), np.empty(0))
    over, codes = variables.get("bases", missing)
    of, index = variables.get("basis_of", missing)
    if (over, of) != (("basis", "site"), ("shot",)):
        raise InputError(
            "needs the variables 'bases' (basis, site) and 'basis_of' (shot), as its attribute "
            f"'basis' is {SEVERAL!r}"
        )
    return PauliBases.from_codes(codes, index)
