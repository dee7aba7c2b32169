"""Base class of all settings: immutable, with one-line errors that name the field and value."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date, time
from typing import Annotated, Any, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from psiprune.core.exceptions import InputError
from psiprune.core.limits import MOST_LEVELS, MOST_SEEDS

#: The seed of a run.
Seed = Annotated[int, Field(ge=0, lt=2**62)]
#: Number of seeds of an ensemble.
Seeds = Annotated[int, Field(ge=1, le=MOST_SEEDS)]
#: Number of pruning steps, or of rounds of rewiring.
Levels = Annotated[int, Field(ge=1, le=MOST_LEVELS)]
#: Characters of a value in a message.
_LONGEST = 100
_partial: ContextVar[bool] = ContextVar("partial", default=False)


class Settings(BaseModel):
    """Base class of all settings: immutable, no unknown fields, errors in one line.

    Each setting is declared once: the fields of a class are also the command-line options with
    their help, and the keys of the TOML file.

    Raises:
        InputError: a field is unknown or a value is invalid.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __init__(self, **values: Any) -> None:
        """Validate the values; each field states its bounds."""
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise InputError(describe_validation_error(error, type(self))) from None

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Yield the fields that differ from their defaults, so that a repr is short."""
        for name, value in super().__repr_args__():
            field = type(self).model_fields.get(str(name))
            if field is None or field.get_default(call_default_factory=True) != value:
                yield name, value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not _partial.get():
            self._check_together()
        return self

    def _check_together(self) -> None:
        """Raise ValueError if values that are valid one by one cannot be combined."""


@contextmanager
def partial_settings() -> Iterator[None]:
    """Skip `_check_together` inside the block: a file may supply the values still missing."""
    before = _partial.set(True)
    try:
        yield
    finally:
        _partial.reset(before)


def describe_validation_error(error: ValidationError, model: type[BaseModel]) -> str:
    """Return the first problem in one line: field, what is required, value found, description."""
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        last = str(first["loc"][-1])
        nearest = difflib.get_close_matches(last, model.model_fields, n=1)
        meant = f"; did you mean {nearest[0]}?" if nearest else ""
        known = ", ".join(model.model_fields)
        return f"{key}: no such setting of {model.__name__}; it has {known}{meant}"
    if first["type"] == "missing":
        return f"{key}: is missing; {model.__name__} requires it"
    inner = first.get("ctx", {}).get("error")
    if isinstance(inner, InputError):  # from settings nested in settings
        return f"{key}.{inner}" if key else str(inner)
    rule = first["msg"].removeprefix("Value error, ").replace("Input should", "should")
    rule = rule.partition(", unable to parse")[0]
    if not key:
        return rule
    if first["type"] == "literal_error":
        choices = re.findall("'([^']*)'", first["ctx"]["expected"])
        if nearest_choice := closest_choice(first["input"], choices):
            hint = f"; did you mean {nearest_choice}?"
            return f"{key}: {rule}, found {_shown(first['input'])}{hint}"
    field = model.model_fields.get(str(first["loc"][0]))
    meaning = f" ({field.description})" if field is not None and field.description else ""
    return f"{key}: {rule}, found {_shown(first['input'])}{meaning}"


def closest_choice(value: Any, choices: Collection[str]) -> str | None:
    """Return the choice that a mistyped value resembles; two letters swapped count as similar."""
    word = str(value).lower()
    swapped = [each for each in choices if sorted(each) == sorted(word)]
    return next(iter(swapped or difflib.get_close_matches(word, choices, n=1)), None)


def _shown(value: Any) -> str:
    """Return a value as a TOML file has it, or its repr, of at most 100 characters."""
    text = str(value) if isinstance(value, date | time) else repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def check_numbers(model: type[Settings], values: Mapping[str, Any], prefix: str = "") -> None:
    """Raise InputError for a string or a boolean where a field takes numbers, at any depth.

    For values from a file. `Settings` itself accepts numbers as strings, as options are given.
    """
    for name, value in values.items():
        field = model.model_fields.get(name)
        if field is None:  # `Settings` reports unknown fields itself
            continue
        types = get_args(field.annotation) or (field.annotation,)
        nested = next((kind for kind in types if is_settings(kind)), None)
        if nested is not None and isinstance(value, Mapping):
            check_numbers(nested, value, f"{prefix}{name}.")
        elif _is_number(field.annotation):
            for number in value if isinstance(value, list | tuple) else (value,):
                if isinstance(number, str | bool):
                    meaning = f" ({field.description})" if field.description else ""
                    raise InputError(
                        f"{prefix}{name}: should be a number, found {_shown(number)}{meaning}"
                    )


def flat(
    table: Mapping[str, Any], separator: str = ".", prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    """Yield the entries of nested tables: {prune: {levels: 3}} -> ("prune.levels", 3)."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from flat(value, separator, f"{prefix}{key}{separator}")
        else:
            yield f"{prefix}{key}", value


def is_settings(annotation: Any) -> bool:
    """Return whether a type is a class of settings."""
    return isinstance(annotation, type) and issubclass(annotation, Settings)


def _is_number(annotation: Any) -> bool:
    """Return whether a type holds numbers only: int, float | None, tuple[Annotated[int, ...]]."""
    inner = [kind for kind in get_args(annotation) if isinstance(kind, type) or get_args(kind)]
    if get_origin(annotation) is Annotated:
        inner = inner[:1]
    kinds = [kind for kind in inner if kind is not type(None)]
    return all(map(_is_number, kinds)) if kinds else annotation in (int, float)
