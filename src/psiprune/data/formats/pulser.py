"""Shots of Pulser and Pasqal's machines: a counter of bit strings, or `Results` as JSON.

The first character is the first atom of the register; 1 is the Rydberg state (in the digital basis
the hyperfine state |h>).
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from psiprune.core.exceptions import InputError
from psiprune.data.formats.base import ParsedShots, SourceFile, brief, parse_json, part
from psiprune.data.formats.bits import bits_of_counts, bits_of_strings
from psiprune.data.formats.names import choose_one, refuse_key
from psiprune.data.formats.settings import ReadSettings

_ORDER = "site 0 is the first character, the first atom; bit 1 is the Rydberg state"


def read_pulser(file: SourceFile, settings: ReadSettings) -> ParsedShots:
    """Read a counter, a Pasqal job's `full_result`, or `Results.to_abstract_repr()`.

    Of `full_result` the list `raw` is read if present, as it preserves the order of the shots.
    Of `Results` the bit strings at the end of the sequence are read; `key` chooses their tag.

    Raises:
        InputError: the structure is another, counts are not integers, or bit strings do not fit
            the register.
    """
    return _read(file.json, settings, file.place)


def _read(data: Any, settings: ReadSettings, place: str) -> ParsedShots:
    if not isinstance(data, dict):
        hint = "; save each result to a separate file" if isinstance(data, list) else ""
        raise InputError(
            f"{place}: needs a counter of bit strings or Results as an object, found {brief(data)}"
            f"{hint}"
        )
    if "tagmap" in data:
        return _read_results(data, settings, place)
    if isinstance(data.get("serialised_results"), str):
        return _read(parse_json(data["serialised_results"], place), settings, place)
    refuse_key(settings.key, "a counter", place)
    counter = part(data, "counter", dict, place) if "counter" in data else data
    if "counter" in data and data.get("raw"):
        rows = part(data, "raw", list, place)
        bits = bits_of_strings(rows, f"{place}: raw")
        if Counter(rows) != {key: count for key, count in counter.items() if count}:
            raise InputError(f"{place}: 'raw' and 'counter' do not agree; the file is damaged")
        return ParsedShots(bits, _ORDER)
    return ParsedShots(bits_of_counts(counter, place), _ORDER)


def _read_results(data: dict[str, Any], settings: ReadSettings, place: str) -> ParsedShots:
    tags, atoms = part(data, "tagmap", dict, place), part(data, "atom_order", list, place)
    strings = [tag for tag in tags if tag.startswith("bitstrings")]
    if not strings:
        raise InputError(f"{place}: the results hold no bit strings; observe BitStrings()")
    tag = choose_one(strings, settings.key, "tag", place)
    number = part(tags, tag, str, place)
    times = part(part(data, "times", dict, place), number, list, place)
    counters = part(part(data, "results", dict, place), number, list, place)
    if not times or len(times) != len(counters) or times[-1] != 1.0:
        raise InputError(f"{place}: holds no bit strings at the end of the sequence, time 1.0")
    counter = counters[-1]
    if not isinstance(counter, dict) or not counter:
        raise InputError(f"{place}: {tag} must be a counter of bit strings, found {brief(counter)}")
    bits = bits_of_counts(counter, place)
    if bits.shape[1] != len(atoms):
        raise InputError(
            f"{place}: bit strings have {bits.shape[1]} bits, but there are {len(atoms)} atoms"
        )
    return ParsedShots(bits, _ORDER, notes={"atoms": ", ".join(map(str, atoms))})
