"""Shots: measured bit strings, checked on the way in, with where they come from.

Bit 0 is Z = +1, bit 1 is Z = -1. Column 0 is site 0, the left end.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from psiprune.files import read_dataset, write_dataset
from psiprune.inputs import InputError

SIGNS_HINT = "; convert +1/-1 data by bits = (1 - z) // 2"


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
        object.__setattr__(self, "bits", _as_bits(self.bits, self.source))
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


def as_shots(data: Shots | ArrayLike) -> Shots:
    """Return shots as they are, and an array or nested list [shot, site] as `Shots` in basis Z.

    Raises:
        InputError: as `Shots`.
    """
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


def read_shots(path: str | os.PathLike[str]) -> Shots:
    """Read shots from a file; what it holds is told by its content, not its name.

    - NetCDF as written by `Shots.save`;
    - `.npy`, or `.npz` with one array or with an array named `bits`, shape [shot, site];
    - text, one shot a line: zeros and ones separated by blanks or commas, or one string such as
      `010011`; empty lines and what follows a `#` are skipped.

    Raises:
        InputError: the file cannot be read, is empty, truncated, ragged, or holds anything but
            zeros and ones; the message names file, place and value found. In text, line and column
            count from 1, as editors do; in arrays, row and column count from 0.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    if not content.strip():
        raise InputError(f"{path}: the file is empty; it needs at least one shot")
    if content.startswith(b"\x89HDF") or path.suffix == ".nc":
        return _read_netcdf(path)
    if content.startswith((b"\x93NUMPY", b"PK\x03\x04")):
        return Shots(_load_numpy(content, path), source=str(path))
    return Shots(_parse_text(content, path), source=str(path))


def _read_netcdf(path: Path) -> Shots:
    dataset = read_dataset(path, "shots")
    if "bits" not in dataset or dataset["bits"].dims != ("shot", "site"):
        raise InputError(f"{path}: needs a variable 'bits' with the dimensions (shot, site)")
    try:
        provenance = dict(json.loads(dataset.attrs.get("provenance", "{}")))
    except (TypeError, ValueError):
        raise InputError(f"{path}: the attribute 'provenance' must be a JSON object") from None
    # The file is the source from here on; who made it stays in the provenance.
    provenance.setdefault("source", str(dataset.attrs.get("source", "")))
    basis = str(dataset.attrs.get("basis", "Z"))
    return Shots(dataset["bits"].values, basis=basis, source=str(path), provenance=provenance)


def _load_numpy(content: bytes, path: Path) -> NDArray[Any]:
    """The array of an .npy file, or the one of an .npz file that holds the bits."""
    try:
        loaded = np.load(io.BytesIO(content), allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        names = loaded.files
        if "bits" in names or len(names) == 1:
            return loaded["bits" if "bits" in names else names[0]]
    except Exception as error:  # numpy, zipfile and zlib raise many types on damaged content
        raise InputError(
            f"{path}: truncated, damaged, or not a plain array ({type(error).__name__})"
        ) from None
    raise InputError(f"{path}: needs one array, or one named 'bits'; found {names}")


def _parse_text(content: bytes, path: Path) -> NDArray[np.uint8]:
    """Zeros and ones from text, shape [shot, site]."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: neither NetCDF, nor .npy or .npz, nor text") from None
    rows: list[str] = []
    first = 0
    for number, line in enumerate(text.splitlines(), 1):
        content_of_line = line.partition("#")[0].strip()
        if not content_of_line:
            continue
        row = _parse_line(content_of_line, f"{path}: line {number}")
        if not rows:
            first = number
        elif len(row) != len(rows[0]):
            raise InputError(
                f"{path}: line {number} has {len(row)} values, but line {first} has"
                f" {len(rows[0])}; every shot needs the same number of sites"
            )
        rows.append(row)
    if not rows:
        raise InputError(f"{path}: holds comments only; it needs at least one shot")
    flat = np.frombuffer("".join(rows).encode(), dtype=np.uint8) - np.uint8(ord("0"))
    return flat.reshape(len(rows), -1)


def _parse_line(line: str, place: str) -> str:
    """One shot as a string of zeros and ones."""
    tokens = [token.strip() for token in line.split(",")] if "," in line else line.split()
    row = "".join(tokens)
    if (len(row) == len(tokens) and "" not in tokens) or len(tokens) == 1:
        if not row.strip("01"):
            return row
        if len(tokens) == 1 and line[0] in "01" and "." not in line:
            tokens = list(line)  # an unseparated string with a wrong character: name its column
    return "".join(_parse_bit(token, f"{place}, column {i}") for i, token in enumerate(tokens, 1))


def _parse_bit(token: str, place: str) -> str:
    try:
        value = float(token)  # "1.0" and "1.000000e+00", as numpy.savetxt writes
    except ValueError:
        value = np.nan
    # "01" among other values may be meant as one number or as two bits, so it is refused.
    if value not in (0.0, 1.0) or (len(token) > 1 and "." not in token):
        hint = SIGNS_HINT if value == -1 else "; mark headers and remarks with #"
        raise InputError(f"{place}: a bit must be 0 or 1, found {token[:40]!r}{hint}")
    return "1" if value else "0"


def _as_bits(data: Any, source: str) -> NDArray[np.uint8]:
    """A read-only uint8 table of zeros and ones."""
    try:
        array = np.asarray(data)
    except ValueError:
        raise InputError(f"{source}: {_ragged(data)}") from None
    if array.ndim != 2:
        raise InputError(
            f"{source}: shots must be a table [shot, site] of 2 dimensions, found {array.ndim}"
        )
    if array.size == 0:
        shape = f"{array.shape[0]} shots of {array.shape[1]} sites"
        raise InputError(f"{source}: holds no bits, found {shape}")
    if array.dtype.kind not in "biuf":
        raise InputError(
            f"{source}: bits must be numbers 0 or 1, found values of type {array.dtype}"
        )
    wrong = (array != 0) & (array != 1)  # NaN is neither
    if wrong.any():
        row, column = np.unravel_index(np.argmax(wrong), array.shape)
        value = array[row, column].item()
        hint = SIGNS_HINT if value == -1 else "; each value is the outcome of one site"
        raise InputError(
            f"{source}: row {row}, column {column}: a bit must be 0 or 1, found {value}{hint}"
        )
    if array.dtype == np.uint8 and array.flags.owndata and not array.flags.writeable:
        return array
    bits = np.array(array, dtype=np.uint8, order="C")
    bits.setflags(write=False)
    return bits


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
