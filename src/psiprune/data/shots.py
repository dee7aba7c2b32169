"""Shots: measured bit strings, checked on the way in, with where they come from.

Bit 0 is Z = +1, bit 1 is Z = -1. Column 0 is site 0, the left end.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from psiprune.core.exceptions import InputError
from psiprune.data.formats import read_bits
from psiprune.data.formats.base import (
    File,
    as_bits,
    bits_of_strings,
    check_size,
    expand_counts,
    read_content,
    rising,
)
from psiprune.data.formats.settings import ReadSettings
from psiprune.io.bytes import pipes_kept
from psiprune.io.netcdf import read_dataset, write_dataset


@dataclass(frozen=True, eq=False)
class Shots:
    """Bit strings [shot, site], all measured in one basis.

    Attributes:
        bits: uint8 [shot, site], 0 or 1, read-only. Given as any array of exact zeros and ones
            (integers, booleans, floats) or as nested lists.
        basis: the Pauli operator measured on every site, "X", "Y" or "Z". RBMs and states take
            shots in Z only.
        source: where the shots come from, for error messages: a file, a sampler.
        provenance: what is needed to make them again (model, seed, ...); kept in files as JSON.

    Raises:
        InputError: the bits are not a table of zeros and ones; the message names the first
            offending row and column (counted from 0) and the value found there.

    Example:
        >>> len(Shots([[0, 1], [1, 1], [0, 0]]))
        3
    """

    bits: NDArray[np.uint8]
    basis: str = "Z"
    source: str = "array"
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the bits and make them a read-only table."""
        if self.basis not in ("X", "Y", "Z"):
            raise InputError(f"basis: must be 'X', 'Y' or 'Z', found {self.basis!r}")
        object.__setattr__(self, "bits", as_bits(self.bits, self.source))
        object.__setattr__(self, "provenance", dict(self.provenance))

    def __len__(self) -> int:
        """Return the number of shots."""
        return len(self.bits)

    @property
    def sites(self) -> int:
        """The number of sites, N."""
        return self.bits.shape[1]

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write one NetCDF file of kind 'shots', variable `bits` [shot, site]; return its path.

        Raises:
            InputError: the provenance holds something that JSON cannot.
            OSError: the file cannot be written; what was there is then untouched.
        """
        try:
            provenance = json.dumps(self.provenance)
        except (TypeError, ValueError) as error:
            raise InputError(f"provenance: cannot be written as JSON: {error}") from None
        meaning = {"long_name": "measured bit, 0 for +1 and 1 for -1", "units": "1"}
        dataset = xr.Dataset(
            {"bits": (("shot", "site"), self.bits, meaning)},
            attrs={"basis": self.basis, "source": self.source, "provenance": provenance},
        )
        return write_dataset(path, dataset, "shots")


def as_shots(data: Shots | ArrayLike | Mapping[str, int]) -> Shots:
    """Return shots unchanged, and an array [shot, site] or a dict of counts as `Shots` in basis Z.

    In counts such as {"0101": 12} the first character is site 0.

    Raises:
        InputError: as `Shots`, or the counts are not integers by strings of 0 and 1.
    """
    if isinstance(data, Mapping):
        if not data:
            raise InputError("counts: the dict is empty; it needs at least one shot")
        numbers = [n.item() if isinstance(n, np.integer) else n for n in data.values()]
        outcomes = bits_of_strings(list(data), "counts")
        return Shots(expand_counts(outcomes, numbers, "counts"), source="counts")
    return data if isinstance(data, Shots) else Shots(data)  # type: ignore[arg-type]


def check_sites(shots: Shots, sites: int, what: str) -> Shots:
    """Return the shots if they fit `what` ("the state"): as many sites, and measured in Z.

    Raises:
        InputError: the number of sites or the basis is another.
    """
    if shots.basis != "Z":
        raise InputError(
            f"{shots.source}: was measured in basis {shots.basis}, but {what} describes"
            " measurements in basis Z; give shots measured in Z, or turn the state beforehand"
        )
    if shots.sites != sites:
        raise InputError(
            f"{shots.source}: has {shots.sites} sites (columns), but {what} has {sites};"
            " give shots and state of the same size"
        )
    return shots


@pipes_kept()
def read_shots(path: str | os.PathLike[str], format: str | None = None, **settings: Any) -> Shots:
    """Read shots from a file of psiprune or of another program; docs/formats.md has the formats.

    Args:
        path: the file.
        format: one of `psiprune.formats.FORMATS`; if not given, what the content shows: NetCDF as
            `Shots.save` writes it, or of another make; `.npy`, or `.npz` with one array or with one
            named `bits`, shape [shot, site]; text, one shot a line; JSON of Qiskit, Cirq, Braket,
            QuEra or Pulser; Stim by the suffix .01 or .b8.
        **settings: what the file does not tell itself, as in `psiprune.formats.ReadSettings`:
            qubits, key, bases, spin, on_missing, order, skip.

    Returns:
        The shots, column 0 as site 0. Their provenance holds the file's name, the format, the order
        of bits, and how many shots were dropped and why.

    Raises:
        InputError: the file cannot be read, is empty, truncated, ragged, of another format or of
            one that cannot be told, or holds anything but bits; the message names file, place and
            value found. In text, line and column count from 1, as editors do; elsewhere from 0.
    """
    chosen = ReadSettings(**settings)
    file = File(Path(path), read_content(path))
    if format in (None, "netcdf", "hdf5") and _is_own(file, format):
        for setting in chosen.model_fields_set:
            raise InputError(f"{setting}: means nothing to a file of psiprune, which tells all")
        return _read_netcdf(file.path)
    name, found = read_bits(file, format, chosen)
    provenance = {
        "file": file.path.name,
        "format": name,
        "bit_order": found.order,
        "dropped": dict(found.dropped),
        **found.notes,
    }
    return Shots(found.bits, source=str(file.path), provenance=provenance)


def join_shots(parts: Sequence[Shots]) -> Shots:
    """Shots of several runs as one, in the order given; the provenance keeps that of each.

    Raises:
        InputError: there is none, or they differ in the number of sites or in the basis.
    """
    if not parts:
        raise InputError("shots: needs at least one set of shots to join, found none")
    first = parts[0]
    for other in parts[1:]:
        for what, here, there in (
            ("sites", first.sites, other.sites),
            ("basis", first.basis, other.basis),
        ):
            if here != there:
                raise InputError(
                    f"{other.source}: {what} {there}, but {first.source}: {what} {here}; shots of "
                    "one system in one basis can be joined"
                )
    if len(parts) == 1:
        return first
    check_size(sum(map(len, parts)), first.sites, "joined")
    return Shots(
        np.concatenate([part.bits for part in parts]),
        basis=first.basis,
        source=", ".join(part.source for part in parts),
        provenance={"joined": [dict(part.provenance) for part in parts]},
    )


def _is_own(file: File, format: str | None) -> bool:
    """Whether `read_dataset` is to read the file, or to say what is wrong with it."""
    if not file.content.startswith(b"\x89HDF"):
        return format is None and file.path.suffix == ".nc" and file.content[:3] != b"CDF"
    import h5py

    try:
        with h5py.File(io.BytesIO(file.content), "r") as opened:
            return "psiprune_kind" in opened.attrs
    except Exception:  # damaged; the HDF5 library raises many types
        return True


def _read_netcdf(path: Path) -> Shots:
    dataset = read_dataset(path, "shots")
    if "bits" not in dataset or dataset["bits"].dims != ("shot", "site"):
        raise InputError(f"{path}: needs a variable 'bits' with the dimensions (shot, site)")
    if "site" in dataset.coords and not rising(dataset["site"].values):
        raise InputError(
            f"{path}: the coordinate 'site' must rise, as column 0 is site 0; write the file again "
            "in that order: dataset.sortby('site')"
        )
    try:
        provenance = dict(json.loads(dataset.attrs.get("provenance", "{}")))
    except (TypeError, ValueError):
        raise InputError(f"{path}: the attribute 'provenance' must be a JSON object") from None
    # The file is the source from here on; who made it stays in the provenance.
    provenance.setdefault("source", str(dataset.attrs.get("source", "")))
    basis = str(dataset.attrs.get("basis", "Z"))
    return Shots(dataset["bits"].values, basis=basis, source=str(path), provenance=provenance)
