"""Durations as people write them: 90, 30m, 2h, 1d."""

from __future__ import annotations

import math
from contextlib import suppress

from psiprune.core.exceptions import InputError

_SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(name: str, value: float | str) -> float:
    """Return the seconds of a duration: a number of seconds, or text such as 90, 30m, 2h or 1d.

    Raises:
        InputError: it is something else, or not positive; `name` is the argument to name.
    """
    seconds = math.nan
    if isinstance(value, str):
        text = value.strip().lower()
        number = text.rstrip("".join(_SECONDS))
        with suppress(ValueError, KeyError):
            seconds = float(number) * _SECONDS[text[len(number) :].strip() or "s"]
    elif not isinstance(value, bool):
        seconds = float(value)
    if not seconds > 0:
        raise InputError(
            f"{name}: must be a time above 0 in seconds, or with a unit as in 30m, 2h or 1d, found "
            f"{value!r}"
        )
    return seconds


def show_duration(seconds: float) -> str:
    """Return a duration to two digits: "<1 s", "42 s", "20 min", "3.5 h", "12 days"."""
    if seconds < 1:
        return "<1 s"
    units = ((90, 1, "s"), (3600, 60, "min"), (48 * 3600, 3600, "h"), (math.inf, 86400, "days"))
    size, unit = next((size, unit) for limit, size, unit in units if seconds < limit)
    return f"{_two_digits(seconds / size)} {unit}"


def show_bytes(count: float) -> str:
    """Return a size of memory to two digits: "<1 MB", "60 MB", "3.2 GB"."""
    if count < 1e6:
        return "<1 MB"
    units = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"))
    size, unit = next((size, unit) for size, unit in units if count >= size)
    return f"{_two_digits(count / size)} {unit}"


def _two_digits(number: float) -> str:
    return f"{number:.2g}" if number < 99.5 else f"{number:,.0f}"
