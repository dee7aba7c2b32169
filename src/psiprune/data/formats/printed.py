"""Counts as Python prints them: `{'01': 12}`, `Counter({'01': 12})`. Nothing is evaluated."""

from __future__ import annotations

import re
from typing import Any

from psiprune.core.exceptions import InputError

#: What may stand before the dict: Counter( and the like, or defaultdict(<class 'int'>,
_WRAPPER = re.compile(r"\s*(?:[A-Za-z_][\w.]*\((?:<class 'int'>,\s*)?)(?=\{)")
_DICT = re.compile(r"\s*\{(?=\s*(?:'|[0-9]+\s*:))")
_ENTRY = re.compile(
    r"\s*(?:'(?P<text>[^'\\\n]*)'|(?P<integer>[0-9]{1,4000}))\s*:\s*"
    r"(?:np\.\w+\()?(?P<count>[-+0-9.eE]{1,4000})\)?\s*(?P<end>[,}])"
)
_END = re.compile(r"[\s)]*\Z")


def parse_printed(text: str, place: str) -> dict[str, Any] | None:
    """Return the counts of a dict as Python prints it; None if the text does not begin like one.

    Keys that are integers become hexadecimal, "0x3" for 3, so that they differ from bit strings.

    Raises:
        InputError: it begins like one, but is not a plain dict of counts, or repeats a key.
    """
    wrapper = _WRAPPER.match(text)
    start = _DICT.match(text, wrapper.end() if wrapper else 0)
    if start is None and wrapper is None:
        return None
    counts: dict[str, Any] = {}
    position = start.end() if start else 0
    last = ","
    while start and last == "," and (entry := _ENTRY.match(text, position)):
        key = hex(int(entry["integer"])) if entry["text"] is None else entry["text"]
        if key in counts:
            raise InputError(f"{place}: the key {key[:60]!r} occurs twice in one dict")
        counts[key] = _number(entry["count"])
        position, last = entry.end(), entry["end"]
    if last != "}" or None in counts.values() or not _END.match(text, position):
        raise InputError(
            f"{place}: Python text, but not a plain dict of counts, near character {position}; "
            "save JSON instead: json.dump(dict(counts), file)"
        )
    return counts


def _number(text: str) -> int | float | None:
    try:
        return int(text) if text.isdecimal() else float(text)
    except ValueError:
        return None
