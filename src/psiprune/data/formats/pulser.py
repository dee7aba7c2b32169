"""Shots of Pulser and Pasqal's machines: a counter of bit strings, or `Results` as JSON.

The first character is the first atom of the register; 1 is the Rydberg state (in the digital basis
the hyperfine state |h>).
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from psiprune.core.exceptions import InputError
from psiprune.data.formats.base import (
    File,
    ParsedShots,
    bits_of_strings,
    brief,
    choose_one,
    expand_counts,
    parse_json,
    part,
)
from psiprune.data.formats.settings import ReadSettings

_ORDER = "site 0 is the first character, the first atom; bit 1 is the Rydberg state"


def read_pulser(file: File, settings: ReadSettings) -> ParsedShots:
    """Bits of a counter, of a Pasqal job's `full_result`, or of `Results.to_abstract_repr()`.

    Of `full_result` the `raw` list is taken where it is there, as it keeps the order of the shots.
    Of `Results` the bit strings at the end of the sequence; `key` chooses their tag.

    Raises:
        InputError: another structure, counts that are not counts, or bit strings that do not fit
            the register.
    """
    return _read(file.json, settings, str(file.path))


def _read(data: Any, settings: ReadSettings, place: str) -> ParsedShots:
    if not isinstance(data, dict):
        hint = "; save each result to a file of its own" if isinstance(data, list) else ""
        raise InputError(
            f"{place}: needs a counter of bit strings or Results as an object, found {brief(data)}"
            f"{hint}"
        )
    if "tagmap" in data:
        return _read_results(data, settings, place)
    if isinstance(data.get("serialised_results"), str):
        return _read(parse_json(data["serialised_results"], place), settings, place)
    if settings.key:
        raise InputError(f"{place}: key: there is nothing to choose from in a counter")
    if "counter" in data:
        counter, raw = part(data, "counter", dict, place), data.get("raw")
        if raw:
            rows = part(data, "raw", list, place)
            bits = bits_of_strings(rows, f"{place}: raw")
            if Counter(rows) != {key: count for key, count in counter.items() if count}:
                raise InputError(f"{place}: 'raw' and 'counter' do not agree; the file is damaged")
            return ParsedShots(bits, _ORDER)
        data = counter
    if not data:
        raise InputError(f"{place}: holds no outcomes; it needs at least one shot")
    return ParsedShots(
        expand_counts(bits_of_strings(list(data), place), data.values(), place), _ORDER
    )


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
    outcomes = bits_of_strings(list(counter), place)
    if outcomes.shape[1] != len(atoms):
        raise InputError(
            f"{place}: bit strings have {outcomes.shape[1]} bits, but there are {len(atoms)} atoms"
        )
    names = ", ".join(map(str, atoms))
    return ParsedShots(
        expand_counts(outcomes, counter.values(), place), _ORDER, notes={"atoms": names}
    )
