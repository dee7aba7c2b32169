"""Sets of bases to measure in, by name: random:K, nearest-pairs, all-pairs; letters, or a file."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise
from pathlib import Path

from psiprune.core.exceptions import InputError
from psiprune.core.random import Stream, generator_for
from psiprune.data.formats.base import SourceFile, read_content
from psiprune.data.formats.lines import numbered_lines
from psiprune.data.pauli_bases import LETTERS, check_basis

_NAMES = "random:K, nearest-pairs, all-pairs, letters X, Y, Z such as ZZXY, or a file of them"


def basis_set(entries: str | Sequence[str], sites: int, seed: int = 0) -> tuple[str, ...]:
    """Return different bases of N sites, each a letter X, Y or Z for each site.

    Args:
        entries: a list of "random:K", Z on every site and K - 1 others, drawn from all 3^N with
            equal probability; "nearest-pairs", Z on every site and, for sites i and i + 1, X X and
            X Y there and Z elsewhere; "all-pairs", the same for any two sites; a basis, or one
            letter for all sites; or a file with a basis in each line. They are joined.
        sites: N.
        seed: the same seed draws the same random bases.

    Raises:
        InputError: an entry is none of these, K is not from 1 to 3^N, or a basis has not N letters.

    Source: nearest pairs: Torlai et al., Nat. Phys. 14, 447 (2018).
    """
    given = (entries,) if isinstance(entries, str) else tuple(entries)
    if not given:
        raise InputError(f"bases: must be {_NAMES}, found none")
    names = [name for entry in given for name in _of_entry(entry, sites, seed)]
    return tuple(dict.fromkeys(names))


def _of_entry(entry: str, sites: int, seed: int) -> list[str]:
    kind, _, number = entry.partition(":")
    if kind == "random" and number:
        return _random(number, sites, seed)
    if entry == "nearest-pairs":
        return ["Z" * sites, *_pairs(list(pairwise(range(sites))), sites)]
    if entry == "all-pairs":
        return ["Z" * sites, *_pairs(list(combinations(range(sites), 2)), sites)]
    if entry and not entry.strip(LETTERS):
        return [_of_sites(entry, sites, "bases")]
    if not Path(entry).is_file():
        raise InputError(f"bases: must be {_NAMES}, found {entry[:60]!r}")
    file = SourceFile(Path(entry), read_content(entry))
    names = []
    for row, line in numbered_lines(file, 0):
        place = f"{file.path}: line {row}"
        name = "".join(line.replace(",", " ").split())
        try:
            names.append(_of_sites(check_basis(name), sites, place))
        except InputError as error:
            raise InputError(f"{place}: {str(error).removeprefix(f'{place}: ')}") from None
    return names


def _of_sites(name: str, sites: int, place: str) -> str:
    if len(name) == 1:
        return name * sites
    if len(name) != sites:
        raise InputError(
            f"{place}: {name[:40]} has {len(name)} letters, but the state has {sites} sites; give "
            "a letter for each site, site 0 first"
        )
    return name


def _random(number: str, sites: int, seed: int) -> list[str]:
    """Return Z on every site and different random bases; none is drawn twice."""
    most = 3**sites
    if not number.isdecimal() or not 1 <= int(number) <= min(most, 10**6):
        raise InputError(
            f"bases: random:K needs K from 1 to {min(most, 10**6)} for {sites} sites, found "
            f"random:{number[:20]}"
        )
    generator = generator_for(seed, Stream.RANDOM_BASES)
    found = {"Z" * sites: None}
    while len(found) < int(number):
        drawn = generator.integers(3, size=sites)
        found["".join(LETTERS[k] for k in drawn)] = None
    return list(found)


def _pairs(pairs: Sequence[tuple[int, int]], sites: int) -> list[str]:
    names = []
    for first, second in pairs:
        for letter in "XY":
            name = ["Z"] * sites
            name[first], name[second] = "X", letter
            names.append("".join(name))
    return names
