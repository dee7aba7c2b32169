"""The basis that each shot was measured in: a Pauli operator for each site."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.text import counted

LETTERS = "XYZ"
#: Characters of the names of bases that a line lists.
_LISTED = 40


@dataclass(frozen=True, eq=False, repr=False)
class PauliBases:
    """The unique bases of shots, and which of them each shot was measured in.

    A basis is a string of X, Y and Z, site 0 first: "ZXY" measures Z of site 0, X of site 1 and Y
    of site 2. Outcome 0 is the eigenvalue +1 of the operator, 1 is -1.

    Attributes:
        names: unique bases of one length, in the order given without those of no shot.
        index: int64 [shot], read-only: shot k was measured in `names[index[k]]`.

    Raises:
        InputError: a name is not of X, Y and Z, is of another length or repeated; the index is not
            a list of integers from 0 to len(names) - 1.
    """

    names: tuple[str, ...]
    index: NDArray[np.int64]

    def __post_init__(self) -> None:
        """Check names and index, and leave out bases without shots."""
        names = tuple(self.names)
        for name in names:
            check_basis(name)
            if len(name) != len(names[0]):
                raise InputError(
                    f"basis: {name[:40]} has {counted(len(name), 'site')}, but {names[0][:40]} has "
                    f"{len(names[0])}; give a letter for each site"
                )
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(f"basis: {twice[:40]} occurs twice in the list of unique bases")
        index = np.asarray(self.index)
        if index.ndim != 1 or index.dtype.kind not in "iu" or not index.size:
            raise InputError(
                f"basis: the index must be an integer for each shot, found {index.dtype} of shape "
                f"{index.shape}"
            )
        if not 0 <= index.min() <= index.max() < len(names):
            raise InputError(
                f"basis: the index must be from 0 to {len(names) - 1} for {len(names)} bases, "
                f"found {index.min()} to {index.max()}"
            )
        used = np.bincount(index, minlength=len(names)) > 0
        index = (np.cumsum(used) - 1)[index].astype(np.int64)
        index.setflags(write=False)
        kept = tuple(name for name, taken in zip(names, used, strict=True) if taken)
        object.__setattr__(self, "names", kept)
        object.__setattr__(self, "index", index)

    @classmethod
    def of_shots(cls, names: Iterable[str]) -> PauliBases:
        """Return the bases of shots from one string for each shot; first come, first listed."""
        unique: dict[str, int] = {}
        index = [unique.setdefault(name, len(unique)) for name in names]
        return cls(tuple(unique), np.array(index, dtype=np.int64))

    @classmethod
    def of_groups(cls, names: Sequence[str], sizes: Sequence[int]) -> PauliBases:
        """Return the bases of shots one group after the other, in `names[k]` for `sizes[k]`."""
        groups = cls.of_shots(names)
        return cls(groups.names, np.repeat(groups.index, sizes))

    @classmethod
    def from_codes(cls, codes: ArrayLike, index: ArrayLike) -> PauliBases:
        """Return bases from character codes as `codes` gives them, [basis, site]."""
        table = np.asarray(codes)
        known = table.ndim == 2 and np.isin(table, [ord(letter) for letter in LETTERS]).all()
        if not known:
            raise InputError("basis: codes [basis, site] must be those of the letters X, Y and Z")
        rows = table.astype(np.uint8)
        return cls(tuple(row.tobytes().decode() for row in rows), np.asarray(index))

    def __repr__(self) -> str:
        """Return the number of bases and of shots, and the first bases."""
        return f"PauliBases({self}; {len(self.index)} shots)"

    def __str__(self) -> str:
        """Return the names of the bases; the first ones if there are many."""
        width = max(1, _LISTED // (len(self.names[0]) + 2))
        listed = ", ".join(name[:_LISTED] for name in self.names[:width])
        if len(self.names) == 1:
            return listed
        dots = ", ..." if len(self.names) > width else ""
        return f"{listed}{dots} ({len(self.names)} bases)"

    @property
    def sites(self) -> int:
        """The number of sites, N."""
        return len(self.names[0])

    @property
    def codes(self) -> NDArray[np.uint8]:
        """The character codes of the letters, [basis, site]: 88 for X, 89 for Y, 90 for Z."""
        return np.frombuffer("".join(self.names).encode(), dtype=np.uint8).reshape(-1, self.sites)

    def of_sites(self, sites: Sequence[int]) -> PauliBases:
        """Return the bases with the sites in another order, site k being `sites[k]` of these."""
        return PauliBases(tuple("".join(n[k] for k in sites) for n in self.names), self.index)

    def take(self, rows: Any) -> PauliBases:
        """Return the bases of some of the shots, by a slice, numbers or a mask of rows."""
        return PauliBases(self.names, self.index[rows])


def check_basis(name: Any) -> str:
    """Return the name of a basis; raise `InputError` unless it is a string of X, Y and Z."""
    if isinstance(name, str) and name and not name.strip(LETTERS):
        return name
    wrong = next((c for c in name if c not in LETTERS), name) if isinstance(name, str) else name
    raise InputError(
        f"basis: must be X, Y or Z for each site, such as 'ZZXY', found {repr(wrong)[:40]}"
        + (f" in {name[:40]!r}" if wrong != name else "")
    )


def as_basis(basis: Any, shots: int, sites: int, source: str) -> str | PauliBases:
    """Return the basis of shots [shot, site]: one letter if all sites of all shots share it.

    Args:
        basis: a letter, a letter for each site, `PauliBases`, or a string for each shot.
        shots: the number of shots.
        sites: the number of sites.
        source: the origin of the shots, for messages.

    Raises:
        InputError: a letter is unknown, or there are not as many letters as sites or not as many
            bases as shots.
    """
    if isinstance(basis, str):
        check_basis(basis)
        if len(basis) == 1:
            return basis
        basis = PauliBases((basis,), np.zeros(shots, dtype=np.int64))
    elif not isinstance(basis, PauliBases):
        try:
            basis = PauliBases.of_shots(check_basis(str(name)) for name in basis)
        except TypeError:
            check_basis(basis)
    if basis.sites != sites:
        raise InputError(
            f"basis: {basis.names[0][:40]} has {basis.sites} letters, but {source} has {sites} "
            "sites; give a letter for each site, site 0 first"
        )
    if len(basis.index) != shots:
        raise InputError(
            f"basis: has bases for {len(basis.index)} shots, but {source} has {shots}; give a "
            "basis for each shot (Shots.take keeps them together)"
        )
    first = basis.names[0]
    return first[0] if basis.names == (first[0] * sites,) else basis
