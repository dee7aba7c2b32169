"""Shots: measured bit strings, validated on entry, with their origin.

Bit 0 is Z = +1, bit 1 is Z = -1. Column 0 is site 0, the left end.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.repr import notebook_table
from psiprune.core.validation import check_seed
from psiprune.data.bit_order import are_opposite, bit_order_of, qubits_of
from psiprune.data.formats.base import short
from psiprune.data.formats.bits import as_bits, bits_of_counts
from psiprune.data.pauli_bases import PauliBases, as_basis, check_basis
from psiprune.data.readout_error import ReadoutError
from psiprune.io.netcdf import write_arrays

#: The attribute `basis` of a file whose variables hold the bases.
SEVERAL = "several"


@notebook_table("bits", "sites", "basis", "source", "readout")
@dataclass(frozen=True, eq=False, repr=False)
class Shots:
    """Bit strings [shot, site], each measured in a basis of Pauli operators.

    Attributes:
        bits: uint8 [shot, site], 0 or 1, read-only. May be given as an array of exact zeros and
            ones (integers, booleans, floats), as nested lists, or as counts {"0101": 12} with site
            0 as the first character.
        basis: the Pauli operator measured on every site of every shot, "X", "Y" or "Z", or else
            `PauliBases`. May be given as a letter for each site ("ZZX"), or as such a string for
            each shot. What describes sqrt(p) takes shots in Z only.
        source: the origin of the shots, for error messages: a file, a sampler.
        provenance: what is needed to make them again (model, seed, ...); saved in files as JSON.
        readout: the readout errors of these records, which training and every comparison with an
            RBM take into account; None where the bits are taken as read without error.

    Raises:
        InputError: the bits are not a table of zeros and ones; the message names the first wrong
            row and column (counted from 0) and its value. Or the counts are empty, have keys that
            are not bit strings of one length, or numbers that are not integers of at least 0. Or
            a basis has other letters than X, Y and Z or does not fit the bits.

    Examples:
        >>> Shots({"01": 2, "11": 1}).bits.tolist()
        [[0, 1], [0, 1], [1, 1]]
    """

    bits: NDArray[np.uint8]
    basis: str | PauliBases = "Z"
    source: str = "array"
    provenance: Mapping[str, Any] = field(default_factory=dict)
    readout: ReadoutError | None = None

    def __post_init__(self) -> None:
        """Check the bits and make them a read-only table."""
        data: Any = self.bits
        if isinstance(data, Mapping):
            source = "counts" if self.source == "array" else self.source
            object.__setattr__(self, "source", source)
            data = bits_of_counts(data, source)
        object.__setattr__(self, "bits", as_bits(data, self.source))
        basis = as_basis(self.basis, len(self.bits), self.bits.shape[1], self.source)
        object.__setattr__(self, "basis", basis)
        object.__setattr__(self, "provenance", dict(self.provenance))
        if self.readout is None:
            return
        if _checked(self.readout).sites != self.sites:
            raise InputError(
                f"readout: describes {self.readout.sites} sites ({self.readout.source}), but "
                f"{self.source} has {self.sites}; give the errors of these sites in their order"
            )
        order = bit_order_of(self.provenance)
        if are_opposite(self.readout.bit_order, order):
            raise InputError(
                f"readout: the calibration shots ({self.readout.source}) and {self.source} were "
                f"read in opposite orders, {self.readout.bit_order!r} and {order!r}; read both "
                "with the same order (--order)"
            )
        mine, theirs = qubits_of(order), qubits_of(self.readout.bit_order)
        if mine and theirs and mine != theirs:
            raise InputError(
                f"readout: the calibration shots ({self.readout.source}) are of the qubits "
                f"{', '.join(theirs)[:80]}, but {self.source} of {', '.join(mine)[:80]}; calibrate "
                "the same qubits, or choose and order those calibrated (--readout-qubits)"
            )

    def __repr__(self) -> str:
        """Return the sizes, the basis and the source in one short line."""
        source = self.source if len(self.source) <= 60 else f"...{self.source[-57:]}"
        basis = repr(self.basis) if isinstance(self.basis, str) else f"<{self.basis}>"
        return f"Shots(shots={len(self)}, sites={self.sites}, basis={basis}, {source=})"

    def __len__(self) -> int:
        """Return the number of shots."""
        return len(self.bits)

    @property
    def sites(self) -> int:
        """The number of sites, N."""
        return self.bits.shape[1]

    @property
    def positions(self) -> NDArray[np.float64] | None:
        """Where the sites are, [site, axis], as the provenance says; None if it does not say it."""
        parts = self.provenance.get("joined", [self.provenance])
        found = [part.get("positions") for part in parts]
        if found[0] is None or any(places != found[0] for places in found):
            return None
        table = np.array(found[0], np.float64)
        return table if table.ndim == 2 and len(table) == self.sites else None

    @cached_property
    def bases(self) -> tuple[str, ...]:
        """The unique bases, a letter for each site with site 0 first: ("ZZ", "XZ")."""
        if isinstance(self.basis, PauliBases):
            return self.basis.names
        return (self.basis * self.sites,)

    @cached_property
    def basis_of(self) -> NDArray[np.int64]:
        """The number of each shot's basis in `bases`, [shot], read-only."""
        if isinstance(self.basis, PauliBases):
            return self.basis.index
        return np.broadcast_to(np.int64(0), len(self))

    def by_basis(self) -> dict[str, NDArray[np.uint8]]:
        """Return the bits [shot, site] measured in each basis, in the order of `bases`."""
        if len(self.bases) == 1:
            return {self.bases[0]: self.bits}
        sizes = np.bincount(self.basis_of)
        rows = np.split(np.argsort(self.basis_of, kind="stable"), np.cumsum(sizes)[:-1])
        return {name: self.bits[group] for name, group in zip(self.bases, rows, strict=True)}

    def in_basis(self, basis: str) -> Shots:
        """Return the shots in one basis: a letter for all sites, or a letter for each.

        Raises:
            InputError: `basis` is not of X, Y and Z, or no shot was measured in it.
        """
        name = basis * self.sites if len(check_basis(basis)) == 1 else basis
        if name not in self.bases:
            raise InputError(
                f"{self.source}: has no shots in basis {basis[:40]}, found {self.basis}"
            )
        rows = self.basis_of == self.bases.index(name)
        return self if rows.all() else self.take(rows)

    def take(self, rows: Any) -> Shots:
        """Return some of the shots with their bases, by a slice, numbers or a mask of rows.

        Raises:
            InputError: no shot is left.
        """
        bits = as_bits(self.bits[rows], self.source)
        basis = self.basis.take(rows) if isinstance(self.basis, PauliBases) else self.basis
        return replace(self, bits=bits, basis=basis)

    @cached_property
    def unique(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Unique configurations [configuration, site], sorted, and how often each was measured."""
        return unique_rows(self.bits)

    def with_readout_error(self, error: ReadoutError, seed: int = 0) -> Shots:
        """Return what a device with these readout errors would record of these shots.

        The errors are attached to the result as `readout`, so that training undoes them. To attach
        errors to bits that a device recorded, use `dataclasses.replace(shots, readout=error)`.

        Raises:
            InputError: `error` is no `ReadoutError` or of another number of sites, the bits were
                recorded with readout errors already, or the seed is out of range.
        """
        if self.readout is not None:
            raise InputError(
                f"{self.source}: was recorded with readout errors ({self.readout.source}); errors "
                "can only be simulated on true bits"
            )
        attached = replace(self, readout=_checked(error))
        bits = error.misread(self.bits, check_seed(seed))
        provenance = {**self.provenance, "readout_simulated": error.source, "readout_seed": seed}
        return replace(attached, bits=bits, provenance=provenance)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write one NetCDF file of kind 'shots', variable `bits` [shot, site]; return its path.

        Several bases are the variables `bases` [basis, site] (character codes) and `basis_of`.

        Raises:
            InputError: the provenance cannot be written as JSON.
            OSError: the file cannot be written; an old file is then unchanged.
        """
        try:
            provenance = json.dumps(self.provenance)
        except (TypeError, ValueError) as error:
            raise InputError(f"provenance: cannot be written as JSON: {error}") from None
        meaning = {"long_name": "measured bit, 0 for +1 and 1 for -1", "units": "1"}
        attributes = {"basis": str(self.basis), "source": self.source, "provenance": provenance}
        if self.readout is not None:
            attributes["readout"] = json.dumps(self.readout.to_json())
        arrays: dict[str, Any] = {"bits": (("shot", "site"), self.bits, meaning)}
        if isinstance(self.basis, PauliBases):
            attributes["basis"] = SEVERAL
            letters = {"long_name": "Pauli operator, 88 for X, 89 for Y and 90 for Z", "units": "1"}
            number = {"long_name": "row of bases that the shot was measured in", "units": "1"}
            arrays["bases"] = (("basis", "site"), self.basis.codes, letters)
            arrays["basis_of"] = (("shot",), self.basis.index.astype(np.int32), number)
        return write_arrays(path, arrays, attributes, "shots")


def _checked(readout: Any) -> ReadoutError:
    """Return readout errors, or raise InputError for anything else."""
    if isinstance(readout, ReadoutError):
        return readout
    raise InputError(
        "readout: must be a ReadoutError, as ReadoutError.from_rates, read_readout and "
        f"calibrate_readout return, found {' '.join(short(readout).split())}"
    )


def unique_rows(bits: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the unique rows of bits [row, column] in lexicographic order, and their counts."""
    packed = np.packbits(bits, axis=1)
    if packed.shape[1] <= 8:  # as integers they are sorted in the same order, 20 times faster
        words = np.zeros((len(packed), 8), np.uint8)
        words[:, : packed.shape[1]] = packed
        keys, counts = np.unique(words.view(">u8")[:, 0].astype(np.uint64), return_counts=True)
        rows = keys.astype(">u8").view(np.uint8).reshape(-1, 8)
    else:
        rows, counts = np.unique(packed, axis=0, return_counts=True)
    return np.unpackbits(rows, axis=1, count=bits.shape[1]), counts


#: What functions that take shots accept: `Shots`, an array [shot, site], or counts {"0101": 12}.
ShotsLike = Shots | ArrayLike | Mapping[str, int]


def as_shots(data: ShotsLike) -> Shots:
    """Return `Shots` as they are; convert an array [shot, site] or counts, measured in basis Z.

    In counts such as {"0101": 12}, column 0 is the first character of the bit string.

    Raises:
        InputError: as `Shots`.
    """
    if isinstance(data, str | os.PathLike):
        path = os.fspath(data)
        raise InputError(f"shots: must be shots, not a file name; use read_shots({path!r})")
    return data if isinstance(data, Shots) else Shots(data)  # type: ignore[arg-type]


def check_sites(shots: Shots, sites: int, what: str) -> Shots:
    """Return the shots if they fit `what` ("the state"): as many sites, and measured in Z.

    Raises:
        InputError: the number of sites or the basis differs.
    """
    if shots.basis != "Z":
        raise InputError(
            f"{shots.source}: was measured in basis {shots.basis}, but {what} describes "
            f"measurements in basis Z; {_way_out(shots)}"
        )
    if shots.sites != sites:
        raise InputError(
            f"{shots.source}: has {shots.sites} site{'s' * (shots.sites != 1)} (columns), but "
            f"{what} has {sites}; give shots and state of the same size"
        )
    return shots


def _way_out(shots: Shots) -> str:
    if "Z" * shots.sites in shots.bases:
        return (
            "fit all bases by psiprune train (train_phases), or take those in Z alone: "
            "Shots.in_basis('Z'), or psiprune import --basis Z"
        )
    return (
        "give shots measured in Z; for a state with phases, shots in several bases, Z among them "
        "(train_phases)"
    )


def without_readout_error(shots: Shots, what: str) -> Shots:
    """Return the shots if their bits are taken as read without error.

    Args:
        shots: any shots.
        what: the computation, which takes the recorded bits as the true ones.

    Raises:
        InputError: readout errors are attached to the shots, which `what` would ignore.
    """
    if shots.readout is not None:
        raise InputError(
            f"{shots.source}: was recorded with readout errors ({shots.readout.source}), which "
            f"{what} does not take into account; to take the recorded bits as the true ones, "
            "remove the errors: dataclasses.replace(shots, readout=None), or psiprune export text"
        )
    return shots
