"""Base class of all settings: strict, frozen, with errors that name the field and the value."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Annotated, Any, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from psiprune.core.exceptions import InputError

_in_parts: ContextVar[bool] = ContextVar("in_parts", default=False)


class Settings(BaseModel):
    """Base of all configurations: immutable, no unknown keys, errors in one line.

    A configuration is declared once. The same class gives the command-line options, the keys of
    the TOML file, the checks and the help texts.

    Raises:
        InputError: a key is unknown or a value breaks its rule.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __init__(self, **values: Any) -> None:
        """Check the values; see the fields for their rules."""
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise InputError(one_line(error, type(self))) from None

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Yield the fields that differ from their defaults, so that a repr is short."""
        for name, value in super().__repr_args__():
            field = type(self).model_fields.get(str(name))
            if field is None or field.get_default(call_default_factory=True) != value:
                yield name, value

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not _in_parts.get():
            self._check_together()
        return self

    def _check_together(self) -> None:
        """Raise ValueError if settings that are right one by one do not go together."""


@contextmanager
def in_parts() -> Iterator[None]:
    """Configurations made here are not whole yet: what must go together is checked later."""
    before = _in_parts.set(True)
    try:
        yield
    finally:
        _in_parts.reset(before)


def one_line(error: ValidationError, model: type[BaseModel]) -> str:
    """The first problem of a validation error in one line: key, rule, value found, meaning."""
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        last = str(first["loc"][-1])
        nearest = difflib.get_close_matches(last, model.model_fields, n=1)
        meant = f"; did you mean {nearest[0]}?" if nearest else ""
        known = ", ".join(model.model_fields)
        return f"{key}: no such setting of {model.__name__}; it has {known}{meant}"
    if first["type"] == "missing":
        return f"{key}: is required by {model.__name__}"
    inner = first.get("ctx", {}).get("error")
    if isinstance(inner, InputError):  # a configuration within a configuration
        return f"{key}.{inner}" if key else str(inner)
    rule = first["msg"].removeprefix("Value error, ").replace("Input should", "should")
    if not key:
        return rule
    field = model.model_fields.get(str(first["loc"][0]))
    meaning = f" ({field.description})" if field is not None and field.description else ""
    return f"{key}: {rule}, found {first['input']!r}{meaning}"


def check_numbers(model: type[Settings], values: Mapping[str, Any], prefix: str = "") -> None:
    """Raise InputError for text or a truth value where a number belongs, at any depth.

    For what comes from a file. A configuration itself takes numbers as text, as options are.
    """
    for name, value in values.items():
        field = model.model_fields.get(name)
        if field is None:  # which the configuration itself refuses
            continue
        inner = [
            each for each in get_args(field.annotation) or (field.annotation,) if _is_own(each)
        ]
        if inner and isinstance(value, Mapping):
            check_numbers(inner[0], value, f"{prefix}{name}.")
        elif _is_number(field.annotation):
            for each in value if isinstance(value, list | tuple) else (value,):
                if isinstance(each, str | bool):
                    meaning = f" ({field.description})" if field.description else ""
                    raise InputError(f"{prefix}{name}: should be a number, found {each!r}{meaning}")


def _is_own(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Settings)


def _is_number(annotation: Any) -> bool:
    """Whether a type is of numbers alone: int, float | None, tuple[Annotated[int, ...], ...]."""
    inner = [each for each in get_args(annotation) if isinstance(each, type) or get_args(each)]
    if get_origin(annotation) is Annotated:
        inner = inner[:1]
    kinds = [each for each in inner if each is not type(None)]
    return all(map(_is_number, kinds)) if kinds else annotation in (int, float)
