"""Everything that is read from HDF5 and NetCDF 4: names, attributes and arrays of one file.

Runs in the process of `io.hdf5_worker`: on damaged content the HDF5 library may crash, never return
or allocate without end. No type that a file declares is trusted: attributes are read only if their
type and shape are those that are expected.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5l, h5o, h5r, h5s, h5t
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.io.hdf5_checks import check_memory, check_stored, check_text, check_total

#: Groups within groups, and objects of one file.
MOST_DEPTH, MOST_OBJECTS = 100, 100_000
_DIMENSION = "This is a netCDF dimension but not a netCDF variable"
#: Attributes that describe the file to the libraries, not its data to a person.
_INTERNAL = frozenset(
    [
        *("CLASS", "NAME", "REFERENCE_LIST", "DIMENSION_LIST", "DIMENSION_LABELS"),
        *("_Netcdf4Dimid", "_Netcdf4Coordinates", "_NCProperties", "_nc3_strict"),
    ]
)
_NOT_A_COORDINATE = "_nc4_non_coord_"
#: References to texts are read so many at a time; each may stand for a long one.
_MOST_TEXTS, _BLOCK = 4096, 1 << 20
#: A chunk of references must stay unpacked while its texts are read block by block.
_CHUNK_CACHE, _CHUNKS_CACHED = 1 << 26, 521
_numbers = itertools.count()

Values = NDArray[Any] | list[Any] | str
Attributes = list[tuple[str, Any]]


class HDF5Reader:
    """One HDF5 file in memory."""

    def __init__(self, content: bytes, limit: int) -> None:
        """Open a file whose arrays may take `limit` bytes."""
        access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
        access.set_fapl_core(backing_store=False)
        access.set_file_image(content)
        access.set_cache(0, _CHUNKS_CACHED, _CHUNK_CACHE, 0.75)
        # HDF5 takes files in memory of one name for one file.
        name = b"content-%d" % next(_numbers)
        self._file = h5py.File(h5py.h5f.open(name, h5py.h5f.ACC_RDONLY, access))
        self._size, self._limit = len(content), limit

    def attributes(self) -> Attributes:
        """Return names and values of the attributes of the whole file."""
        return self._attributes(self._file)

    def variables(self) -> list[tuple[str, list[str], Attributes, Values]]:
        """Return name, dimensions, attributes and values of each variable, as NetCDF has them.

        Raises:
            InputError, ValueError: a variable does not hold what it claims, or lies elsewhere.
        """
        items = dict(self._below(self._file.id, linked=False))
        # HDF5 would search the whole file for the name of what a reference leads to.
        addresses = {h5o.get_info(item).addr: name for name, item in items.items()}
        numbers = {self._number(item): name for name, item in items.items()}
        found, phony = [], dict[int, str]()
        for name, identifier in items.items():
            if not isinstance(identifier, h5d.DatasetID):
                continue
            item = h5py.Dataset(identifier)
            if self._is_dimension(item):
                continue
            self._check(item, name)
            names = self._numbered(item, numbers) or self._names(item, name, phony, addresses)
            found.append((name, item, names))
        claimed = sum((item.size or 0) * item.dtype.itemsize for _, item, _ in found)
        check_total(claimed, self._size)
        check_memory(claimed, self._limit)
        return [
            (
                name.removeprefix(_NOT_A_COORDINATE),
                names,
                self._attributes(item),
                self._values(item, name),
            )
            for name, item, names in found
        ]

    def tables(self) -> list[str]:
        """Return the paths of all tables of numbers of two dimensions; links are not followed.

        Raises:
            InputError: groups are nested too deeply, or there are too many objects.
        """
        found: list[str] = []
        seen: set[int] = set()
        waiting: list[tuple[Any, str, int]] = [(self._file.id, "", 0)]
        while waiting:
            identifier, path, depth = waiting.pop()
            address = h5o.get_info(identifier).addr
            if address in seen:
                continue
            seen.add(address)
            if len(seen) > MOST_OBJECTS:
                raise InputError(f"holds more than {MOST_OBJECTS} objects; save the table alone")
            if isinstance(identifier, h5d.DatasetID):
                item = h5py.Dataset(identifier)
                if item.ndim == 2 and _kind(item) in "biuf":
                    found.append(path)
            elif depth > MOST_DEPTH:
                raise InputError(
                    f"its groups are nested more than {MOST_DEPTH} deep; save the table at the top "
                    "level of a file"
                )
            elif not isinstance(identifier, h5t.TypeID):
                below = self._below(identifier, linked=True)
                waiting += reversed(
                    [(each, f"{path}/{name}".lstrip("/"), depth + 1) for name, each in below]
                )
        return found

    def dimensions(self, name: str) -> list[tuple[str, str | None]]:
        """Return the label of each dimension, and the path of its coordinate, if it has them."""
        item = self._file[name]
        labels = self._labels(item) or [""] * item.ndim
        scales = self._scales(item, {}) or [None] * item.ndim
        return list(zip(labels, scales, strict=True))

    def shape(self, name: str) -> list[int] | None:
        """Return the shape of a dataset; None if it has no content."""
        item = self._file[name]
        stored = isinstance(item, h5py.Dataset) and item.id.get_storage_size()
        return list(item.shape) if stored and item.shape is not None else None

    def read(self, name: str) -> Values:
        """Return an array, or texts as nested lists.

        Raises:
            InputError: it holds neither numbers nor text, or more than the limit.
            ValueError: it claims more than it holds.
        """
        item = self._file[name]
        self._check(item, name)
        return self._values(item, name)

    @staticmethod
    def _below(group: Any, linked: bool) -> Iterator[tuple[str, Any]]:
        """Yield names and identifiers of what a group holds, without links or refusing them."""
        for name in group:
            if group.links.get_info(name).type == h5l.TYPE_HARD:
                yield name.decode(errors="surrogateescape"), h5o.open(group, name)
            elif not linked:
                raise ValueError("data in other files")

    def _check(self, item: h5py.Dataset, name: str) -> None:
        try:
            check_stored(item, self._limit)
        except InputError as error:
            raise InputError(f"{name[:60]}: {error}") from None

    def _values(self, item: h5py.Dataset, name: str) -> Values:
        kind = _kind(item)
        if kind == "O" and h5py.check_string_dtype(item.dtype) is not None:
            return self._texts(item, name)
        if item.shape is None or kind not in "biufcS":
            raise InputError(f"{name[:60]}: must hold numbers or text, found {item.dtype}")
        return np.asarray(item[()])

    def _texts(self, item: h5py.Dataset, name: str) -> list[Any] | str:
        """Read texts of any length a few at a time, and stop at what the file cannot hold."""
        if item.ndim != 1:  # rare, so all at once, if even the longest possible texts fit
            check_memory(item.size * self._size, self._limit)
            return np.vectorize(_decoded, otypes=[object])(item[()]).tolist()
        texts: list[str] = []
        length, count = 0, 1
        while len(texts) < item.size:
            block = item[len(texts) : len(texts) + count]
            taken = sum(len(text) for text in block)
            length += taken
            check_text(length, self._size, name)
            texts += map(_decoded, block)
            count = max(1, min(2 * count, _MOST_TEXTS, _BLOCK * len(block) // (taken + 1)))
        return texts

    def _is_dimension(self, item: h5py.Dataset) -> bool:
        """Whether it only gives the length of a dimension: NetCDF 4 never writes its values."""
        name = self._attribute(item, "NAME") if h5a.exists(item.id, b"NAME") else None
        return isinstance(name, str) and name.startswith(_DIMENSION)

    def _names(
        self, item: h5py.Dataset, name: str, phony: dict[int, str], known: dict[int, str]
    ) -> list[str]:
        """Return the dimensions of a NetCDF variable; those without names get made-up ones."""
        scales = self._scales(item, known)
        if scales is None and item.ndim == 1 and h5a.exists(item.id, b"CLASS"):
            return [name]  # a coordinate
        paths = scales or [None] * item.ndim
        return [
            phony.setdefault(length, f"phony_dim_{len(phony)}")
            if path is None
            else path.rpartition("/")[2].removeprefix(_NOT_A_COORDINATE)
            for path, length in zip(paths, item.shape or (), strict=True)
        ]

    def _number(self, identifier: Any) -> int | None:
        """Return the number of the dimension that a dataset is the coordinate of, if of one."""
        if not h5a.exists(identifier, b"CLASS") or not h5a.exists(identifier, b"_Netcdf4Dimid"):
            return None
        number = self._attribute(h5py.Dataset(identifier), "_Netcdf4Dimid")
        return int(number) if np.ndim(number) == 0 and not isinstance(number, str) else None

    def _numbered(self, item: h5py.Dataset, numbers: dict[int | None, str]) -> list[str]:
        """Return the dimensions of a coordinate that has several; empty if it has no such list."""
        if item.ndim < 2 or not h5a.exists(item.id, b"_Netcdf4Coordinates"):
            return []
        listed = np.asarray(self._attribute(item, "_Netcdf4Coordinates"))
        if listed.shape != (item.ndim,) or not set(listed.tolist()) <= set(numbers):
            raise ValueError("a coordinate without dimensions")
        return [numbers[number].removeprefix(_NOT_A_COORDINATE) for number in listed.tolist()]

    def _labels(self, item: h5py.Dataset) -> list[str] | None:
        """Return DIMENSION_LABELS, which the HDF5 library reads without a look at their type."""
        if not h5a.exists(item.id, b"DIMENSION_LABELS"):
            return None
        handle = h5a.open(item.id, b"DIMENSION_LABELS")
        is_text = handle.get_type().get_class() == h5t.STRING
        if not is_text or _shape(handle) != (item.ndim,):
            raise _wrong(item, "DIMENSION_LABELS", f"{item.ndim} texts", handle)
        return [_decoded(text) for text in item.attrs["DIMENSION_LABELS"]]

    def _scales(self, item: h5py.Dataset, known: dict[int, str]) -> list[str | None] | None:
        """Return the path of the first coordinate of each dimension, by DIMENSION_LIST.

        `known` has paths by address, so that HDF5 need not search the file for them.
        """
        if not h5a.exists(item.id, b"DIMENSION_LIST"):
            return None
        handle = h5a.open(item.id, b"DIMENSION_LIST")
        kind = handle.get_type()
        if (
            not isinstance(kind, h5t.TypeVlenID)
            or kind.get_super().get_class() != h5t.REFERENCE
            or _shape(handle) != (item.ndim,)
        ):
            raise _wrong(
                item, "DIMENSION_LIST", f"{item.ndim} lists of references to coordinates", handle
            )
        paths: list[str | None] = []
        for references in item.attrs["DIMENSION_LIST"]:
            if not len(references) or not references[0]:
                paths.append(None)
                continue
            scale = h5r.dereference(references[0], self._file.id)
            if not isinstance(scale, h5d.DatasetID):
                raise ValueError("a dimension that refers to no dataset")
            path = known.get(h5o.get_info(scale).addr)
            paths.append(path or str(h5py.Dataset(scale).name).lstrip("/"))
        return paths

    def _attributes(self, item: Any) -> Attributes:
        """Return the attributes of numbers and text, in their order."""
        found = []
        for name in item.attrs:
            value = None if name in _INTERNAL else self._attribute(item, name)
            if value is not None:
                found.append((name, value))
        return found

    def _attribute(self, item: Any, name: str) -> Any:
        """Return an attribute, of one element as scalar; None if neither of numbers nor text."""
        handle = h5a.open(item.id, name.encode(errors="surrogateescape"))
        try:
            dtype = handle.dtype
        except TypeError:
            return None
        is_text = h5py.check_string_dtype(dtype) is not None
        if not is_text and dtype.kind not in "biufc":
            return None
        shape = _shape(handle)
        if shape is None:
            return "" if is_text else np.zeros(0, dtype)
        check_text(int(np.prod(shape, dtype=object)) * dtype.itemsize, self._size, name)
        value = item.attrs[name]
        if is_text:
            texts = [_decoded(text) for text in np.asarray(value, dtype=object).ravel()]
            return texts[0] if len(texts) == 1 else texts
        value = np.asarray(value)
        return value.reshape(()) if value.size == 1 else value


def _kind(item: h5py.Dataset) -> str:
    """Return NumPy's letter for the type of a dataset; "V" if NumPy has none."""
    try:
        return item.dtype.kind
    except TypeError:
        return "V"


def _shape(handle: Any) -> tuple[int, ...] | None:
    """Return the shape of an attribute; None if it has no content."""
    space = handle.get_space()
    return None if space.get_simple_extent_type() == h5s.NULL else tuple(handle.shape)


def _wrong(item: h5py.Dataset, name: str, rule: str, handle: Any) -> InputError:
    path = str(item.name).lstrip("/")
    is_text = handle.get_type().get_class() == h5t.STRING
    try:
        kind = "text" if is_text else str(handle.dtype)
    except TypeError:
        kind = "another type"
    return InputError(
        f"{path[:60]}: its attribute {name} must be {rule}, found {kind} of shape "
        f"{_shape(handle)}; remove it: del file[{path[:60]!r}].attrs[{name!r}]"
    )


def _decoded(text: Any) -> str:
    return text.decode(errors="replace") if isinstance(text, bytes) else str(text)
