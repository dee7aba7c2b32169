"""Read TOML files of settings."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from psiprune.core.exceptions import InputError

#: Levels of tables and lists; settings have at most six.
_DEEPEST = 20


def read_toml(file: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the tables of a TOML file.

    Raises:
        InputError: it cannot be read, is not TOML, is nested more than 20 levels deep, or holds an
            integer of more than 64 bits.
    """
    try:
        values = tomllib.loads(Path(file).read_text(encoding="utf-8"))
        _check(values, f"{file}: ", 0)
    except InputError:
        raise
    except RecursionError:
        raise InputError(f"{file}: must be nested at most {_DEEPEST} levels deep") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{file}: cannot be read as TOML: {error}") from None
    except ValueError:  # from Python, which refuses to parse such a number
        raise InputError(
            f"{file}: integers may have at most 64 bits, found one of thousands of digits"
        ) from None
    return values


def _check(value: Any, place: str, depth: int) -> None:
    if isinstance(value, int) and value.bit_length() > 64:
        bits = value.bit_length()
        raise InputError(f"{place}: must be an integer of at most 64 bits, found one of {bits}")
    if isinstance(value, dict | list):
        if depth > _DEEPEST:
            raise RecursionError
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            _check(item, f"{place}.{key}" if depth else f"{place}{key}", depth + 1)
