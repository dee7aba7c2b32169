"""Representations of objects that hold arrays: one line, and tables for notebooks."""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
#: Characters of a representation.
WIDTH = 110
#: Numbers of an array that a cell of a table shows.
_SHORT = 12


class _Repr(reprlib.Repr):
    """Shorten values: arrays to dtype and shape, floats to six digits."""

    def repr_ndarray(self, array: Any, level: int) -> str:
        return f"{array:.6g}" if array.ndim == 0 else f"{array.dtype}{list(array.shape)}"

    def repr_float(self, number: Any, level: int) -> str:
        return f"{number:.6g}"

    repr_float64 = repr_float32 = repr_float


class _Cell(_Repr):
    """Short arrays as numbers, no NaN, and room for the line of another object."""

    def __init__(self) -> None:
        super().__init__()
        self.maxother = self.maxstring = WIDTH

    def repr_float(self, number: Any, level: int) -> str:
        return "" if number != number else f"{number:.5g}"

    repr_float64 = repr_float

    def repr_ndarray(self, array: Any, level: int) -> str:
        if array.ndim == 0:
            return self.repr_float(float(array), level)
        if array.ndim == 1 and array.size <= _SHORT:
            return " ".join(f"{value:.4g}" for value in array)
        return super().repr_ndarray(array, level)


_REPR, _CELL = _Repr(), _Cell()


def one_line(cls: type[T]) -> type[T]:
    """Make a dataclass or named tuple print as Type(field=value, ...), at most `WIDTH` long."""

    def represent(self: Any) -> str:
        shown = ", ".join(f"{name}={_REPR.repr(getattr(self, name))}" for name in _fields(self))
        line = f"{cls.__name__}({' '.join(shown.split())})"
        return line if len(line) <= WIDTH else f"{line[: WIDTH - 4]}...)"

    cls.__repr__ = represent  # type: ignore[method-assign]
    return notebook_table()(cls)


def _fields(value: Any) -> Sequence[str]:
    return getattr(value, "_fields", None) or [item.name for item in dataclasses.fields(value)]


def notebook_table(*names: str) -> Callable[[type[T]], type[T]]:
    """Let a class without a table for notebooks show these attributes, by default its fields."""

    def decorate(cls: type[T]) -> type[T]:
        def rows(self: Any) -> str:
            return html_table(
                (cls.__name__, ""), [(name, getattr(self, name)) for name in names or _fields(self)]
            )

        if "_repr_html_" not in vars(cls):
            cls._repr_html_ = rows  # type: ignore[attr-defined]
        return cls

    return decorate


def html_table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table with a head of names as HTML; None is an empty cell."""
    from html import escape

    def cell(value: object) -> str:
        if value is None or isinstance(value, str):
            return escape(value or "")
        return escape(_CELL.repr(value))

    lines = [f"<tr>{''.join(f'<th>{escape(name)}</th>' for name in names)}</tr>"]
    lines += [f"<tr>{''.join(f'<td>{cell(value)}</td>' for value in row)}</tr>" for row in rows]
    return "<table>\n{}\n</table>".format("\n".join(lines))
