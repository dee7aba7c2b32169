"""Checks of single arguments, with errors that name the argument and the value."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from numbers import Real
from typing import Any

from psiprune.core.exceptions import InputError


def check_seed(seed: int) -> int:
    """Return the seed if it is an integer in 0 .. 2^63 - 1, else raise `InputError`."""
    number = _integer(seed)
    if number is None or not 0 <= number < 2**63:
        raise InputError(f"seed: must be an integer from 0 to 2^63 - 1, found {seed!r}")
    return number


def check_count(name: str, value: int, least: int, most: int | None = None) -> int:
    """Return the value if it is an integer from `least` to `most`, else raise `InputError`."""
    number = _integer(value)
    if number is None or number < least:
        raise InputError(f"{name}: must be an integer of at least {least}, found {value!r}")
    if most is not None and number > most:
        raise InputError(f"{name}: must be an integer of at most {most:,}, found {value!r}")
    return number


def as_count(value: Any, least: int = 1) -> int | None:
    """Return the value as an int if it is an integer of at least `least`, else None."""
    number = _integer(value)
    return None if number is None or number < least else number


def check_number(name: str, value: float, rule: str, valid: Callable[[float], bool]) -> float:
    """Return the value if it is finite and `valid`, else raise `InputError` with the rule."""
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not valid(value):
        raise InputError(f"{name}: must be {rule}, found {value!r}")
    return float(value)


def _integer(value: Any) -> int | None:
    """Return an integer (NumPy's too) as an int; None for anything else, such as True or 1.0."""
    try:
        return None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        return None
